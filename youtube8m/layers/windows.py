"""Frames in windows of k neighbours: [B, T, D] -> [B, W, k, D], W = ceil(T / k).

    windows, real = split_windows(x, mask, 5)       # [B, W, 5, D], bool [B, W, 5]
    pooled, mask = windowed_max(x, mask, 5)         # [B, W, D], bool [B, W]

The last window is filled up with pads.
"""

from keras import ops

from youtube8m.layers.inputs import zero_pads


def _fill_up(x, size: int):
    """x [B, T, ...] with zeros behind, so that T is a multiple of `size`."""
    missing = -ops.shape(x)[1] % size
    return ops.pad(x, [[0, 0], [0, missing]] + [[0, 0]] * (len(x.shape) - 2))


def split_mask(frame_mask, size: int):
    """bool [B, T] -> [B, W, size]."""
    filled = _fill_up(frame_mask, size)
    return ops.reshape(filled, (-1, ops.shape(filled)[1] // size, size))


def split_windows(x, frame_mask, size: int):
    """x [B, T, D], frame_mask [B, T] -> [B, W, size, D] and bool [B, W, size]."""
    filled = _fill_up(x, size)
    windows = ops.shape(filled)[1] // size
    filled = ops.reshape(filled, (-1, windows, size, x.shape[-1]))
    return filled, split_mask(frame_mask, size)


def windowed_max(x, frame_mask, size: int):
    """Maximum of each window's real frames; 0 in windows that have none.

    Args:
      x: [B, T, H].
      frame_mask: bool [B, T].
      size: frames of a window.
    Returns:
      [B, W, H] and bool [B, W], which windows have a real frame.
    """
    windows, real = split_windows(x, frame_mask, size)
    # Not -inf, as in `pooling.masked_max`.
    lowest = ops.full_like(windows, -3e4)
    highest = ops.max(ops.where(real[..., None], windows, lowest), axis=2)
    mask = ops.any(real, axis=2)
    return zero_pads(highest, mask), mask
