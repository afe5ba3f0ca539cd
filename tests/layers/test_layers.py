"""Each layer against a few lines of numpy."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.helpers.reference import normalized, sigmoid
from youtube8m.layers.frame_selection import (
    SampleWindows,
    random_frame_indices,
    random_sequence_indices,
)
from youtube8m.layers.inputs import (
    NormalizedFeatures,
    dequantize,
    frame_mask,
    take_frames,
)
from youtube8m.layers.normalization import BatchNorm
from youtube8m.layers.recurrent import lstm
from youtube8m.layers.windows import split_windows, windowed_max

RNG = np.random.default_rng(0)


def test_dequantize():
    levels = np.arange(256, dtype=np.uint8)
    np.testing.assert_allclose(
        dequantize(levels), levels * 4.0 / 255 + 4 / 512 - 2, rtol=1e-6, atol=1e-6
    )


def test_frame_mask():
    expected = [[True, False, False], [True, True, True]]
    np.testing.assert_array_equal(frame_mask(np.array([1, 3]), 3), expected)


def test_bytes_are_dequantised_normalised_and_masked():
    frames = RNG.integers(0, 256, (2, 3, 5), dtype=np.uint8)
    mask = np.array([[True, True, False], [True, True, True]])
    x = frames * 4.0 / 255 + 4 / 512 - 2
    expected = normalized(x) * mask[..., None]
    result = NormalizedFeatures()(frames, mask)
    np.testing.assert_allclose(result, expected, rtol=1e-5, atol=1e-7)
    assert (np.asarray(result)[0, 2] == 0).all()


def test_floats_are_normalised_as_they_are_and_zero_stays_zero():
    x = RNG.normal(size=(3, 4)).astype(np.float32)
    x[1] = 0
    expected = x / np.maximum(np.linalg.norm(x, axis=-1, keepdims=True), 1e-6)
    np.testing.assert_allclose(NormalizedFeatures()(x), expected, rtol=1e-5)


def test_normalisation_keeps_its_accuracy_under_mixed_precision():
    x = RNG.integers(0, 256, (2, 3, 5), dtype=np.uint8)
    mask = np.ones((2, 3), bool)
    half = NormalizedFeatures(dtype="mixed_bfloat16")(x, mask)
    assert half.dtype == "bfloat16"
    whole = keras.ops.cast(NormalizedFeatures()(x, mask), "bfloat16")
    np.testing.assert_array_equal(half, whole)


@pytest.mark.parametrize("shape", [(6, 4), (3, 5, 4)])
def test_batch_norm(shape):
    layer = BatchNorm(momentum=0.9)
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


def test_lstm_starts_like_tf1_and_follows_the_equations():
    units, size = 64, 48
    layer = lstm(size, units)
    layer.build((None, None, size))
    kernel, recurrent, bias = (np.asarray(w) for w in layer.weights)
    limit = np.sqrt(6 / (size + units + 4 * units))
    for matrix in (kernel, recurrent):
        assert 0.97 * limit < np.abs(matrix).max() <= limit
        assert abs(matrix.std() - limit / np.sqrt(3)) < 0.02 * limit
    np.testing.assert_array_equal(bias, np.repeat([0, 1, 0, 0], units))  # i f c o
    x = RNG.normal(size=(2, 3, size)).astype(np.float32)
    h = c = np.zeros((2, units))
    for step in range(3):
        z = x[:, step] @ kernel + h @ recurrent + bias
        i, f, g, o = np.split(z, 4, axis=1)
        c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
        h = sigmoid(o) * np.tanh(c)
    np.testing.assert_allclose(layer(x), h, atol=1e-5)


def test_random_frames_are_floor_of_u_times_length():
    uniform = RNG.random((3, 7)).astype(np.float32)
    lengths = np.array([1, 20, 300])
    expected = np.floor(uniform * lengths[:, None])
    np.testing.assert_array_equal(random_frame_indices(uniform, lengths), expected)


@pytest.mark.parametrize(
    "uniform, length, expected",
    [
        (0.0, 9, [0, 1, 2, 3]),
        (0.999, 9, [5, 6, 7, 8]),
        (0.5, 4, [0, 1, 2, 3]),
        (0.9, 2, [0, 1, 1, 1]),
        (0.3, 1, [0, 0, 0, 0]),
    ],
)
def test_random_sequence(uniform, length, expected):
    indices = random_sequence_indices(np.float32([[uniform]]), [length], 4)
    np.testing.assert_array_equal(indices, [expected])


def test_windows():
    x = RNG.normal(size=(2, 7, 3)).astype(np.float32)
    mask = np.array([[True] * 7, [True] * 4 + [False] * 3])
    windows, real = split_windows(x, mask, 3)
    assert windows.shape == (2, 3, 3, 3)
    flat = np.asarray(windows).reshape(2, 9, 3)
    np.testing.assert_array_equal(flat[:, :7], x)
    np.testing.assert_array_equal(flat[:, 7:], 0)
    np.testing.assert_array_equal(np.sum(real, axis=2), [[3, 3, 1], [3, 1, 0]])


def test_maxima_of_windows_are_of_real_frames():
    x = -RNG.random((2, 7, 3)).astype(np.float32)
    mask = np.array([[True] * 7, [True] * 4 + [False] * 3])
    pooled, real = windowed_max(x, mask, 3)
    np.testing.assert_array_equal(real, [[True] * 3, [True, True, False]])
    expected = [[x[0, :3], x[0, 3:6], x[0, 6:]], [x[1, :3], x[1, 3:4]]]
    for row, windows in zip(pooled, expected, strict=True):
        maxima = [window.max(axis=0) for window in windows]
        np.testing.assert_array_equal(row[: len(windows)], maxima)
    np.testing.assert_array_equal(pooled[1, 2], 0)


def test_a_frame_of_each_window():
    frames = np.broadcast_to(np.arange(12, dtype=np.uint8)[None, :, None], (2, 12, 2))
    mask = np.arange(12)[None, :] < np.array([12, 7])[:, None]
    sample = SampleWindows(5, seed=0)
    chosen, counts = sample(frames, mask)
    np.testing.assert_array_equal(counts, [[5, 5, 2], [5, 2, 0]])
    np.testing.assert_array_equal(chosen[..., 0], [[2, 7, 11], [2, 6, 10]])
    draws = np.array([sample(frames, mask, training=True)[0] for _ in range(99)])
    assert draws.dtype == np.uint8
    np.testing.assert_array_equal(draws[..., 0], draws[..., 1])
    places = [[{*range(5)}, {*range(5, 10)}, {10, 11}], [{*range(5)}, {5, 6}, {10}]]
    found = [[{*draws[:, b, w, 0]} for w in range(3)] for b in range(2)]
    assert found == places


def test_frames_are_taken_by_video():
    rng = np.random.default_rng(0)
    x = rng.integers(0, 256, (3, 5, 4), np.uint8)
    indices = rng.integers(0, 5, (3, 7)).astype(np.int32)
    expected = np.stack([x[row][indices[row]] for row in range(3)])
    np.testing.assert_array_equal(take_frames(x, indices), expected)
