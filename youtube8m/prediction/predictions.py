"""Predictions of videos or segments, and what writes them.

Shapes: V videos, N rows (the videos, or segments of them), k classes.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np


class Predictions(NamedTuple):
    """The best classes of some videos, or of segments of them."""

    ids: list[str]  # of the V videos, as `decode_id` reads them
    videos: np.ndarray  # int [N], positions in `ids`
    starts: np.ndarray | None  # int [N], seconds; None: whole videos
    classes: np.ndarray  # int [N, k], the highest confidence first
    scores: np.ndarray  # float32 [N, k], the confidences
    listed: np.ndarray  # bool [N, k], whether the class is to be listed

    def rows(self) -> Iterator[tuple[str, int | None, np.ndarray, np.ndarray]]:
        """Yields id, start, and classes and confidences of at most k listed ones."""
        starts = [None] * len(self.videos) if self.starts is None else self.starts
        columns = (self.videos, starts, self.classes, self.scores, self.listed)
        for video, start, classes, scores, listed in zip(*columns, strict=True):
            yield self.ids[video], start, classes[listed], scores[listed]


class Writer:
    """Writes the rows of `add` to a binary file.

    At the end `finish` writes what is left; or, after an error, `abandon` gives up.
    """

    def __init__(self, file):
        self.file = file

    def add(self, predictions: Predictions) -> None:
        raise NotImplementedError

    def finish(self) -> None:
        pass

    def abandon(self) -> None:
        pass
