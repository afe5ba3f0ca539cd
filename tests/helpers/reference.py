"""What several layers compute, in numpy.

Recurrent layers read one video at a time:

    outputs, h, c = reference.lstm(frames[b, :n], layer)     # [n, H], [H], [H]

They take a layer's weights, and real frames alone: they know of no padding.
"""

import numpy as np


def sigmoid(x):
    return 1.0 / (1.0 + np.exp(-x))


def softmax(x, axis=0):
    e = np.exp(x - x.max(axis=axis, keepdims=True))
    return e / e.sum(axis=axis, keepdims=True)


def normalized(x):
    """Rows of length 1."""
    return x / np.linalg.norm(x, axis=-1, keepdims=True)


def mixture(gates, experts, classes=6):
    """Logits [B, (M + 1) C] and [B, M C], by expert, to probabilities [B, C]."""
    gates = np.exp(gates).reshape(len(gates), -1, classes)
    gates = gates / gates.sum(axis=1, keepdims=True)
    experts = sigmoid(experts).reshape(len(experts), -1, classes)
    return (gates[:, :-1] * experts).sum(axis=1)


def expert(x, number, weights):
    """The answer to x [D] of one of the sparse experts."""
    hidden = x @ weights["hidden_kernel"][number] + weights["hidden_bias"][number, 0]
    output = weights["output_kernel"][number], weights["output_bias"][number, 0]
    return np.maximum(hidden, 0) @ output[0] + output[1]


def lstm(x, layer):
    """Keras' gates i, f, j, o; the forget bias is part of the bias."""
    kernel, recurrent, bias = map(np.asarray, layer.get_weights())
    h = c = np.zeros(len(recurrent))
    outputs = []
    for row in x:
        i, f, j, o = np.split(row @ kernel + h @ recurrent + bias, 4)
        c = sigmoid(f) * c + sigmoid(i) * np.tanh(j)
        h = sigmoid(o) * np.tanh(c)
        outputs.append(h)
    return np.array(outputs), h, c


def gru(x, layer):
    """Keras' gates z, r, candidate; z keeps the old state; r before the product."""
    kernel, recurrent, bias = map(np.asarray, layer.get_weights())
    h = np.zeros(len(recurrent))
    outputs = []
    for row in x:
        wz, wr, wc = np.split(row @ kernel + bias, 3)
        uz, ur, uc = np.split(recurrent, 3, axis=1)
        z, r = sigmoid(wz + h @ uz), sigmoid(wr + h @ ur)
        h = z * h + (1 - z) * np.tanh(wc + (r * h) @ uc)
        outputs.append(h)
    return np.array(outputs), h


def layer_norm_lstm(x, layer):
    """TF1's LayerNormBasicLSTMCell: four gates and the state, each normalised."""
    kernel, cell = np.asarray(layer.kernel), layer.rnn.cell
    recurrent = np.asarray(cell.recurrent_kernel)
    gain, shift = np.asarray(cell.gain), np.asarray(cell.shift)

    def norm(v, k):
        return (v - v.mean()) / np.sqrt(v.var() + 1e-12) * gain[k] + shift[k]

    h = c = np.zeros(len(recurrent))
    outputs = []
    for row in x:
        parts = np.split(row @ kernel + h @ recurrent, 4)
        i, j, f, o = (norm(part, k) for k, part in enumerate(parts))
        c = norm(c * sigmoid(f + 1) + sigmoid(i) * np.tanh(j), 4)
        h = np.tanh(c) * sigmoid(o)
        outputs.append(h)
    return np.array(outputs), h, c


LAYERS = {"lstm": lstm, "gru": gru, "layer_norm_lstm": layer_norm_lstm}


def bidirectional(x, forward, backward, step=lstm):
    """Outputs [n, H] of both directions, in the order of x, and their last states."""
    there, *states = step(x, forward)
    back, *others = step(x[::-1], backward)
    return there, back[::-1], states, others
