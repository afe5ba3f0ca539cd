"""Features that are not divided by their norm.

scale, offset = whitening(("rgb", "audio"), (1024, 128))     # of each value
x = ScaledFeatures(scale, offset)(frames, mask)              # padding exactly 0
"""

import importlib.resources
from collections.abc import Sequence

import keras
import numpy as np
from keras import ops

from youtube8m import schema
from youtube8m.layers.inputs import dequantize

# At the middle of its bin, a byte stands for this much more than at its lower end.
HALF_A_BIN = (schema.QUANTIZED_MAX - schema.QUANTIZED_MIN) / 512.0
SMALLEST_ROOT = 1e-4  # is added to the eigenvalues' roots, as in the authors' code


def rgb_eigenvalues() -> np.ndarray:
    """The variances of the rgb features before they were whitened: float32 [1024]."""
    table = importlib.resources.files(__package__) / "rgb_eigenvalues.txt"
    return np.loadtxt(table.read_text().splitlines(), dtype=np.float32)


def whitening(
    feature_names: Sequence[str], feature_sizes: Sequence[int]
) -> tuple[np.ndarray, np.ndarray]:
    """The scale and the offset of each value that undo the whitening of rgb features.

        x' = (x + offset) * scale        scale = sqrt(e) + 1e-4, offset = -4 / 512

    e are the eigenvalues of the PCA. Features but `rgb` and those that end in `_rgb`
    stay. The offset takes back half a bin, which dequantising adds.
    Source: Lin et al. 2018, equation 11, and their code, which has the offset and 1e-4.

    Returns:
      float32 [D] and [D].

    Raises:
      ValueError: no feature is rgb, or one has more values than there are eigenvalues.
    """
    roots = np.sqrt(rgb_eigenvalues()) + np.float32(SMALLEST_ROOT)
    scale, offset, flag = [], [], "--input_transform=reverse_whitening"
    for name, size in zip(feature_names, feature_sizes, strict=True):
        is_rgb = f"_{name}".endswith("_rgb")
        if is_rgb and size > len(roots):
            raise ValueError(
                f"{flag}: {name} has {size} values, but there are {len(roots)} "
                "eigenvalues; choose l2 or none"
            )
        scale.append(roots[:size] if is_rgb else np.ones(size, np.float32))
        offset.append(np.full(size, -HALF_A_BIN * is_rgb, np.float32))
    if not any(map(np.any, offset)):
        raise ValueError(
            f"{flag}: needs a feature rgb or mean_rgb, but --feature_names is "
            f"{','.join(feature_names)}; choose l2 or none"
        )
    return np.concatenate(scale), np.concatenate(offset)


class ScaledFeatures(keras.layers.Layer):
    """Dequantises bytes, adds an offset, multiplies by a scale, and zeroes the padding.

    Floats are not dequantised. The maths is float32 under every policy.

    Args:
      scale, offset: of each value, [D], or numbers.

    Input shape: [B, T, D] with mask [B, T], or [B, D] without.
    Output shape: that of the input, in the policy's compute dtype.
    """

    def __init__(self, scale=1.0, offset=0.0, **kwargs):
        super().__init__(**kwargs)
        self.autocast = False
        self.scale, self.offset = scale, offset

    def call(self, x, frame_mask=None):
        is_float = keras.backend.is_float_dtype(
            keras.backend.standardize_dtype(x.dtype)
        )
        x = ops.cast(x, "float32") if is_float else dequantize(x)
        x = (x + self.offset) * self.scale
        if frame_mask is not None:
            x = ops.where(frame_mask[..., None], x, 0.0)
        return ops.cast(x, self.compute_dtype)
