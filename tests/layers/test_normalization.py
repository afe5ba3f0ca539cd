"""Batch normalisation and its gradients against numpy."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from youtube8m.layers.normalization import BatchNorm

RNG = np.random.default_rng(0)


@pytest.mark.parametrize("shape", [(6, 4), (3, 5, 4)])
def test_batch_norm(shape):
    layer = BatchNorm(momentum=0.9, slim=True)
    x = RNG.normal(1, 2, shape).astype(np.float32)
    layer.build(x.shape)
    layer.gamma.assign(RNG.random(4))
    layer.beta.assign(RNG.random(4))
    gamma, beta = np.asarray(layer.gamma), np.asarray(layer.beta)
    rows = x.reshape(-1, 4)
    mean, variance = rows.mean(axis=0), rows.var(axis=0)
    expected = (x - mean) / np.sqrt(variance + 1e-3) * gamma + beta
    np.testing.assert_allclose(layer(x, training=True), expected, atol=1e-5)
    # Moving statistics start at 0 and 1; the variance takes the unbiased estimate.
    moving = 0.9 + 0.1 * rows.var(axis=0, ddof=1)
    np.testing.assert_allclose(layer.moving_mean, 0.1 * mean, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(layer.moving_variance, moving, rtol=1e-5)
    expected = (x - 0.1 * mean) / np.sqrt(moving + 1e-3) * gamma + beta
    np.testing.assert_allclose(layer(x), expected, atol=1e-5)


def test_moving_statistics_forget_their_start():
    layer = BatchNorm(momentum=0.4)
    layer.build((5, 3))
    mean, variance = np.zeros(3), np.ones(3)
    for updates in range(9):
        x = RNG.normal(4, 3, (5, 3)).astype(np.float32)
        layer(x, training=True)
        kept = min(0.4, (1 + updates) / (10 + updates))
        mean = kept * mean + (1 - kept) * x.mean(axis=0)
        variance = kept * variance + (1 - kept) * x.var(axis=0, ddof=1)
        np.testing.assert_allclose(layer.moving_mean, mean, rtol=1e-5)
        np.testing.assert_allclose(layer.moving_variance, variance, rtol=1e-5)
        assert layer.updates.numpy() == updates + 1
    assert kept == 0.4  # from the sixth update on


@pytest.mark.parametrize("slim", [False, True])
def test_a_keras_file_keeps_the_statistics(tmp_path, slim):
    model = keras.Sequential([keras.Input((3,)), BatchNorm(slim=slim)])
    model(RNG.normal(4, 3, (5, 3)).astype(np.float32), training=True)
    path = str(tmp_path / "model.keras")
    model.save(path)
    loaded = keras.models.load_model(path)
    for before, after in zip(model.weights, loaded.weights, strict=True):
        np.testing.assert_array_equal(before, after)


@pytest.mark.parametrize("shape", [(6, 4), (3, 5, 4)])
def test_batch_norm_gradients(shape):
    layer = BatchNorm()
    layer.build(shape)
    layer.gamma.assign(RNG.random(4))
    x, dy = tf.constant(RNG.normal(1, 2, (2, *shape)).astype(np.float32))
    with tf.GradientTape() as tape:
        tape.watch(x)
        loss = tf.reduce_sum(dy * layer(x, training=True))
    found = tape.gradient(loss, [x, layer.gamma.value, layer.beta.value])
    rows, dy_rows = (v.numpy().reshape(-1, 4) for v in (x, dy))
    inverse = 1 / np.sqrt(rows.var(axis=0) + 1e-3)
    normal = (rows - rows.mean(axis=0)) * inverse
    through = dy_rows - dy_rows.mean(axis=0) - normal * (dy_rows * normal).mean(axis=0)
    expected = layer.gamma.numpy() * inverse * through
    np.testing.assert_allclose(found[0], expected.reshape(shape), atol=1e-5)
    np.testing.assert_allclose(found[1], (dy_rows * normal).sum(axis=0), atol=1e-5)
    np.testing.assert_allclose(found[2], dy_rows.sum(axis=0), atol=1e-5)
