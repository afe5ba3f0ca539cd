"""Measures the speed of the input, training, evaluation or inference.

    python -m youtube8m.tools.benchmark input
    python -m youtube8m.tools.benchmark train --frame_features --model=LstmModel \\
        --batch_size=64 --lstm_cells=256 --output_file=/tmp/train.json
    python -m youtube8m.tools.benchmark evaluate --data_pattern='validate*.tfrecord'
    python -m youtube8m.tools.benchmark inference
    python -m youtube8m.tools.benchmark suite --output_file=after.json
    python -m youtube8m.tools.benchmark compare benchmarks/baseline.json after.json

Prints each figure beside the limit that the same machine sets, measured in the same
run. Without --data_pattern random records of the size of YouTube-8M's are used.

suite runs the whole speed table and keeps the ratios alone. compare prints two such
files side by side; its status is 1 if a ratio fell by more than --tolerance.
"""

import contextlib
import dataclasses
import json
import tempfile

from absl import flags as absl_flags
from absl import logging

from youtube8m import cli
from youtube8m.benchmarks import (
    BENCHMARKS,
    BenchmarkConfig,
    Figure,
    Report,
    Workload,
    suite,
)
from youtube8m.cli import data_flags, flags
from youtube8m.config import DataConfig, RunConfig
from youtube8m.errors import UserError, unknown_name
from youtube8m.util.files import replacing
from youtube8m.util.text import aligned

COMMANDS = None  # compare takes two files
FLAGS = absl_flags.FLAGS

_VIDEO_FEATURES, _FRAME_FEATURES = "mean_rgb,mean_audio", "rgb,audio"
_FEATURE_SIZES = "1024,128"

flags.define(BenchmarkConfig, DataConfig)
flags.define_model_flags()
absl_flags.DEFINE_multi_enum(
    "row", None, list(suite.ROWS), "Row of suite to measure; default: all of them."
)
absl_flags.DEFINE_float(
    "tolerance",
    0.1,
    "Share by which compare lets a ratio fall, as machines are never quite at rest.",
    lower_bound=0.0,
    upper_bound=1.0,
)


def main(*arguments: str) -> None:
    """Measures what the first argument names, or compares two files.

    Raises:
      UserError: an unknown command, or too few or too many arguments.
    """
    commands = {name: _benchmark for name in BENCHMARKS}
    commands |= {"suite": _suite, "compare": _compare}
    if not arguments:
        raise UserError(f"name a sub-command: {', '.join(commands)}")
    command, *rest = arguments
    if command not in commands:
        raise unknown_name("sub-command", command, commands)
    if command != "compare" and rest:
        raise UserError(f"{rest[0]!r} is no flag; quote globs, and write --flag=value")
    commands[command](*arguments)


def _benchmark(command):
    """Reads the flags, measures `command`, prints and writes the figures."""
    _set_defaults(command)
    config = flags.read(BenchmarkConfig)
    without_model = command in ("input", "evaluate")
    data_flags.complete(config.data_pattern, "--data_pattern", any_level=without_model)
    run = flags.read_run()
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


def _suite(command):
    """Measures the rows of the speed table, prints and writes their ratios."""
    if not FLAGS.output_file:
        raise UserError("--output_file is empty; name the file to write the ratios to")
    given = [f"--{n}={FLAGS[n].value}" for n in ("seconds", "repetitions")]
    ratios = suite.measure(given, FLAGS.row or suite.ROWS)
    with replacing(FLAGS.output_file, "--output_file") as file:
        file.write(json.dumps({"settings": given, "ratios": ratios}, indent=2) + "\n")
    rows = [(r, f, _text(v)) for r, found in ratios.items() for f, v in found.items()]
    print("\n".join(aligned([("row", "figure", "ratio"), *rows], numbers=(2,))))


def _compare(command, *paths):
    """Prints two suites side by side. Exits with 1 if a ratio fell too far."""
    if len(paths) != 2:
        raise UserError("compare: name two files, before and after")
    found = list(suite.changes(*map(suite.read, paths)))
    rows = [("row", "figure", "before", "after", "")]
    fallen = [change for change in found if change.fell(FLAGS.tolerance)]
    for change in found:
        mark = "fell" if change in fallen else ""
        values = map(_text, (change.before, change.after))
        rows.append((change.row, change.figure, *values, mark))
    print("\n".join(aligned(rows, numbers=(2, 3))))
    if fallen:
        raise UserError(
            f"{paths[1]}: {len(fallen)} of {len(found)} ratios fell by more than "
            f"--tolerance={FLAGS.tolerance:g}"
        )


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


if __name__ == "__main__":
    cli.run(main)
