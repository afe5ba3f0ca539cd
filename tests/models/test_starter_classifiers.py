"""The classifiers that need no facts of the classes, against numpy."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.helpers import layers
from tests.helpers.layers import check, count_built
from tests.helpers.reference import mixture, sigmoid, softmax
from youtube8m import models
from youtube8m.errors import UserError
from youtube8m.models.base import CLASSIFIERS, Classifier, VideoModel
from youtube8m.models.na2017.classifiers import MlpModel, MultiLayerMoeModel
from youtube8m.registry import construct

RNG = np.random.default_rng(0)
X = RNG.normal(size=(4, 5)).astype(np.float32)


def randomized(layer):
    layers.randomized(layer, X.shape, scale=1)
    return [np.asarray(weight) for weight in layer.weights]


def test_logistic():
    layer = models.LogisticModel(6)
    kernel, bias = randomized(layer)
    check(layer(X), sigmoid(X @ kernel + bias))


def test_moe():
    layer = models.MoeModel(6, moe_num_mixtures=3)
    gates, experts, bias = randomized(layer)
    check(layer(X), mixture(X @ gates, X @ experts + bias))


def test_moe_trains_the_same_where_it_is_compiled():
    """As it is in graphs, for many classes."""
    layer = models.MoeModel(300)
    randomized(layer)

    def step():
        with tf.GradientTape() as tape:
            predictions = layer(X, training=True)
            total = tf.reduce_sum(predictions[:, 1] - 2 * predictions[:, 299] ** 2)
        return predictions, *tape.gradient(total, layer.trainable_variables)

    for result, expected in zip(tf.function(step)(), step(), strict=True):
        np.testing.assert_allclose(result, expected, rtol=1e-4, atol=1e-6)


def test_moe_of_zero_weights_gives_half_of_the_real_experts_share():
    layer = models.MoeModel(6, moe_num_mixtures=4)
    layer.build((None, 5))
    for weight in layer.weights:
        weight.assign(np.zeros(weight.shape))
    np.testing.assert_allclose(layer(np.ones((2, 5))), 4 / 5 * 0.5, rtol=1e-6)


def test_moe_of_large_logits_is_finite():
    layer = models.MoeModel(6)
    randomized(layer)
    result = np.asarray(layer(1e4 * X))
    assert np.all((result >= 0) & (result <= 1))


def test_weight_decay_is_that_of_slim():
    """1e-8 * sum(w^2) / 2 of all kernels, none of the biases."""
    for layer in (models.MoeModel(6), MultiLayerMoeModel(6, 3), MlpModel(6, 2, 7)):
        weights = randomized(layer)
        layer(X)
        expected = 1e-8 * sum((w**2).sum() for w in weights if w.ndim == 2) / 2
        np.testing.assert_allclose(sum(map(float, layer.losses)), expected, rtol=1e-5)


def softmax_mixture(gates, experts):
    """As `mixture`, without a dummy expert: as many gates as experts."""
    gates, experts = (x.reshape(len(x), -1, 6) for x in (gates, experts))
    return (softmax(gates, axis=1) * sigmoid(experts)).sum(axis=1)


@pytest.mark.parametrize("mixtures", [1, 3])
def test_moe_with_gate_biases_and_without_a_dummy_expert(mixtures):
    """Na et al. 2017, equations 14 to 17."""
    layer = models.MoeModel(6, mixtures, moe_gate_bias=True, moe_dummy_expert=False)
    gates, gate_bias, experts, bias = randomized(layer)
    assert gates.shape == experts.shape == (5, 6 * mixtures)
    check(layer(X), softmax_mixture(X @ gates + gate_bias, X @ experts + bias))


@pytest.mark.parametrize("released", [False, True])
def test_multi_layer_moe(released):
    layer = MultiLayerMoeModel(6, 3, released, moe_num_mixtures=2)
    randomized(layer)

    def dense(x, name):
        layer_ = getattr(layer, name)
        bias = 0 if layer_.bias is None else np.asarray(layer_.bias)
        return x @ np.asarray(layer_.kernel) + bias

    hidden = X if released else dense(X, "expert_hidden")
    gates = dense(dense(X, "gate_hidden"), "gates")
    assert (layer.gates.bias is None) == released
    mix = mixture if released else softmax_mixture
    check(layer(X), mix(gates, dense(hidden, "experts")))


def test_mlp():
    layer = MlpModel(6, mlp_layers=2, mlp_size=7)
    randomized(layer)
    x = X
    for dense, norm in zip(layer.hidden, layer.norms, strict=True):
        x = x @ np.asarray(dense.kernel)
        x = (x - x.mean(-1, keepdims=True)) / x.std(-1, keepdims=True)
        x = np.maximum(x * np.asarray(norm.gamma) + np.asarray(norm.beta), 0)
    assert all(dense.bias is None for dense in (*layer.hidden, layer.logits))
    check(layer(X), sigmoid(x @ np.asarray(layer.logits.kernel)))


def test_mlp_without_normalisation():
    layer = MlpModel(6, 1, 7, mlp_layer_norm=False, mlp_activation="relu6")
    kernel, bias, last, last_bias = randomized(layer)
    hidden = np.clip(3 * X @ kernel + bias, 0, 6)
    assert hidden.max() == 6
    check(layer(3 * X), sigmoid(hidden @ last + last_bias))


def test_mlp_drops_units_in_training_only():
    layer = MlpModel(6, 1, 500, mlp_dropout=0.4)
    layer.build((None, 5))
    first, second = (np.asarray(layer(X, training=True)) for _ in "ab")
    assert np.abs(first - second).max() > 0
    np.testing.assert_array_equal(layer(X), layer(X, training=False))


@pytest.mark.parametrize(
    "name, values",
    [
        ("MlpModel", {"mlp_dropout": 1.0}),
        ("MlpModel", {"mlp_activation": "tanh"}),
        ("ClassifierChainModel", {"chain_dropout": -0.1}),
    ],
)
def test_impossible_values_are_refused(name, values):
    with pytest.raises(UserError, match=f"--{next(iter(values))}=.*: must be "):
        construct(CLASSIFIERS.get(name), {"num_classes": 6, **values})


# Dropout of the descriptor ----------------------------------------------------------


class Given(Classifier):
    """Returns its inputs, concatenated."""

    def call(self, descriptor, training=False):
        return keras.ops.concatenate(keras.tree.flatten(descriptor), axis=-1)


def test_descriptors_are_dropped_in_training_only():
    """Tang et al. 2017, equation 11: the kept values are divided by their share."""
    model = VideoModel(Given(4), dropout_keep_prob=0.25)
    batch = {"features": np.ones((2000, 4), np.float32)}  # 1/2 each, normalised
    outputs = model(batch, training=True)
    values, counts = np.unique(np.round(outputs["predictions"], 5), return_counts=True)
    np.testing.assert_array_equal(values, [0, 2])
    assert 0.22 < counts[1] / counts.sum() < 0.28
    np.testing.assert_allclose(outputs["descriptor"], np.full((2000, 4), 0.5), 1e-6)
    np.testing.assert_array_equal(model(batch)["predictions"], outputs["descriptor"])


def test_each_of_several_descriptors_is_dropped():
    model = VideoModel(Given(2), dropout_keep_prob=0.5)
    outputs = {"descriptor": [np.ones((9, 50)), np.ones((9, 70))]}
    given = np.asarray(model._classify(outputs, training=True)["predictions"])
    for part in np.split(given, [50], axis=1):
        np.testing.assert_array_equal(np.unique(part), [0, 2])


@pytest.mark.parametrize("keep", [0.0, 1.5])
def test_impossible_shares_are_refused(keep):
    with pytest.raises(UserError, match=f"--dropout_keep_prob={keep}: must be "):
        construct(
            VideoModel,
            {"dropout_keep_prob": keep},
            classifier=models.LogisticModel(3),
        )


# Sizes ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "mixtures, size, count",
    [
        (2, 1024, 24_155_352),
        (2, 2048, 48_301_272),
        (2, 4608, 108_666_072),
        (4, 1152, 48_914_352),
        (8, 1152, 92_395_872),
        (16, 1152, 179_358_912),
    ],
)
def test_counts_of_moe(mixtures, size, count):
    assert count_built(models.MoeModel(4716, mixtures), (None, size)) == count


def test_count_of_the_mlp():
    assert count_built(MlpModel(4716), (None, 1152)) == 57_614_336
