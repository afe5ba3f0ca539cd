"""Measures a segment CSV, as inference.py --segment_labels writes it: mAP@K.

python -m youtube8m.tools.segment_eval_inference --submission_file=segments.csv \
    --eval_data_pattern='validate*.tfrecord' --label_cache=ratings.csv --top_n=100000

The ratings are read from the shards once, and from --label_cache from then on.
"""

from youtube8m import cli

if __name__ == "__main__":
    cli.run("youtube8m.tools.segment_eval_inference")

from absl import flags, logging

from youtube8m import segment_evaluation
from youtube8m.config import DataConfig
from youtube8m.data.ratings import read_ratings
from youtube8m.errors import UserError
from youtube8m.files import local_path
from youtube8m.submission import SEGMENT_HEADER, Submission

FLAGS = flags.FLAGS

flags.DEFINE_string(
    "eval_data_pattern",
    "",
    "Glob of the shards with rated segments; may be left out where --label_cache "
    "exists.",
)
flags.DEFINE_string(
    "label_cache",
    "",
    "Local file of the ratings; written if it does not exist, read if it does.",
)
flags.DEFINE_string("submission_file", "", "The segment CSV; a header is optional.")
flags.DEFINE_integer("top_n", 0, "Segments of each class that count; 0: all.")
flags.DEFINE_integer("num_classes", DataConfig.num_classes, "Number of classes.")


def main() -> None:
    """Reads the ratings and the CSV and prints the mean average precision."""
    if not FLAGS.submission_file:
        raise UserError("--submission_file is empty; give the segment CSV to measure")
    if not (FLAGS.eval_data_pattern or FLAGS.label_cache):
        raise UserError(
            "--eval_data_pattern is empty; give a glob such as "
            "'/data/validate*.tfrecord', or a --label_cache"
        )
    if FLAGS.top_n < 0:
        raise UserError(f"--top_n={FLAGS.top_n}: must not be negative; 0 means all")
    path = local_path(FLAGS.submission_file, "--submission_file")
    submission = Submission(path, FLAGS.num_classes)
    if submission.header != SEGMENT_HEADER:
        raise UserError(
            f"--submission_file={path}: lists videos; give a CSV of segments "
            f"({SEGMENT_HEADER.strip()}), or measure it with python -m "
            "youtube8m.tools.ensemble score"
        )
    ratings = read_ratings(
        FLAGS.eval_data_pattern,
        "--eval_data_pattern",
        FLAGS.num_classes,
        FLAGS.label_cache,
    )
    _report(segment_evaluation.evaluate(submission, ratings, FLAGS.top_n or None))


def _report(score):
    print(f"Num classes: {score.num_listed} | mAP@{FLAGS.top_n}: {score.map:.6f}")
    if score.num_missing:
        logging.warning(
            "classes with present segments that the file does not list: %d; they are "
            "left out of the mean, and counted as 0 they make it %.6f",
            score.num_missing,
            score.map_of_all,
        )
