"""The same formulas on the host and on the device."""

import numpy as np
import pytest
from keras import ops

from youtube8m.util import frame_indices

U = np.random.default_rng(0).random(9).astype(np.float32)


def on_host(n):
    return np.floor(U * n).astype(np.int32)


def on_device(n):
    return ops.cast(U * ops.cast(n, "float32"), "int32")


@pytest.mark.parametrize("num_frames", [1, 4, 5, 300])
def test_runs_start_where_all_frames_are_of_the_video(num_frames):
    found = frame_indices.run_starts(np, on_host, num_frames, size=4)
    np.testing.assert_array_equal(found, np.floor(U * (max(num_frames - 4, 0) + 1)))
    on = frame_indices.run_starts(ops, on_device, ops.convert_to_tensor(num_frames), 4)
    np.testing.assert_array_equal(on, found)


def test_a_frame_of_each_window():
    counts = np.array([5] * 8 + [2])
    found = frame_indices.window_indices(np, on_host, counts, size=5)
    np.testing.assert_array_equal(found, 5 * np.arange(9) + np.floor(U * counts))
    on = frame_indices.window_indices(ops, on_device, counts, size=5)
    np.testing.assert_array_equal(on, found)
