"""TFRecord files: where their records are, and the records at known locations.

    for index, offset, length in walk(path, damage): ...           # headers alone
    with RecordReader(paths, damage) as reader:
        record = reader.read(location)                             # a view, or None

A record is: length (8 bytes), its masked CRC-32C (4), a message, the CRC of that (4).
Both checksums of what is read are checked; after damage the reader searches for the
next sound header.
"""

import contextlib
import io
import math
import os
import struct
from collections.abc import Iterator
from typing import NamedTuple

import google_crc32c
import numpy as np
import tensorflow as tf

from youtube8m.data.reading.damage import Damage
from youtube8m.data.reading.other_files import advice, packing_fault
from youtube8m.errors import UserError
from youtube8m.util.files import PACKED_START, packed_as

HEADER, FOOTER = 12, 4  # bytes around the message
_SEARCH_BLOCK = 4 << 20
_MASK = 0xA282EAD8  # of TFRecord's checksums
_OPEN_FILES = 32  # of one reader


class Location(NamedTuple):
    """Where a record is, and which one of its epoch; of several records, arrays [B]."""

    epoch: int
    number: int  # of the record in the order of its epoch
    file: int  # its position in the list of shards
    index: int  # of the record in its file
    offset: int  # of its header in the file, in bytes
    length: int  # of its message, in bytes


def walk(
    path: str, damage: Damage, start: float = 0, stop: float = math.inf
) -> Iterator[tuple[int, int, int]]:
    """Yields (index, offset, length of the message) of each record with a sound header.

    Bytes between sound records are reported to `damage`, and count as one record; to
    the end of the file they may be any number. Only what begins in the bytes from
    `start` to `stop` is yielded and reported.
    """
    try:
        with _open(path) as file:
            yield from _walk(path, file, damage, start, stop)
    except (OSError, tf.errors.OpError) as error:
        damage.unreadable(path, error)


def compression(start: bytes) -> str:
    """How a file with these first bytes is compressed: GZIP, ZLIB, or "" if it is not.

    TFRecordDataset has these names for the ways of compression that it reads.
    """
    if len(start) < 2 or sound_length(start[:HEADER]) >= 0:
        return ""  # the length of a sound record may look like such a mark
    if start.startswith(b"\x1f\x8b\x08"):
        return "GZIP"
    is_zlib = start[0] == 0x78 and (start[0] << 8 | start[1]) % 31 == 0
    return "ZLIB" if is_zlib else ""


def read_records(path: str, damage: Damage) -> Iterator[tuple[Location, bytes]]:
    """Yields each sound record of one file, in order."""
    with RecordReader([path], damage) as reader:
        for found in walk(path, damage):
            location = Location(0, 0, 0, *found)
            data = reader.read(location)
            if data is not None:
                yield location, bytes(data)


class RecordReader(contextlib.AbstractContextManager):
    """Reads records of some files at known locations; for one thread at a time.

    It holds few files open, however small they are: systems allow 1,024 in all.

    All go into the same memory, so a record must be used before the next is read. It
    is then still in the processor's cache, and needs no new memory.
    """

    def __init__(self, paths: list[str], damage: Damage):
        self._paths = paths
        self._damage = damage
        self._files: dict = {}  # the one opened first comes first
        self._buffer = np.empty(0, np.uint8)

    def read(self, location: Location) -> memoryview | None:
        """The record's message, or None if it is damaged, which is then reported."""
        _, _, file, index, offset, length = location
        path, size = self._paths[file], length + FOOTER
        if len(self._buffer) < size:
            self._buffer = np.empty(size * 5 // 4, np.uint8)
        try:
            got = _read_into(self._buffer[:size], self._file(file), offset + HEADER)
        except (OSError, tf.errors.OpError) as error:
            record = f"record {index} at byte {offset}"
            self._damage.unreadable(path, error, record)
            return None
        data = self._buffer[:length]
        if _masked_crc32c(data) == self._buffer[length:got].tobytes():
            return memoryview(data)
        self._damage.record(path, f"record {index} at byte {offset} is damaged")
        return None

    def _file(self, number):
        if number not in self._files:
            if len(self._files) == _OPEN_FILES:
                self._files.pop(next(iter(self._files))).close()
            self._files[number] = _open(self._paths[number])
        return self._files[number]

    def __exit__(self, *_):
        while self._files:
            self._files.popitem()[1].close()


def _open(path):
    # Python's own file is several times faster than GFile on local disks.
    if os.path.exists(path):
        return open(path, "rb", buffering=0)
    return tf.io.gfile.GFile(path, "rb")


def _size(file) -> int:
    """The size of the open file, even if its name belongs to another by now."""
    if isinstance(file, io.RawIOBase):
        return os.fstat(file.fileno()).st_size
    return file.size()


def _read_into(buffer: np.ndarray, file, offset: int) -> int:
    """Fills `buffer` from an open file as far as that goes; returns the bytes read."""
    if isinstance(file, io.RawIOBase) and hasattr(os, "preadv"):
        # One call instead of two: Python's lock must be acquired again after each.
        return os.preadv(file.fileno(), [buffer], offset)
    file.seek(offset)
    found = np.frombuffer(file.read(len(buffer)), np.uint8)
    buffer[: len(found)] = found
    return len(found)


def _walk(path, file, damage, start, stop):
    index, position, size = 0, 0, _size(file)
    if not size:
        damage.record(path, "is empty", count=0)
    header = np.empty(HEADER, np.uint8)
    while position < min(size, stop):
        got = _read_into(header, file, position)
        length = sound_length(header[:got].tobytes())
        end = position + HEADER + length + FOOTER
        is_sound = length >= 0 and end <= size
        if not position and length < 0:
            _require_plain(path, file, damage)
        if not is_sound:
            end = _next_header(file, position, size)
        if position >= start and is_sound:
            yield index, position, length
        elif position >= start:
            what = f"record {index} at byte {position} is damaged"
            if end == size:
                what += f", nothing readable in the last {size - position} bytes"
            if not position and end == size >= HEADER:  # fewer bytes say nothing
                what += advice(_start(file))
            damage.record(path, what, more=length < 0 and end == size)
        position = end
        index += 1


def _require_plain(path, file, damage):
    """Raises UserError if the file is compressed or packed."""
    start = _start(file)
    if kind := compression(start):
        message = "which --input_pipeline=tfrecord reads; or decompress it"
        raise damage.fail(
            UserError(f"{path}: is compressed ({kind.lower()}), {message}")
        )
    if kind := packed_as(start):
        raise damage.fail(UserError(f"{path}: is compressed ({kind}); unpack it"))


def _start(file):
    file.seek(0)
    return file.read(PACKED_START)


def first_bytes(path: str) -> bytes:
    """The first bytes of a file; none if it cannot be read, which reading will tell."""
    with contextlib.suppress(OSError, tf.errors.OpError), _open(path) as file:
        return _start(file)
    return b""


def fault_of_packed(path: str) -> str:
    """As `packing_fault`; "" of a file that cannot be read, too."""
    with contextlib.suppress(OSError, tf.errors.OpError), _open(path) as file:
        return packing_fault(file)
    return ""


def advice_on(path: str) -> str:
    """What a file that holds no record seems to be; "" if that is not known."""
    with contextlib.suppress(OSError, tf.errors.OpError), _open(path) as file:
        start = _start(file)
        if kind := compression(start):
            fault = packing_fault(file) or "holds something else"
            return f"; it is compressed ({kind.lower()}) and {fault}"
        if kind := packed_as(start):
            return f"; it is compressed ({kind}): unpack it"
        return advice(start)
    return ""


def sound_length(header: bytes) -> int:
    """The length in a header, or -1 if its checksum is wrong."""
    if len(header) < HEADER or _masked_crc32c(header[:8]) != header[8:]:
        return -1
    return int.from_bytes(header[:8], "little")


def is_sound(message: np.ndarray | bytes, footer: bytes | memoryview) -> bool:
    """Whether the four bytes behind a message, uint8 [n], are its checksum."""
    crc = google_crc32c.value(message)
    return (crc >> 15 | crc << 17) + _MASK & 0xFFFFFFFF == int.from_bytes(
        footer, "little"
    )


def _next_header(file, position, size):
    """Where the next record starts after the damaged one at `position`, or `size`."""
    for block in range(position, size, _SEARCH_BLOCK):
        file.seek(block)
        data = np.frombuffer(file.read(_SEARCH_BLOCK + HEADER), np.uint8)
        if len(data) < HEADER:
            break
        windows = np.lib.stride_tricks.sliding_window_view(data, HEADER)
        # Lengths below 2^32: few other offsets need a checksum.
        for offset in np.flatnonzero(~windows[:, 4:8].any(axis=1)).tolist():
            length = sound_length(windows[offset].tobytes())
            if 0 <= length <= size - block - offset - HEADER - FOOTER:
                return block + offset
    return size


def _masked_crc32c(data) -> bytes:
    """TFRecord's checksum of `data`: the four bytes of the file."""
    crc = google_crc32c.value(data)
    return struct.pack("<I", (crc >> 15 | crc << 17) + _MASK & 0xFFFFFFFF)
