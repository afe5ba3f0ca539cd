"""Batch normalisation and its gradients against numpy."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from youtube8m.layers.normalization import SETTLED, BatchNorm

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


def test_the_defaults():
    layer = BatchNorm()
    values = layer.momentum, layer.epsilon, layer.scale, layer.slim
    assert values == (0.999, 1e-3, True, False) and SETTLED == 10000


@pytest.mark.parametrize("rows", [0, 1, 2, 3])
def test_moments_of_few_vectors(rows):
    """Of none and of one they are defined; what is masked out counts for nothing."""
    layer = BatchNorm(momentum=0.5, slim=True)
    x = np.float32([[1, 2], [4, 2], [7, 2]])
    mask = np.arange(3) < rows
    layer.build(x.shape)
    result = layer(x, mask, training=True)
    mean = x[:rows].mean(axis=0) if rows else np.zeros(2)
    variance = x[:rows].var(axis=0) if rows else np.zeros(2)
    unbiased = variance * rows / max(rows - 1, 1)
    np.testing.assert_allclose(result, (x - mean) / np.sqrt(variance + 1e-3), rtol=1e-3)
    np.testing.assert_allclose(layer.moving_mean, mean / 2, rtol=1e-6)
    np.testing.assert_allclose(layer.moving_variance, (1 + unbiased) / 2, rtol=1e-5)


def test_a_variance_is_never_negative():
    """Of large equal values, whose squares are rounded."""
    x = np.full((7, 1), 10000.1, np.float32)
    layer = BatchNorm()
    layer.build(x.shape)
    assert np.isfinite(layer(x, training=True)).all()
    assert layer.moving_variance[0] >= 0


def test_a_file_without_the_count_is_settled():
    layer = BatchNorm()
    layer.build((2, 3))
    store = {str(number): np.full(3, 0.5) for number in range(4)}
    layer.load_own_variables(store)
    assert float(layer.updates) == 10000
    np.testing.assert_array_equal(layer.moving_mean, [0.5] * 3)
