"""The frame-level models of Zou et al. 2017: two recurrent layers, cropped frames.

Code: taufikxu/youtube, whose branches kunxu and zhs differ a lot. Shapes: [B, T, D] are
batch, frames, features; H units, V verticals.
"""

from typing import Annotated

import keras
import numpy as np
from keras import ops

from youtube8m.layers.inputs import NormalizedFeatures, take_frames
from youtube8m.layers.pooling import masked_mean
from youtube8m.layers.recurrent import BidirectionalStack, Stack, choose_lstm
from youtube8m.models.base import (
    ENCODERS,
    FrameEncoder,
    ReproducedEncoder,
    count_verticals,
)


class _TwoBiLSTMs(FrameEncoder):
    """Two BiLSTM layers, the second on both directions of the first."""

    def __init__(
        self,
        lstm_cells: Annotated[
            int, "Units of the first LSTM layer, per direction (H1)."
        ] = 1024,
        top_lstm_cells: Annotated[
            int, "Units of the top LSTM layer, per direction (H)."
        ] = 1024,
        layer_norm: Annotated[bool, "Use layer-normalised LSTM cells."] = True,
        **kwargs,
    ):
        super().__init__(**kwargs)

    def _is_forward_only(self) -> bool:
        """Whether the descriptor needs only the second layer's forward half."""
        return False

    def build(self, frames_shape, *_):
        kwargs = {"cell": choose_lstm(self.layer_norm), "dtype": self.dtype_policy}
        self.bottom = BidirectionalStack((self.lstm_cells,), name="bottom", **kwargs)
        self.bottom.build(frames_shape)
        # No backward half where nothing reads it: it would learn nothing.
        top = Stack if self._is_forward_only() else BidirectionalStack
        self.top = top((self.top_lstm_cells,), name="top", **kwargs)
        self.top.build((*frames_shape[:-1], 2 * self.lstm_cells))

    def _encode(self, frames, frame_mask, training):
        """The second layer's outputs [B, T, H or 2 H] and its `FinalState`."""
        x, _ = self.bottom(frames, frame_mask, training=training)
        return self.top(x, frame_mask, training=training)


@ENCODERS.register
class StackedBiLSTMLN(_TwoBiLSTMs, ReproducedEncoder):
    """Two BiLSTM layers; x = the last outputs of both directions of the second.

        o = [forward; backward](I)             [B, T, 2 H1]
        x = [forward(o) after the last frame; backward(o) after the first frame]

    With `released_code` and plain cells, x is only the forward half, [B, H]. With layer
    normalisation, the released code agrees with the paper.
    Source: Zou et al. 2017, rows BiLSTM+LR+LN (1024 and 768 layer-normalised cells,
    LogisticModel) and BiLSTM+MoE (plain cells, 1024 in both layers, MoeModel).

    Input shape: [B, T, D]. Output shape: [B, 2 H].
    """

    reported_by = "zou2017-bilstm-lr-ln"

    def _is_forward_only(self):
        return self.released_code and not self.layer_norm

    def call(self, frames, frame_mask, training=False):
        _, final = self._encode(frames, frame_mask, training)
        return final.h


@ENCODERS.register
class SegmentAttentionBiLSTM(_TwoBiLSTMs, ReproducedEncoder):
    """Two BiLSTM layers; x = the mean of the outputs at the ends of the video's thirds.

        o = the second layer's outputs         [B, T, 2 H]
        x = (o[n/3 - 1] + o[2n/3 - 1] + o[n - 1]) / 3

    n is the number of real frames. Indices count from 0, are rounded down, and are at
    least 0.
    With `released_code`, x = 0.33 o[29] + 0.66 o[44] of the forward half, [B, H], for
    every n. Outputs after the video are zero, so x is 0 for fewer than 30 frames.
    Source: Zou et al. 2017, row BiLSTM+MoE+attention, with n = 45.

    Input shape: [B, T, D]. Output shape: [B, 2 H].
    """

    reported_by = "zou2017-bilstm-moe-att"

    def __init__(
        self,
        layer_norm: Annotated[bool, "Use layer-normalised LSTM cells."] = False,
        **kwargs,
    ):
        super().__init__(layer_norm=layer_norm, **kwargs)

    def _is_forward_only(self):
        return self.released_code

    def call(self, frames, frame_mask, training=False):
        outputs, _ = self._encode(frames, frame_mask, training)
        if self.released_code:
            # Batches may be shorter than the 45 frames that the authors cropped to.
            outputs = ops.pad(outputs, [[0, 0], [0, 45], [0, 0]])
            return 0.33 * outputs[:, 29] + 0.66 * outputs[:, 44]
        length = ops.sum(ops.cast(frame_mask, "int32"), axis=1, keepdims=True)
        thirds = ops.arange(1, 4, dtype="int32")
        ends = ops.maximum(length * thirds // 3 - 1, 0)
        return ops.mean(take_frames(outputs, ends), axis=1)


@ENCODERS.register
class LateFusionLSTM(ReproducedEncoder):
    """An LSTM for each modality, and an LSTM on both; x = the last output.

        v = LSTM(visual / |visual|)            [B, T, Hv]
        a = LSTM(audio / |audio|)              [B, T, Ha]
        x = LSTM([v; a]) after the last frame  [B, H]

    The paper has one LSTM layer for each modality. With `bidirectional`, as in the code
    and always with `released_code`, it is a BiLSTM, and v and a have 2 Hv and 2 Ha
    values. The code's cells are layer-normalised (`layer_norm`); the row's name does
    not say so.
    Each modality of a frame is divided by its own L2 norm, as in the released code; the
    paper leaves it open.
    Source: Zou et al. 2017, LSTM+late fusion+LR, a member of the 36-ensemble.

    Args:
      feature_sizes: of the two modalities.

    Input shape: [B, T, D]. Output shape: [B, H].
    """

    needs_two_modalities = True
    reported_by = "zou2017-late-fusion"
    earlier_defaults = {"bidirectional": True, "layer_norm": True}

    def __init__(
        self,
        feature_sizes: tuple[int, ...],
        visual_lstm_cells: Annotated[
            int, "Units of the LSTM for the first modality, per direction (Hv)."
        ] = 512,
        audio_lstm_cells: Annotated[
            int, "Units of the LSTM for the second modality, per direction (Ha)."
        ] = 150,
        top_lstm_cells: Annotated[
            int, "Units of the top LSTM layer, per direction (H)."
        ] = 1200,
        layer_norm: Annotated[bool, "Use layer-normalised LSTM cells."] = False,
        bidirectional: Annotated[
            bool, "Read each modality in both directions, as the released code does."
        ] = False,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.feature_sizes = self.require_two_modalities(feature_sizes, "LstmModel")

    def build(self, frames_shape, *_):
        kwargs = {"cell": choose_lstm(self.layer_norm), "dtype": self.dtype_policy}
        cells = {"visual": self.visual_lstm_cells, "audio": self.audio_lstm_cells}
        both = self.bidirectional or self.released_code
        layer = BidirectionalStack if both else Stack
        self.visual, self.audio = (
            layer((units,), name=name, **kwargs) for name, units in cells.items()
        )
        self.visual.build((None, None, self.feature_sizes[0]))
        self.audio.build((None, None, self.feature_sizes[1]))
        self.top = Stack((self.top_lstm_cells,), name="top", **kwargs)
        self.top.build((None, None, (2 if both else 1) * sum(cells.values())))
        self.normalize = NormalizedFeatures(dtype=self.dtype_policy)

    def call(self, frames, frame_mask, training=False):
        size = self.feature_sizes[0]
        modalities = frames[..., :size], frames[..., size:]
        outputs = [
            layer(self.normalize(x), frame_mask, training=training)[0]
            for layer, x in zip((self.visual, self.audio), modalities, strict=True)
        ]
        fused = ops.concatenate(outputs, axis=-1)
        _, final = self.top(fused, frame_mask, training=training)
        return final.h


@ENCODERS.register
class PerVerticalBiLSTM(FrameEncoder):
    """A BiLSTM for each vertical, whose descriptor serves the classes of the vertical.

        x_v = the last outputs of both directions of BiLSTM_v     [B, 2 H_v]
        H_v = max(Hmin, floor(r C_v))          C_v classes in vertical v

    All layers have H_v units; each sees both directions of the layer below.
    Source: Zou et al. 2017, section 7.1 (the 25 tasks; tried, not in the results).

    Args:
      verticals: the vertical of each class, C integers in [0, V).
      num_verticals: V; see PerVerticalModel.

    Input shape: [B, T, D]. Output shape: a list of V tensors [B, 2 H_v].
    """

    classifiers = ("PerVerticalModel", "PerVerticalMoeModel")
    reported_by = "zou2017-25-tasks"

    def __init__(
        self,
        verticals: tuple[int, ...],
        cells_per_class: Annotated[
            float, "LSTM units of a vertical for each of its classes (r)."
        ] = 0.7,
        min_lstm_cells: Annotated[int, "Fewest LSTM units of a vertical (Hmin)."] = 80,
        lstm_layers: Annotated[int, "Number of LSTM layers."] = 1,
        layer_norm: Annotated[bool, "Use layer-normalised LSTM cells."] = True,
        num_verticals: int | None = None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.verticals = tuple(verticals)
        self.num_verticals = count_verticals(self.verticals, num_verticals)

    def cells(self) -> list[tuple[int, ...]]:
        """Units of each layer, per direction, for each vertical."""
        counts = np.bincount(self.verticals, minlength=self.num_verticals)
        units = [
            max(self.min_lstm_cells, int(self.cells_per_class * n)) for n in counts
        ]
        return [(n,) * self.lstm_layers for n in units]

    def build(self, frames_shape, *_):
        self.stacks = []
        for number, cells in enumerate(self.cells()):
            stack = BidirectionalStack(
                cells,
                interleaved=True,
                cell=choose_lstm(self.layer_norm),
                dtype=self.dtype_policy,
                name=f"vertical_{number}",
            )
            stack.build(frames_shape)
            self.stacks.append(stack)

    def call(self, frames, frame_mask, training=False):
        return [
            stack(frames, frame_mask, training=training)[1].h for stack in self.stacks
        ]


@ENCODERS.register
class CrossModalAutoencoder(_TwoBiLSTMs):
    """Trains a StackedBiLSTMLN without labels, to reconstruct all modalities from one.

        v = visual / |visual|                  [B, T, Dv], the first modality
        o, x = two BiLSTM layers of v          as in StackedBiLSTMLN
        y = LSTM(o) W + b                      [B, T, D]
        loss = mean of (y_t - I_t)^2 over the real frames and D features

    `bottom` and `top` have the names, shapes and inputs of the layers of a
    StackedBiLSTMLN with visual features only, so its training can start from them.
    Source: Zou et al. 2017, section 7.3 (not finished). The target of their
    LstmModel_un is only the audio.

    Args:
      feature_sizes: of the modalities; a single modality is its own target.

    Input shape: [B, T, D]. Output: `descriptor` [B, 2 H] and `reconstruction_error`,
    the loss of each video [B].
    """

    supervised = False

    def __init__(
        self,
        feature_sizes: tuple[int, ...],
        decoder_lstm_cells: Annotated[
            int, "Units of the LSTM that reconstructs the modalities."
        ] = 1200,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.feature_sizes = tuple(feature_sizes)

    def build(self, frames_shape, *_):
        super().build((*frames_shape[:-1], self.feature_sizes[0]))
        cells = (self.decoder_lstm_cells,)
        self.decoder = Stack(
            cells, choose_lstm(self.layer_norm), dtype=self.dtype_policy, name="decoder"
        )
        self.decoder.build((None, None, 2 * self.top_lstm_cells))
        self.reconstruct = keras.layers.Dense(
            frames_shape[-1], dtype=self.dtype_policy, name="reconstruct"
        )
        self.reconstruct.build((None, None, *cells))
        self.normalize = NormalizedFeatures(dtype=self.dtype_policy)

    def call(self, frames, frame_mask, training=False):
        visual = self.normalize(frames[..., : self.feature_sizes[0]])
        outputs, final = self._encode(visual, frame_mask, training)
        decoded, _ = self.decoder(outputs, frame_mask, training=training)
        target, guess = (
            ops.cast(x, "float32") for x in (frames, self.reconstruct(decoded))
        )
        errors = masked_mean(ops.square(guess - target), frame_mask)
        return {
            "descriptor": final.h,
            "reconstruction_error": ops.mean(errors, axis=-1),
        }

    def auxiliary_losses(self, outputs, batch):
        return {"reconstruction": outputs["reconstruction_error"]}
