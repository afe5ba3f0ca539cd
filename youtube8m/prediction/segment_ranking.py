"""The best segments of each class, as a CSV lists them.

ranking = SegmentRanking(allowed, max_per_class=100_000)
ranking.add(video_ids, videos, starts, classes, confidences)    # of each batch
file.writelines(ranking.lines())
"""

import numpy as np

from youtube8m.prediction.submission import segment_line

_COMPACT_AT = 20_000_000  # kept predictions; about 320 MB
_PREDICTION = [
    ("class", "i4"),
    ("confidence", "f4"),
    ("video", "i4"),
    ("start", "i4"),
]


class SegmentRanking:
    """Collects predictions of segments and lists each class's best.

    Args:
      allowed: bool [C], the classes that are listed.
      max_per_class: segments kept per class.
    """

    def __init__(self, allowed: np.ndarray, max_per_class: int):
        self.allowed = allowed
        self.max_per_class = max_per_class
        self._parts = [np.empty(0, _PREDICTION)]
        self._video_ids: list[str] = []

    def add(self, video_ids, videos, starts, classes, confidences) -> None:
        """Adds segments [S] with their top classes and confidences [S, k].

        Args:
          video_ids: the videos' names; `videos` [S] are positions in it.
          starts: [S] first frames (seconds).
        """
        listed = self.allowed[classes]
        segment = np.nonzero(listed)[0]
        added = np.empty(len(segment), _PREDICTION)
        added["class"], added["confidence"] = classes[listed], confidences[listed]
        added["video"] = np.asarray(videos)[segment] + len(self._video_ids)
        added["start"] = np.asarray(starts)[segment]
        self._video_ids.extend(video_ids)
        self._parts.append(added)
        if sum(map(len, self._parts)) > _COMPACT_AT:
            self._parts = [self._ranked()]

    def _ranked(self):
        """The best predictions of each class, by class and falling confidence."""
        found = np.concatenate(self._parts)
        found = found[np.lexsort((-found["confidence"], found["class"]))]
        ranks = np.arange(len(found)) - np.searchsorted(found["class"], found["class"])
        return found[ranks < self.max_per_class]

    def lines(self, scored: bool = False):
        """Yields the rows of the CSV, in the order of the classes.

        Args:
          scored: whether segments keep their confidences.
        """
        ranked = self._ranked()
        classes, first = np.unique(ranked["class"], return_index=True)
        for class_id, best in zip(classes, np.split(ranked, first)[1:], strict=True):
            segments = best[["video", "start"]].tolist()
            names = [f"{self._video_ids[video]}:{start}" for video, start in segments]
            if scored:  # with digits for each float32 to be read again as it was
                pairs = zip(names, best["confidence"], strict=True)
                names = [f"{name}:{confidence:.9g}" for name, confidence in pairs]
            yield segment_line(class_id, names)
