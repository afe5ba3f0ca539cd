"""The encoders of Wang et al. 2017, second in the challenge of that year.

Wang, Zhang, Wu: The Monkeytyping Solution to the YouTube-8M Video Understanding
Challenge, arXiv:1706.05150; code: wangheda/youtube-8m.

Some of them make several descriptors, for a classifier that predicts from each.
"""

from typing import Annotated

import keras
from keras import ops

from youtube8m.layers.aggregation import l2_normalize, split_modalities
from youtube8m.layers.inputs import zero_padding
from youtube8m.layers.normalization import BatchNorm, SlimBatchNorm
from youtube8m.layers.pooling import attend, masked_max, masked_mean, masked_softmax
from youtube8m.layers.positions import place_frames
from youtube8m.layers.recurrent import Stack
from youtube8m.models.base import ENCODERS, FrameEncoder, ReproducedEncoder
from youtube8m.models.starter.regularization import weight_decay
from youtube8m.models.wang2017.causal_filters import CausalFilters, halve
from youtube8m.models.wang2017.classifiers import ChainLayers, ReluCells, Scales
from youtube8m.registry import AtLeast


def _last_memories(stack, frames, frame_mask, training):
    """[c_1, c_2 ..] of a stack with `states` after the last frame: [B, H layers]."""
    _, final = stack(frames, frame_mask, training=training)
    cells = stack.cells[0]
    states = ops.reshape(final.states, (-1, len(stack.cells), 2, cells))
    return ops.reshape(states[:, :, 0], (-1, len(stack.cells) * cells))


@ENCODERS.register
class LSTMAttentionMaxPooling(FrameEncoder):
    """Several attentions over an LSTM's outputs; the highest prediction counts.

        O   = outputs of stacked LSTMs on the frames I     [B, T, H]
        e_t = [I_t, O_t] W, or [I_t, u_t, O_t] W           W [., A], u [max_frames, P]
        d_a = sum_t softmax_t(e)_ta O_t                    a = 1 .. A, [B, H]
        p   = max over a of classifier(d_a)                class by class

    u are learned positions. W and u have an L2 penalty of 1e-8. The code also gives e a
    bias and, with positions, the mean frame. Both are the same at all t, so the softmax
    cancels them, and they are left out.
    Source: LstmAttentionMaxPoolingModel and LstmPositionalAttentionMaxPoolingModel in
    the released code of Wang et al. 2017.

    Args:
      max_frames: the number of positions; later frames have the last one.

    Input shape: [B, T, D]. Output shape: [B, A, H], and which of them count, [B, A].
    """

    classifies_frames = True
    pool_predictions = staticmethod(masked_max)
    reported_by = "wang2017-attention8max"

    def __init__(
        self,
        lstm_cells: Annotated[int, "Units of each LSTM layer (H)."] = 1024,
        lstm_layers: Annotated[int, "Number of LSTM layers."] = 2,
        lstm_attentions: Annotated[int, "Attentions over the frames (A)."] = 8,
        positional_embedding_size: Annotated[
            int, "Values of each learned position (P); 0: none.", AtLeast(0)
        ] = 0,
        max_frames: int | None = None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        if positional_embedding_size and max_frames is None:
            raise ValueError(
                f"--positional_embedding_size={positional_embedding_size}: needs "
                "max_frames, the number of positions"
            )

    def build(self, frames_shape, *_):
        cells = (self.lstm_cells,) * self.lstm_layers
        self.stack = Stack(cells, dtype=self.dtype_policy, name="stack")
        self.stack.build(frames_shape)
        self.positions = None
        if self.positional_embedding_size:
            self.positions = self.add_weight(
                shape=(self.max_frames, self.positional_embedding_size),
                initializer="glorot_uniform",
                regularizer=weight_decay(),
                name="positions",
            )
        size = frames_shape[-1] + self.positional_embedding_size + self.lstm_cells
        self.score = self.sublayer(
            keras.layers.Dense,
            size,
            "score",
            units=self.lstm_attentions,
            use_bias=False,
            kernel_regularizer=weight_decay(),
        )

    def call(self, frames, frame_mask, training=False):
        outputs, _ = self.stack(frames, frame_mask, training=training)
        parts = [frames, *self._place(frames), outputs]
        scores = self.score(ops.concatenate(parts, axis=-1))
        descriptor = attend(outputs, masked_softmax(scores, frame_mask))
        counted = ops.ones(ops.shape(descriptor)[:2], "bool")
        return {"descriptor": descriptor, "frame_mask": counted}

    def _place(self, frames):
        """The positions of all frames, [B, T, P], in a list; [] without."""
        if self.positions is None:
            return []
        batch, steps = ops.shape(frames)[:2]
        table = ops.cast(self.positions, frames.dtype)
        return [ops.repeat(place_frames(table, steps)[None], batch, axis=0)]


class _FilterChain(ReproducedEncoder):
    """A descriptor for each mixture of a chain, from filters of its own.

    f_l = l2(max_t CausalFilters_l(z)_t)        l = 0 .. n, [B, 4 q]
    m   = l2(relu(v M + b))                     v the mean frame, M [D, q]

    z [B, T, .] is the subclass's. M has an L2 penalty of 1e-8.
    """

    classifiers = ("DeepCombineChainModel",)

    def __init__(
        self,
        deep_chain_layers: ChainLayers = 3,
        deep_chain_relu_cells: ReluCells = 200,
        **kwargs,
    ):
        super().__init__(**kwargs)

    def build_chain(self, frames_size: int, size: int, first: tuple) -> None:
        """Makes the filters for z [B, T, size], `first` times q of them for f_0."""
        q = self.deep_chain_relu_cells
        self.filters = [
            self.sublayer(
                CausalFilters,
                size,
                f"filters_{number}",
                filters=tuple(n * q for n in (first if number == 0 else (1, 1, 2))),
            )
            for number in range(self.deep_chain_layers + 1)
        ]
        self.reduce_mean = self.sublayer(
            keras.layers.Dense,
            frames_size,
            "reduce_mean",
            units=q,
            activation="relu",
            kernel_regularizer=weight_decay(),
        )

    def filter_maxima(self, z, frame_mask):
        """f_0 .. f_n."""
        counted = ops.ones_like(frame_mask) if self.released_code else frame_mask
        return [self._normalize(masked_max(f(z), counted)) for f in self.filters]

    def mean(self, frames, frame_mask):
        """v [B, D] and m [B, q]."""
        mean = masked_mean(frames, frame_mask)
        return mean, self._normalize(self.reduce_mean(mean))

    def _normalize(self, x):
        return ops.cast(l2_normalize(ops.cast(x, "float32")), self.compute_dtype)


@ENCODERS.register
class CNNDeepCombineChain(_FilterChain):
    """Filters over neighbouring frames, anew for each mixture of a chain.

        f_l = l2(max_t [I_t A_1 ; [I_t, I_{t-1}] A_2 ; [I_t, I_{t-1}, I_{t-2}] A_3])
        m   = l2(relu(v M + b))                    v the mean frame, M [D, q]
        d_0 = f_0, d_l = [v, f_l, m]               l = 1 .. n

    There are q filters of width 1, q of width 2 and 2 q of width 3, without biases, and
    zeros before the first frame.
    With `released_code` the maximum is over all `max_frames` rows: padding is 0, or
    what filters see of the last frames from there.
    Source: CnnDeepCombineChainModel in the released code of Wang et al. 2017.

    Input shape: [B, T, D]. Output shape: n + 1 tensors, [B, 4 q] and [B, D + 5 q].
    """

    reported_by = "wang2017-cnn-chain"

    def build(self, frames_shape, *_):
        self.build_chain(frames_shape[-1], frames_shape[-1], first=(1, 1, 2))

    def call(self, frames, frame_mask, training=False):
        first, *others = self.filter_maxima(frames, frame_mask)
        mean, reduced = self.mean(frames, frame_mask)
        rest = [ops.concatenate([mean, f, reduced], axis=-1) for f in others]
        return {"descriptor": [first, *rest]}


@ENCODERS.register
class LSTMCNNDeepCombineChain(_FilterChain):
    """Filters over the outputs of LSTMs, anew for each mixture of a chain.

        z   = outputs of one LSTM for each modality, whose frames have norm 1
        f_l = as in CNNDeepCombineChain, on z
        d_0 = f_0, d_l = [f_l, m]                  l = 1 .. n

    f_0 has q filters of width 1, 2 q of width 2 and q of width 3; the others have
    q, q and 2 q.
    With `released_code` the maximum is over all `max_frames` rows.
    Source: LstmCnnDeepCombineChainModel in the released code of Wang et al. 2017.

    Args:
      feature_sizes: the number of values of each modality.

    Input shape: [B, T, D]. Output shape: n + 1 tensors, [B, 4 q] and [B, 5 q].
    """

    reported_by = "wang2017-lstm-cnn-chain"

    def __init__(
        self,
        feature_sizes: tuple[int, ...],
        visual_lstm_cells: Annotated[int, "Units of the first modality's LSTM."] = 1024,
        audio_lstm_cells: Annotated[int, "Units of each other modality's LSTM."] = 128,
        lstm_layers: Annotated[int, "Number of LSTM layers."] = 1,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.feature_sizes = tuple(feature_sizes)

    def build(self, frames_shape, *_):
        self.stacks, width = [], 0
        for modality, size in enumerate(self.feature_sizes):
            cells = self.audio_lstm_cells if modality else self.visual_lstm_cells
            stack = Stack(
                (cells,) * self.lstm_layers,
                dtype=self.dtype_policy,
                name=f"stack_{modality}",
            )
            stack.build((None, None, size))
            self.stacks.append(stack)
            width += cells
        self.build_chain(frames_shape[-1], width, first=(1, 2, 1))

    def call(self, frames, frame_mask, training=False):
        parts = split_modalities(frames, self.feature_sizes)
        outputs = [
            stack(self._normalize(part), frame_mask, training=training)[0]
            for stack, part in zip(self.stacks, parts, strict=True)
        ]
        z = ops.concatenate(outputs, axis=-1)
        first, *others = self.filter_maxima(z, frame_mask)
        _, reduced = self.mean(frames, frame_mask)
        rest = [ops.concatenate([f, reduced], axis=-1) for f in others]
        return {"descriptor": [first, *rest]}


@ENCODERS.register
class LSTMMemoryDeepChain(FrameEncoder):
    """Stacked LSTMs, anew for each mixture of a chain.

        d_l = [c_1, c_2 ..] of the layers of the l-th stack after the last frame

    The code's chain hands on the latest prediction alone (`deep_chain_latest`).
    Source: LstmMemoryDeepChainModel in the released code of Wang et al. 2017.

    Input shape: [B, T, D]. Output shape: n + 1 tensors [B, H lstm_layers].
    """

    classifiers = ("DeepCombineChainModel",)
    reported_by = "wang2017-lstm-chain"

    def __init__(
        self,
        lstm_cells: Annotated[int, "Units of each LSTM layer (H)."] = 1024,
        lstm_layers: Annotated[int, "Number of LSTM layers."] = 2,
        deep_chain_layers: ChainLayers = 3,
        **kwargs,
    ):
        super().__init__(**kwargs)

    def build(self, frames_shape, *_):
        cells, self.stacks = (self.lstm_cells,) * self.lstm_layers, []
        for number in range(self.deep_chain_layers + 1):
            name = f"stack_{number}"
            stack = Stack(cells, states=True, dtype=self.dtype_policy, name=name)
            stack.build(frames_shape)
            self.stacks.append(stack)

    def call(self, frames, frame_mask, training=False):
        return {
            "descriptor": [
                _last_memories(stack, frames, frame_mask, training)
                for stack in self.stacks
            ]
        }


@ENCODERS.register
class MultiscaleCNNLSTM(ReproducedEncoder):
    """Filters and an LSTM at each of several scales of time.

        y_s = relu(BN(CausalFilters_s(x_s)))     [B, T_s, 4 F], x_1 the frames
        d_s = c of an LSTM on y_s after its last frame
        x_{s+1} = the larger of each two frames of y_s

    There are F filters of width 1, F of width 2 and 2 F of width 3, without biases, and
    zeros before the first frame. n frames become max(n // 2, 1).
    With `released_code` padding is in the moments of batch normalisation, up to
    `max_frames`, and in the maximum of a frame that is the only one.
    Source: MultiscaleCnnLstmModel in the released code of Wang et al. 2017.

    Input shape: [B, T, D]. Output shape: S tensors [B, H].
    """

    classifiers = ("MultiscaleMoeModel",)
    reported_by = "wang2017-multiscale"

    def __init__(
        self,
        lstm_cells: Annotated[int, "Units of each LSTM layer (H)."] = 1024,
        multiscale_cnn_lstm_layers: Scales = 4,
        multiscale_filters: Annotated[
            int, "Filters of width 1 and of width 2 (F); there are 2 F of width 3."
        ] = 256,
        slim_batch_norm: SlimBatchNorm = False,
        **kwargs,
    ):
        super().__init__(**kwargs)

    def build(self, frames_shape, *_):
        size, f = frames_shape[-1], self.multiscale_filters
        self.filters, self.norms, self.stacks = [], [], []
        for number in range(self.multiscale_cnn_lstm_layers):
            filters = self.sublayer(
                CausalFilters, size, f"filters_{number}", filters=(f, f, 2 * f)
            )
            size = 4 * f
            norm = self.sublayer(
                BatchNorm, size, f"norm_{number}", slim=self.slim_batch_norm
            )
            stack = Stack(
                (self.lstm_cells,),
                states=True,
                dtype=self.dtype_policy,
                name=f"stack_{number}",
            )
            stack.build((None, None, size))
            self.filters.append(filters)
            self.norms.append(norm)
            self.stacks.append(stack)

    def call(self, frames, frame_mask, training=False):
        x, memories = frames, []
        for number, stack in enumerate(self.stacks):
            if number:
                x, frame_mask = halve(x, frame_mask)
            x = self._filter(x, frame_mask, number, training)
            memories.append(stack(x, frame_mask, training=training)[1].c)
        return {"descriptor": memories}

    def _filter(self, x, frame_mask, number, training):
        """y_s of the scale with that number: [B, T_s, 4 F]."""
        counted = ops.ones_like(frame_mask) if self.released_code else frame_mask
        y = self.norms[number](self.filters[number](x), counted, training=training)
        y = ops.relu(y)
        return y if self.released_code else zero_padding(y, frame_mask)
