"""Ensembles of submissions: merging them, their metrics, and choosing weights.

    submissions = [Submission("a.csv"), Submission("b.csv")]
    rows, weights = align(submissions), normalized([0.81, 0.79])
    for part, classes, scores in merged_videos(submissions, rows, weights, 20): ...

A class that a submission does not list counts 0. Shapes: M submissions, V videos, R
videos of a block, K ranks, L labels, P pairs (video, class) that any submission lists.
"""

import itertools
from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd

from youtube8m.errors import UserError
from youtube8m.metrics import Metrics, average_precision
from youtube8m.prediction.submission import Submission
from youtube8m.util.progress import Progress

Rows = Sequence[np.ndarray]  # for each submission some of its rows, int64 [V]
# A slice of the V videos, classes int32 [R, K] and confidences float32 [R, K].
Blocks = Iterator[tuple[slice, np.ndarray, np.ndarray]]

_BLOCK_BYTES = 32 << 20  # of rows merged at once, of all files together
_RANK_OFFSET = 60  # of reciprocal rank fusion


def normalized(weights: Sequence[float]) -> np.ndarray:
    """Weights [M] that sum to 1, float64.

    Of the submissions' GAPs on held-out videos: alpha_i = GAP_i / sum_j GAP_j (Zhao
    2019, algorithm 2, arxiv.org/abs/1811.12563).

    Raises ValueError if a weight is negative or not finite, or all are 0.
    """
    weights = np.asarray(weights, np.float64)
    if not (np.isfinite(weights).all() and (weights >= 0).all() and weights.any()):
        raise ValueError("expected finite numbers from 0 up, not all of them 0")
    return weights / weights.sum()


def find_rows(ids: Sequence[str], submission: Submission, source: str) -> np.ndarray:
    """int64 [V]: the row of each id in the submission.

    Raises UserError if it lacks some of the ids, which are those of `source`.
    """
    keys, wanted = (pd.Index(column, dtype=object) for column in (submission.keys, ids))
    rows = keys.get_indexer(wanted)  # as objects: pandas' texts have no odd bytes
    missing = np.flatnonzero(rows < 0)
    if missing.size:
        raise UserError(
            f"{submission.path}: lacks {missing.size} of the {len(ids)} videos of "
            f"{source}, first {ids[missing[0]]!r}; expected a row for each"
        )
    return rows


def align(submissions: Sequence[Submission]) -> list[np.ndarray]:
    """For each submission int64 [V], its rows in the order of the first one's.

    Raises UserError unless they have the same videos.
    """
    first = submissions[0]
    rows = [find_rows(first.keys, s, first.path) for s in submissions]
    for submission in submissions:
        if len(submission.keys) > len(first.keys):
            find_rows(submission.keys, first, submission.path)  # raises
    return rows


def merged_videos(
    submissions: Sequence[Submission], rows: Rows, weights: np.ndarray, top_k: int
) -> Blocks:
    """The weighted sum of the `rows` of video CSVs, by `weights` [M] that sum to 1.

    Yields:
      Blocks of the best K = top_k classes of each video, falling; of equal confidence
      the lower id first. Where fewer are listed, the rest is class -1 of confidence
      -inf.

    Raises UserError at a damaged row.
    """
    total = len(rows[0])
    row_bytes = sum(s.num_bytes / len(s.keys) for s in submissions)
    size = max(1, int(_BLOCK_BYTES / row_bytes))
    with Progress("merging", total) as progress:
        for start in range(0, total, size):
            part = slice(start, min(start + size, total))
            lists = [s.pairs(r[part]) for s, r in zip(submissions, rows, strict=True)]
            yield part, *_merge(lists, weights, top_k)
            progress.update(part.stop)


def _merge(lists, weights, top_k):
    """Classes and confidences [R, K] of M tuples, which `Submission.pairs` returns."""
    keys = np.concatenate([_keys(counts, classes) for counts, classes, _ in lists])
    values = [w * scores for (*_, scores), w in zip(lists, weights, strict=True)]
    order = np.argsort(keys, kind="stable")
    keys = keys[order]
    first = np.flatnonzero(np.diff(keys, prepend=-1))
    sums = np.add.reduceat(np.concatenate(values)[order], first)
    keys, sums = keys[first], sums.astype(np.float32)
    best, rows, ranks = _find_best(keys, sums, top_k)
    shape = (len(lists[0][0]), top_k)
    classes, scores = np.full(shape, -1, np.int32), np.full(shape, -np.inf, np.float32)
    classes[rows, ranks] = keys[best] % 2**32
    scores[rows, ranks] = sums[best]
    return classes, scores


def _keys(counts, classes):
    """int64 [N]: the row (high half) and class of each pair."""
    return np.repeat(np.arange(len(counts)), counts) << 32 | classes


def _find_best(keys, scores, top_k):
    """Positions of the top_k pairs of each row, their rows and ranks, all [n].

    Args:
      keys: `_keys`, sorted; scores: float32 from 0 up, of the same length.
    """
    rows = keys >> 32
    # The bits of floats from 0 up rise with them; the sum turns -0.0 into 0.0.
    falling = (2**31 - 1) - (scores + np.float32(0)).view(np.int32)
    # Stable: classes rise in `keys`, so that of equal scores the lower id is first.
    order = np.argsort(rows << 32 | falling, kind="stable")
    ranks = np.arange(len(rows)) - np.searchsorted(rows, rows)
    kept = ranks < top_k
    return order[kept], rows[kept], ranks[kept]


def merged_segments(
    submissions: Sequence[Submission], weights: np.ndarray, max_per_class: int
) -> Iterator[tuple[int, list[str]]]:
    """The fusion of segment CSVs, which have ranks alone, class by class.

    A segment's score is sum_m weight_m / (60 + rank_m), 0 where m does not list it:
    reciprocal rank fusion (Cormack et al. 2009, doi.org/10.1145/1571941.1572114). It
    needs no confidences, does not depend on how long the lists are, and weighs the
    first ranks most, as mean average precision does. Of equal scores the segment that
    an earlier submission lists, or lists higher, is first.

    Yields:
      (class, its best segments as `id:start`), at most max_per_class.

    Raises UserError at a damaged row.
    """
    rows = [{key: row for row, key in enumerate(s.keys)} for s in submissions]
    classes = sorted(set().union(*rows))
    with Progress("merging", len(classes), "class") as progress:
        for done, class_id in enumerate(classes, 1):
            listed = [
                (s.segments(row_of[class_id]), weight)
                for s, row_of, weight in zip(submissions, rows, weights, strict=True)
                if class_id in row_of
            ]
            yield class_id, fuse(listed)[:max_per_class]
            progress.update(done)


def fuse(lists: Sequence[tuple[list[str], float]]) -> list[str]:
    """Reciprocal rank fusion of (names, best first; weight) tuples."""
    names = np.array([name for names, _ in lists for name in names], object)
    scores = [w / (_RANK_OFFSET + 1 + np.arange(len(names))) for names, w in lists]
    codes, unique = pd.factorize(names)
    sums = np.bincount(codes, np.concatenate(scores)).astype(np.float32)
    return unique[np.argsort(-sums, kind="stable")].tolist()


def evaluate(blocks: Blocks, labels: np.ndarray, num_classes: int, top_k: int) -> dict:
    """`Metrics.result` of `merged_videos`, whose top_k pairs are all there is.

    Args:
      labels: int [V, L], padded with -1.
    """
    metrics = Metrics(num_classes, top_k)
    for part, top in labelled(blocks, labels, top_k):
        metrics.update(top, labels[part])
    return metrics.result()


def labelled(
    blocks: Blocks, labels: np.ndarray, top_k: int
) -> Iterator[tuple[slice, dict[str, np.ndarray]]]:
    """The blocks of `merged_videos` as `metrics.top_predictions` gives them.

    Args:
      labels: int [V, L], padded with -1.
    """
    missing = ((0, 0), (0, max(0, labels.shape[1] - top_k)))  # PERR needs L ranks
    for part, classes, scores in blocks:
        hits = (classes[:, :, None] == labels[part, None]).any(axis=2) & (classes >= 0)
        top = {
            "scores": np.pad(scores, missing, constant_values=-np.inf),
            "classes": np.pad(np.maximum(classes, 0), missing),
            "hits": np.pad(hits, missing),
        }
        yield part, top


def confidences(
    submissions: Sequence[Submission], rows: Rows
) -> tuple[np.ndarray, np.ndarray]:
    """The pairs (video, class) that any submission lists, and all confidences of them.

    Returns int64 [P], the number of the video (high half) and the class, sorted; and
    float64 [M, P], 0 where a submission does not list the pair.
    """
    lists = [s.pairs(r) for s, r in zip(submissions, rows, strict=True)]
    listed = [_keys(counts, classes) for counts, classes, _ in lists]
    keys = np.unique(np.concatenate(listed))
    scores = np.zeros((len(lists), len(keys)))
    for row, own, (*_, values) in zip(scores, listed, lists, strict=True):
        row[np.searchsorted(keys, own)] = values
    return keys, scores


def select(
    submissions: Sequence[Submission], rows: Rows, labels: np.ndarray, top_k: int
) -> Iterator[tuple[int, float]]:
    """Greedy forward selection with replacement, as long as GAP rises.

    Each step adds the submission that makes the mean of all picks best; how often one
    was picked is its weight (Caruana et al. 2004, "Ensemble Selection from Libraries of
    Models").

    Args:
      labels: int [V, L], padded with -1, of the videos of `rows`.

    Yields:
      (the number of the submission that is picked, the GAP of all picks so far).
    """
    keys, scores = confidences(submissions, rows)
    label_rows, columns = np.nonzero(labels >= 0)
    positives = label_rows << 32 | labels[label_rows, columns]
    hits = np.isin(keys, positives)

    def gap(mean):
        mean = mean.astype(np.float32)
        best, _, _ = _find_best(keys, mean, top_k)
        return average_precision(mean[best], hits[best], len(positives))

    total, highest = np.zeros(len(keys)), 0.0
    for count in itertools.count(1):
        gaps = []
        with Progress(f"pick {count}", len(scores), "file") as progress:
            for added in scores:
                gaps.append(gap((total + added) / count))
                progress.update(len(gaps))
        pick = int(np.argmax(gaps))
        if gaps[pick] <= highest:
            return
        highest = gaps[pick]
        total += scores[pick]
        yield pick, highest
