"""Context gates that are normalised behind their sigmoid, and swap pooling."""

import keras
from keras import ops

from youtube8m.layers.normalization import BatchNorm
from youtube8m.registry import PACKAGE, Configured

MOMENTUM = 0.99  # share of the moving statistics that a step keeps


def make_dense(layer: keras.layers.Layer, size: int, units: int, name: str, **kwargs):
    """A built layer, with a bias, for inputs [..., size]."""
    dense = keras.layers.Dense(units, dtype=layer.dtype_policy, name=name, **kwargs)
    dense.build((None, size))
    return dense


def make_norm(layer: keras.layers.Layer, size: int, name: str) -> BatchNorm:
    """Built batch normalisation with the momentum of the source."""
    norm = BatchNorm(momentum=MOMENTUM, dtype=layer.dtype_policy, name=name)
    norm.build((None, size))
    return norm


def swap_pool(x, frame_mask):
    """Self-weighted mean: sum_t x_t |x_t| / sum_t |x_t| for each value, 0 where none.

    Source: frame_swap in the released code.

    Args:
      x: [B, T, H].
      frame_mask: bool [B, T].

    Returns:
      [B, H].
    """
    x = ops.where(frame_mask[..., None], ops.cast(x, "float32"), 0.0)
    total = ops.sum(ops.abs(x), axis=1)
    is_zero = total == 0.0
    pooled = ops.sum(x * ops.abs(x), axis=1) / ops.where(is_zero, 1.0, total)
    return ops.where(is_zero, 0.0, pooled)


@keras.saving.register_keras_serializable(PACKAGE)
class NormedGate(Configured, keras.layers.Layer):
    """Gates on each vector's values, normalised behind their sigmoid.

        y = x * BN(sigmoid(u Wg + bg))            Wg [H, H], or [b, H]
        u = BN(relu6(x Wb + bb)), Wb [H, b]       with a bottleneck; else u = x

    Miech et al. 2017 normalise before the sigmoid. So these gates are not bounded by 0
    and 1.

    Args:
      bottleneck: b; below 2, there is none.

    Input shape: x [..., H]; counted bool [...], the vectors of which batch
    normalisation has its statistics, or None for all. Output shape: [..., H].
    """

    def __init__(self, bottleneck: int = 0, **kwargs):
        super().__init__(**kwargs)

    def build(self, x_shape, *_):
        size = fewer = x_shape[-1]
        self.squeeze = None
        if self.bottleneck >= 2:
            fewer = self.bottleneck
            self.squeeze = make_dense(self, size, fewer, "squeeze", activation="relu6")
            self.squeeze_norm = make_norm(self, fewer, "squeeze_norm")
        self.gates = make_dense(self, fewer, size, "gates", activation="sigmoid")
        self.gates_norm = make_norm(self, size, "gates_norm")

    def call(self, x, counted=None, training=False):
        mask = () if counted is None else (counted,)  # Keras fills in one that is None
        u = x
        if self.squeeze is not None:
            u = self.squeeze_norm(self.squeeze(x), *mask, training=training)
        return x * self.gates_norm(self.gates(u), *mask, training=training)
