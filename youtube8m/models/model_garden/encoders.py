"""The bag of frames of TensorFlow's Model Garden (official/projects/yt8m)."""

from typing import Annotated

import keras
from keras import ops

from youtube8m.layers.pooling import masked_max, masked_mean
from youtube8m.models.base import ENCODERS, ReproducedEncoder
from youtube8m.models.model_garden.normed_gates import (
    NormedGate,
    make_dense,
    make_norm,
    swap_pool,
)
from youtube8m.registry import AtLeast, require_choice

POOLING = {"average": masked_mean, "max": masked_max, "swap": swap_pool}
ACTIVATIONS = ("relu", "relu6", "sigmoid", "swish")


@ENCODERS.register
class MaskedDBoF(ReproducedEncoder):
    """The starter code's bag of frames over all real frames, with gates on clusters.

        a = act(BN(BN(f) Wc + bc))              Wc [D, K], [B, T, K]
        a = a * BN(sigmoid(a Wg + bg))          with `use_context_gate_cluster_layer`
        p = mean, maximum or swap of a over the real frames       [B, K]
        x = act(BN(p Wh + bh))                  Wh [K, H]

    Swap is the self-weighted mean sum_t a_t |a_t| / sum_t |a_t|.
    With `released_code`, batch normalisation counts padding in training, up to
    `max_frames`.
    Source: Dbof in official/projects/yt8m of TensorFlow's Model Garden.

    Input shape: [B, T, D]. Output shape: [B, H].
    """

    reported_by = "model_garden-dbof"

    def __init__(
        self,
        dbof_cluster_size: Annotated[int, "Number of clusters (K)."] = 3000,
        dbof_hidden_size: Annotated[int, "Units after the pooled clusters (H)."] = 2000,
        dbof_pooling_method: Annotated[
            str, "Pooling: max or average; MaskedDBoF also knows swap."
        ] = "average",
        dbof_activation: Annotated[
            str, "Activation: sigmoid or relu6; MaskedDBoF also knows relu and swish."
        ] = "relu",
        use_context_gate_cluster_layer: Annotated[
            bool, "Gate the clusters of each frame."
        ] = False,
        context_gate_cluster_bottleneck_size: Annotated[
            int, "Units of these gates' hidden layer; 0 or 1: none.", AtLeast(0)
        ] = 0,
        **kwargs,
    ):
        super().__init__(**kwargs)
        require_choice("dbof_pooling_method", dbof_pooling_method, *POOLING)
        require_choice("dbof_activation", dbof_activation, *ACTIVATIONS)
        self.activate = keras.activations.get(dbof_activation)

    def build(self, frames_shape, *_):
        size, clusters = frames_shape[-1], self.dbof_cluster_size
        self.input_norm = make_norm(self, size, "input_norm")
        self.cluster = self._make_dense(size, clusters, "cluster")
        self.cluster_norm = make_norm(self, clusters, "cluster_norm")
        self.gate = None
        if self.use_context_gate_cluster_layer:
            bottleneck = self.context_gate_cluster_bottleneck_size
            options = {"bottleneck": bottleneck}
            self.gate = self.sublayer(NormedGate, clusters, "gate", **options)
        self.hidden = self._make_dense(clusters, self.dbof_hidden_size, "hidden")
        self.hidden_norm = make_norm(self, self.dbof_hidden_size, "hidden_norm")

    def _make_dense(self, size, units, name):
        normal = keras.initializers.RandomNormal(stddev=size**-0.5)
        return make_dense(self, size, units, name, kernel_initializer=normal)

    def call(self, frames, frame_mask, training=False):
        counted = ops.ones_like(frame_mask) if self.released_code else frame_mask
        x = self.input_norm(frames, counted, training=training)
        x = self.cluster_norm(self.cluster(x), counted, training=training)
        x = self.activate(x)
        if self.gate is not None:
            x = self.gate(x, counted, training=training)
        pooled = POOLING[self.dbof_pooling_method](x, frame_mask)
        hidden = self.hidden(ops.cast(pooled, self.compute_dtype))
        return self.activate(self.hidden_norm(hidden, training=training))
