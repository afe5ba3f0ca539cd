"""Small parsers that owe nothing to the package, to compare its own with.

Records are parsed by protobuf's generated classes, files by a few lines of Python.
"""

import itertools

import numpy as np
import tensorflow as tf
from google.protobuf.message import DecodeError

_POLYNOMIAL = 0x82F63B78  # of CRC-32C (Castagnoli), bits reversed


def _table():
    rows = np.arange(256, dtype=np.uint32)
    for _ in range(8):
        rows = rows >> 1 ^ np.where(rows & 1, np.uint32(_POLYNOMIAL), np.uint32(0))
    return rows.tolist()


_TABLE = _table()


def checksum(data: bytes) -> bytes:
    """TFRecord's: CRC-32C rotated by 15 bits, plus a constant; little endian."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc = crc >> 8 ^ _TABLE[(crc ^ byte) & 255]
    crc ^= 0xFFFFFFFF
    rotated = crc >> 15 | crc << 17 & 0xFFFFFFFF
    return ((rotated + 0xA282EAD8) % 2**32).to_bytes(4, "little")


def records_of(data: bytes) -> list[bytes]:
    """The sound records of a TFRecord file, also behind damage."""

    def end_at(start):
        """Where the record ends whose sound header begins here; None if none does."""
        size, sum_of_size = data[start : start + 8], data[start + 8 : start + 12]
        if len(sum_of_size) < 4 or checksum(size) != sum_of_size:
            return None
        end = start + 16 + int.from_bytes(size, "little")
        return end if end <= len(data) else None

    found, start = [], 0
    while start < len(data):
        end = end_at(start)
        if end is None:
            start += 1
            continue
        record = data[start + 12 : end - 4]
        if checksum(record) == data[end - 4 : end]:
            found.append(record)
        start = end
    return found


def example_of(record: bytes) -> dict | None:
    """{"context": {name: values}, "frames": {name: [bytes]}}; None if it is none."""
    try:
        message = tf.train.SequenceExample.FromString(record)
    except DecodeError:
        return None
    lists = message.feature_lists.feature_list
    return {
        "context": {n: _values(f) for n, f in message.context.feature.items()},
        "frames": {
            name: list(itertools.chain.from_iterable(map(_values, rows.feature)))
            for name, rows in lists.items()
        },
    }


def _values(feature):
    kind = feature.WhichOneof("kind")
    return list(getattr(feature, kind).value) if kind else []


def video_id(example: dict) -> bytes:
    """The first of the two ids that is one string, and not empty."""
    given = (example["context"].get(key, []) for key in ("id", "video_id"))
    return next(values[0] for values in given if len(values) == 1 and values[0])


def frames_of(example: dict, names) -> np.ndarray:
    """uint8 [T, D], the features side by side."""
    parts = [
        [list(frame) for frame in example["frames"][name]]  # of equal sizes
        for name in names
    ]
    return np.concatenate([np.array(part, np.uint8) for part in parts], axis=1)


def segments_of(example: dict) -> dict[int, dict[int, bool]]:
    """start -> class -> whether one of its ratings is above 0."""
    context, found = example["context"], {}
    columns = ("segment_start_times", "segment_labels", "segment_scores")
    for start, label, score in zip(*(context[n] for n in columns), strict=True):
        rated = found.setdefault(start, {})
        rated[label] = rated.get(label, False) or score > 0
    return found


def rows_of(text: bytes) -> list[tuple[bytes, list[bytes]]]:
    """(what stands before the comma, the words behind it) of each line with any."""
    rows = []
    for line in text.removeprefix(b"\xef\xbb\xbf").split(b"\n"):
        if line.strip():
            key, _, rest = line.replace(b'"', b"").partition(b",")
            rows.append((key, rest.split()))
    return rows
