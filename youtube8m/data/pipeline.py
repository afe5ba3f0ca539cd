"""Globs to batches: the tf.data pipelines of training, evaluation and inference.

    shards = Shards.open("/data/train*.tfrecord", "--train_data_pattern", data_config)
    for batch in shards.training_batches(batch_size=128, seed=0, num_epochs=5): ...
    for batch in shards.ordered_batches(batch_size=512): ...

Batches are the dicts of `records`, as tensors. Bytes stay bytes and labels stay ids
until they reach the device. Training batches also carry `position` int64 [2]: the
epoch and the number of its records consumed, from which an interrupted run goes on.
The order of the data is a function of the files, seed, epoch, number of readers and
shuffle buffer.
"""

import ctypes
import dataclasses
import functools
import hashlib
import os
import sys
from collections.abc import Iterator

import tensorflow as tf

from youtube8m.config import DataConfig, split_list
from youtube8m.data import records, sampling, shards
from youtube8m.data.damage import Damage
from youtube8m.errors import UserError

_SHUFFLE_BYTES = 1 << 30
_SHUFFLE_BATCHES = 5  # as the starter code's queue
_PROBED_RECORDS = 8


@dataclasses.dataclass
class Shards:
    """A set of shards of one format, checked to hold what the config says."""

    paths: list[str]
    config: DataConfig
    damage: Damage
    labels: bool
    record_bytes: int  # mean size of the first records
    total_bytes: int

    @classmethod
    def open(
        cls,
        pattern: str,
        flag: str,
        config: DataConfig,
        labels: bool = True,
        strict: bool = False,
    ) -> "Shards":
        """Finds the files and checks the first records that each glob finds.

        Raises:
          UserError: no file matches, the files are no TFRecords, or none of the
            first records has the features, sizes and labels that are expected.
        """
        globs = [shards.find_shards(glob, flag) for glob in split_list(pattern)]
        probed = [record for found in globs for record in _probe(found, config, labels)]
        paths = list(dict.fromkeys(path for found in globs for path in found))
        mean = sum(map(len, probed)) // len(probed)
        total = sum(tf.io.gfile.stat(path).length for path in paths)
        return cls(paths, config, Damage(strict), labels, mean, total)

    @property
    def estimated_records(self) -> int:
        """Records in all shards, guessed from their sizes; for progress bars."""
        return max(1, round(self.total_bytes / (self.record_bytes + 16)))

    def default_buffer(self, batch_size: int) -> int:
        """Records to shuffle among: a few batches, if they fit in 1 GiB."""
        within_memory = _SHUFFLE_BYTES // self.record_bytes
        return max(1, min(batch_size * _SHUFFLE_BATCHES, within_memory))

    def fingerprint(self) -> str:
        """A digest of the shards' names, wherever they lie."""
        names = "/".join(map(os.path.basename, self.paths))
        return hashlib.sha256(names.encode()).hexdigest()

    def training_batches(
        self,
        batch_size: int,
        seed: int,
        num_epochs: int,
        start: tuple[int, int] = (0, 0),
        num_readers: int = 8,
        shuffle_buffer: int | None = None,
    ) -> tf.data.Dataset:
        """Shuffled batches over `num_epochs`, crossing from one into the next.

        Args:
          start: `position` of the last batch already consumed; what lies before is
            read but not decoded.
        """
        buffer = shuffle_buffer or self.default_buffer(batch_size)

        def epoch_records(epoch):
            # A global seed would enter the order, and shuffle cannot add it to ours.
            tf.compat.v1.get_default_graph().seed = None
            order = tf.random.experimental.stateless_shuffle(
                tf.range(len(self.paths), dtype=tf.int64), tf.stack([seed, epoch])
            )
            found = self._read(num_readers, order, epoch)
            # The seed must differ between epochs, and shuffle takes just one number.
            mixed = found.shuffle(
                buffer,
                seed=tf.constant(seed, tf.int64) * 1_000_003 + epoch,
                reshuffle_each_iteration=False,
            )
            return mixed.skip(tf.where(epoch == start[0], start[1], 0))

        start = tf.constant(start, tf.int64)
        epochs = tf.data.Dataset.range(start[0], num_epochs)
        batches = epochs.flat_map(epoch_records).batch(batch_size)
        located = batches.scan(start, _advance)
        return self._decoded(located, seed=seed)

    def ordered_batches(
        self,
        batch_size: int,
        num_readers: int = 1,
        crop_starts: tuple[int, ...] = (),
    ) -> tf.data.Dataset:
        """Every record once; with one reader in the order of the files.

        Args:
          crop_starts: where crops of each record start, which lie side by side in a
            batch of so many times `batch_size`; default --crop_start alone.
        """
        found = self._read(num_readers)
        decoded = self._decoded(found.batch(batch_size), crop_starts=crop_starts)
        if self.config.segment_labels:
            decoded = _rebatched(decoded, batch_size)
        return decoded

    def _read(self, num_readers, order=None, epoch=0):
        return shards.read_shards(
            self.paths, num_readers, self.damage, order, epoch, self.record_bytes
        )

    def _decoded(self, batches, seed=None, crop_starts=()):
        """Decodes batches of (origins, serialized[, position]).

        With a seed, frames are drawn by it and the records' origins: anew in each
        epoch, and again the same when a run is resumed.
        """
        _keep_freed_memory()
        decoder = records.decoder_for(
            self.config, self.labels, self.damage, crop_starts
        )
        names, signature = zip(
            *records.batch_signature(decoder.empty()).items(), strict=True
        )
        types = [spec.dtype for spec in signature]

        def decode(origins, serialized):
            _, files, indices = shards.unpack_origin(origins)
            draws = None if seed is None else sampling.draws(seed, origins)
            batch = decoder.decode(self.paths, files, indices, serialized, draws)
            return [batch[name] for name in names]

        def to_batch(origins, serialized, position=None):
            values = tf.numpy_function(decode, [origins, serialized], types)
            for value, spec in zip(values, signature, strict=True):
                value.set_shape(spec.shape)
            batch = dict(zip(names, values, strict=True))
            return batch if position is None else {**batch, "position": position}

        decoded = batches.prefetch(1).map(
            to_batch, num_parallel_calls=1, deterministic=True
        )
        return decoded.filter(lambda batch: tf.size(batch["id"]) > 0).prefetch(2)

    def iterate(self, dataset: tf.data.Dataset) -> Iterator[dict]:
        """Iterates, raising the pipeline's errors as what they are.

        Raises:
          UserError: a record contradicts the flags, or is damaged in strict mode.
        """
        iterator = iter(dataset)
        try:
            while True:
                try:
                    batch = next(iterator, None)
                except tf.errors.OpError:
                    self.damage.check()
                    raise
                if batch is None or self.damage.strict:
                    self.damage.check()
                if batch is None:
                    return
                yield batch
        finally:
            # Here, as an exception would keep it until the interpreter goes, where
            # it waits for Python functions that cannot run any more.
            del iterator


def _advance(position, batch):
    """scan: adds to each batch the position [epoch, records consumed] behind it."""
    origins, serialized = batch
    epochs, _, _ = shards.unpack_origin(origins)
    epoch = epochs[-1]
    consumed = tf.math.count_nonzero(epochs == epoch)
    consumed += tf.where(position[0] == epoch, position[1], 0)
    position = tf.stack([epoch, consumed])
    return position, (origins, serialized, position)


def _rebatched(batches, batch_size):
    """Examples of records that hold several, in batches of `batch_size`."""
    padding = {"labels": -1, "rated": -1}
    examples = batches.unbatch()
    spec = examples.element_spec
    values = {
        name: tf.constant(padding.get(name, "" if s.dtype == tf.string else 0), s.dtype)
        for name, s in spec.items()
    }
    shapes = {name: s.shape for name, s in spec.items()}
    return examples.padded_batch(batch_size, shapes, values)


def _probe(paths, config, labels):
    """The first records, at least one of which must decode.

    The first file that has any record decides; damage is left to the pipeline.
    """
    problem = None
    for path in paths:
        probed = []
        try:
            for record in tf.data.TFRecordDataset(path).take(_PROBED_RECORDS):
                probed.append(record.numpy())
        except tf.errors.DataLossError:
            problem = problem or UserError(
                f"{path}: not a TFRecord file (or damaged at its start); expected the "
                "shards of YouTube-8M or AudioSet, or files written alike"
            )
        except tf.errors.OpError as error:
            raise UserError(f"{path}: cannot be read ({error.message})") from None
        if probed:
            _check_records(path, probed, config, labels)
            return probed
    raise problem or UserError(f"{paths[0]}: holds no records, nor does any other file")


def _check_records(path, probed, config, labels):
    decoder = records.decoder_for(config, labels, Damage())
    problem = None
    for index, record in enumerate(probed):
        try:
            decoder.parse(record)
            return
        except (records.RecordError, UserError) as error:
            problem = problem or UserError(f"{path}: record {index} {error}")
    raise problem


@functools.cache
def _keep_freed_memory():
    """Tells glibc to keep freed buffers instead of returning them to the system.

    A batch of full-size videos is 40 MB; mapped and unmapped for each batch, its
    page faults cost more than decoding it. 32 MiB is the largest threshold allowed.
    """
    if sys.platform.startswith("linux") and "MALLOC_MMAP_THRESHOLD_" not in os.environ:
        mmap_threshold, trim_threshold = -3, -1
        libc = ctypes.CDLL(None)
        if hasattr(libc, "mallopt"):
            libc.mallopt(mmap_threshold, 32 << 20)
            libc.mallopt(trim_threshold, 1 << 30)
