"""How often classes occur, alone and by vertical with others.

counts = LabelCounts(vertical_of=None)
counts.add([3, 17])
counts.finish().per_class                   # videos of each class
"""

import collections

import numpy as np

_BLOCK = 4096  # videos that are counted at once


class LabelCounts:
    """The labels of videos, counted.

    Args:
      vertical_of: int [C], the vertical of each class, -1 for none; None: not known.

    Attributes:
      per_video: how many videos have so many labels.
      per_class: int64 [highest class + 1], videos that have each.
      together: int64 [V, V], videos with labels of both verticals; None without them.
    """

    def __init__(self, vertical_of: np.ndarray | None = None):
        self.per_video: collections.Counter[int] = collections.Counter()
        self.per_class = np.zeros(0, np.int64)
        self.together = None
        self._vertical_of = vertical_of
        if vertical_of is not None:
            size = int(vertical_of.max(initial=-1)) + 1
            self.together = np.zeros((size, size), np.int64)
        self._rows: list[list[int]] = []

    def add(self, labels: list[int]) -> None:
        """Counts one video, each of its classes once."""
        self._rows.append(labels)
        if len(self._rows) == _BLOCK:
            self.finish()

    def finish(self) -> "LabelCounts":
        """Counts what has been added; returns itself."""
        lengths = np.array([*map(len, self._rows)], np.int64)
        ids = np.fromiter((i for row in self._rows for i in row), np.int64)
        self._rows = []
        self.add_many(ids, lengths)
        return self

    def add_many(self, ids: np.ndarray, lengths: np.ndarray) -> None:
        """Counts videos: all their classes [m], and how many each has [n], not 0."""
        self.per_video.update(lengths.tolist())
        counts = np.bincount(ids, minlength=len(self.per_class))
        counts[: len(self.per_class)] += self.per_class
        self.per_class = counts
        if self.together is not None and len(ids):
            videos = np.repeat(np.arange(len(lengths)), lengths)
            verticals = self._vertical_of[ids]
            known = verticals >= 0
            has = np.zeros((len(lengths), len(self.together)), np.float32)
            has[videos[known], verticals[known]] = 1
            self.together += (has.T @ has).astype(np.int64)
