"""Evaluates the checkpoints that train.py wrote.

python eval.py --train_dir=... --eval_data_pattern='validate*.tfrecord' --run_once
python eval.py ... --report_dir=report --vocabulary_file=vocabulary.csv
"""

from youtube8m import cli
from youtube8m.cli import flags
from youtube8m.config import DataConfig
from youtube8m.evaluation.config import EvaluationConfig
from youtube8m.evaluation.evaluator import Evaluator
from youtube8m.reports.evaluation_report import EvaluationReport

flags.define(EvaluationConfig)
flags.define_run_flags(DataConfig)


def main() -> None:
    """Reads the flags and evaluates. The model's own come from model_flags.json."""
    config = flags.read(EvaluationConfig)
    evaluator = Evaluator(config)
    flags.warn_differing(evaluator.trained.run)
    if config.report_dir:
        paths = evaluator.shards.paths
        evaluator.report = EvaluationReport(config, evaluator.trained, paths)
    evaluator.run()


if __name__ == "__main__":
    cli.run(main)
