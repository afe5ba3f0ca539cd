"""Measures the speed of input, training, evaluation, inference and other work.

    python -m youtube8m.tools.benchmark input
    python -m youtube8m.tools.benchmark train --frame_features --model=LstmModel \\
        --batch_size=64 --lstm_cells=256 --output_file=/tmp/train.json
    python -m youtube8m.tools.benchmark evaluate --data_pattern='validate*.tfrecord'
    python -m youtube8m.tools.benchmark inference
    python -m youtube8m.tools.benchmark inspect_data
    python -m youtube8m.tools.benchmark extract --image_model=EfficientNetV2B0
    python -m youtube8m.tools.benchmark suite --output_file=after.json
    python -m youtube8m.tools.benchmark compare benchmarks/baseline.json after.json

Prints each figure beside the limit that the same machine sets, measured in the same
run. Without --data_pattern random records of the size of YouTube-8M's are used.

suite runs the whole speed table and keeps the ratios alone. compare prints two such
files side by side; its status is 1 if a ratio fell by more than --tolerance.
"""

import dataclasses
import itertools
import json
import tempfile

from absl import flags as absl_flags
from absl import logging

from youtube8m import cli
from youtube8m.benchmarks import BENCHMARKS, BenchmarkConfig, Report, Workload, suite
from youtube8m.benchmarks.extraction import ClipConfig, measure_extraction
from youtube8m.cli import data_flags, flags
from youtube8m.config import DataConfig
from youtube8m.errors import UserError
from youtube8m.util.files import (
    find_files,
    replacing,
    require_other_file,
    require_writable,
    split_paths,
)
from youtube8m.util.text import aligned

COMMANDS = None  # compare takes two files
FLAGS = absl_flags.FLAGS

flags.define(BenchmarkConfig, DataConfig, ClipConfig)
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
    """Measures what the first argument names, or compares two files."""
    commands = dict.fromkeys(BENCHMARKS, _measure)
    commands |= {"suite": _measure_suite, "compare": _compare}
    commands["extract"] = _measure_extraction
    compares = arguments[:1] == ("compare",)
    cli.check_arguments(arguments[:1] if compares else arguments, commands)
    commands[arguments[0]](*arguments)


def _measure(command):
    """Reads the flags, measures `command`, prints and writes the figures."""
    _set_defaults(command)
    config = flags.read(BenchmarkConfig)
    without_model = command in ("input", "evaluate", "inspect_data")
    data_flags.set_from_records(config.data_pattern, "--data_pattern", without_model)
    run = flags.make_run()
    settings = {**dataclasses.asdict(config), **json.loads(run.to_json())}

    def measure(directory):
        return BENCHMARKS[command](Workload(config, run, directory))

    _report(command, settings, measure)


def _measure_extraction(command):
    """Measures the extraction of features from made-up clips."""
    config, clips = flags.read(BenchmarkConfig), flags.read(ClipConfig)
    settings = dataclasses.asdict(config) | dataclasses.asdict(clips)
    _report(command, settings, lambda path: measure_extraction(clips, config, path))


def _report(command, settings, measure):
    """Measures in an empty directory, prints and writes the figures."""
    logging.set_verbosity(logging.WARNING)  # no lines of the runs that are measured
    output = settings["output_file"]
    if output:
        require_writable(output, "--output_file")
        globs = split_paths(settings.get("data_pattern", ""))
        read = itertools.chain.from_iterable(map(find_files, globs))
        require_other_file(output, "--output_file", read)
    with tempfile.TemporaryDirectory() as directory:
        report = measure(directory)
    if output:
        figures = [{**dataclasses.asdict(f), "ratio": f.ratio} for f in report.figures]
        values = {"benchmark": command, "settings": settings, "figures": figures}
        _write_json(output, values | report.facts)
    print(format_table(report))


def _measure_suite(command):
    """Measures the rows of the speed table, prints and writes their ratios."""
    if not FLAGS.output_file:
        raise UserError("--output_file is empty; name the file to write the ratios to")
    given = [f"--{n}={FLAGS[n].value}" for n in ("seconds", "repetitions")]
    ratios = suite.measure(given, FLAGS.row or suite.ROWS)
    _write_json(FLAGS.output_file, {"settings": given, "ratios": ratios})
    rows = [(r, f, _show(v)) for r, found in ratios.items() for f, v in found.items()]
    print("\n".join(aligned([("row", "figure", "ratio"), *rows], numbers=(2,))))


def _compare(command, *paths):
    """Prints two suites side by side. Exits with 1 if a ratio fell too far."""
    if len(paths) != 2:
        raise UserError("compare: name two files, before and after")
    before, after = map(suite.read, paths)
    rows, fallen = [("row", "figure", "before", "after", "")], 0
    kept = 1 - FLAGS.tolerance
    for row in before | after:
        old, new = before.get(row, {}), after.get(row, {})
        for figure in old | new:
            was, now = old.get(figure), new.get(figure)
            fell = was is not None and (now is None or now < was * kept)
            rows.append((row, figure, _show(was), _show(now), "fell" if fell else ""))
            fallen += fell
    print("\n".join(aligned(rows, numbers=(2, 3))))
    if fallen:
        raise UserError(
            f"{paths[1]}: {fallen} of {len(rows) - 1} ratios fell by more than "
            f"--tolerance={FLAGS.tolerance:g}"
        )


def _set_defaults(command):
    """The features of YouTube-8M, and frames where only the input is measured."""
    if command in ("input", "inspect_data"):
        FLAGS.set_default("frame_features", True)
    if not FLAGS["feature_names"].present and not FLAGS["feature_sizes"].present:
        names = "rgb,audio" if FLAGS.frame_features else "mean_rgb,mean_audio"
        FLAGS.set_default("feature_names", names)
        FLAGS.set_default("feature_sizes", "1024,128")


def format_table(report: Report) -> str:
    """The figures in aligned columns, the facts below."""
    rows = [("figure", "value", "", "limit", "", "ratio")]
    for f in report.figures:
        value, limit, ratio = map(_show, (f.value, f.limit, f.ratio))
        rows.append((f.name, value, f.unit, limit, f.limit_name, ratio))
    facts = [f"{k.replace('_', ' ')}: {_show(v)}" for k, v in report.facts.items()]
    return "\n".join(aligned(rows, numbers=(1, 3, 5)) + facts)


def _show(value) -> str:
    """Three significant digits, or whole numbers with commas."""
    if value is None or isinstance(value, str):
        return value or ""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _write_json(path, values):
    with replacing(path, "--output_file") as file:
        file.write(json.dumps(values, indent=2) + "\n")


if __name__ == "__main__":
    cli.run(main)
