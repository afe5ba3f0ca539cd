"""Descriptors of a video by soft assignment of its frames to clusters.

    residuals = vlad(x, weights, centres)          # [B, K, D]
    descriptor = flatten(l2_normalize(residuals))  # [B, K D]

Sums over frames are products of matrices: no tensor has the size [B, T, K, D].
"""

from keras import ops

from youtube8m.layers.inputs import NORM_EPSILON
from youtube8m.layers.pooling import attend


def l2_normalize(x, axis: int = -1, epsilon: float = NORM_EPSILON):
    """x divided by its L2 norm over `axis`, as tf.nn.l2_normalize."""
    squared = ops.sum(ops.square(x), axis=axis, keepdims=True)
    return x * ops.rsqrt(ops.maximum(squared, epsilon))


def flatten(x):
    """[B, K, D] -> [B, K D]."""
    return ops.reshape(x, (-1, x.shape[1] * x.shape[2]))


def split_modalities(x, sizes) -> list:
    """[B, T, D] -> the features of each modality [B, T, D_i]."""
    ends = [sum(sizes[:number]) for number in range(1, len(sizes))]
    return ops.split(x, ends, axis=-1) if ends else [x]


def vlad(x, weights, centres=None):
    """The frames' distances from each cluster's centre, summed by their weights.

        V_k = sum over t of a_tk (x_t - c_k) = sum of a_tk x_t - (sum of a_tk) c_k

    Args:
      x: [B, T, D].
      weights: a [B, T, K], 0 at the padding.
      centres: c [K, D], or None for 0.

    Returns:
      float32 [B, K, D].
    """
    sums = ops.cast(attend(x, weights), "float32")
    if centres is None:
        return sums
    counts = ops.sum(ops.cast(weights, "float32"), axis=1)
    return sums - counts[..., None] * ops.cast(centres, "float32")
