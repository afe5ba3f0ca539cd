"""Windows of neighbouring frames against numpy."""

import numpy as np

from youtube8m.models.tang2017.windows import (
    SampleWindows,
    split_windows,
    windowed_max,
)

RNG = np.random.default_rng(0)


def test_windows():
    x = RNG.normal(size=(2, 7, 3)).astype(np.float32)
    mask = np.array([[True] * 7, [True] * 4 + [False] * 3])
    windows, real = split_windows(x, mask, 3)
    assert windows.shape == (2, 3, 3, 3)
    flat = np.asarray(windows).reshape(2, 9, 3)
    np.testing.assert_array_equal(flat[:, :7], x)
    np.testing.assert_array_equal(flat[:, 7:], 0)
    np.testing.assert_array_equal(np.sum(real, axis=2), [[3, 3, 1], [3, 1, 0]])


def test_maxima_of_windows_are_of_real_frames():
    x = -RNG.random((2, 7, 3)).astype(np.float32)
    mask = np.array([[True] * 7, [True] * 4 + [False] * 3])
    pooled, real = windowed_max(x, mask, 3)
    np.testing.assert_array_equal(real, [[True] * 3, [True, True, False]])
    expected = [[x[0, :3], x[0, 3:6], x[0, 6:]], [x[1, :3], x[1, 3:4]]]
    for row, windows in zip(pooled, expected, strict=True):
        maxima = [window.max(axis=0) for window in windows]
        np.testing.assert_array_equal(row[: len(windows)], maxima)
    np.testing.assert_array_equal(pooled[1, 2], 0)


def test_a_frame_of_each_window():
    frames = np.broadcast_to(np.arange(12, dtype=np.uint8)[None, :, None], (2, 12, 2))
    mask = np.arange(12)[None, :] < np.array([12, 7])[:, None]
    sample = SampleWindows(5, seed=0)
    chosen, counts = sample(frames, mask)
    np.testing.assert_array_equal(counts, [[5, 5, 2], [5, 2, 0]])
    np.testing.assert_array_equal(chosen[..., 0], [[2, 7, 11], [2, 6, 10]])
    draws = np.array([sample(frames, mask, training=True)[0] for _ in range(99)])
    assert draws.dtype == np.uint8
    np.testing.assert_array_equal(draws[..., 0], draws[..., 1])
    expected = [[{*range(5)}, {*range(5, 10)}, {10, 11}], [{*range(5)}, {5, 6}, {10}]]
    found = [[{*draws[:, b, w, 0]} for w in range(3)] for b in range(2)]
    assert found == expected
