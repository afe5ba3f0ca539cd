"""Our metrics against the starter code's own figures; see `golden`."""

import re

import numpy as np
import pytest

from tests.helpers import golden
from youtube8m.metrics import Metrics, average_precision, top_predictions

# E.g. batch0_gap20 (one batch, top_k 20), k5_n10_aps (all, top_k 5, top_n 10).
OUTPUT = re.compile(
    r"(?:batch(?P<batch>\d+)_|k(?P<k>\d+)(?:_n(?P<n>\d+))?_)?(?:avg_)?"
    r"(?P<metric>hit_at_one|hit1|perr|loss|gap|aps)(?:_fn)?(?P<gap_k>\d+)?"
)


def assert_close(actual, expected, name):
    np.testing.assert_allclose(actual, expected, atol=1e-6, err_msg=name)


def metrics_of(predictions, multi_hot, top_k, loss=None):
    """Metrics over batches [N, B, C] of predictions."""
    metrics = Metrics(predictions.shape[-1], top_k)
    for i, (scores, hot) in enumerate(zip(predictions, multi_hot, strict=True)):
        labels = golden.label_ids(hot)
        top = top_predictions(scores, labels, top_k)
        metrics.update(top, labels, None if loss is None else loss[i])
    return metrics


def optional(value):
    """-1 stands for None in the figures."""
    return None if value == -1 else int(value)


@pytest.mark.parametrize(
    "case", golden.cases("starter", classes=["AveragePrecisionCalculator"])
)
def test_average_precision(case):
    for name, expected in case.outputs.items():
        if name.startswith("heap_"):
            actual = ap_of_accumulated_lists(case, name)
        else:
            actual = average_precision(
                case[f"{name}_predictions"],
                case[f"{name}_actuals"],
                num_positives=optional(case[f"{name}_total_num_positives"]),
                top_n=optional(case[f"{name}_n"]),
            )
        assert_close(actual, expected, name)


def ap_of_accumulated_lists(case, name):
    scores, hits = case["heap_predictions"], case["heap_actuals"]
    if name == "heap_all":
        return average_precision(scores, hits)
    top_n = int(re.fullmatch(r"heap_top(\d+)_with_num_positives", name)[1])
    return average_precision(scores, hits, case["heap_num_positives"].sum(), top_n)


@pytest.mark.parametrize("case", golden.cases("starter", classes=["eval_util"]))
def test_metrics(case):
    matches = {name: OUTPUT.fullmatch(name) for name in case.outputs}
    unknown = [name for name, match in matches.items() if not match]
    assert not unknown, f"figures that no test reads: {unknown}"
    top_ks = {name: match["k"] or match["gap_k"] for name, match in matches.items()}
    # What does not depend on top_k is computed with every one of the case's.
    every_k = {top_k for top_k in top_ks.values() if top_k} or {"20"}
    for name, match in matches.items():
        for top_k in [top_ks[name]] if top_ks[name] else every_k:
            check_metric(case, name, match, int(top_k))


def check_metric(case, name, match, top_k):
    inputs = stream(case, match["batch"])
    top_n = int(match["n"]) if match["n"] else None
    result = metrics_of(*inputs[:2], top_k, inputs[2]).result(top_n)
    expected = case.outputs[name]
    metric = {"hit1": "hit_at_one"}.get(match["metric"], match["metric"])
    if metric != "aps":
        return assert_close(result[metric], expected, name)
    aps = result["average_precisions"]
    assert_close(aps[~np.isnan(aps)], expected, name)  # empty classes are left out
    assert_close(result["map"], expected.mean(), name)
    assert result["num_classes"] == len(expected)


def stream(case, batch):
    """Predictions [N, B, C], labels and loss (or None): all batches, or number `batch`.

    Cases of one batch lack the first axis.
    """
    arrays = [case["predictions"], case["labels"], case.get("loss")]
    if arrays[0].ndim == 2:
        return [None if array is None else array[None] for array in arrays]
    if batch is None:
        return arrays
    return [None if array is None else array[int(batch)][None] for array in arrays]
