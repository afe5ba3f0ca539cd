"""Recurrent encoders whose descriptor is the last state of every layer.

They are LstmModel and GruModel in the code of Miech et al. 2017; the starter code's
LstmModel hands on the top layer's output alone.
"""

from typing import Annotated

from keras import ops

from youtube8m.layers.frame_selection import SampleFrames, random_frame_indices
from youtube8m.layers.inputs import frame_mask as mark_frames
from youtube8m.layers.inputs import take_frames
from youtube8m.layers.recurrent import Stack, reverse_frames
from youtube8m.models.base import ENCODERS, FrameEncoder


def draw_sequence(frames, frame_mask, uniform):
    """As many frames as a video has, up to k, in no order and with repetitions.

    Args:
      frames: [B, T, D].
      frame_mask: [B, T], n True values in each row.
      uniform: [B, k] in [0, 1); the frames are those at floor(u n).

    Returns:
      [B, k, D], and a mask with min(n, k) True values in each row.
    """
    lengths = ops.sum(ops.cast(frame_mask, "int32"), axis=1)
    drawn = take_frames(frames, random_frame_indices(uniform, lengths))
    return drawn, mark_frames(lengths, ops.shape(uniform)[1])


class _StateEncoder(FrameEncoder):
    """Frames in order, backwards or at random; all layers' states after the last.

    A subclass's `random_sequence` and `backward` say which.
    """

    def __init__(
        self,
        iterations: Annotated[int, "Frames taken of each video (k)."] = 150,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.sample = SampleFrames(iterations)

    random_sequence = backward = False

    def select(self, frames, frame_mask, training=False):
        if not self.random_sequence:
            return frames, frame_mask
        uniform = self.sample.uniform(ops.shape(frames)[0], training)
        if not training:
            # Spread over the min(n, k) frames that are read, not over k.
            lengths = ops.sum(ops.cast(frame_mask, "float32"), axis=1, keepdims=True)
            uniform = uniform * self.iterations / ops.minimum(lengths, self.iterations)
            uniform = ops.minimum(uniform, 1.0 - 1e-6)
        return draw_sequence(frames, frame_mask, uniform)

    def call(self, frames, frame_mask, training=False):
        if self.backward:
            frames = reverse_frames(frames, frame_mask)
        return self.read(frames, frame_mask, training)


@ENCODERS.register
class LSTMState(_StateEncoder):
    """Stacked LSTMs; x = [c_1, h_1, c_2, h_2 ...], the states after the last frame.

    With `lstm_random_sequence` training reads min(n, k) frames of a video, drawn with
    replacement and in no order; prediction reads as many, evenly spread and in order.
    Source: Miech et al. 2017, LSTM; LstmModel in the released code.

    Input shape: [B, T, D]. Output shape: [B, 2 H lstm_layers].
    """

    reported_by = "miech2017-lstm"

    def __init__(
        self,
        lstm_cells: Annotated[int, "Units of each LSTM layer (H)."] = 1024,
        lstm_layers: Annotated[int, "Number of LSTM layers."] = 2,
        lstm_random_sequence: Annotated[
            bool, "Read k random frames in no order, not all of them."
        ] = False,
        lstm_backward: Annotated[
            bool, "Read from the last frame to the first."
        ] = False,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.random_sequence, self.backward = lstm_random_sequence, lstm_backward

    def build(self, frames_shape, *_):
        cells = (self.lstm_cells,) * self.lstm_layers
        self.stack = Stack(cells, states=True, dtype=self.dtype_policy, name="stack")
        self.stack.build(frames_shape)

    def read(self, frames, frame_mask, training):
        _, final = self.stack(frames, frame_mask, training=training)
        return final.states


@ENCODERS.register
class GRUState(_StateEncoder):
    """Stacked GRUs; x = [h_1, h_2 ...], the outputs of all layers after the last frame.

    With `gru_random_sequence` training reads min(n, k) frames of a video, drawn with
    replacement and in no order; prediction reads as many, evenly spread and in order.
    Source: Miech et al. 2017, GRU; GruModel in the released code.

    Input shape: [B, T, D]. Output shape: [B, H gru_layers].
    """

    reported_by = "miech2017-gru"

    def __init__(
        self,
        gru_cells: Annotated[int, "Units of each GRU layer (H)."] = 1200,
        gru_layers: Annotated[int, "Number of GRU layers."] = 2,
        gru_random_sequence: Annotated[
            bool, "Read k random frames in no order, not all of them."
        ] = False,
        gru_backward: Annotated[bool, "Read from the last frame to the first."] = False,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.random_sequence, self.backward = gru_random_sequence, gru_backward

    def build(self, frames_shape, *_):
        self.levels, shape = [], tuple(frames_shape)
        for number in range(self.gru_layers):
            name = f"stack_{number}"
            level = Stack((self.gru_cells,), "gru", dtype=self.dtype_policy, name=name)
            level.build(shape)
            self.levels.append(level)
            shape = (*shape[:-1], self.gru_cells)

    def read(self, frames, frame_mask, training):
        states = []
        for level in self.levels:
            frames, final = level(frames, frame_mask, training=training)
            states.append(final.h)
        return ops.concatenate(states, axis=-1)
