"""TF1's recurrent cells: their starting weights and equations, against numpy."""

import numpy as np
import pytest

from tests.helpers.reference import sigmoid
from youtube8m.layers.cells import LayerNormLSTM, glorot_limit, make_gru, make_lstm

RNG = np.random.default_rng(0)


def test_lstm_starts_like_tf1_and_follows_the_equations():
    units, size = 64, 48
    layer = make_lstm(size, units)
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


def test_cells_start_as_in_tf1():
    layer = make_lstm(5, 4)
    layer.build((None, None, 5))
    kernel, recurrent, bias = layer.get_weights()
    limit = glorot_limit(5, 4, gates=4)
    assert limit == pytest.approx(np.sqrt(6 / (9 + 16)))
    for matrix in (kernel, recurrent):
        assert 0.5 * limit < np.abs(matrix).max() <= limit
    np.testing.assert_array_equal(bias, [0] * 4 + [1] * 4 + [0] * 8)
    layer = make_gru(5, 4)
    layer.build((None, None, 5))
    np.testing.assert_array_equal(layer.get_weights()[2], [1] * 8 + [0] * 4)


def test_candidates_are_dropped_in_training_only():
    layer = LayerNormLSTM(64, dropout=0.5, seed=0)
    x = RNG.normal(size=(2, 3, 5)).astype(np.float32)
    outputs, _, _ = layer(x)
    again, _, _ = layer(x)
    np.testing.assert_array_equal(outputs, again)
    first, second = (layer(x, training=True)[0] for _ in range(2))
    assert not np.allclose(first, outputs) and not np.allclose(first, second)
    plain = LayerNormLSTM(64)
    plain.build(x.shape)
    plain.set_weights(layer.get_weights()[: len(plain.get_weights())])
    np.testing.assert_allclose(plain(x)[0], outputs, rtol=1e-6)
