"""A layer of a transformer that is normalised after each of its two halves."""

import keras
from keras import ops

from youtube8m.registry import PACKAGE, Configured

SPREAD = 0.02  # of the normal distribution that all matrices start from


def initializer() -> keras.initializers.Initializer:
    """Where all matrices start: normal, cut at two deviations."""
    return keras.initializers.TruncatedNormal(stddev=SPREAD)


@keras.saving.register_keras_serializable(PACKAGE)
class PostNormLayer(Configured, keras.layers.Layer):
    """Attention among the frames, and a hidden layer on each of them.

        y = LN(x + dropout(attention(x, x)))                 A heads of D / A values
        z = LN(y + dropout(gelu(y W1 + b1) W2 + b2))         W1 [D, U], W2 [U, D]

    Dropout is also on the weights of the attention. LN has epsilon 1e-12.
    Source: Devlin et al. 2018.

    Args:
      heads: A, which divides D.
      units: U.
      dropout_rate: the share that dropout zeroes in training.

    Input shape: x [B, T, D], mask bool [B, T] of the frames that are looked at, or
    None for all. Output shape: [B, T, D].
    """

    def __init__(self, heads: int, units: int, dropout_rate: float = 0.0, **kwargs):
        super().__init__(**kwargs)

    def build(self, x_shape, *_):
        size, policy = x_shape[-1], self.dtype_policy
        if size % self.heads:
            raise ValueError(
                f"--bert_attention_heads={self.heads}: must divide the {size} values "
                "of a frame"
            )
        shape = (None, None, size)
        self.attention = keras.layers.MultiHeadAttention(
            self.heads,
            size // self.heads,
            dropout=self.dropout_rate,
            kernel_initializer=initializer(),
            dtype=policy,
            name="attention",
        )
        self.attention.build(shape, shape)
        self.hidden = self._make_dense(size, self.units, "hidden")
        self.output_layer = self._make_dense(self.units, size, "output")
        self.norms = []
        for number in range(2):
            norm = keras.layers.LayerNormalization(
                epsilon=1e-12, dtype=policy, name=f"norm_{number}"
            )
            norm.build(shape)
            self.norms.append(norm)
        self.dropout = keras.layers.Dropout(self.dropout_rate, dtype=policy)

    def _make_dense(self, size, units, name):
        dense = keras.layers.Dense(
            units, kernel_initializer=initializer(), dtype=self.dtype_policy, name=name
        )
        dense.build((None, None, size))
        return dense

    def call(self, x, frame_mask=None, training=False):
        seen = None if frame_mask is None else frame_mask[:, None, :]
        found = self.attention(x, x, attention_mask=seen, training=training)
        y = self.norms[0](x + self.dropout(found, training=training))
        hidden = ops.gelu(self.hidden(y), approximate=False)
        found = self.dropout(self.output_layer(hidden), training=training)
        return self.norms[1](y + found)


def sinusoids(steps: int, size: int):
    """Codes of positions: float32 [T, D], sines in the even columns, else cosines.

    Position t has sin(t / 10000^(j / D)) and the cosine of the same, j = 0, 2, 4 ..
    Source: Vaswani et al. 2017, section 3.5.
    """
    column = ops.arange(size, dtype="float32")
    even = column - column % 2.0
    angle = ops.arange(steps, dtype="float32")[:, None] * 10000.0 ** (-even / size)
    return ops.where(column % 2.0 == 0.0, ops.sin(angle), ops.cos(angle))
