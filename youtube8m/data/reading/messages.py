"""Example and SequenceExample messages, read in place by their wire format.

    context, feature_lists = split_sequence_example(record)
    video_id, = byte_strings(record, context["id"])
    labels = integers(record, context["labels"])

What is found are spans of the record; values are copied when they are asked for.
Source: protobuf.dev/programming-guides/encoding. docs/input.md says what that saves.
"""

import functools
from collections.abc import Iterator

import numpy as np

from youtube8m.errors import OneLineError

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
