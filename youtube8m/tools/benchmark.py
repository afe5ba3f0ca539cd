"""Measures the speed of the input, training, evaluation or inference.

    python -m youtube8m.tools.benchmark input
    python -m youtube8m.tools.benchmark train --frame_features --model=LstmModel \\
        --batch_size=64 --lstm_cells=256 --output_file=/tmp/train.json
    python -m youtube8m.tools.benchmark evaluate --data_pattern='validate*.tfrecord'
    python -m youtube8m.tools.benchmark inference

Prints each figure beside the limit that the same machine sets, measured in the same
run. Without --data_pattern random records of the size of YouTube-8M's are used.
"""

from youtube8m import cli

if __name__ == "__main__":
    cli.run("youtube8m.tools.benchmark")

import contextlib
import dataclasses
import json
import tempfile

from absl import flags as absl_flags
from absl import logging

from youtube8m import flags
from youtube8m.benchmarks import BENCHMARKS, BenchmarkConfig, Figure, Report, Workload
from youtube8m.config import DataConfig, RunConfig
from youtube8m.files import replacing
from youtube8m.text import aligned

COMMANDS = tuple(BENCHMARKS)
FLAGS = absl_flags.FLAGS

_VIDEO_FEATURES, _FRAME_FEATURES = "mean_rgb,mean_audio", "rgb,audio"
_FEATURE_SIZES = "1024,128"

flags.define(BenchmarkConfig, DataConfig)
flags.define_model_flags()


def main(command: str) -> None:
    """Reads the flags, measures `command`, prints and writes the figures."""
    _set_defaults(command)
    config, run = flags.read(BenchmarkConfig), flags.read_run()
    logging.set_verbosity(logging.WARNING)  # no lines of the runs that are measured
    with contextlib.ExitStack() as stack:
        # Opened first: a path that cannot be written is told at once.
        path = config.output_file
        file = path and stack.enter_context(replacing(path, "--output_file"))
        directory = stack.enter_context(tempfile.TemporaryDirectory())
        report = BENCHMARKS[command](Workload(config, run, directory))
        if file:
            file.write(_json(command, config, run, report))
    print(table(report))


def _set_defaults(command):
    """The features of YouTube-8M, and frames where only the input is measured."""
    if command == "input":
        FLAGS.set_default("frame_features", True)
    if not FLAGS["feature_names"].present and not FLAGS["feature_sizes"].present:
        frames = FLAGS.frame_features
        names = _FRAME_FEATURES if frames else _VIDEO_FEATURES
        FLAGS.set_default("feature_names", names)
        FLAGS.set_default("feature_sizes", _FEATURE_SIZES)


def table(report: Report) -> str:
    """The figures in aligned columns, the facts below."""
    rows = [("figure", "value", "", "limit", "", "ratio")]
    rows += [_row(figure) for figure in report.figures]
    facts = [f"{k.replace('_', ' ')}: {_text(v)}" for k, v in report.facts.items()]
    return "\n".join(aligned(rows, numbers=(1, 3, 5)) + facts)


def _row(figure: Figure):
    value, limit, ratio = map(_text, (figure.value, figure.limit, figure.ratio))
    return figure.name, value, figure.unit, limit, figure.limit_name, ratio


def _text(value) -> str:
    """Three significant digits, or whole numbers with commas."""
    if value is None or isinstance(value, str):
        return value or ""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _json(command, config: BenchmarkConfig, run: RunConfig, report: Report) -> str:
    figures = [
        {**dataclasses.asdict(figure), "ratio": figure.ratio}
        for figure in report.figures
    ]
    settings = {**dataclasses.asdict(config), **json.loads(run.to_json())}
    parts = {"benchmark": command, "settings": settings, "figures": figures}
    return json.dumps({**parts, **report.facts}, indent=2) + "\n"
