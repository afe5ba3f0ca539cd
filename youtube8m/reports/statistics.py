"""The numbers of an evaluation report: intervals, curves, calibration, mistakes.

    collector = Collector(num_classes=3862, top_k=20)
    collector.add(ids, top, labels, loss)          # batch by batch, as Metrics.update
    pool = collector.pool()
    replicates = bootstrap(pool, replicates=1000, seed=0)
    interval(replicates.gap)                       # (0.54, 0.57)

What is kept of a video is what the metrics use: its K = top_k best predictions, its
labels and its id, about 10 K bytes in all. Point values are those of
`youtube8m.metrics`. Shapes: V examples (videos or segments), K predictions of each,
N = V K pairs, C classes, L pairs (example, label), U videos, R replicates.

A replicate of the Poisson bootstrap counts each video n times, n drawn from Poisson(1).
That is the usual bootstrap (draw as many videos as there are, with repetitions) but for
the number of videos, which varies. All predictions of a video have its count, and so
have all segments of a video. So what belongs together stays together, and intervals of
all metrics come from the same draws. Source: Chamandy et al. 2012, Estimating
uncertainty for massive data streams.
"""

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from youtube8m.metrics import (
    compute_precisions,
    drop_repeats,
    pack_pairs,
    ranked_average_precisions,
)
from youtube8m.util.progress import Progress

REPLICATES = 1000
LEVEL = 0.95
_CHUNK = 1 << 16  # examples, or pairs with a label, that are worked on at once


@dataclasses.dataclass(frozen=True)
class Pool:
    """What was predicted for all examples."""

    num_classes: int
    ids: np.ndarray  # bytes, object [V]
    video: np.ndarray  # int32 [V], number of the example's video, from 0 to U - 1
    scores: np.ndarray  # float32 [V, K], falling
    classes: np.ndarray  # int32 [V, K]
    hits: np.ndarray  # bool [V, K], whether the class is a label
    label_example: np.ndarray  # int32 [L], rising
    label_class: np.ndarray  # int32 [L]
    of_examples: Mapping[str, np.ndarray]  # float64 [V] each; their means are metrics
    starts: np.ndarray | None = None  # int32 [V], seconds, of segments
    rated: np.ndarray | None = None  # int64 [C], segments rated for the class

    @property
    def num_videos(self) -> int:
        """U, how many different ids there are."""
        return int(self.video.max(initial=-1)) + 1

    @property
    def positives(self) -> np.ndarray:
        """int64 [C]: the examples that have each class."""
        return np.bincount(self.label_class, minlength=self.num_classes)


class Collector:
    """Collects batches for a `Pool`."""

    def __init__(self, num_classes: int, top_k: int = 20):
        self._num_classes, self._top_k = num_classes, top_k
        self._columns: dict[str, list] = {}
        self._rated = None

    def add(
        self, ids, top: Mapping, labels, loss=None, rated=None, starts=None
    ) -> None:
        """Adds a batch.

        Args:
          ids: bytes [B].
          top: `metrics.top_predictions` of the batch, with k of at least `top_k`.
          labels: int [B, L], padded with -1.
          loss: float [B], optional.
          rated: int [B, R], of segments the rated classes, padded with -1.
          starts: int [B], of segments the second at which they start.
        """
        scores, classes, hits = (
            np.asarray(top[name]) for name in ("scores", "classes", "hits")
        )
        labels = drop_repeats(np.asarray(labels))
        listed = labels >= 0
        first = np.s_[:, : self._top_k]
        self._keep(
            ids=np.asarray(ids, object),
            scores=scores[first].astype(np.float32),
            classes=classes[first].astype(np.int32),
            hits=hits[first].astype(bool),
            num_labels=np.count_nonzero(listed, axis=1),
            labels=labels[listed].astype(np.int32),
            hit_at_one=hits[:, 0].astype(np.float64),
            perr=compute_precisions(scores, hits, labels),
        )
        if loss is not None:
            self._keep(loss=np.asarray(loss, np.float64))
        if starts is not None:
            self._keep(starts=np.asarray(starts, np.int32))
        if rated is not None:
            rated = drop_repeats(np.asarray(rated))
            counts = np.bincount(rated[rated >= 0], minlength=self._num_classes)
            self._rated = counts + (0 if self._rated is None else self._rated)

    def _keep(self, **columns):
        for name, values in columns.items():
            self._columns.setdefault(name, []).append(values)

    def pool(self) -> Pool:
        """All that was added, at least one example."""
        columns = {name: np.concatenate(v) for name, v in self._columns.items()}
        count = len(columns["ids"])
        means = ("hit_at_one", "perr", "loss")
        return Pool(
            self._num_classes,
            columns["ids"],
            pd.factorize(columns["ids"])[0].astype(np.int32),
            columns["scores"],
            columns["classes"],
            columns["hits"],
            np.repeat(np.arange(count, dtype=np.int32), columns["num_labels"]),
            columns["labels"],
            {name: columns[name] for name in means if name in columns},
            columns.get("starts"),
            self._rated,
        )


class Ranking:
    """All pairs of a pool, from high to low score: in one list, or a list a class.

    Attributes:
      order: int64 [N], positions in the flat arrays of the pool.
      pairs: uint64 [N], as `metrics.pack_pairs`, sorted.
      starts: int64 [G + 1]; list g is from starts[g] to starts[g + 1].
    """

    def __init__(self, pool: Pool, by_class: bool):
        classes = pool.classes if by_class else np.zeros_like(pool.classes)
        pairs = pack_pairs(pool.scores, classes, pool.hits).ravel()
        self.order = np.argsort(pairs, kind="stable")
        self.pairs = pairs[self.order]
        groups = pool.num_classes if by_class else 1
        first = np.arange(groups + 1, dtype=np.uint64) << np.uint64(33)
        self.starts = np.searchsorted(self.pairs, first)

    @property
    def hits(self) -> np.ndarray:
        """bool [N], in the order of the ranking."""
        return (self.pairs & np.uint64(1)).astype(bool)


# Intervals.


@dataclasses.dataclass(frozen=True)
class Replicates:
    """Metrics of R data sets that were drawn from the videos."""

    means: Mapping[str, np.ndarray]  # hit_at_one, perr and loss, float64 [R] each
    gap: np.ndarray  # float64 [R]
    map: np.ndarray  # float64 [R]
    average_precisions: np.ndarray  # float32 [R, C], nan where no video is positive

    def group_means(self, groups: np.ndarray, count: int) -> np.ndarray:
        """float64 [R, count]: mean average precision of groups of classes.

        Args:
          groups: int [C], the group of each class, -1 for none.
        """
        return np.stack(
            [
                _mean_of_finite(self.average_precisions[:, groups == group])
                for group in range(count)
            ],
            axis=1,
        )


def bootstrap(pool: Pool, replicates: int | None = None, seed: int = 0) -> Replicates:
    """The metrics of replicates. Pools of the same videos get the same draws.

    Exact: a replicate's metrics are those that `youtube8m.metrics` computes of a data
    set where each video is repeated as often as it was drawn, but for a mean over no
    video, which is nan.
    """
    replicates = replicates or REPLICATES
    draws = np.random.default_rng(seed)
    pooled = _WeightedPrecisions(pool, Ranking(pool, by_class=False))
    by_class = _WeightedPrecisions(pool, Ranking(pool, by_class=True))
    label_video = pool.video[pool.label_example]
    means = {name: np.empty(replicates) for name in pool.of_examples}
    gap, mean_ap = np.empty(replicates), np.empty(replicates)
    precisions = np.empty((replicates, pool.num_classes), np.float32)
    with Progress("bootstrap", replicates, "replicate") as progress:
        for r in range(replicates):
            counts = draws.poisson(1.0, pool.num_videos).astype(np.int32)
            weights = counts[pool.video].astype(np.float64)
            total = weights.sum()
            for name, values in pool.of_examples.items():
                means[name][r] = _divide(weights @ values, total)
            positives = np.bincount(
                pool.label_class, counts[label_video], minlength=pool.num_classes
            )
            gap[r] = _divide(pooled.sums(counts)[0], positives.sum())
            precisions[r] = found = _divide(by_class.sums(counts), positives)
            mean_ap[r] = _mean_of_finite(found)
            progress.update(r + 1)
    return Replicates(means, gap, mean_ap, precisions)


class _WeightedPrecisions:
    """Sums of precisions at the hits of rankings whose pairs are repeated.

    Pairs of one score are a tie, and so are the copies of a pair. A tie of n copies, k
    of them hits, after N copies with K hits, adds (see `ranked_average_precisions`)

        k / n sum_i (K + 1 + i a) / (N + 1 + i),  a = (k - 1) / (n - 1), 0 <= i < n
        = k / n (a n + (K + 1 - a (N + 1)) (h(N + n) - h(N))),

    where h(n) = 1 + 1/2 + ... + 1/n.
    """

    def __init__(self, pool, ranking):
        width = pool.scores.shape[1]
        videos = pool.video[ranking.order // width]
        hit_at = np.flatnonzero(ranking.hits)
        self._videos, self._hit_videos = videos, videos[hit_at]
        # Hits are odd numbers, last in their tie.
        tie = np.searchsorted(ranking.pairs, ranking.pairs[hit_at] - np.uint64(1))
        self._begin, self._first_hit = np.unique(tie, return_index=True)
        last_hit = np.append(self._first_hit, len(hit_at))[1:]
        self._end = hit_at[last_hit - 1] + 1
        self._last_hit = last_hit
        self._starts = ranking.starts
        self._group = np.searchsorted(ranking.starts, self._begin, side="right") - 1
        self._hit_starts = np.searchsorted(hit_at, ranking.starts)
        self._harmonic = _harmonic_numbers(len(videos))

    def sums(self, counts):
        """float64 [G], for the counts int32 [U] of the videos."""
        copies, hit_copies = (
            _cumulated(counts[self._videos]),
            _cumulated(counts[self._hit_videos]),
        )
        if copies[-1] >= len(self._harmonic):
            self._harmonic = _harmonic_numbers(int(copies[-1] * 1.1))
        before, begin = copies[self._starts][self._group], copies[self._begin]
        n, big_n = copies[self._end] - begin, begin - before
        hits_before = hit_copies[self._hit_starts][self._group]
        first = hit_copies[self._first_hit]
        k, big_k = hit_copies[self._last_hit] - first, first - hits_before
        a = (k - 1) / np.maximum(n - 1, 1) * (n > 1)
        harmonic = self._harmonic[big_n + n] - self._harmonic[big_n]
        added = a * n + (big_k + 1 - a * (big_n + 1)) * harmonic
        added *= k / np.maximum(n, 1)
        return np.bincount(self._group, added, minlength=len(self._starts) - 1)


def _harmonic_numbers(count):
    """float64 [count + 1]: h(0), h(1) ... h(count)."""
    return np.append(0.0, np.cumsum(1.0 / np.arange(1, count + 1)))


def _cumulated(counts):
    """int32 [N + 1]: sums of the first 0, 1, ... N counts."""
    sums = np.zeros(len(counts) + 1, np.int32)
    np.cumsum(counts, out=sums[1:])
    return sums


def _divide(value, by):
    """value / by, nan where `by` is 0."""
    value, by = np.asarray(value, np.float64), np.asarray(by, np.float64)
    nothing = np.full(np.broadcast_shapes(value.shape, by.shape), np.nan)
    return np.divide(value, by, out=nothing, where=by > 0)


def _mean_of_finite(values):
    """The mean over the last axis without nan; nan where nothing is left."""
    finite = np.isfinite(values)
    return _divide(np.where(finite, values, 0.0).sum(-1), finite.sum(-1))


def interval(replicates: np.ndarray, value=None, level: float = LEVEL) -> np.ndarray:
    """float64 [2, ...]: where the middle `level` of the replicates lies.

    The metric of replicates may be biased: a label that is drawn twice makes a rare
    class easier, so mAP rises. With `value`, the metric of the data themselves,
    replicates are moved so that their mean is the value. The interval then says how
    much the metric varies from one data set of this size to the next.

    Args:
      replicates: float [R, ...]; nan does not count.
      value: float [...], or None.
    """
    ordered = np.sort(replicates, axis=0)  # nan last
    last = np.count_nonzero(np.isfinite(ordered), axis=0) - 1
    move = 0.0
    if value is not None:
        move = value - _divide(np.nansum(ordered, axis=0, dtype=np.float64), last + 1)
    ends = []
    for share in ((1 - level) / 2, (1 + level) / 2):
        place = np.maximum(last, 0) * share
        below = np.floor(place).astype(int)
        above = np.minimum(below + 1, np.maximum(last, 0))
        low, high = (
            np.take_along_axis(ordered, index[None], 0)[0].astype(np.float64)
            for index in (below, above)
        )
        ends.append(low + (place - below) * (high - low) + move)
    return np.stack(ends)


# Curves.


def precision_recall(pool: Pool, points: int = 400) -> pd.DataFrame:
    """Precision and recall of all pairs above a confidence, in one ranking.

    The columns are `confidence`, `recall` and `precision`, rows at about `points`
    confidences, evenly spread over the found labels and over the orders of magnitude.
    """
    ranking = Ranking(pool, by_class=False)
    found = np.cumsum(ranking.hits)
    scores = pool.scores.ravel()[ranking.order]
    last = np.flatnonzero(np.append(scores[1:] != scores[:-1], True))
    found, ranks = found[last], last + 1
    wanted = np.union1d(
        np.linspace(0, found[-1], points // 2),
        np.geomspace(1, found[-1] + 1, points // 2),
    )
    chosen = np.unique(np.minimum(np.searchsorted(found, wanted), len(last) - 1))
    recall = found[chosen] / max(len(pool.label_class), 1)
    precision = found[chosen] / ranks[chosen]
    columns = {"confidence": scores[last][chosen].astype(np.float64)}
    return pd.DataFrame(columns | {"recall": recall, "precision": precision})


def gap_against_k(pool: Pool) -> pd.DataFrame:
    """GAP where only the k best predictions of a video count: columns `k`, `GAP`."""
    width = pool.scores.shape[1]
    ranking = Ranking(pool, by_class=False)
    ranks = (ranking.order % width).astype(np.int32)
    positives = np.array([len(pool.label_class)])
    most = [k for k in (1, 2, 3, 4, 5, 6, 8, 10, 12, 15, 20) if k < width]
    most += [k for k in (30, 50, 100, 200, 500, 1000) if k < width] + [width]
    gaps = []
    for k in most:
        pairs = ranking.pairs[ranks < k]
        starts = np.array([0, len(pairs)])
        gaps.append(ranked_average_precisions(pairs, starts, positives, None)[0])
    return pd.DataFrame({"k": most, "GAP": np.nan_to_num(gaps)})


def reliability(pool: Pool, bins: int = 20) -> tuple[pd.DataFrame, float]:
    """How often predictions of a confidence are right, and the calibration error.

    Returns a frame with a row for each bin of confidences that has predictions: `from`,
    `to`, `predictions`, `mean confidence`, `share right`; and the expected calibration
    error, sum over bins of |share right - mean confidence| predictions / N (Guo et al.
    2017, arxiv.org/abs/1706.04599), of the K best predictions of each example.
    """
    scores = np.clip(pool.scores.ravel().astype(np.float64), 0, 1)
    place = np.minimum((scores * bins).astype(np.int32), bins - 1)
    count = np.bincount(place, minlength=bins)
    confidence = _divide(np.bincount(place, scores, minlength=bins), count)
    right = _divide(np.bincount(place, pool.hits.ravel(), minlength=bins), count)
    gaps = np.abs(right - confidence)
    error = float(np.nansum(gaps * count) / max(count.sum(), 1))
    edges = np.arange(bins + 1) / bins
    frame = pd.DataFrame(
        {
            "from": edges[:-1],
            "to": edges[1:],
            "predictions": count,
            "mean confidence": confidence,
            "share right": right,
        }
    )
    return frame[count > 0].reset_index(drop=True), error


def count_confidences(
    pool: Pool, bins: int = 40
) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Edges [bins + 1] of confidences, and the right and wrong predictions between."""
    edges = np.linspace(0, 1, bins + 1)
    scores, hits = np.clip(pool.scores.ravel(), 0, 1), pool.hits.ravel()
    right, _ = np.histogram(scores[hits], edges)
    wrong, _ = np.histogram(scores[~hits], edges)
    return edges, {"right": right, "wrong": wrong}


def best_thresholds(pool: Pool) -> pd.DataFrame:
    """For each class [C] the confidence with the highest F1, among the listed pairs.

    The columns are `listed` (examples that list the class), `threshold`, `precision`,
    `recall` and `F1` of predicting the class from that confidence on; nan where the
    class is never found.
    """
    ranking, positives = Ranking(pool, by_class=True), pool.positives
    starts, count = ranking.starts, len(ranking.pairs)
    group = np.repeat(np.arange(pool.num_classes), np.diff(starts))
    hits = np.append(0, np.cumsum(ranking.hits))
    found = hits[1:] - hits[starts[group]]
    ranks = np.arange(count) - starts[group] + 1
    score = 2 * found / (ranks + positives[group])
    ties = ranking.pairs >> np.uint64(1)
    score[:-1][ties[1:] == ties[:-1]] = -1  # a threshold takes a tie whole
    best = np.lexsort((-score, group))[starts[:-1].clip(max=max(count - 1, 0))]
    seen = (np.diff(starts) > 0) & (positives > 0)
    seen[seen] &= found[best[seen]] > 0

    def column(values):
        return np.where(seen, values[best].astype(np.float64), np.nan)

    scores = pool.scores.ravel()[ranking.order]
    return pd.DataFrame(
        {
            "listed": np.diff(starts),
            "threshold": column(scores),
            "precision": column(found / ranks),
            "recall": column(found / np.maximum(positives[group], 1)),
            "F1": column(score),
        }
    )


# Mistakes.


def costs(pool: Pool) -> np.ndarray:
    """float64 [V, K]: how much GAP each wrong prediction costs; 0 of right ones.

    Without a wrong pair, each hit i below it, at rank n_i with K_i hits up to it, has
    the precision K_i / (n_i - 1) instead of K_i / n_i. So GAP grows by

        1 / P sum over the hits i below of K_i / (n_i (n_i - 1)),

    where P is the number of labels. (Removing two of them gains a bit more than the
    sum of both costs.)
    """
    ranking = Ranking(pool, by_class=False)
    hits = ranking.hits
    ranks = np.arange(1, len(hits) + 1, dtype=np.float64)
    gains = np.where(hits, np.cumsum(hits) / (ranks * np.maximum(ranks - 1, 1)), 0.0)
    below = np.cumsum(gains[::-1])[::-1]  # gains of a miss are 0
    cost = np.empty(len(hits))
    cost[ranking.order] = np.where(hits, 0.0, below / max(len(pool.label_class), 1))
    return cost.reshape(pool.scores.shape)


def confused_pairs(
    pool: Pool, cost: np.ndarray, count: int = 50
) -> tuple[pd.DataFrame, float]:
    """Which wrong label stands before which label of the video, by their cost.

    The cost of a wrong prediction is shared among the labels of the video that are
    below it, or not listed. Where all labels are above it, it is an extra label.

    Args:
      cost: `costs` [V, K].
      count: how many pairs are returned.

    Returns a frame `wrong`, `present` (class ids), `cost`, `videos` (examples), and the
    cost of all extra labels.
    """
    width, classes = pool.scores.shape[1], pool.num_classes
    num_labels = np.bincount(pool.label_example, minlength=len(pool.scores))
    below = num_labels[:, None] - np.cumsum(pool.hits, axis=1)
    share = _divide(cost, below)
    keys, sums, counts = [], [], []
    for start in range(0, len(pool.label_class), _CHUNK):
        rows = np.s_[start : start + _CHUNK]
        example, label = pool.label_example[rows], pool.label_class[rows]
        listed = pool.classes[example] == label[:, None]
        place = np.where(listed.any(1), listed.argmax(1), width)
        before = (np.arange(width) < place[:, None]) & ~pool.hits[example]
        row, column = np.nonzero(before)
        key = pool.classes[example[row], column].astype(np.int64) * classes + label[row]
        key, inverse, number = np.unique(key, return_inverse=True, return_counts=True)
        keys.append(key)
        sums.append(np.bincount(inverse, share[example[row], column], len(key)))
        counts.append(number)
    frame = pd.DataFrame(
        {
            "key": np.concatenate([np.empty(0, np.int64), *keys]),
            "cost": np.concatenate([np.empty(0), *sums]),
            "videos": np.concatenate([np.empty(0, np.int64), *counts]),
        }
    )
    frame = frame.groupby("key", as_index=False).sum().nlargest(count, "cost")
    wrong, present = np.divmod(frame["key"].to_numpy(), classes)
    table = pd.DataFrame({"wrong": wrong, "present": present})
    table["cost"], table["videos"] = (
        frame["cost"].to_numpy(),
        frame["videos"].to_numpy(),
    )
    return table, float(cost[below <= 0].sum())


def most_expensive(pool: Pool, cost: np.ndarray, count: int = 50) -> np.ndarray:
    """int64 [count]: the examples whose wrong predictions cost most, in that order."""
    total = cost.sum(axis=1)
    return np.lexsort((np.arange(len(total)), -total))[:count]


def labels_of(pool: Pool, examples: Sequence[int]) -> list[np.ndarray]:
    """The label ids of some examples."""
    ends = np.searchsorted(pool.label_example, [(e, e + 1) for e in examples])
    return [pool.label_class[start:end] for start, end in ends]
