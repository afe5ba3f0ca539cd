"""The starter code's encoders and optimizers against a few lines of numpy."""

import keras
import numpy as np
import pytest

from youtube8m import models, optimizers
from youtube8m.errors import UserError

RNG = np.random.default_rng(0)


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
