"""Every model by name, and how to build one from a run's configuration.

    from youtube8m.models import LstmModel, MoeModel, VideoModel

A folder here is a source of models, such as a paper. All its modules are imported, and
what they register can be imported from here.
"""

import importlib
import pkgutil

from youtube8m.models.base import (
    CLASSIFIERS,
    ENCODERS,
    LABEL_PROCESSING,
    Classifier,
    FrameEncoder,
    VideoModel,
)
from youtube8m.models.build import (
    count_parameters,
    create,
    descriptor_shape,
    dummy_batch,
    parts,
)


def _import_sources() -> None:
    """Imports every module of every folder beside this file."""
    for source in pkgutil.iter_modules(__path__, f"{__name__}."):
        if source.ispkg:
            package = importlib.import_module(source.name)
            for module in pkgutil.iter_modules(package.__path__, f"{source.name}."):
                importlib.import_module(module.name)


_import_sources()
_REGISTERED = {
    name: registry.get(name)
    for registry in (ENCODERS, CLASSIFIERS, LABEL_PROCESSING)
    for name in registry
}
globals().update(_REGISTERED)

__all__ = [
    "CLASSIFIERS",
    "ENCODERS",
    "LABEL_PROCESSING",
    "Classifier",
    "FrameEncoder",
    "VideoModel",
    "count_parameters",
    "create",
    "descriptor_shape",
    "dummy_batch",
    "parts",
    *_REGISTERED,
]
