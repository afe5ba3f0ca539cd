"""Sums of normalised frames from their bytes, against a few lines of numpy."""

import numpy as np
import pytest
import tensorflow as tf

from tests.helpers.reference import normalized
from youtube8m.layers import byte_frames
from youtube8m.layers.byte_frames import FrameSums
from youtube8m.layers.compiled import portable_graphs

RNG = np.random.default_rng(0)
SIZE = 300  # two whole widths and a rest
# Seven frames: not a whole block. One frame is all but constant: its norm is small.
FRAMES = RNG.integers(0, 256, (2, 7, SIZE), np.uint8)
FRAMES[0, 1] = 127
MASK = np.array([[True] * 3 + [False] * 4, [True] * 7])
DEQUANTIZED = FRAMES * 4.0 / 255 + 4 / 512 - 2
X = normalized(DEQUANTIZED) * MASK[..., None]
WEIGHTS = RNG.random((2, 7, 2), np.float32)
VECTORS = RNG.standard_normal((2, SIZE)).astype(np.float32)


@pytest.mark.parametrize("frames", [FRAMES, X.astype(np.float32)], ids=["bytes", ""])
def test_sums(frames):
    frames = FrameSums(frames, MASK)
    close = dict(rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(frames.sum(), X.sum(1), **close)
    weighted = np.einsum("bts,btd->bsd", WEIGHTS, X)
    np.testing.assert_allclose(frames.weighted(WEIGHTS), weighted, **close)
    products = np.einsum("btd,bd->bt", X, VECTORS)
    np.testing.assert_allclose(frames.products(VECTORS), products, **close)


def compiles_in_graph(dtype=tf.uint8, size=SIZE):
    found = []

    def trace(x):
        found.append(byte_frames.compiles(x))
        return x

    spec = tf.TensorSpec([None, None, size], dtype)
    tf.function(trace).get_concrete_function(spec)
    return found[0]


def test_only_large_bytes_in_graphs_are_compiled():
    assert compiles_in_graph()
    assert not compiles_in_graph(tf.float32)
    assert not compiles_in_graph(size=8)
    assert not byte_frames.compiles(tf.constant(FRAMES))
    with portable_graphs():
        assert not compiles_in_graph()
    assert compiles_in_graph()
