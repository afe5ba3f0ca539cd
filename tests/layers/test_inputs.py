"""From bytes to features, against a few lines of numpy."""

import keras
import numpy as np

from tests.helpers.reference import normalized
from youtube8m.layers.inputs import (
    NormalizedFeatures,
    dequantize,
    frame_mask,
    take_frames,
)

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


def test_frames_are_taken_by_video():
    rng = np.random.default_rng(0)
    x = rng.integers(0, 256, (3, 5, 4), np.uint8)
    indices = rng.integers(0, 5, (3, 7)).astype(np.int32)
    expected = np.stack([x[row][indices[row]] for row in range(3)])
    np.testing.assert_array_equal(take_frames(x, indices), expected)
