"""Label correlation, after a classifier and among its logits, against numpy."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.helpers.layers import check, count_built
from tests.helpers.reference import mixture, normalized, sigmoid
from youtube8m import losses, models
from youtube8m.config import DataConfig, ModelConfig, RunConfig
from youtube8m.models.base import VideoModel
from youtube8m.models.na2017.classifiers import LabelCorrelationMoeModel
from youtube8m.models.na2017.label_processing import LabelCorrelation
from youtube8m.registry import construct

RNG = np.random.default_rng(0)
P = RNG.random((4, 6)).astype(np.float32)
FIXED, TRAINED = RNG.normal(0, 0.2, (2, 6, 6)).astype(np.float32)


def correlation(alpha, beta, gamma):
    layer = LabelCorrelation(6, alpha, beta, gamma)
    layer.build((None, 6))
    for weight, value in ((layer.fixed, FIXED), (layer.trained, TRAINED)):
        if weight is not None:
            weight.assign(value)
    return layer


@pytest.mark.parametrize(
    "factors", [(1.0, 0.3, 0.0), (0.9, 0.0, 0.1), (1.0, 0.2, 0.5), (1.0, 0.0, 0.0)]
)
def test_label_correlation(factors):
    a, b, g = factors
    expected = [a * p + b * FIXED @ p + g * TRAINED @ p for p in P]
    check(correlation(*factors)(P), np.clip(expected, 0, 1))


def test_one_matrix_is_fixed_and_one_trained():
    layer = correlation(1.0, 0.3, 0.01)
    layer.set_label_correlation(FIXED)
    for weight in (layer.fixed, layer.trained):
        np.testing.assert_array_equal(weight, FIXED)
    assert layer.trainable_weights == [layer.trained]
    assert correlation(1.0, 0.3, 0.0).trainable_weights == []


@pytest.mark.parametrize("name", losses.LOSSES)
def test_values_outside_0_and_1_are_clipped(name):
    layer = LabelCorrelation(6, correlation_beta=40.0)
    layer.build((None, 6))
    layer.set_label_correlation(FIXED)
    result = np.asarray(layer(P))
    assert result.min() == 0 and result.max() == 1
    loss = construct(losses.LOSSES.get(name), {"class_counts": range(1, 7)})
    assert np.all(np.isfinite(loss.call(P > 0.5, result)))


def test_gradients_reach_the_trained_matrix():
    layer = correlation(1.0, 0.0, 0.1)
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(layer(P / 2) ** 2)
    assert np.abs(tape.gradient(loss, layer.trained.value)).max() > 0


def test_count_of_the_matrix():
    assert count_built(LabelCorrelation(4716), (None, 4716)) == 22_240_656


def test_label_correlation_moe():
    """e = sigmoid((1 - g) z + g z M) for each expert's logits z, a row times M."""
    layer = LabelCorrelationMoeModel(6, logit_correlation=0.2, moe_num_mixtures=3)
    x = RNG.normal(size=(4, 5)).astype(np.float32)
    layer.build(x.shape)
    for weight in layer.weights:
        weight.assign(RNG.normal(size=weight.shape))
    gates = np.asarray(layer.gates.kernel)
    experts, bias = (np.asarray(weight) for weight in layer.experts.weights)
    layer.set_label_correlation(TRAINED)
    z = (x @ experts + bias).reshape(4, 3, 6)
    mixed = 0.8 * z + 0.2 * z @ TRAINED
    check(layer(x), mixture(x @ gates, mixed.reshape(4, 18)))


# As a part of a model ---------------------------------------------------------------

CASES = [
    ("LogisticModel", {"label_processing": "LabelCorrelation"}),
    ("LabelCorrelationMoeModel", {}),
]


def create(name, values):
    data = DataConfig(("x",), (5,), num_classes=6)
    hyperparameters = {"correlation_beta": 0.2, "correlation_gamma": 0.1}
    if not values:
        hyperparameters = {}
    config = ModelConfig(name, hyperparameters=hyperparameters, **values)
    model = models.create(RunConfig(data, config))
    part = model.label_processing or model.classifier
    part.set_label_correlation(TRAINED)
    return model


BATCH = {"features": RNG.normal(size=(4, 5)).astype(np.float32)}


@pytest.mark.parametrize("case", CASES)
def test_models_keep_their_matrices(case, tmp_path):
    model = create(*case)
    before = model(BATCH)["predictions"]
    model.save(tmp_path / "model.keras")
    copy = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(copy(BATCH)["predictions"], before)


@pytest.mark.parametrize("case", CASES)
def test_mixed_precision_is_close_and_ends_in_float32(case):
    before = keras.config.dtype_policy()
    model = create(*case)
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        half = create(*case)
    finally:
        keras.config.set_dtype_policy(before)
    half.set_weights(model.get_weights())
    predictions = half(BATCH)["predictions"]
    assert predictions.dtype == "float32"
    np.testing.assert_allclose(predictions, model(BATCH)["predictions"], atol=0.02)


def test_predictions_are_processed_after_the_classifier():
    model = create(*CASES[0])
    plain = VideoModel(model.classifier)
    p = np.asarray(plain(BATCH)["predictions"])
    mixed = p + 0.2 * p @ TRAINED.T + 0.1 * p @ TRAINED.T
    check(model(BATCH)["predictions"], np.clip(mixed, 0, 1))
    kernel = np.asarray(model.classifier.logits.kernel)
    check(p, sigmoid(normalized(BATCH["features"]) @ kernel))
