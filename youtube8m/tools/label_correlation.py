"""Counts which labels occur together, for models with label correlation.

python -m youtube8m.tools.label_correlation --train_data_pattern='train*.tfrecord' \\
    --num_classes=3862 --output_file=label_counts.npy
python train.py --label_correlation_file=label_counts.npy \\
    --label_processing=LabelCorrelation ...
"""

import dataclasses

from absl import logging

from youtube8m import cli
from youtube8m.cli import flags
from youtube8m.config import DataConfig
from youtube8m.config.data import KeysConfig
from youtube8m.config.fields import NEEDED, flag, require_unread
from youtube8m.data.labels.cooccurrence import CooccurrenceCounts
from youtube8m.data.labels.video_labels import read_labels


@dataclasses.dataclass(frozen=True)
class CountConfig(KeysConfig):
    """What is counted, and where it goes."""

    train_data_pattern: str = flag(
        "", "Glob of the labelled shards, frame-level or video-level.", NEEDED
    )
    output_file: str = flag("", "The .npy file to write.", NEEDED)
    num_classes: int = flag(DataConfig.num_classes, "Number of classes.")


flags.define(CountConfig)


def main() -> None:
    """Reads all records once and writes the counts."""
    config = flags.read(CountConfig)
    data = (config.train_data_pattern, "--train_data_pattern")
    require_unread(config, ["output_file"], ["train_data_pattern"])
    labels = read_labels(*data, config.num_classes, config)
    counts = CooccurrenceCounts(config.num_classes)
    counts.update(labels.values())
    counts.save(config.output_file, "--output_file")
    logging.info("counted the labels of %d videos: %s", len(labels), config.output_file)


if __name__ == "__main__":
    cli.run(main)
