"""The frame-level models of Akopyan and Khashba 2017.

Akopyan, Khashba: Large-Scale YouTube-8M Video Understanding with Deep Neural Networks,
arxiv.org/abs/1706.04488. No code was released.

Shapes: frames I [B, T, D], of which the first L of each video are real; H LSTM units.
BN is batch normalisation over the real frames of all videos.
"""

from typing import Annotated

import keras
from keras import ops

from youtube8m.layers.cells import make_lstm
from youtube8m.layers.inputs import zero_padding
from youtube8m.layers.normalization import BatchNorm, SlimBatchNorm
from youtube8m.layers.pooling import masked_max
from youtube8m.layers.replicas import sum_over_replicas
from youtube8m.models.akopyan2017.experts import SparseExperts, squared_variation
from youtube8m.models.base import ENCODERS, FrameEncoder
from youtube8m.registry import require_share

_MAX_FRAMES = 90


class _Regularized(FrameEncoder):
    """An encoder with batch normalisation and dropout."""

    def __init__(
        self, dropout_rate: float, slim_batch_norm: SlimBatchNorm = False, **kwargs
    ):
        super().__init__(**kwargs)
        require_share("dropout_rate", dropout_rate, excluded=1.0)

    def _make_norm(self, size, name):
        return self.sublayer(BatchNorm, size, name, slim=self.slim_batch_norm)

    def _make_dropout(self, name):
        return keras.layers.Dropout(
            self.dropout_rate, dtype=self.dtype_policy, name=name
        )

    def _make_dense(self, size, units, name):
        dense = keras.layers.Dense
        return self.sublayer(dense, size, name, units=units, use_bias=False)


@ENCODERS.register
class BagOfFrames(_Regularized):
    """The maximum over the frames, and two fully connected layers (BoF_4096).

        m = max over real frames of dropout(BN(I))      [B, D]
        a = dropout(relu(BN(m W1)))                     W1 [D, H], no bias before BN
        x = relu(BN(a W2))                              W2 [H, H]

    The paper does not say which activation there is, where it is, and whether its
    dropout of 0.3 is the share that is dropped. We use a ReLU after BN, and drop 0.3.
    Source: section "BoF_4096", followed by one sigmoid layer.

    Input shape: [B, T, D]. Output shape: [B, H].
    """

    reported_by = "akopyan2017-bof-4096"

    def __init__(
        self,
        hidden_size: Annotated[int, "Units of both fully connected layers (H)."] = 4096,
        dropout_rate: Annotated[
            float,
            "Share of the inputs and of the first layer's outputs that dropout "
            "zeroes in training.",
        ] = 0.3,
        **kwargs,
    ):
        super().__init__(dropout_rate, **kwargs)

    def build(self, frames_shape, *_):
        size, hidden = frames_shape[-1], self.hidden_size
        self.input_norm = self._make_norm(size, "input_norm")
        self.input_dropout = self._make_dropout("input_dropout")
        self.hidden_1 = self._make_dense(size, hidden, "hidden_1")
        self.norm_1 = self._make_norm(hidden, "norm_1")
        self.hidden_dropout = self._make_dropout("hidden_dropout")
        self.hidden_2 = self._make_dense(hidden, hidden, "hidden_2")
        self.norm_2 = self._make_norm(hidden, "norm_2")

    def call(self, frames, frame_mask, training=False):
        x = self.input_norm(frames, frame_mask, training=training)
        x = masked_max(self.input_dropout(x, training=training), frame_mask)
        x = ops.relu(self.norm_1(self.hidden_1(x), training=training))
        x = self.hidden_dropout(x, training=training)
        return ops.relu(self.norm_2(self.hidden_2(x), training=training))


class _WeightedSum(_Regularized):
    """LSTM layers whose outputs are summed with weights that grow over the video.

    Args:
      max_frames: N, the frames read of a video, of which the last has weight 1; None
        for the paper's 90.
    """

    def __init__(
        self,
        lstm_cells: int,
        dropout_rate: float,
        max_frames: int | None = None,
        **kwargs,
    ):
        super().__init__(dropout_rate, **kwargs)
        self.max_frames = max_frames or _MAX_FRAMES

    def build(self, frames_shape, *_):
        self.input_norm = self._make_norm(frames_shape[-1], "input_norm")

    def _make_lstm(self, size, number):
        name = f"lstm_{number}"
        kwargs = {"return_sequences": True, "dtype": self.dtype_policy, "name": name}
        layer = make_lstm(size, self.lstm_cells, **kwargs)
        layer.build((None, None, size))
        return layer, self._make_dropout(f"dropout_{number}")

    @staticmethod
    def _run_lstm(pair, x, training):
        """The output [B, T, H] of an LSTM layer and its dropout."""
        layer, dropout = pair
        # Padding is at the end, so no output at a real frame depends on it.
        return dropout(layer(x, training=training), training=training)

    def _sum_frames(self, x, frame_mask):
        """sum_t (t / N) x_t over real frames t = 1 ...: [B, T, H] -> [B, H]."""
        steps = ops.arange(1, ops.shape(x)[1] + 1, dtype="float32")
        weighted = ops.cast(x, "float32") * (steps / self.max_frames)[:, None]
        return ops.cast(ops.sum(zero_padding(weighted, frame_mask), axis=1), x.dtype)


@ENCODERS.register
class WeightedLSTM(_WeightedSum):
    """Stacked LSTMs whose later outputs have larger weights (Simple_LSTM).

        y^0 = BN(I)
        y^l = dropout(LSTM_l(y^{l-1})) [+ y^{l-1}]      [B, T, H]
        x   = sum_{t <= L} (t / N) y^top_t              [B, H]

    With `residual`, the term in brackets is added from the second layer on. The paper
    has it in both layers, but the input of the first has another size, so
    `residual_projection` adds y^0 P, P [D, H], to the first.
    The paper's dropout of 0.4 might be the share that is kept; here it is dropped.
    Source: section "Simple_LSTM", followed by one sigmoid layer.

    Args:
      max_frames: N, the frames read of a video; None for the paper's 90.

    Input shape: [B, T, D]. Output shape: [B, H].
    """

    reported_by = "akopyan2017-lstm-l3-2048"

    def __init__(
        self,
        lstm_cells: Annotated[int, "Units of each LSTM layer (H)."] = 2048,
        lstm_layers: Annotated[int, "Number of LSTM layers."] = 2,
        residual: Annotated[
            bool, "Add each layer's input to its output, from the second layer on."
        ] = False,
        residual_projection: Annotated[
            bool,
            "With residual, also add a projection of the input to the first "
            "layer's output.",
        ] = False,
        dropout_rate: Annotated[
            float, "Share of each LSTM layer's outputs that dropout zeroes in training."
        ] = 0.4,
        **kwargs,
    ):
        super().__init__(lstm_cells, dropout_rate, **kwargs)
        if residual_projection and not residual:
            raise ValueError(
                "--residual_projection: needs residual connections; add --residual"
            )

    def build(self, frames_shape, *_):
        super().build(frames_shape)
        size, cells = frames_shape[-1], self.lstm_cells
        sizes = [size] + [cells] * (self.lstm_layers - 1)
        self.layers = [self._make_lstm(size, n) for n, size in enumerate(sizes)]
        self.projection = None
        if self.residual_projection:
            self.projection = self._make_dense(size, cells, "projection")

    def call(self, frames, frame_mask, training=False):
        x = self.input_norm(frames, frame_mask, training=training)
        for number, pair in enumerate(self.layers):
            y = self._run_lstm(pair, x, training)
            x = y if not self.residual else y + self._shortcut(x, number)
        return self._sum_frames(x, frame_mask)

    def _shortcut(self, x, number):
        if number > 0:
            return x
        return 0.0 if self.projection is None else self.projection(x)


@ENCODERS.register
class LSTMMoE(_WeightedSum):
    """Two LSTMs, and between them experts that each compute some of the frames.

        u = dropout(LSTM_1(BN(I)))              [B, T, H]
        e = SparseExperts(u)                    [B, T, H]
        v = dropout(LSTM_2(e))                  [B, T, H]
        x = sum_{t <= L} (t / N) v_t            [B, H]

    The training loss has two more terms, importance_weight CV(importance)^2 and
    load_weight CV(load)^2. CV is the standard deviation over the mean, of the experts'
    importance or load in all real frames of the global batch.
    The paper gives neither weight, nor the size of the experts' second layer (here H).
    Source: section "LSTM_MoE", followed by one sigmoid layer.

    Args:
      max_frames: N, the frames read of a video; None for the paper's 90.

    Input shape: [B, T, D]. Output shape: [B, H].
    """

    reported_by = "akopyan2017-lstm-moe-512"

    def __init__(
        self,
        lstm_cells: Annotated[int, "Units of each LSTM layer (H)."] = 512,
        num_experts: Annotated[int, "Experts between the two LSTMs (n)."] = 64,
        active_experts: Annotated[int, "Experts that compute each frame (k)."] = 4,
        expert_size: Annotated[int, "Hidden units of each expert (K)."] = 1024,
        importance_weight: Annotated[float, "Factor of the importance loss."] = 0.1,
        load_weight: Annotated[float, "Factor of the load loss."] = 0.1,
        dropout_rate: Annotated[
            float, "Share of each LSTM layer's outputs that dropout zeroes in training."
        ] = 0.4,
        **kwargs,
    ):
        super().__init__(lstm_cells, dropout_rate, **kwargs)
        self.experts = SparseExperts(
            num_experts,
            active_experts,
            expert_size,
            dtype=self.dtype_policy,
            name="experts",
        )

    def build(self, frames_shape, *_):
        super().build(frames_shape)
        cells = self.lstm_cells
        self.first = self._make_lstm(frames_shape[-1], 1)
        self.experts.build((None, None, cells))
        self.second = self._make_lstm(cells, 2)

    def call(self, frames, frame_mask, training=False):
        x = self.input_norm(frames, frame_mask, training=training)
        x = self._run_lstm(self.first, x, training)
        x, importance, load = self.experts(x, frame_mask, training=training)
        x = self._run_lstm(self.second, x, training)
        descriptor = self._sum_frames(x, frame_mask)
        return {"descriptor": descriptor, "importance": importance, "load": load}

    def auxiliary_losses(self, outputs, batch):
        weights = {"importance": self.importance_weight, "load": self.load_weight}
        sums = sum_over_replicas(ops.stack([outputs[name] for name in weights]))
        return {
            name: weight * squared_variation(sums[number])
            for number, (name, weight) in enumerate(weights.items())
        }
