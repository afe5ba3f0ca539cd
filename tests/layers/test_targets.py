"""Labels as multi-hot vectors."""

import numpy as np

from youtube8m.layers.targets import multi_hot


def test_multi_hot():
    ids = np.array([[0, 3, -1], [-1, -1, -1], [5, -1, -1]], np.int32)
    expected = np.zeros((3, 6))
    expected[0, [0, 3]] = expected[2, 5] = 1
    np.testing.assert_array_equal(multi_hot(ids, 6), expected)
    assert multi_hot(np.zeros((2, 0), np.int32), 6).shape == (2, 6)


def test_an_id_counts_once():
    result = multi_hot(np.array([[2, 2, -1], [0, 0, 0]], np.int32), 3)
    np.testing.assert_array_equal(result, [[0, 0, 1], [1, 0, 0]])
