"""Mean average precision of a segment CSV against rated segments.

score = evaluate(Submission("segments.csv"), read_ratings(...), top_n=100000)
"""

from typing import NamedTuple

import numpy as np

from youtube8m.data.labels.ratings import Ratings
from youtube8m.metrics import average_precision
from youtube8m.prediction.submission import Submission


class SegmentScore(NamedTuple):
    """The mean average precision of a segment CSV."""

    map: float  # mean over listed classes with a positive, as the starter code's
    map_of_all: float  # a class with a positive that is not listed counts 0
    num_listed: int  # classes that the file lists
    num_missing: int  # classes with a positive that the file does not list


def evaluate(
    submission: Submission, ratings: Ratings, top_n: int | None = None
) -> SegmentScore:
    """The mean of the classes' average precisions; 0.0 where no class has a positive.

    A class's list is cut to its first `top_n`, then unrated segments are dropped: AP =
    sum over the present segments i of precision(i) / P, P all present segments of the
    class, listed or not. Raises UserError at a damaged row.
    """
    precisions = []
    for row, class_id in enumerate(submission.keys):
        rated = ratings.get(class_id, {})
        listed = submission.segments(row)[:top_n]
        hits = [rated[name] for name in listed if name in rated]
        if positives := sum(rated.values()):
            ranking = -np.arange(len(hits))
            precisions.append(average_precision(ranking, hits, positives))
    total = float(np.sum(precisions))
    present = sum(any(rated.values()) for rated in ratings.values())
    return SegmentScore(
        map=total / max(len(precisions), 1),
        map_of_all=total / max(present, 1),
        num_listed=len(submission.keys),
        num_missing=present - len(precisions),
    )
