"""The starter code's models and losses against a few lines of numpy."""

import keras
import numpy as np
import pytest

from youtube8m import losses, models, optimizers
from youtube8m.errors import UserError
from youtube8m.layers.labels import multi_hot
from youtube8m.registry import construct

RNG = np.random.default_rng(0)
PREDICTIONS = RNG.random((4, 6)).astype(np.float32)
LABELS = (RNG.random((4, 6)) < 0.4).astype(np.float32)
LABELS[2] = 0


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def randomized(layer, shape):
    layer.build(shape)
    for weight in layer.weights:
        weight.assign(RNG.normal(size=weight.shape))
    return [np.asarray(weight) for weight in layer.weights]


def test_logistic():
    layer = models.LogisticModel(6)
    kernel, bias = randomized(layer, (None, 5))
    x = RNG.normal(size=(4, 5)).astype(np.float32)
    np.testing.assert_allclose(layer(x), sigmoid(x @ kernel + bias), rtol=1e-5)


def test_moe():
    layer = models.MoeModel(6, moe_num_mixtures=3)
    gate_kernel, expert_kernel, bias = randomized(layer, (None, 5))
    x = RNG.normal(size=(4, 5)).astype(np.float32)
    gates = np.exp(x @ gate_kernel).reshape(4, 4, 6)
    gates = gates / gates.sum(axis=1, keepdims=True)
    experts = sigmoid(x @ expert_kernel + bias).reshape(4, 3, 6)
    expected = (gates[:, :3] * experts).sum(axis=1)
    np.testing.assert_allclose(layer(x), expected, rtol=1e-5)


def test_moe_of_zero_weights_gives_half_of_the_real_experts_share():
    layer = models.MoeModel(6, moe_num_mixtures=4)
    layer.build((None, 5))
    for weight in layer.weights:
        weight.assign(np.zeros(weight.shape))
    np.testing.assert_allclose(layer(np.ones((2, 5))), 4 / 5 * 0.5, rtol=1e-6)


def test_weight_decay_is_that_of_slim():
    """1e-8 * sum(w^2) / 2 of both kernels, none of the bias."""
    layer = models.MoeModel(6)
    weights = randomized(layer, (None, 5))
    layer(np.ones((1, 5)))
    expected = 1e-8 * sum((w**2).sum() for w in weights if w.ndim == 2) / 2
    np.testing.assert_allclose(sum(map(float, layer.losses)), expected, rtol=1e-5)


def test_frame_mean():
    frames = RNG.normal(size=(2, 4, 3)).astype(np.float32)
    frames[0, 2:] = 0
    mask = np.array([[True, True, False, False], [True] * 4])
    expected = [frames[0, :2].mean(axis=0), frames[1].mean(axis=0)]
    result = models.FrameLevelLogisticModel()(frames, mask)
    np.testing.assert_allclose(result, expected, rtol=1e-5)


@pytest.mark.parametrize("pooling, reduce", [("max", np.max), ("average", np.mean)])
def test_dbof(pooling, reduce):
    layer = models.DbofModel(
        iterations=3,
        dbof_add_batch_norm=False,
        dbof_cluster_size=7,
        dbof_hidden_size=4,
        dbof_pooling_method=pooling,
        dbof_activation="relu6",
    )
    frames = RNG.normal(size=(2, 3, 5)).astype(np.float32)
    layer.build(frames.shape)
    weights = [w for w in layer.weights if "seed" not in w.path]
    for weight in weights:
        weight.assign(RNG.normal(size=weight.shape))
    wc, bc, wh, bh = (np.asarray(weight) for weight in weights)
    clusters = np.clip(frames @ wc + bc, 0, 6)
    expected = np.clip(reduce(clusters, axis=1) @ wh + bh, 0, 6)
    np.testing.assert_allclose(
        layer(frames, np.ones((2, 3), bool)), expected, rtol=1e-4, atol=1e-5
    )


def test_multi_hot():
    ids = np.array([[0, 3, -1], [-1, -1, -1], [5, -1, -1]], np.int32)
    expected = np.zeros((3, 6))
    expected[0, [0, 3]] = expected[2, 5] = 1
    np.testing.assert_array_equal(multi_hot(ids, 6), expected)
    assert multi_hot(np.zeros((2, 0), np.int32), 6).shape == (2, 6)


def test_cross_entropy():
    y, p, e = LABELS, PREDICTIONS.astype(np.float64), 1e-5
    expected = -(y * np.log(p + e) + (1 - y) * np.log(1 - p + e)).sum(axis=1)
    loss = losses.CrossEntropyLoss()
    np.testing.assert_allclose(loss.call(LABELS, PREDICTIONS), expected, rtol=1e-5)
    np.testing.assert_allclose(loss(LABELS, PREDICTIONS), expected.mean(), rtol=1e-5)


def test_hinge():
    expected = np.maximum(0, 0.5 - (2 * LABELS - 1) * PREDICTIONS).sum(axis=1)
    loss = losses.HingeLoss(hinge_margin=0.5)
    np.testing.assert_allclose(loss.call(LABELS, PREDICTIONS), expected, rtol=1e-5)


def test_softmax():
    softmax = np.exp(PREDICTIONS) / np.exp(PREDICTIONS).sum(axis=1, keepdims=True)
    targets = LABELS / np.maximum(LABELS.sum(axis=1, keepdims=True), 1)
    expected = -(targets * np.log(softmax)).sum(axis=1)
    result = losses.SoftmaxLoss().call(LABELS, PREDICTIONS)
    np.testing.assert_allclose(result, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", losses.LOSSES)
def test_label_weights_weigh_each_class(name):
    loss = construct(losses.LOSSES.get(name), {})
    weights = RNG.random((4, 6)).astype(np.float32)
    terms = np.asarray(loss.terms(LABELS, PREDICTIONS))
    result = loss.call(LABELS, PREDICTIONS, weights)
    np.testing.assert_allclose(result, (terms * weights).sum(axis=1), rtol=1e-5)
    copy = type(loss).from_config(loss.get_config())
    np.testing.assert_array_equal(copy.call(LABELS, PREDICTIONS, weights), result)


@pytest.mark.parametrize("name", optimizers.names())
def test_every_optimizer_makes_steps_that_help(name):
    try:
        optimizer = optimizers.create(name, learning_rate=0.01)
    except UserError as error:
        pytest.skip(str(error))
    weight = keras.Variable(np.float32([3.0]))
    optimizer.build([weight])
    for _ in range(5):
        optimizer.apply([2 * weight.value], [weight])  # of w^2
    assert float(weight[0]) < 3.0


@pytest.mark.parametrize(
    "name, expected",
    [
        # lr * g / sqrt(rho + (1 - rho) g^2 + 1e-10), the accumulator starting at 1.
        ("RMSPropOptimizer", 0.1 * 0.5 / np.sqrt(0.9 + 0.1 * 0.25)),
        ("AdamOptimizer", 0.1),
        ("GradientDescentOptimizer", 0.05),
        ("AdagradOptimizer", 0.1 * 0.5 / np.sqrt(0.1 + 0.25)),
    ],
)
def test_first_step_of_tf1(name, expected):
    optimizer = optimizers.create(name, learning_rate=0.1)
    weight = keras.Variable(np.float32([3.0]))
    optimizer.build([weight])
    optimizer.apply([np.float32([0.5])], [weight])
    np.testing.assert_allclose(3.0 - float(weight[0]), expected, rtol=1e-4)
