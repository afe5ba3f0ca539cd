"""The models of TensorFlow's Model Garden: formulas in numpy, and what they promise."""

import numpy as np
import pytest

from tests.helpers.layers import LENGTHS, MASK, X, check, randomized
from tests.helpers.reference import sigmoid
from youtube8m import models
from youtube8m.models.model_garden.normed_gates import NormedGate, swap_pool

SMALL = {"dbof_cluster_size": 4, "dbof_hidden_size": 6}


def dense(layer, x):
    return x @ layer.kernel.numpy() + layer.bias.numpy()


def normalize(norm, x):
    """Batch normalisation with fresh statistics."""
    return x / np.sqrt(1 + 1e-3) * norm.gamma.numpy() + norm.beta.numpy()


def gated(gate, x):
    """The released code's context gate."""
    u = x
    if gate.squeeze is not None:
        u = normalize(gate.squeeze_norm, np.clip(dense(gate.squeeze, x), 0, 6))
    return x * normalize(gate.gates_norm, sigmoid(dense(gate.gates, u)))


POOLED = {
    "average": lambda a: a.mean(axis=0),
    "max": lambda a: a.max(axis=0),
    "swap": lambda a: (a * np.abs(a)).sum(axis=0) / np.abs(a).sum(axis=0),
}


@pytest.mark.parametrize("pooling", POOLED)
@pytest.mark.parametrize("bottleneck", [None, 0, 3])
def test_masked_dbof(pooling, bottleneck):
    """One video at a time, with its real frames only."""
    encoder = models.MaskedDBoF(
        **SMALL,
        dbof_pooling_method=pooling,
        use_context_gate_cluster_layer=bottleneck is not None,
        context_gate_cluster_bottleneck_size=bottleneck or 0,
    )
    encoder = randomized(encoder)
    found = encoder(X, MASK)
    for row, x, n in zip(found, X, LENGTHS, strict=True):
        f = normalize(encoder.input_norm, x[:n])
        a = np.maximum(normalize(encoder.cluster_norm, dense(encoder.cluster, f)), 0)
        a = a if encoder.gate is None else gated(encoder.gate, a)
        a = np.where(np.abs(a).sum(axis=0), a, 1e-20)  # where all is 0, any mean is
        hidden = dense(encoder.hidden, POOLED[pooling](a))
        expected = np.maximum(normalize(encoder.hidden_norm, hidden), 0)
        np.testing.assert_allclose(row, expected, rtol=1e-4, atol=1e-5)


def test_swap_weighs_values_by_their_size_and_keeps_their_sign():
    x = np.array([[[1.0, -3.0, 0.0], [-2.0, 1.0, 0.0], [9.0, 9.0, 9.0]]], np.float32)
    mask = np.array([[True, True, False]])
    check(swap_pool(x, mask), [[(1 - 4) / 3, (-9 + 1) / 4, 0.0]])


@pytest.mark.parametrize("bottleneck, units", [(1, None), (2, 2)])
def test_a_bottleneck_of_one_is_none(bottleneck, units):
    gate = randomized(NormedGate(bottleneck))
    assert (gate.squeeze and gate.squeeze.units) == units
    check(gate(X), gated(gate, X))


@pytest.mark.parametrize("released", [False, True])
def test_statistics_of_padding(released):
    """Only the released code's batch normalisation sees it in training."""
    longer = np.pad(X, [(0, 0), (0, 4), (0, 0)]), np.pad(MASK, [(0, 0), (0, 4)])
    gates = {"use_context_gate_cluster_layer": True}
    found = []
    for frames, mask in ((X, MASK), longer):
        encoder = models.MaskedDBoF(**SMALL, **gates, released_code=released)
        encoder = randomized(encoder)
        encoder(frames, mask, training=True)
        norms = (encoder.input_norm, encoder.cluster_norm, encoder.gate.gates_norm)
        found.append(np.concatenate([norm.moving_variance for norm in norms]))
    assert np.allclose(*found, atol=1e-6) != released


def test_released_code_pads_to_all_frames():
    encoder = models.MaskedDBoF(**SMALL, released_code=True, max_frames=12)
    frames, mask = encoder.select(X, MASK)
    assert frames.shape[1] == 12 and np.sum(mask) == sum(LENGTHS)


def test_the_mixture_sees_the_gated_descriptor():
    model = randomized(models.InputGatedMoeModel(7), (None, 5))
    plain = models.MoeModel(7, 5, moe_gate_bias=True)
    plain.build((None, 5))
    for name in ("gates", "experts"):
        getattr(plain, name).set_weights(getattr(model, name).get_weights())
    x = X[:, 0]
    check(model(x), plain(gated(model.input_gate, x).astype(np.float32)))


def test_the_penalty_of_the_mixture():
    """Half of moe_l2 on the squares of gates and experts, and none on biases."""
    model = randomized(models.InputGatedMoeModel(7, moe_l2=0.5), (None, 5))
    squares = sum(np.sum(d.kernel.numpy() ** 2) for d in (model.gates, model.experts))
    check(sum(model.losses), 0.25 * squares)


@pytest.mark.parametrize(
    "values, message",
    [
        ({"dbof_pooling_method": "none"}, "must be average or max or swap"),
        ({"dbof_activation": "tanh"}, "must be relu or relu6 or sigmoid or swish"),
    ],
)
def test_other_choices_are_refused(values, message):
    with pytest.raises(ValueError, match=message):
        models.MaskedDBoF(**values)
