"""Pooling over the real frames against numpy."""

import numpy as np
import pytest

from tests.helpers.reference import softmax
from youtube8m.layers.pooling import (
    AttentionPooling,
    masked_max,
    masked_mean,
    masked_softmax,
)

RNG = np.random.default_rng(0)
LENGTHS = (6, 3, 1)
MASK = np.arange(6)[None, :] < np.array(LENGTHS)[:, None]
X = RNG.normal(size=(3, 6, 4)).astype(np.float32)  # also at the padding


@pytest.mark.parametrize("pool, reduce", [(masked_mean, np.mean), (masked_max, np.max)])
def test_padding_does_not_count(pool, reduce):
    expected = [reduce(x[:n], axis=0) for x, n in zip(X, LENGTHS, strict=True)]
    np.testing.assert_allclose(pool(X, MASK), expected, rtol=1e-5)


def test_softmax_is_over_the_real_frames_or_over_all():
    weights = masked_softmax(X[..., 0], MASK)
    for b, n in enumerate(LENGTHS):
        np.testing.assert_allclose(weights[b, :n], softmax(X[b, :n, 0]), rtol=1e-5)
        assert not np.any(weights[b, n:])
    np.testing.assert_allclose(masked_softmax(X), softmax(X, axis=1), rtol=1e-5)


@pytest.mark.parametrize("units", [0, 5])
@pytest.mark.parametrize("queries", [1, 3])
def test_attention(units, queries):
    layer = AttentionPooling(queries, units)
    pooled = layer(X, MASK)
    query = np.asarray(layer.query)
    for b, n in enumerate(LENGTHS):
        x = X[b, :n]
        if units:
            kernel, bias = layer.hidden.get_weights()
            answers = np.tanh(x @ kernel + bias)
        else:
            answers = np.tanh(x)
        expected = softmax(answers @ query).T @ x
        np.testing.assert_allclose(
            pooled[b], expected[0] if queries == 1 else expected, rtol=1e-4, atol=1e-6
        )
