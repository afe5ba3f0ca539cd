"""The CSV files of the Kaggle challenges.

    VideoId,LabelConfidencePairs          Class,Segments
    aAbc,3 0.99 17 0.45 ...               3,aAbc:5 aAbd:40 ...

Confidences fall from left to right; segment rows list no confidences.
"""

import numpy as np
import pandas as pd

from youtube8m.errors import UserError

VIDEO_HEADER = "VideoId,LabelConfidencePairs\n"
SEGMENT_HEADER = "Class,Segments\n"

_COMPACT_AT = 20_000_000  # kept predictions; about 320 MB


def video_line(video_id: str, classes, scores) -> str:
    """One row: classes [k] and scores [k] in falling order."""
    pairs = zip(classes.tolist(), scores.tolist(), strict=True)
    pairs = " ".join(f"{class_id} {score:g}" for class_id, score in pairs)
    return f"{video_id},{pairs}\n"


def read_segment_classes(path: str, num_classes: int) -> np.ndarray:
    """bool [C]: the classes to list, by a CSV with column `Index`, or 'all'.

    Raises:
      UserError: the file cannot be read, or holds something else than class ids.
    """
    allowed = np.zeros(num_classes, bool)
    if path == "all":
        return ~allowed
    flag = f"--segment_label_ids_file={path}"
    try:
        column = pd.read_csv(path)["Index"]
    except (OSError, ValueError, KeyError) as error:
        raise UserError(
            f"{flag}: cannot be read as a CSV with a column 'Index' ({error}); give a "
            "local file, or 'all'"
        ) from None
    ids = pd.to_numeric(column, errors="coerce")
    wrong = column[~(ids.between(0, num_classes - 1) & (ids % 1 == 0))]
    if len(wrong):
        raise UserError(f"{flag}: {wrong.iloc[0]!r} is no class id below {num_classes}")
    allowed[ids.astype(int)] = True
    return allowed


class SegmentRanking:
    """Collects scored segments and lists each class's best.

    Args:
      allowed: bool [C], the classes that are listed.
      max_per_class: segments kept per class.
    """

    def __init__(self, allowed: np.ndarray, max_per_class: int):
        self.allowed = allowed
        self.max_per_class = max_per_class
        self._columns: list[tuple] = []
        self._size = 0
        self._video_ids: list[str] = []

    def add(self, video_ids, videos, starts, classes, scores) -> None:
        """Adds segments [S] with their top classes and scores [S, k].

        Args:
          video_ids: the videos' names; `videos` [S] are positions in it.
          starts: [S] first frames (seconds).
        """
        listed = self.allowed[classes]
        segment = np.nonzero(listed)[0]
        columns = (
            classes[listed].astype(np.int32),
            scores[listed].astype(np.float32),
            (np.asarray(videos)[segment] + len(self._video_ids)).astype(np.int64),
            np.asarray(starts)[segment].astype(np.int32),
        )
        self._video_ids.extend(video_ids)
        self._columns.append(columns)
        self._size += len(segment)
        if self._size > _COMPACT_AT:
            self._columns = [self._ranked()]
            self._size = len(self._columns[0][0])

    def _ranked(self):
        """All columns, by class and falling score, cut to the best of each class."""
        if not self._columns:
            return (np.zeros(0, np.int32),) * 4
        columns = [np.concatenate(part) for part in zip(*self._columns, strict=True)]
        order = np.lexsort((-columns[1], columns[0]))
        columns = [column[order] for column in columns]
        classes = columns[0]
        first = np.searchsorted(classes, classes)
        kept = np.arange(len(classes)) - first < self.max_per_class
        return tuple(column[kept] for column in columns)

    def lines(self):
        """Yields the rows of the CSV, in the order of the classes."""
        classes, _, videos, starts = self._ranked()
        for class_id in np.unique(classes):
            here = slice(*np.searchsorted(classes, (class_id, class_id + 1)))
            names = (self._video_ids[video] for video in videos[here])
            segments = zip(names, starts[here], strict=True)
            yield f"{class_id}," + " ".join(f"{n}:{s}" for n, s in segments) + "\n"
