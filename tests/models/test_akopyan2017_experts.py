"""Sparse experts against numpy: frame by frame, expert by expert."""

import math

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.helpers.layers import MASK
from tests.helpers.reference import expert, softmax
from youtube8m.models.akopyan2017.dispatch import Dispatch
from youtube8m.models.akopyan2017.experts import (
    SparseExperts,
    squared_variation,
)

RNG = np.random.default_rng(0)
X = RNG.normal(size=(3, 9, 5)).astype(np.float32)  # also at the padding
EXPERTS, ACTIVE = 8, 3


def randomized(**kwargs):
    layer = SparseExperts(EXPERTS, ACTIVE, 7, **kwargs)
    layer.build(X.shape)
    for weight in layer.trainable_weights:
        weight.assign(RNG.normal(size=weight.shape))
    return layer, {w.name: np.asarray(w) for w in layer.trainable_weights}


def expected(x, weights, noise=None):
    """y [D] of one token, its gates [n] and its part of the load [n]."""
    clean = x @ weights["gate"]
    deviation = np.log1p(np.exp(x @ weights["noise"]))
    scores = clean if noise is None else clean + noise * deviation
    best = np.argsort(-scores, kind="stable")[:ACTIVE]
    gates = np.zeros(EXPERTS)
    gates[best] = softmax(scores[best])
    y = sum(gates[i] * expert(x, i, weights) for i in best)
    load = []
    for i in range(EXPERTS):
        others = np.sort(np.delete(scores, i))[-ACTIVE]
        z = (clean[i] - others) / deviation[i]
        load.append((1 + math.erf(z / math.sqrt(2))) / 2)
    return y, gates, np.array(load)


def check(result, weights, noise):
    outputs, importance, load = (np.asarray(value) for value in result)
    total_gates, total_load = np.zeros(EXPERTS), np.zeros(EXPERTS)
    for token in np.ndindex(MASK.shape):
        if not MASK[token]:
            assert not outputs[token].any()
            continue
        y, gates, part = expected(X[token], weights, noise and noise[token])
        np.testing.assert_allclose(outputs[token], y, rtol=1e-4, atol=1e-4)
        total_gates, total_load = total_gates + gates, total_load + part
    np.testing.assert_allclose(importance, total_gates, rtol=1e-4)
    np.testing.assert_allclose(load, total_load, rtol=1e-4)


def test_inference_follows_the_equations():
    layer, weights = randomized()
    check(layer(X, MASK), weights, None)


def test_training_adds_noise(monkeypatch):
    layer, weights = randomized()
    noise = RNG.normal(size=(27, EXPERTS)).astype(np.float32)
    monkeypatch.setattr(keras.random, "normal", lambda shape, seed: noise)
    result = layer(X, MASK, training=True)
    check(result, weights, dict(zip(np.ndindex(MASK.shape), noise, strict=True)))


def test_gradients_are_those_of_computing_all_experts():
    layer, _ = randomized()

    def all_experts():
        scores = tf.matmul(X, layer.gate)
        highest = tf.math.top_k(scores, ACTIVE).values[..., -1:]
        gates = tf.nn.softmax(tf.where(scores >= highest, scores, -1e30))
        y = tf.einsum("btd,ndk->btnk", X, layer.hidden_kernel)
        y = tf.nn.relu(y + layer.hidden_bias[:, 0])
        y = tf.einsum("btnk,nkd->btnd", y, layer.output_kernel)
        y = tf.reduce_sum(gates[..., None] * (y + layer.output_bias[:, 0]), axis=2)
        return tf.where(MASK[..., None], y, 0.0)

    factors = RNG.normal(size=X.shape).astype(np.float32)
    variables = [w for w in layer.trainable_weights if w is not layer.noise]
    gradients = []
    for outputs in (lambda: layer(X, MASK)[0], all_experts):
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(outputs() * factors)
        gradients.append(tape.gradient(loss, [w.value for w in variables]))
    for weight, one, other in zip(variables, *gradients, strict=True):
        assert isinstance(one, tf.Tensor), weight.name  # not IndexedSlices
        np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("tokens", [1, 5, 1000])
@pytest.mark.parametrize("uneven", [False, True])
def test_every_choice_has_a_slot_of_its_expert(tokens, uneven):
    """However uneven the shares, and with tokens that have no expert."""
    scores = RNG.random((tokens, EXPERTS)) * (10.0 ** -np.arange(8) if uneven else 1)
    experts = np.argsort(-scores, axis=1)[:, :ACTIVE].astype(np.int32)
    experts[::4] = EXPERTS
    dispatch = Dispatch(experts, EXPERTS)
    sources, targets, owners = (
        np.asarray(v) for v in (dispatch.sources, dispatch.targets, dispatch.owners)
    )
    real = experts < EXPERTS
    of_targets = np.broadcast_to(np.arange(tokens)[:, None], experts.shape)
    np.testing.assert_array_equal(sources.ravel()[targets[real]], of_targets[real])
    owner_of_slots = np.repeat(owners, sources.shape[1])
    np.testing.assert_array_equal(owner_of_slots[targets[real]], experts[real])
    assert len(np.unique(targets[real])) == real.sum()


def test_only_the_chosen_experts_are_computed():
    """Experts compute 1.5 k N rows in all, against n N if each computed all tokens."""
    tokens, n, k = 11520, 64, 4
    experts = np.argsort(RNG.random((tokens, n)), axis=1)[:, :k].astype(np.int32)
    rows = np.asarray(Dispatch(experts, n).sources).size
    assert tokens * k <= rows <= 1.51 * tokens * k


def test_equal_scores_go_to_the_lower_numbers():
    layer = SparseExperts(EXPERTS, ACTIVE, 7)
    _, importance, load = layer(X, MASK)
    real = MASK.sum()
    np.testing.assert_allclose(importance, [real / 3] * 3 + [0] * 5, rtol=1e-6)
    np.testing.assert_allclose(load, [real / 2] * EXPERTS, rtol=1e-6)


def test_squared_variation():
    x = RNG.random(6).astype(np.float32)
    expected = (x.std() / x.mean()) ** 2
    np.testing.assert_allclose(squared_variation(x), expected, rtol=1e-4)
    assert squared_variation(np.ones(6, np.float32)) == 0


def test_more_experts_for_a_frame_than_there_are_others_is_refused():
    with pytest.raises(ValueError, match="--active_experts=4: must be below"):
        SparseExperts(4, 4, 7)
