"""What inference.py lists of each video: by models whose predictions are given."""

import types

import numpy as np
import pytest
import tensorflow as tf

from youtube8m.errors import UserError
from youtube8m.prediction.inference import Inference

PREDICTIONS = np.float32(
    [[[0.5, 0.5, 0.9, 0.5], [0.1, 0.2, 0.3, 0.4]], [[1, 0, 0, 0.5], [0, 0, 0, 0.2]]]
)  # of two models [2, C] each


def inference(*members, crops=1, **values):
    """An Inference without files; each member predicts the same, whatever it reads."""
    settings = {"top_k": 3, "ensemble_average": "full", "ensemble_weights": ()}
    made = object.__new__(Inference)
    made.config = types.SimpleNamespace(**{**settings, **values})
    made.num_classes, made.crops = members[0].shape[-1], crops
    made.members = [
        types.SimpleNamespace(predict=lambda _, p=p: {"predictions": tf.constant(p)})
        for p in members
    ]
    return made


def listed(made, allowed=None):
    """[(class, score), ...] of each video."""
    classes, scores = made._find_top({}, allowed)
    rows = zip(classes.tolist(), scores.tolist(), strict=True)
    return [list(zip(*row, strict=True)) for row in rows]


def test_the_best_of_one_model_and_of_equal_ones_the_lower_class():
    first, second = listed(inference(PREDICTIONS[0]))
    assert first == [(2, pytest.approx(0.9)), (0, 0.5), (1, 0.5)]
    assert [label for label, _ in second] == [3, 2, 1]
    every = listed(inference(PREDICTIONS[0], top_k=20))  # more than there are
    assert [[label for label, _ in row] for row in every] == [
        [2, 0, 1, 3],
        [3, 2, 1, 0],
    ]


@pytest.mark.parametrize(
    "weights, shares", [((), (1 / 2, 1 / 2)), ((3.0, 1.0), (3 / 4, 1 / 4)),
                        ((0.0, 5.0), (0, 1))]
)  # fmt: skip
def test_models_count_by_their_weights_which_sum_to_one(weights, shares):
    mean = np.tensordot(shares, PREDICTIONS, axes=1)
    made = inference(*PREDICTIONS, ensemble_weights=weights, top_k=4)
    for row, expected in zip(listed(made), mean, strict=True):
        for label, score in row:
            assert score == pytest.approx(expected[label], abs=1e-7)
        assert [label for label, _ in row] == np.argsort(
            -expected, kind="stable"
        ).tolist()


def test_each_model_counts_by_its_top_k_alone():
    made = inference(*PREDICTIONS, top_k=1, ensemble_average="top_k")
    assert listed(made) == [[(0, 0.5)], [(3, pytest.approx(0.3))]]
    full = inference(*PREDICTIONS, top_k=1)
    assert listed(full) == [[(0, 0.75)], [(3, pytest.approx(0.3))]]


def test_crops_of_a_video_count_alike():
    made = inference(PREDICTIONS[0], crops=2, top_k=4)
    (found,) = listed(made)
    assert dict(found) == {
        2: pytest.approx(0.6), 3: pytest.approx(0.45), 1: pytest.approx(0.35),
        0: pytest.approx(0.3),
    }  # fmt: skip


def test_classes_that_are_not_allowed_score_nothing():
    allowed = np.array([False, True, False, True])
    first, second = listed(inference(PREDICTIONS[0], top_k=3), allowed)
    assert first == [(1, 0.5), (3, 0.5), (0, 0)]
    assert [label for label, _ in second] == [3, 1, 0]


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_confidences_that_are_not_finite_are_not_written(value):
    wrong = np.float32([[0.5, 0.25], [value, 0.5]])
    with pytest.raises(UserError, match="--train_dir=run: .*not finite"):
        listed(inference(wrong, train_dir="run"))
