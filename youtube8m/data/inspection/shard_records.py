"""The records of a shard from its first byte to its last, compressed or not.

    for index, offset, record in records_of("train0000.tfrecord", problems): ...

`offset` counts bytes of what was compressed. A record must be used before the next one
is read.
"""

import os
from collections.abc import Iterator

import tensorflow as tf

from youtube8m.data.inspection.problems import Problems
from youtube8m.data.reading import tfrecord
from youtube8m.data.reading.tensorflow_pipeline import compression
from youtube8m.data.reading.tfrecord import FOOTER, HEADER, Location, RecordReader
from youtube8m.errors import UserError, reason


def records_of(
    path: str, problems: Problems
) -> Iterator[tuple[int, int, tfrecord.Buffer]]:
    """Yields (index, offset, record) of each sound record; lists the others."""
    kind = compression(path)
    if kind:
        yield from _compressed(path, kind.decode(), problems)
        return
    try:
        with RecordReader([path], problems) as reader:
            for index, offset, length in tfrecord.walk(path, problems):
                record = reader.read(Location(0, 0, 0, index, offset, length))
                if record is not None:
                    yield index, offset, record
    except UserError as error:
        problems.file(path, error)


def _compressed(path, kind, problems):
    offset = index = 0
    records = tf.data.TFRecordDataset(os.fsencode(path), kind)
    try:
        for index, record in enumerate(records.as_numpy_iterator()):
            yield index, offset, record
            offset += HEADER + len(record) + FOOTER
    except tf.errors.OpError as error:
        what = f"record {index + bool(offset)} at byte {offset} cannot be read"
        problems.record(path, f"{what} ({reason(error)}); nothing behind it is read")


def record_at(path: str, offset: int) -> bytes:
    """The record at an offset of `records_of`; b"" if it is gone."""
    for _, found, record in records_of(path, Problems()):
        if found == offset:
            return bytes(record)
    return b""
