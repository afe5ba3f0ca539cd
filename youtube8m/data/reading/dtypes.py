"""Types of stored values: as arrays, and by the look of their bytes.

    values = as_values(rows, "float16")   # uint8 [..., 2 d] -> float16 [..., d]
    all_finite(values)
    guess(rows)                           # Guess("float16", sure=True)

Bytes do not say what they are. But of floats the highest byte has the sign and the
exponent, of which there are few, and the others do not look like it: so bytes are
compared with those one and two places before. Of two bytes the exponent has five bits
(float16) or eight (bfloat16). Values read in the wrong way of the two lie within eight
times as many powers of two, or an eighth.
"""

from typing import NamedTuple

import numpy as np

from youtube8m import schema
from youtube8m.config.features import numpy_dtype

_BITS = {2: (np.int16, np.uint16), 4: (np.int32, np.uint32)}
_NOT_FINITE = {"float16": 0x7C00, "bfloat16": 0x7F80, "float32": 0x7F800000}
_LEAST = 32  # values by which a type can be told
_UNLIKE, _ALIKE = 0.6, 0.4  # differences of bytes in two places
_USUAL = 40  # values lie within 2^-40 and 2^40
# How many powers of two most magnitudes lie within: of a normal distribution 5. What is
# beyond _EXTREME as bfloat16 is float16.
_NARROW, _WIDE, _EXTREME = 2, 9, 24
_TINY = -10  # float16 has larger values than 2^-10


class Guess(NamedTuple):
    """How values seem to be stored: of `schema.STORED`."""

    stored: str
    sure: bool


def as_values(rows: np.ndarray, dtype: str) -> np.ndarray:
    """Bytes [..., d width] as values [..., d], without a copy where rows are whole."""
    return np.ascontiguousarray(rows).view(numpy_dtype(dtype))


def all_finite(values: np.ndarray) -> bool:
    """Whether no float is infinite or not a number; of bytes always.

    By their bits: numpy has no fast `isfinite` of the types of two bytes.
    """
    if values.dtype == np.uint8 or not values.size:
        return True
    signed, unsigned = map(values.view, _BITS[values.dtype.itemsize])
    limit, sign = _NOT_FINITE[values.dtype.name], np.iinfo(signed.dtype).min
    # Negative values are the highest of unsigned bits, and the lowest of signed ones.
    return signed.max() < limit and unsigned.max() < limit - sign


def guess(rows: np.ndarray, width: int | None = None) -> Guess:
    """What bytes [n, size] of frames are, by their look.

    Args:
      width: bytes of a value, if that is known.
    """
    if width is None:
        return _guess_width(rows)
    if width == 2:
        return _guess_of_two(rows)
    return Guess("float32" if width == 4 else schema.BYTES, True)


def look_like_float64(rows: np.ndarray) -> bool:
    """Whether bytes [n, size] seem to be float64 values, a type that is not read.

    Of bytes of another kind few would lie within the usual powers of two, which are
    one of 26 in float64.
    """
    if rows.shape[1] % 8:
        return False
    sizes = np.abs(np.ascontiguousarray(rows).view("<f8"))
    sizes = sizes[sizes != 0]
    usual = (sizes > 2.0**-_USUAL) & (sizes < 2.0**_USUAL)  # nan is not
    return len(np.unique(sizes)) >= _LEAST and bool(np.mean(usual) > 0.98)


def _guess_width(rows):
    size = rows.shape[1]
    if size % 2:
        return Guess(schema.BYTES, True)
    told = np.count_nonzero(rows) >= 4 * _LEAST and bool(rows.min() < rows.max())
    two_apart = _difference(rows, 4, 1, 3) if size % 4 == 0 else 0.0
    one_apart = _difference(rows, 2, 0, 1)
    if two_apart > _UNLIKE:
        found, span = Guess("float32", True), _span(rows, "float32")
        fits = span is not None and span[0] > -_USUAL and span[1] < _USUAL
    else:
        found = _guess_of_two(rows)
        fits = one_apart > _UNLIKE and _span(rows, found.stored) is not None
    if fits:
        return Guess(found.stored, found.sure and told)
    return Guess(schema.BYTES, told and max(one_apart, two_apart) < _ALIKE)


def _guess_of_two(rows):
    half, brain = _span(rows, "float16"), _span(rows, "bfloat16")
    low, high = brain or (-np.inf, np.inf)
    natural = low > -_USUAL and high < _USUAL and _NARROW < high - low < _WIDE
    if natural and (half is None or _crosses_zero(rows)):
        return Guess("bfloat16", True)
    is_half = half is not None and half[1] > _TINY and high - low > _EXTREME
    return Guess("float16", is_half)


def _crosses_zero(rows):
    """Whether a good part of two-byte values are zeros, or of the rarer sign.

    Others may be float16 far from 0, which lie within few powers of two.
    """
    values = as_values(rows, "bfloat16").astype(np.float32)
    signs = [np.mean(values < 0), np.mean(values > 0)]
    return min(signs) > 0.05 or np.mean(values == 0) > 0.05


def _span(rows, dtype):
    """The powers of two that the middle 90 % of magnitudes lie within, (low, high).

    None if they cannot be told, or if many values are not finite.
    """
    sizes = np.abs(as_values(rows, dtype).astype(np.float32))
    finite = sizes[np.isfinite(sizes)]
    sizes = finite[finite > 0]
    if len(finite) < 0.98 * rows.size / schema.STORED[dtype] or len(sizes) < _LEAST:
        return None
    return np.log2(np.quantile(sizes, [0.05, 0.95])).tolist()


def _difference(rows, width, *places):
    """Half the distance of the shares of the upper bits of two bytes: 0 to 1.

    Where values of so many bytes are 0, they say nothing.
    """
    values = rows.reshape(-1, width)
    bits = values[values.any(axis=1)][:, places] >> 4
    if len(bits) < _LEAST:
        return 0.0
    first, second = (np.bincount(column, minlength=16) for column in bits.T)
    return np.abs(first - second).sum() / 2 / len(bits)
