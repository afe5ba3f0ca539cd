"""The starter code's two ways of choosing frames, against numpy."""

import numpy as np
import pytest

from youtube8m.layers.frame_selection import (
    SampleFrames,
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


def chosen(layer, lengths, **values):
    """The numbers of the frames that a layer takes of videos of these lengths."""
    longest = max(lengths)
    frames = np.tile(
        np.arange(longest, dtype=np.float32)[:, None], (len(lengths), 1, 1)
    )
    mask = np.arange(longest) < np.array(lengths)[:, None]
    return np.asarray(layer(frames, mask, **values))[:, :, 0].tolist()


def test_without_training_frames_are_spread_evenly():
    """floor(n (2 i + 1) / 8) of the four frames i."""
    assert chosen(SampleFrames(4), [9, 4, 1]) == [[1, 3, 5, 7], [0, 1, 2, 3], [0] * 4]


def test_without_training_neighbours_lie_in_the_middle():
    layer = SampleFrames(4, contiguous=True)
    assert chosen(layer, [9, 4, 1]) == [[3, 4, 5, 6], [0, 1, 2, 3], [0] * 4]


@pytest.mark.parametrize("contiguous", [False, True])
def test_in_training_frames_are_drawn_of_each_video(contiguous):
    layer = SampleFrames(3, contiguous, seed=1)
    copy = SampleFrames.from_config(layer.get_config() | {"seed": 1})
    found = np.array([chosen(layer, [40] * 20 + [7], training=True) for _ in range(5)])
    assert len(np.unique(found[:, :-1, 0])) > 20  # of 100 draws of 0 to 39
    assert found.min() >= 0 and found.max() < 40 and found[:, -1].max() < 7
    assert len(np.unique(found[:, -1, 0])) > 1
    steps = np.diff(found, axis=2)
    assert (steps == 1).all() if contiguous else len(np.unique(steps)) > 20
    assert chosen(copy, [40] * 20 + [7], training=True) == found[0].tolist()
