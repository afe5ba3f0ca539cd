"""Video-level records that are like earlier ones, decoded many at a time.

    block = VectorBlock(contents, config, limit)
    if not block.add(index, offset, record): ...   # it must be read alone
    found = block.take()
    found.ids, found.vectors[0]                    # [n], float32 [n, d]

To decode a record alone takes twice as long as to read it.
"""

import dataclasses
from collections.abc import Sequence
from itertools import compress

import numpy as np

from youtube8m.config import DataConfig
from youtube8m.data.inspection.contents import VideoContents, no_class
from youtube8m.data.reading import dtypes, messages
from youtube8m.data.reading.messages import RecordError

_LONGEST = 4  # bytes of a class id that are decoded together


@dataclasses.dataclass
class DecodedVectors:
    """The records of a block.

    Attributes:
      offsets: where each of the n records begins.
      vectors: float32 [n, d] of each feature.
      labels: int64 [m], the different classes of each video, one after the other.
      lengths: int64 [n], how many each has.
      errors: (number, offset, error) of those that cannot be used.
    """

    ids: Sequence[bytes]
    offsets: Sequence[int]
    vectors: list[np.ndarray]
    labels: np.ndarray
    lengths: np.ndarray
    errors: list[tuple[int, int, RecordError]]


class VectorBlock:
    """Some records of a file."""

    def __init__(self, contents: VideoContents, config: DataConfig, labels_key: str):
        self._split = contents.split
        self._config, self._limit, self._key = config, contents.limit, labels_key
        self._found: list[tuple[int, int, tuple[bytes, ...]]] = []

    def add(self, index: int, offset: int, record: messages.Buffer) -> bool:
        """Takes a record, if it is like an earlier one that has labels."""
        values = self._split(record)
        if values is None:
            return False
        self._found.append((index, offset, values))
        return True

    def take(self) -> DecodedVectors | None:
        """Decodes the records and forgets them; None if there are none."""
        found, self._found = self._found, []
        if not found:
            return None
        _, offsets, values = zip(*found, strict=True)
        *columns, ids, runs = zip(*values, strict=True)
        vectors = [
            np.frombuffer(b"".join(column), "<f4").reshape(len(ids), -1)
            for column in columns
        ]
        errors = self._find_not_finite(vectors)
        labels, lengths = self._decode_labels(runs, errors)
        if errors:
            good = np.array([row not in errors for row in range(len(ids))])
            labels, lengths = labels[np.repeat(good, lengths)], lengths[good]
            vectors = [part[good] for part in vectors]
            ids, offsets = ([*compress(each, good)] for each in (ids, offsets))
        wrong = [(*found[row][:2], error) for row, error in sorted(errors.items())]
        return DecodedVectors(ids, offsets, vectors, labels, lengths, wrong)

    def _find_not_finite(self, vectors):
        """Row -> the error of each that has such a value."""
        errors = {}
        for name, part in zip(self._config.feature_names, vectors, strict=True):
            if dtypes.all_finite(part):
                continue
            for row in np.flatnonzero(~np.isfinite(part).all(axis=1)).tolist():
                said = f"feature {name!r} holds values that are not finite"
                errors.setdefault(row, RecordError(said))
        return errors

    def _decode_labels(self, runs, errors):
        """(classes [m], how many each record has [n]); adds errors of records."""
        decoded = _decode_runs(runs, self._limit)
        if decoded is not None:
            return decoded
        rows = [self._decode_run(run, row, errors) for row, run in enumerate(runs)]
        flat = np.array([entry for row in rows for entry in row], np.int64)
        return flat, np.array([*map(len, rows)])

    def _decode_run(self, run, row, errors):
        """The classes of one record; none if they are wrong."""
        try:
            ids = messages.packed_integers(run)
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
    keys = np.sort(videos * limit + ids)
    keys = keys[np.r_[True, keys[1:] != keys[:-1]]]
    return keys % limit, np.bincount(keys // limit, minlength=len(runs))
