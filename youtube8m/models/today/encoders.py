"""Two encoders of frames as one would build them today.

FrameTransformer lets frames look at each other; FrameMlp looks at each frame alone, for
a classifier that weighs the frames' predictions (AttentiveLogisticModel).
"""

from typing import Annotated

import keras
import numpy as np
from keras import ops

from youtube8m.layers.normalization import BatchNorm
from youtube8m.layers.pooling import AttentionPooling
from youtube8m.models.base import ENCODERS, FrameEncoder
from youtube8m.registry import PACKAGE, Configured, require_share

DropRate = Annotated[float, "Share of the hidden values that dropout zeroes."]


def positions(steps: int, size: int, longest: float = 10000.0):
    """Sines and cosines of t at falling frequencies: float32 [T, H].

    Source: Vaswani et al. 2017, section 3.5.
    """
    count = (size + 1) // 2
    rates = longest ** -(np.arange(count, dtype=np.float32) / count)
    angles = ops.arange(steps, dtype="float32")[:, None] * rates
    return ops.concatenate([ops.sin(angles), ops.cos(angles)], axis=-1)[:, :size]


@keras.saving.register_keras_serializable(PACKAGE)
class TransformerBlock(Configured, keras.layers.Layer):
    """Attention over the real frames, then an MLP on each, with norms before both.

        x = x + drop(MHA(LN(x)))
        x = x + drop(gelu(LN(x) W1 + b1) W2 + b2)        W1 [H, 4 H], W2 [4 H, H]

    drop zeroes single values, and with `drop_path` all of an example (stochastic
    depth). Keras' attention is its flash attention where the backend has it.
    Source: Xiong et al. 2020 (pre-norm); Huang et al. 2016 (stochastic depth).

    Input shape: x [B, T, H], mask bool [B, T]. Output shape: [B, T, H].
    """

    def __init__(self, heads: int, drop_rate: float, drop_path: float, **kwargs):
        super().__init__(**kwargs)

    def build(self, x_shape, *_):
        layers, size = keras.layers, x_shape[-1]
        shape, options = (None, None, size), {"dtype": self.dtype_policy}
        self.attention_norm = layers.LayerNormalization(
            name="attention_norm", **options
        )
        self.attention = layers.MultiHeadAttention(
            self.heads, max(size // self.heads, 1), name="attention", **options
        )
        self.mlp_norm = layers.LayerNormalization(name="mlp_norm", **options)
        self.expand = layers.Dense(
            4 * size, activation="gelu", name="expand", **options
        )
        self.shrink = layers.Dense(size, name="shrink", **options)
        for layer in (self.attention_norm, self.mlp_norm, self.expand):
            layer.build(shape)
        self.attention.build(shape, shape)
        self.shrink.build((None, None, 4 * size))
        self.dropout = layers.Dropout(self.drop_rate, **options)
        self.skip = layers.Dropout(self.drop_path, (None, 1, 1), **options)

    def call(self, x, frame_mask, training=False):
        seen = frame_mask[:, None]  # each frame sees the real ones: [B, 1, T]
        normal = self.attention_norm(x)
        update = self.attention(normal, normal, attention_mask=seen, training=training)
        x = x + self._drop(update, training)
        update = self.shrink(self.expand(self.mlp_norm(x)))
        return x + self._drop(update, training)

    def _drop(self, x, training):
        return self.skip(self.dropout(x, training=training), training=training)


@ENCODERS.register
class FrameTransformer(FrameEncoder):
    """A pre-norm transformer over the real frames, pooled by attention.

        x_t = BN(f_t) W + b + the sines and cosines of t          [B, T, H]
        x   = blocks of attention and MLP (TransformerBlock)
        y   = sum_t a_t LN(x_t)         a = softmax over t of tanh(LN(x_t)) q

    Blocks are dropped with shares that rise from 0 to `stochastic_depth`.

    Input shape: [B, T, D]. Output shape: [B, H].
    """

    def __init__(
        self,
        transformer_size: Annotated[int, "Units of each frame (H)."] = 512,
        transformer_layers: Annotated[int, "Number of blocks."] = 4,
        attention_heads: Annotated[int, "Heads of each attention."] = 8,
        drop_rate: DropRate = 0.1,
        stochastic_depth: Annotated[
            float, "Share of examples that skip the last block in training."
        ] = 0.1,
        **kwargs,
    ):
        super().__init__(**kwargs)
        require_share("drop_rate", drop_rate, excluded=1.0)
        require_share("stochastic_depth", stochastic_depth, excluded=1.0)

    def build(self, frames_shape, *_):
        size, units = frames_shape[-1], self.transformer_size
        self.input_norm = self.sublayer(BatchNorm, size, "input_norm")
        dense = keras.layers.Dense
        self.project = self.sublayer(dense, size, "project", units=units)
        self.blocks = []
        for number in range(self.transformer_layers):
            share = number / max(self.transformer_layers - 1, 1)
            block = TransformerBlock(
                self.attention_heads,
                self.drop_rate,
                share * self.stochastic_depth,
                dtype=self.dtype_policy,
                name=f"block_{number}",
            )
            block.build((None, None, units))
            self.blocks.append(block)
        norm = keras.layers.LayerNormalization
        self.norm = self.sublayer(norm, units, "norm")
        self.pool = AttentionPooling(dtype=self.dtype_policy, name="pool")
        self.pool.build((None, None, units))

    def call(self, frames, frame_mask, training=False):
        x = self.project(self.input_norm(frames, frame_mask, training=training))
        x = x + ops.cast(positions(ops.shape(x)[1], self.transformer_size), x.dtype)
        for block in self.blocks:
            x = block(x, frame_mask, training=training)
        return self.pool(self.norm(x), frame_mask)


@ENCODERS.register
class FrameMlp(FrameEncoder):
    """The same layers on each frame: h = dropout(relu(BN(h W))), from h = BN(f).

    Each frame is classified. AttentiveLogisticModel weighs the frames' predictions; of
    other classifiers, they are averaged.

    Input shape: [B, T, D]. Output shape: [B, T, H], and the mask of the frames [B, T].
    """

    classifies_frames = True

    def __init__(
        self,
        frame_mlp_size: Annotated[int, "Units of each layer (H)."] = 1024,
        frame_mlp_layers: Annotated[int, "Number of layers on each frame."] = 3,
        drop_rate: DropRate = 0.5,
        **kwargs,
    ):
        super().__init__(**kwargs)
        require_share("drop_rate", drop_rate, excluded=1.0)

    def build(self, frames_shape, *_):
        size, units = frames_shape[-1], self.frame_mlp_size
        self.input_norm = self.sublayer(BatchNorm, size, "input_norm")
        self.layers, self.norms = [], []
        for number in range(self.frame_mlp_layers):
            layer = self.sublayer(
                keras.layers.Dense,
                size,
                f"layer_{number}",
                units=units,
                use_bias=False,
                kernel_initializer="he_normal",
            )
            self.layers.append(layer)
            self.norms.append(self.sublayer(BatchNorm, units, f"norm_{number}"))
            size = units
        self.dropout = keras.layers.Dropout(self.drop_rate, dtype=self.dtype_policy)

    def call(self, frames, frame_mask, training=False):
        h = self.input_norm(frames, frame_mask, training=training)
        for layer, norm in zip(self.layers, self.norms, strict=True):
            h = ops.relu(norm(layer(h), frame_mask, training=training))
            h = self.dropout(h, training=training)
        return {"descriptor": h, "frame_mask": frame_mask}
