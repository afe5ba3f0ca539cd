"""Recurrent layers over the real frames, with the starting weights of TF1's cells.

    outputs, final = Stack((1024, 1024))(frames, mask)               # one direction
    outputs, final = BidirectionalStack((1024,), merge="sum")(frames, mask)
    outputs                                        # [B, T, H], zeros behind the video
    final.h                                        # [B, H], the top layer's last output

The work is done by Keras' own layers, with every default that cuDNN asks for.
"""

import collections
import math

import keras
from keras import ops

from youtube8m.layers.inputs import take_frames, zero_pads
from youtube8m.registry import PACKAGE, Configured, require_choice


def glorot_limit(input_size: int, units: int, gates: int) -> float:
    """Half the width of the uniform distribution that TF1 draws a cell's kernel from.

    TF1 keeps one matrix [input_size + units, gates * units] where Keras has two, so
    Glorot's fans are those of the joint matrix, for the recurrent part too.
    """
    return math.sqrt(6.0 / (input_size + units + gates * units))


def _uniform(limit: float):
    return keras.initializers.RandomUniform(-limit, limit)


def lstm(input_size: int, units: int, **kwargs) -> keras.layers.LSTM:
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


def gru(input_size: int, units: int, **kwargs) -> keras.layers.GRU:
    """A GRU layer that starts like TF1's GRUCell, and resets before the product.

    cuDNN knows only the other order, so this one runs as a loop on a GPU.
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


def without_cudnn(model) -> None:
    """Makes a model's recurrent layers loops, which run on any device.

    Where there is a GPU, Keras else traces cuDNN's operations, which a machine without
    one cannot load. Call it before the model is traced.
    """
    for layer in model._flatten_layers():
        if isinstance(layer, (keras.layers.LSTM, keras.layers.GRU)):
            layer.use_cudnn = False


@keras.saving.register_keras_serializable(PACKAGE)
class LayerNormLSTMCell(Configured, keras.layers.Layer):
    """One step of TF1's LayerNormBasicLSTMCell on inputs projected beforehand.

        i, j, f, o = LN(z_i), LN(z_j), LN(z_f), LN(z_o)      z = x W + h U, no bias
        g  = dropout(tanh(j))
        c' = LN(c * sigmoid(f + 1) + sigmoid(i) * g)         normalised, and kept so
        h' = tanh(c') * sigmoid(o)

    Each LN is over the H units with its own gain and shift, epsilon 1e-12.
    Source: Ba et al. 2016; dropout of the candidate: Semeniuta et al. 2016.

    Args:
      units: H.
      masked: whether the inputs carry a factor for each g behind the four parts.

    Input shape: x W [B, 4 H], or [B, 5 H] if masked. Output shape: [B, H].
    """

    def __init__(self, units: int, masked: bool = False, limit: float = 0.05, **kwargs):
        super().__init__(**kwargs)
        self.units = units
        self.masked = masked
        self.limit = limit
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
        gates = self._normalize(gates, self.gain[:4], self.shift[:4])
        i, j, f, o = (gates[:, k] for k in range(4))
        candidate = ops.tanh(j)
        if self.masked:
            candidate = candidate * inputs[:, size:]
        c = c * ops.sigmoid(f + 1.0) + ops.sigmoid(i) * candidate
        c = self._normalize(c, self.gain[4], self.shift[4])
        h = ops.tanh(c) * ops.sigmoid(o)
        return h, [h, c]

    @staticmethod
    def _normalize(x, gain, shift):
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
      dropout: share of the candidates dropped at each step, in training.

    Input shape: [B, T, D], mask [B, T] or None.
    Output shape: outputs [B, T, H] and the last states h, c [B, H].
    """

    def __init__(self, units: int, dropout: float = 0.0, seed=None, **kwargs):
        super().__init__(**kwargs)
        self.units = units
        self.dropout = dropout
        self.seed = seed
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

    def compute_output_spec(self, x, mask=None, training=False):
        batch, steps = x.shape[:2]
        state = keras.KerasTensor((batch, self.units), self.compute_dtype)
        outputs = keras.KerasTensor((batch, steps, self.units), self.compute_dtype)
        return outputs, state, state


def last_real(x, frame_mask):
    """x [B, T, H] at each video's last real frame: [B, H]; masks pad at the end."""
    last = ops.sum(ops.cast(frame_mask, "int32"), axis=1) - 1
    last = ops.maximum(last, 0)[:, None]
    return ops.squeeze(take_frames(x, last), axis=1)


def reversed_real(x, frame_mask):
    """x [B, T, H] with the real frames of each video in reverse, pads left behind."""
    places = ops.arange(ops.shape(x)[1], dtype="int32")[None, :]
    length = ops.sum(ops.cast(frame_mask, "int32"), axis=1, keepdims=True)
    mirrored = ops.where(frame_mask, length - 1 - places, places)
    return take_frames(x, mirrored)


# The states after the last real frame: h [B, H] of the top layer; with `states`, of
# all layers [c_1, h_1, c_2, h_2 ...] (if interleaved, of the top one) and c of the top
# layer besides, else None.
Final = collections.namedtuple("Final", ["h", "c", "states"])

CELLS = ("lstm", "gru", "layer_norm_lstm")


def lstm_cell(layer_norm: bool) -> str:
    """The name of the LSTM among CELLS, layer-normalised or not."""
    return "layer_norm_lstm" if layer_norm else "lstm"


@keras.saving.register_keras_serializable(PACKAGE)
class Stack(Configured, keras.layers.Layer):
    """Recurrent layers one upon the other, in one direction.

    Args:
      cells: units of each layer.
      cell: one of CELLS.
      backward: read from each video's last real frame to its first; outputs are in
        the order of the frames all the same.
      states: whether cell states are wanted too, which costs a fifth of the time:
        the layers must then know the mask.
      dropout: of the candidates, for layer_norm_lstm.

    Input shape: frames [B, T, D], mask bool [B, T].
    Output shape: outputs of the top layer [B, T, H], zero at pads, and a `Final`.
    """

    def __init__(
        self,
        cells,
        cell: str = "lstm",
        backward: bool = False,
        states: bool = False,
        dropout: float = 0.0,
        **kwargs,
    ):
        super().__init__(**kwargs)
        require_choice("cell", cell, *CELLS)
        if states and cell == "gru":
            raise ValueError("states: GRUs have none but their outputs")
        self.cells = tuple(cells)
        self.cell = cell
        self.backward = backward
        self.states = states
        self.dropout = dropout

    def build(self, x_shape, *_):
        size = x_shape[-1]
        self.layers = []
        for number, units in enumerate(self.cells):
            layer = self._layer(size, units, f"{self.cell}_{number}")
            layer.build((None, None, size))
            self.layers.append(layer)
            size = units

    def _layer(self, size, units, name):
        kwargs = {"dtype": self.dtype_policy, "name": name}
        if self.cell == "layer_norm_lstm":
            return LayerNormLSTM(units, self.dropout, **kwargs)
        make = {"lstm": lstm, "gru": gru}[self.cell]
        return make(size, units, return_sequences=True, return_state=True, **kwargs)

    def call(self, x, frame_mask, training=False):
        if self.backward:
            x = reversed_real(x, frame_mask)
        # Pads come last, so no output up to the last real frame depends on them.
        mask = frame_mask if self.states else None
        states = []
        for layer in self.layers:
            x, *last = layer(x, mask=mask, training=training)
            states += reversed(last)
        x = zero_pads(x, frame_mask)
        h = last_real(x, frame_mask)
        if self.backward:
            x = reversed_real(x, frame_mask)
        if not self.states:
            return x, Final(h, None, None)
        return x, Final(h, states[-2], ops.concatenate(states, axis=-1))

    def compute_output_spec(self, x, frame_mask, training=False):
        batch, steps = x.shape[:2]
        units, dtype = self.cells[-1], self.compute_dtype
        h = keras.KerasTensor((batch, units), dtype)
        outputs = keras.KerasTensor((batch, steps, units), dtype)
        if not self.states:
            return outputs, Final(h, None, None)
        states = keras.KerasTensor((batch, 2 * sum(self.cells)), dtype)
        return outputs, Final(h, h, states)


@keras.saving.register_keras_serializable(PACKAGE)
class BidirectionalStack(Configured, keras.layers.Layer):
    """Recurrent layers in both directions.

    Args:
      cells: units of each layer, per direction.
      merge: 'concat' or 'sum' of the two directions.
      interleaved: each layer sees both directions of the one below (TF1's
        stack_bidirectional_dynamic_rnn); else two stacks that meet at the top.
      cell, states, dropout: as for `Stack`.

    Input shape: frames [B, T, D], mask bool [B, T].
    Output shape: outputs [B, T, H or 2 H], zero at pads, and a `Final`, all merged.
    """

    def __init__(
        self,
        cells,
        merge: str = "concat",
        interleaved: bool = False,
        cell: str = "lstm",
        states: bool = False,
        dropout: float = 0.0,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.cells = tuple(cells)
        self.merge = merge
        self.interleaved = interleaved
        self.cell = cell
        self.states = states
        self.dropout = dropout

    def build(self, x_shape, *_):
        shape = tuple(x_shape)
        self.levels = []
        groups = [(n,) for n in self.cells] if self.interleaved else [self.cells]
        for number, cells in enumerate(groups):
            pair = [
                Stack(
                    cells,
                    self.cell,
                    backward=backward,
                    states=self.states,
                    dropout=self.dropout,
                    dtype=self.dtype_policy,
                    name=f"{'backward' if backward else 'forward'}_{number}",
                )
                for backward in (False, True)
            ]
            for stack in pair:
                stack.build(shape)
            self.levels.append(pair)
            shape = (*shape[:-1], 2 * cells[-1])

    def call(self, x, frame_mask, training=False):
        for level, pair in enumerate(self.levels):
            results = [stack(x, frame_mask, training=training) for stack in pair]
            top = level == len(self.levels) - 1
            outputs, finals = zip(*results, strict=True)
            x = self._merged(outputs) if top else ops.concatenate(outputs, axis=-1)
        return x, Final(*map(self._merged, zip(*finals, strict=True)))

    def _merged(self, pair):
        if pair[0] is None:
            return None
        return sum(pair) if self.merge == "sum" else ops.concatenate(pair, axis=-1)
