"""From one vector per frame to one per video, over the real frames only.

masked_mean(x, mask)                          # [B, T, H], [B, T] -> [B, H]
AttentionPooling()(x, mask)                   # [B, T, H], [B, T] -> [B, H]
AttentionPooling(queries=25)(x, mask)         # -> [B, 25, H]
"""

import keras
from keras import ops

from youtube8m.registry import PACKAGE, Configured

# Below all values that are compared. Not -inf, whose gradient where a video has no real
# frame would be NaN.
LOWEST = -3e4


def masked_sum(x, mask):
    """sum over t of x [B, T, H] where mask [B, T]: [B, H]."""
    return ops.sum(ops.where(mask[..., None], x, ops.zeros_like(x)), axis=1)


def masked_mean(x, mask):
    """Mean over t of x [B, T, H] where mask [B, T], which has one True: [B, H]."""
    count = ops.sum(ops.cast(mask, "float32"), axis=1, keepdims=True)
    return masked_sum(x, mask) / ops.cast(ops.maximum(count, 1.0), x.dtype)


def masked_max(x, mask):
    """Maximum over t of x [B, T, H] where mask [B, T], which has one True: [B, H]."""
    lowest = ops.full_like(x, LOWEST)
    return ops.max(ops.where(mask[..., None], x, lowest), axis=1)


def masked_softmax(scores, mask=None, axis=1):
    """Softmax over an axis, t by default, in float32, 0 where not mask.

    Args:
      scores: [B, T] or [B, T, Q].
      mask: bool [B, T], or of the rank of `scores`; None: all scores count.
    """
    scores = ops.cast(scores, "float32")
    if mask is not None:
        if len(mask.shape) < len(scores.shape):
            mask = mask[..., None]
        scores = ops.where(mask, scores, -1e30)
    # Not ops.softmax, which warns where a short video has a single frame.
    highest = ops.stop_gradient(ops.max(scores, axis=axis, keepdims=True))
    weights = ops.exp(scores - highest)
    if mask is not None:
        weights = ops.where(mask, weights, 0.0)
    total = ops.sum(weights, axis=axis, keepdims=True)
    return weights / ops.maximum(total, 1e-30)


def attend(x, weights):
    """sum over t of weights [B, T, Q] times x [B, T, H]: [B, Q, H]."""
    return ops.matmul(ops.transpose(ops.cast(weights, x.dtype), (0, 2, 1)), x)


@keras.saving.register_keras_serializable(PACKAGE)
class AttentionPooling(Configured, keras.layers.Layer):
    """Weighted means of the frames, with weights from learned queries.

        u_t = tanh(x_t)                    or tanh(x_t Wu + bu), with `units`
        e_t = u_t Wq                       Wq [H or units, Q]
        a   = softmax of e over the frames of the mask
        r_q = sum_t a[t, q] x_t

    Source: Yang et al. 2016, as used by Tang et al. 2017 and Zhao 2019.

    Args:
      queries: Q. With one query, the output has no axis for it.
      units: size of a hidden layer before the queries; 0: none.
      initializer: of Wq and Wu.

    Input shape: x [B, T, H], mask bool [B, T] or None for all frames.
    Output shape: [B, H], or [B, Q, H] with several queries; with `return_weights` also
      a, float32 [B, T, Q].
    """

    def __init__(
        self,
        queries: int = 1,
        units: int = 0,
        initializer: str = "glorot_uniform",
        **kwargs,
    ):
        super().__init__(**kwargs)

    def build(self, x_shape, *_):
        size = x_shape[-1]
        self.hidden = None
        if self.units:
            self.hidden = keras.layers.Dense(
                self.units,
                activation="tanh",
                kernel_initializer=self.initializer,
                dtype=self.dtype_policy,
                name="hidden",
            )
            self.hidden.build((None, None, size))
        self.query = self.add_weight(
            shape=(self.units or size, self.queries),
            initializer=self.initializer,
            name="query",
        )

    def call(self, x, frame_mask=None, return_weights=False):
        hidden = self.hidden(x) if self.units else ops.tanh(x)
        weights = masked_softmax(ops.matmul(hidden, self.query), frame_mask)
        pooled = attend(x, weights)
        pooled = ops.squeeze(pooled, axis=1) if self.queries == 1 else pooled
        return (pooled, weights) if return_weights else pooled
