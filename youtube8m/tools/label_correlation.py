"""Counts which labels occur together, for models with label correlation.

python -m youtube8m.tools.label_correlation --train_data_pattern='train*.tfrecord' \
    --num_classes=3862 --output_file=label_counts.npy
python train.py --label_correlation_file=label_counts.npy \
    --label_processing=LabelCorrelation ...
"""

from youtube8m import cli

if __name__ == "__main__":
    cli.run("youtube8m.tools.label_correlation")

from absl import flags, logging

from youtube8m import schema
from youtube8m.data.cooccurrence import CooccurrenceCounts
from youtube8m.data.labels import read_labels
from youtube8m.errors import UserError

flags.DEFINE_string(
    "train_data_pattern", "", "Glob of the labelled shards, frame-level or video-level."
)
flags.DEFINE_string("output_file", "", "The .npy file to write.")
flags.DEFINE_integer("num_classes", schema.NUM_CLASSES_2018, "Number of classes.")


def main() -> None:
    """Reads all records once and writes the counts."""
    values = flags.FLAGS
    for name in ("train_data_pattern", "output_file"):
        if not values[name].value:
            raise UserError(f"--{name} is empty; {values[name].help}")
    labels = read_labels(
        values.train_data_pattern, "--train_data_pattern", values.num_classes
    )
    counts = CooccurrenceCounts(values.num_classes)
    counts.update(labels.values())
    counts.save(values.output_file, "--output_file")
    logging.info("counted the labels of %d videos: %s", len(labels), values.output_file)
