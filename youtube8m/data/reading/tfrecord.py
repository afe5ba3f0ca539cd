"""TFRecord files: finding them, finding their records, outliving damage.

    paths = find_shards("/data/train*.tfrecord, /data/validate*.tfrecord", "--flag")
    for index, offset, length in walk(path, damage): ...     # headers alone
    with RecordReader(paths, damage) as reader:
        data = reader.read(location)                         # bytes, or None

A TFRecord is: length (8 bytes), its masked CRC-32C (4), data, the data's CRC (4).
Walking from header to header costs next to nothing, so that records can be dealt,
shuffled and skipped before any is read. Both sums of what is read are checked; behind
damage the next sound header is searched for.
"""

import contextlib
import hashlib
import io
import math
import os
import struct
from collections.abc import Iterator
from typing import NamedTuple

import google_crc32c
import numpy as np
import tensorflow as tf

from youtube8m.config.fields import split_list
from youtube8m.data.reading.damage import Damage
from youtube8m.errors import UserError, reason

HEADER, FOOTER = 12, 4  # bytes around the data
_SEARCH_BLOCK = 4 << 20


class Location(NamedTuple):
    """Where a record lies, and which one of its epoch it is; of several, arrays [B]."""

    epoch: int
    number: int  # of the record in the order of its epoch
    file: int  # its position in the list of shards
    index: int  # of the record in its file
    offset: int  # of its header in the file, in bytes
    length: int  # of its data, in bytes


def find_shards(pattern: str, flag: str) -> list[str]:
    """The files that comma-separated globs match, sorted within each glob.

    Raises:
      UserError: a glob matches nothing, or there is none.
    """
    paths: list[str] = []
    globs = split_list(pattern)
    if not globs:
        raise UserError(f"{flag}={pattern}: names no file; give a glob")
    for glob in globs:
        glob = os.path.expanduser(glob)
        found = sorted(p for p in tf.io.gfile.glob(glob) if not tf.io.gfile.isdir(p))
        if not found:
            raise UserError(
                f"{flag}={glob}: no file matches; check the path, and quote the glob "
                "so that the shell does not expand it"
            )
        paths.extend(found)
    return list(dict.fromkeys(paths))


def file_size(path: str) -> int:
    """Bytes of a file; 0 of one that cannot be read, which reading it will report."""
    try:
        return tf.io.gfile.stat(path).length
    except tf.errors.OpError:
        return 0


def digest(paths: list[str]) -> str:
    """Of the files' names and sizes, in any order and wherever they lie."""
    facts = [(os.path.basename(path), file_size(path)) for path in sorted(paths)]
    return hashlib.sha256(repr(facts).encode()).hexdigest()


def walk(
    path: str, damage: Damage, start: float = 0, stop: float = math.inf
) -> Iterator[tuple[int, int, int]]:
    """Yields (index, offset, length of the data) of each record with a sound header.

    What lies between sound headers is reported to `damage`, and counts as one record.

    Args:
      start, stop: nothing comes, or is reported, of what begins before or from these
        bytes on.
    """
    try:
        with _open(path) as file:
            size = _size(file)
            if size == 0:
                damage.record(path, "is empty", count=0)
            yield from _walk(path, file, size, damage, start, stop)
    except (OSError, tf.errors.OpError) as error:
        damage.record(path, f"cannot be read ({reason(error)})")


def read_records(path: str, damage: Damage) -> Iterator[tuple[Location, bytes]]:
    """Yields each sound record of one file, in order."""
    with RecordReader([path], damage) as reader:
        for found in walk(path, damage):
            location = Location(0, 0, 0, *found)
            data = reader.read(location)
            if data is not None:
                yield location, bytes(data)


class RecordReader(contextlib.ExitStack):
    """Reads records of some files at known locations; for one thread at a time.

    All go into the same memory, so a record must be used before the next is read:
    then it is still in the processor's cache, and no fresh memory is mapped for it.
    """

    def __init__(self, paths: list[str], damage: Damage):
        super().__init__()
        self._paths = paths
        self._damage = damage
        self._files: dict = {}
        self._buffer = np.empty(0, np.uint8)

    def read(self, location: Location) -> memoryview | None:
        """The record's data, or None where it is reported to `damage`."""
        _, _, file, index, offset, length = location
        path = self._paths[file]
        try:
            if file not in self._files:
                self._files[file] = self.enter_context(_open(path))
            data, footer = self._read(self._files[file], offset + HEADER, length)
        except (OSError, tf.errors.OpError) as error:
            what = f"cannot be read ({reason(error)})"
            self._damage.record(path, f"record {index} at byte {offset} {what}")
            return None
        if _masked_crc32c(data) == footer:
            return memoryview(data)
        self._damage.record(path, f"record {index} at byte {offset} is damaged")
        return None

    def _read(self, file, offset, length):
        size = length + FOOTER
        if len(self._buffer) < size:
            self._buffer = np.empty(size * 5 // 4, np.uint8)
        got = _read_into(self._buffer[:size], file, offset)
        return self._buffer[:length], self._buffer[length:got].tobytes()


def _open(path):
    # Python's own file is several times faster than GFile on local disks.
    if os.path.exists(path):
        return open(path, "rb", buffering=0)
    return tf.io.gfile.GFile(path, "rb")


def _size(file) -> int:
    """Of the file that is open, whatever its name stands for by now."""
    if isinstance(file, io.RawIOBase):
        return os.fstat(file.fileno()).st_size
    return file.size()


def _read_into(buffer: np.ndarray, file, offset: int) -> int:
    """Fills `buffer` from an open file as far as it reaches; returns the bytes read."""
    if isinstance(file, io.RawIOBase) and hasattr(os, "preadv"):
        # One call instead of two: after each, Python's lock must be won again.
        return os.preadv(file.fileno(), [buffer], offset)
    file.seek(offset)
    found = np.frombuffer(file.read(len(buffer)), np.uint8)
    buffer[: len(found)] = found
    return len(found)


def _walk(path, file, size, damage, start, stop):
    index = position = 0
    header = np.empty(HEADER, np.uint8)
    while position < min(size, stop):
        got = _read_into(header, file, position)
        length = sound_length(header[:got].tobytes())
        end = position + HEADER + length + FOOTER
        is_sound = length >= 0 and end <= size
        if not is_sound:
            end = _next_header(file, position, size)
        if position >= start and is_sound:
            yield index, position, length
        elif position >= start:
            what = f"record {index} at byte {position} is damaged"
            if end == size:
                what += f", nothing readable in the last {size - position} bytes"
            damage.record(path, what)
        position = end
        index += 1


def sound_length(header: bytes) -> int:
    """The length that a header holds, or -1 if its checksum does not hold."""
    if len(header) < HEADER:
        return -1
    if _masked_crc32c(header[:8]) != header[8:]:
        return -1
    return int.from_bytes(header[:8], "little")


def _next_header(file, position, size):
    """Where the next record starts after the damaged one at `position`."""
    for block in range(position, size, _SEARCH_BLOCK):
        file.seek(block)
        data = np.frombuffer(file.read(_SEARCH_BLOCK + HEADER), np.uint8)
        starts = np.flatnonzero(_valid_headers(data, size - block))
        if starts.size:
            return block + int(starts[0])
    return size


def _valid_headers(data, remaining):
    """bool [n]: which offsets hold a length and its checksum, `remaining` allowing."""
    count = data.size - HEADER + 1
    if count <= 0:
        return np.zeros(0, bool)
    windows = np.lib.stride_tricks.sliding_window_view(data, HEADER)[:count]
    # Lengths below 2^32: filters all but a few offsets before any checksum.
    candidates = np.flatnonzero(~windows[:, 4:8].any(axis=1))
    headers = np.ascontiguousarray(windows[candidates])
    lengths = headers[:, :8].copy().view("<u8")[:, 0]
    fits = candidates + lengths.astype(np.int64) + HEADER + FOOTER <= remaining
    valid = np.zeros(count, bool)
    for offset, header in zip(candidates[fits], headers[fits], strict=True):
        valid[offset] = sound_length(header.tobytes()) >= 0
    return valid


def _masked_crc32c(data) -> bytes:
    """TFRecord's checksum of `data`: four bytes, as they stand in the file."""
    crc = google_crc32c.value(data)
    return struct.pack("<I", ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF)
