"""Stacks of recurrent layers against numpy, video by video."""

import numpy as np
import pytest

from tests.helpers import reference
from tests.helpers.layers import LENGTHS, MASK, X, check_recurrent, randomized
from youtube8m.layers.recurrent import CELLS, BidirectionalStack, Stack

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
