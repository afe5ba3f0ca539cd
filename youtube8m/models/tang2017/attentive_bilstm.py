"""A BiLSTM with attention over time, the layer that most models of this paper share."""

import keras
from keras import ops

from youtube8m.layers.pooling import AttentionPooling
from youtube8m.layers.recurrent import BidirectionalStack
from youtube8m.registry import PACKAGE, Configured


def make_bilstm(frames_shape, cells, name, dtype, layers=1, states=False):
    """LSTMs in both directions: two stacks whose outputs are summed at the top."""
    stack = BidirectionalStack(
        (cells,) * layers, merge="sum", states=states, dtype=dtype, name=name
    )
    stack.build(frames_shape)
    return stack


@keras.saving.register_keras_serializable(PACKAGE)
class AttentiveBiLSTM(Configured, keras.layers.Layer):
    """A BiLSTM, attention over time and a tanh.

        h = BiLSTM(x)                                   [B, T, H]
        a = softmax over t of w . tanh(h_t)             w [H]
        y = tanh(sum_t a_t h_t)                         [B, H]

    Args:
      cells: H.
      layers: number of LSTM layers in each direction.
      attends_pads: the softmax is over all T time steps, padding included.

    Input shape: x [B, T, D], mask bool [B, T]. Output shape: [B, H]; with
      `return_weights` also a, float32 [B, T, 1].
    """

    def __init__(
        self, cells: int, layers: int = 1, attends_pads: bool = False, **kwargs
    ):
        super().__init__(**kwargs)

    def build(self, x_shape, *_):
        self.bilstm = make_bilstm(
            x_shape, self.cells, "bilstm", self.dtype_policy, self.layers
        )
        self.attention = AttentionPooling(dtype=self.dtype_policy, name="attention")
        self.attention.build((None, None, self.cells))

    def call(self, x, frame_mask, training=False, return_weights=False):
        outputs, _ = self.bilstm(x, frame_mask, training=training)
        mask = None if self.attends_pads else frame_mask
        pooled, weights = self.attention(outputs, mask, return_weights=True)
        y = ops.tanh(pooled)
        return (y, weights) if return_weights else y
