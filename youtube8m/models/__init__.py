"""Every model by name, and how to build one from a run's configuration.

    from youtube8m.models import LstmModel, MoeModel, VideoModel

A folder here is a source of models, such as a paper. All its modules are imported, and
what they register can be imported from here.
"""

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
    complete,
    count_parameters,
    create,
    descriptor_shape,
    dummy_batch,
    parts,
    require_keras,
    unfit_classifier,
)
from youtube8m.models.imports import import_classes, import_module
from youtube8m.models.preset import import_source

for _source in pkgutil.iter_modules(__path__, f"{__name__}."):
    if _source.ispkg:
        import_source(_source.name)

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
    "complete",
    "count_parameters",
    "create",
    "descriptor_shape",
    "dummy_batch",
    "import_classes",
    "import_module",
    "parts",
    "require_keras",
    "unfit_classifier",
    *_REGISTERED,
]
