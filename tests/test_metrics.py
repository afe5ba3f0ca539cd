"""Metrics against loops over videos, ranks and classes."""

import itertools
import pickle
import warnings

import numpy as np
import pytest
import tensorflow as tf

from youtube8m.metrics import Metrics, average_precision, top_predictions

NUMBERS = ("hit_at_one", "perr", "gap", "map", "num_examples", "num_classes", "loss")


def random_batches(num_batches=3, num_classes=30, levels=1000, seed=0):
    """(predictions [B, C], labels [B, L], loss [B]) of uneven B and L.

    Few `levels` of scores make many ties; 0 is among them. Labels hold repeats,
    and rows without any; the last two classes are never positive.
    """
    rng = np.random.default_rng(seed)
    batches = []
    for i in range(num_batches):
        size, width = 5 + i, 4 + i
        scores = rng.integers(0, levels, (size, num_classes)) / levels
        labels = rng.integers(-1, num_classes - 2, (size, width))
        labels[i] = -1
        batches.append((scores.astype("float32"), labels, rng.random(size)))
    return batches


def collect(batches, num_classes=30, top_k=4):
    metrics = Metrics(num_classes, top_k)
    for predictions, labels, loss in batches:
        metrics.update(top_predictions(predictions, labels, top_k), labels, loss)
    return metrics


def assert_same(result, expected):
    for name in NUMBERS:
        np.testing.assert_allclose(result[name], expected[name], 1e-12, err_msg=name)
    aps = [r["average_precisions"] for r in (result, expected)]
    np.testing.assert_array_equal(*aps)


def naive_average_precision(pairs, num_positives, top_n=None):
    """Of (score, hit) pairs; by hand, position by position of each tie."""
    if num_positives == 0:
        return 0.0
    rank = found = total = 0
    pairs = list(pairs)
    for score in sorted({score for score, _ in pairs}, reverse=True):
        hits = [hit for other, hit in pairs if other == score]
        share = sum(hits) / len(hits)
        for position in range(len(hits)):
            rank += 1
            others = position * (sum(hits) - 1) / (len(hits) - 1) if position else 0
            if rank <= (top_n or rank):
                total += share * (found + 1 + others) / rank
        found += sum(hits)
    return total / min(num_positives, top_n or num_positives)


def naive_metrics(batches, num_classes, top_k, top_n=None):
    """hit_at_one, perr, gap, map and average_precisions; by hand."""
    at_one, perr, pairs, positives = [], [], [], np.zeros(num_classes, int)
    for scores, labels, _ in batches:
        for row, row_labels in zip(scores, labels, strict=True):
            true = set(row_labels.tolist()) - {-1}
            ranked = sorted(range(num_classes), key=lambda c, row=row: (-row[c], c))
            right = [c for c in ranked[: len(true)] if c in true and row[c] > 0]
            at_one.append(ranked[0] in true)
            perr.append(len(right) / len(true) if true else 0.0)
            pairs += [(c, row[c], c in true) for c in ranked[:top_k]]
            positives[list(true)] += 1
    aps = np.full(num_classes, np.nan)
    for c in np.flatnonzero(positives):
        own = [pair[1:] for pair in pairs if pair[0] == c]
        aps[c] = naive_average_precision(own, positives[c], top_n)
    gap = naive_average_precision([pair[1:] for pair in pairs], positives.sum())
    named = {"hit_at_one": np.mean(at_one), "perr": np.mean(perr), "gap": gap}
    return named | {"map": np.nanmean(aps), "average_precisions": aps}


@pytest.mark.parametrize("levels", [1000, 3])
@pytest.mark.parametrize(("top_k", "top_n"), [(4, None), (4, 2), (1, 1), (50, None)])
def test_metrics_are_those_of_the_loops(levels, top_k, top_n):
    batches = random_batches(levels=levels)
    result = collect(batches, top_k=top_k).result(top_n)
    for name, expected in naive_metrics(batches, 30, top_k, top_n).items():
        np.testing.assert_allclose(result[name], expected, 1e-12, err_msg=name)
    losses = np.concatenate([loss for _, _, loss in batches])
    assert result["loss"] == pytest.approx(losses.mean())
    assert result["num_examples"] == len(losses) == 18
    assert result["num_classes"] == np.count_nonzero(
        ~np.isnan(result["average_precisions"])
    )


@pytest.mark.parametrize("levels", [1000, 3])
@pytest.mark.parametrize("num_positives", [None, 0, 9, 60])
@pytest.mark.parametrize("top_n", [None, 1, 7, 100])
def test_average_precision_is_that_of_the_loop(levels, num_positives, top_n):
    rng = np.random.default_rng(1)
    scores = rng.integers(-levels, levels, 40) / levels
    hits = rng.random(40) < 0.3
    known = hits.sum() if num_positives is None else num_positives
    expected = naive_average_precision(zip(scores, hits, strict=True), known, top_n)
    result = average_precision(scores, hits, num_positives, top_n)
    assert result == pytest.approx(expected, 1e-12)


def test_average_precision_of_nothing_is_zero():
    assert average_precision([], []) == 0.0
    assert average_precision([], [], num_positives=3) == 0.0
    assert average_precision([0.5, 0.4], [False, False]) == 0.0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([0.1], [1, 0]), "scores has 1 entries, hits 2"),
        (([0.1], [1], -1), "num_positives must be at least 0"),
        (([0.1], [1], 1, 0), "top_n must be None or at least 1"),
    ],
)
def test_average_precision_refuses(arguments, message):
    with pytest.raises(ValueError, match=message):
        average_precision(*arguments)


def test_merged_parts_equal_one_pass():
    batches = random_batches(4, levels=5)
    first, second = collect(batches[:1]), collect(batches[1:])
    second = pickle.loads(pickle.dumps(second))  # as another process would send it
    untouched = second.result()
    first.merge(second)
    assert_same(first.result(), collect(batches).result())
    assert_same(second.result(), untouched)


def test_ties_do_not_depend_on_the_order():
    batches = random_batches(4, levels=2)
    backwards = [tuple(part[::-1] for part in batch) for batch in batches[::-1]]
    assert_same(collect(backwards).result(), collect(batches).result())


@pytest.mark.parametrize("top_n", [None, 2, 4])
def test_a_tie_counts_as_the_mean_over_its_orders(top_n):
    scores, hits = [0.9, 0.5, 0.5, 0.5, 0.5, 0.1], [0, 1, 0, 1, 0, 1]
    orders = [(0, *order, 5) for order in itertools.permutations(range(1, 5))]
    strict = [
        average_precision([6, 5, 4, 3, 2, 1], [hits[i] for i in order], top_n=top_n)
        for order in orders
    ]
    assert len(set(strict)) > 1
    tied = average_precision(scores, hits, top_n=top_n)
    assert tied == pytest.approx(np.mean(strict), rel=1e-12)


def test_a_tie_over_videos():
    metrics = Metrics(num_classes=2, top_k=1)
    for label in (0, 1):  # class 0 is predicted twice with 0.5: right, then wrong
        labels = np.array([[label]])
        metrics.update(top_predictions(np.array([[0.5, 0.1]]), labels, 1), labels)
    result = metrics.result()
    # Right at rank 1 or at rank 2; the other label was not predicted.
    np.testing.assert_array_equal(result["average_precisions"], [3 / 4, 0])
    assert result["gap"] == 3 / 8


def test_result_may_be_asked_for_between_batches():
    batches = random_batches(4)
    metrics = collect(batches[:2])
    metrics.result()
    assert_same(metrics.result(), collect(batches[:2]).result())
    metrics.merge(collect(batches[2:]))
    assert_same(metrics.result(), collect(batches).result())


def no_batch():
    return Metrics(6)


def batch_of_no_rows():
    return collect([(np.ones((0, 6)), np.ones((0, 3), int), np.ones(0))], 6)


@pytest.mark.parametrize("empty", [no_batch, batch_of_no_rows])
def test_no_examples(empty):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        result = empty().result()
    assert np.isnan(result.pop("average_precisions")).all()
    assert not result.pop("positives").any()
    assert set(result) == set(NUMBERS) - {"loss"}
    assert set(result.values()) == {0}


def test_examples_without_any_label():
    labels = np.zeros((2, 0), int)
    metrics = Metrics(6, top_k=3)
    metrics.update(top_predictions(np.ones((2, 6)), labels, 3), labels)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        result = metrics.result()
    assert [result[n] for n in ("hit_at_one", "perr", "gap", "map")] == [0, 0, 0, 0]
    assert result["num_examples"] == 2


def test_repeated_labels_count_once():
    predictions = np.array([[0.9, 0.8, 0.7, 0.1]])
    once, twice = (
        collect([(predictions, np.array([labels]), 1.0)], 4, 2).result()
        for labels in ([3, 0, -1, -1, -1], [3, 0, -1, 3, 0])
    )
    assert_same(twice, once)
    assert once["perr"] == 1 / 2


def test_a_score_of_zero_is_no_prediction_for_perr():
    result = collect([(np.array([[0.5, 0.0, 0.0]]), np.array([[0, 1]]), 1.0)], 3)
    assert result.result()["perr"] == 1 / 2


def test_scores_of_any_sign_are_ranked():
    scores = np.array([[3.0], [-1.0], [0.0], [-0.0], [-2.0], [np.nan], [-np.inf]])
    labels = np.array([[0], [-1], [0], [-1], [0], [-1], [-1]])
    top = {"scores": scores, "classes": np.zeros((7, 1), int), "hits": labels == 0}
    metrics = Metrics(1)
    metrics.update(top, labels)
    expected = np.mean([1 / 1, (2 / 2 + 2 / 3) / 2, 3 / 5])  # both zeros are tied
    assert metrics.result()["gap"] == pytest.approx(expected)


def test_a_scalar_loss_is_weighted_by_its_examples():
    metrics = Metrics(6)
    for size, loss in ((1, 4.0), (3, np.float32(2.0))):
        labels = np.zeros((size, 1), int)
        metrics.update(top_predictions(np.ones((size, 6)), labels, 20), labels, loss)
    assert metrics.result()["loss"] == (4 + 3 * 2) / 4


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"scores": np.ones((2, 4))}, "shapes .* disagree"),
        ({"labels": np.zeros((3, 1), int)}, "shapes .* disagree"),
        ({"labels": np.arange(8).reshape(2, 4)}, "3 ranks were given, 4 are needed"),
        ({"labels": np.full((2, 1), 9)}, "class 9 is not below 9 classes"),
        ({"classes": np.full((2, 3), 12)}, "class 12 is not below 9 classes"),
        ({"loss": np.ones(3)}, r"loss \(3,\): expected \(\) or \(2,\)"),
    ],
)
def test_update_refuses(changes, message):
    batch = {
        "scores": np.ones((2, 3)),
        "classes": np.zeros((2, 3), int),
        "hits": np.zeros((2, 3), bool),
        "labels": np.zeros((2, 1), int),
        "loss": None,
    } | changes
    with pytest.raises(ValueError, match=message):
        Metrics(9, top_k=3).update(batch, batch["labels"], batch["loss"])


def test_other_refusals():
    with pytest.raises(ValueError, match="num_classes must be at least 1"):
        Metrics(0)
    with pytest.raises(ValueError, match="top_k must be at least 1"):
        Metrics(3, top_k=0)
    with pytest.raises(ValueError, match="top_n must be None or at least 1"):
        Metrics(3).result(top_n=0)
    with pytest.raises(ValueError, match=r"cannot merge .* \(4, 20\) into \(3, 20\)"):
        Metrics(3).merge(Metrics(4))


@pytest.mark.parametrize(
    ("k", "num_labels", "ranks"), [(2, 1, 2), (2, 4, 4), (9, 1, 5), (1, 8, 5)]
)
def test_top_predictions(k, num_labels, ranks):
    predictions = np.array([[0.1, 0.4, 0.1, 0.4, 0.2], [0.5, 0.6, 0.7, 0.8, 0.9]])
    labels = np.full((2, num_labels), -1)
    labels[0, -1] = 3
    top = {n: np.asarray(a) for n, a in top_predictions(predictions, labels, k).items()}
    assert [top[n].dtype for n in ("scores", "classes", "hits")] == ["f4", "i4", bool]
    order = np.array([[1, 3, 4, 0, 2], [4, 3, 2, 1, 0]])[:, :ranks]
    np.testing.assert_array_equal(top["classes"], order)
    expected = np.take_along_axis(predictions, order, 1).astype("float32")
    np.testing.assert_array_equal(top["scores"], expected)
    np.testing.assert_array_equal(top["hits"], (order == 3) & [[True], [False]])


@pytest.mark.parametrize("num_classes", [30, None])
def test_top_predictions_in_a_graph_of_unknown_shape(num_classes):
    @tf.function(
        input_signature=[
            tf.TensorSpec([None, num_classes], tf.float32),
            tf.TensorSpec([None, None], tf.int32),
        ]
    )
    def graph(predictions, labels):
        return top_predictions(predictions, labels, 4)

    batches = random_batches()
    metrics = Metrics(30, top_k=4)
    for predictions, labels, loss in batches:
        labels = tf.constant(labels, tf.int32)
        metrics.update(graph(predictions, labels), labels, tf.constant(loss))
    assert_same(metrics.result(), collect(batches).result())


# Ties, sums of many small numbers, and the first and last of everything.


def top_of(predictions, labels, k):
    predictions, labels = np.array(predictions, "f4"), np.array(labels)
    return top_predictions(predictions, labels, k), labels


def test_of_equal_scores_the_lower_class_wins_in_each_figure():
    """Classes 0 to 3 are tied; the video has two labels."""
    for label, hit, perr in ((0, 1, 1.0), (1, 0, 1.0), (2, 0, 0.5), (3, 0, 0.5)):
        metrics = Metrics(5, top_k=2)
        other = 1 if label == 0 else 0  # the other label, which is among the first
        labels = [[label, other]] if label else [[0, 1]]
        metrics.update(*top_of([[0.5, 0.5, 0.5, 0.5, 0.1]], labels, 2))
        result = metrics.result()
        assert result["perr"] == perr
        assert result["hit_at_one"] == 1  # class 0 is the first, and a label
        alone = Metrics(5, top_k=2)
        alone.update(*top_of([[0.5, 0.5, 0.5, 0.5, 0.1]], [[label]], 2))
        assert alone.result()["hit_at_one"] == alone.result()["perr"] == hit
        # Of the first two, tied with each other: right at rank 1 or 2, or nowhere.
        assert alone.result()["gap"] == (3 / 4 if label < 2 else 0)
        assert alone.result()["map"] == (1 if label < 2 else 0)


def test_equal_scores_of_several_calls_are_one_tie():
    """Whichever call they come in, before or after a merge."""
    parts = []
    for label in (1, 0, 1):  # class 1 is predicted with 0.5, twice rightly
        part = Metrics(3, top_k=1)
        part.update(*top_of([[0.1, 0.5, 0.2]], [[label]], 1))
        parts.append(part)
    # Over the orders of two hits and a miss: (1 + 1 + 1 + 2/3 + 1/2 + 2/3) / 3 of hits.
    expected = (2 + (1 + 2 / 3) + (1 / 2 + 2 / 3)) / 3
    for order in itertools.permutations(range(3)):
        total = Metrics(3, top_k=1)
        for index in order:
            total.merge(parts[index])
        result = total.result()
        assert result["gap"] == pytest.approx(expected / 3, rel=1e-12)
        assert result["average_precisions"][1] == pytest.approx(expected / 2, rel=1e-12)
        assert result["hit_at_one"] == result["perr"] == 2 / 3


def test_the_last_rank_that_counts():
    """top_k pairs of each video enter GAP and mAP: the k-th does, the next does not."""
    scores = [[0.9, 0.8, 0.7, 0.6]]
    for top_k, gap in ((1, 0), (2, 0), (3, 1 / 3), (4, 1 / 3)):
        metrics = Metrics(4, top_k)
        metrics.update(*top_of(scores, [[2]], 4))
        assert metrics.result()["gap"] == gap
        assert metrics.result()["map"] == (gap > 0)
    assert average_precision([3, 2, 1], [0, 0, 1], top_n=2) == 0
    assert average_precision([3, 2, 1], [0, 0, 1], top_n=3) == 1 / 3
    metrics = Metrics(4)
    metrics.update(*top_of(scores, [[3, -1], [-1, -1]][:1], 4))
    metrics.update(*top_of(scores, [[0]], 4))  # the highest and the lowest class
    assert metrics.result()["positives"].tolist() == [1, 0, 0, 1]


def test_small_losses_are_not_lost_in_large_sums():
    """float32 would stay at 2^24, in one call as in many."""
    metrics = Metrics(2)
    metrics.update(*top_of([[0.5, 0.1]], [[0]], 2), np.float32([2**24]))
    for _ in range(3):
        metrics.update(*top_of([[0.5, 0.1]], [[0]], 2), np.float32([1.0]))
    assert metrics.result()["loss"] == (2**24 + 3) / 4
    metrics = Metrics(2)
    rows, labels = np.float32([[0.5, 0.1]] * 4), np.zeros((4, 1), int)
    loss = np.float32([2**24, 1, 1, 1])
    metrics.update(top_predictions(rows, labels, 2), labels, loss, rated_loss=loss)
    assert metrics.result()["loss"] == metrics.result()["rated_loss"] == 2**22 + 0.75


def test_figures_of_many_videos_are_exact():
    """PERR and average precisions are sums of float64."""
    count, metrics = 3000, Metrics(3, top_k=3)
    predictions = np.tile(np.float32([[0.9, 0.8, 0.7]]), (count, 1))
    labels = np.tile([[0, 2, -1]], (count, 1))
    labels[::3] = [0, 1, 2]
    metrics.update(top_predictions(predictions, labels, 3), labels)
    assert metrics.result()["perr"] == pytest.approx((1 + 0.5 + 0.5) / 3, rel=1e-14)
    hits = np.arange(20_000) % 7 == 0
    precisions = np.cumsum(hits) / np.arange(1, 20_001)
    expected = np.sum(precisions[hits]) / hits.sum()
    assert average_precision(-np.arange(20_000), hits) == pytest.approx(expected, 1e-13)


def test_scores_alone_are_told_apart_as_float64():
    scores = [0.5, 0.5 + 1e-12]
    assert average_precision(scores, [0, 1]) == 1
    assert average_precision(scores, [1, 0]) == 1 / 2


def test_the_state_of_metrics_is_all_they_hold():
    metrics = collect(random_batches(levels=3))
    metrics.update(*top_of([[0.1] * 30], [[3]], 4), 0.5, rated_loss=0.25)
    copy = Metrics.from_state(metrics.state())
    assert copy.num_examples == metrics.num_examples == 19
    assert type(copy.num_examples) is int
    assert_same(copy.result(), metrics.result())
    assert copy.result()["rated_loss"] == 0.25
    copy.merge(metrics)
    assert copy.num_examples == 38
    with pytest.raises(ValueError):
        Metrics.from_state(metrics.state() | {"sums": np.zeros(3)})


def test_scores_of_any_size_are_ranked():
    scores = [9.0, 2.5, 2.0, 1.0, 1e-9, 5e-10, 1e-40, 0.0, -1e-9, -1.0, -2.5, -9.0]
    for order in (1, -1):
        metrics = Metrics(1)
        for place, score in list(enumerate(scores))[::order]:
            labels = np.array([[0 if place % 3 == 0 else -1]])
            top = {"scores": np.array([[score]]), "classes": np.array([[0]])}
            metrics.update({**top, "hits": labels == 0}, labels)
        expected = np.mean([1 / 1, 2 / 4, 3 / 7, 4 / 10])
        assert metrics.result()["gap"] == pytest.approx(expected, rel=1e-12)


def test_as_many_ranks_are_needed_as_a_video_has_labels():
    """Class 0 is a label; padding is none."""
    scores = np.float32([[0.9, 0.8, 0.7]])
    top = {"scores": scores, "classes": np.array([[0, 1, 2]])}
    metrics = Metrics(9, top_k=3)
    hits = np.array([[True, True, True]])
    metrics.update({**top, "hits": hits}, np.array([[2, 0, 1, -1, -1]]))
    assert metrics.result()["perr"] == metrics.result()["gap"] == 1
    with pytest.raises(ValueError, match="3 ranks were given, 4 are needed"):
        metrics.update({**top, "hits": hits}, np.array([[0, 1, 2, 3]]))
