"""Writes the report of a run: an HTML page with charts, and the tables behind them.

    python -m youtube8m.tools.report --train_dir=run \\
        --eval_data_pattern='validate*.tfrecord' --vocabulary_file=vocabulary.csv

evaluates the newest checkpoint, and writes run/report/report.html and CSV files.
"""

import dataclasses

from youtube8m import cli
from youtube8m.cli import flags
from youtube8m.config import DataConfig
from youtube8m.config.fields import NEEDED, flag
from youtube8m.config.trained_run import CHECKPOINT_HELP, TrainedRunConfig
from youtube8m.evaluation.config import EvaluationConfig
from youtube8m.evaluation.evaluator import Evaluator
from youtube8m.reports.evaluation_report import EvaluationReport
from youtube8m.runs.directory import RunDirectory


@dataclasses.dataclass(frozen=True)
class ReportConfig(TrainedRunConfig):
    """What is reported, and where."""

    train_dir: str = flag("", "Directory that train.py wrote.", NEEDED)
    eval_data_pattern: str = flag(
        "", "Glob of the labelled shards to evaluate on.", NEEDED
    )
    report_dir: str = flag(
        "", "Directory to write into; default: report in --train_dir."
    )
    segment_labels: bool = flag(False, "Evaluate the rated segments of the records.")
    checkpoint: str = flag("", CHECKPOINT_HELP)
    batch_size: int = flag(EvaluationConfig.batch_size, "Examples evaluated at once.")
    top_k: int = flag(EvaluationConfig.top_k, "Predictions per video that count.")
    vocabulary_file: str = ""


flags.define(ReportConfig)
flags.define_run_flags(DataConfig)


def main() -> None:
    """Reads the flags, evaluates and writes the report."""
    config = flags.read(ReportConfig)
    values = {f.name: getattr(config, f.name) for f in dataclasses.fields(config)}
    directory = config.report_dir or RunDirectory(config.train_dir).file("report")
    values["report_dir"] = directory
    evaluation = EvaluationConfig(**values, run_once=True, keep_best=0)
    evaluator = Evaluator(evaluation)
    flags.warn_differing(evaluator.trained.run)
    paths = evaluator.shards.paths
    evaluator.report = EvaluationReport(evaluation, evaluator.trained, paths)
    evaluator.run()


if __name__ == "__main__":
    cli.run(main)
