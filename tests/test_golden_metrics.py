"""The starter code's own figures, computed by it under TensorFlow 1.15.

YT8M_GOLDEN names the folder that holds them; default: ../shared/golden beside the
repository.
"""

import os
import pathlib

import numpy as np
import pytest

from youtube8m.metrics import Metrics, average_precision, top_predictions

ROOT = pathlib.Path(__file__).resolve().parents[1]
DEFAULT = ROOT.parent / "shared" / "golden"
STARTER = pathlib.Path(os.environ.get("YT8M_GOLDEN", DEFAULT)) / "starter"

pytestmark = pytest.mark.skipif(
    not STARTER.is_dir(),
    reason=f"no golden figures in {STARTER}: set YT8M_GOLDEN to their folder",
)


def load(case):
    with np.load(STARTER / f"{case}.npz") as figures:
        return {name: figures[name] for name in figures.files}


def label_ids(multi_hot):
    """[B, C] of 0 and 1 -> ids [B, L] padded with -1."""
    rows = [np.flatnonzero(row) for row in multi_hot]
    ids = np.full((len(rows), max(map(len, rows))), -1, np.int32)
    for row, found in zip(ids, rows, strict=True):
        row[: len(found)] = found
    return ids


def metrics_of(predictions, multi_hot, top_k, loss=None):
    """Metrics over batches [N, B, C] of predictions."""
    metrics = Metrics(predictions.shape[-1], top_k)
    for i, (scores, hot) in enumerate(zip(predictions, multi_hot, strict=True)):
        labels = label_ids(hot)
        top = top_predictions(scores, labels, top_k)
        metrics.update(top, labels, None if loss is None else loss[i])
    return metrics


def optional(value):
    """-1 stands for None in the figures."""
    return None if value == -1 else int(value)


@pytest.mark.parametrize("case", range(9))
def test_average_precision(case):
    figures = load("average_precision")
    ap = average_precision(
        figures[f"list{case}_predictions"],
        figures[f"list{case}_actuals"],
        num_positives=optional(figures[f"list{case}_total_num_positives"]),
        top_n=optional(figures[f"list{case}_n"]),
    )
    np.testing.assert_allclose(ap, figures[f"output|list{case}"], atol=1e-6)


def test_average_precision_accumulated_over_lists():
    figures = load("average_precision")
    scores, hits = figures["heap_predictions"], figures["heap_actuals"]
    top_10 = average_precision(scores, hits, figures["heap_num_positives"].sum(), 10)
    expected = figures["output|heap_top10_with_num_positives"]
    np.testing.assert_allclose(top_10, expected, atol=1e-6)
    everything = average_precision(scores, hits)
    np.testing.assert_allclose(everything, figures["output|heap_all"], atol=1e-6)


@pytest.mark.parametrize("batch", range(3))
@pytest.mark.parametrize("top_k", [3, 20])
def test_metrics_of_one_batch(batch, top_k):
    figures = load("eval_metrics")
    inputs = [figures[n][batch][None] for n in ("predictions", "labels")]
    result = metrics_of(*inputs, top_k, figures["loss"][batch][None]).result()
    output = {
        name: figures[f"output|batch{batch}_{name}"]
        for name in ("hit_at_one", "perr", "loss", "hit1_fn", "perr_fn")
    }
    output["gap"] = figures[f"output|batch{batch}_gap{top_k}"]
    for name, expected in output.items():
        name = {"hit1_fn": "hit_at_one", "perr_fn": "perr"}.get(name, name)
        np.testing.assert_allclose(result[name], expected, atol=1e-6, err_msg=name)


@pytest.mark.parametrize(
    ("case", "top_k", "top_n"), [("k20", 20, None), ("k5_n10", 5, 10)]
)
def test_metrics_of_all_batches(case, top_k, top_n):
    figures = load("eval_metrics")
    inputs = [figures[name] for name in ("predictions", "labels")]
    result = metrics_of(*inputs, top_k, figures["loss"]).result(top_n)
    for name in ("hit_at_one", "perr", "loss"):
        expected = figures[f"output|{case}_avg_{name}"]
        np.testing.assert_allclose(result[name], expected, atol=1e-6, err_msg=name)
    np.testing.assert_allclose(result["gap"], figures[f"output|{case}_gap"], atol=1e-6)
    aps = result["average_precisions"]
    expected = figures[f"output|{case}_aps"]  # empty classes are left out
    np.testing.assert_allclose(aps[~np.isnan(aps)], expected, atol=1e-6)
    np.testing.assert_allclose(result["map"], expected.mean(), atol=1e-6)
    assert result["num_classes"] == len(expected)


def test_row_without_labels():
    figures = load("perr_row_without_labels")
    result = metrics_of(figures["predictions"][None], figures["labels"][None], 20)
    result = result.result()
    np.testing.assert_allclose(result["perr"], figures["output|perr"], atol=1e-6)
    np.testing.assert_allclose(result["hit_at_one"], figures["output|hit1"], atol=1e-6)
    np.testing.assert_allclose(result["gap"], figures["output|gap"], atol=1e-6)
