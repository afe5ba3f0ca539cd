"""Types of stored values: as arrays, and by the look of their bytes.

    values = as_values(rows, "float16")   # uint8 [..., 2 d] -> float16 [..., d]
    all_finite(values)
    guess(rows)                           # "uint8", "float16", "bfloat16" or "float32"

Bytes do not say what they are. Quantised values use their range about evenly, and each
byte alike. Of floats the higher bytes hold the exponent, and embeddings have few
different ones: nearly all magnitudes lie within some powers of two.
"""

import numpy as np

from youtube8m import schema
from youtube8m.config.features import numpy_dtype

_BITS = {2: np.uint16, 4: np.uint32}
_NOT_FINITE = {"float16": 0x7C00, "bfloat16": 0x7F80, "float32": 0x7F800000}
# Powers of two: the middle 98 % of magnitudes lie in a range, and span so many of it.
_USUAL = {"float16": (-15.5, 12), "bfloat16": (-24, 20), "float32": (-24, 20)}
_SPREAD = 18
_LEAST = 16  # values that can be judged


def as_values(rows: np.ndarray, dtype: str) -> np.ndarray:
    """Bytes [..., d width] as values [..., d], without a copy where rows are whole."""
    return np.ascontiguousarray(rows).view(numpy_dtype(dtype))


def all_finite(values: np.ndarray) -> bool:
    """Whether no value is infinite or not a number; of bytes always.

    By their bits: numpy has no fast `isfinite` of the types of two bytes.
    """
    if values.dtype == np.uint8 or not values.size:
        return True
    bits = values.view(_BITS[values.dtype.itemsize])
    limit = _NOT_FINITE[values.dtype.name]
    # Twice the bits have no sign; the limit, too.
    return int(np.left_shift(bits, 1).max()) < 2 * limit


def guess(rows: np.ndarray, width: int | None = None) -> str:
    """What bytes [n, size] of frames are, by their look.

    Args:
      width: bytes of a value, if that is known.
    """
    widths = (2, 4) if width is None else (width,)
    for name in ("bfloat16", "float32", "float16"):  # the sharper test first
        itemsize = schema.STORED[name]
        fits = itemsize in widths and rows.shape[1] % itemsize == 0
        if fits and _look_alike(rows, name, itemsize):
            return name
    return schema.BYTES if width in (None, 1) else {2: "float16", 4: "float32"}[width]


def _look_alike(rows, name, itemsize):
    """Whether bytes [n, size] look like values of a type of floats."""
    values = as_values(rows, name).astype(np.float32)
    sizes = np.abs(values[values != 0])
    different = len(np.unique(sizes))
    if len(sizes) < _LEAST or different < min(64, len(sizes) // 2):
        return False
    if not np.isfinite(sizes).all():
        return False
    low, high = np.log2(np.quantile(sizes, [0.01, 0.99]))
    least, most = _USUAL[name]
    if low < least or high > most or high - low > _SPREAD:
        return False
    if name == "bfloat16" and not np.any(values[..., ::2]):
        return False  # float32 of few bits: the lower halves are 0
    places = rows.reshape(-1, itemsize) >> 2
    lowest, highest = places[:, 0], places[:, -1]
    by_chance = _difference(highest[::2], highest[1::2])
    return _difference(highest, lowest) > by_chance + 0.3


def _difference(first, second):
    """Half the distance of the shares of each number in two lists of them: 0 to 1."""
    shares = [np.bincount(part, minlength=64) / len(part) for part in (first, second)]
    return np.abs(shares[0] - shares[1]).sum() / 2
