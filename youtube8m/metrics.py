"""Hit@1, PERR, GAP and mAP of a whole data set: exact, streaming, mergeable.

    metrics = Metrics(num_classes=3862, top_k=20)
    metrics.update(top_predictions(predictions, labels, k=20), labels, loss)
    metrics.result()["gap"]                # other.merge(metrics) joins two parts

The definitions are the starter code's (github.com/google/youtube-8m, eval_util.py).
Shapes: [B, C] videos, classes; L labels of a video; K ranks kept of a video; G
rankings; N pairs (class, score) in them.

Ties. In a video, the lower class id ranks first. Among pooled pairs of equal score, an
average precision is the mean over all their orders, so neither the order of the batches
nor merging changes it. (The starter code takes one random order.)
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from keras import ops

from youtube8m.schema import LABEL_PADDING

_SUMS = (
    *("examples", "hits", "precision"),
    *("loss", "loss_examples", "rated_loss", "rated_loss_examples"),
)


def top_predictions(predictions, labels, k: int) -> dict[str, Any]:
    """The best classes of each video, all that `Metrics` needs of a batch.

    PERR uses as many ranks as a video has labels, so K = min(C, max(k, L)).

    Args:
        predictions: float [B, C].
        labels: int [B, L], class ids padded with -1; L may be unknown in a graph.

    Returns `scores` float32 [B, K] in falling order, `classes` int32 [B, K], and `hits`
    bool [B, K]: whether the class is a label of the video. Of equal scores, the lower
    id is first (TensorFlow and JAX promise it, PyTorch does not).
    """
    labels = ops.cast(labels, "int32")
    num_classes, num_labels = ops.shape(predictions)[1], ops.shape(labels)[1]
    static = isinstance(num_classes, int) and isinstance(num_labels, int)
    smaller, larger = (min, max) if static else (ops.minimum, ops.maximum)
    num_ranks = smaller(num_classes, larger(k, num_labels))
    # Cast first, so that the rule also holds for scores that are equal in float32.
    scores, classes = ops.top_k(ops.cast(predictions, "float32"), num_ranks)
    classes = ops.cast(classes, "int32")
    hits = ops.any(ops.equal(classes[:, :, None], labels[:, None, :]), axis=-1)
    return {"scores": scores, "classes": classes, "hits": hits}


def average_precision(scores, hits, num_positives=None, top_n=None) -> float:
    """Average precision of one ranking, as the starter code's `ap_at_n`.

    AP = sum over the hits i of precision(i) / P. precision(i) is the share of hits
    among the ranks up to that of i, and P the number of positives. With `top_n`, only
    that many ranks count, and P is at most `top_n`.

    Args:
        scores: float [N], in any order.
        hits: bool or number [N]; above 0 means positive.
        num_positives: P, if positives are missing from the list; by default the hits.
        top_n: positive int, or None for all ranks.

    Returns 0.0 if there is no positive. Raises ValueError if the lengths differ, or
    `num_positives` or `top_n` is too low.
    """
    scores, hits = np.ravel(scores).astype(np.float64), np.ravel(hits) > 0
    if scores.size != hits.size:
        raise ValueError(f"scores has {scores.size} entries, hits {hits.size}")
    if num_positives is None:
        num_positives = np.count_nonzero(hits)
    if num_positives < 0:
        raise ValueError(f"num_positives must be at least 0, not {num_positives}")
    _check_top_n(top_n)
    ranks = np.unique(-scores, return_inverse=True)[1].astype(np.uint64)
    pairs = np.sort(ranks << 1 | hits)
    return _single_average_precision(pairs, num_positives, top_n)


class Metrics:
    """Collects batches; `result` computes the metrics of all of them.

    Each of a video's top_k pairs takes 8 bytes: 160 MB for a million videos and
    top_k=20, and twice that while `result` ranks them. Scores are float32.

    Args:
        num_classes: C, at least 1.
        top_k: pairs of each video that count in GAP and mAP, at least 1.
    """

    def __init__(self, num_classes: int, top_k: int = 20):
        for name, value in (("num_classes", num_classes), ("top_k", top_k)):
            if value < 1:
                raise ValueError(f"{name} must be at least 1, not {value}")
        self.num_classes = num_classes
        self.top_k = top_k
        self._pairs: list[np.ndarray] = []  # see pack_pairs
        self._positives = np.zeros(num_classes, np.int64)  # videos of each class
        self._sums = dict.fromkeys(_SUMS, 0)

    def update(self, top: Mapping, labels, loss=None, rated_loss=None) -> None:
        """Adds a batch.

        Args:
            top: `top_predictions` of the batch, with k of at least `top_k`.
            labels: int [B, L], padded with -1; a repeated id counts once.
            loss: float [B], or the mean of the batch as a scalar; optional.
            rated_loss: the loss of the rated classes only, of segments; optional.

        Raises ValueError if the shapes do not match, or there are too few ranks or too
        high class ids.
        """
        scores, classes, hits = (
            np.asarray(top[name]) for name in ("scores", "classes", "hits")
        )
        labels = drop_repeats(np.asarray(labels))
        self._check(scores, classes, hits, labels)
        top = np.s_[:, : self.top_k]
        self._pairs.append(pack_pairs(scores[top], classes[top], hits[top]).ravel())
        self._positives += np.bincount(labels[labels >= 0], minlength=self.num_classes)
        self._sums["examples"] += len(scores)
        self._sums["hits"] += np.count_nonzero(hits[:, 0])
        self._sums["precision"] += compute_precisions(scores, hits, labels).sum()
        for name, values in (("loss", loss), ("rated_loss", rated_loss)):
            if values is None:
                continue
            values = np.asarray(values, np.float64)
            if values.shape not in ((), (len(scores),)):
                expected = f"() or ({len(scores)},)"
                raise ValueError(f"{name} {values.shape}: expected {expected}")
            self._sums[name] += np.broadcast_to(values, len(scores)).sum()
            self._sums[f"{name}_examples"] += len(scores)

    def merge(self, other: "Metrics") -> None:
        """Adds everything that `other` has collected; `other` stays as it is.

        Raises ValueError if `other` has other num_classes or another top_k.
        """
        ours, theirs = (self.num_classes, self.top_k), (other.num_classes, other.top_k)
        if ours != theirs:
            raise ValueError(f"cannot merge (num_classes, top_k) {theirs} into {ours}")
        self._pairs.extend(other._pairs)
        self._positives += other._positives
        for name, value in other._sums.items():
            self._sums[name] += value

    def state(self) -> dict[str, np.ndarray]:
        """Everything collected so far, as arrays."""
        return {
            "sizes": np.array([self.num_classes, self.top_k]),
            "pairs": self._sort_pairs(),
            "positives": self._positives,
            "sums": np.array(list(self._sums.values()), np.float64),
        }

    @classmethod
    def from_state(cls, state: Mapping[str, np.ndarray]) -> "Metrics":
        """Metrics with this `state`. Raises KeyError or ValueError if it is not one."""
        metrics = cls(*state["sizes"].tolist())
        metrics._pairs = [state["pairs"].astype(np.uint64, casting="equiv")]
        metrics._positives += state["positives"]
        sums = dict(zip(metrics._sums, state["sums"].tolist(), strict=True))
        counts = ("examples", "hits", "loss_examples")
        metrics._sums = sums | {name: int(sums[name]) for name in counts}
        return metrics

    @property
    def num_examples(self) -> int:
        """How many videos were added."""
        return self._sums["examples"]

    def result(self, top_n: int | None = None) -> dict[str, Any]:
        """The metrics of everything added so far; more may be added afterwards.

        Args:
            top_n: ranks of each class that count in its average precision and in mAP;
                None for all. GAP always ranks every pair.

        Returns:
            A dict of numbers, which are 0 without an example:
            hit_at_one: share of videos whose best class is a label.
            perr: mean over videos of the precision among the top n, where n is the
                video's number of labels (0 for a video without labels).
            gap: average precision of all videos' pairs in one ranking.
            map: mean of `average_precisions` over classes with a positive.
            average_precisions: float64 [C], nan for classes without a positive.
            positives: int64 [C], videos of each class.
            num_examples, num_classes: of videos, and of classes with a positive.
            loss, rated_loss: means over examples; absent if none was given.

        Raises ValueError unless `top_n` is a positive integer or None.
        """
        _check_top_n(top_n)
        sums, present = self._sums, self._positives > 0
        pairs = self._sort_pairs()
        first_of_class = np.arange(self.num_classes + 1, dtype=np.uint64) << 33
        starts = np.searchsorted(pairs, first_of_class)
        by_class = ranked_average_precisions(pairs, starts, self._positives, top_n)
        pairs = pairs & (2**33 - 1)  # drops the class, in a copy
        pairs.sort()
        result = {
            "hit_at_one": _mean(sums["hits"], sums["examples"]),
            "perr": _mean(sums["precision"], sums["examples"]),
            "gap": _single_average_precision(pairs, self._positives.sum(), None),
            "map": _mean(by_class[present].sum(), np.count_nonzero(present)),
            "average_precisions": by_class,
            "positives": self._positives.copy(),
            "num_examples": sums["examples"],
            "num_classes": int(np.count_nonzero(present)),
        }
        for name in ("loss", "rated_loss"):
            if sums[f"{name}_examples"]:
                result[name] = _mean(sums[name], sums[f"{name}_examples"])
        return result

    def _check(self, scores, classes, hits, labels) -> None:
        """Raises ValueError unless shapes, ranks and class ids of a batch are valid."""
        shapes = [array.shape for array in (scores, classes, hits, labels)]
        if scores.ndim != 2 or len(set(shapes[:3])) > 1 or len(scores) != len(labels):
            raise ValueError(f"scores, classes, hits, labels: shapes {shapes} disagree")
        most_labels = np.count_nonzero(labels >= 0, axis=1).max(initial=0)
        needed = min(self.num_classes, max(self.top_k, most_labels))
        if scores.shape[1] < needed:
            raise ValueError(f"{scores.shape[1]} ranks were given, {needed} are needed")
        highest = max(classes.max(initial=0), labels.max(initial=0))
        if highest >= self.num_classes:
            raise ValueError(f"class {highest} is not below {self.num_classes} classes")

    def _sort_pairs(self) -> np.ndarray:
        """All pairs [N], sorted. They replace the batches, which saves memory."""
        pairs = np.concatenate([np.empty(0, np.uint64), *self._pairs])
        self._pairs = [pairs]
        pairs.sort()
        return pairs


def pack_pairs(scores: np.ndarray, classes: np.ndarray, hits: np.ndarray) -> np.ndarray:
    """Packs pairs into uint64, so that sorting the numbers ranks the pairs.

    From the highest bit: class (31 bits), score (32 bits, falling), hit (1 bit). So
    pairs are sorted by class, then from high to low score, misses before hits. Sorting
    integers in place is many times faster than np.lexsort and needs no memory.
    """
    ranked = classes.astype(np.uint64) << 32 | _falling_bits(scores)
    return ranked << 1 | hits.astype(bool)


def _falling_bits(scores: np.ndarray) -> np.ndarray:
    """uint32 numbers that rise as the scores fall, equal for equal scores.

    The bits of an IEEE 754 float, read as an integer, rise with its magnitude. They are
    flipped for positive floats, and stay as they are for negative ones.
    """
    scores = np.where(np.isnan(scores), -np.inf, scores).astype(np.float32)
    bits = (scores + np.float32(0)).view(np.uint32)  # the sum turns -0.0 into 0.0
    return np.where(bits < 2**31, bits ^ (2**31 - 1), bits)


def ranked_average_precisions(pairs, starts, num_positives, top_n) -> np.ndarray:
    """Average precisions of G rankings, one after the other in an array.

    Take n pairs of equal score, k of them hits, after N pairs with K hits. The i-th of
    them (from 0) is a hit in k / n of all orders, and then there are on average
    i (k - 1) / (n - 1) hits among the i before it. So it adds
    k / n (K + 1 + i (k - 1) / (n - 1)) / (N + i + 1).
    Source: McSherry & Najork 2008, Computing information retrieval performance measures
    efficiently in the presence of tied scores.

    Args:
        pairs: uint64 [N], sorted; the lowest bit is 1 for a hit, and scores are equal
            where the other bits are.
        starts: int [G + 1]; ranking g is `pairs[starts[g]:starts[g + 1]]`.
        num_positives: int [G], also those that are missing from the ranking.
        top_n: ranks of each ranking that count; None for all.

    Returns float64 [G], nan where there is no positive.
    """
    limit = np.inf if top_n is None else top_n
    # Only ties with a hit add to the sums. As uint8 the pairs take less memory.
    positions = np.flatnonzero(pairs.astype(np.uint8) & 1)
    # Hits are odd numbers, so the tie of a hit starts at the even number below.
    ties = np.searchsorted(pairs, pairs[positions] - np.uint64(1))
    ties, hit, k = np.unique(ties, return_index=True, return_counts=True)
    n = positions[hit] + k - ties  # hits are last in their tie
    group = np.searchsorted(starts, ties, side="right") - 1
    hits_before = hit - np.searchsorted(positions, starts)[group]
    others = (k - 1) / np.maximum(n - 1, 1)
    # From here on, arrays have one entry for each pair in a tie.
    tie = np.repeat(np.arange(n.size), n)
    i = np.arange(tie.size) - (np.cumsum(n) - n)[tie]
    ranks = (ties - starts[group] + 1)[tie] + i
    found = (hits_before + 1)[tie] + i * others[tie]
    precisions = np.where(ranks <= limit, (k / n)[tie] * found / ranks, 0.0)
    sums = np.bincount(group[tie], precisions, minlength=len(num_positives))
    denominators = np.minimum(num_positives, limit)
    nothing = np.full(len(num_positives), np.nan)
    return np.divide(sums, denominators, out=nothing, where=denominators > 0)


def _single_average_precision(pairs, num_positives, top_n) -> float:
    """`ranked_average_precisions` of one ranking [N]; 0.0 if there is no positive."""
    if num_positives == 0:
        return 0.0
    starts, num_positives = np.array([0, pairs.size]), np.array([num_positives])
    return float(ranked_average_precisions(pairs, starts, num_positives, top_n)[0])


def compute_precisions(scores, hits, labels) -> np.ndarray:
    """Precision of each video's top n, where n is its number of labels; 0 if n is 0.

    As in the starter code, a score of 0 is no prediction, so it is never a hit.
    """
    num_labels = np.count_nonzero(labels >= 0, axis=1)
    counts = np.arange(hits.shape[1]) < num_labels[:, None]
    found = np.count_nonzero(counts & hits & (scores > 0), axis=1)
    return found / np.maximum(num_labels, 1)


def drop_repeats(labels: np.ndarray) -> np.ndarray:
    """Labels [B, L] sorted in each row, with padding instead of repeated ids."""
    labels = np.sort(labels, axis=1)
    repeats = labels[:, 1:] == labels[:, :-1]
    labels[:, 1:][repeats] = LABEL_PADDING
    return labels


def _mean(total, count) -> float:
    """total / count, or 0.0 if the count is 0."""
    return float(total) / int(count) if count else 0.0


def _check_top_n(top_n: int | None) -> None:
    if top_n is not None and top_n < 1:
        raise ValueError(f"top_n must be None or at least 1, not {top_n}")
