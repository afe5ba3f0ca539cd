"""When parts of a model are compiled, and that they then compute the same."""

import numpy as np
import pytest
import tensorflow as tf

from youtube8m.layers.compiled import (
    compiled,
    compiled_with_gradient,
    pays,
    portable_graphs,
)

X = np.arange(6, dtype=np.float32).reshape(2, 3)


def pays_in_graph(size):
    found = []
    tf.function(lambda: found.append(pays(size))).get_concrete_function()
    return found[0]


def test_only_large_arrays_in_graphs_pay():
    assert pays_in_graph(256)
    assert not pays_in_graph(255)
    assert not pays(256)  # eager
    with portable_graphs():
        assert not pays_in_graph(256)
    assert pays_in_graph(256)


def test_graphs_are_no_longer_portable_after_an_error():
    with pytest.raises(KeyError), portable_graphs():
        raise KeyError
    assert pays_in_graph(256)


def test_nothing_pays_on_gpus(monkeypatch):
    monkeypatch.setattr(tf.config, "list_logical_devices", lambda kind: [kind])
    assert not pays_in_graph(256)


def test_compiled():
    np.testing.assert_allclose(compiled(lambda x, y: x * y + 1)(X, X), X * X + 1)


def test_gradient():
    x, y = tf.Variable(X), tf.Variable(X[:1] + 1)
    with tf.GradientTape() as tape:
        result = compiled_with_gradient(lambda x, y: x * x * y)(x, y)
        total = tf.reduce_sum(result * X)
    np.testing.assert_allclose(result, X * X * (X[:1] + 1))
    by_x, by_y = tape.gradient(total, [x, y])
    np.testing.assert_allclose(by_x, 2 * X * (X[:1] + 1) * X)
    np.testing.assert_allclose(by_y, (X**3).sum(axis=0, keepdims=True))
