"""Lists every model: its source, reported figure, parameters and input.

    python -m youtube8m.tools.models
    python -m youtube8m.tools.models LstmModel MoeModel
    python -m youtube8m.tools.models show LstmModel
    python -m youtube8m.tools.models show LstmModel --lstm_cells=256 --num_classes=10

Without names it builds all models to count their parameters, which takes a while. show
prints the equations, shapes, parameters, operations and rows of one model, with the
sizes of its reported row. The flags of train.py change them.
"""

import dataclasses
import inspect
from collections.abc import Iterable, Sequence

import tensorflow as tf
from absl import flags as absl_flags

from youtube8m import cli, models, schema
from youtube8m.cli import flags
from youtube8m.config import DataConfig, ModelConfig, RunConfig
from youtube8m.errors import unknown_name
from youtube8m.models.base import CLASSIFIERS, ENCODERS
from youtube8m.models.preset import PRESETS, find_paper, find_report
from youtube8m.registry import hyperparameters, required, summary
from youtube8m.schema import CLASS_FACTS
from youtube8m.util.progress import Progress
from youtube8m.util.text import aligned

COMMANDS = None  # the words are models
FLAGS = absl_flags.FLAGS

_CLASSES = schema.NUM_CLASSES_2017
_VERTICALS = 25
_VIDEOS = DataConfig(("mean_rgb", "mean_audio"), (1024, 128), num_classes=_CLASSES)
_FRAMES = DataConfig(("rgb", "audio"), (1024, 128), True, _CLASSES)

flags.define_model_flags()
flags.define(DataConfig)


def main(*words: str) -> None:
    """Prints a row per model, or of those that are named, or all about one."""
    match words:
        case ("show", name):
            print("\n".join(show(name)))
        case _:
            print("\n".join(listing(words)))


def listing(names: Sequence[str] = ()) -> list[str]:
    """The lines of a table of the models that are named, or of all."""
    known = [*ENCODERS, *CLASSIFIERS]
    for name in names:
        if name not in known:
            raise unknown_name("model", name, known)
    rows = []
    with Progress("building", len(names or known), "model") as progress:
        for name in names or known:
            progress.update(len(rows), name)
            rows.append(row(name))
    table = [list(rows[0]), *(list(row.values()) for row in rows)]
    return [
        *aligned(table),
        "",
        f"Parameters: rgb and audio (1152), {_CLASSES} classes in "
        f"{_VERTICALS} equal verticals, the reported row's sizes and classifier.",
    ]


def row(name: str) -> dict:
    """The cells of a model's row, by column."""
    is_encoder = name in ENCODERS
    cls = (ENCODERS if is_encoder else CLASSIFIERS).get(name)
    preset = find_report(cls)
    return {
        "--model": name,
        "input": _describe_input(cls, is_encoder),
        "source": f"{preset.paper}, {preset.row}" if preset else find_paper(cls).name,
        "reported": preset.figure if preset else "",
        "parameters": f"{_count_parameters(name, preset):,}",
        "what it is": summary(cls),
    }


def _describe_input(cls, is_encoder):
    parts = ["frames" if is_encoder else "a vector per video"]
    if is_encoder and cls.needs_two_modalities:
        parts.append("two modalities")
    if required(cls).intersection(CLASS_FACTS):
        parts.append("--vocabulary_file")
    if is_encoder and not cls.supervised:
        parts.append("no labels")
    return ", ".join(parts)


def _count_parameters(name, preset):
    """Parameters of the reported row's model."""
    known = preset.flags if preset else {}
    config = ModelConfig(
        name,
        known.get("video_level_classifier_model", "MoeModel"),
        hyperparameters=known,  # each part takes those that it knows
        **_class_facts(_CLASSES),
    )
    run = RunConfig(_FRAMES if name in ENCODERS else _VIDEOS, config)
    with tf.Graph().as_default():  # makes variables without their values
        return models.count_parameters(models.create(run))


def _class_facts(num_classes):
    """Those of a data set with verticals of one size."""
    verticals = tuple(i % _VERTICALS for i in range(num_classes))
    return {"verticals": verticals, "class_counts": (1,) * num_classes}


def show(name: str) -> list[str]:
    """All about one model, with the sizes that the flags change.

    Raises UserError for an unknown name, or sizes that do not fit.
    """
    from youtube8m.benchmarks.architecture import describe_model  # which loads much

    if name not in ENCODERS and name not in CLASSIFIERS:
        raise unknown_name("show", name, {*ENCODERS, *CLASSIFIERS})
    cls = (ENCODERS if name in ENCODERS else CLASSIFIERS).get(name)
    run = _read_run(name, find_report(cls))
    found = describe_model(run)
    lines = [name, "", *inspect.cleandoc(cls.__doc__ or "No description.").split("\n")]
    for title, block in (
        ("source", _source(cls)),
        ("hyper-parameters", _hyperparameters(cls, run)),
        (f"shapes of one video ({_input(run.data)})", _shapes(found)),
        ("weights", _weights(found)),
        ("parameters and operations", _costs(found, run)),
        ("rows and presets", _rows(name)),
    ):
        lines += ["", f"{title}:", *(f"  {line}" for line in block or ["none"])]
    return lines


def _read_run(name, preset):
    """The model with the sizes of its reported row, and flags that are given."""
    known = preset.flags if preset else {}
    if name in CLASSIFIERS:  # its row may be that of a model of frames
        own = {*hyperparameters(CLASSIFIERS.get(name)), "num_classes"}
        known = {flag: value for flag, value in known.items() if flag in own}
    for flag, value in known.items():
        if flag in FLAGS:
            FLAGS.set_default(flag, value)
    usual = _FRAMES if name in ENCODERS else _VIDEOS
    FLAGS.model = name
    FLAGS.frame_features = usual.frame_features
    if "feature_names" not in known:
        FLAGS.set_default("feature_names", ",".join(usual.feature_names))
        FLAGS.set_default("feature_sizes", ",".join(map(str, usual.feature_sizes)))
    if "num_classes" not in known and not FLAGS["num_classes"].present:
        FLAGS.set_default("num_classes", _CLASSES)
    if FLAGS.vocabulary_file:
        return flags.read_run()
    data, config = flags.read(DataConfig), flags.read(ModelConfig)
    config = dataclasses.replace(config, **_class_facts(data.num_classes))
    return models.complete(RunConfig(data, config))


def _source(cls):
    paper = find_paper(cls)
    parts = (paper.name, paper.title, paper.url, paper.code and f"code: {paper.code}")
    return [", ".join(filter(None, parts))]


def _input(data):
    names = zip(data.feature_names, data.feature_sizes, strict=True)
    sizes = ", ".join(f"{name} {size}" for name, size in names)
    frames = f"; {data.longest_example} frames" if data.frame_features else ""
    return f"{sizes}{frames}; {data.num_classes} classes"


def _hyperparameters(cls, run):
    values = run.model.hyperparameters
    rows = [
        (f"--{name}={values.get(name, argument.default)}", argument.help)
        for name, argument in hyperparameters(cls).items()
    ]
    return aligned(rows) if rows else []


def _shapes(found):
    return aligned([(n, f"[{_joined(shape)}]") for n, shape in found.shapes.items()])


def _joined(shape: Iterable[int]):
    return ", ".join(f"{size:,}" for size in shape)


def _weights(found):
    rows = [("part", "variable", "shape", "numbers", "")]
    for weight in found.weights:
        kept = "" if weight.trainable else "not trained"
        shape = f"[{_joined(weight.shape)}]"
        rows.append((weight.part, weight.name, shape, f"{weight.count:,}", kept))
    return aligned(rows, numbers=(3,))


def _costs(found, run):
    parameters, rows = found.parameters, [("part", "class", "parameters", "FLOP")]
    parts = models.parts(run.model)._asdict()
    for part in parameters.keys() | found.flops.keys():
        cls = parts.get(part)
        cells = (f"{parameters.get(part, 0):,}", f"{found.flops.get(part, 0):,}")
        rows.append((part, cls.__name__ if cls else "", *cells))
    sums = (f"{sum(each.values()):,}" for each in (parameters, found.flops))
    rows[1:] = sorted(rows[1:], key=lambda row: [*parts].index(row[0] or "encoder"))
    length = f"of {found.frames} frames " if found.frames else ""
    return [
        *aligned([*rows, ("sum", "", *sums)], numbers=(2, 3)),
        f"FLOP: of the prediction of a video {length}(multiplications and additions of",
        "matrix products and convolutions; a product [m, k] [k, n] is 2 m k n).",
    ]


def _rows(name):
    keys = ("model", "video_level_classifier_model")
    rows = [
        (preset.name, f"{preset.paper}, {preset.row}", preset.figure)
        for preset in PRESETS.values()
        if name in (preset.flags.get(key) for key in keys)
    ]
    return aligned(rows) if rows else []


if __name__ == "__main__":
    cli.run(main)
