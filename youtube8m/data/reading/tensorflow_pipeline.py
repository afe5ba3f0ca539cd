"""The plain tf.data pipeline: --input_pipeline=tfrecord.

    shards = TensorFlowShards.open("train*.tfrecord", "--train_data_pattern", data)
    for batch in shards.iterate(shards.training_batches(128, seed=0, num_epochs=5)): ...

    files -> interleave(TFRecordDataset) -> shuffle -> map(parse) -> padded_batch

It makes the same batches of the same records as `pipeline.Shards`, with TensorFlow's
reading, shuffling and parsing throughout. docs/input.md says what differs. The order
and the frames that are drawn are functions of the files, seed, epoch, number of readers
and shuffle buffer.
"""

import dataclasses
import os
import re

import tensorflow as tf

from youtube8m import schema
from youtube8m.config import DataConfig
from youtube8m.data.reading import (
    frame_decoding,
    messages,
    order,
    parsing_ops,
    tfrecord,
)
from youtube8m.data.reading.batch import pad_examples, share_examples
from youtube8m.data.reading.damage import Damage
from youtube8m.data.reading.pipeline import START, WHOLE, Shards
from youtube8m.errors import UserError, reason

_UNREADABLE = (
    tf.errors.DataLossError,
    tf.errors.InvalidArgumentError,
    tf.errors.NotFoundError,
    tf.errors.PermissionDeniedError,
    tf.errors.FailedPreconditionError,
)
# What TensorFlow writes around its own words, and around those of an assertion.
_WRAPPING = re.compile(
    r"\{\{.*?\}\} |Error in user-defined function.*?: Iterator::\S+: | \[Op:.*"
    r"|assertion failed: \[|\](?: \[.*)?$"
)


class TensorFlowShards(Shards):
    """Shards that are read by tf.data alone.

    Damage is not counted: the first damaged record raises a UserError.
    """

    @classmethod
    def open(cls, *args, **kwargs) -> Shards:
        """As `Shards.open`. Raises UserError for released crops, too.

        Float32 values are parsed as they are stored in the first record: as bytes or
        as float lists.
        """
        shards = super().open(*args, **kwargs)
        shards.config = shards.with_float_lists()
        if shards.config.released_crops:
            raise UserError(
                "--input_pipeline=tfrecord: does not crop as the released code does; "
                "give --input_pipeline=reader"
            )
        return shards

    def with_float_lists(self) -> DataConfig:
        """The config, with float_list or float32 as the first record says."""
        for path in self.paths if self.config.frame_features else ():
            for record in self.first_records(path, Damage(strict=True), 1):
                return self._as_stored(record)
        return self.config

    def _as_stored(self, record):
        context, feature_lists = messages.split_sequence_example(record)
        stored = []
        for feature in self.config.features:
            found = feature_lists if feature.per_frame else context
            span = found.get(feature.name, (0, 0))
            as_list = frame_decoding.is_float_list(record, feature, span)
            stored.append(schema.FLOAT_LIST if as_list else feature.dtype)
        return dataclasses.replace(self.config, feature_dtypes=tuple(stored))

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
        """As `Shards.training_batches`; each worker parses all and keeps its share."""
        buffer = shuffle_buffer or self.default_buffer(batch_size)
        first_epoch, done, examples_done = map(int, start)

        @tf.autograph.experimental.do_not_convert
        def records_of(epoch):
            """(epoch, number in it, record) of those that are not consumed yet."""
            # For this graph: the order must not depend on the process's seed.
            tf.random.set_seed(1)
            seeds = tf.random.stateless_uniform(
                [2], [seed, epoch], maxval=tf.int64.max, dtype=tf.int64
            )
            files = tf.data.Dataset.from_tensor_slices(_as_bytes(self.paths))
            files = files.shuffle(len(self.paths), seeds[0])
            records = _read(files, num_readers).shuffle(buffer, seeds[1]).enumerate()
            records = records.skip(done * tf.cast(epoch == first_epoch, tf.int64))
            return records.map(lambda number, record: (epoch, number, record))

        @tf.autograph.experimental.do_not_convert
        def parse(epoch, number, record):
            own_seed = tf.random.fold_in(tf.stack([seed, epoch]), number)
            examples = self._parse(record, seed=own_seed)
            count = tf.size(examples["id"], tf.int64)
            if self.segments:
                position = [epoch, number, tf.range(count) + 1]
            else:
                position = [epoch, number + 1, tf.constant(0, tf.int64)]
            columns = [tf.broadcast_to(column, [count]) for column in position]
            return {**examples, "position": tf.stack(columns, axis=1)}

        records = tf.data.Dataset.range(first_epoch, num_epochs).flat_map(records_of)
        examples = self._examples(records, parse).skip(examples_done)
        batches = share_examples(examples, batch_size, worker, least_rows)
        return batches.prefetch(tf.data.AUTOTUNE)

    def ordered_batches(
        self,
        batch_size: int,
        num_readers: int = 1,
        crop_starts: tuple[int, ...] = (),
        part: tuple[int, int] = WHOLE,
    ) -> tf.data.Dataset:
        """As `Shards.ordered_batches`; but each `part` is whole files."""
        starts = crop_starts or (self.config.crop_start,)
        paths = self.paths[order.share(len(self.paths), *part)]
        names = tf.constant(_as_bytes(paths), tf.string)
        files = tf.data.Dataset.from_tensor_slices(names)
        examples = self._examples(
            _read(files, num_readers),
            lambda record: self._parse(record, starts=starts),
            several=len(starts) > 1,
        )
        batches = pad_examples(examples, batch_size * len(starts))
        return batches.prefetch(tf.data.AUTOTUNE)

    def _examples(self, records, parse, several=False):
        """The examples of `records`, which `parse` makes batches of."""
        if several or self.segments:
            return records.map(parse, tf.data.AUTOTUNE).unbatch()

        @tf.autograph.experimental.do_not_convert
        def parse_one(*record):
            return {name: values[0] for name, values in parse(*record).items()}

        return records.map(parse_one, tf.data.AUTOTUNE)

    def _parse(self, record, seed=None, starts=None):
        """A batch of the examples of one record: of each start, or rated segment."""
        if self.segments:
            return parsing_ops.parse_segments(self.config, record)
        batch = record[None] if starts is None else tf.repeat(record, len(starts))
        return parsing_ops.parse_records(self.config, batch, self.labels, seed, starts)

    def iterate(self, dataset: tf.data.Dataset):
        """As `Shards.iterate`; any damage raises a UserError."""
        try:
            yield from super().iterate(dataset)
        except _UNREADABLE as error:
            raise self._unreadable(_WRAPPING.sub("", reason(error))) from None

    def _unreadable(self, what):
        """The error of a record that is damaged, or of the file that holds it."""
        packed = {path: compression_of(path).decode().lower() for path in self.paths}
        packed = {path: kind for path, kind in packed.items() if kind}
        for path, kind in packed.items():
            if fault := tfrecord.fault_of_packed(path):
                return UserError(
                    f"{path}: is compressed ({kind}) and {fault}: {what}; copy or "
                    "download it again"
                )
        first = "decompress the shards: then " if packed else ""
        return UserError(
            f"--input_pipeline=tfrecord: {what}; tf.data ends here; {first}"
            "--input_pipeline=reader names the record, and leaves damaged ones out"
        )

    @staticmethod
    def first_records(path: str, damage: Damage, count: int) -> list[bytes]:
        """As `Shards.first_records`."""
        records = []
        files = tf.data.Dataset.from_tensors(os.fsencode(path))
        try:
            records.extend(_read(files, 1).take(count).as_numpy_iterator())
        except _UNREADABLE as error:
            damage.record(path, _WRAPPING.sub("", reason(error)))
        return records


def _as_bytes(paths):
    """Names as TensorFlow takes them, whether they are UTF-8 or not."""
    return list(map(os.fsencode, paths))


def _read(files, num_readers):
    """The serialised records of files, of which `num_readers` at a time take turns."""

    def records_in(path):
        kind = tf.numpy_function(compression_of, [path], tf.string)
        return tf.data.TFRecordDataset(path, tf.ensure_shape(kind, []))

    return files.interleave(
        records_in, cycle_length=num_readers, num_parallel_calls=num_readers
    )


def compression_of(path: str | bytes) -> bytes:
    """How a file is compressed, by its first bytes, as TFRecordDataset names it."""
    start = tfrecord.first_bytes(os.fsdecode(path))
    return tfrecord.compression(start).encode()


def open_shards(input_pipeline: str, *args, **kwargs) -> Shards:
    """`Shards.open`, to be read as --input_pipeline says: by reader or tfrecord."""
    kind = {"reader": Shards, "tfrecord": TensorFlowShards}[input_pipeline]
    return kind.open(*args, **kwargs)
