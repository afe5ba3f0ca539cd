"""absl flags derived from the configuration classes and the models' constructors.

    define(TrainingConfig, DataConfig); define_model_flags()
    app.run(main)                    # then
    config = read(TrainingConfig)
    run = make_run()

A hyper-parameter is declared once, as an argument of a constructor; the flag of the
same name has no default of its own, so that an unset flag leaves the constructor's.
"""

import collections
import contextlib
import dataclasses
import types
import typing
from collections.abc import Sequence
from typing import Any

from absl import flags, logging

from youtube8m import models, registry
from youtube8m.config import DataConfig, ModelConfig, RunConfig
from youtube8m.config.data import CROPS
from youtube8m.config.fields import split_list
from youtube8m.config.trained_run import DESCRIBING, TrainedRunConfig
from youtube8m.data.labels.vocabulary import read_vocabulary
from youtube8m.errors import UserError
from youtube8m.losses import LOSSES
from youtube8m.models.base import CLASSIFIERS, ENCODERS, LABEL_PROCESSING
from youtube8m.models.preset import find
from youtube8m.runs.derived_code import is_alias
from youtube8m.schema import CLASS_FACTS

FLAGS = flags.FLAGS

# Flags of hyper-parameters, and their types.
hyperparameter_flags: dict[str, type] = {}
# Flags that --help leaves out.
unlisted: set[str] = set()

_DEFINE = {
    bool: flags.DEFINE_boolean,
    int: flags.DEFINE_integer,
    float: flags.DEFINE_float,
    str: flags.DEFINE_string,
}


def define(*config_classes: type) -> None:
    """Defines a flag for each field that has a help text; the first of a name wins."""
    for config_class in config_classes:
        hints, own = typing.get_type_hints(config_class), vars(config_class)
        fields = dataclasses.fields(config_class)  # its own come first in --help
        for field in sorted(fields, key=lambda f: f.name not in own["__annotations__"]):
            if "help" in field.metadata and field.name not in FLAGS:
                hint, default = hints[field.name], field.default
                if isinstance(default, tuple):
                    hint, default = str, ",".join(map(str, default))
                if isinstance(hint, types.UnionType):
                    hint = typing.get_args(hint)[0]
                _DEFINE[hint](field.name, default, field.metadata["help"])


def read(config_class: type) -> Any:
    """The configuration that the flags spell. Raises UserError if it is not valid.

    Its field `hyperparameters`, if it has one, holds those that are given; that of a
    command which reads a run also the flags that describe one.
    """
    fields = dataclasses.fields(config_class)
    values = {f.name: FLAGS[f.name].value for f in fields if f.name in FLAGS}
    if any(f.name == "hyperparameters" for f in fields):
        given = {name: FLAGS[name].value for name in hyperparameter_flags}
        if issubclass(config_class, TrainedRunConfig):
            present = [n for n in DESCRIBING if n in FLAGS and FLAGS[n].present]
            given |= {name: FLAGS[name].value for name in present}
        values["hyperparameters"] = {n: v for n, v in given.items() if v is not None}
    return config_class(**values)


def define_model_flags() -> None:
    """Defines --import, --model and its like, and a flag for each hyper-parameter."""
    if "vocabulary_file" in FLAGS:
        return
    define_import()
    define(ModelConfig)
    flags.DEFINE_string(
        "vocabulary_file",
        "",
        "CSV of the classes, for models that sort them by vertical or frequency: the "
        "data set's vocabulary.csv, or two columns label_id,vertical.",
    )
    _define_hyperparameters()


def define_run_flags(*config_classes: type) -> None:
    """Defines flags whose values a run has itself, for a command that reads one.

    They parse, as the starter code's do, and `warn_differing` compares them. --help
    does not list them.
    """
    listed = {*FLAGS}
    define(*config_classes)
    define_model_flags()
    unlisted.update({*FLAGS} - listed - {"import"})


def define_import() -> None:
    """Defines --import, which `import_modules` reads before the other flags."""
    if "import" in FLAGS:
        return
    flags.DEFINE_string(
        "import",
        "",
        "Modules of your own with models, losses or presets, comma-separated: names, "
        "or paths of .py files. A run keeps them, and what reads it imports them.",
    )


def import_modules(argv: Sequence[str]) -> None:
    """Imports what --import names, and defines flags for the classes there.

    Raises UserError if one cannot be imported, or an argument there cannot be a flag.
    """
    if "import" not in FLAGS:
        return
    own = flags.FlagValues()
    flags.DEFINE_string("import", "", "", flag_values=own)
    own.set_gnu_getopt()
    with contextlib.suppress(flags.Error):  # reported when all are parsed
        own(argv, known_only=True)
    for name in split_list(own["import"].value):
        models.import_module(name)
    if hyperparameter_flags:
        _define_hyperparameters()


def _define_hyperparameters():
    """Defines the flags that are missing; help texts name the owners of each."""
    for name, owners in all_hyperparameters().items():
        for owner, argument in owners.items():
            if name not in FLAGS:
                hyperparameter_flags[name] = argument.annotation
                _DEFINE[argument.annotation](name, None, "")
            if hyperparameter_flags.get(name) is not argument.annotation:
                raise UserError(
                    f"{owner}: its argument {name} is of type "
                    f"{argument.annotation.__name__}, but --{name} is another flag, or "
                    "of another type; choose another name"
                )
        FLAGS[name].help = _help_of(owners)


def _help_of(owners):
    """What classes say of an argument, three sentences at most, and its defaults."""
    said = collections.Counter(a.help for a in owners.values() if a.help)
    sentences = [sentence for sentence, _ in said.most_common(3)]
    defaults = sorted(f"{owner} {a.default}" for owner, a in owners.items())
    return " ".join([*sentences, f"By default {', '.join(defaults)}."])


def all_hyperparameters() -> dict[str, dict[str, registry.Argument]]:
    """Name -> class -> argument, over all models, classifiers and losses."""
    registries = (ENCODERS, CLASSIFIERS, LABEL_PROCESSING, LOSSES)
    classes = [known.get(name) for known in registries for name in known]
    found = collections.defaultdict(dict)
    for cls in [*classes, models.VideoModel]:
        for name, argument in registry.hyperparameters(cls).items():
            found[name][cls.__name__] = argument
    return found


def chosen_classes(config: ModelConfig) -> list[type]:
    """The classes whose hyper-parameters count: the model's parts, and the loss.

    Raises UserError for an unknown name.
    """
    parts = models.parts(config)
    loss = [LOSSES.get(config.label_loss)] if parts.classifier else []
    return [*filter(None, parts), models.VideoModel, *loss]


def apply_preset() -> None:
    """Makes the flags of --preset the defaults, so that those that are given win.

    Raises UserError for an unknown name, or that of an ensemble.
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


def make_run() -> RunConfig:
    """The data and model that the flags spell.

    Flags of hyper-parameters and parts that the chosen model does not take are left
    out, with a warning each.

    Raises UserError for an unknown name, or values and parts that do not fit together.
    """
    config, data = read(ModelConfig), read(DataConfig)
    parts, classes = models.parts(config), chosen_classes(config)
    used = {"video_level_classifier_model": ""}
    if parts.classifier:
        used["video_level_classifier_model"] = name = parts.classifier.__name__
        asked = FLAGS["video_level_classifier_model"]
        if parts.encoder and asked.present and asked.value != name:
            raise models.unfit_classifier(parts.encoder, asked.value)
    else:
        used |= {"label_loss": "", "label_processing": ""}
    taken, given = registry.defaults(*classes), config.hyperparameters
    data = data.with_released_code(given.get("released_code", False))
    unused = given.keys() - taken.keys()
    if data.frame_sampling in CROPS:
        unused -= {"released_code"}
    others = [n for n in used if FLAGS[n].present and FLAGS[n].value != used[n]]
    for name in [*sorted(unused), *others]:
        logging.warning("--%s: %s does not take it; ignored", name, config.model)
    # All of them, defaults too: a later version's defaults must not change a run.
    values = {name: given.get(name, default) for name, default in taken.items()}
    config = dataclasses.replace(
        config,
        video_level_classifier_model=used["video_level_classifier_model"],
        hyperparameters=values,
        imports=map(models.import_module, split_list(FLAGS["import"].value)),
        **_vocabulary_facts(data, classes),
    )
    return RunConfig(data, config)


def _vocabulary_facts(data, classes):
    """The facts of the data's classes that the constructors of `classes` ask for."""
    path = FLAGS.vocabulary_file
    if not path:
        for cls in classes:
            registry.require_class_facts(cls)
        return {}
    taken = {name for cls in classes for name in registry.arguments(cls)}
    wanted = [name for name in CLASS_FACTS if name in taken]
    if not wanted:
        logging.warning("--vocabulary_file: nothing needs it; ignored")
        return {}
    vocabulary = read_vocabulary(path, data.num_classes)
    return {name: vocabulary.class_fact(name, path) for name in wanted}


def warn_differing(run: RunConfig) -> None:
    """Warns of model flags that are given but differ from what the run has."""
    saved = {**dataclasses.asdict(run.data), **dataclasses.asdict(run.model)}
    saved |= {"released_code": run.data.released_crops, **run.model.hyperparameters}
    saved["feature_dtypes"] = tuple(feature.stored for feature in run.data.features)
    for name in sorted({*saved, *hyperparameter_flags} & set(FLAGS)):
        value, own = FLAGS[name].value, saved.get(name)
        same = value == own
        if isinstance(own, tuple):
            same = split_list(value or "") == split_list(own)
        same = same or is_alias(value, own)
        if FLAGS[name].present and not same:
            logging.warning("--%s=%s: ignored, the run has %s", name, value, own)
