"""The frame-level models of Zhao 2019, "Deep Multimodal Learning: An Effective Method
for Video Classification" (arxiv.org/abs/1811.12563).

No code was released, and the paper gives no sizes: they are the starter code's.
Shapes: frames I [B, T, D], of a visual part v and an audio part a; H recurrent units
of each direction.
"""

from typing import Annotated

import keras
from keras import ops

from youtube8m.layers.pooling import AttentionPooling, masked_mean
from youtube8m.layers.recurrent import BidirectionalStack
from youtube8m.models.base import ENCODERS, FrameEncoder
from youtube8m.registry import PACKAGE, Configured, require_choice


@keras.saving.register_keras_serializable(PACKAGE)
class ModalityFusion(Configured, keras.layers.Layer):
    """Two modalities of each frame in one vector.

        concat        z = [v ; a]                                   [B, T, D]
        shared        z = v Wv + a Wa                               [B, T, F]
        projection    z = [v Wv ; a Wa]                             [B, T, 2 F]
                      distance = mean over real frames of |v Wv - a Wa|^2      [B]

    Wv and Wa start normally distributed, with a standard deviation of 0.01. The layers
    behind have biases, so there are none.

    Args:
      feature_sizes: of v and a; `concat` takes any number of modalities.
      mode: one of the three.
      size: F.

    Input shape: [B, T, D], bool [B, T]. Output shape: z and distance, None but for
    `projection`.
    """

    def __init__(self, feature_sizes, mode: str, size: int, **kwargs):
        super().__init__(**kwargs)
        require_choice("modality_fusion", mode, "concat", "shared", "projection")
        self.feature_sizes = tuple(feature_sizes)
        self.mode = mode
        self.size = size
        if mode != "concat" and len(self.feature_sizes) != 2:
            raise ValueError(
                f"--modality_fusion={mode}: fuses two modalities, but --feature_names "
                f"gives {len(self.feature_sizes)}; name two, such as rgb,audio, or use "
                "--modality_fusion=concat"
            )

    def build(self, x_shape, *_):
        sizes = self.feature_sizes if self.mode != "concat" else ()
        self.maps = [self._map(*item) for item in enumerate(sizes)]

    def _map(self, number, size):
        dense = keras.layers.Dense(
            self.size,
            use_bias=False,
            kernel_initializer=keras.initializers.RandomNormal(stddev=0.01),
            dtype=self.dtype_policy,
            name=f"map_{number}",
        )
        dense.build((None, None, size))
        return dense

    def call(self, x, frame_mask):
        if self.mode == "concat":
            return x, None
        parts = ops.split(x, [self.feature_sizes[0]], axis=-1)
        first, second = (f(part) for f, part in zip(self.maps, parts, strict=True))
        if self.mode == "shared":
            return first + second, None
        apart = ops.cast(first, "float32") - ops.cast(second, "float32")
        distance = ops.sum(ops.square(apart), axis=-1, keepdims=True)
        distance = ops.squeeze(masked_mean(distance, frame_mask), axis=-1)
        return ops.concatenate([first, second], axis=-1), distance

    @property
    def output_size(self):
        sizes = {"shared": self.size, "projection": 2 * self.size}
        return sizes.get(self.mode, sum(self.feature_sizes))


class _FusedModalities(FrameEncoder):
    """An encoder of frames whose modalities are fused first.

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
        self.modality_fusion = modality_fusion
        self.fusion_size = fusion_size
        self.projection_weight = projection_weight
        self.fusion = ModalityFusion(
            feature_sizes,
            modality_fusion,
            fusion_size,
            dtype=self.dtype_policy,
            name="fusion",
        )

    def build(self, frames_shape, *_):
        self.fusion.build(frames_shape)
        self._build(self.fusion.output_size)

    def call(self, frames, frame_mask, training=False):
        fused, distance = self.fusion(frames, frame_mask)
        descriptor = self._encode(fused, frame_mask, training)
        extras = {} if distance is None else {"projection_distance": distance}
        return {"descriptor": descriptor, **extras}

    def auxiliary_losses(self, outputs, batch):
        if self.modality_fusion != "projection":
            return {}
        distance = outputs["projection_distance"]
        return {"projection_distance": self.projection_weight * distance}

    def _bidirectional(self, size, cells, **kwargs):
        stack = BidirectionalStack(
            cells, dtype=self.dtype_policy, name="stack", **kwargs
        )
        stack.build((None, None, size))
        return stack

    def _build(self, size):
        """Makes what follows the fusion, for inputs of this size."""
        raise NotImplementedError

    def _encode(self, fused, frame_mask, training):
        """Fused frames [B, T, size] -> descriptor, by default the last states."""
        _, final = self.stack(fused, frame_mask, training=training)
        return final.h


@ENCODERS.register
class StackedBiLSTM(_FusedModalities):
    """Stacked LSTMs in both directions: x = [h of the first ; h of the last frame].

    Whether a layer sees both directions of the one below is not said. By default the
    directions are apart up to the descriptor; `interleaved` joins them between layers.
    The equations have peepholes, which the starter code that the paper builds on has
    not; nor has this.
    Source: the row "Bi-LSTM".

    Args:
      feature_sizes: of the modalities, which are fused first; see `ModalityFusion`.

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
        self.lstm_cells = lstm_cells
        self.lstm_layers = lstm_layers
        self.interleaved = interleaved

    def _build(self, size):
        cells = (self.lstm_cells,) * self.lstm_layers
        self.stack = self._bidirectional(size, cells, interleaved=self.interleaved)


@ENCODERS.register
class StackedBiGRU(_FusedModalities):
    """Stacked GRUs in both directions: x = [h of the last ; h of the first frame].

        r, z = sigmoid([h, x] W + 1)        c = tanh([r * h, x] Wc)
        h'   = z * h + (1 - z) * c

    Here z keeps the old state, as in TF1's cell with its bias of 1; the paper has z
    and 1 - z exchanged, and prints no biases.
    Source: the rows "Bi-GRU" with concat, shared space and projection.

    Args:
      feature_sizes: of the modalities, which are fused first; see `ModalityFusion`.

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
        self.gru_cells = gru_cells
        self.gru_layers = gru_layers
        self.interleaved = interleaved

    def _build(self, size):
        self.stack = self._bidirectional(
            size,
            (self.gru_cells,) * self.gru_layers,
            interleaved=self.interleaved,
            cell="gru",
        )


@ENCODERS.register
class BiGRUAttention(_FusedModalities):
    """Frames embedded, read in both directions, and weighted by attention.

        e_t = I_t We                                We [D, E], no bias
        h_t = [GRU forward ; GRU backward] of e     [B, T, 2 H]
        u_t = tanh(h_t Ww + bw)                     Ww [2 H, A]
        a   = softmax over real frames of u_t uw    uw [A, 1]
        x   = sum_t a_t h_t

    Ww and uw start Glorot-normal, as the paper says of its attention.
    Source: the row "Attention"; after Yang et al. 2016.

    Args:
      feature_sizes: of the modalities, which are fused first; see `ModalityFusion`.

    Input shape: [B, T, D]. Output shape: [B, 2 H].
    """

    reported_by = "zhao2019-attention"

    def __init__(
        self,
        feature_sizes: tuple[int, ...],
        embedding_size: Annotated[
            int, "Values per frame after the embedding (E)."
        ] = 1024,
        gru_cells: Annotated[int, "Units of each GRU layer (H)."] = 1024,
        gru_layers: Annotated[int, "Number of GRU layers."] = 1,
        attention_size: Annotated[int, "Hidden units of the attention (A)."] = 1024,
        **kwargs,
    ):
        super().__init__(feature_sizes, **kwargs)
        self.embedding_size = embedding_size
        self.gru_cells = gru_cells
        self.gru_layers = gru_layers
        self.attention_size = attention_size

    def _build(self, size):
        self.embedding = keras.layers.Dense(
            self.embedding_size,
            use_bias=False,
            dtype=self.dtype_policy,
            name="embedding",
        )
        self.embedding.build((None, None, size))
        cells = (self.gru_cells,) * self.gru_layers
        self.stack = self._bidirectional(self.embedding_size, cells, cell="gru")
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
        return self.attention(outputs, frame_mask)
