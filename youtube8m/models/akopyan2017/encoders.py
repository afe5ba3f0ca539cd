"""The frame-level models of Akopyan and Khashba 2017, "Large-Scale YouTube-8M Video
Understanding with Deep Neural Networks" (arxiv.org/abs/1706.04488).

No code was released. Shapes: frames I [B, T, D], of which the first L of each video
are real; H LSTM cells. BN is batch normalisation over the real frames of all videos.
"""

from typing import Annotated

import keras
from keras import ops

from youtube8m.layers.inputs import zero_pads
from youtube8m.layers.normalization import BatchNorm, replica_sum
from youtube8m.layers.pooling import masked_max
from youtube8m.layers.recurrent import lstm
from youtube8m.models.akopyan2017.experts import SparseExperts, squared_variation
from youtube8m.models.base import ENCODERS, FrameEncoder
from youtube8m.registry import require_share

_MAX_FRAMES = 90


class _Regularized(FrameEncoder):
    """An encoder with batch normalisation and dropout."""

    def __init__(self, dropout_rate: float, **kwargs):
        super().__init__(**kwargs)
        require_share("dropout_rate", dropout_rate, excluded=1.0)
        self.dropout_rate = dropout_rate

    def _dropout(self, name):
        return keras.layers.Dropout(
            self.dropout_rate, dtype=self.dtype_policy, name=name
        )

    def _dense(self, size, units, name):
        dense = keras.layers.Dense
        return self.sublayer(dense, size, name, units=units, use_bias=False)


@ENCODERS.register
class BagOfFrames(_Regularized):
    """The maximum over the frames, and two fully connected layers (BoF_4096).

        m = max over real frames of dropout(BN(I))      [B, D]
        a = dropout(relu(BN(m W1)))                     W1 [D, H], no bias before BN
        x = relu(BN(a W2))                              W2 [H, H]

    The paper does not name the activation, its place, or whether its dropout of 0.3
    is the share dropped; ReLU after BN and the share dropped are our reading.
    Source: section "BoF_4096", with one sigmoid layer behind.

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
        self.hidden_size = hidden_size

    def build(self, frames_shape, *_):
        size, hidden = frames_shape[-1], self.hidden_size
        self.input_norm = self.sublayer(BatchNorm, size, "input_norm")
        self.input_dropout = self._dropout("input_dropout")
        self.hidden_1 = self._dense(size, hidden, "hidden_1")
        self.norm_1 = self.sublayer(BatchNorm, hidden, "norm_1")
        self.hidden_dropout = self._dropout("hidden_dropout")
        self.hidden_2 = self._dense(hidden, hidden, "hidden_2")
        self.norm_2 = self.sublayer(BatchNorm, hidden, "norm_2")

    def call(self, frames, frame_mask, training=False):
        x = self.input_norm(frames, frame_mask, training=training)
        x = masked_max(self.input_dropout(x, training=training), frame_mask)
        x = ops.relu(self.norm_1(self.hidden_1(x), training=training))
        x = self.hidden_dropout(x, training=training)
        return ops.relu(self.norm_2(self.hidden_2(x), training=training))


class _WeightedSum(_Regularized):
    """LSTM layers whose outputs are summed with weights that grow over the video.

    Args:
      max_frames: N, the frames read of a video, of which the last has weight 1; None:
        the paper's 90.
    """

    def __init__(
        self,
        lstm_cells: int,
        dropout_rate: float,
        max_frames: int | None = None,
        **kwargs,
    ):
        super().__init__(dropout_rate, **kwargs)
        self.lstm_cells = lstm_cells
        self.max_frames = max_frames or _MAX_FRAMES

    def build(self, frames_shape, *_):
        self.input_norm = self.sublayer(BatchNorm, frames_shape[-1], "input_norm")

    def _lstm(self, size, number):
        name = f"lstm_{number}"
        kwargs = {"return_sequences": True, "dtype": self.dtype_policy, "name": name}
        layer = lstm(size, self.lstm_cells, **kwargs)
        layer.build((None, None, size))
        return layer, self._dropout(f"dropout_{number}")

    @staticmethod
    def _recur(pair, x, training):
        """x through an LSTM layer and its dropout: [B, T, H]."""
        layer, dropout = pair
        # Pads come last: no real frame's output depends on them.
        return dropout(layer(x, training=training), training=training)

    def _weighted_sum(self, x, frame_mask):
        """sum_t (t / N) x_t over real frames t = 1 ...: [B, T, H] -> [B, H]."""
        places = ops.arange(1, ops.shape(x)[1] + 1, dtype="float32")
        weighted = ops.cast(x, "float32") * (places / self.max_frames)[:, None]
        return ops.cast(ops.sum(zero_pads(weighted, frame_mask), axis=1), x.dtype)


@ENCODERS.register
class WeightedLSTM(_WeightedSum):
    """Stacked LSTMs, later outputs with larger weights (Simple_LSTM).

        y^0 = BN(I)
        y^l = dropout(LSTM_l(y^{l-1})) [+ y^{l-1}]      [B, T, H]
        x   = sum_{t <= L} (t / N) y^top_t              [B, H]

    With `residual` the term in brackets is added from the second layer on; the paper
    has it in both, where the input's size is another one, so `residual_projection`
    adds y^0 P, P [D, H], to the first.
    Source: section "Simple_LSTM", with one sigmoid layer behind. N is the number of
    frames read.

    The paper's dropout of 0.4 might be the share that is kept; here it is dropped.

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
                "--residual_projection: is part of the residual connections; add "
                "--residual"
            )
        self.lstm_layers = lstm_layers
        self.residual = residual
        self.residual_projection = residual_projection

    def build(self, frames_shape, *_):
        super().build(frames_shape)
        size, cells = frames_shape[-1], self.lstm_cells
        sizes = [size] + [cells] * (self.lstm_layers - 1)
        self.layers = [self._lstm(size, n) for n, size in enumerate(sizes)]
        self.projection = None
        if self.residual_projection:
            self.projection = self._dense(size, cells, "projection")

    def call(self, frames, frame_mask, training=False):
        x = self.input_norm(frames, frame_mask, training=training)
        for number, pair in enumerate(self.layers):
            y = self._recur(pair, x, training)
            x = y if not self.residual else y + self._shortcut(x, number)
        return self._weighted_sum(x, frame_mask)

    def _shortcut(self, x, number):
        if number > 0:
            return x
        return 0.0 if self.projection is None else self.projection(x)


@ENCODERS.register
class LSTMMoE(_WeightedSum):
    """Two LSTMs, and between them experts that each see some of the frames.

        u = dropout(LSTM_1(BN(I)))              [B, T, H]
        e = SparseExperts(u)                    [B, T, H]
        v = dropout(LSTM_2(e))                  [B, T, H]
        x = sum_{t <= L} (t / N) v_t            [B, H]

    The training loss has two more terms, importance_weight CV(importance)^2 and
    load_weight CV(load)^2, where CV is the standard deviation over the mean, for
    importance and load of the experts in all real frames of the global batch.
    Source: section "LSTM_MoE", with one sigmoid layer behind.
    The paper gives neither weight, nor the experts' second layer's size (here H).

    Args:
      max_frames: N, the frames read of a video; None for the paper's 90.

    Input shape: [B, T, D]. Output shape: [B, H].
    """

    reported_by = "akopyan2017-lstm-moe-512"

    def __init__(
        self,
        lstm_cells: Annotated[int, "Units of each LSTM layer (H)."] = 512,
        num_experts: Annotated[
            int, "Number of experts between the two LSTMs (n)."
        ] = 64,
        active_experts: Annotated[int, "Experts that compute each frame (k)."] = 4,
        expert_size: Annotated[int, "Hidden units of each expert (K)."] = 1024,
        importance_weight: Annotated[
            float, "Factor of the importance term of the loss."
        ] = 0.1,
        load_weight: Annotated[float, "Factor of the load term of the loss."] = 0.1,
        dropout_rate: Annotated[
            float, "Share of each LSTM layer's outputs that dropout zeroes in training."
        ] = 0.4,
        **kwargs,
    ):
        super().__init__(lstm_cells, dropout_rate, **kwargs)
        self.num_experts = num_experts
        self.active_experts = active_experts
        self.expert_size = expert_size
        self.importance_weight = importance_weight
        self.load_weight = load_weight
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
        self.first = self._lstm(frames_shape[-1], 1)
        self.experts.build((None, None, cells))
        self.second = self._lstm(cells, 2)

    def call(self, frames, frame_mask, training=False):
        x = self.input_norm(frames, frame_mask, training=training)
        x = self._recur(self.first, x, training)
        x, importance, load = self.experts(x, frame_mask, training=training)
        x = self._recur(self.second, x, training)
        descriptor = self._weighted_sum(x, frame_mask)
        return {"descriptor": descriptor, "importance": importance, "load": load}

    def auxiliary_losses(self, outputs, batch):
        weights = {"importance": self.importance_weight, "load": self.load_weight}
        sums = replica_sum(ops.stack([outputs[name] for name in weights]))
        return {
            name: weight * squared_variation(sums[number])
            for number, (name, weight) in enumerate(weights.items())
        }
