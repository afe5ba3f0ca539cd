"""Video-level records that are like earlier ones, decoded many at a time.

    block = VectorBlock(contents, config, limit)
    if not block.add(index, offset, record): ...   # it must be read alone
    found = block.take()
    found.ids, found.vectors                       # [n], float32 [n, D]

To decode a record alone takes twice as long as to read it.
"""

import dataclasses

import numpy as np

from youtube8m.config import DataConfig
from youtube8m.data.inspection.contents import VideoContents, no_class, split_vector
from youtube8m.data.reading import dtypes, tfrecord
from youtube8m.data.reading.tfrecord import RecordError

_LONGEST = 4  # bytes of a class id that are decoded together


@dataclasses.dataclass
class DecodedVectors:
    """The records of a block.

    Attributes:
      vectors: float32 [n, D], all features side by side.
      labels: int64 [m], the different classes of each video, one after the other.
      lengths: int64 [n], how many each has.
      places: (number in the file, offset) of each of the n records.
      errors: (number, offset, error) of those that cannot be used.
    """

    ids: list[bytes]
    vectors: np.ndarray
    labels: np.ndarray
    lengths: np.ndarray
    places: list[tuple[int, int]]
    errors: list[tuple[int, int, RecordError]]


class VectorBlock:
    """Some records of a file."""

    def __init__(self, contents: VideoContents, config: DataConfig, labels_key: str):
        self._split = contents.split
        self._config, self._limit, self._key = config, contents.limit, labels_key
        self._rows: list[tuple[int, int, tuple[bytes, ...]]] = []

    def add(self, index: int, offset: int, record: tfrecord.Buffer) -> bool:
        """Takes a record, if it is like an earlier one that has labels."""
        values = self._split(record)
        if values is None:
            return False
        self._rows.append((index, offset, values))
        return True

    def take(self) -> DecodedVectors | None:
        """Decodes the records and forgets them; None if there are none."""
        rows, self._rows = self._rows, []
        if not rows:
            return None
        count = len(self._config.feature_names)
        parts = [part for *_, values in rows for part in values[:count]]
        vectors = np.frombuffer(b"".join(parts), "<f4").reshape(len(rows), -1)
        errors = {}
        if not dtypes.all_finite(vectors):
            errors = self._not_finite(vectors)
        runs = [values[count + 1] for *_, values in rows]
        decoded = _decode_runs(runs, self._limit)
        if decoded is None:
            labels = [self._labels_of(run, row, errors) for row, run in enumerate(runs)]
            decoded = _flat(labels)
        if errors:
            kept = [row for row in range(len(rows)) if row not in errors]
            videos = np.repeat(np.arange(len(rows)), decoded[1])
            good = np.isin(videos, kept)
            decoded = decoded[0][good], decoded[1][kept]
            vectors = vectors[kept]
        return DecodedVectors(
            [
                values[count]
                for row, (*_, values) in enumerate(rows)
                if row not in errors
            ],
            vectors,
            *decoded,
            [place[:2] for row, place in enumerate(rows) if row not in errors],
            [(*rows[row][:2], error) for row, error in errors.items()],
        )

    def _not_finite(self, vectors):
        """Row -> the error of each that has such a value."""
        names, parts = self._config.feature_names, split_vector(vectors, self._config)
        errors = {}
        for name, part in zip(names, parts, strict=True):
            for row in np.flatnonzero(~np.isfinite(part).all(axis=1)).tolist():
                said = f"feature {name!r} holds values that are not finite"
                errors.setdefault(row, RecordError(said))
        return errors

    def _labels_of(self, run, row, errors):
        """The classes of one record, which may be none."""
        try:
            ids = tfrecord.packed_integers(run)
            if wrong := [entry for entry in ids if not 0 <= entry < self._limit]:
                raise no_class(self._key, wrong[0])
        except RecordError as error:
            errors.setdefault(row, error)
            return []
        return sorted({*ids})


def _decode_runs(runs, limit):
    """(classes [m], how many each has [n]) of packed integers; None of unusual ones."""
    data = np.frombuffer(b"".join(runs), np.uint8)
    stops = np.cumsum([*map(len, runs)])
    is_last = data < 0x80
    if not is_last[stops - 1].all():
        return None
    ends = np.flatnonzero(is_last)
    starts = np.r_[0, ends[:-1] + 1]
    sizes = ends - starts + 1
    if sizes.max() > _LONGEST:
        return None
    places = np.arange(len(data)) - np.repeat(starts, sizes)
    terms = (data & 0x7F).astype(np.int64) << (7 * places)
    ids = np.add.reduceat(terms, starts)
    if ids.max() >= limit:
        return None
    videos = np.searchsorted(stops, ends, side="right")
    keys = np.unique(videos * limit + ids)
    return keys % limit, np.bincount(keys // limit, minlength=len(runs))


def _flat(rows):
    lengths = np.array([*map(len, rows)])
    return np.array([entry for row in rows for entry in row], np.int64), lengths
