"""Frames of a video chosen on the device, in the two ways of the starter code."""

import keras
from keras import ops

from youtube8m.layers.inputs import take_frames
from youtube8m.registry import PACKAGE, Configured
from youtube8m.util import frame_indices


def numbers_below(uniform):
    """The function n -> floor(u n), in float32, as int32."""
    return lambda n: ops.cast(uniform * ops.cast(n, "float32"), "int32")


def random_frame_indices(uniform, num_frames):
    """floor(u n): independent frames of each video, with replacement.

    u float [B, k] in [0, 1), n int [B] -> int32 [B, k].
    """
    return numbers_below(uniform)(ops.cast(num_frames, "float32")[:, None])


def random_sequence_indices(uniform, num_frames, size: int):
    """`size` neighbouring frames from a start that u gives; the last frame repeats.

    u float [B, 1] in [0, 1), n int [B] -> int32 [B, size].
    """
    num_frames = ops.cast(num_frames, "int32")[:, None]
    start = frame_indices.run_starts(ops, numbers_below(uniform), num_frames, size)
    return ops.minimum(start + ops.arange(size, dtype="int32"), num_frames - 1)


@keras.saving.register_keras_serializable(PACKAGE)
class SampleFrames(Configured, keras.layers.Layer):
    """k frames of each video: random ones in training, a fixed choice otherwise.

    The fixed choice spreads the k frames evenly (or takes the k in the middle), so
    that a prediction depends only on its video. The starter code draws at random
    in evaluation too.

    Args:
      size: k.
      contiguous: take neighbouring frames, not independent ones.

    Input shape: frames [B, T, D], mask [B, T]. Output shape: [B, k, D].
    """

    def __init__(self, size: int, contiguous: bool = False, seed=None, **kwargs):
        super().__init__(**kwargs)
        self.seed_generator = keras.random.SeedGenerator(seed)

    def call(self, frames, frame_mask, training=False):
        num_frames = ops.sum(ops.cast(frame_mask, "int32"), axis=1)
        uniform = self.uniform(ops.shape(frames)[0], training)
        indices = self.indices(uniform, num_frames)
        return take_frames(frames, indices)

    def uniform(self, batch, training):
        """The numbers in [0, 1) behind the choice: [B, k], or [B, 1] if contiguous."""
        count = 1 if self.contiguous else self.size
        if training:
            return keras.random.uniform((batch, count), seed=self.seed_generator)
        even = (ops.arange(count, dtype="float32") + 0.5) / count
        return ops.broadcast_to(even[None, :], (batch, count))

    def indices(self, uniform, num_frames):
        """The chosen frames int32 [B, k] of videos of `num_frames` int [B]."""
        if self.contiguous:
            return random_sequence_indices(uniform, num_frames, self.size)
        return random_frame_indices(uniform, num_frames)
