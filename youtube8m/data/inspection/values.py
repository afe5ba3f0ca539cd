"""What the values of a feature look like, by a sample that is spread over all records.

sample = RowSample(1024, np.uint8)
for rows in ...: sample.add(rows)          # [T, d] of each record
facts = describe_values(sample.rows(), "uint8")
facts.constant, facts.counts               # dimensions that do not vary; histogram
"""

import dataclasses

import numpy as np

from youtube8m.data.reading import dtypes
from youtube8m.schema import BYTES

_ROWS = 4  # of a record
_MOST_BYTES = 4 << 20  # of a sample
_MOST_RECORDS = 4096
_BINS = 64
_JUDGED = 256  # rows that say where most values lie
_TELLING = 16  # rows without which nothing is said of dimensions
# A dimension hardly varies if its standard deviation is below this share of that of all
# values.
_HARDLY = 0.01


class RowSample:
    """Some rows of every k-th record; k doubles whenever there are too many.

    Args:
      width: bytes of a row.
    """

    def __init__(self, width: int):
        most = min(_MOST_RECORDS, _MOST_BYTES // (_ROWS * width))
        self._most = max(most, 2)
        self._parts: list[np.ndarray] = []
        self._every = 1
        self._seen = 0

    def add(self, rows: np.ndarray) -> None:
        """Takes a record's rows [T, width] into account."""
        if self._seen % self._every == 0:
            self._parts.append(rows[:: -(-len(rows) // _ROWS)].copy())
            self._thin_out()
        self._seen += 1

    def add_each(self, rows: np.ndarray) -> None:
        """Takes records of one row each [n, width] into account."""
        first = -self._seen % self._every
        self._parts += [row[None].copy() for row in rows[first :: self._every]]
        self._seen += len(rows)
        self._thin_out()

    def _thin_out(self):
        while len(self._parts) > self._most:
            self._parts = self._parts[::2]
            self._every *= 2

    def rows(self) -> np.ndarray | None:
        """The sample [n, width]; None if there is none."""
        return np.concatenate(self._parts) if self._parts else None


@dataclasses.dataclass
class ValueFacts:
    """What some rows [n, d] of a feature's values look like.

    Attributes:
      rows: n, how many were looked at.
      constant: dimensions, from 0 on, that have one value, or hardly vary.
      edges, counts: a histogram; of bytes one bin a value. The first and last bins of
        floats also have what lies beyond.
    """

    rows: int
    minimum: float
    maximum: float
    mean: float
    deviation: float
    zeros: float  # their share
    constant: tuple[int, ...]
    edges: tuple[float, ...]
    counts: tuple[int, ...]

    @property
    def varies(self) -> bool:
        """Whether there are two values at all."""
        return self.minimum < self.maximum


def describe_values(rows: np.ndarray, stored: str) -> ValueFacts | None:
    """The facts of bytes [n, width], as a type of `schema.STORED`.

    Values that are not finite are left out; None if no other is there.
    """
    values = dtypes.as_values(rows, stored)
    if stored != BYTES:
        values = values.astype(np.float32)
        values = values[np.isfinite(values).all(axis=1)]
    if not values.size:
        return None
    low, high = values.min(axis=0), values.max(axis=0)
    means = values.mean(axis=0, dtype=np.float64)
    variances = values.var(axis=0, dtype=np.float64)
    # Of all values: the variances within dimensions, and that of their means.
    total = float(np.sqrt(variances.mean() + means.var()))
    hardly = (low == high) | (np.sqrt(variances) < _HARDLY * total)
    constant = tuple(np.flatnonzero(hardly).tolist()) if len(values) >= _TELLING else ()
    counts, edges = _histogram(values)
    return ValueFacts(
        len(values),
        float(low.min()),
        float(high.max()),
        float(means.mean()),
        total,
        1 - np.count_nonzero(values) / values.size,
        constant,
        tuple(edges.tolist()),
        tuple(counts.tolist()),
    )


def _histogram(values):
    if values.dtype == np.uint8:
        return np.bincount(values.ravel(), minlength=256), np.arange(257)
    low, high = np.quantile(values[:: -(-len(values) // _JUDGED)], [0.001, 0.999])
    if low == high:
        low, high = low - 0.5, high + 0.5
    return np.histogram(np.clip(values, low, high), bins=_BINS, range=(low, high))
