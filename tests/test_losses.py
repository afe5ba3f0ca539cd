"""The label losses against a few lines of numpy, and how centers move."""

import json

import numpy as np
import pytest
import tensorflow as tf

from tests.helpers.layers import check
from tests.helpers.reference import softmax
from tests.helpers.training_runs import (
    CENTERS,
    FRAMES,
    TWO_REPLICAS,
    config,
    metrics_lines,
    run_python,
    train,
)
from youtube8m import losses
from youtube8m.config import DataConfig, ModelConfig, RunConfig
from youtube8m.errors import UserError
from youtube8m.models.preset import PRESETS
from youtube8m.registry import construct
from youtube8m.training.trainer import Trainer

RNG = np.random.default_rng(0)
PREDICTIONS = RNG.random((4, 6)).astype(np.float32)
LABELS = (RNG.random((4, 6)) < 0.4).astype(np.float32)
LABELS[2] = 0
COUNTS = (1000, 500, 400, 10, 5, 1)
TERMS = -np.log(np.where(LABELS > 0, PREDICTIONS, 1 - PREDICTIONS) + 1e-5)


def test_cross_entropy():
    y, p, e = LABELS, PREDICTIONS.astype(np.float64), 1e-5
    expected = -(y * np.log(p + e) + (1 - y) * np.log(1 - p + e)).sum(axis=1)
    loss = losses.CrossEntropyLoss()
    np.testing.assert_allclose(loss.call(LABELS, PREDICTIONS), expected, rtol=1e-5)
    np.testing.assert_allclose(loss(LABELS, PREDICTIONS), expected.mean(), rtol=1e-5)


def of_batch(loss, batch, predictions):
    """The loss in a graph, where that of many classes takes its own path."""
    function = tf.function(lambda p: loss.of_batch(batch, p, predictions.shape[-1]))
    return function(predictions)


class Doubled(losses.CrossEntropyLoss):
    def terms(self, labels, predictions):
        return 2.0 * super().terms(labels, predictions)


def test_batches_of_many_classes():
    """Whether rated or not; and losses that change the terms keep them."""
    p = RNG.random((2, 300)).astype(np.float32)
    batch = {"labels": np.array([[7, -1], [299, 0]], np.int32)}
    y = np.asarray(losses.label_arrays(batch, 300)[0])
    terms = -np.log(np.where(y > 0, p, 1 - p) + 1e-5)
    check(of_batch(losses.CrossEntropyLoss(), batch, p), terms.sum(axis=1))
    check(of_batch(Doubled(), batch, p), 2 * terms.sum(axis=1))
    batch["rated"] = np.array([[7, 8], [0, -1]], np.int32)
    rated = [terms[0, 7] + terms[0, 8], terms[1, 0]]
    check(of_batch(losses.CrossEntropyLoss(), batch, p), rated)


def test_hinge():
    expected = np.maximum(0, 0.5 - (2 * LABELS - 1) * PREDICTIONS).sum(axis=1)
    loss = losses.HingeLoss(hinge_margin=0.5)
    np.testing.assert_allclose(loss.call(LABELS, PREDICTIONS), expected, rtol=1e-5)


def test_softmax():
    targets = LABELS / np.maximum(LABELS.sum(axis=1, keepdims=True), 1)
    expected = -(targets * np.log(softmax(PREDICTIONS, axis=1))).sum(axis=1)
    check(losses.SoftmaxLoss().call(LABELS, PREDICTIONS), expected)


@pytest.mark.parametrize(
    "prediction, label, expected",
    [
        (0.0, 1, 11.512925),  # -log(e), e = 1e-5
        (1.0, 0, 11.512925),
        (0.0, 0, -1e-5),  # -log(1 + e)
        (1e-3, 1, 6.8978054),  # -log(1e-3 + e)
    ],
)
def test_the_epsilon_of_the_cross_entropy(prediction, label, expected):
    terms = losses.CrossEntropyLoss().call(
        np.float32([[label]]), np.float32([[prediction]])
    )
    np.testing.assert_allclose(terms, [expected], rtol=1e-5, atol=2e-8)


def test_defaults_of_the_losses():
    """Those of the starter code and of the papers."""
    names = {
        name: losses.LOSSES.get(name)(**values).get_config()
        for name, values in (
            ("HingeLoss", {}),
            ("PseudoHuberLoss", {}),
            ("WeightedCrossEntropyLoss", {"class_counts": COUNTS}),
            ("NegativeMaskedCrossEntropyLoss", {}),
            ("CenterLoss", {}),
        )
    }
    expected = {
        "HingeLoss": {"hinge_margin": 1.0},
        "PseudoHuberLoss": {"huber_delta": 0.5},
        "WeightedCrossEntropyLoss": {"miss_power": 1.0, "miss_cap": 10000.0},
        "NegativeMaskedCrossEntropyLoss": {
            "negative_threshold": 0.15,
            "negative_threshold_counts": True,
        },
        "CenterLoss": {
            "center_loss_weight": 0.001,
            "center_rate": 0.05,
            "center_mean": False,
        },
    }
    for name, values in expected.items():
        assert {key: names[name][key] for key in values} == values, name
    weights = losses.WeightedCrossEntropyLoss((30_000, 3, 1))._weights
    np.testing.assert_array_equal(weights, np.float32([1, 10_000, 10_000]))
    with pytest.raises(ValueError, match="--huber_delta=0.0: must be greater than 0"):
        losses.PseudoHuberLoss(huber_delta=0.0)


def test_names_of_the_losses():
    assert {*losses.LOSSES} >= {
        *("CrossEntropyLoss", "HingeLoss", "SoftmaxLoss", "PseudoHuberLoss"),
        *("WeightedCrossEntropyLoss", "NegativeMaskedCrossEntropyLoss", "CenterLoss"),
    }


@pytest.mark.parametrize("name", losses.LOSSES)
def test_losses_are_summed_over_classes_and_the_mean_of_the_batch(name):
    loss = construct(losses.LOSSES.get(name), {"class_counts": COUNTS})
    terms = np.asarray(loss.terms(LABELS, PREDICTIONS))
    assert terms.shape == (4, 6)
    check(loss.call(LABELS, PREDICTIONS), terms.sum(axis=1))
    np.testing.assert_allclose(loss(LABELS, PREDICTIONS), terms.sum() / 4, rtol=1e-5)
    # The labels may come in another dtype than the predictions.
    check(loss.call(LABELS.astype(np.int32), PREDICTIONS), terms.sum(axis=1))


def test_unrated_classes_do_not_count():
    """Of a segment two classes are rated, one of them present; all of a video's are."""
    batch = {"labels": np.array([[4, -1]]), "rated": np.array([[1, 4]])}
    labels, rated = map(np.asarray, losses.label_arrays(batch, 6))
    assert labels.tolist() == [[0, 0, 0, 0, 1, 0]]
    assert rated.tolist() == [[0, 1, 0, 0, 1, 0]]
    predictions = PREDICTIONS[:1]
    terms = np.log(np.array([1 - predictions[0, 1], predictions[0, 4]]) + 1e-5)
    loss = losses.CrossEntropyLoss()
    check(loss.call(labels, predictions, rated), [-terms.sum()])
    kept = np.asarray(losses.rated_predictions(predictions, batch))
    np.testing.assert_array_equal(kept, predictions * rated)
    assert losses.label_arrays({"labels": batch["labels"]}, 6)[1] is None
    assert losses.rated_predictions(predictions, {}) is predictions


def test_the_softmax_of_a_segment_is_over_its_rated_classes():
    rated = np.float32([[0, 1, 1, 0, 0, 1]])
    labels = np.float32([[0, 1, 0, 0, 0, 1]])
    shares = softmax(PREDICTIONS[:1, [1, 2, 5]], axis=1)[0]
    expected = -(np.log(shares[0]) + np.log(shares[2])) / 2
    check(losses.SoftmaxLoss().call(labels, PREDICTIONS[:1], rated), [expected])


@pytest.mark.parametrize("name", losses.LOSSES)
def test_label_weights_weigh_each_class(name):
    loss = construct(losses.LOSSES.get(name), {"class_counts": COUNTS})
    weights = RNG.random((4, 6)).astype(np.float32)
    terms = np.asarray(loss.terms(LABELS, PREDICTIONS))
    result = loss.call(LABELS, PREDICTIONS, weights)
    np.testing.assert_allclose(result, (terms * weights).sum(axis=1), rtol=1e-5)
    config = json.loads(json.dumps(loss.get_config()))
    copy = type(loss).from_config(config)
    np.testing.assert_array_equal(copy.call(LABELS, PREDICTIONS, weights), result)


@pytest.mark.parametrize("delta", [0.5, 3.0])
def test_pseudo_huber(delta):
    expected = delta**2 * (np.sqrt(1 + (TERMS / delta) ** 2) - 1)
    loss = losses.PseudoHuberLoss(huber_delta=delta)
    check(loss.call(LABELS, PREDICTIONS), expected.sum(axis=1))


def test_pseudo_huber_is_a_parabola_then_a_line():
    loss, e = losses.PseudoHuberLoss(huber_delta=0.5), 1e-5
    assert loss.terms(np.float32([0.0]), np.float32([e])) == 0  # log(1 - p + e) = 0
    small = np.float32([1e-3, 1e-2])
    halves = loss.terms(np.ones(2), np.exp(-small) - e) / small**2
    np.testing.assert_allclose(halves, 0.5, rtol=1e-3)
    # Of a cross entropy far above delta, which e keeps below 11.6.
    flat = losses.PseudoHuberLoss(huber_delta=0.01)
    steep = flat.terms(np.ones(2), np.exp([-4.0, -8.0]) - e)
    np.testing.assert_allclose((steep[1] - steep[0]) / 4, 0.01, rtol=1e-3)


@pytest.mark.parametrize("name", losses.LOSSES)
def test_gradients_are_finite_where_predictions_are_certain(name):
    loss = construct(losses.LOSSES.get(name), {"class_counts": COUNTS})
    predictions = tf.constant([[0.0, 1, 0, 1, 0.5, 0.2]])
    labels = tf.constant([[0.0, 1, 1, 0, 1, 0]])
    with tf.GradientTape() as tape:
        tape.watch(predictions)
        value = loss.call(labels, predictions)
    assert np.all(np.isfinite(value))
    assert np.all(np.isfinite(tape.gradient(value, predictions)))


def test_missed_labels_cost_more_where_rare():
    loss = losses.WeightedCrossEntropyLoss(COUNTS, miss_power=0.5, miss_cap=20.0)
    weights = [1, 2**0.5, 2.5**0.5, 10, 200**0.5, 20]
    expected = np.where(LABELS > 0, weights, 1) * TERMS
    check(loss.call(LABELS, PREDICTIONS), expected.sum(axis=1))
    plain = losses.WeightedCrossEntropyLoss(COUNTS, miss_power=0.0)
    check(plain.call(LABELS, PREDICTIONS), TERMS.sum(axis=1))


def test_unlikely_negatives_do_not_count():
    loss = losses.NegativeMaskedCrossEntropyLoss(negative_threshold=0.4)
    predictions = tf.constant(PREDICTIONS)
    with tf.GradientTape() as tape:
        tape.watch(predictions)
        value = loss.call(LABELS, predictions)
    ignored = (LABELS == 0) & (PREDICTIONS < 0.4)
    check(value, np.where(ignored, -np.log(1 + 1e-5), TERMS).sum(axis=1))
    gradient = np.asarray(tape.gradient(value, predictions))
    np.testing.assert_array_equal(gradient != 0, ~ignored)


@pytest.mark.parametrize("threshold", [0.15, 0.2])
@pytest.mark.parametrize("counts", [True, False])
def test_a_negative_at_the_threshold(threshold, counts):
    """It counts for p >= threshold, the sample loss, and not for p > threshold."""
    loss = losses.NegativeMaskedCrossEntropyLoss(threshold, counts)
    at = np.float32(threshold)
    predictions = tf.constant([[np.nextafter(at, 0), at, np.nextafter(at, 1)]])
    with tf.GradientTape() as tape:
        tape.watch(predictions)
        terms = loss.terms(tf.zeros([1, 3]), predictions)
    gradient = np.asarray(tape.gradient(terms, predictions))
    kept = np.array([[False, counts, True]])
    check(terms, np.where(kept, -np.log(1 - at + 1e-5), -np.log(1 + 1e-5)))
    np.testing.assert_array_equal(gradient != 0, kept)


# Center loss ------------------------------------------------------------------------

IDS = np.array([[0, 3, -1], [3, -1, -1], [-1, -1, -1], [3, 1, 5]], np.int32)
X = RNG.normal(size=(4, 2)).astype(np.float32)
START = RNG.normal(size=(6, 2)).astype(np.float32)


def center_loss(**values):
    loss = losses.CenterLoss(center_loss_weight=0.1, **values)
    loss.build(6, (1, 2))
    np.testing.assert_array_equal(loss.centers, np.zeros((6, 2)))
    loss.centers.assign(START)
    return loss


def labels_of(row):
    return IDS[row][IDS[row] >= 0]


def distances():
    """sum over labels k of |x - m_k|^2, of each video."""
    return [((X[row] - START[labels_of(row)]) ** 2).sum() for row in range(4)]


def test_center_loss():
    loss = center_loss(center_rate=0.3)
    with tf.GradientTape() as tape:
        x, centers = tf.constant(X), loss.centers.value
        tape.watch([x, centers])
        terms = loss.auxiliary_losses({"descriptor": x}, {"labels": IDS})
        total = tf.reduce_sum(terms["center_loss"])
    assert terms.keys() == {"center_loss"}
    count = np.maximum((IDS >= 0).sum(axis=1), 1)
    check(terms["center_loss"], 0.1 * np.array(distances()) / count)
    moved, gradient = START.copy(), np.zeros_like(X)
    videos = np.bincount(IDS[IDS >= 0], minlength=6)
    for row, x_row in enumerate(X):
        for k in labels_of(row):
            moved[k] -= 0.3 * (START[k] - x_row) / (1 + videos[k])
            gradient[row] += 0.1 * 2 * (x_row - START[k]) / count[row]
    check(loss.centers, moved)
    gradients = tape.gradient(total, [x, centers])
    check(gradients[0], gradient)
    assert gradients[1] is None


def test_no_optimizer_moves_the_centers():
    (centers,) = center_loss().variables
    assert centers.shape == (6, 2) and not centers.trainable


def test_center_loss_as_a_mean_of_all_terms():
    loss = center_loss(center_mean=True)
    terms = loss.auxiliary_losses({"descriptor": X}, {"labels": IDS})
    check(terms["center_loss"], 0.1 * sum(distances()) / ((IDS >= 0).sum() * 2))


def test_a_frequent_label_does_not_drive_its_center_away():
    loss = center_loss()
    x, labels = np.ones((500, 2), np.float32), np.zeros((500, 1), np.int32)
    for _ in range(200):
        loss.auxiliary_losses({"descriptor": x}, {"labels": labels})
    np.testing.assert_allclose(loss.centers[0], [1, 1], atol=1e-3)


def test_centers_come_to_rest_at_the_mean_of_their_videos():
    loss = center_loss(center_rate=0.1)
    for _ in range(200):
        loss.auxiliary_losses({"descriptor": X}, {"labels": IDS})
    check(loss.centers[3], X[[0, 1, 3]].mean(axis=0))
    check(loss.centers[2], START[2])  # no video has it


def test_center_loss_needs_one_descriptor_a_video(sample, tmp_path):
    """One line, for models with a descriptor per vertical and per frame."""
    for model, values in (
        ("MultiAttentionBiLSTM", {"verticals": [i % 3 for i in range(12)]}),
        ("ManyToManyLSTM", {}),
    ):
        sizes = {"lstm_cells": 4}
        model = ModelConfig(
            model, label_loss="CenterLoss", hyperparameters=sizes, **values
        )
        with pytest.raises(UserError) as error:
            Trainer(RunConfig(FRAMES, model), config(sample, tmp_path))
        assert "--label_loss=CenterLoss needs one descriptor" in str(error.value)
        assert "\n" not in str(error.value)


def clustering(loss, **values):
    """A run of the encoder of Na et al.'s row, whose descriptor may have no weights."""
    values = {"center_loss_weight": 0.5, **values}
    model = ModelConfig(
        "IndirectClustering", "LogisticModel", label_loss=loss, hyperparameters=values
    )
    return RunConfig(FRAMES, model)


def trained(run, sample, path):
    """The model's trainable weights after three steps."""
    trainer = Trainer(run, config(sample, path, max_steps=3))
    trainer.train()
    weights = trainer.state.model.trainable_weights
    return {weight.path: weight.numpy() for weight in weights}


@pytest.mark.slow
def test_the_row_with_a_center_loss_trains_otherwise_than_the_one_without(
    sample, tmp_path, caplog
):
    flags = PRESETS["na2017-center"].flags
    own = {name: flags[name] for name in flags if name.startswith("clustering_")}
    with_centers, without = (
        trained(clustering(loss, **own), sample, tmp_path / loss)
        for loss in (flags["label_loss"], "CrossEntropyLoss")
    )
    assert with_centers.keys() == without.keys()
    for name, weight in with_centers.items():
        assert np.abs(weight - without[name]).max() > 1e-5, name
    assert IDLE not in caplog.text


IDLE = "trains nothing"


def test_a_term_that_trains_nothing_is_told_once(sample, tmp_path, caplog):
    """Before the sum of raw frames stands no weight."""
    idle, without = (
        trained(clustering(loss), sample, tmp_path / loss)
        for loss in ("CenterLoss", "CrossEntropyLoss")
    )
    for name, weight in idle.items():
        np.testing.assert_array_equal(weight, without[name])
    (line,) = [record for record in caplog.records if IDLE in record.getMessage()]
    assert line.levelname == "WARNING"
    assert line.getMessage() == (
        "the loss's term center_loss depends on no weight of the model, so it trains "
        "nothing; choose another loss, or another model"
    )


@pytest.mark.slow
def test_resuming_keeps_the_centers(sample, tmp_path):
    run = RunConfig(FRAMES, CENTERS)
    whole = train(run, config(sample, tmp_path / "whole", max_steps=6))
    train(run, config(sample, tmp_path / "parts", max_steps=3))
    parts = train(run, config(sample, tmp_path / "parts", max_steps=6))
    assert np.abs(whole[-1]).max() > 0
    for ours, theirs in zip(whole, parts, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    line = metrics_lines(tmp_path / "whole")[-1]
    assert line["auxiliary_loss"] > 0


SCRIPT = (
    TWO_REPLICAS
    + """
import dataclasses
import numpy as np
from tests.helpers import training_runs as t
for mean in (False, True):
    values = {**t.CENTERS.hyperparameters, "center_mean": mean}
    model = dataclasses.replace(t.CENTERS, hyperparameters=values)
    settings = t.config({"frame/train": data}, f"{out}/{mean}", num_epochs=2,
        batch_size=int(batch), base_learning_rate=0.05,
        optimizer="GradientDescentOptimizer")
    np.savez(f"{out}/{mean}.npz",
             *t.train(t.RunConfig(t.FRAMES, model), settings, strategy))
"""
)


@pytest.mark.slow
def test_two_replicas_of_half_the_batch_give_the_same_centers(sample, tmp_path):
    for replicas, batch in ((1, 32), (2, 16)):
        out = tmp_path / str(replicas)
        run_python(SCRIPT, replicas, sample["frame/train"], out, batch)
    for mean in (False, True):
        files = [np.load(tmp_path / n / f"{mean}.npz") for n in "12"]
        assert np.abs(files[0]["arr_0"]).max() > 0
        for name in files[0].files:
            np.testing.assert_allclose(*(f[name] for f in files), rtol=1e-4, atol=1e-5)


def test_a_value_that_is_no_number_is_told():
    config = ModelConfig(
        label_loss="HingeLoss", hyperparameters={"hinge_margin": np.nan}
    )
    with pytest.raises(UserError, match="^--hinge_margin=nan: is no number$"):
        losses.create(RunConfig(DataConfig(), config))
