"""absl flags derived from the configuration classes and the models' constructors.

    define(TrainingConfig, DataConfig); define_model_flags()
    app.run(main)                    # then
    config = read(TrainingConfig)
    run = read_run()

A hyper-parameter is declared once, as an argument of a constructor; the flag of the
same name has no default of its own, so that an unset flag leaves the constructor's.
"""

import dataclasses
import types
import typing
from typing import Any

from absl import flags, logging

from youtube8m import models
from youtube8m.config import DataConfig, ModelConfig, RunConfig
from youtube8m.losses import LOSSES
from youtube8m.models.base import CLASSIFIERS, ENCODERS
from youtube8m.registry import hyperparameters

FLAGS = flags.FLAGS

_DEFINE = {
    bool: flags.DEFINE_boolean,
    int: flags.DEFINE_integer,
    float: flags.DEFINE_float,
    str: flags.DEFINE_string,
}


def define(*config_classes: type) -> None:
    """Defines a flag for each field that has a help text; the first of a name wins."""
    for config_class in config_classes:
        hints = typing.get_type_hints(config_class)
        for field in dataclasses.fields(config_class):
            if "help" in field.metadata and field.name not in FLAGS:
                _define(field.name, hints[field.name], field.default, field.metadata)


def _define(name, hint, default, metadata):
    if typing.get_origin(hint) is tuple:
        hint, default = str, ",".join(map(str, default))
    if isinstance(hint, types.UnionType):
        hint = typing.get_args(hint)[0]
    _DEFINE[hint](name, default, metadata["help"])


def read(config_class: type, **overrides: Any) -> Any:
    """The configuration that the flags spell. Raises UserError if it is not valid."""
    names = [f.name for f in dataclasses.fields(config_class) if "help" in f.metadata]
    return config_class(**{name: FLAGS[name].value for name in names}, **overrides)


def define_model_flags() -> None:
    """Defines --model and its like, and a flag for each hyper-parameter."""
    define(ModelConfig)
    for name, (parameter, owners) in all_hyperparameters().items():
        defaults = {f"{owner} {value}" for owner, value in owners.items()}
        help_text = f"Hyper-parameter; by default {', '.join(sorted(defaults))}."
        _DEFINE[parameter.annotation](name, None, help_text)


def all_hyperparameters() -> dict[str, tuple]:
    """Name -> (parameter, {class: default}), over all models, classifiers, losses."""
    found: dict[str, tuple] = {}
    for registry in (ENCODERS, CLASSIFIERS, LOSSES):
        for class_name in registry:
            for name, parameter in hyperparameters(registry.get(class_name)).items():
                owners = found.setdefault(name, (parameter, {}))[1]
                owners[class_name] = parameter.default
    return found


def read_run() -> RunConfig:
    """The data and model that the flags spell.

    Hyper-parameter flags that the chosen model does not take are left out, with a
    warning each.

    Raises:
      UserError: an unknown name, or values that do not fit together.
    """
    config = read(ModelConfig)
    encoder, classifier = models.parts(config)
    loss = LOSSES.get(config.label_loss)
    taken = set()
    for cls in filter(None, (encoder, classifier, loss)):
        taken |= hyperparameters(cls).keys()
    given = {n for n in all_hyperparameters() if FLAGS[n].value is not None}
    for name in sorted(given - taken):
        logging.warning("--%s: %s does not take it; ignored", name, config.model)
    if encoder is None or encoder.fixed_classifier:
        _warn_unused_classifier(config)
        config = dataclasses.replace(
            config, video_level_classifier_model=classifier.__name__
        )
    values = {name: FLAGS[name].value for name in sorted(given & taken)}
    config = dataclasses.replace(config, hyperparameters=values)
    return RunConfig(read(DataConfig), config)


def _warn_unused_classifier(config):
    flag = FLAGS["video_level_classifier_model"]
    if flag.present and flag.value != config.model:
        logging.warning("--%s: %s does not take it; ignored", flag.name, config.model)


def warn_differing(run: RunConfig) -> None:
    """Warns of model flags that differ from the run they are given with."""
    saved = {**dataclasses.asdict(run.data), **dataclasses.asdict(run.model)}
    saved |= run.model.hyperparameters
    for name in saved.keys() & set(FLAGS):
        flag = FLAGS[name]
        value = flag.value
        if isinstance(saved[name], tuple):
            value = tuple(type(saved[name][0])(part) for part in value.split(","))
        if flag.present and value != saved[name]:
            logging.warning(
                "--%s=%s: ignored, the run was trained with %s",
                name,
                flag.value,
                saved[name],
            )
