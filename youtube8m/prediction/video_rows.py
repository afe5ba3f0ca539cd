"""The Kaggle CSV of videos, many rows at once by numpy.

    writer = VideoCsv(file)
    writer.add(predictions)                    # or format_rows, which gives the bytes

The bytes are those of `submission.video_line`, at a fifth of its time.

Each pair of a class and a confidence is a row of characters of a fixed width, where NUL
stands for "nothing here"; what is not NUL is the text. Shapes: N rows, k classes; P
pairs that are listed.
"""

import functools
from collections.abc import Sequence

import numpy as np

from youtube8m.prediction.predictions import Writer
from youtube8m.prediction.submission import VIDEO_HEADER
from youtube8m.util.text import encode_id

# A confidence is m 10^(x - 5), m the integer of its six digits and x its exponent. For
# these exponents float64 holds the product of a float32 with 10^(5 - x) exactly:
# 5^(5 - x) has 28 bits at most. So rounding it is what `%g` does.
_LEAST = -7
_POWERS = np.array([10.0**x for x in range(_LEAST, 1)])
_SCALES = np.array([10.0 ** (5 - x) for x in range(_LEAST, 1)])


def _characters(texts: Sequence[str]) -> np.ndarray:
    """uint8 [len(texts), length of the longest], padded with NUL."""
    array = np.array(texts, "S")
    return array.view(np.uint8).reshape(len(array), -1)


# Of each exponent, what stands before and behind the digits, as `%g` has it.
_BEFORE = _characters(["", "", "", "0.000", "0.00", "0.0", "0.", ""])
_BEHIND = _characters(["e-07", "e-06", "e-05", "", "", "", "", ""])
_WITH_POINT = np.array([True, True, True] + [False] * 5)  # behind the first digit
# Three digits each: all of them, then without the zeros at the end.
_DIGITS = [f"{number:03d}" for number in range(1000)]
_DIGITS = _characters(_DIGITS + [digits.rstrip("0") for digits in _DIGITS])


class VideoCsv(Writer):
    """The Kaggle CSV of videos."""

    def __init__(self, file):
        super().__init__(file)
        file.write(VIDEO_HEADER.encode())

    def add(self, predictions):
        ids = [encode_id(predictions.ids[video]) for video in predictions.videos]
        rows = format_rows(
            ids, predictions.classes, predictions.scores, predictions.listed
        )
        self.file.write(rows)


def format_rows(
    ids: Sequence[bytes],
    classes: np.ndarray,
    confidences: np.ndarray,
    listed: np.ndarray,
) -> bytes:
    """The rows of N videos: the id, then pairs of a class and its confidence.

    Args:
      ids: N; classes: int [N, k]; confidences: float32 [N, k]; listed: bool [N, k].
    """
    counts = np.count_nonzero(listed, axis=1)
    pairs = _format_pairs(classes[listed], confidences[listed])
    pairs[:, -1] = ord(" ")
    pairs[np.cumsum(counts)[counts > 0] - 1, -1] = ord("\n")
    rows = iter(pairs[pairs != 0].tobytes().splitlines(keepends=True))
    parts = []
    for video_id, count in zip(ids, counts.tolist(), strict=True):
        parts += (video_id, b",", next(rows) if count else b"\n")
    return b"".join(parts)


def _format_pairs(classes, confidences):
    """uint8 [P, W]: the characters of each pair, and a last one that is not set."""
    known = _class_characters(1 << int(classes.max(initial=0)).bit_length())
    names, numbers = known.take(classes, axis=0), _format_confidences(confidences)
    width = names.shape[1] + numbers.shape[1] + 2
    pairs = np.empty((len(classes), width), np.uint8)
    pairs[:, : names.shape[1]] = names
    pairs[:, names.shape[1]] = ord(" ")
    pairs[:, names.shape[1] + 1 : -1] = numbers
    return pairs


@functools.lru_cache(maxsize=1)
def _class_characters(num_classes):
    return _characters(list(map(str, range(num_classes))))


def _format_confidences(confidences):
    """uint8 [P, 16]: the characters of each, with six digits as `%g` has them."""
    values = confidences.astype(np.float64)
    usual = (values >= _POWERS[0]) & (values <= 1.0)
    values[~usual] = 1.0
    row = np.searchsorted(_POWERS, values, side="right") - 1  # exponent - _LEAST
    digits = np.rint(values * _SCALES[row]).astype(np.int64)
    carried = digits == 10**6
    digits[carried], row[carried] = 10**5, row[carried] + 1
    high, low = np.divmod(digits, 1000)
    high = _DIGITS.take(high + 1000 * (low == 0), axis=0)
    point = ord(".") * (_WITH_POINT[row] & (high[:, 1] != 0))
    columns = [_BEFORE.take(row, axis=0), high[:, :1], point[:, None], high[:, 1:]]
    columns += [_DIGITS.take(1000 + low, axis=0), _BEHIND.take(row, axis=0)]
    characters = np.concatenate(columns, axis=1, dtype=np.uint8, casting="unsafe")
    if not usual.all():
        others = _characters([f"{value:g}" for value in confidences[~usual].tolist()])
        characters[~usual] = 0
        characters[~usual, : others.shape[1]] = others
    return characters
