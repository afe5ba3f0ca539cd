"""TF1's recurrent cells as Keras layers, with the starting weights of TF1.

make_lstm(input_size, units)(x)       # BasicLSTMCell
make_gru(input_size, units)(x)        # GRUCell
LayerNormLSTM(units)(x, mask)         # LayerNormBasicLSTMCell
"""

import math

import keras
from keras import ops

from youtube8m.compat import all_layers
from youtube8m.registry import PACKAGE, Configured


def glorot_limit(input_size: int, units: int, gates: int) -> float:
    """Half the width of the uniform distribution that TF1 draws a cell's kernel from.

    TF1 keeps one matrix [input_size + units, gates * units] where Keras has two, so
    Glorot's fans are those of the joint matrix, for the recurrent part too.
    """
    return math.sqrt(6.0 / (input_size + units + gates * units))


def _uniform(limit: float):
    return keras.initializers.RandomUniform(-limit, limit)


def make_lstm(input_size: int, units: int, **kwargs) -> keras.layers.LSTM:
    """An LSTM layer that starts like TF1's BasicLSTMCell (forget bias 1.0)."""
    limit = glorot_limit(input_size, units, gates=4)
    return keras.layers.LSTM(
        units,
        kernel_initializer=_uniform(limit),
        recurrent_initializer=_uniform(limit),
        **kwargs,
    )


class _GruBias(keras.initializers.Initializer):
    """Ones for both gates, zeros for the candidate: TF1's GRUCell."""

    def __call__(self, shape, dtype=None):
        gates = ops.ones((2 * shape[0] // 3,), dtype)
        return ops.concatenate([gates, ops.zeros((shape[0] // 3,), dtype)])


def make_gru(input_size: int, units: int, **kwargs) -> keras.layers.GRU:
    """A GRU layer like TF1's GRUCell, which resets the state before the product.

    cuDNN has only the other order, so this layer runs as a loop on a GPU.
    """
    limit = glorot_limit(input_size, units, gates=2)
    return keras.layers.GRU(
        units,
        kernel_initializer=_uniform(limit),
        recurrent_initializer=_uniform(limit),
        bias_initializer=_GruBias(),
        reset_after=False,
        **kwargs,
    )


def lstm_candidates(layer, x, outputs):
    """The candidates of an LSTM, which its gates add to the state: [B, T, H].

        g_t = tanh(x_t W + h_{t-1} U + b)

    cuDNN does not return them, so they are computed again, from all outputs at once.
    With layer normalisation g_t is tanh(LN(x_t W + h_{t-1} U)), before dropout.

    Args:
      layer: of `make_lstm`, or a LayerNormLSTM.
      x: the layer's inputs [B, T, D].
      outputs: its outputs h [B, T, H].
    """
    before = ops.pad(outputs[:, :-1], [[0, 0], [1, 0], [0, 0]])
    units = layer.units
    if isinstance(layer, LayerNormLSTM):
        cell, part = layer.rnn.cell, slice(units, 2 * units)
        z = ops.matmul(x, layer.kernel[:, part])
        z = z + ops.matmul(before, cell.recurrent_kernel[:, part])
        return ops.tanh(cell.normalize(z, cell.gain[1], cell.shift[1]))
    cell, part = layer.cell, slice(2 * units, 3 * units)
    z = ops.matmul(x, cell.kernel[:, part])
    z = z + ops.matmul(before, cell.recurrent_kernel[:, part])
    return ops.tanh(z + cell.bias[part])


def disable_cudnn(model) -> None:
    """Makes a model's recurrent layers loops, which run on any device.

    Where there is a GPU, Keras traces cuDNN's operations, which a machine without a
    GPU cannot load. Call this before the model is traced.
    """
    for layer in all_layers(model):
        if isinstance(layer, (keras.layers.LSTM, keras.layers.GRU)):
            layer.use_cudnn = False


@keras.saving.register_keras_serializable(PACKAGE)
class LayerNormLSTMCell(Configured, keras.layers.Layer):
    """One step of TF1's LayerNormBasicLSTMCell on inputs projected beforehand.

        i, j, f, o = LN(z_i), LN(z_j), LN(z_f), LN(z_o)      z = x W + h U, no bias
        g  = dropout(tanh(j))
        c' = LN(c * sigmoid(f + 1) + sigmoid(i) * g)         the normalised c' is kept
        h' = tanh(c') * sigmoid(o)

    Each LN is over the H units with its own gain and shift, epsilon 1e-12.
    Source: Ba et al. 2016; dropout of the candidate: Semeniuta et al. 2016.

    Args:
      units: H.
      masked: whether the inputs carry a dropout factor for each g after the four parts.

    Input shape: x W [B, 4 H], or [B, 5 H] if masked. Output shape: [B, H].
    """

    def __init__(self, units: int, masked: bool = False, limit: float = 0.05, **kwargs):
        super().__init__(**kwargs)
        self.state_size = [units, units]
        self.output_size = units

    def build(self, input_shape):
        self.recurrent_kernel = self.add_weight(
            shape=(self.units, 4 * self.units),
            initializer=_uniform(self.limit),
            name="recurrent_kernel",
        )
        # Rows: i, j, f, o and the state.
        shape = (5, self.units)
        self.gain = self.add_weight(shape=shape, initializer="ones", name="gain")
        self.shift = self.add_weight(shape=shape, initializer="zeros", name="shift")

    def call(self, inputs, states, training=False):
        h, c = states
        size = 4 * self.units
        gates = inputs[:, :size] + ops.matmul(h, self.recurrent_kernel)
        gates = ops.reshape(gates, (-1, 4, self.units))
        gates = self.normalize(gates, self.gain[:4], self.shift[:4])
        i, j, f, o = (gates[:, k] for k in range(4))
        candidate = ops.tanh(j)
        if self.masked:
            candidate = candidate * inputs[:, size:]
        c = c * ops.sigmoid(f + 1.0) + ops.sigmoid(i) * candidate
        c = self.normalize(c, self.gain[4], self.shift[4])
        h = ops.tanh(c) * ops.sigmoid(o)
        return h, [h, c]

    @staticmethod
    def normalize(x, gain, shift):
        """LN over the last axis."""
        x32 = ops.cast(x, "float32")
        mean = ops.mean(x32, axis=-1, keepdims=True)
        variance = ops.mean(ops.square(x32 - mean), axis=-1, keepdims=True)
        normal = (x32 - mean) * ops.rsqrt(variance + 1e-12)
        return ops.cast(normal, x.dtype) * gain + shift


@keras.saving.register_keras_serializable(PACKAGE)
class LayerNormLSTM(Configured, keras.layers.Layer):
    """A layer of `LayerNormLSTMCell`s.

    Args:
      units: H.
      dropout: share of the candidates that dropout zeroes at each step, in training.

    Input shape: [B, T, D], mask [B, T] or None.
    Output shape: outputs [B, T, H] and the last states h, c [B, H].
    """

    def __init__(self, units: int, dropout: float = 0.0, seed=None, **kwargs):
        super().__init__(**kwargs)
        self.seed_generator = keras.random.SeedGenerator(seed)
        self.supports_masking = True

    def build(self, input_shape, *_):
        limit = glorot_limit(input_shape[-1], self.units, gates=4)
        self.kernel = self.add_weight(
            shape=(input_shape[-1], 4 * self.units),
            initializer=_uniform(limit),
            name="kernel",
        )
        masked = self.dropout > 0
        cell = LayerNormLSTMCell(
            self.units, masked, limit, dtype=self.dtype_policy, name="cell"
        )
        self.rnn = keras.layers.RNN(
            cell,
            return_sequences=True,
            return_state=True,
            dtype=self.dtype_policy,
            name="rnn",
        )
        self.rnn.build((None, None, (5 if masked else 4) * self.units))

    def call(self, x, mask=None, training=False):
        # One product for all steps, and the random numbers outside the loop.
        z = ops.matmul(x, self.kernel)
        if self.dropout > 0:
            factors = ops.ones_like(z[..., : self.units])
            if training:
                factors = keras.random.dropout(
                    factors, self.dropout, seed=self.seed_generator
                )
            z = ops.concatenate([z, factors], axis=-1)
        return self.rnn(z, mask=mask, training=training)
