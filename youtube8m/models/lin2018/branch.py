"""NeXtVLAD from the frames of all modalities to a descriptor."""

import keras
from keras import ops

from youtube8m.layers.aggregation import (
    flatten,
    l2_normalize,
    split_modalities,
    vlad,
)
from youtube8m.layers.normalization import BatchNorm
from youtube8m.registry import PACKAGE, Configured

INITIALIZER = "he_normal"
FEWEST_CLUSTERS = 2  # of a modality; one alone would say nothing of its frames


@keras.saving.register_keras_serializable(PACKAGE)
class GroupedResiduals(Configured, keras.layers.Layer):
    """VLAD of frames that are expanded and cut into groups of features.

        y = x W0 + b0                                   [B, T, E D]
        s = sigmoid(y Wa + ba)                          [B, T, G], 0 at the padding
        a = s_g * softmax over K of BN(y Wc)            [B, T, G, K]
        V_k = sum over t and g of a_tgk (y_tg - c_k)    y_tg [F], F = E D / G; c [K, F]
        v = BN(flatten(l2(V)))                          l2 over F for each cluster

    Args:
      clusters, groups, expansion: K, G and E.
      pads_count: batch normalisation of the scores counts the padding, too.

    Input shape: x [B, T, D], mask bool [B, T]. Output shape: [B, K F]; with
      `return_weights` also s, float32 [B, T, G].
    """

    def __init__(
        self,
        clusters: int,
        groups: int,
        expansion: int,
        pads_count: bool = False,
        slim: bool = False,
        **kwargs,
    ):
        super().__init__(**kwargs)

    def build(self, x_shape, *_):
        width = self.expansion * x_shape[-1]
        if width % self.groups:
            raise ValueError(
                f"--groups: {self.groups} groups do not divide the {width} values of "
                f"an expanded frame ({self.expansion} times {x_shape[-1]})"
            )
        self.group_size = width // self.groups
        self.expand = self._make_dense(x_shape[-1], width, "expand")
        self.attention = self._make_dense(width, self.groups, "attention")
        scores = self.groups * self.clusters
        self.assign = self._make_dense(width, scores, "assign", use_bias=False)
        self.assign_norm = self._make_norm(scores, "assign_norm")
        self.centres = self.add_weight(
            shape=(self.clusters, self.group_size),
            initializer=keras.initializers.RandomNormal(
                stddev=(2.0 / self.group_size) ** 0.5
            ),
            name="centres",
        )
        self.norm = self._make_norm(self.clusters * self.group_size, "norm")

    def _make_dense(self, size, units, name, **kwargs):
        dense = keras.layers.Dense(
            units,
            kernel_initializer=INITIALIZER,
            dtype=self.dtype_policy,
            name=name,
            **kwargs,
        )
        dense.build((None, None, size))
        return dense

    def _make_norm(self, size, name):
        norm = BatchNorm(slim=self.slim, dtype=self.dtype_policy, name=name)
        norm.build((None, None, size))
        return norm

    def call(self, x, frame_mask, training=False, return_weights=False):
        y = self.expand(x)
        attention = ops.sigmoid(ops.cast(self.attention(y), "float32"))
        attention = ops.where(frame_mask[..., None], attention, 0.0)
        weights = attention[..., None] * self._assign(y, frame_mask, training)
        batch, steps = ops.shape(x)[:2]
        members = (batch, steps * self.groups)
        weights = ops.reshape(weights, (*members, self.clusters))
        y = ops.reshape(y, (*members, self.group_size))
        residuals = l2_normalize(vlad(y, weights, self.centres))
        residuals = ops.cast(flatten(residuals), self.compute_dtype)
        residuals = self.norm(residuals, training=training)
        return (residuals, attention) if return_weights else residuals

    def _assign(self, y, frame_mask, training):
        """The softmax of the scores, float32 [B, T, G, K]."""
        counted = ops.ones_like(frame_mask) if self.pads_count else frame_mask
        scores = self.assign_norm(self.assign(y), counted, training=training)
        shape = (*ops.shape(y)[:2], self.groups, self.clusters)
        return ops.softmax(ops.reshape(ops.cast(scores, "float32"), shape), axis=-1)

    def output_size(self, size: int) -> int:
        """The length of the result for frames of this size."""
        return self.clusters * self.expansion * size // self.groups


@keras.saving.register_keras_serializable(PACKAGE)
class SqueezeGating(Configured, keras.layers.Layer):
    """Context gating by way of fewer units (squeeze and excitation).

        y = x * sigmoid(relu(BN(x W1)) W2)        W1 [H, H / r], W2 [H / r, H]

    Args:
      reduction: r.

    Input shape: [B, H]. Output shape: [B, H].
    """

    def __init__(self, reduction: int, slim: bool = False, **kwargs):
        super().__init__(**kwargs)

    def build(self, x_shape):
        size = x_shape[-1]
        fewer = size // self.reduction
        if not fewer:
            raise ValueError(
                f"--gating_reduction={self.reduction}: must be at most "
                f"--nextvlad_hidden_size={size}"
            )
        options = {"use_bias": False, "kernel_initializer": INITIALIZER}
        options["dtype"] = self.dtype_policy
        self.squeeze = keras.layers.Dense(fewer, name="squeeze", **options)
        self.squeeze.build((None, size))
        self.norm = BatchNorm(slim=self.slim, dtype=self.dtype_policy, name="norm")
        self.norm.build((None, fewer))
        self.excite = keras.layers.Dense(size, name="excite", **options)
        self.excite.build((None, fewer))

    def call(self, x, training=False):
        squeezed = ops.relu(self.norm(self.squeeze(x), training=training))
        return x * ops.sigmoid(self.excite(squeezed))


@keras.saving.register_keras_serializable(PACKAGE)
class Branch(Configured, keras.layers.Layer):
    """A descriptor of all modalities.

        v = dropout([v_1 ; v_2 ..])            GroupedResiduals of each modality
        x = SqueezeGating(BN(v Wh))            Wh [., H], no bias

    The first modality has K clusters and G groups, the others have half as many.

    Args:
      feature_sizes: D_i of each modality.
      hidden_size: H.
      drop_rate: the share of v that dropout zeroes in training.

    Input shape: frames [B, T, D], mask bool [B, T]. Output shape: [B, H]; with
      `return_weights` also the attention of all groups of all modalities, float32
      [B, T, sum of G].
    """

    def __init__(
        self,
        feature_sizes,
        clusters: int,
        hidden_size: int,
        groups: int,
        expansion: int,
        drop_rate: float,
        reduction: int,
        pads_count: bool = False,
        slim: bool = False,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.feature_sizes = tuple(feature_sizes)

    def build(self, frames_shape, *_):
        policy, self.streams, width = self.dtype_policy, [], 0
        fewest = 1 if self.pads_count else FEWEST_CLUSTERS  # as in the released code
        for modality, size in enumerate(self.feature_sizes):
            half = 2 if modality else 1
            stream = GroupedResiduals(
                max(self.clusters // half, fewest),
                max(self.groups // half, 1),
                self.expansion,
                self.pads_count,
                self.slim,
                dtype=policy,
                name=f"stream_{modality}",
            )
            stream.build((None, None, size))
            self.streams.append(stream)
            width += stream.output_size(size)
        self.dropout = keras.layers.Dropout(self.drop_rate, dtype=policy)
        self.hidden = keras.layers.Dense(
            self.hidden_size,
            use_bias=False,
            kernel_initializer=INITIALIZER,
            dtype=policy,
            name="hidden",
        )
        self.hidden.build((None, width))
        self.hidden_norm = BatchNorm(slim=self.slim, dtype=policy, name="hidden_norm")
        self.hidden_norm.build((None, self.hidden_size))
        self.gate = SqueezeGating(self.reduction, self.slim, dtype=policy, name="gate")
        self.gate.build((None, self.hidden_size))

    def call(self, frames, frame_mask, training=False, return_weights=False):
        parts = split_modalities(frames, self.feature_sizes)
        pairs = [
            stream(part, frame_mask, training=training, return_weights=True)
            for stream, part in zip(self.streams, parts, strict=True)
        ]
        v, attention = (ops.concatenate(x, axis=-1) for x in zip(*pairs, strict=True))
        v = self.dropout(v, training=training)
        hidden = self.hidden_norm(self.hidden(v), training=training)
        y = self.gate(hidden, training=training)
        return (y, attention) if return_weights else y
