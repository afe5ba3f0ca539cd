"""Frames drawn on the device: the starter code's two ways for DBoF, one per window."""

import keras
from keras import ops

from youtube8m.layers.inputs import take_frames
from youtube8m.layers.windows import split_mask
from youtube8m.registry import PACKAGE, Configured
from youtube8m.util import frame_indices


def _below(uniform):
    """A function of n: floor(u n) in float32, as int32."""
    return lambda n: ops.cast(uniform * ops.cast(n, "float32"), "int32")


def random_frame_indices(uniform, num_frames):
    """floor(u * n): independent frames of each video, with replacement.

    Args:
      uniform: float [B, k] in [0, 1).
      num_frames: int [B].
    Returns:
      int32 [B, k].
    """
    return _below(uniform)(ops.cast(num_frames, "float32")[:, None])


def random_sequence_indices(uniform, num_frames, size: int):
    """A run of `size` frames from a start drawn by u; the last frame repeats.

    Args:
      uniform: float [B, 1] in [0, 1).
      num_frames: int [B].
    Returns:
      int32 [B, size].
    """
    num_frames = ops.cast(num_frames, "int32")[:, None]
    start = frame_indices.run_starts(ops, _below(uniform), num_frames, size)
    return ops.minimum(start + ops.arange(size, dtype="int32"), num_frames - 1)


@keras.saving.register_keras_serializable(PACKAGE)
class SampleFrames(Configured, keras.layers.Layer):
    """k frames of each video: drawn anew in training, a fixed choice otherwise.

    The fixed choice spreads the k frames evenly (or takes the run in the middle), so
    that a prediction depends on its video alone. The starter code draws at random
    in evaluation too.

    Args:
      size: k.
      contiguous: a run of neighbouring frames instead of independent ones.

    Input shape: frames [B, T, D], mask [B, T]. Output shape: [B, k, D].
    """

    def __init__(self, size: int, contiguous: bool = False, seed=None, **kwargs):
        super().__init__(**kwargs)
        self.size = size
        self.contiguous = contiguous
        self.seed = seed
        self.seed_generator = keras.random.SeedGenerator(seed)

    def call(self, frames, frame_mask, training=False):
        num_frames = ops.sum(ops.cast(frame_mask, "int32"), axis=1)
        uniform = self.uniform(ops.shape(frames)[0], training)
        indices = self.indices(uniform, num_frames)
        return take_frames(frames, indices)

    def uniform(self, batch, training):
        """The numbers in [0, 1) that decide the choice: [B, k], or [B, 1] for a run."""
        count = 1 if self.contiguous else self.size
        if training:
            return keras.random.uniform((batch, count), seed=self.seed_generator)
        even = (ops.arange(count, dtype="float32") + 0.5) / count
        return ops.broadcast_to(even[None, :], (batch, count))

    def indices(self, uniform, num_frames):
        if self.contiguous:
            return random_sequence_indices(uniform, num_frames, self.size)
        return random_frame_indices(uniform, num_frames)

    def compute_output_spec(self, frames, frame_mask, training=False):
        shape = (frames.shape[0], self.size, frames.shape[-1])
        return keras.KerasTensor(shape, dtype=frames.dtype)


def window_indices(uniform, counts, size: int):
    """size w + floor(u n_w): a frame of each window, of its first n_w.

    Args:
      uniform: float [B, W] in [0, 1).
      counts: int [B, W], n_w.
      size: frames of a window.
    Returns:
      int32 [B, W].
    """
    return frame_indices.window_indices(ops, _below(uniform), counts, size)


@keras.saving.register_keras_serializable(PACKAGE)
class SampleWindows(Configured, keras.layers.Layer):
    """A real frame of each window: drawn anew in training, the middle one otherwise.

    Args:
      size: k, frames of a window.

    Input shape: frames [B, T, D], mask [B, T].
    Output shape: [B, W, D], W = ceil(T / k), and int32 [B, W]: how many real frames
    each window has. Of one without, the frame returned is a pad.
    """

    def __init__(self, size: int, seed=None, **kwargs):
        super().__init__(**kwargs)
        self.size = size
        self.seed = seed
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

    def compute_output_spec(self, frames, frame_mask, training=False):
        batch, steps, size = frames.shape
        windows = steps and -(-steps // self.size)
        return (
            keras.KerasTensor((batch, windows, size), frames.dtype),
            keras.KerasTensor((batch, windows), "int32"),
        )
