"""absl flags derived from the configuration classes and the models' constructors.

    define(TrainingConfig, DataConfig); define_model_flags()
    app.run(main)                    # then
    config = read(TrainingConfig)
    run = read_run()

A hyper-parameter is declared once, as an argument of a constructor; the flag of the
same name has no default of its own, so that an unset flag leaves the constructor's.
"""

import collections
import dataclasses
import types
import typing
from typing import Any

from absl import flags, logging

from youtube8m import models
from youtube8m.config import DataConfig, ModelConfig, RunConfig
from youtube8m.config.data import CROPS
from youtube8m.config.fields import split_list
from youtube8m.config.model import CLASS_FACTS, require_class_facts
from youtube8m.data.labels.vocabulary import read_vocabulary
from youtube8m.errors import UserError
from youtube8m.losses import LOSSES
from youtube8m.models.base import CLASSIFIERS, ENCODERS, LABEL_PROCESSING
from youtube8m.models.preset import find
from youtube8m.registry import arguments, defaults, hyperparameters, meanings

FLAGS = flags.FLAGS

_MOST_MEANINGS = 3  # that a help text lists, of models that differ

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


def read(config_class: type) -> Any:
    """The configuration that the flags spell. Raises UserError if it is not valid.

    Its field `hyperparameters`, if it has one, holds those that are given.
    """
    fields = dataclasses.fields(config_class)
    values = {f.name: FLAGS[f.name].value for f in fields if "help" in f.metadata}
    if any(f.name == "hyperparameters" for f in fields):
        values["hyperparameters"] = given_hyperparameters()
    return config_class(**values)


def define_model_flags() -> None:
    """Defines --model and its like, and a flag for each hyper-parameter, once."""
    if "vocabulary_file" in FLAGS:
        return
    define(ModelConfig)
    flags.DEFINE_string(
        "vocabulary_file",
        "",
        "CSV of the classes, for models that sort them by vertical or frequency: the "
        "data set's vocabulary.csv, or two columns label_id,vertical.",
    )
    said = _said_of_arguments()
    for name, (parameter, owners) in all_hyperparameters().items():
        if parameter.help:
            said[name][parameter.help.rstrip(".")] += 1
        meaning = "; ".join(text for text, _ in said[name].most_common(_MOST_MEANINGS))
        defaults = {f"{owner} {value}" for owner, value in owners.items()}
        help_text = f"{meaning}. By default {', '.join(sorted(defaults))}."
        _DEFINE[parameter.annotation](name, None, help_text[0].upper() + help_text[1:])


def _said_of_arguments():
    """Name -> what docstrings say of it, and how many classes say so."""
    said = collections.defaultdict(collections.Counter)
    for cls in _configured_classes():
        for name, meaning in meanings(cls).items():
            said[name][meaning] += 1
    return said


def _configured_classes():
    registries = (ENCODERS, CLASSIFIERS, LABEL_PROCESSING, LOSSES)
    registered = [registry.get(name) for registry in registries for name in registry]
    return [*registered, models.VideoModel]


def all_hyperparameters() -> dict[str, tuple]:
    """Name -> (parameter, {class: default}), over all models, classifiers, losses."""
    found: dict[str, tuple] = {}
    for cls in _configured_classes():
        for name, parameter in hyperparameters(cls).items():
            owners = found.setdefault(name, (parameter, {}))[1]
            owners[cls.__name__] = parameter.default
    return found


def given_hyperparameters() -> dict[str, Any]:
    """The hyper-parameters whose flags have a value."""
    given = {name: FLAGS[name].value for name in all_hyperparameters()}
    return {name: value for name, value in given.items() if value is not None}


def apply_preset() -> None:
    """Makes the flags of --preset the defaults, so that those that are given win.

    Raises:
      UserError: an unknown name, or that of an ensemble.
    """
    if not FLAGS.preset:
        return
    preset = find(FLAGS.preset)
    if preset.members:
        raise UserError(
            f"--preset={FLAGS.preset}: an ensemble of {len(preset.members)} models, "
            "which are trained one by one; python -m youtube8m.tools.presets show "
            f"{FLAGS.preset} prints how"
        )
    for name, value in preset.flags.items():
        FLAGS.set_default(name, value)


def read_run() -> RunConfig:
    """The data and model that the flags spell.

    Hyper-parameter flags that the chosen model does not take are left out, with a
    warning each.

    Raises:
      UserError: an unknown name, or values that do not fit together.
    """
    config, data = read(ModelConfig), read(DataConfig)
    parts = models.parts(config)
    classifier = parts.classifier
    loss = LOSSES.get(config.label_loss) if classifier else None
    classes = [c for c in (*parts, models.VideoModel, loss) if c is not None]
    taken, given = defaults(*classes), config.hyperparameters
    data = data.with_released_code(given.get("released_code", False))
    known = taken.keys() | (
        {"released_code"} if data.frame_sampling in CROPS else set()
    )
    for name in sorted(given.keys() - known):
        logging.warning("--%s: %s does not take it; ignored", name, config.model)
    _warn_unused_parts(config, parts)
    # All of them, defaults too: a later version's defaults must not change a run.
    values = {name: given.get(name, default) for name, default in taken.items()}
    config = dataclasses.replace(
        config,
        video_level_classifier_model=classifier.__name__ if classifier else "",
        hyperparameters=values,
        **_vocabulary_facts(data, classes),
    )
    return RunConfig(data, config)


def _vocabulary_facts(data, classes):
    """The facts of the data's classes that the constructors of `classes` ask for."""
    path = FLAGS.vocabulary_file
    if not path:
        for cls in classes:
            require_class_facts(cls)
        return {}
    taken = {name for cls in classes for name in arguments(cls)}
    wanted = [name for name in CLASS_FACTS if name in taken]
    if not wanted:
        logging.warning("--vocabulary_file: nothing needs it; ignored")
        return {}
    vocabulary = read_vocabulary(path, data.num_classes)
    return {name: vocabulary.class_fact(name, path) for name in wanted}


def _warn_unused_parts(config, parts):
    """Warns of flags that name a part which the model does not have."""
    classifier = parts.classifier.__name__ if parts.classifier else ""
    used = {"video_level_classifier_model": classifier}
    if not classifier:
        used |= {"label_loss": "", "label_processing": ""}
    for name, value in used.items():
        if FLAGS[name].present and FLAGS[name].value != value:
            logging.warning("--%s: %s does not take it; ignored", name, config.model)


def warn_differing(run: RunConfig) -> None:
    """Warns of model flags that are given but differ from what the run has."""
    saved = {**dataclasses.asdict(run.data), **dataclasses.asdict(run.model)}
    saved |= {"released_code": run.data.released_crops, **run.model.hyperparameters}
    for name in sorted({*saved, *all_hyperparameters()} & set(FLAGS)):
        flag = FLAGS[name]
        own = saved.get(name)
        if isinstance(own, tuple):
            same = split_list(flag.value or "") == split_list(own)
        else:
            same = flag.value == own
        if flag.present and not same:
            logging.warning("--%s=%s: ignored, the run has %s", name, flag.value, own)
