"""Writes the descriptors of a trained model as video-level records.

    python -m youtube8m.tools.extract_descriptors --train_dir=frame_model \\
        --input_data_pattern='train*.tfrecord' --output_dir=descriptors/train
    python train.py --model=HierarchicalMoeModel --feature_names=descriptor \\
        --feature_sizes=1152 --train_data_pattern='descriptors/train/*.tfrecord' ...

A descriptor is the input of the model's classifier, or what a model without one
computes of a video, such as CrossModalAutoencoder. This is the first stage of Tang et
al. 2017; the second trains on such records (its feature is called `plstm` there), which
train.py L2-normalises as it does all features.
"""

import dataclasses
import glob
import os

import tensorflow as tf
from absl import logging

from youtube8m import cli
from youtube8m.cli import flags
from youtube8m.config import DataConfig
from youtube8m.config.fields import NEEDED, flag
from youtube8m.config.trained_run import CHECKPOINT_HELP, TrainedRunConfig
from youtube8m.data.reading.order import batched
from youtube8m.data.writing.records import video_example, write_records
from youtube8m.errors import UserError
from youtube8m.prediction.predictor import TrainedRun
from youtube8m.util.files import local_path
from youtube8m.util.progress import Progress
from youtube8m.util.text import decode_id


@dataclasses.dataclass(frozen=True)
class ExtractionConfig(TrainedRunConfig):
    """What is read, and how it is written."""

    train_dir: str = flag("", "Directory that train.py wrote.", NEEDED)
    input_data_pattern: str = flag("", "Glob of the records to read.", NEEDED)
    output_dir: str = flag("", "Directory of the records to write.", NEEDED)
    feature_name: str = flag("descriptor", "What to call the feature.")
    checkpoint: str = flag("", CHECKPOINT_HELP)
    labels: bool = flag(True, "Whether the records have labels.")
    batch_size: int = flag(512, "Videos at once.")
    shard_size: int = flag(4096, "Videos per file written.")


flags.define(ExtractionConfig)
flags.define_run_flags(DataConfig)


def main() -> None:
    """Reads the flags and extracts. Those of the model come from model_flags.json."""
    config = flags.read(ExtractionConfig)
    directory = _make_empty_directory(config.output_dir)
    trained = TrainedRun(config.train_dir, config.hyperparameters, predicts=False)
    flags.warn_differing(trained.run)
    total, shards = 0, batched(_make_examples(trained, config), config.shard_size)
    for number, shard in enumerate(shards):
        path = os.path.join(directory, f"descriptors{number:05d}.tfrecord")
        write_records(path, shard)
        total += len(shard)
    logging.info("wrote the descriptors of %d videos to %s", total, directory)


def _make_empty_directory(path):
    # Shards of an earlier call would be read along with the new ones.
    directory = local_path(path, "--output_dir")
    try:
        os.makedirs(directory, exist_ok=True)
    except OSError as error:
        message = f"--output_dir={path}: cannot be made ({error.strerror})"
        raise UserError(message) from None
    if glob.glob("descriptors*.tfrecord", root_dir=directory):
        raise UserError(
            f"--output_dir={path}: holds descriptors already; remove them or name "
            "another directory"
        )
    return directory


def _make_examples(trained, config):
    """The records to write, in the order of those read."""
    trained.load_checkpoint(config.checkpoint)
    shards = trained.open_shards(
        config.input_data_pattern, "--input_data_pattern", labels=config.labels
    )
    done = 0
    with Progress("extracting", shards.estimated_records) as progress:
        for batch in shards.iterate(shards.ordered_batches(config.batch_size)):
            descriptors = _compute_descriptors(trained, batch)
            if not done:
                logging.info("--feature_sizes=%d", descriptors.shape[-1])
            yield from _make_records(batch, descriptors, config.feature_name)
            done += len(descriptors)
            progress.update(done)
    shards.damage.warn_of_lost("and have no descriptors")


def _compute_descriptors(trained, batch):
    """float32 [B, H]; those of several verticals side by side."""
    descriptor = trained.predict(batch)["descriptor"]
    if isinstance(descriptor, (list, tuple)):
        descriptor = tf.concat(descriptor, axis=-1)
    if descriptor.shape.rank != 2:
        raise UserError(
            f"--train_dir: {trained.run.model.model} has a descriptor for each frame, "
            "none for the video; choose another model"
        )
    return tf.cast(descriptor, tf.float32).numpy()


def _make_records(batch, descriptors, feature_name):
    names, labels = batch["id"].numpy(), [None] * len(descriptors)
    if "labels" in batch:
        labels = [row[row >= 0].tolist() for row in batch["labels"].numpy()]
    for name, ids, values in zip(names, labels, descriptors, strict=True):
        features = {feature_name: values}
        yield video_example(decode_id(name), ids, features)


if __name__ == "__main__":
    cli.run(main)
