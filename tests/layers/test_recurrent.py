"""Stacks of recurrent layers against numpy, video by video."""

import numpy as np
import pytest

from tests.helpers import reference
from tests.helpers.layers import LENGTHS, MASK, X, check_recurrent, randomized
from youtube8m.layers.recurrent import (
    CELLS,
    BidirectionalStack,
    LayerNormLSTM,
    Stack,
    glorot_limit,
    gru,
    lstm,
)

RNG = np.random.default_rng(0)


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("backward", [False, True])
def test_stack(cell, backward):
    stack = randomized(Stack((4, 3), cell, backward))
    outputs, final = stack(X, MASK)
    for b, n in enumerate(LENGTHS):
        x = X[b, :n][::-1] if backward else X[b, :n]
        for layer in stack.layers:
            x, h, *_ = reference.LAYERS[cell](x, layer)
        check_recurrent(final.h[b], h)
        check_recurrent(outputs[b, :n], x[::-1] if backward else x)
        assert not np.any(outputs[b, n:])


@pytest.mark.parametrize("cell", ["lstm", "layer_norm_lstm"])
def test_stack_with_states(cell):
    stack = randomized(Stack((4, 3), cell, states=True))
    outputs, final = stack(X, MASK)
    for b, n in enumerate(LENGTHS):
        x, states = X[b, :n], []
        for layer in stack.layers:
            x, h, c = reference.LAYERS[cell](x, layer)
            states += [c, h]
        check_recurrent(outputs[b, :n], x)
        check_recurrent(final.states[b], np.concatenate(states))
        check_recurrent(final.c[b], c)
        check_recurrent(final.h[b], h)


@pytest.mark.parametrize("cell", CELLS)
def test_independent_directions_meet_at_the_top(cell):
    stack = randomized(BidirectionalStack((4, 3), "sum", cell=cell))
    outputs, final = stack(X, MASK)
    ((forward, backward),) = stack.levels
    for b, n in enumerate(LENGTHS):
        there, back = X[b, :n], X[b, :n][::-1]
        for one, other in zip(forward.layers, backward.layers, strict=True):
            there, h, *_ = reference.LAYERS[cell](there, one)
            back, g, *_ = reference.LAYERS[cell](back, other)
        check_recurrent(outputs[b, :n], there + back[::-1])
        check_recurrent(final.h[b], h + g)


def test_interleaved_layers_see_both_directions():
    stack = randomized(BidirectionalStack((4, 3), "concat", interleaved=True))
    outputs, final = stack(X, MASK)
    for b, n in enumerate(LENGTHS):
        x = X[b, :n]
        for forward, backward in stack.levels:
            there, back, (h, _), (g, _) = reference.bidirectional(
                x, forward.layers[0], backward.layers[0]
            )
            x = np.concatenate([there, back], axis=-1)
        check_recurrent(outputs[b, :n], x)
        check_recurrent(final.h[b], np.concatenate([h, g]))


def test_cells_start_as_in_tf1():
    layer = lstm(5, 4)
    layer.build((None, None, 5))
    kernel, recurrent, bias = layer.get_weights()
    limit = glorot_limit(5, 4, gates=4)
    assert limit == pytest.approx(np.sqrt(6 / (9 + 16)))
    for matrix in (kernel, recurrent):
        assert 0.5 * limit < np.abs(matrix).max() <= limit
    np.testing.assert_array_equal(bias, [0] * 4 + [1] * 4 + [0] * 8)
    layer = gru(5, 4)
    layer.build((None, None, 5))
    np.testing.assert_array_equal(layer.get_weights()[2], [1] * 8 + [0] * 4)


def test_candidates_are_dropped_in_training_alone():
    layer = LayerNormLSTM(64, dropout=0.5, seed=0)
    x = RNG.normal(size=(2, 3, 5)).astype(np.float32)
    outputs, _, _ = layer(x)
    again, _, _ = layer(x)
    np.testing.assert_array_equal(outputs, again)
    first, second = (layer(x, training=True)[0] for _ in range(2))
    assert not np.allclose(first, outputs) and not np.allclose(first, second)
    plain = LayerNormLSTM(64)
    plain.build(x.shape)
    plain.set_weights(layer.get_weights()[: len(plain.get_weights())])
    np.testing.assert_allclose(plain(x)[0], outputs, rtol=1e-6)
