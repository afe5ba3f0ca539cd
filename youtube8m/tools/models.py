"""Lists every model: its source, reported figure, parameters and input.

    python -m youtube8m.tools.models
    python -m youtube8m.tools.models LstmModel MoeModel

Without names it builds all models to count their parameters, which takes a while.
"""

import tensorflow as tf

from youtube8m import cli, models, schema
from youtube8m.cli import flags
from youtube8m.config import DataConfig, ModelConfig, RunConfig
from youtube8m.errors import unknown_name
from youtube8m.models.base import CLASSIFIERS, ENCODERS
from youtube8m.models.preset import find_paper, find_report
from youtube8m.registry import required, summary
from youtube8m.schema import CLASS_FACTS
from youtube8m.util.progress import Progress
from youtube8m.util.text import aligned

COMMANDS = None  # the words are models

_CLASSES = schema.NUM_CLASSES_2017
_VERTICALS = 25
_VIDEOS = DataConfig(("mean_rgb", "mean_audio"), (1024, 128), num_classes=_CLASSES)
_FRAMES = DataConfig(("rgb", "audio"), (1024, 128), True, _CLASSES)

flags.define_import()


def main(*names: str) -> None:
    """Prints a row per model, or of those that are named."""
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
    print("\n".join(aligned(table)))
    print(
        f"\nParameters: rgb and audio (1152), {_CLASSES} classes in "
        f"{_VERTICALS} equal verticals, the reported row's sizes and classifier."
    )


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
        verticals=tuple(i % _VERTICALS for i in range(_CLASSES)),
        class_counts=(1,) * _CLASSES,
    )
    run = RunConfig(_FRAMES if name in ENCODERS else _VIDEOS, config)
    with tf.Graph().as_default():  # makes variables without their values
        return models.count_parameters(models.create(run))


if __name__ == "__main__":
    cli.run(main)
