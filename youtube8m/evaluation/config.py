"""The flags of eval.py."""

import dataclasses

from youtube8m.config.fields import NEEDED, NOT_NEGATIVE, flag, require
from youtube8m.config.trained_run import CHECKPOINT_HELP, PartConfig, TrainedRunConfig


@dataclasses.dataclass(frozen=True)
class EvaluationConfig(TrainedRunConfig, PartConfig):
    """How a run's checkpoints are evaluated."""

    train_dir: str = flag("/tmp/yt8m_model/", "Directory that train.py wrote.", NEEDED)
    eval_data_pattern: str = flag(
        "",
        "Glob of the labelled shards, 'val*.tfrecord', or several, comma-separated.",
        NEEDED,
    )
    segment_labels: bool = flag(False, "Evaluate the rated segments of the records.")
    batch_size: int = flag(1024, "Examples evaluated at once.")
    num_readers: int = flag(8, "Shards read side by side.")
    checkpoint: str = flag("", CHECKPOINT_HELP)
    run_once: bool = flag(
        False, "Evaluate the newest checkpoint and end; else follow new ones."
    )
    top_k: int = flag(20, "Predictions per video that enter GAP and mAP.")
    keep_best: int = flag(
        1,
        "Checkpoints kept in --train_dir/best, those with the highest GAP on the same "
        "shards; with --num_shards none is kept.",
        NOT_NEGATIVE,
    )
    class_metrics_file: str = flag(
        "", "CSV to write: the videos and the average precision of each class."
    )
    report_dir: str = flag(
        "",
        "Directory to write report.html into, with charts and the tables behind them "
        "as CSV files; --vocabulary_file names the classes.",
    )
    vocabulary_file: str = ""
    metrics_file: str = flag(
        "", "File to write for tools.merge_shards: the metrics of a part of the data."
    )

    def __post_init__(self):
        super().__post_init__()
        follows = not (self.run_once or self.checkpoint)
        require(
            self.num_shards == 1 or (bool(self.metrics_file) and not follows),
            f"--num_shards={self.num_shards}: give --metrics_file, to be merged by "
            "tools.merge_shards, and --run_once or --checkpoint",
        )
        for name in ("class_metrics_file", "report_dir"):
            require(
                self.num_shards == 1 or not getattr(self, name),
                f"--{name}={getattr(self, name)}: needs all data; evaluate without "
                f"--num_shards={self.num_shards}",
            )
