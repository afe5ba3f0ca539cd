"""Frames in windows of k neighbours: [B, T, D] -> [B, W, k, D], W = ceil(T / k).

    windows, real = split_windows(x, mask, 5)       # [B, W, 5, D], bool [B, W, 5]
    pooled, mask = windowed_max(x, mask, 5)         # [B, W, D], bool [B, W]
    frames, counts = SampleWindows(5)(x, mask)      # [B, W, D], int32 [B, W]

The last window is filled up with padding.
"""

import keras
from keras import ops

from youtube8m.layers.frame_selection import numbers_below
from youtube8m.layers.inputs import take_frames, zero_padding
from youtube8m.layers.pooling import LOWEST
from youtube8m.registry import PACKAGE, Configured
from youtube8m.util import frame_indices


def _fill_up(x, size: int):
    """x [B, T, ...] with zeros at the end, so that T is a multiple of `size`."""
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
    """Maximum of each window's real frames; 0 in windows without one.

    x [B, T, H], frame_mask [B, T] -> [B, W, H] and bool [B, W], which windows have one.
    """
    windows, real = split_windows(x, frame_mask, size)
    lowest = ops.full_like(windows, LOWEST)
    highest = ops.max(ops.where(real[..., None], windows, lowest), axis=2)
    mask = ops.any(real, axis=2)
    return zero_padding(highest, mask), mask


def window_indices(uniform, counts, size: int):
    """size w + floor(u n_w): a frame of each window w, among its first n_w.

    u float [B, W] in [0, 1), n int [B, W] -> int32 [B, W].
    """
    return frame_indices.window_indices(ops, numbers_below(uniform), counts, size)


@keras.saving.register_keras_serializable(PACKAGE)
class SampleWindows(Configured, keras.layers.Layer):
    """A real frame of each window: a random one in training, else the middle one.

    Args:
      size: k, frames in a window.

    Input shape: frames [B, T, D], mask [B, T].
    Output shape: [B, W, D], and int32 [B, W]: how many real frames each window has.
    For a window without any, the frame is padding.
    """

    def __init__(self, size: int, seed=None, **kwargs):
        super().__init__(**kwargs)
        self.seed_generator = keras.random.SeedGenerator(seed)

    def call(self, frames, frame_mask, training=False):
        real = split_mask(frame_mask, self.size)
        counts = ops.sum(ops.cast(real, "int32"), axis=2)
        shape = ops.shape(counts)
        if training:
            uniform = keras.random.uniform(shape, seed=self.seed_generator)
        else:
            uniform = ops.full(shape, 0.5)
        indices = window_indices(uniform, counts, self.size)
        return take_frames(frames, indices), counts
