"""Keras' recurrent layers with the starting weights of TensorFlow 1's cells."""

import math

import keras
from keras import ops


def glorot_limit(input_size: int, units: int, gates: int) -> float:
    """Half the width of the uniform distribution that TF1 draws a cell's kernel from.

    TF1 keeps one matrix [input_size + units, gates * units] where Keras has two, so
    Glorot's fans are those of the joint matrix, for the recurrent part too.
    """
    return math.sqrt(6.0 / (input_size + units + gates * units))


def lstm(input_size: int, units: int, **kwargs) -> keras.layers.LSTM:
    """An LSTM layer that starts like TF1's BasicLSTMCell (forget bias 1.0).

    Every default that cuDNN asks for is kept.
    """
    limit = glorot_limit(input_size, units, gates=4)

    def uniform():
        return keras.initializers.RandomUniform(-limit, limit)

    return keras.layers.LSTM(
        units, kernel_initializer=uniform(), recurrent_initializer=uniform(), **kwargs
    )


def last_real(x, frame_mask):
    """x [B, T, H] at each video's last real frame: [B, H]; masks pad at the end."""
    last = ops.sum(ops.cast(frame_mask, "int32"), axis=1) - 1
    last = ops.maximum(last, 0)[:, None, None]
    return ops.squeeze(ops.take_along_axis(x, last, axis=1), axis=1)
