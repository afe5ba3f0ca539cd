"""Writes the report of a run: an HTML page with charts, and the tables behind them.

    python -m youtube8m.tools.report --train_dir=run \\
        --eval_data_pattern='validate*.tfrecord' --vocabulary_file=vocabulary.csv
    python -m youtube8m.tools.report --train_dir=first,second \\
        --eval_data_pattern='validate*.tfrecord'
    python -m youtube8m.tools.report --train_dir=run --watch

The first evaluates the newest checkpoint, and writes run/report/report.html and CSV
files. The second compares runs on the same records, in the report of the first. Without
--eval_data_pattern the report shows the training alone; --watch serves that to a
browser on this machine, and follows the training.
"""

import contextlib
import dataclasses
import functools

from absl import logging

from youtube8m import cli
from youtube8m.cli import flags
from youtube8m.config import DataConfig
from youtube8m.config.fields import NEEDED, NOT_NEGATIVE, flag, require
from youtube8m.config.trained_run import CHECKPOINT_HELP, TrainedRunConfig
from youtube8m.errors import UserError
from youtube8m.evaluation.config import EvaluationConfig
from youtube8m.evaluation.evaluator import Evaluator
from youtube8m.prediction.predictor import load_run
from youtube8m.reports import comparison, training, watching
from youtube8m.reports.evaluation_report import FILE, Classes, EvaluationReport
from youtube8m.reports.pages import require_report
from youtube8m.runs.checkpoint_files import step_of
from youtube8m.runs.directory import RunDirectory
from youtube8m.util.files import split_paths


@dataclasses.dataclass(frozen=True)
class ReportConfig(TrainedRunConfig):
    """What is reported, and where."""

    train_dir: str = flag(
        "",
        "Directory that train.py wrote; or several, comma-separated, to compare them "
        "with the first.",
        NEEDED,
    )
    eval_data_pattern: str = flag(
        "",
        "Glob of the labelled shards to evaluate on; without it the training alone is "
        "reported.",
    )
    report_dir: str = flag(
        "", "Directory to write into; default: report in the (first) --train_dir."
    )
    watch: bool = flag(
        False, "Serve the report of the training at 127.0.0.1 until Ctrl-C."
    )
    port: int = flag(0, "Port of --watch; default: one that is free.", NOT_NEGATIVE)
    segment_labels: bool = flag(False, "Evaluate the rated segments of the records.")
    checkpoint: str = flag("", CHECKPOINT_HELP)
    batch_size: int = flag(EvaluationConfig.batch_size, "Examples evaluated at once.")
    top_k: int = flag(EvaluationConfig.top_k, "Predictions per video that count.")
    vocabulary_file: str = ""

    def __post_init__(self):
        super().__post_init__()
        several = len(split_paths(self.train_dir)) > 1
        require(
            not several or bool(self.eval_data_pattern),
            f"--train_dir={self.train_dir}: runs are compared on records; give "
            "--eval_data_pattern",
        )
        require(
            not (self.watch and (several or self.eval_data_pattern)),
            "--watch follows the training of one run; drop --eval_data_pattern",
        )


flags.define(ReportConfig)
flags.define_run_flags(DataConfig)


def main() -> None:
    """Reads the flags, and writes or serves the report."""
    report(flags.read(ReportConfig))


def report(config: ReportConfig) -> None:
    """Writes the report of an evaluation, a comparison or a training, or serves it.

    Raises UserError if a run or the records cannot be used.
    """
    directories = [RunDirectory(path) for path in split_paths(config.train_dir)]
    if config.watch:
        return _watch(config, directories[0])
    folder = config.report_dir or directories[0].file("report")
    if len(directories) > 1:
        return _compare(config, directories, folder)
    if not config.eval_data_pattern:
        path = require_report(folder, FILE, "--report_dir")
        path, *_ = training.page(directories[0]).write(path, "--report_dir")
        return logging.info("wrote %s", path)
    evaluation = _evaluation(config, config.train_dir, folder)
    evaluator = Evaluator(evaluation)
    flags.warn_differing(evaluator.trained.run)
    paths = evaluator.shards.paths
    evaluator.report = EvaluationReport(evaluation, evaluator.trained, paths)
    evaluator.run()


def _evaluation(config, train_dir, folder=""):
    """How a run is evaluated."""
    names = {f.name for f in dataclasses.fields(EvaluationConfig)}
    values = {f.name: getattr(config, f.name) for f in dataclasses.fields(config)}
    values = {name: value for name, value in values.items() if name in names}
    values |= {"train_dir": train_dir, "report_dir": folder}
    return EvaluationConfig(**values, run_once=True, keep_best=0)


def _watch(config, directory):
    """Serves the curves of a run until Ctrl-C."""
    make_page = functools.partial(training.page, directory)
    state = functools.partial(training.state, directory)
    with watching.served(make_page, state, config.port) as server:
        logging.info(
            "%s shows the training in %s; Ctrl-C ends it",
            watching.address(server),
            directory.path,
        )
        with contextlib.suppress(KeyboardInterrupt):
            server.serve_forever()


def _compare(config, directories, folder):
    """Evaluates each run on the same records, and writes what differs."""
    path = require_report(folder, FILE, "--report_dir")
    runs = [load_run(each, config.hyperparameters) for each in directories]
    names = comparison.short_names([each.path for each in directories])
    counts = [run.data.num_classes for run in runs]
    comparison.require_same_classes(names, counts)
    classes = Classes(runs[0], config.vocabulary_file)
    # An error now, not after the first run.
    steps = [step_of(each.checkpoint(config.checkpoint)) for each in directories]
    evaluated, curves = [], {}
    for name, each in zip(names, directories, strict=True):
        logging.info("evaluating %s", each.path)
        evaluator = Evaluator(_evaluation(config, each.path))
        evaluator.report = comparison.Recorder(name, counts[0], config.top_k)
        evaluator.run()
        evaluated.append(evaluator.report.evaluated)
        with contextlib.suppress(UserError):  # runs of the starter code have none
            curves[name] = training.read_metrics(each)
    found = comparison.compare(evaluated)
    facts = {
        name: f"{each.path}, step {step}"
        for name, each, step in zip(names, directories, steps, strict=True)
    }
    facts |= {"Data": f"{config.eval_data_pattern} ({found.examples:,} examples)"}
    page = comparison.page(found, classes.names, curves, facts)
    page.write(path, "--report_dir")
    for sentence in found.sentences():
        logging.info("%s", sentence)
    logging.info("wrote %s", path)


if __name__ == "__main__":
    cli.run(main)
