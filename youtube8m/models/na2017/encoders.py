"""The video encoders of Na et al. 2017.

Na, Yu, Lee, Kim, Kim: Encoding Video and Label Priors for Multi-label Video
Classification on YouTube-8M dataset, arxiv.org/abs/1706.07960.

Shapes: frames I [B, T, D], of which the first n of each video are real; H LSTM units.
"""

import math
from typing import Annotated

import keras
import numpy as np
from keras import ops

from youtube8m.layers.byte_frames import FrameSums
from youtube8m.layers.inputs import zero_padding
from youtube8m.layers.pooling import attend, masked_max, masked_softmax
from youtube8m.layers.recurrent import Stack, choose_lstm
from youtube8m.models.base import ENCODERS, FrameEncoder, ReproducedEncoder
from youtube8m.models.starter.regularization import weight_decay
from youtube8m.registry import require_choice, require_share


def _sum_frames(x):
    """sum over t of x [B, T, H], zero at the padding: float32 [B, H]."""
    return ops.sum(ops.cast(x, "float32"), axis=1)


def _l2_normalize(x, epsilon: float = 1e-12):
    """x [B, H] divided by its L2 norm, as tf.nn.l2_normalize."""
    squared = ops.sum(ops.square(x), axis=-1, keepdims=True)
    return x * ops.rsqrt(ops.maximum(squared, epsilon))


class _FixedLengthEncoder(ReproducedEncoder):
    """An encoder whose released code counts the padding as frames."""

    def _mark_frames(self, frame_mask):
        """The frames that count: bool [B, T]."""
        return ops.ones_like(frame_mask) if self.released_code else frame_mask

    def _count_frames(self, frame_mask):
        """How many frames count, at least 1: float32 [B, 1]."""
        frames = ops.cast(self._mark_frames(frame_mask), "float32")
        return ops.maximum(ops.sum(frames, axis=1, keepdims=True), 1.0)


@ENCODERS.register
class LSTMMemory(ReproducedEncoder):
    """The last state of an LSTM, with sums over the whole video (LSTM-M-O).

        O = sum_t g_t / |sum_t g_t|           g_t the candidates of the top layer [B, H]
        M = sum_t I_t / |sum_t I_t|                                               [B, D]
        x = [O, c_1, h_1, c_2, h_2 ..., M]    c_l, h_l of layer l after frame n

    g_t = tanh(x_t W + h_{t-1} U + b) is what the gates add to the state. The paper
    writes it in O, and calls O the output; its code sums the outputs h_t.
    The paper does not mention the norms. They and the order are those of the released
    code. The paper counts the states of one layer; the released LSTM and LSTM-M have
    two by default. The paper's "dropout rate 0.8" is the share that its code keeps.
    With `released_code`, O sums h_t; with `layer_norm` too, there is no O.
    Source: Table 1, LSTM, LSTM-M, LSTM-M-O and LSTM-M-O-LN.

    Input shape: [B, T, D]. Output shape: [B, H + 2 H lstm_layers + D] with "m-o".
    """

    reported_by = "na2017-lstm-m-o"
    earlier_defaults = {"lstm_sum": "outputs"}

    def __init__(
        self,
        lstm_cells: Annotated[int, "Units of each LSTM layer (H)."] = 1152,
        lstm_layers: Annotated[int, "Number of LSTM layers."] = 1,
        lstm_memory: Annotated[
            str,
            "Sums that join the last state: none, m (frames) or m-o (frames and "
            "outputs).",
        ] = "m-o",
        layer_norm: Annotated[bool, "Use layer-normalised LSTM cells."] = False,
        dropout_rate: Annotated[
            float,
            "Share of the LSTM candidates that dropout zeroes in training, with "
            "layer_norm only.",
        ] = 0.2,
        lstm_sum: Annotated[
            str,
            "What O sums: candidates (the paper) or outputs (the code, and always "
            "with released_code).",
        ] = "candidates",
        **kwargs,
    ):
        super().__init__(**kwargs)
        require_choice("lstm_memory", lstm_memory, "none", "m", "m-o")
        require_choice("lstm_sum", lstm_sum, "candidates", "outputs")
        require_share("dropout_rate", dropout_rate, excluded=1.0)

    def build(self, frames_shape, *_):
        released = self.released_code
        self._has_o = self.lstm_memory == "m-o" and not (released and self.layer_norm)
        of_candidates = self.lstm_sum == "candidates" and not released
        self.stack = Stack(
            (self.lstm_cells,) * self.lstm_layers,
            choose_lstm(self.layer_norm),
            states=True,
            dropout=self.dropout_rate,
            candidates=self._has_o and of_candidates,
            dtype=self.dtype_policy,
            name="stack",
        )
        self.stack.build(frames_shape)

    def call(self, frames, frame_mask, training=False):
        outputs, final = self.stack(frames, frame_mask, training=training)
        parts = [final.states]
        if self.lstm_memory != "none":
            parts.append(_l2_normalize(_sum_frames(frames)))
        if self._has_o:
            summed = outputs if final.candidates is None else final.candidates
            parts.insert(0, _l2_normalize(_sum_frames(summed)))
        dtype = self.compute_dtype
        return ops.concatenate([ops.cast(part, dtype) for part in parts], axis=-1)


@ENCODERS.register
class TemporalCNN(_FixedLengthEncoder):
    """Filters over neighbouring frames, and the largest output of each filter.

        a_t = relu(sum_k I_{t+k} W_k + b)     k < kernel_height; W [k, D, N], b [N]
        x   = max_t a_t                       over windows inside the video

    A video shorter than the window has one window, filled up with zeros.
    With `released_code`, windows of padding count too, and x is divided by its L2 norm.
    Source: Table 1, CNN.

    Input shape: [B, T, D]. Output shape: [B, N].
    """

    reported_by = "na2017-cnn-64"

    def __init__(
        self,
        num_channels: Annotated[int, "Number of filters (N)."] = 64,
        kernel_height: Annotated[int, "Frames that a filter covers (k)."] = 5,
        **kwargs,
    ):
        super().__init__(**kwargs)

    def build(self, frames_shape, *_):
        # Glorot's fans as the authors' 2-D kernel [k, D, 1, N] has them.
        fan_in = self.kernel_height * frames_shape[-1]
        limit = math.sqrt(6.0 / (fan_in + fan_in * self.num_channels))
        self.conv = keras.layers.Conv1D(
            self.num_channels,
            self.kernel_height,
            data_format="channels_last",  # whatever Keras' default is
            activation="relu",
            kernel_initializer=keras.initializers.RandomUniform(-limit, limit),
            dtype=self.dtype_policy,
            name="conv",
        )
        self.conv.build((None, None, frames_shape[-1]))

    def call(self, frames, frame_mask, training=False):
        starts = ops.arange(ops.shape(frames)[1], dtype="float32")
        last = ops.maximum(self._count_frames(frame_mask) - self.kernel_height, 0.0)
        # A window starts at each frame; those that end after the video are left out.
        frames = ops.pad(frames, [[0, 0], [0, self.kernel_height - 1], [0, 0]])
        pooled = masked_max(self.conv(frames), starts <= last)
        if not self.released_code:
            return pooled
        return ops.cast(_l2_normalize(ops.cast(pooled, "float32")), pooled.dtype)


@ENCODERS.register
class PositionEncoding(_FixedLengthEncoder):
    """The sum of the frames, weighted by the positions of frame and feature.

        x_j  = sum_t L_tj I_tj                          t = 1 .. n, j = 1 .. D
        L_tj = (1 - t / n) - (j / D) (1 - 2 t / n)      Sukhbaatar et al. 2015

    With `released_code`, x is divided by its L2 norm. That code is written for Python 2
    and divides integers, so all its weights are 1. Without `integer_division` it
    divides as in Python 3, counts t and j from 0, and n is `max_frames`.
    Source: Table 1, Position Encoding.

    Input shape: [B, T, D]. Output shape: [B, D].
    """

    reported_by = "na2017-position-encoding"
    takes_bytes = True

    def __init__(
        self,
        integer_division: Annotated[
            bool, "With released_code, divide integers as Python 2 does."
        ] = True,
        **kwargs,
    ):
        super().__init__(**kwargs)

    def call(self, frames, frame_mask, training=False):
        if self.released_code and self.integer_division:
            pooled = FrameSums(frames, frame_mask).sum()
        else:
            pooled = self._weighted_sum(frames, frame_mask)
        if self.released_code:
            pooled = _l2_normalize(pooled, epsilon=1e-6)
        return ops.cast(pooled, self.compute_dtype)

    def _weighted_sum(self, frames, frame_mask):
        first = 0.0 if self.released_code else 1.0
        _, steps, size = ops.shape(frames)
        n = self._count_frames(frame_mask)
        t = (ops.arange(steps, dtype="float32") + first) / n
        j = (ops.arange(size, dtype="float32") + first) / size
        # L is a difference of two products, so this needs no weights [B, T, D].
        weights = ops.stack([1.0 - t, 1.0 - 2.0 * t], axis=-1)
        sums = FrameSums(frames, frame_mask).weighted(weights)
        return sums[:, 0] - j * sums[:, 1]


@ENCODERS.register
class IndirectClustering(ReproducedEncoder):
    """The sum of the frames, each weighted by its similarity to the others.

        s_t = alpha sum_i f(I_t) . f(I_i) = alpha f(I_t) . sum_i f(I_i)
        x   = post(sum_t p_t I_t)              p = softmax of s over the n frames
        f(I) = I, or relu(I W + b)             W [D, D], b [D]

    f and alpha are the released code's; the paper has f(I) = I and no alpha. W has an
    L2 penalty of 1e-8.
    With `released_code`, the softmax is over an axis of length 1, so every p_t is 1, f
    and alpha have no effect, and post is "layer_norm_relu". The projection still has
    weights, but no gradient reaches them.
    Source: Table 1, Indirect Clustering.

    Input shape: [B, T, D]. Output shape: [B, D].
    """

    reported_by = "na2017-indirect-clustering"

    def __init__(
        self,
        clustering_projection: Annotated[
            bool, "Compare frames after a fully connected layer."
        ] = False,
        clustering_alpha: Annotated[float, "Factor of the scores (alpha)."] = 1.0,
        clustering_post: Annotated[
            str, "Last step on the weighted sum: none, layer_norm_relu or l2."
        ] = "none",
        **kwargs,
    ):
        super().__init__(**kwargs)
        require_choice(
            "clustering_post", clustering_post, "none", "layer_norm_relu", "l2"
        )

    @property
    def takes_bytes(self):
        return self.released_code or not self.clustering_projection

    def build(self, frames_shape, *_):
        size = frames_shape[-1]
        if self.clustering_projection:
            self.projection = keras.layers.Dense(
                size,
                activation="relu",
                kernel_regularizer=weight_decay(),
                dtype=self.dtype_policy,
                name="projection",
            )
            self.projection.build(frames_shape)
        if self.released_code or self.clustering_post == "layer_norm_relu":
            # float32, since its input is a sum of many frames.
            norm = keras.layers.LayerNormalization
            self.norm = self.sublayer(
                norm, size, "norm", epsilon=1e-12, dtype="float32"
            )

    def call(self, frames, frame_mask, training=False):
        if self.released_code:
            pooled = FrameSums(frames, frame_mask).sum()
        elif self.clustering_projection:
            pooled = self._attend_projected(frames, frame_mask)
        else:
            pooled = self._attend_frames(FrameSums(frames, frame_mask), frame_mask)
        return ops.cast(self._postprocess(pooled), self.compute_dtype)

    def _attend_frames(self, frames, frame_mask):
        scores = self.clustering_alpha * frames.products(frames.sum())
        return frames.weighted(masked_softmax(scores, frame_mask)[..., None])[:, 0]

    def _attend_projected(self, frames, frame_mask):
        projected = self.projection(frames)
        # float32, since the scores of n frames are of order n, and go to a softmax.
        projected = ops.cast(zero_padding(projected, frame_mask), "float32")
        scores = ops.matmul(projected, _sum_frames(projected)[..., None])
        weights = masked_softmax(self.clustering_alpha * scores, frame_mask)
        return ops.cast(ops.squeeze(attend(frames, weights), axis=1), "float32")

    def _postprocess(self, pooled):
        if self.released_code or self.clustering_post == "layer_norm_relu":
            return ops.relu(self.norm(pooled))
        return _l2_normalize(pooled) if self.clustering_post == "l2" else pooled


@ENCODERS.register
class AdaptiveNoise(FrameEncoder):
    """The sum of the frames, with more noise in training the rarer the labels are.

        x = v / |v|,  v = sum_t (I_t + gamma Z_t)     Z_t ~ N(0, 1)^D, in training only
        gamma = mean over the video's labels y of 1 / S(y)

    S(y) is the number of training videos with label y. A video without labels gets no
    noise. No code was released; the L2 norm is taken from PositionEncoding's code.
    Source: Table 1, Adaptive Noise.

    Args:
      class_counts: S of each class.
      seed: of the noise.

    Input shape: [B, T, D]; labels, ids [B, L] padded with -1, or None.
    Output shape: [B, D].
    """

    uses_labels = True
    takes_bytes = True
    reported_by = "na2017-adaptive-noise"

    def __init__(self, class_counts: tuple[int, ...], seed=None, **kwargs):
        super().__init__(**kwargs)
        self.class_counts = tuple(class_counts)
        self.seed_generator = keras.random.SeedGenerator(seed)
        self._rarity = (1.0 / np.maximum(self.class_counts, 1)).astype("float32")

    def call(self, frames, frame_mask, training=False, labels=None):
        pooled = FrameSums(frames, frame_mask).sum()
        if training and labels is not None:
            # The sum of n samples of N(0, 1) is a sample of N(0, n).
            length = _sum_frames(frame_mask[..., None])
            noise = keras.random.normal(ops.shape(pooled), seed=self.seed_generator)
            pooled = pooled + self.noise_scale(labels) * ops.sqrt(length) * noise
        return ops.cast(_l2_normalize(pooled), self.compute_dtype)

    def noise_scale(self, labels):
        """gamma: ids [B, L] -> float32 [B, 1]."""
        known = ops.cast(labels >= 0, "float32")
        rarity = known * ops.take(self._rarity, ops.maximum(labels, 0))
        count = ops.sum(known, axis=1, keepdims=True)
        return ops.sum(rarity, axis=1, keepdims=True) / ops.maximum(count, 1.0)


@ENCODERS.register
class ManyToManyLSTM(_FixedLengthEncoder):
    """An LSTM whose outputs are each classified; predictions are their means.

        p = sum_t sigmoid(h_t W + b) / n          h_t [B, H], W [H, C], b [C]

    With `released_code`, the mean is over all T time steps; padding has h_t = 0.
    Source: Table 2, Many-to-Many.

    Input shape: [B, T, D]. Output shape: [B, T, H], and which time steps count, [B, T].
    """

    classifiers = ("LogisticModel",)
    classifies_frames = True
    reported_by = "na2017-many-to-many"

    def __init__(
        self,
        lstm_cells: Annotated[int, "Units of each LSTM layer (H)."] = 1152,
        **kwargs,
    ):
        super().__init__(**kwargs)

    def build(self, frames_shape, *_):
        self.stack = Stack((self.lstm_cells,), dtype=self.dtype_policy, name="stack")
        self.stack.build(frames_shape)

    def call(self, frames, frame_mask, training=False):
        outputs, _ = self.stack(frames, frame_mask, training=training)
        return {"descriptor": outputs, "frame_mask": self._mark_frames(frame_mask)}
