"""Soft assignment of frames to clusters, and their residuals: VLAD, as layers.

descriptor = Residuals(64)(x, frame_mask)      # [B, T, D], [B, T] -> [B, 64 D]

Source: Arandjelovic et al. 2016; Miech et al. 2017.
"""

import keras
from keras import ops

from youtube8m.layers.aggregation import flatten, l2_normalize, vlad
from youtube8m.layers.inputs import zero_padding
from youtube8m.layers.normalization import BatchNorm
from youtube8m.registry import PACKAGE, Configured


def normal(mean: float, stddev: float) -> keras.initializers.Initializer:
    """The distribution from which weights start."""
    return keras.initializers.RandomNormal(mean, stddev)


class Aggregator(Configured, keras.layers.Layer):
    """Soft assignment of frames to clusters, and what is summed by it.

        a = softmax over the clusters of BN(x Wc)      Wc [D, K], [B, T, K]

    Args:
      clusters: K.
      slim: of batch normalisation.
      released_code: compute what the authors' code does.
    """

    def __init__(
        self, clusters: int, slim: bool = False, released_code: bool = False, **kwargs
    ):
        super().__init__(**kwargs)

    def build(self, x_shape, *_):
        size = x_shape[-1]
        self.kernel = self.add_weight(
            shape=(size, self.clusters),
            initializer=normal(0.0, size**-0.5),
            name="kernel",
        )
        self.norm = self.make_norm("norm")
        self.build_sums(size)

    def build_sums(self, size: int) -> None:
        """Makes the weights beside those of the assignment."""

    def make_norm(self, name):
        """Batch normalisation of values for each cluster."""
        norm = BatchNorm(slim=self.slim, dtype=self.dtype_policy, name=name)
        norm.build((None, None, self.clusters))
        return norm

    def add_matrix(self, name, size, initializer):
        """A weight [K, D]."""
        return self.add_weight(
            shape=(self.clusters, size), initializer=initializer, name=name
        )

    def score(self, x, frame_mask, training):
        """BN(x Wc): [B, T, K]."""
        scores = ops.matmul(x, self.kernel)
        return self.norm(scores, frame_mask, training=training)

    def assign(self, x, frame_mask, training):
        """a float32 [B, T, K], 0 at the padding."""
        scores = ops.cast(self.score(x, frame_mask, training), "float32")
        return zero_padding(ops.softmax(scores, axis=-1), frame_mask)

    def output_size(self, size: int) -> int:
        """The length of the result for frames of this size."""
        return self.clusters * size


@keras.saving.register_keras_serializable(PACKAGE)
class ResidualsFromZero(Aggregator):
    """NetRVLAD: weighted sums of the frames.

        V_k = sum_t a_tk x_t
        y   = l2(flatten(l2(V)))        l2 over D for each cluster, then over all

    Output shape: [B, K D].
    """

    def call(self, x, frame_mask, training=False):
        weights = self.assign(x, frame_mask, training)
        sums = l2_normalize(self.sum_frames(x, weights))
        return ops.cast(l2_normalize(flatten(sums)), self.compute_dtype)

    def sum_frames(self, x, weights):
        """V float32 [B, K, D]."""
        return vlad(x, weights)


@keras.saving.register_keras_serializable(PACKAGE)
class Residuals(ResidualsFromZero):
    """NetVLAD: V_k = sum_t a_tk (x_t - c_k), c [K, D] independent of Wc."""

    def build_sums(self, size):
        self.centres = self.add_matrix("centres", size, normal(0.0, size**-0.5))

    def sum_frames(self, x, weights):
        return vlad(x, weights, self.centres)
