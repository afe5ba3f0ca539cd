"""From the bytes of a batch to the features that models get.

frames = join_frames(batch)                  # [B, T, D], of one type
x = dequantize(frames)                       # uint8 [B, T, D] -> float32
mask = frame_mask(num_frames, T)             # bool [B, T]
some = take_frames(x, indices)               # [B, T, D] at [B, k]: [B, k, D]
x = NormalizedFeatures()(frames, mask)       # L2-normalised, padding exactly 0
"""

import keras
from keras import ops

from youtube8m import schema
from youtube8m.registry import PACKAGE

NORM_EPSILON = 1e-12  # of the squared norm, as in tf.nn.l2_normalize


def dequantize(
    x, minimum: float = schema.QUANTIZED_MIN, maximum: float = schema.QUANTIZED_MAX
):
    """uint8 -> float32 in [minimum, maximum], at the middle of each of 256 bins.

    x = q * (max - min) / 255 + (max - min) / 512 + min, as the starter code's
    utils.Dequantize.
    """
    scale, offset = scale_and_offset(minimum, maximum)
    return ops.cast(x, "float32") * scale + offset


def scale_and_offset(minimum=schema.QUANTIZED_MIN, maximum=schema.QUANTIZED_MAX):
    """Those by which bytes become numbers."""
    return (maximum - minimum) / 255.0, (maximum - minimum) / 512.0 + minimum


def join_frames(inputs):
    """The frames [B, T, D] of a batch.

    `frames`, as they are; or `frames0`, `frames1` ... side by side in float32: bytes
    are dequantised, and vectors of a video [B, d] are repeated for each frame. The
    first array has frames.
    """
    if "frames" in inputs:
        return inputs["frames"]
    parts, steps = [], None
    while (key := f"frames{len(parts)}") in inputs:
        part = as_floats(inputs[key])
        if len(part.shape) == 2:
            part = ops.repeat(part[:, None], steps, axis=1)
        steps = ops.shape(part)[1]
        parts.append(part)
    return ops.concatenate(parts, axis=-1)


def as_floats(x):
    """Values of any type in float32; bytes are dequantised."""
    return dequantize(x) if is_bytes(x) else ops.cast(x, "float32")


def is_bytes(x) -> bool:
    """Whether values are quantised."""
    return not keras.backend.is_float_dtype(keras.backend.standardize_dtype(x.dtype))


def frame_mask(num_frames, max_frames):
    """Marks the real frames: lengths [B] -> bool [B, T]."""
    return ops.arange(max_frames)[None, :] < ops.cast(num_frames, "int32")[:, None]


def zero_padding(x, frame_mask):
    """x [B, T, H] with zeros where not frame_mask, as TF1's dynamic_rnn returns it."""
    return ops.where(frame_mask[..., None], x, ops.zeros_like(x))


def take_frames(x, indices):
    """Frames of each video: x [B, T, D] at int32 [B, k] in [0, T): [B, k, D].

    It copies whole rows; ops.take_along_axis transposes x and copies single numbers.
    """
    batch, steps, size = ops.shape(x)
    rows = steps * ops.arange(batch, dtype="int32")[:, None] + indices
    return ops.take(ops.reshape(x, (-1, size)), rows, axis=0)


@keras.saving.register_keras_serializable(PACKAGE)
class NormalizedFeatures(keras.layers.Layer):
    """Dequantises bytes, divides each vector by its L2 norm, and zeroes the padding.

    The norm is that of all modalities of a frame together, as in the starter code,
    which does this before every model. Floats are not dequantised. The maths is
    float32 under every policy, since a byte needs 8 exact bits.

    Input shape: [B, T, D] with mask [B, T], or [B, D] without.
    Output shape: that of the input, in the policy's compute dtype.
    """

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.autocast = False

    def call(self, x, frame_mask=None):
        quantised = is_bytes(x)
        x, epsilon = ops.cast(x, "float32"), NORM_EPSILON
        if quantised:  # without the scale, which division by the norm cancels
            scale, offset = scale_and_offset()
            x, epsilon = x + offset / scale, epsilon / scale**2
        squared = ops.sum(ops.square(x), axis=-1, keepdims=True)
        scale = ops.rsqrt(ops.maximum(squared, epsilon))
        if frame_mask is not None:
            # Byte 0 stands for -1.99, so padding must be cleared after dequantising.
            scale = ops.where(frame_mask[..., None], scale, 0.0)
        return ops.cast(x * scale, self.compute_dtype)
