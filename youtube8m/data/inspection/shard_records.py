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
from youtube8m.data.reading import messages, tfrecord
from youtube8m.data.reading.tensorflow_pipeline import compression_of
from youtube8m.data.reading.tfrecord import FOOTER, HEADER, Location, RecordReader
from youtube8m.errors import UserError, reason

_BLOCK = 1 << 20  # bytes
_HEADERS = 4096  # whose lengths are remembered
_SMALL = 16 << 10  # bytes of a message that is copied: bytes are cut faster than views

# (number in the file, where its header begins, the message)
_Found = tuple[int, int, messages.Buffer]


def records_of(path: str, problems: Problems) -> Iterator[_Found]:
    """Yields each sound record of a file; lists the others."""
    kind = compression_of(path)
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
    index, lengths = 0, _Lengths()
    try:
        with open(path, "rb", buffering=0) as file:
            blocks = _Blocks(file)
            while blocks.load(HEADER):
                header = blocks.view[blocks.at : blocks.at + HEADER]
                length = lengths[header.tobytes()]
                if length < 0 or not blocks.load(HEADER + length + FOOTER):
                    return blocks.offset
                # As many records as are in the block, the first one included.
                array, view, end, at = blocks.array, blocks.view, blocks.end, blocks.at
                begin = blocks.offset - at
                while at + HEADER <= end:
                    length = lengths[view[at : at + HEADER].tobytes()]
                    start, stop = at + HEADER, at + HEADER + length
                    if length < 0 or stop + FOOTER > end:
                        break
                    footer = view[stop : stop + FOOTER]
                    if length <= _SMALL:
                        message = checked = view[start:stop].tobytes()
                    else:
                        message, checked = view[start:stop], array[start:stop]
                    if tfrecord.is_sound(checked, footer):
                        yield index, begin + at, message
                    else:
                        what = f"record {index} at byte {begin + at} is damaged"
                        problems.record(path, what)
                    at, index = stop + FOOTER, index + 1
                blocks.at = at
            return blocks.offset if blocks.load(1) or not index else None
    except OSError as error:
        problems.unreadable(path, error)
        return None


class _Lengths(dict):
    """Header -> length of its message, -1 if it is unsound; lengths come again."""

    def __missing__(self, header):
        length = tfrecord.sound_length(header)
        if len(self) < _HEADERS:
            self[header] = length
        return length


class _Blocks:
    """A file that is read from its start to its end, a block at a time.

    Attributes:
      array, view: the block; both are of the same memory.
      at, end: where the reader is in the block, and where what is read ends.
    """

    def __init__(self, file):
        self._file = file
        self._begin = self.at = self.end = 0  # of the block in the file, and in memory
        self._use(np.empty(_BLOCK, np.uint8))

    def _use(self, array):
        self.array, self.view = array, memoryview(array)

    @property
    def offset(self):
        """Where the reader is in the file."""
        return self._begin + self.at

    def load(self, size):
        """Loads `size` bytes from here on; returns whether there are so many."""
        if self.at + size <= self.end:
            return True
        if self.offset + size > os.fstat(self._file.fileno()).st_size:
            return False
        old, rest = self.view[self.at : self.end], self.end - self.at
        self._begin += self.at
        if size > len(self.array):
            self._use(np.empty(size * 5 // 4, np.uint8))
        self.view[:rest] = old
        self.at, self.end = 0, rest
        while self.end < size and (got := self._file.readinto(self.view[self.end :])):
            self.end += got
        return self.end >= size


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
