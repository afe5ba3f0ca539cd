"""Formulas of the frames that are drawn, for numpy on the host and for keras.ops.

    window_indices(np, below, counts, size=5)

`ops` is the module that computes. below(n) = floor(u n) is a number from 0 to n - 1 for
each u, uniform in [0, 1): in whole numbers on the host, in float32 on the device. So
below(n) of k numbers are k frames of n with repetitions, and u = 1/2 takes the middle.
"""


def run_starts(ops, below, num_frames, size: int):
    """floor(u (max(n - k, 0) + 1)): where a run of k = `size` neighbours starts."""
    return below(ops.maximum(num_frames - size, 0) + 1)


def window_indices(ops, below, counts, size: int):
    """k w + floor(u n_w): one of the first n_w frames of each window w of k = `size`.

    `counts` [..., W] are the n_w.
    """
    windows = ops.arange(ops.shape(counts)[-1], dtype="int32")
    return size * windows + below(counts)
