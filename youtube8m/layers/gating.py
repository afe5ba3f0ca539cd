"""Context gating: each value is weighed by a gate that sees all of them.

ContextGating(1024)(h)                        # [B, H] -> [B, H]
ContextGating(3862)(predictions, descriptor)  # gates from another vector
"""

import keras
from keras import ops

from youtube8m.layers.normalization import BatchNorm
from youtube8m.registry import PACKAGE, Configured


@keras.saving.register_keras_serializable(PACKAGE)
class ContextGating(Configured, keras.layers.Layer):
    """Gates in (0, 1) on the values of a vector.

        y = x * sigmoid(BN(s W))                      s = x by default
        y = x * sigmoid(BN(s W - diag(W) * x))        with `remove_diagonal`

    W [S, H] starts from N(0, 1/sqrt(H)). The gates are float32, and y has the dtype of
    x. Without the diagonal, no value decides on its own gate; W must be square then.
    Source: Miech et al. 2017, Context Gating.

    Args:
      units: H.
      slim: of the batch normalisation.

    Input shape: x [B, H]; source [B, S], by default x. Output shape: [B, H].
    """

    def __init__(
        self, units: int, remove_diagonal: bool = False, slim: bool = False, **kwargs
    ):
        super().__init__(**kwargs)
        self.autocast = False  # x may be more precise than the product

    def build(self, x_shape, source_shape=None):
        size = (source_shape or x_shape)[-1]
        self.kernel = self.add_weight(
            shape=(size, self.units),
            initializer=keras.initializers.RandomNormal(stddev=self.units**-0.5),
            name="kernel",
        )
        self.norm = BatchNorm(slim=self.slim, dtype=self.dtype_policy, name="norm")
        self.norm.build((None, self.units))

    def call(self, x, source=None, training=False):
        source = x if source is None else source
        kernel = ops.cast(self.kernel, self.compute_dtype)
        scores = ops.matmul(ops.cast(source, self.compute_dtype), kernel)
        if self.remove_diagonal:
            scores = scores - ops.diagonal(kernel) * ops.cast(x, scores.dtype)
        gates = ops.sigmoid(ops.cast(self.norm(scores, training=training), "float32"))
        return x * ops.cast(gates, x.dtype)
