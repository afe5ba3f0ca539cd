"""Batch normalisation as TF-slim trains it."""

import keras
from keras import ops

from youtube8m.layers.replicas import sum_over_replicas
from youtube8m.registry import PACKAGE, Configured


@keras.saving.register_keras_serializable(PACKAGE)
class BatchNorm(Configured, keras.layers.Layer):
    """Batch normalisation over all axes but the last, equal on 1 and N replicas.

        y = (x - mean) / sqrt(variance + 1e-3) * gamma + beta

    The moments are those of the global batch in training, and moving ones otherwise.
    There are two differences from keras.layers.BatchNormalization. The moving variance
    takes the unbiased estimate n / (n - 1) * variance, as TF's fused kernel under
    slim.batch_norm does. The moments are always those of all replicas.

    Args:
      momentum: share of the old moving statistics that each step keeps.
      scale: whether there is a gamma; slim.batch_norm has none by default.

    Input shape: x [..., D]; mask bool [...], the vectors that the moments are of, or
    None for all. Output shape: that of x.
    """

    def __init__(
        self,
        momentum: float = 0.999,
        epsilon: float = 1e-3,
        scale: bool = True,
        **kwargs,
    ):
        super().__init__(**kwargs)

    def build(self, input_shape):
        shape = input_shape[-1:]
        self.gamma = None
        if self.scale:
            self.gamma = self.add_weight(shape=shape, initializer="ones", name="gamma")
        self.beta = self.add_weight(shape=shape, initializer="zeros", name="beta")
        self.moving_mean = self._add_statistic(shape, "zeros", "moving_mean")
        self.moving_variance = self._add_statistic(shape, "ones", "moving_variance")

    def _add_statistic(self, shape, initializer, name):
        return self.add_weight(
            shape=shape,
            initializer=initializer,
            name=name,
            trainable=False,
            autocast=False,
            aggregation="mean",
        )

    def call(self, x, mask=None, training=False):
        if training:
            mean, variance = self._compute_moments(ops.cast(x, "float32"), mask)
        else:
            mean, variance = self.moving_mean, self.moving_variance
        scale = ops.rsqrt(variance + self.epsilon)
        if self.gamma is not None:
            scale = scale * ops.cast(self.gamma, "float32")
        shift = ops.cast(self.beta, "float32") - mean * scale
        return _scale_and_shift(x, scale, shift)

    def _compute_moments(self, x, mask):
        if mask is None:
            count = ops.cast(ops.size(x) / x.shape[-1], "float32")
        else:
            count = ops.sum(ops.cast(mask, "float32"))
            x = ops.where(mask[..., None], x, 0.0)
        sums = [count[None], _sum_columns(x), _sum_columns(ops.square(x))]
        # As one tensor, since replicas may start several sums in different orders.
        sums = sum_over_replicas(ops.concatenate(sums))
        count, moments = sums[0], sums[1:] / ops.maximum(sums[0], 1.0)
        mean, square = ops.split(moments, 2)
        variance = ops.maximum(square - ops.square(mean), 0.0)
        unbiased = variance * count / ops.maximum(count - 1.0, 1.0)
        self._update_statistic(self.moving_mean, mean)
        self._update_statistic(self.moving_variance, unbiased)
        return mean, variance

    def _update_statistic(self, statistic, value):
        value = ops.cast(value, statistic.dtype)
        statistic.assign(self.momentum * statistic + (1.0 - self.momentum) * value)


def _sum_columns(x):
    """x [..., D] summed over all axes but the last: [D].

    One axis at a time, so that the summed values are close together in memory, which is
    faster on a CPU.
    """
    while len(x.shape) > 1:
        x = ops.sum(x, axis=-2)
    return x


@ops.custom_gradient
def _scale_and_shift(x, scale, shift):
    """x * scale + shift for x [..., D] and float32 [D], with gradients by column sums.

    Automatic differentiation sums over all axes at once, which would take a third of
    the layer's time.
    """

    def gradient(*args, upstream=None):
        dy = args[0] if upstream is None else upstream
        dy32 = ops.cast(dy, "float32")
        dscale = _sum_columns(dy32 * ops.cast(x, "float32"))
        return dy * ops.cast(scale, dy.dtype), dscale, _sum_columns(dy32)

    return x * ops.cast(scale, x.dtype) + ops.cast(shift, x.dtype), gradient
