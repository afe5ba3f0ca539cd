"""The records of a shard from its first byte to its last, compressed or not.

    for index, offset, record in records_of("train0000.tfrecord", problems): ...

`offset` counts bytes of what was compressed. A record must be used before the next one
is read. Files are read in blocks, which takes half of the time that single records
take.
"""

import os
from collections.abc import Iterator

import numpy as np
import tensorflow as tf

from youtube8m.data.inspection.problems import Problems
from youtube8m.data.reading import tfrecord
from youtube8m.data.reading.tensorflow_pipeline import compression
from youtube8m.data.reading.tfrecord import FOOTER, HEADER, Location, RecordReader
from youtube8m.errors import UserError, reason

_BLOCK = 1 << 20  # bytes

# (number in the file, where its header begins, the message)
_Found = tuple[int, int, tfrecord.Buffer]


def records_of(path: str, problems: Problems) -> Iterator[_Found]:
    """Yields each sound record of a file; lists the others."""
    kind = compression(path)
    if kind:
        yield from _compressed(path, kind.decode(), problems)
        return
    offset = 0
    try:
        if os.path.isfile(path):
            offset = yield from _whole(path, problems)
        if offset is not None:
            yield from _damaged(path, problems, offset)
    except UserError as error:
        if "is compressed" not in str(error):  # but a shortage of files or memory
            raise
        problems.file(path, error)


def _whole(path, problems):
    """Yields the records up to the first unsound header; returns where that is.

    Returns None at the end of the file, and 0 of an empty one.
    """
    index = 0
    try:
        with open(path, "rb", buffering=0) as file:
            blocks = _Blocks(file)
            while len(header := blocks.peek(HEADER)):
                length = tfrecord.sound_length(header.tobytes())
                size = HEADER + length + FOOTER
                if length < 0 or not blocks.holds(size):
                    return blocks.offset
                record = blocks.peek(size)
                message, footer = record[HEADER:-FOOTER], record[-FOOTER:].tobytes()
                if tfrecord.is_sound(message, footer):
                    yield index, blocks.offset, memoryview(message)
                else:
                    what = f"record {index} at byte {blocks.offset} is damaged"
                    problems.record(path, what)
                blocks.at += size
                index += 1
    except OSError as error:
        problems.unreadable(path, error)
        return None
    return None if index else 0


class _Blocks:
    """A file that is read from its start to its end, a block at a time.

    Attributes:
      at: where the reader is in the block.
    """

    def __init__(self, file):
        self._file = file
        self._buffer = np.empty(_BLOCK, np.uint8)
        self._begin = self._end = self.at = 0  # of the block in the file, and in memory

    @property
    def offset(self):
        """Where the reader is in the file."""
        return self._begin + self.at

    def holds(self, size):
        """Whether there are so many bytes from here on."""
        if self.at + size <= self._end:
            return True
        return self.offset + size <= os.fstat(self._file.fileno()).st_size

    def peek(self, size):
        """The next `size` bytes, fewer at the end; valid until the next call."""
        if self.at + size > self._end:
            self._fill(size)
        return self._buffer[self.at : min(self.at + size, self._end)]

    def _fill(self, size):
        """Moves what is left to the start of the buffer and reads what follows."""
        rest, target = self._end - self.at, self._buffer
        if size > len(target):
            target = np.empty(size * 5 // 4, np.uint8)
        target[:rest] = self._buffer[self.at : self._end]
        self._begin, self._buffer = self.offset, target
        self.at, self._end = 0, rest
        while self._end < size and (got := self._file.readinto(target[self._end :])):
            self._end += got


def _damaged(path, problems, start):
    """Yields the records that begin at `start` or behind it."""
    with RecordReader([path], problems) as reader:
        for index, offset, length in tfrecord.walk(path, problems, start):
            record = reader.read(Location(0, 0, 0, index, offset, length))
            if record is not None:
                yield index, offset, record


def _compressed(path, kind, problems):
    offset = index = 0
    records = tf.data.TFRecordDataset(os.fsencode(path), kind)
    try:
        for record in records.as_numpy_iterator():
            yield index, offset, record
            index, offset = index + 1, offset + HEADER + len(record) + FOOTER
    except tf.errors.OpError as error:
        what = f"record {index} at byte {offset} cannot be read ({reason(error)})"
        problems.record(path, f"{what}; nothing behind it is read")


def record_at(path: str, offset: int) -> bytes:
    """The record at an offset of `records_of`; b"" if it is gone."""
    for _, found, record in records_of(path, Problems()):
        if found == offset:
            return bytes(record)
    return b""
