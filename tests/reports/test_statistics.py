"""Statistics of reports, beside brute force and simulations whose truth is known."""

import numpy as np
import pytest

from tests.helpers import simulated
from youtube8m.metrics import Metrics, average_precision
from youtube8m.reports import statistics
from youtube8m.reports.statistics import Collector, Ranking

RNG = np.random.default_rng(0)
CLASSES, TOP_K = 7, 4


def batch_with_ties(count=60, seed=1):
    """Predictions in steps of 0.1, so that many are equal."""
    predictions, labels = simulated.batch(
        np.random.default_rng(seed), count, CLASSES, labels_per_video=1.5
    )
    return np.ceil(predictions * 10).astype(np.float32) / 10, labels


def pool_of(top, labels, loss=None, ids=None):
    collector = Collector(CLASSES, TOP_K)
    ids = [f"{n}".encode() for n in range(len(labels))] if ids is None else ids
    collector.add(ids, top, labels, loss)
    return collector.pool()


@pytest.fixture(scope="module")
def tied():
    predictions, labels = batch_with_ties()
    top = simulated.top(predictions, labels, TOP_K)
    loss = np.arange(len(labels)) / 10
    return top, labels, loss, pool_of(top, labels, loss)


def test_a_replicate_is_the_metrics_of_the_videos_it_repeats(tied):
    top, labels, loss, pool = tied
    found = statistics.bootstrap(pool, replicates=5, seed=3)
    draws = np.random.default_rng(3)
    for r in range(5):
        rows = np.repeat(np.arange(len(labels)), draws.poisson(1.0, len(labels)))
        metrics = Metrics(CLASSES, TOP_K)
        repeated = {name: values[rows] for name, values in top.items()}
        metrics.update(repeated, labels[rows], loss[rows])
        expected = metrics.result()
        np.testing.assert_allclose(found.gap[r], expected["gap"], rtol=1e-9)
        np.testing.assert_allclose(found.map[r], expected["map"], rtol=1e-9)
        for name in ("hit_at_one", "perr", "loss"):
            np.testing.assert_allclose(found.means[name][r], expected[name], rtol=1e-9)
        np.testing.assert_allclose(
            found.average_precisions[r], expected["average_precisions"], rtol=1e-6
        )


def test_all_predictions_of_a_video_are_drawn_together(tied):
    """Each video twice under its id tells nothing new; as other videos it would."""
    top, labels, _, pool = tied
    twice = {name: np.concatenate([v, v]) for name, v in top.items()}
    both = np.concatenate([labels, labels])
    ids = np.concatenate([pool.ids, pool.ids])
    same = statistics.bootstrap(pool_of(twice, both, ids=ids), 200)
    other = statistics.bootstrap(pool_of(twice, both), 200)
    once = statistics.bootstrap(pool, 200)
    np.testing.assert_allclose(same.means["perr"], once.means["perr"])
    assert 0.6 < other.means["perr"].std() / same.means["perr"].std() < 0.8


def test_batches_do_not_matter(tied):
    top, labels, _, whole = tied
    collector = Collector(CLASSES, TOP_K)
    for part in (np.s_[:13], np.s_[13:]):
        # Another number of ranks and of labels, as batches have.
        first = {name: values[part][:, :TOP_K] for name, values in top.items()}
        wider = np.pad(labels[part], ((0, 0), (0, 2)), constant_values=-1)
        collector.add(whole.ids[part], first, wider)
    parts = collector.pool()
    for name in ("scores", "classes", "hits", "label_example", "label_class"):
        np.testing.assert_array_equal(getattr(parts, name), getattr(whole, name))


def test_intervals_are_quantiles_without_nan():
    values = np.array([[1.0, np.nan], [2, 5], [3, np.nan], [4, np.nan], [5, 7]])
    low, high = statistics.interval(values, level=0.5)
    np.testing.assert_allclose(low, [2, 5.5])
    np.testing.assert_allclose(high, [4, 6.5])
    low, high = statistics.interval(np.full((3, 1), np.nan))
    assert np.isnan(low[0]) and np.isnan(high[0])


def test_the_last_gap_is_the_evaluations(tied):
    top, labels, _, pool = tied
    metrics = Metrics(CLASSES, TOP_K)
    metrics.update(top, labels)
    growth = statistics.gap_against_k(pool)
    assert growth["GAP"].iloc[-1] == metrics.result()["gap"]
    first = average_precision(pool.scores[:, 0], pool.hits[:, 0], len(pool.label_class))
    assert growth["k"].iloc[0] == 1
    np.testing.assert_allclose(growth["GAP"].iloc[0], first)


def test_precision_and_recall_by_hand(tied):
    *_, pool = tied
    curve = statistics.precision_recall(pool)
    for row in curve.itertuples():
        above = pool.scores >= np.float32(row.confidence)
        found = pool.hits[above].sum()
        np.testing.assert_allclose(row.precision, found / above.sum())
        np.testing.assert_allclose(row.recall, found / len(pool.label_class))
    assert curve["recall"].is_monotonic_increasing


def test_the_area_under_the_curve_is_gap():
    pool, result = simulated.evaluation(RNG, 2000, 30)
    curve = statistics.precision_recall(pool, points=20_000)
    steps = np.diff(curve["recall"], prepend=0)
    assert (steps * curve["precision"]).sum() == pytest.approx(result["gap"], abs=2e-3)


def test_a_calibrated_model_has_no_calibration_error():
    pool, _ = simulated.evaluation(RNG, 20_000, 30)
    frame, error = statistics.reliability(pool)
    assert error < 0.005
    assert frame["predictions"].sum() == pool.scores.size
    # Confidences that are too high by their half.
    wrong = pool.scores * 0.5
    halved = statistics.dataclasses.replace(pool, scores=wrong)
    _, error = statistics.reliability(halved)
    assert error == pytest.approx(pool.scores.mean() / 2, rel=0.05)


def test_every_prediction_is_in_the_histogram(tied):
    *_, pool = tied
    edges, counts = statistics.count_confidences(pool)
    assert counts["right"].sum() == pool.hits.sum()
    assert counts["right"].sum() + counts["wrong"].sum() == pool.hits.size
    assert edges[0] == 0 and edges[-1] == 1


def test_best_thresholds_by_trying_all(tied):
    *_, pool = tied
    table, positives = statistics.best_thresholds(pool), pool.positives
    for number in range(CLASSES):
        listed = pool.classes == number
        scores, hits = pool.scores[listed], pool.hits[listed]
        tried = {}
        for threshold in np.unique(scores):
            chosen = scores >= threshold
            found = hits[chosen].sum()
            tried[threshold] = 2 * found / (chosen.sum() + positives[number])
        row = table.iloc[number]
        assert row["listed"] == listed.sum()
        if max(tried.values(), default=0) == 0:
            assert np.isnan(row["threshold"])
            continue
        np.testing.assert_allclose(row["F1"], max(tried.values()))
        np.testing.assert_allclose(tried[np.float32(row["threshold"])], row["F1"])
        chosen = scores >= np.float32(row["threshold"])
        np.testing.assert_allclose(row["precision"], hits[chosen].mean())
        np.testing.assert_allclose(
            row["recall"], hits[chosen].sum() / positives[number]
        )


def test_a_cost_is_what_gap_gains_without_the_prediction():
    predictions, labels = simulated.batch(RNG, 30, CLASSES, labels_per_video=1.5)
    top = simulated.top(predictions, labels, TOP_K)
    pool = pool_of(top, labels)
    cost, positives = statistics.costs(pool), len(pool.label_class)
    scores, hits = pool.scores.ravel(), pool.hits.ravel()
    gap = average_precision(scores, hits, positives)
    for place in range(len(scores)):
        if hits[place]:
            assert cost.flat[place] == 0
            continue
        others = np.arange(len(scores)) != place
        gained = average_precision(scores[others], hits[others], positives) - gap
        np.testing.assert_allclose(cost.flat[place], gained, atol=1e-12)


def test_confused_pairs_share_the_cost(tied):
    """By two loops; the label must be below the wrong prediction, or not listed."""
    *_, pool = tied
    cost = statistics.costs(pool)
    expected, extra = {}, 0.0
    for n, labels in enumerate(statistics.labels_of(pool, range(len(pool.ids)))):
        for rank, wrong in enumerate(pool.classes[n]):
            if pool.hits[n, rank]:
                continue
            below = {*labels.tolist()} - {*pool.classes[n, :rank].tolist()}
            for label in below:
                entry = expected.setdefault((wrong, label), [0.0, 0])
                entry[0] += cost[n, rank] / len(below)
                entry[1] += 1
            extra += 0 if below else cost[n, rank]
    pairs, found = statistics.confused_pairs(pool, cost, count=1000)
    assert found == pytest.approx(extra)
    assert len(pairs) == len(expected)
    for row in pairs.itertuples():
        assert [row.cost, row.videos] == pytest.approx(expected[row.wrong, row.present])
    assert pairs["cost"].is_monotonic_decreasing


def test_the_most_expensive_videos_come_first(tied):
    *_, pool = tied
    cost = statistics.costs(pool)
    order = statistics.most_expensive(pool, cost, 10)
    totals = cost.sum(axis=1)
    assert (np.diff(totals[order]) <= 0).all()
    assert totals[order[-1]] >= np.delete(totals, order).max()


def test_without_a_label_nothing_fails():
    scores = np.full((3, TOP_K), 0.5, np.float32)
    top = {"scores": scores, "classes": np.tile(np.arange(TOP_K), (3, 1))}
    top["hits"] = np.zeros(scores.shape, bool)
    pool = pool_of(top, np.full((3, 1), -1))
    found = statistics.bootstrap(pool, 3)
    assert np.isnan(found.gap).all() and np.isnan(found.map).all()
    assert statistics.gap_against_k(pool)["GAP"].eq(0).all()
    assert statistics.costs(pool).sum() == 0
    pairs, extra = statistics.confused_pairs(pool, statistics.costs(pool))
    assert pairs.empty and extra == 0
    assert statistics.best_thresholds(pool)["threshold"].isna().all()
    assert len(Ranking(pool, by_class=True).order) == scores.size


@pytest.mark.slow
def test_intervals_cover_the_truth():
    """The command `python -m tests.helpers.simulated coverage` does so with 500."""
    for name, share in simulated.coverage(sets=50).items():
        assert share >= 0.86, name  # 3 standard deviations below 95 %
