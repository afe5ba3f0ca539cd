"""From the frames of one modality to its part of the descriptor.

Each layer takes x [B, T, D] and the mask bool [B, T]. Its parts have norm 1, so the
result does not depend on how often each frame is there, as long as all are there
equally often.
"""

import keras
from keras import ops

from youtube8m.layers.aggregation import flatten, l2_normalize, vlad
from youtube8m.layers.pooling import attend, masked_max, masked_mean
from youtube8m.layers.residuals import (
    Aggregator,
    Residuals,
    ResidualsFromZero,
    normal,
)
from youtube8m.registry import PACKAGE

__all__ = [
    "FisherVectors",
    "GatedCounts",
    "GatedSums",
    "MeanAndMax",
    "Residuals",
    "ResidualsFromZero",
    "SoftCounts",
]


@keras.saving.register_keras_serializable(PACKAGE)
class GatedSums(ResidualsFromZero):
    """Gated VLAD: V_k = sigmoid(g_k) * sum_t a_tk x_t, g [K, D]."""

    def build_sums(self, size):
        self.gates = self.add_matrix("gates", size, normal(0.0, size**-0.5))

    def sum_frames(self, x, weights):
        return vlad(x, weights) * ops.sigmoid(ops.cast(self.gates, "float32"))


@keras.saving.register_keras_serializable(PACKAGE)
class FisherVectors(Aggregator):
    """NetFV: first and second order differences from the clusters.

        s   = v^2 + 1e-6                                          v [K, D]
        f1_k = sum_t a_tk (x_t - c_k) / s_k
        f2_k = sum_t a_tk ((x_t - c_k)^2 / s_k^2 - 1)
        y   = [l2(flatten(l2(f1))), l2(flatten(l2(f2)))]

    v starts around 1. With `coupling`, c is that multiple of Wc's columns.
    With `released_code`, f2 is not normalised for each cluster.

    Args:
      coupling: None for centres of their own.

    Output shape: [B, 2 K D].
    """

    def __init__(self, clusters: int, coupling: float | None = None, **kwargs):
        super().__init__(clusters, **kwargs)

    def build_sums(self, size):
        spread = size**-0.5
        self.deviations = self.add_matrix("deviations", size, normal(1.0, spread))
        if self.coupling is None:
            self.centres = self.add_matrix("centres", size, normal(0.0, spread))

    def place_centres(self):
        """c float32 [K, D]."""
        if self.coupling is None:
            return ops.cast(self.centres, "float32")
        return self.coupling * ops.cast(ops.transpose(self.kernel), "float32")

    def call(self, x, frame_mask, training=False):
        # float32, since the sums of the second order are small differences.
        weights = self.assign(x, frame_mask, training)
        x = ops.cast(x, "float32")
        counts = ops.sum(weights, axis=1)[..., None]
        sums, squares = attend(x, weights), attend(ops.square(x), weights)
        c = self.place_centres()
        s = ops.square(ops.cast(self.deviations, "float32")) + 1e-6
        first = (sums - counts * c) / s
        second = counts * ops.square(c) + squares - 2.0 * sums * c
        second = second / ops.square(s) - counts
        if not self.released_code:
            second = l2_normalize(second)
        parts = [l2_normalize(flatten(f)) for f in (l2_normalize(first), second)]
        return ops.cast(ops.concatenate(parts, axis=-1), self.compute_dtype)

    def output_size(self, size):
        return 2 * self.clusters * size


@keras.saving.register_keras_serializable(PACKAGE)
class SoftCounts(Aggregator):
    """Soft-DBoF: y = l2(sum_t a_t), and with `max_pool` l2(max_t a_t) behind it.

    Output shape: [B, K], or [B, 2 K].
    """

    def __init__(self, clusters: int, max_pool: bool = False, **kwargs):
        super().__init__(clusters, **kwargs)

    def call(self, x, frame_mask, training=False):
        weights = self.assign(x, frame_mask, training)
        highest = l2_normalize(ops.max(weights, axis=1))  # padding is 0
        counts = self.weigh(ops.sum(weights, axis=1), highest, training)
        counts = l2_normalize(counts)
        if self.max_pool:
            counts = ops.concatenate([counts, highest], axis=-1)
        return ops.cast(counts, self.compute_dtype)

    def weigh(self, counts, highest, training):
        """The counts [B, K] that are normalised, here as they are."""
        return counts

    def output_size(self, size):
        return (1 + self.max_pool) * self.clusters


@keras.saving.register_keras_serializable(PACKAGE)
class GatedCounts(SoftCounts):
    """Gated DBoF: the counts of SoftCounts, weighed by gates.

        m = l2(max_t a_t)
        y = l2(sigmoid(BN(m R W)) * sum_t a_t)        R [K, D], W [D, K]

    Output shape: [B, K], or [B, 2 K].
    """

    def build_sums(self, size):
        initializer = normal(0.0, size**-0.5)
        self.reduce = self.add_matrix("reduce", size, initializer)
        self.expand = self.add_weight(
            shape=(size, self.clusters), initializer=initializer, name="expand"
        )
        self.gate_norm = self.make_norm("gate_norm")

    def weigh(self, counts, highest, training):
        highest = ops.cast(highest, self.compute_dtype)
        scores = ops.matmul(ops.matmul(highest, self.reduce), self.expand)
        scores = self.gate_norm(scores, training=training)
        return counts * ops.sigmoid(ops.cast(scores, "float32"))


@keras.saving.register_keras_serializable(PACKAGE)
class MeanAndMax(Aggregator):
    """DBoF: y = [l2(mean_t a_t), l2(max_t a_t)] of a = relu6(BN(x Wc)).

    With `released_code` there is no activation.

    Output shape: [B, 2 K].
    """

    def call(self, x, frame_mask, training=False):
        scores = self.score(x, frame_mask, training)
        activations = scores if self.released_code else ops.relu6(scores)
        pooled = [pool(activations, frame_mask) for pool in (masked_mean, masked_max)]
        pooled = [l2_normalize(ops.cast(part, "float32")) for part in pooled]
        return ops.cast(ops.concatenate(pooled, axis=-1), self.compute_dtype)

    def output_size(self, size):
        return 2 * self.clusters
