"""The starter code's two ways of choosing frames, against numpy."""

import numpy as np
import pytest

from youtube8m.layers.frame_selection import (
    random_frame_indices,
    random_sequence_indices,
)

RNG = np.random.default_rng(0)


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
