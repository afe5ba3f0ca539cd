"""Writes the predictions of a run: a Kaggle CSV, or JSON lines or Parquet with names.

    python inference.py --train_dir=... --input_data_pattern='test*.tfrecord' \\
        --output_file=kaggle_solution.csv
    python inference.py --train_dir=... --input_data_pattern='test*.tfrecord' \\
        --output_file=predictions.parquet --vocabulary_file=vocabulary.csv --names

--vocabulary_file=FILE is a CSV of the classes, as the data set's vocabulary.csv. With
it, JSON lines and Parquet hold the names and verticals of labels; --names needs it.
"""

from absl.flags import DEFINE_alias

from youtube8m import cli
from youtube8m.cli import flags
from youtube8m.config import DataConfig
from youtube8m.prediction.config import InferenceConfig
from youtube8m.prediction.inference import Inference

flags.define(InferenceConfig)
flags.define_run_flags(DataConfig)
DEFINE_alias("segment_label_ids", "segment_label_ids_file")


def main() -> None:
    """Reads the flags and predicts. The model's own come from model_flags.json."""
    config = flags.read(InferenceConfig)
    inference = Inference(config)
    for member in inference.members:
        flags.warn_differing(member.run)
    inference.run()


if __name__ == "__main__":
    cli.run(main)
