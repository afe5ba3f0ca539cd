"""The frame-level models of Tang et al. 2017: attention over bidirectional LSTMs.

Tang, Deng, Zhao, Yi: Hierarchical Deep Recurrent Architecture for Video Understanding,
arXiv:1707.03296; code: Tsingularity/youtube-8m. The paper writes GRU equations, but
its title of each model and all of its code say LSTM; so have these models LSTMs, with
`released_code` or without. (A GRU has no cell state, on which BiLSTM and the
hierarchical model rest.)

h_t are the outputs of a BiLSTM, the sum of both directions, zero at the padding. In the
authors' code the softmax of the attention is over the padding too, which takes weight
from the real frames and adds nothing. By default it is over the real frames.
"""

from typing import Annotated

from keras import ops

from youtube8m.layers.inputs import zero_padding
from youtube8m.layers.pooling import attend, masked_softmax
from youtube8m.models.base import (
    ENCODERS,
    FrameEncoder,
    ReproducedEncoder,
    count_verticals,
)
from youtube8m.models.tang2017.attentive_bilstm import AttentiveBiLSTM, make_bilstm
from youtube8m.models.tang2017.windows import (
    SampleWindows,
    split_windows,
    windowed_max,
)
from youtube8m.registry import AtLeast, require_choice

WINDOW = 5  # frames, where the paper leaves no choice


class _Encoder(ReproducedEncoder):
    """The steps that several of the models share.

    With `released_code`, the extra `attention` has weights of the padding, too.
    """

    offers_attention = True

    def _make_head(self, size, cells, name="head", layers=1):
        head = AttentiveBiLSTM(
            cells, layers, self.released_code, dtype=self.dtype_policy, name=name
        )
        head.build((None, None, size))
        return head

    @staticmethod
    def _with_weights(descriptor, weights, attention):
        """What `call` returns: with `attention` the weights [B, S, Q], too."""
        if not attention:
            return descriptor
        return {"descriptor": descriptor, "attention": weights}

    def _pool_windows(self, frames, frame_mask, training):
        """Maxima of `local`'s outputs [B, W, H], and which windows are real [B, W]."""
        outputs, _ = self.local(frames, frame_mask, training=training)
        real = ops.ones_like(frame_mask) if self.released_code else frame_mask
        return windowed_max(outputs, real, self.pool_size)


@ENCODERS.register
class BiLSTM(FrameEncoder):
    """LSTMs in both directions; x = the sum of their last states.

        x = [c_1, h_1, c_2, h_2 ...] forward + the same backward

    The two directions are independent stacks.
    Source: Tang et al. 2017, Table 2, BiLSTM.

    Input shape: [B, T, D]. Output shape: [B, 2 H lstm_layers].
    """

    reported_by = "tang2017-bilstm"

    def __init__(
        self,
        lstm_cells: Annotated[int, "Units of each LSTM layer (H)."] = 1024,
        lstm_layers: Annotated[int, "Number of LSTM layers."] = 1,
        **kwargs,
    ):
        super().__init__(**kwargs)

    def build(self, frames_shape, *_):
        self.bilstm = make_bilstm(
            frames_shape,
            self.lstm_cells,
            "bilstm",
            self.dtype_policy,
            self.lstm_layers,
            states=True,
        )

    def call(self, frames, frame_mask, training=False):
        _, final = self.bilstm(frames, frame_mask, training=training)
        return final.states


@ENCODERS.register
class BiLSTMAttention(_Encoder):
    """A BiLSTM whose outputs one attention weighs; see AttentiveBiLSTM.

        x = tanh(sum_t a_t h_t),  a = softmax over t of w . tanh(h_t)

    The directions are two independent stacks of `lstm_layers`.
    With `released_code`, the softmax is over all max_frames time steps.
    Source: Tang et al. 2017, Table 2, Single-ATT+BiLSTM.

    Input shape: [B, T, D]. Output shape: [B, H].
    """

    reported_by = "tang2017-single-att"

    def __init__(
        self,
        lstm_cells: Annotated[int, "Units of each LSTM layer (H)."] = 1024,
        lstm_layers: Annotated[int, "Number of LSTM layers."] = 1,
        **kwargs,
    ):
        super().__init__(**kwargs)

    def build(self, frames_shape, *_):
        self.head = self._make_head(
            frames_shape[-1], self.lstm_cells, layers=self.lstm_layers
        )

    def call(self, frames, frame_mask, training=False, attention=False):
        y, weights = self.head(
            frames, frame_mask, training=training, return_weights=True
        )
        return self._with_weights(y, weights, attention)


@ENCODERS.register
class SplitBiLSTMAttention(_Encoder):
    """An AttentiveBiLSTM for the images and another for the sound.

        x = [tanh(sum_t a_t h_t) of visual, the same of audio]

    Both modalities of a frame are divided by one norm, as everywhere.
    With `released_code`, the softmax is over all max_frames time steps.
    Source: Tang et al. 2017, Table 2, Split+ATT.

    Args:
      feature_sizes: of the first modality (visual) and the second (audio).

    Input shape: [B, T, sum of feature_sizes]. Output shape: [B, Hv + Ha].
    """

    needs_two_modalities = True
    reported_by = "tang2017-split-att"

    def __init__(
        self,
        feature_sizes: tuple[int, ...],
        visual_lstm_cells: Annotated[
            int, "Units of the LSTM for the first modality, per direction (Hv)."
        ] = 1024,
        audio_lstm_cells: Annotated[
            int, "Units of the LSTM for the second modality, per direction (Ha)."
        ] = 128,
        **kwargs,
    ):
        super().__init__(**kwargs)
        sizes = self.require_two_modalities(feature_sizes, "BiLSTMAttention")
        self.feature_sizes = sizes

    def build(self, frames_shape, *_):
        visual_size, audio_size = self.feature_sizes
        self.visual = self._make_head(visual_size, self.visual_lstm_cells, "visual")
        self.audio = self._make_head(audio_size, self.audio_lstm_cells, "audio")

    def call(self, frames, frame_mask, training=False, attention=False):
        modalities = ops.split(frames, [self.feature_sizes[0]], axis=-1)
        heads = zip((self.visual, self.audio), modalities, strict=True)
        pairs = [
            head(x, frame_mask, training=training, return_weights=True)
            for head, x in heads
        ]
        y, weights = (ops.concatenate(x, axis=-1) for x in zip(*pairs, strict=True))
        return self._with_weights(y, weights, attention)


@ENCODERS.register
class MultiAttentionBiLSTM(_Encoder):
    """A BiLSTM and an attention for each vertical, for the classes of the vertical.

        x_v = sum_t a[t, v] h_t                       [B, H] for each of V verticals
        a   = softmax over t of e
        e_v = h A b_v                                 'diagonal-bilinear', A diagonal
        e   = tanh(h) W                               'tanh-dense',        W [H, V]

    The paper has the first score, the code the second. Since A b_v is one vector, they
    differ by the tanh alone. `attention_score` chooses, with `released_code` too.
    With `pool_size`, the maxima of the outputs over windows go through a second BiLSTM,
    as in MaxPoolBiLSTMAttention; the released code has k = 3, the paper's table none.
    With `released_code`, the softmax is over all max_frames time steps, and with
    `pool_size` the windows are those of MaxPoolBiLSTMAttention's released code.
    Source: Tang et al. 2017, Table 2, Multi-ATT+BiLSTM.

    Args:
      verticals: the vertical of each class, integers in [0, V).
      num_verticals: V; see PerVerticalModel.

    Input shape: [B, T, D]. Output shape: V tensors [B, H].
    """

    classifiers = ("PerVerticalMoeModel", "PerVerticalModel")
    reported_by = "tang2017-multi-att"
    earlier_defaults = {
        "attention_score": "tanh-dense",
        "video_level_classifier_model": "PerVerticalModel",
    }

    def __init__(
        self,
        verticals: tuple[int, ...],
        lstm_cells: Annotated[int, "Units of each LSTM layer (H)."] = 1024,
        attention_score: Annotated[
            str,
            "Score of a frame: diagonal-bilinear (the paper) or tanh-dense (the code).",
        ] = "diagonal-bilinear",
        pool_size: Annotated[
            int, "Frames in a max-pooling window (k); 0 for no pooling.", AtLeast(0)
        ] = 0,
        num_verticals: int | None = None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        require_choice(
            "attention_score", attention_score, "tanh-dense", "diagonal-bilinear"
        )
        self.verticals = tuple(verticals)
        self.num_verticals = count_verticals(self.verticals, num_verticals)

    def build(self, frames_shape, *_):
        cells, shape = self.lstm_cells, frames_shape
        self.local = None
        if self.pool_size:
            self.local = make_bilstm(shape, cells, "local", self.dtype_policy)
            shape = (None, None, cells)
        self.bilstm = make_bilstm(shape, cells, "bilstm", self.dtype_policy)
        self.query = self.add_weight(
            shape=(cells, self.num_verticals),
            initializer="glorot_uniform",
            name="query",
        )
        self.diagonal = None
        if self.attention_score == "diagonal-bilinear":
            self.diagonal = self.add_weight(
                shape=(cells,), initializer="ones", name="diagonal"
            )

    @property
    def frames_per_attention(self):
        return self.pool_size or 1

    def call(self, frames, frame_mask, training=False, attention=False):
        if self.local is not None:
            frames, frame_mask = self._pool_windows(frames, frame_mask, training)
        outputs, _ = self.bilstm(frames, frame_mask, training=training)
        keys = ops.tanh(outputs) if self.diagonal is None else outputs * self.diagonal
        scores = ops.matmul(keys, self.query)
        weights = masked_softmax(scores, None if self.released_code else frame_mask)
        pooled = attend(outputs, weights)
        pooled = ops.unstack(pooled, self.query.shape[-1], axis=1)
        return self._with_weights(pooled, weights, attention)


@ENCODERS.register
class MaxPoolBiLSTMAttention(_Encoder):
    """A BiLSTM, its maxima over windows, and an AttentiveBiLSTM on the maxima.

        m_w = max over t in window w of h_t             [B, W, H], W = ceil(T / k)
        x   = AttentiveBiLSTM(m)                        [B, H]

    A window counts if it holds a real frame, and its maximum is that of real frames.
    With `released_code`, the maxima include the padding, and the second BiLSTM and its
    attention run over all windows of max_frames.
    Source: Tang et al. 2017, Table 3, ATT+MaxPool+BiLSTM.

    Input shape: [B, T, D]. Output shape: [B, H].
    """

    reported_by = "tang2017-max-pool-3"

    def __init__(
        self,
        lstm_cells: Annotated[int, "Units of each LSTM layer (H)."] = 1152,
        pool_size: Annotated[int, "Frames in a max-pooling window (k)."] = 3,
        **kwargs,
    ):
        super().__init__(**kwargs)

    def build(self, frames_shape, *_):
        cells = self.lstm_cells
        self.local = make_bilstm(frames_shape, cells, "local", self.dtype_policy)
        self.head = self._make_head(cells, cells)

    @property
    def frames_per_attention(self):
        return self.pool_size

    def call(self, frames, frame_mask, training=False, attention=False):
        pooled, mask = self._pool_windows(frames, frame_mask, training)
        y, weights = self.head(pooled, mask, training=training, return_weights=True)
        return self._with_weights(y, weights, attention)


@ENCODERS.register
class RandomBiLSTMAttention(BiLSTMAttention):
    """BiLSTMAttention on one random frame of each window of five.

    Every training step draws one of the window's real frames, the same for all
    modalities; evaluation takes the middle one. (The authors' graph draws there too.)
    With `released_code`, windows that are not full of real frames are left out (a video
    of less than five frames has none), and the softmax is over all windows of
    max_frames.
    Source: Tang et al. 2017, Table 3, ATT+Random+BiLSTM.

    Input shape: [B, ceil(T / 5), D], the frames that `select` takes.
    Output shape: [B, H].
    """

    reported_by = "tang2017-random-1"
    frames_per_attention = WINDOW

    def __init__(
        self,
        lstm_cells: Annotated[int, "Units of each LSTM layer (H)."] = 1152,
        lstm_layers: Annotated[int, "Number of LSTM layers."] = 1,
        **kwargs,
    ):
        super().__init__(lstm_cells, lstm_layers, **kwargs)
        self.sample = SampleWindows(WINDOW)

    def select(self, frames, frame_mask, training=False):
        frames, frame_mask = super().select(frames, frame_mask, training)
        frames, counts = self.sample(frames, frame_mask, training=training)
        return frames, counts >= (WINDOW if self.released_code else 1)


@ENCODERS.register
class HierarchicalBiLSTMAttention(_Encoder):
    """Three levels of BiLSTMs: on five frames each, on five groups each, on the rest.

        g_i = c forward + c backward after group i of frames          [B, T/5, H]
        s_j = c forward + c backward after group j of the g           [B, T/25, H]
        x   = AttentiveBiLSTM(s)                                      [B, H]

    c is the LSTM's cell state, as in the authors' code. All groups of a level share
    the weights; each of the three levels has its own. The last group of a level may
    have less than five members, and groups without any are padding.
    With `released_code`, padding counts as frames on all levels and in the softmax:
    every video has max_frames frames.
    Source: Tang et al. 2017, Table 3, ATT+Hierarchical+BiLSTM.

    Input shape: [B, T, D]. Output shape: [B, H].
    """

    reported_by = "tang2017-hierarchical"
    frames_per_attention = WINDOW**2

    def __init__(
        self,
        lstm_cells: Annotated[int, "Units of each LSTM layer (H)."] = 1152,
        **kwargs,
    ):
        super().__init__(**kwargs)

    def build(self, frames_shape, *_):
        cells, policy = self.lstm_cells, self.dtype_policy
        shape = (None, WINDOW, cells)
        self.frames = make_bilstm(frames_shape, cells, "frames", policy, states=True)
        self.groups = make_bilstm(shape, cells, "groups", policy, states=True)
        self.head = self._make_head(cells, cells)

    def call(self, frames, frame_mask, training=False, attention=False):
        x = frames
        mask = ops.ones_like(frame_mask) if self.released_code else frame_mask
        for bilstm in (self.frames, self.groups):
            x, mask = self._summarize_groups(bilstm, x, mask, training)
        y, weights = self.head(x, mask, training=training, return_weights=True)
        return self._with_weights(y, weights, attention)

    def _summarize_groups(self, bilstm, x, mask, training):
        """[B, T, D] and mask [B, T] -> c of each group [B, W, H], mask [B, W]."""
        groups, real = split_windows(x, mask, WINDOW)
        # cuDNN refuses sequences without a step, so empty groups get one. Their c is
        # set to 0 below.
        steps = ops.logical_or(real, ops.arange(WINDOW) == 0)
        _, final = bilstm(
            ops.reshape(groups, (-1, WINDOW, x.shape[-1])),
            ops.reshape(steps, (-1, WINDOW)),
            training=training,
        )
        mask = ops.any(real, axis=2)
        shape = (-1, ops.shape(groups)[1], self.lstm_cells)
        return zero_padding(ops.reshape(final.c, shape), mask), mask
