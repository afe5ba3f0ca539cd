"""Filters over a frame and those before it, and halves of their outputs."""

import keras
from keras import ops

from youtube8m.layers.inputs import frame_mask as mark_frames
from youtube8m.models.starter.regularization import weight_decay
from youtube8m.registry import PACKAGE, Configured


@keras.saving.register_keras_serializable(PACKAGE)
class CausalFilters(Configured, keras.layers.Layer):
    """Linear filters of widths 1, 2, 3 .., without biases.

        y_t = [x_t A_1 ; [x_t, x_{t-1}] A_2 ; [x_t, x_{t-1}, x_{t-2}] A_3 ..]

    There are zeros before the first frame. All A start from a normal distribution of
    deviation 0.1, cut at 0.2, and have an L2 penalty of 1e-8.

    Args:
      filters: how many there are of each width, (F_1, F_2 ..).

    Input shape: [B, T, D]. Output shape: [B, T, F], F = F_1 + F_2 + ..
    """

    def __init__(self, filters: tuple[int, ...], **kwargs):
        super().__init__(**kwargs)
        self.filters = tuple(filters)

    def build(self, x_shape):
        # Of x_t all filters, of x_{t-1} those of width 2 and more, and so on.
        reached = [sum(self.filters[lag:]) for lag in range(len(self.filters))]
        self._ends = [sum(reached[: lag + 1]) for lag in range(len(reached) - 1)]
        self.kernel = self.add_weight(
            shape=(x_shape[-1], sum(reached)),
            initializer=keras.initializers.TruncatedNormal(stddev=0.1),
            regularizer=weight_decay(),
            name="kernel",
        )

    def call(self, x):
        # One product for all; its columns are moved in time, which x would be, too.
        products = ops.split(ops.matmul(x, self.kernel), self._ends, axis=-1)
        steps, total = ops.shape(x)[1], products[0]
        for lag, product in enumerate(products[1:], 1):
            missing = sum(self.filters[:lag])
            moved = ops.pad(product, [[0, 0], [lag, 0], [missing, 0]])
            total = total + moved[:, :steps]
        return total


def halve(x, frame_mask):
    """The larger value of each two neighbouring frames.

    A last frame without a neighbour is left out, unless it is the only one.

    Args:
      x: [B, T, H], 0 or more.
      frame_mask: [B, T], n True values in each row.

    Returns:
      [B, S, H] and a mask with max(n // 2, 1) True values, S = max(T // 2, 1).
    """
    batch, steps, size = ops.shape(x)
    x = ops.pad(x, [[0, 0], [0, steps % 2], [0, 0]])
    x = ops.max(ops.reshape(x, (batch, -1, 2, size)), axis=2)
    kept = (steps + 1 // steps) // 2  # max(T // 2, 1), of numbers and of tensors
    lengths = ops.sum(ops.cast(frame_mask, "int32"), axis=1)
    return x[:, :kept], mark_frames(ops.maximum(lengths // 2, 1), kept)
