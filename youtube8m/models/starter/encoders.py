"""The frame-level models of the YouTube-8M starter code (google/youtube-8m)."""

from typing import Annotated

import keras
from keras import ops

from youtube8m.layers.byte_frames import FrameSums
from youtube8m.layers.frame_selection import SampleFrames
from youtube8m.layers.normalization import BatchNorm, SlimBatchNorm
from youtube8m.layers.recurrent import Stack, choose_lstm
from youtube8m.models.base import ENCODERS, FrameEncoder
from youtube8m.registry import require_choice


@ENCODERS.register
class FrameLevelLogisticModel(FrameEncoder):
    """The mean of the frames, for a logistic classifier: x = sum_t I_t / n.

    Source: the starter code's FrameLevelLogisticModel.

    Input shape: [B, T, D]. Output shape: [B, D].
    """

    classifiers = ("LogisticModel",)
    takes_bytes = True

    def call(self, frames, frame_mask, training=False):
        num_frames = ops.sum(ops.cast(frame_mask, "float32"), axis=1, keepdims=True)
        total = FrameSums(frames, frame_mask).sum()
        return ops.cast(total / num_frames, self.compute_dtype)


@ENCODERS.register
class DbofModel(FrameEncoder):
    """Deep bag of frames: soft cluster assignments of some frames, pooled.

        f   k frames of the video               [B, k, D]
        a   = act(BN(BN(f) Wc))                 Wc [D, K]
        p   = max (or mean) of a over frames    [B, K]
        x   = act(BN(p Wh))                     Wh [K, H]

    Without batch normalisation, the two layers have biases instead.
    Source: the starter code's DbofModel; Abu-El-Haija et al. 2016, section 4.1.1.

    Input shape: [B, k, D], the frames that `select` takes. Output shape: [B, H].
    """

    reported_by = "tang2017-dbof"

    def __init__(
        self,
        iterations: Annotated[int, "Frames taken of each video (k)."] = 30,
        sample_random_frames: Annotated[
            bool, "Draw each frame independently; else take k neighbours."
        ] = True,
        dbof_add_batch_norm: Annotated[bool, "Use batch normalisation."] = True,
        dbof_cluster_size: Annotated[int, "Number of clusters (K)."] = 8192,
        dbof_hidden_size: Annotated[int, "Units after the pooled clusters (H)."] = 1024,
        dbof_pooling_method: Annotated[str, "Pooling: max or average."] = "max",
        dbof_activation: Annotated[str, "Activation: sigmoid or relu6."] = "sigmoid",
        slim_batch_norm: SlimBatchNorm = False,
        **kwargs,
    ):
        super().__init__(**kwargs)
        require_choice("dbof_pooling_method", dbof_pooling_method, "max", "average")
        require_choice("dbof_activation", dbof_activation, "sigmoid", "relu6")
        self.sample = SampleFrames(iterations, contiguous=not sample_random_frames)

    def build(self, frames_shape, *_):
        size = frames_shape[-1]
        self.input_norm = self._make_norm(size, "input_norm")
        self.cluster = self._make_dense(
            size, self.dbof_cluster_size, "cluster", bias_scale=size**-0.5
        )
        self.cluster_norm = self._make_norm(self.dbof_cluster_size, "cluster_norm")
        self.hidden = self._make_dense(
            self.dbof_cluster_size, self.dbof_hidden_size, "hidden", bias_scale=0.01
        )
        self.hidden_norm = self._make_norm(self.dbof_hidden_size, "hidden_norm")

    def _make_norm(self, size, name):
        if not self.dbof_add_batch_norm:
            return None
        return self.sublayer(BatchNorm, size, name, slim=self.slim_batch_norm)

    def _make_dense(self, fan_in, units, name, bias_scale):
        normal = keras.initializers.RandomNormal
        return self.sublayer(
            keras.layers.Dense,
            fan_in,
            name,
            units=units,
            use_bias=not self.dbof_add_batch_norm,
            kernel_initializer=normal(stddev=fan_in**-0.5),
            bias_initializer=normal(stddev=bias_scale),
        )

    def select(self, frames, frame_mask, training=False):
        frames = self.sample(frames, frame_mask, training=training)
        return frames, ops.ones(ops.shape(frames)[:2], "bool")

    def call(self, frames, frame_mask, training=False):
        frames = self._normalize(self.input_norm, frames, training)
        clusters = self._normalize(self.cluster_norm, self.cluster(frames), training)
        clusters = self._activate(clusters)
        reduce = ops.max if self.dbof_pooling_method == "max" else ops.mean
        hidden = self.hidden(reduce(clusters, axis=1))
        return self._activate(self._normalize(self.hidden_norm, hidden, training))

    @staticmethod
    def _normalize(norm, x, training):
        return x if norm is None else norm(x, training=training)

    def _activate(self, x):
        return ops.relu6(x) if self.dbof_activation == "relu6" else ops.sigmoid(x)


@ENCODERS.register
class LstmModel(FrameEncoder):
    """Stacked LSTMs; x = h of the top layer after the last real frame.

    Source: the starter code's LstmModel (since April 2017); also Zou et al. 2017, 5.2,
    and, with `layer_norm`, their LSTM+LR+LN.

    Input shape: [B, T, D]. Output shape: [B, H].
    """

    reported_by = "zou2017-prototype"

    def __init__(
        self,
        lstm_cells: Annotated[int, "Units of each LSTM layer (H)."] = 1024,
        lstm_layers: Annotated[int, "Number of LSTM layers."] = 2,
        layer_norm: Annotated[bool, "Use layer-normalised LSTM cells."] = False,
        **kwargs,
    ):
        super().__init__(**kwargs)

    def build(self, frames_shape, *_):
        cells = (self.lstm_cells,) * self.lstm_layers
        cell = choose_lstm(self.layer_norm)
        self.stack = Stack(cells, cell, dtype=self.dtype_policy, name="stack")
        self.stack.build(frames_shape)

    def call(self, frames, frame_mask, training=False):
        _, final = self.stack(frames, frame_mask, training=training)
        return final.h
