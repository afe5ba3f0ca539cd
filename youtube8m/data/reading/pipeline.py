"""Globs to batches: the tf.data pipelines of training, evaluation and inference.

    shards = Shards.open("/data/train*.tfrecord", "--train_data_pattern", data_config)
    batches = shards.training_batches(batch_size=128, seed=0, num_epochs=5)
    batches = shards.ordered_batches(batch_size=512)
    for batch in shards.iterate(batches): ...

Batches are those of `batch`, as tensors. The `position` int64 [3] of a training batch,
from which an interrupted run goes on, is the epoch, the number of its records that are
consumed, and the number of consumed examples of the next record.

The headers of records alone decide which records make a batch; then several batches are
read and decoded side by side. docs/input.md says what follows for the order of the
data, for runs that are resumed and for workers.
"""

import atexit
import contextlib
import dataclasses
import functools
import hashlib
import itertools
import math
import os
import re
import traceback
import weakref
from collections.abc import Iterator

import numpy as np
import tensorflow as tf

from youtube8m.config import DataConfig
from youtube8m.data.reading import frame_sampling, order, shard_files, tfrecord
from youtube8m.data.reading.batch import (
    pad_examples,
    record_signature,
    share_examples,
    without_position,
)
from youtube8m.data.reading.damage import Damage
from youtube8m.data.reading.decoding import Decoder
from youtube8m.data.reading.first_records import probe
from youtube8m.data.reading.frame_decoding import FrameDecoder
from youtube8m.data.reading.released_crops import ReleasedCropDecoder
from youtube8m.data.reading.segment_decoding import SegmentDecoder
from youtube8m.data.reading.tfrecord import Location
from youtube8m.data.reading.video_decoding import VideoDecoder
from youtube8m.errors import UserError

# Batches decoded side by side: more than four wait for Python's lock.
_DECODERS = max(1, min((os.cpu_count() or 1) // 2, 4))
_FILE_BITS, _INDEX_BITS = 20, 28  # of a record's number; the other bits are its epoch
_COUNTED_RECORDS = 2_000

START = (0, 0, 0)  # the position of a run that begins
WHOLE = (0, 1)  # (index, count) of the only part

_LOCATIONS = Location(*[tf.TensorSpec([None], tf.int64)] * len(Location._fields))
_PLAN = (_LOCATIONS, tf.TensorSpec([len(START)], tf.int64))  # records, position
_ITERATIONS: weakref.WeakSet[Iterator] = weakref.WeakSet()


def decoder_for(
    config: DataConfig,
    labels: bool,
    damage: Damage,
    crop_starts: tuple[int, ...] = (),
    segments: bool = False,
    ids: re.Pattern[bytes] | None = None,
) -> Decoder:
    """The decoder of the records that `config` describes, or of their segments.

    Args:
      ids: what the ids of usable records match, as a whole; None: any id.
    """
    if segments:
        return SegmentDecoder(config, labels, damage, ids)
    if not config.frame_features:
        return VideoDecoder(config, labels, damage, ids)
    kind = ReleasedCropDecoder if config.released_crops else FrameDecoder
    return kind(config, labels, damage, ids, crop_starts=crop_starts)


@dataclasses.dataclass
class Shards:
    """A set of shards of one format, checked to hold what the config says."""

    paths: list[str]
    config: DataConfig
    damage: Damage
    labels: bool
    segments: bool
    record_bytes: int  # mean size of the first records
    record_examples: float  # in the mean, of those that decode
    file_bytes: list[int]
    ids: re.Pattern[bytes] | None = None

    @classmethod
    def open(
        cls,
        pattern: str,
        flag: str,
        config: DataConfig,
        labels: bool = True,
        strict: bool = False,
        segments: bool = False,
        ids: re.Pattern[bytes] | None = None,
    ) -> "Shards":
        """Finds the files and checks the first records that each glob finds.

        Args:
          labels: whether examples have labels.
          strict: whether the first record that cannot be read ends the run.
          segments: whether examples are the rated segments of the records.
          ids: what the ids of usable records match; None: any id.

        Raises UserError if no file matches, the files are no TFRecords, or none of the
        first records has the features, sizes and labels that are expected.
        """
        if segments:
            config = config.of_segments()
        decoder = decoder_for(config, labels, Damage(), (), segments, ids)
        globs = shard_files.find_by_glob(pattern, flag)
        paths = shard_files.distinct(itertools.chain(*globs))
        sizes, examples = [], []
        for found in globs:
            records, counts = probe(found, decoder, cls.first_records)
            sizes += map(len, records)
            examples += counts
        if not sizes:
            raise UserError(f"{paths[0]}: holds no records, nor does any other file")
        size, mean = sum(sizes) // len(sizes), sum(examples) / len(examples)
        file_bytes = [shard_files.count_bytes(path) for path in paths]
        damage = Damage(strict)
        return cls(paths, config, damage, labels, segments, size, mean, file_bytes, ids)

    @staticmethod
    def first_records(path: str, damage: Damage, count: int) -> list[bytes]:
        """The first sound records of a file, by which `open` checks it."""
        found = itertools.islice(tfrecord.read_records(path, damage), count)
        return [record for _, record in found]

    @functools.cached_property
    def estimated_records(self) -> int:
        """Records in all shards, for progress bars: the first 2,000 are counted.

        By their headers, each of which takes a request in a remote store: not there.
        """
        found = counted_bytes = 0
        for path, size in zip(self.paths, self.file_bytes, strict=False):
            if "://" in path:
                break
            with contextlib.suppress(UserError):  # it is compressed
                for _, offset, _ in tfrecord.walk(path, Damage(strict=True)):
                    found += 1
                    if found == _COUNTED_RECORDS:
                        rest = sum(self.file_bytes) / max(1, counted_bytes + offset)
                        return round(found * rest)
            counted_bytes += size
        return found or max(1, sum(self.file_bytes) // (self.record_bytes + 16))

    @property
    def estimated_examples(self) -> int:
        """Examples in all shards; a record may have several rated segments."""
        return max(1, round(self.estimated_records * self.record_examples))

    @staticmethod
    def default_buffer(batch_size: int) -> int:
        """Records to shuffle among: five batches, as in the starter code's queue."""
        return 5 * batch_size

    def fingerprint(self) -> str:
        """A digest of the shards' names, in any directory."""
        names = "/".join(map(os.path.basename, self.paths))
        return hashlib.sha256(os.fsencode(names)).hexdigest()

    def training_batches(
        self,
        batch_size: int,
        seed: int,
        num_epochs: int,
        start: tuple[int, int, int] = START,
        num_readers: int = 8,
        shuffle_buffer: int | None = None,
        worker: tuple[int, int] = WHOLE,
        least_rows: int = 1,
    ) -> tf.data.Dataset:
        """Shuffled batches over `num_epochs`; one may have examples of two epochs.

        Args:
          batch_size: examples of a batch, over all workers.
          start: `position` of the last batch that is consumed.
          worker: (index, count): which of `count` workers this is; each gets an even
            share of the examples of each batch.
          least_rows: a last batch with fewer, over all workers, is left out.
        """
        buffer = shuffle_buffer or self.default_buffer(batch_size)

        def locations():
            first, done, _ = map(int, start)
            for epoch in range(first, num_epochs):
                found = self._shuffle(epoch, seed, num_readers, buffer)
                yield from itertools.islice(found, done if epoch == first else 0, None)

        if self.segments:
            examples = self._load(locations, batch_size, seed=seed).unbatch()
            examples = examples.skip(start[2])
            return share_examples(examples, batch_size, worker, least_rows)
        batches = self._load(locations, batch_size, seed, worker, least_rows)
        return batches.prefetch(1)

    def ordered_batches(
        self,
        batch_size: int,
        num_readers: int = 1,
        crop_starts: tuple[int, ...] = (),
        part: tuple[int, int] = WHOLE,
    ) -> tf.data.Dataset:
        """Every record once; with one reader in the order of the files.

        Args:
          crop_starts: where crops of each record start, which are side by side in a
            batch of as many times `batch_size`; default --crop_start alone.
          part: (index, count): only records that begin in this one of `count` equal
            parts of all bytes. The parts in their order make the whole.
        """

        def locations():
            walks = (self._walk(file, part=part) for file in range(len(self.paths)))
            return order.in_turns(walks, num_readers)

        batches = self._load(locations, batch_size, starts=crop_starts)
        if self.segments:
            batches = pad_examples(batches.unbatch(), batch_size)
        plain = tf.autograph.experimental.do_not_convert(without_position)
        return batches.map(plain).prefetch(1)

    def _shuffle(self, epoch, seed, num_readers, buffer):
        of_files, of_records = frame_sampling.draws(seed, [2 * epoch, 2 * epoch + 1])
        files = order.permutation(len(self.paths), int(of_files))
        walks = (self._walk(file, epoch) for file in files)
        mixed = order.in_turns(walks, num_readers)
        mixed = order.shuffled(mixed, buffer, int(of_records))
        for number, location in enumerate(mixed):
            yield location._replace(number=number)

    def _walk(self, file, epoch=0, part=WHOLE):
        """Yields the locations of one file's records that are in the part."""
        start, stop = 0, math.inf  # files may have grown since they were found
        if part != WHOLE:
            before = sum(self.file_bytes[:file])
            wanted = order.share(sum(self.file_bytes), *part)
            start, stop = wanted.start - before, wanted.stop - before
            if start >= self.file_bytes[file] or stop <= 0:
                return
        for found in tfrecord.walk(self.paths[file], self.damage, start, stop):
            yield Location(epoch, 0, file, *found)

    def _load(
        self, locations, batch_size, seed=None, worker=WHOLE, least_rows=1, starts=()
    ):
        """Batches of the records at `locations`, a function that yields them.

        With a seed, frames are drawn by it and each record's epoch, file and index: a
        run that is resumed draws the same again.
        """
        config, labels, segments = self.config, self.labels, self.segments
        decoder = decoder_for(config, labels, self.damage, starts, segments, self.ids)
        signature = record_signature(config, labels, segments)

        def plan():
            for batch in order.batched(locations(), batch_size):
                last, share = batch[-1], order.share(len(batch), *worker)
                if len(batch) >= least_rows:
                    own = Location(*np.array(batch[share]).T)
                    yield own, (last.epoch, last.number + 1, 0)

        def load(*columns):
            found = Location(*columns)
            batch = self._decode(decoder, found, seed)
            if worker != WHOLE and not len(batch["id"]):
                # The other workers wait for this one to take part in the step.
                what = "a worker's part of a batch holds damaged records only"
                error = UserError(f"{self.paths[found.file[0]]}: {what}")
                self.damage.fail(error)
                raise error
            return [batch[name] for name in signature]

        @tf.autograph.experimental.do_not_convert
        def to_batch(found, position):
            types = [spec.dtype for spec in signature.values()]
            values = tf.numpy_function(load, [*found], types)
            batch = {"position": position}
            for (name, spec), value in zip(signature.items(), values, strict=True):
                batch[name] = tf.ensure_shape(value, spec.shape)
            return batch

        planned = tf.data.Dataset.from_generator(plan, output_signature=_PLAN)
        # No prefetch between: at each header it would contend for Python's lock.
        loaded = planned.map(to_batch, _DECODERS, deterministic=True)
        return loaded.filter(lambda batch: tf.size(batch["id"]) > 0)

    def _decode(self, decoder, columns, seed):
        """Reads and decodes the records at a Location of arrays [B]."""
        numbers = columns.epoch << _FILE_BITS | columns.file
        numbers = numbers << _INDEX_BITS | columns.index
        draws = None if seed is None else frame_sampling.draws(seed, numbers)
        locations = list(map(Location, *(column.tolist() for column in columns)))
        with tfrecord.RecordReader(self.paths, self.damage) as reader:
            records = map(reader.read, locations)
            try:
                return decoder.decode(self.paths, locations, records, draws)
            except MemoryError as error:
                self.damage.unreadable(self.paths[locations[0].file], error)
                raise

    def iterate(self, dataset: tf.data.Dataset) -> Iterator[dict]:
        """Yields the batches of a dataset.

        Raises UserError if a record contradicts the flags, or is damaged in strict
        mode.
        """
        batches = self._iterate(dataset)
        _ITERATIONS.add(batches)
        return batches

    def _iterate(self, dataset):
        try:
            for batch in dataset:
                if self.damage.strict:
                    self.damage.check()
                yield batch
        except tf.errors.OpError as error:
            # The frames of an uncaught exception's traceback, and with them the
            # iterator, would live on when the interpreter shuts down.
            traceback.clear_frames(error.__traceback__)
            self.damage.check()
            raise
        self.damage.check()


@atexit.register
def close_all() -> None:
    """Ends all iterations that were begun and not finished.

    An iterator that lives on when the interpreter shuts down would hang the process: it
    waits for its Python functions, which cannot run any more.
    """
    for batches in list(_ITERATIONS):
        with contextlib.suppress(ValueError):  # it is running in another thread
            batches.close()
