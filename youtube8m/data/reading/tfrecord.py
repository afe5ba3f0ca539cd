"""TFRecord files and the Example and SequenceExample messages in them, read in place.

    paths = find_shards("/data/train*.tfrecord, /data/validate*.tfrecord", "--flag")
    for index, offset, length in walk(path, damage): ...           # headers alone
    with RecordReader(paths, damage) as reader:
        record = reader.read(location)                             # a view, or None
    context, feature_lists = split_sequence_example(record)
    frames = byte_rows(record, feature_lists["rgb"], size=1024)    # [T, 1024], a view

A record is: length (8 bytes), its masked CRC-32C (4), a message, the CRC of that (4).
Both checksums of what is read are checked; after damage the reader searches for the
next sound header. Messages are read by their wire format
(protobuf.dev/programming-guides/encoding). Frames of one size have one stride, so numpy
views them in place. docs/input.md says what that saves.
"""

import contextlib
import functools
import hashlib
import io
import itertools
import math
import os
import struct
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import google_crc32c
import numpy as np
import tensorflow as tf

from youtube8m.data.reading.damage import Damage
from youtube8m.data.reading.other_files import advice, packing_fault
from youtube8m.errors import OneLineError, UserError, reason
from youtube8m.util.files import PACKED_START, find_files, packed_as, split_paths

HEADER, FOOTER = 12, 4  # bytes around the message
_SEARCH_BLOCK = 4 << 20
_OPEN_FILES = 32  # of one reader

# A serialised message; results may be views of it.
Buffer = bytes | memoryview

# Spans are (start, end) offsets into a message.
Span = tuple[int, int]

# Feature is a oneof of lists; its field number says which.
_KINDS = {1: "bytes_list", 2: "float_list", 3: "int64_list"}
BYTES, FLOATS, INTEGERS = _KINDS

_UINT64 = 2**64 - 1  # ten groups of seven bits hold more; protobuf drops it
_VARINT, _FIXED64, _LENGTH_DELIMITED, _FIXED32 = 0, 1, 2, 5


class RecordError(OneLineError):
    """A record that cannot be used; the message says what is wrong with it."""


class Location(NamedTuple):
    """Where a record is, and which one of its epoch; of several records, arrays [B]."""

    epoch: int
    number: int  # of the record in the order of its epoch
    file: int  # its position in the list of shards
    index: int  # of the record in its file
    offset: int  # of its header in the file, in bytes
    length: int  # of its message, in bytes


def find_shards(pattern: str, flag: str) -> list[str]:
    """The files that comma-separated globs match, sorted within each glob.

    A path that exists is no glob; see `split_paths` for paths with commas.

    Raises UserError if there is no glob, one matches nothing, or a store is unreadable.
    """
    return distinct(itertools.chain(*find_by_glob(pattern, flag)))


def distinct(paths: Iterable[str]) -> list[str]:
    """The first path of each file, links resolved."""
    first: dict[str, str] = {}
    for path in paths:
        first.setdefault(os.path.realpath(path), path)
    return list(first.values())


def find_by_glob(pattern: str, flag: str) -> list[list[str]]:
    """As `find_shards`, the files that each glob matches."""
    globs, shards = split_paths(pattern), []
    if not globs:
        raise UserError(f"{flag}={pattern}: names no file; give a glob")
    for glob in globs:
        found = _remote_files(glob, flag) if "://" in glob else find_files(glob)
        if not found and os.path.isdir(os.path.expanduser(glob)):
            pattern = os.path.join(glob, "*.tfrecord")
            raise UserError(
                f"{flag}={glob}: no file matches, as it is a directory; give a glob of "
                f"the files in it, such as {pattern!r}"
            )
        if not found:
            raise UserError(
                f"{flag}={glob}: no file matches; check the path, and quote the glob "
                "so that the shell does not expand it"
            )
        shards.append(found)
    return shards


def _remote_files(glob, flag):
    try:
        return sorted(p for p in tf.io.gfile.glob(glob) if not tf.io.gfile.isdir(p))
    except tf.errors.OpError as error:
        raise UserError(
            f"{flag}={glob}: cannot be read ({reason(error)}); give local files"
        ) from None


def file_size(path: str) -> int:
    """Bytes of a file; 0 if it cannot be read, which will be reported then."""
    try:
        return tf.io.gfile.stat(path).length if "://" in path else os.stat(path).st_size
    except (OSError, tf.errors.OpError):
        return 0


def digest(paths: list[str], *more: str) -> str:
    """A digest of the files' names and sizes, in any order and any directory.

    Args:
      more: what else counts.
    """
    facts = [(os.path.basename(path), file_size(path)) for path in sorted(paths)]
    return hashlib.sha256(repr([*facts, *more]).encode()).hexdigest()


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
    return struct.pack("<I", ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF)


def split_sequence_example(buffer: Buffer) -> tuple[dict[str, Span], dict[str, Span]]:
    """The spans of the context's features and of the feature lists, by name.

    Both messages keep `Features` in field 1, so an Example splits into its features
    and no feature lists.
    """
    found: dict[int, dict[str, Span]] = {1: {}, 2: {}}
    for number, wire_type, span in fields(buffer, (0, len(buffer))):
        if number in found and wire_type == _LENGTH_DELIMITED:
            found[number].update(_map_entries(buffer, span))
    return found[1], found[2]


def byte_strings(buffer: Buffer, feature: Span) -> list[bytes]:
    """The values of a bytes_list."""
    spans = _values(buffer, feature, BYTES, _LENGTH_DELIMITED)
    return [bytes(buffer[start:end]) for start, end in spans]


def floats(buffer: Buffer, feature: Span) -> np.ndarray:
    """The values of a float_list, packed or not, as float32 [n]."""
    spans = _values(buffer, feature, FLOATS, _FIXED32)
    runs = [buffer[start:end] for start, end in spans]
    if any(len(run) % 4 for run in runs):
        raise RecordError("is cut short")
    data = runs[0] if len(runs) == 1 else b"".join(runs)
    return np.frombuffer(data, "<f4")


def integers(buffer: Buffer, feature: Span) -> list[int]:
    """The values of an int64_list, packed or not."""
    values = []
    for start, end in _values(buffer, feature, INTEGERS, _VARINT):
        values += packed_integers(buffer[start:end])
    return values


def packed_integers(run: Buffer) -> list[int]:
    """The values of a packed run of an int64_list."""
    values, position, end = [], 0, len(run)
    while position < end:
        value, position = _varint(run, position, end)
        values.append(value - (value >> 63 << 64))  # two's complement
    return values


def only_run(buffer: Buffer, feature: Span, kind: int) -> Span | None:
    """The span of a feature's one string or packed run; None if it has anything else.

    Args:
      kind: BYTES, FLOATS or INTEGERS.
    """
    start, end = feature
    for number in (kind, 1):
        start = start and _whole(buffer, start, end, number)
    return (start, end) if start else None


def byte_rows(
    buffer: Buffer, feature_list: Span, size: int, as_floats: bool = False
) -> np.ndarray:
    """The frames of a feature list: uint8 [T, size], a view if they have one stride.

    Args:
      as_floats: whether frames are float32 values: they may be float lists, too.

    Raises RecordError if a frame is not one byte string (or float list) of `size`
    bytes.
    """
    start, end = feature_list
    for kind in (BYTES, FLOATS) if as_floats else (BYTES,):
        prefix = row_prefix(size, kind)
        stride = len(prefix) + size
        count, rest = divmod(end - start, stride)
        if count and not rest:
            # All headers at once: the processor then loads their cache lines in
            # parallel.
            headers = np.ndarray(count, f"V{len(prefix)}", buffer, start, stride)
            if headers.tobytes() == prefix * count:
                start += len(prefix)
                return np.ndarray((count, size), np.uint8, buffer, start, (stride, 1))
    rows = []
    for span in frames(buffer, feature_list):
        as_list = as_floats and kind_of(buffer, span) == _KINDS[FLOATS]
        rows.append((_float_row if as_list else _byte_row)(buffer, span, size))
    return np.stack(rows) if rows else np.empty((0, size), np.uint8)


def _byte_row(buffer, feature, size):
    values = byte_strings(buffer, feature)
    if len(values) != 1 or len(values[0]) != size:
        found = f"{len(values[0])} bytes" if len(values) == 1 else "no single value"
        raise RecordError(f"holds a frame of {found} where {size} belong")
    return np.frombuffer(values[0], np.uint8)


def _float_row(buffer, feature, size):
    values = floats(buffer, feature)
    if values.nbytes != size:
        raise RecordError(
            f"holds a frame of {len(values)} values where {size // 4} belong"
        )
    return values.view(np.uint8)


def frames(buffer: Buffer, feature_list: Span) -> Iterator[Span]:
    """Yields the feature of each frame."""
    for number, wire_type, span in fields(buffer, feature_list):
        if number == 1 and wire_type == _LENGTH_DELIMITED:
            yield span


def kind_of(buffer: Buffer, feature: Span) -> str:
    """bytes_list, float_list, int64_list, or "" if a feature has no values."""
    found = ""
    for number, wire_type, _ in fields(buffer, feature):
        if number in _KINDS and wire_type == _LENGTH_DELIMITED:
            found = _KINDS[number]  # of several the last one counts
    return found


@functools.cache
def row_prefix(size: int, kind: int = BYTES) -> bytes:
    """The bytes before each frame: feature { bytes_list { value: <size bytes> } }.

    Packed floats differ by the number of their list alone.
    """
    prefix = b""
    for field in (1, kind, 1):
        length, groups = size + len(prefix), bytearray()
        while length >= 0x80:
            groups.append(length & 0x7F | 0x80)
            length >>= 7
        tag = field << 3 | _LENGTH_DELIMITED
        prefix = bytes((tag, *groups, length)) + prefix
    return prefix


def fields(buffer: Buffer, span: Span):
    """Yields (field number, wire type, span of the payload) of a message."""
    position, end = span
    while position < end:
        tag = buffer[position]
        if tag < 0x80:  # nearly always; a call would cost as much as the rest
            start = position = position + 1
        else:
            tag, start = _varint(buffer, position, end)
            position = start
        wire_type = tag & 7
        if wire_type == _LENGTH_DELIMITED:
            length, start = _varint(buffer, position, end)
            position = start + length
        elif wire_type == _VARINT:
            _, position = _varint(buffer, position, end)
        elif wire_type in (_FIXED32, _FIXED64):
            position += 4 if wire_type == _FIXED32 else 8
        else:
            raise RecordError("is not a valid protocol buffer")
        if position > end:
            raise RecordError("is cut short")
        yield tag >> 3, wire_type, (start, position)


def _varint(buffer: Buffer, position: int, end: int) -> tuple[int, int]:
    value = shift = 0
    while position < end and shift < 70:
        byte = buffer[position]
        position += 1
        if byte < 0x80:
            return (value | byte << shift) & _UINT64, position
        value |= (byte & 0x7F) << shift
        shift += 7
    raise RecordError("is not a valid protocol buffer")


def _map_entries(buffer: Buffer, span: Span) -> dict[str, Span]:
    """A map<string, message> field's owner -> key: span of the value."""
    entries = {}
    for number, wire_type, entry in fields(buffer, span):
        if number != 1 or wire_type != _LENGTH_DELIMITED:
            continue
        spans = _usual_entry(buffer, entry)
        if spans is None:
            parts = fields(buffer, entry)
            parts = {n: part for n, w, part in parts if w == _LENGTH_DELIMITED}
            spans = parts.get(1, (0, 0)), parts.get(2, (entry[1], entry[1]))
        key, value = spans
        entries[str(buffer[slice(*key)], "utf-8", "replace")] = value
    return entries


def _usual_entry(buffer, entry):
    """(span of the key, span of the value) if that is all, in this order; or None."""
    start, end = entry
    if end - start < 4 or buffer[start] != 0x0A or buffer[start + 1] >= 0x80:
        return None
    key = start + 2, start + 2 + buffer[start + 1]
    value = key[1] < end and _whole(buffer, key[1], end, 2)
    return (key, (value, end)) if value else None


def _whole(buffer, start, end, number):
    """Where the payload of field `number` begins if the span is that; else None."""
    if start >= end or buffer[start] != number << 3 | _LENGTH_DELIMITED:
        return None
    length, start = _varint(buffer, start + 1, end)
    return start if start + length == end else None


def _values(buffer: Buffer, feature: Span, kind: int, single: int):
    """Yields the span of each value, of wire type `single`, or packed run of values."""
    run = only_run(buffer, feature, kind)  # nearly always
    if run:
        yield run
        return
    for found, wire_type, span in fields(buffer, feature):
        if wire_type != _LENGTH_DELIMITED or found not in _KINDS:
            continue
        if found != kind:
            raise RecordError(f"holds a {_KINDS[found]} where a {_KINDS[kind]} belongs")
        for inner, inner_type, value in fields(buffer, span):
            if inner != 1:
                continue
            if inner_type not in (single, _LENGTH_DELIMITED):
                raise RecordError("is not a valid protocol buffer")
            yield value
