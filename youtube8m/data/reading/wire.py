"""Reads serialised Example and SequenceExample messages without building objects.

    context, feature_lists = split_sequence_example(serialized)
    frames = byte_rows(serialized, feature_lists["rgb"], size=1024)   # [T, 1024]

A full-size video holds about 460 byte strings; protobuf's classes and TensorFlow's
parsing ops copy each into a string of its own. Here a message is walked by its wire
format (protobuf.dev/programming-guides/encoding) and numpy views the payload in
place: frames of one size lie at one stride. Malformed input raises RecordError.
"""

import functools

import numpy as np

from youtube8m.errors import OneLineError

# A serialised message, which results of this module may be views of.
Buffer = bytes | memoryview

# Spans are (start, end) offsets into it.
Span = tuple[int, int]

# Feature is a oneof of lists; its field number says which.
KINDS = {1: "bytes_list", 2: "float_list", 3: "int64_list"}
_NUMBERS = {kind: number for number, kind in KINDS.items()}

_UINT64 = 2**64 - 1  # ten groups of seven bits hold more; protobuf drops it
_VARINT, _FIXED64, _LENGTH_DELIMITED, _FIXED32 = 0, 1, 2, 5


class RecordError(OneLineError):
    """A record that cannot be used; the message says what is wrong with it."""


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


def fields(buffer: Buffer, span: Span):
    """Yields (field number, wire type, span of the payload) of a message."""
    position, end = span
    while position < end:
        tag = buffer[position]
        if tag < 0x80:  # as nearly always; a call would cost as much as the rest
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


def _map_entries(buffer: Buffer, span: Span) -> dict[str, Span]:
    """A map<string, message> field's owner -> key: span of the value."""
    entries = {}
    for number, wire_type, entry in fields(buffer, span):
        if number != 1 or wire_type != _LENGTH_DELIMITED:
            continue
        key, value = _usual_entry(buffer, entry) or _any_entry(buffer, entry)
        entries[str(buffer[slice(*key)], "utf-8", "replace")] = value
    return entries


def _any_entry(buffer, entry):
    parts = {n: part for n, w, part in fields(buffer, entry) if w == _LENGTH_DELIMITED}
    return parts.get(1, (0, 0)), parts.get(2, (entry[1], entry[1]))


def _usual_entry(buffer, entry):
    """(span of the key, span of the value) if they are all, in this order; or None."""
    start, end = entry
    if end - start < 4 or buffer[start] != 0x0A or buffer[start + 1] >= 0x80:
        return None
    key = start + 2, start + 2 + buffer[start + 1]
    value = key[1] < end and _whole(buffer, key[1], end, 2)
    return (key, (value, end)) if value else None


def _whole(buffer, start, end, number):
    """Where the payload begins if (start, end) is one field, `number`; else None."""
    if start >= end or buffer[start] != number << 3 | _LENGTH_DELIMITED:
        return None
    length, start = _varint(buffer, start + 1, end)
    return start if start + length == end else None


def _values(buffer: Buffer, feature: Span, expected: str, single: int):
    """Yields the span of each value, of wire type `single`, or packed run of values."""
    start, end = feature
    for number in (_NUMBERS[expected], 1):  # one string or run, as nearly always
        start = start and _whole(buffer, start, end, number)
    if start:
        yield start, end
        return
    for number, wire_type, span in fields(buffer, feature):
        if wire_type != _LENGTH_DELIMITED or number not in KINDS:
            continue
        if KINDS[number] != expected:
            raise RecordError(f"holds a {KINDS[number]} where a {expected} belongs")
        for inner, inner_type, value in fields(buffer, span):
            if inner != 1:
                continue
            if inner_type not in (single, _LENGTH_DELIMITED):
                raise RecordError("is not a valid protocol buffer")
            yield value


def byte_strings(buffer: Buffer, feature: Span) -> list[bytes]:
    """The values of a bytes_list."""
    spans = _values(buffer, feature, KINDS[1], _LENGTH_DELIMITED)
    return [bytes(buffer[start:end]) for start, end in spans]


def floats(buffer: Buffer, feature: Span) -> np.ndarray:
    """The values of a float_list, packed or not, as float32 [n]."""
    spans = _values(buffer, feature, KINDS[2], _FIXED32)
    runs = [buffer[start:end] for start, end in spans]
    if any(len(run) % 4 for run in runs):
        raise RecordError("is cut short")
    data = runs[0] if len(runs) == 1 else b"".join(runs)
    return np.frombuffer(data, "<f4")


def integers(buffer: Buffer, feature: Span) -> list[int]:
    """The values of an int64_list, packed or not."""
    values = []
    for position, end in _values(buffer, feature, KINDS[3], _VARINT):
        while position < end:
            value, position = _varint(buffer, position, end)
            values.append(value - (value >> 63 << 64))  # two's complement
    return values


def byte_rows(buffer: Buffer, feature_list: Span, size: int) -> np.ndarray:
    """The frames of a feature list: uint8 [T, size], a view where possible.

    Raises:
      RecordError: a frame is not one byte string of `size` bytes.
    """
    start, end = feature_list
    rows = _uniform_rows(buffer, start, end, size)
    return rows if rows is not None else _rows_one_by_one(buffer, feature_list, size)


def _uniform_rows(buffer, start, end, size):
    """All frames as one strided view, or None where they are not laid out alike."""
    prefix = _row_prefix(size)
    stride = len(prefix) + size
    if start == end or (end - start) % stride:
        return None
    count = (end - start) // stride
    # One item per header: gathering them at once lets the processor wait for all of
    # their cache lines together instead of one after another.
    headers = np.ndarray(count, f"V{len(prefix)}", buffer, start, stride)
    if headers.tobytes() != prefix * count:
        return None
    start += len(prefix)
    return np.ndarray((count, size), np.uint8, buffer, start, (stride, 1))


def row_overhead(size: int) -> int:
    """Bytes of a feature list beside those of each frame."""
    return len(_row_prefix(size))


@functools.cache
def _row_prefix(size: int) -> bytes:
    """The bytes before each frame: feature { bytes_list { value: <size bytes> } }."""
    prefix = b""
    for _ in range(3):
        length = size + len(prefix)
        prefix = b"\x0a" + _encode_varint(length) + prefix
    return prefix


def _encode_varint(value: int) -> bytes:
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes((*out, value))


def _rows_one_by_one(buffer, feature_list, size):
    rows = []
    for number, wire_type, span in fields(buffer, feature_list):
        if number != 1 or wire_type != _LENGTH_DELIMITED:
            continue
        values = byte_strings(buffer, span)
        if len(values) != 1 or len(values[0]) != size:
            found = f"{len(values[0])} bytes" if len(values) == 1 else "no single value"
            raise RecordError(f"holds a frame of {found} where {size} belong")
        rows.append(np.frombuffer(values[0], np.uint8))
    return np.stack(rows) if rows else np.empty((0, size), np.uint8)
