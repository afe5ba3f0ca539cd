"""Counts which labels occur together, for models with label correlation.

python -m youtube8m.tools.label_correlation --train_data_pattern='train*.tfrecord' \
    --num_classes=3862 --output_file=label_counts.npy
python train.py --label_correlation_file=label_counts.npy \
    --label_processing=LabelCorrelation ...
"""

from youtube8m import cli

if __name__ == "__main__":
    cli.run("youtube8m.tools.label_correlation")

from absl import flags as absl_flags
from absl import logging

from youtube8m import flags
from youtube8m.config import DataConfig
from youtube8m.data.cooccurrence import CooccurrenceCounts
from youtube8m.data.pipeline import Shards
from youtube8m.errors import UserError
from youtube8m.progress import Progress

flags.define(DataConfig)
absl_flags.DEFINE_string("train_data_pattern", "", "Glob of the labelled shards.")
absl_flags.DEFINE_string("output_file", "", "The .npy file to write.")

_BATCH = 1024


def main() -> None:
    """Reads all records once and writes the counts."""
    values = absl_flags.FLAGS
    for name in ("train_data_pattern", "output_file"):
        if not values[name].value:
            raise UserError(f"--{name} is empty; {values[name].help}")
    config = flags.read(DataConfig)
    shards = Shards.open(values.train_data_pattern, "--train_data_pattern", config)
    counts, done = CooccurrenceCounts(config.num_classes), 0
    with Progress("counting", shards.estimated_records) as progress:
        for batch in shards.iterate(shards.ordered_batches(_BATCH)):
            counts.update(batch["labels"].numpy())
            done += len(batch["id"])
            progress.update(done)
    counts.save(values.output_file, "--output_file")
    logging.info("counted the labels of %d videos: %s", done, values.output_file)
