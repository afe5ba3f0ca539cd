"""The models of Miech et al. 2017: formulas in numpy, counts, and what they promise."""

import numpy as np
import pytest

from tests.helpers.layers import (
    LENGTHS,
    MASK,
    X,
    check,
    count_built,
    largest_tensor,
    randomized,
)
from youtube8m import models
from youtube8m.config import DataConfig, ModelConfig, RunConfig
from youtube8m.errors import UserError
from youtube8m.layers.gating import ContextGating
from youtube8m.models.miech2017 import aggregators
from youtube8m.models.miech2017.whole_states import draw_sequence

# The normalised parts of each aggregate.
AGGREGATORS = {
    aggregators.Residuals: 1,
    aggregators.ResidualsFromZero: 1,
    aggregators.GatedSums: 1,
    aggregators.FisherVectors: 2,
    aggregators.SoftCounts: 1,
    aggregators.GatedCounts: 1,
    aggregators.MeanAndMax: 2,
}


def l2(x):
    return x / np.linalg.norm(x, axis=-1, keepdims=True)


def soft(scores):
    weights = np.exp(scores)
    return weights / weights.sum(axis=-1, keepdims=True)


def weights_of(layer):
    """The layer's trainable weights as numpy arrays, by name; BN is a factor here."""
    norm = layer.norm
    scale = norm.gamma.numpy() / np.sqrt(1 + 1e-3)
    named = {w.name: w.numpy() for w in layer.trainable_weights}
    return named, lambda x: x @ named["kernel"] * scale + norm.beta.numpy()


def test_fisher_vectors():
    """Normalised for each cluster in both orders, which the released code is not."""
    layer = randomized(aggregators.FisherVectors(3))
    named, score = weights_of(layer)
    c, s = named["centres"], named["deviations"] ** 2 + 1e-6
    for row, x in zip(layer(X, MASK), frames(), strict=True):
        a = soft(score(x))
        d = x[:, None] - c
        first = np.einsum("tk,tkd->kd", a, d / s)
        second = np.einsum("tk,tkd->kd", a, d**2 / s**2 - 1)
        parts = [l2(l2(f).ravel()) for f in (first, second)]
        np.testing.assert_allclose(row, np.concatenate(parts), rtol=1e-4, atol=2e-5)


def frames():
    return (x[:n] for x, n in zip(X, LENGTHS, strict=True))


def test_residuals():
    layer = randomized(aggregators.Residuals(3))
    named, score = weights_of(layer)
    for row, x in zip(layer(X, MASK), frames(), strict=True):
        d = x[:, None] - named["centres"]
        sums = np.einsum("tk,tkd->kd", soft(score(x)), d)
        check(row, l2(l2(sums).ravel()))


def test_mean_and_max():
    layer = randomized(aggregators.MeanAndMax(3))
    _, score = weights_of(layer)
    for row, x in zip(layer(X, MASK), frames(), strict=True):
        a = np.clip(score(x), 0, 6)
        check(row, np.concatenate([l2(a.mean(axis=0) + 1e-30), l2(a.max(axis=0))]))


def test_gated_counts():
    layer = randomized(aggregators.GatedCounts(3, max_pool=True))
    named, score = weights_of(layer)
    norm = layer.gate_norm
    for row, x in zip(layer(X, MASK), frames(), strict=True):
        a = soft(score(x))
        highest = l2(a.max(axis=0))
        z = highest @ named["reduce"] @ named["expand"] / np.sqrt(1 + 1e-3)
        gates = 1 / (1 + np.exp(-(z * norm.gamma.numpy() + norm.beta.numpy())))
        check(row, np.concatenate([l2(gates * a.sum(axis=0)), highest]))


@pytest.mark.parametrize("kind", AGGREGATORS)
def test_descriptors_have_unit_norm_and_count_shares(kind):
    """Each part has norm 1; showing every frame twice changes nothing."""
    layer = randomized(kind(3))
    once = np.asarray(layer(X, MASK))
    check(np.linalg.norm(once, axis=-1), np.full(3, AGGREGATORS[kind] ** 0.5))
    twice = np.asarray(layer(np.repeat(X, 2, axis=1), np.repeat(MASK, 2, axis=1)))
    np.testing.assert_allclose(twice, once, rtol=1e-4, atol=1e-5)
    assert once.shape[-1] == layer.output_size(X.shape[-1])


def test_fresh_gates_are_a_half():
    gate = ContextGating(4)
    gate.build((None, 4))
    gate.kernel.assign(np.zeros((4, 4)))
    x = X[:, 0, :4]
    check(gate(x), x / 2)


def test_gates_without_the_diagonal_do_not_see_their_own_value():
    gate = randomized(ContextGating(5, remove_diagonal=True), (None, 5))
    gate.kernel.assign(np.diag(np.arange(1.0, 6.0)))
    x = X[:, 0]
    check(gate(x), x / (1 + np.exp(-gate.norm.beta.numpy())))


@pytest.mark.parametrize("source", ["prob", "input"])
def test_gates_raise_no_probability(source):
    values = {"moe_prob_gating": True, "moe_prob_gating_input": source}
    gated = randomized(models.GatedMoeModel(7, **values), (None, 5))
    plain = models.MoeModel(7)
    plain.build((None, 5))
    for name in ("gates", "experts"):
        getattr(plain, name).set_weights(getattr(gated, name).get_weights())
    before, after = np.asarray(plain(X[:, 0])), np.asarray(gated(X[:, 0]))
    assert (after < before).all()


def test_the_mixtures_penalty_is_a_flag():
    """slim's l2_regularizer halves the sum of squares; biases and W have none."""
    model = randomized(models.GatedMoeModel(7, moe_l2=0.5), (None, 5))
    squares = sum(np.sum(d.kernel.numpy() ** 2) for d in (model.gates, model.experts))
    check(sum(model.losses), 0.25 * squares)


def test_no_rank_is_refused():
    with pytest.raises(ValueError, match="--moe_low_rank_gating=0"):
        models.GatedMoeModel(7, moe_low_rank_gating=0)


def test_gates_without_a_hidden_layer_are_refused():
    with pytest.raises(ValueError, match="--gating: gates the hidden layer"):
        models.SoftDBoF((3, 2), fc_dimred=False, gating=True)


# Frames that are read -----------------------------------------------------------------


@pytest.mark.parametrize("released", [False, True])
def test_training_draws_frames_and_prediction_takes_all(released):
    encoder = models.NetVLAD((3, 2), iterations=4, released_code=released)
    taken, mask = encoder.select(X, MASK)
    assert taken.shape[1] == (4 if released else 9)
    check(mask, np.ones((3, 4)) if released else MASK)
    drawn, mask = encoder.select(X, MASK, training=True)
    assert drawn.shape == (3, 4, 5) and np.all(mask)
    for row, video in zip(np.asarray(drawn), frames(), strict=True):
        assert {tuple(f) for f in row} <= {tuple(f) for f in video}


def test_random_sequences_are_as_long_as_their_videos():
    uniform = np.full((3, 5), 0.999, np.float32)
    taken, mask = draw_sequence(X, MASK, uniform)
    check(np.sum(mask, axis=1), [5, 4, 1])
    for row, video in zip(np.asarray(taken), frames(), strict=True):
        check(row, np.repeat(video[-1:], 5, axis=0))


@pytest.mark.parametrize("kind, cell", [("LSTMState", "lstm"), ("GRUState", "gru")])
def test_prediction_spreads_a_random_sequence(kind, cell):
    values = {f"{cell}_random_sequence": True, "iterations": 6}
    encoder = getattr(models, kind)(**values)
    taken, mask = (np.asarray(x) for x in encoder.select(X, MASK))
    check(taken[0], X[0, [0, 2, 3, 5, 6, 8]])
    check(taken[1, :4], X[1, :4])  # as many as there are
    check(taken[2, :1], X[2, :1])
    check(mask.sum(axis=1), [6, 4, 1])


def test_backward_reads_from_the_last_frame():
    forward = randomized(models.GRUState(4, 2))
    backward = randomized(models.GRUState(4, 2, gru_backward=True))
    turned = np.zeros_like(X)
    for row, video in zip(turned, frames(), strict=True):
        row[: len(video)] = video[::-1]
    check(backward(X, MASK), forward(turned, MASK))


# Streams ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "sizes, clusters", [((5,), [8]), ((3, 2), [8, 4]), ((2, 1, 2), [8, 4, 4])]
)
def test_each_modality_has_clusters_of_its_own(sizes, clusters):
    encoder = models.NetVLAD(sizes, netvlad_cluster_size=8, netvlad_hidden_size=6)
    assert encoder(X, MASK).shape == (3, 6)
    assert [stream.clusters for stream in encoder.streams] == clusters


@pytest.mark.parametrize(
    "encoder",
    [
        models.NetVLAD((12, 4), netvlad_cluster_size=8, netvlad_hidden_size=5),
        models.NetFV((12, 4), fv_cluster_size=8, fv_hidden_size=5),
    ],
)
def test_no_tensor_has_frames_times_clusters_times_features(encoder):
    assert 4 * 50 * 16 <= largest_tensor(encoder, 4, 50, 16) < 4 * 50 * 8 * 12


# Counts -------------------------------------------------------------------------------

MOE = {"moe_num_mixtures": 2}
GATED = {**MOE, "moe_prob_gating": True}
COUNTS = [  # descriptor, encoder, and all with 4716 and with 3862 classes
    ("NetVLAD", GATED, 278_528, 286_824_448, 333_229_888, 321_528_380),
    ("NetRVLAD", GATED, 278_528, 286_545_920, 332_951_360, 321_249_852),
    ("NetFV", GATED, 278_528, 286_684_800, 333_090_240, 321_388_732),
    ("SoftDBoF", MOE, 9_000, 17_557_328, 41_712_680, 37_338_492),
    ("GatedDBoF", MOE, 4_608, 17_387_776, 41_543_128, 37_168_940),
    ("GatedDBoF", GATED, 4_608, 17_387_776, 63_793_216, 52_091_708),
    ("GRUState", MOE, 2_400, 17_114_400, 73_715_832, 63_466_124),
    ("LSTMState", MOE, 4_096, 17_309_696, 113_902_808, 96_411_180),
]


@pytest.mark.parametrize(
    "name, values, descriptor, encoder, total_2017, total_2018", COUNTS
)
def test_counts(name, values, descriptor, encoder, total_2017, total_2018):
    facts = () if name.endswith("State") else ((1024, 128),)
    built = getattr(models, name)(*facts)
    assert count_built(built, (None, None, 1152)) == encoder
    shape = (None, descriptor)
    if facts:
        assert built.hidden.kernel.shape[0] == descriptor
        shape = (None, 1024)
    for classes, total in ((4716, total_2017), (3862, total_2018)):
        classifier = models.GatedMoeModel(classes, **values)
        assert encoder + count_built(classifier, shape) == total


def test_an_unknown_gating_input_is_told():
    data = DataConfig(("rgb",), (5,), True, num_classes=7)
    values = {"moe_prob_gating_input": "probs"}
    config = ModelConfig("NetVLAD", "GatedMoeModel", hyperparameters=values)
    with pytest.raises(UserError, match="--moe_prob_gating_input=probs: must be prob"):
        models.create(RunConfig(data, config))
