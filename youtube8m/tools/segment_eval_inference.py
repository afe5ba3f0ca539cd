"""Measures a segment CSV, as inference.py --segment_labels writes it: mAP@K.

python -m youtube8m.tools.segment_eval_inference --submission_file=segments.csv \\
    --eval_data_pattern='validate*.tfrecord' --label_cache=ratings.txt --top_n=100000

The ratings are read from the shards once, and from --label_cache from then on.
"""

import dataclasses

from absl import logging

from youtube8m import cli
from youtube8m.cli import flags
from youtube8m.config import DataConfig
from youtube8m.config.data import IdConfig
from youtube8m.config.fields import NEEDED, NOT_NEGATIVE, flag, require_given
from youtube8m.data.labels.ratings import read_ratings
from youtube8m.errors import UserError
from youtube8m.evaluation import segments
from youtube8m.prediction.submission import SEGMENT_HEADER, Submission
from youtube8m.util.files import local_path


@dataclasses.dataclass(frozen=True)
class MeasureConfig(IdConfig):
    """What is measured, and on which ratings."""

    eval_data_pattern: str = flag(
        "",
        "Glob of the shards with rated segments; may be left out where --label_cache "
        "exists.",
    )
    label_cache: str = flag(
        "", "Local file of the ratings; written if it does not exist, read if it does."
    )
    submission_file: str = flag("", "The segment CSV; a header is optional.", NEEDED)
    top_n: int = flag(0, "Segments of each class that count; 0: all.", NOT_NEGATIVE)
    num_classes: int = flag(DataConfig.num_classes, "Number of classes.")

    def __post_init__(self):
        super().__post_init__()
        if not self.label_cache:
            require_given(self, "eval_data_pattern")


flags.define(MeasureConfig)


def main() -> None:
    """Reads the ratings and the CSV and prints the mean average precision."""
    config = flags.read(MeasureConfig)
    path = local_path(config.submission_file, "--submission_file")
    submission = Submission(path, config.num_classes)
    submission.require_merged()
    if submission.header != SEGMENT_HEADER:
        raise UserError(
            f"--submission_file={path}: lists videos; give a CSV of segments "
            f"({SEGMENT_HEADER.strip()}), or measure it with python -m "
            "youtube8m.tools.ensemble score"
        )
    ratings = read_ratings(
        config.eval_data_pattern,
        "--eval_data_pattern",
        config.num_classes,
        config.label_cache,
        config.id_key,
    )
    score = segments.evaluate(submission, ratings, config.top_n or None)
    print(f"Num classes: {score.num_listed} | mAP@{config.top_n}: {score.map:.6f}")
    if score.num_missing:
        logging.warning(
            "classes with present segments that the file does not list: %d; they are "
            "left out of the mean, and counted as 0 they make it %.6f",
            score.num_missing,
            score.map_of_all,
        )


if __name__ == "__main__":
    cli.run(main)
