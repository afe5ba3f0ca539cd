"""Frames drawn on the device: the starter code's two ways for DBoF."""

import keras
from keras import ops

from youtube8m.registry import PACKAGE, Configured


def random_frame_indices(uniform, num_frames):
    """floor(u * n): independent frames of each video, with replacement.

    Args:
      uniform: float [B, k] in [0, 1).
      num_frames: int [B].
    Returns:
      int32 [B, k].
    """
    length = ops.cast(num_frames, "float32")[:, None]
    return ops.cast(uniform * length, "int32")


def random_sequence_indices(uniform, num_frames, size: int):
    """A run of `size` frames from a start drawn by u; the last frame repeats.

    Args:
      uniform: float [B, 1] in [0, 1).
      num_frames: int [B].
    Returns:
      int32 [B, size].
    """
    num_frames = ops.cast(num_frames, "int32")[:, None]
    room = ops.maximum(num_frames - size, 0) + 1
    start = ops.cast(uniform * ops.cast(room, "float32"), "int32")
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
        return ops.take_along_axis(frames, indices[..., None], axis=1)

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
