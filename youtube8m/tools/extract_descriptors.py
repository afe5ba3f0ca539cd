"""Writes what a trained model's classifier is given as video-level records.

    python -m youtube8m.tools.extract_descriptors --train_dir=frame_model \\
        --input_data_pattern='train*.tfrecord' --output_dir=descriptors/train
    python train.py --model=HierarchicalMoeModel --feature_names=descriptor \\
        --feature_sizes=1152 --train_data_pattern='descriptors/train/*.tfrecord' ...

The first stage of Tang et al. 2017, whose second trains on such records (under the
name `plstm` there), which train.py L2-normalises as it does all features.
"""

from youtube8m import cli

if __name__ == "__main__":
    cli.run("youtube8m.tools.extract_descriptors")

import glob
import os

import tensorflow as tf
from absl import flags, logging

from youtube8m.data.examples import video_example, write_records
from youtube8m.data.order import batched
from youtube8m.errors import UserError
from youtube8m.files import local_path
from youtube8m.prediction import TrainedRun
from youtube8m.progress import Progress
from youtube8m.training.distribution import allow_memory_growth

flags.DEFINE_string("train_dir", "", "Directory that train.py wrote.")
flags.DEFINE_string("input_data_pattern", "", "Glob of the records to read.")
flags.DEFINE_string("output_dir", "", "Directory of the records to write.")
flags.DEFINE_string("feature_name", "descriptor", "What to call the feature.")
flags.DEFINE_string(
    "checkpoint", "", "Checkpoint to use (model.ckpt-STEP); else the newest."
)
flags.DEFINE_boolean("labels", True, "Whether the records have labels.")
flags.DEFINE_integer("batch_size", 512, "Videos at once.")
flags.DEFINE_integer("shard_size", 4096, "Videos per file written.")

_REQUIRED = ("train_dir", "input_data_pattern", "output_dir")


def main() -> None:
    """Runs the model over all records."""
    values = flags.FLAGS
    for name in _REQUIRED:
        if not values[name].value:
            raise UserError(f"--{name} is empty; {values[name].help}")
    for name in ("batch_size", "shard_size"):
        if values[name].value < 1:
            raise UserError(f"--{name}={values[name].value}: must be greater than 0")
    allow_memory_growth()
    directory = _empty_directory(values.output_dir)
    examples = _examples(TrainedRun(values.train_dir))
    total = 0
    for number, shard in enumerate(batched(examples, values.shard_size)):
        path = os.path.join(directory, f"descriptors{number:05d}.tfrecord")
        write_records(path, shard)
        total += len(shard)
    logging.info("wrote the descriptors of %d videos to %s", total, directory)


def _empty_directory(path):
    """Made if missing. Shards of an earlier call would be read along with the new."""
    directory = local_path(path, "--output_dir")
    try:
        os.makedirs(directory, exist_ok=True)
    except OSError as error:
        message = f"--output_dir={path}: cannot be made ({error.strerror})"
        raise UserError(message) from None
    if glob.glob(os.path.join(glob.escape(directory), "descriptors*.tfrecord")):
        raise UserError(
            f"--output_dir={path}: holds descriptors already; remove them or name "
            "another directory"
        )
    return directory


def _examples(trained):
    """The records to write, in the order of those read."""
    values = flags.FLAGS
    trained.load_checkpoint(values.checkpoint)
    shards = trained.open_shards(
        values.input_data_pattern, "--input_data_pattern", labels=values.labels
    )
    done, announced = 0, False
    with Progress("extracting", shards.estimated_records) as progress:
        for batch in shards.iterate(shards.ordered_batches(values.batch_size)):
            descriptors = _descriptors(trained, batch)
            if not announced:
                announced = True
                logging.info("--feature_sizes=%d", descriptors.shape[-1])
            yield from _records(batch, descriptors)
            done += len(descriptors)
            progress.update(done)
    shards.damage.warn_of_lost("and have no descriptors")


def _descriptors(trained, batch):
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


def _records(batch, descriptors):
    labels = batch["labels"].numpy() if "labels" in batch else None
    for row, (name, values) in enumerate(
        zip(batch["id"].numpy(), descriptors, strict=True)
    ):
        ids = None if labels is None else labels[row][labels[row] >= 0].tolist()
        feature = {flags.FLAGS.feature_name: values}
        yield video_example(name.decode("utf-8", "replace"), ids, feature)
