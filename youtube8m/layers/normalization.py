"""Batch normalisation as TF-slim trains it."""

import keras
from keras import ops

from youtube8m.registry import PACKAGE, Configured


@keras.saving.register_keras_serializable(PACKAGE)
class BatchNorm(Configured, keras.layers.Layer):
    """Batch normalisation over all axes but the last, alike on 1 and N replicas.

    y = (x - mean) / sqrt(variance + 1e-3) * gamma + beta, with the moments of the
    global batch in training and moving ones otherwise. Differs from
    keras.layers.BatchNormalization in that the moving variance takes the unbiased
    estimate n / (n - 1) * variance, as TF's fused kernel under slim.batch_norm
    does, and that the moments are always those of all replicas.

    Args:
      momentum: share of the old moving statistics kept at each step.

    Input shape: [..., D]. Output shape: that of the input.
    """

    def __init__(self, momentum: float = 0.999, epsilon: float = 1e-3, **kwargs):
        super().__init__(**kwargs)
        self.momentum = momentum
        self.epsilon = epsilon

    def build(self, input_shape):
        shape = input_shape[-1:]
        self.gamma = self.add_weight(shape=shape, initializer="ones", name="gamma")
        self.beta = self.add_weight(shape=shape, initializer="zeros", name="beta")
        self.moving_mean = self._statistic(shape, "zeros", "moving_mean")
        self.moving_variance = self._statistic(shape, "ones", "moving_variance")

    def _statistic(self, shape, initializer, name):
        return self.add_weight(
            shape=shape,
            initializer=initializer,
            name=name,
            trainable=False,
            autocast=False,
            aggregation="mean",
        )

    def call(self, x, training=False):
        if training:
            mean, variance = self._batch_moments(ops.cast(x, "float32"))
        else:
            mean, variance = self.moving_mean, self.moving_variance
        scale = ops.rsqrt(variance + self.epsilon) * ops.cast(self.gamma, "float32")
        shift = ops.cast(self.beta, "float32") - mean * scale
        return x * ops.cast(scale, x.dtype) + ops.cast(shift, x.dtype)

    def _batch_moments(self, x):
        axes = tuple(range(len(x.shape) - 1))
        mean, variance = ops.moments(x, axes, synchronized=True)
        count = ops.cast(ops.size(x) / x.shape[-1] * _replicas(), "float32")
        unbiased = variance * count / ops.maximum(count - 1.0, 1.0)
        self._move(self.moving_mean, mean)
        self._move(self.moving_variance, unbiased)
        return mean, variance

    def _move(self, statistic, value):
        value = ops.cast(value, statistic.dtype)
        statistic.assign(self.momentum * statistic + (1.0 - self.momentum) * value)


def _replicas() -> int:
    """Over how many replicas `ops.moments(synchronized=True)` averages."""
    if keras.backend.backend() != "tensorflow":
        return 1
    import tensorflow as tf  # the one backend that trains on several replicas

    return tf.distribute.get_strategy().num_replicas_in_sync
