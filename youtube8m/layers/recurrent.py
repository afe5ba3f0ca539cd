"""Stacks of recurrent layers over the real frames of each video.

    outputs, final = Stack((1024, 1024))(frames, mask)               # one direction
    outputs, final = BidirectionalStack((1024,), merge="sum")(frames, mask)
    outputs                                        # [B, T, H], zero at the padding
    final.h                                        # [B, H], the top layer's last output

The layers are Keras' own where it has them, with the defaults that cuDNN needs.
"""

from typing import Any, NamedTuple

import keras
from keras import ops

from youtube8m.layers.cells import (
    LayerNormLSTM,
    lstm_candidates,
    make_gru,
    make_lstm,
)
from youtube8m.layers.inputs import take_frames, zero_padding
from youtube8m.registry import PACKAGE, Configured, require_choice

CELLS = ("lstm", "gru", "layer_norm_lstm")


def choose_lstm(layer_norm: bool) -> str:
    """The name of the LSTM among CELLS, layer-normalised or not."""
    return "layer_norm_lstm" if layer_norm else "lstm"


def take_last_frame(x, frame_mask):
    """x [B, T, H] at each video's last real frame: [B, H]. Padding is at the end."""
    last = ops.sum(ops.cast(frame_mask, "int32"), axis=1) - 1
    last = ops.maximum(last, 0)[:, None]
    return ops.squeeze(take_frames(x, last), axis=1)


def reverse_frames(x, frame_mask):
    """x [B, T, H] with the real frames of each video in reverse, padding at the end."""
    positions = ops.arange(ops.shape(x)[1], dtype="int32")[None, :]
    length = ops.sum(ops.cast(frame_mask, "int32"), axis=1, keepdims=True)
    mirrored = ops.where(frame_mask, length - 1 - positions, positions)
    return take_frames(x, mirrored)


class FinalState(NamedTuple):
    """The states after the last real frame.

    Attributes:
      h: [B, H], the output of the top layer.
      c: [B, H], the cell state of the top layer; None without `states`.
      states: [c_1, h_1, c_2, h_2 ...] of all layers (of the top one if interleaved),
        as one tensor; None without `states`.
      candidates: [B, T, H] of the top layer at all frames, zero at the padding; None
        without `candidates`.
    """

    h: Any
    c: Any = None
    states: Any = None
    candidates: Any = None


@keras.saving.register_keras_serializable(PACKAGE)
class Stack(Configured, keras.layers.Layer):
    """Recurrent layers in one direction, each on the outputs of the one below.

    Args:
      cells: units of each layer.
      cell: one of CELLS.
      backward: read from each video's last real frame to its first; the outputs are
        still in the order of the frames.
      states: also return cell states. This costs a fifth of the time, since the
        layers must then get the mask.
      dropout: of the candidates, for layer_norm_lstm.
      candidates: also return candidates, in the order in which frames are read.

    Input shape: frames [B, T, D], mask bool [B, T].
    Output shape: outputs of the top layer [B, T, H], zero at the padding, and a
    `FinalState`.
    """

    def __init__(
        self,
        cells,
        cell: str = "lstm",
        backward: bool = False,
        states: bool = False,
        dropout: float = 0.0,
        candidates: bool = False,
        **kwargs,
    ):
        super().__init__(**kwargs)
        require_choice("cell", cell, *CELLS)
        if (states or candidates) and cell == "gru":
            raise ValueError("states: a GRU has no state but its output")
        self.cells = tuple(cells)

    def build(self, x_shape, *_):
        size = x_shape[-1]
        self.layers = []
        for number, units in enumerate(self.cells):
            layer = self._make_layer(size, units, f"{self.cell}_{number}")
            layer.build((None, None, size))
            self.layers.append(layer)
            size = units

    def _make_layer(self, size, units, name):
        kwargs = {"dtype": self.dtype_policy, "name": name}
        if self.cell == "layer_norm_lstm":
            return LayerNormLSTM(units, self.dropout, **kwargs)
        make = {"lstm": make_lstm, "gru": make_gru}[self.cell]
        return make(size, units, return_sequences=True, return_state=True, **kwargs)

    def call(self, x, frame_mask, training=False):
        if self.backward:
            x = reverse_frames(x, frame_mask)
        # Padding is at the end, so no output at a real frame depends on it.
        mask = frame_mask if self.states else None
        states, candidates = [], None
        for layer in self.layers:
            below = x
            x, *last = layer(x, mask=mask, training=training)
            states += reversed(last)
        if self.candidates:
            candidates = lstm_candidates(self.layers[-1], below, x)
            candidates = zero_padding(candidates, frame_mask)
        x = zero_padding(x, frame_mask)
        h = take_last_frame(x, frame_mask)
        if self.backward:
            x = reverse_frames(x, frame_mask)
        if not self.states:
            return x, FinalState(h, candidates=candidates)
        states = states[-2], ops.concatenate(states, axis=-1)
        return x, FinalState(h, *states, candidates)


@keras.saving.register_keras_serializable(PACKAGE)
class BidirectionalStack(Configured, keras.layers.Layer):
    """Recurrent layers in both directions.

    Args:
      cells: units of each layer, per direction.
      merge: 'concat' or 'sum' of the two directions.
      interleaved: each layer gets both directions of the one below (TF1's
        stack_bidirectional_dynamic_rnn); otherwise two stacks merge at the top.
      cell, states, dropout: as for `Stack`.

    Input shape: frames [B, T, D], mask bool [B, T].
    Output shape: outputs [B, T, H or 2 H], zero at the padding, and a `FinalState`,
    both merged.
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
            is_top = level == len(self.levels) - 1
            outputs, finals = zip(*results, strict=True)
            x = self._merge(outputs) if is_top else ops.concatenate(outputs, axis=-1)
        return x, FinalState(*map(self._merge, zip(*finals, strict=True)))

    def _merge(self, pair):
        if pair[0] is None:
            return None
        return sum(pair) if self.merge == "sum" else ops.concatenate(pair, axis=-1)
