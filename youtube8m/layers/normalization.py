"""Batch normalisation as TF-slim trains it, with statistics that are right sooner.

y = BatchNorm()(x, mask, training=True)      # [B, T, D], bool [B, T] -> [B, T, D]
"""

from typing import Annotated

import keras
import numpy as np
from keras import ops

from youtube8m.layers.replicas import sum_over_replicas
from youtube8m.registry import PACKAGE, Configured

# The hyper-parameter of the models that have batch normalisation.
SlimBatchNorm = Annotated[
    bool,
    "Batch normalisation's moving statistics keep 0.999 at each step from the first "
    "on, as TF-slim's do; else less in the first 9,000 steps.",
]

UPDATES = "updates"  # the name of the weight that counts them
# Updates after which all keep 0.999. Statistics that come without their count, from
# checkpoints of the starter code or of earlier versions, are taken to have so many.
SETTLED = 10000.0


@keras.saving.register_keras_serializable(PACKAGE)
class BatchNorm(Configured, keras.layers.Layer):
    """Batch normalisation over all axes but the last, equal on 1 and N replicas.

        y = (x - mean) / sqrt(variance + 1e-3) * gamma + beta

    The moments are those of the global batch in training, and moving ones otherwise.
    After n updates of the moving ones, the next keeps this share of them:

        min(momentum, (1 + n) / (10 + n))

    So they forget their start (mean 0, variance 1) within some steps, and follow the
    weights while these still change fast. With `momentum` alone, 86 % of the start
    would be left after 150 steps. (Dividing by 1 - momentum^n, as Adam does, corrects
    the start too, but is the mean over all steps so far.)
    There are two more differences from keras.layers.BatchNormalization. The moving
    variance takes the unbiased estimate n / (n - 1) * variance, as TF's fused kernel
    under slim.batch_norm does. The moments are always those of all replicas.

    Args:
      momentum: share of the old moving statistics that each step keeps, at most.
      slim: whether it is `momentum` from the first step on, as in slim.batch_norm.
      scale: whether there is a gamma; slim.batch_norm has none by default.

    Input shape: x [..., D]; mask bool [...], the vectors that the moments are of, or
    None for all. Output shape: that of x.
    """

    def __init__(
        self,
        momentum: float = 0.999,
        epsilon: float = 1e-3,
        scale: bool = True,
        slim: bool = False,
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
        self.updates = None
        if not self.slim:
            self.updates = self._add_statistic((), "zeros", UPDATES)

    def _add_statistic(self, shape, initializer, name):
        return self.add_weight(
            shape=shape,
            initializer=initializer,
            name=name,
            trainable=False,
            autocast=False,
            aggregation="mean",
        )

    def load_own_variables(self, store):
        """Loads what a .keras file holds; those of earlier versions have no count."""
        values = {str(n): store[str(n)] for n in range(len(store.keys()))}
        if self.updates is not None and len(values) < len(self.weights):
            values[str(len(values))] = np.float32(SETTLED)
        super().load_own_variables(values)

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
        kept = self._kept_share()
        self._update_statistic(self.moving_mean, mean, kept)
        self._update_statistic(self.moving_variance, unbiased, kept)
        return mean, variance

    def _kept_share(self):
        """The share of the moving statistics that this step keeps; counts the step."""
        if self.updates is None:
            return self.momentum
        kept = ops.minimum((1.0 + self.updates) / (10.0 + self.updates), self.momentum)
        self.updates.assign(self.updates + 1.0)
        return kept

    def _update_statistic(self, statistic, value, kept):
        value = ops.cast(value, statistic.dtype)
        statistic.assign(kept * statistic + (1.0 - kept) * value)


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
