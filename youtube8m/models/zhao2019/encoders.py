"""The frame-level models of Zhao 2019: recurrent layers on fused modalities.

Zhao: Deep Multimodal Learning: An Effective Method for Video Classification,
arxiv.org/abs/1811.12563. No code was released, and the paper gives no sizes; these are
the starter code's.

Shapes: frames I [B, T, D]; H recurrent units in each direction.
"""

from typing import Annotated

import keras

from youtube8m.layers.pooling import AttentionPooling
from youtube8m.layers.recurrent import BidirectionalStack
from youtube8m.models.base import ENCODERS, FrameEncoder
from youtube8m.models.zhao2019.fusion import ModalityFusion


class _FusedModalities(FrameEncoder):
    """An encoder of frames whose modalities are fused first; see `ModalityFusion`.

    Args:
      feature_sizes: of the modalities, in order.
    """

    def __init__(
        self,
        feature_sizes: tuple[int, ...],
        modality_fusion: Annotated[
            str, "How modalities are joined: concat, shared or projection."
        ] = "concat",
        fusion_size: Annotated[
            int,
            "Values that each modality of a frame is mapped to, unless "
            "modality_fusion is concat (F).",
        ] = 1024,
        projection_weight: Annotated[
            float,
            "Factor of the distance between modalities in the loss, with "
            "modality_fusion=projection.",
        ] = 1.0,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.feature_sizes = tuple(feature_sizes)
        self.fusion = ModalityFusion(
            feature_sizes,
            modality_fusion,
            fusion_size,
            dtype=self.dtype_policy,
            name="fusion",
        )

    def build(self, frames_shape, *_):
        self.fusion.build(frames_shape)
        self._build_layers(self.fusion.output_size)

    def call(self, frames, frame_mask, training=False):
        fused, distance = self.fusion(frames, frame_mask)
        outputs = self._encode(fused, frame_mask, training)
        extras = {} if distance is None else {"projection_distance": distance}
        return {**outputs, **extras}

    def auxiliary_losses(self, outputs, batch):
        if self.modality_fusion != "projection":
            return {}
        distance = outputs["projection_distance"]
        return {"projection_distance": self.projection_weight * distance}

    def _make_stack(self, size, cells, **kwargs):
        stack = BidirectionalStack(
            cells, dtype=self.dtype_policy, name="stack", **kwargs
        )
        stack.build((None, None, size))
        return stack

    def _build_layers(self, size):
        """Builds the layers after the fusion, for inputs of this size."""
        raise NotImplementedError

    def _encode(self, fused, frame_mask, training):
        """Fused frames [B, T, size] -> outputs; by default the last states alone."""
        _, final = self.stack(fused, frame_mask, training=training)
        return {"descriptor": final.h}


@ENCODERS.register
class StackedBiLSTM(_FusedModalities):
    """Stacked LSTMs in both directions, on fused modalities.

        x = [h forward after the last frame ; h backward after the first frame]

    The paper does not say whether a layer gets both directions of the layer below. By
    default the directions are separate up to the descriptor; `interleaved` joins them
    between layers. The paper's equations have peepholes. The starter code, which the
    paper builds on, has none, and neither has this model.
    Source: the row "Bi-LSTM".

    Args:
      feature_sizes: of the modalities, in order.

    Input shape: [B, T, D]. Output shape: [B, 2 H].
    """

    reported_by = "zhao2019-bilstm"

    def __init__(
        self,
        feature_sizes: tuple[int, ...],
        lstm_cells: Annotated[int, "Units of each LSTM layer (H)."] = 1024,
        lstm_layers: Annotated[int, "Number of LSTM layers."] = 2,
        interleaved: Annotated[
            bool, "Give each layer both directions of the layer below."
        ] = False,
        **kwargs,
    ):
        super().__init__(feature_sizes, **kwargs)

    def _build_layers(self, size):
        cells = (self.lstm_cells,) * self.lstm_layers
        self.stack = self._make_stack(size, cells, interleaved=self.interleaved)


@ENCODERS.register
class StackedBiGRU(_FusedModalities):
    """Stacked GRUs in both directions, on fused modalities.

        x = [h forward after the last frame ; h backward after the first frame]
        r, z = sigmoid([h, x] W + 1)        c = tanh([r * h, x] Wc)
        h'   = z * h + (1 - z) * c

    Here z keeps the old state, as in TF1's cell with its bias of 1; the paper exchanges
    z and 1 - z, and prints no biases.
    Source: the rows "Bi-GRU" with concat, shared space and projection.

    Args:
      feature_sizes: of the modalities, in order.

    Input shape: [B, T, D]. Output shape: [B, 2 H].
    """

    reported_by = "zhao2019-bigru-concat"

    def __init__(
        self,
        feature_sizes: tuple[int, ...],
        gru_cells: Annotated[int, "Units of each GRU layer (H)."] = 1024,
        gru_layers: Annotated[int, "Number of GRU layers."] = 2,
        interleaved: Annotated[
            bool, "Give each layer both directions of the layer below."
        ] = False,
        **kwargs,
    ):
        super().__init__(feature_sizes, **kwargs)

    def _build_layers(self, size):
        self.stack = self._make_stack(
            size,
            (self.gru_cells,) * self.gru_layers,
            interleaved=self.interleaved,
            cell="gru",
        )


@ENCODERS.register
class BiGRUAttention(_FusedModalities):
    """Embedded frames, GRUs in both directions, and attention over their outputs.

        e_t = I_t We                                We [D, E], no bias
        h_t = [GRU forward ; GRU backward] of e     [B, T, 2 H]
        u_t = tanh(h_t Ww + bw)                     Ww [2 H, A]
        a   = softmax over real frames of u_t uw    uw [A, 1]
        x   = sum_t a_t h_t

    Ww and uw start Glorot-normal, as the paper says.
    Source: the row "Attention"; after Yang et al. 2016.

    Args:
      feature_sizes: of the modalities, in order.

    Input shape: [B, T, D]. Output shape: [B, 2 H].
    """

    reported_by = "zhao2019-attention"

    def __init__(
        self,
        feature_sizes: tuple[int, ...],
        embedding_size: Annotated[int, "Values per embedded frame (E)."] = 1024,
        gru_cells: Annotated[int, "Units of each GRU layer (H)."] = 1024,
        gru_layers: Annotated[int, "Number of GRU layers."] = 1,
        attention_size: Annotated[int, "Hidden units of the attention (A)."] = 1024,
        **kwargs,
    ):
        super().__init__(feature_sizes, **kwargs)

    def _build_layers(self, size):
        self.embedding = keras.layers.Dense(
            self.embedding_size,
            use_bias=False,
            dtype=self.dtype_policy,
            name="embedding",
        )
        self.embedding.build((None, None, size))
        cells = (self.gru_cells,) * self.gru_layers
        self.stack = self._make_stack(self.embedding_size, cells, cell="gru")
        self.attention = AttentionPooling(
            units=self.attention_size,
            initializer="glorot_normal",
            dtype=self.dtype_policy,
            name="attention",
        )
        self.attention.build((None, None, 2 * self.gru_cells))

    def _encode(self, fused, frame_mask, training):
        embedded = self.embedding(fused)
        outputs, _ = self.stack(embedded, frame_mask, training=training)
        descriptor, weights = self.attention(outputs, frame_mask, return_weights=True)
        return {"descriptor": descriptor, "attention": weights}
