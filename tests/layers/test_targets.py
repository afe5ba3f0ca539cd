"""Labels as multi-hot vectors, and the cross entropy of their ids."""

import numpy as np
import tensorflow as tf

from youtube8m.layers.targets import cross_entropy_of_ids, multi_hot

E = 1e-5


def test_multi_hot():
    ids = np.array([[0, 3, -1], [-1, -1, -1], [5, -1, -1]], np.int32)
    expected = np.zeros((3, 6))
    expected[0, [0, 3]] = expected[2, 5] = 1
    np.testing.assert_array_equal(multi_hot(ids, 6), expected)
    assert multi_hot(np.zeros((2, 0), np.int32), 6).shape == (2, 6)


def test_an_id_counts_once():
    result = multi_hot(np.array([[2, 2, -1], [0, 0, 0]], np.int32), 3)
    np.testing.assert_array_equal(result, [[0, 0, 1], [1, 0, 0]])


def test_cross_entropy_of_ids():
    """Padding before a label, labels that are named twice, class 0, and no label."""
    ids = [[2, 0, -1, 2], [-1, 3, -1, -1], [-1, -1, -1, -1], [0, -1, 0, 0]]
    p = np.random.default_rng(0).random((4, 5)).astype(np.float32)
    p[0, :3], p[3, :2] = [0.0, 1.0, 1.0], [1.0, 0.0]
    y = np.zeros((4, 5))
    y[0, [0, 2]] = y[1, 3] = y[3, 0] = 1
    factors = np.array([1.0, 2.0, -1.0, 0.5], np.float32)
    with tf.GradientTape() as tape:
        predictions = tf.Variable(p)
        losses = cross_entropy_of_ids(tf.constant(ids), predictions)
        total = tf.reduce_sum(losses * factors)
    expected = -(y * np.log(p + E) + (1 - y) * np.log(1 - p + E)).sum(axis=1)
    np.testing.assert_allclose(losses, expected, rtol=1e-5)
    slopes = factors[:, None] * ((1 - y) / (1 - p + E) - y / (p + E))
    gradient = tape.gradient(total, predictions)
    np.testing.assert_allclose(gradient, slopes, rtol=1e-5)
