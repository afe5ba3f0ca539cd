"""The models of Tang et al. 2018: formulas in numpy, counts, and what they promise."""

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
from youtube8m.models.tang2018 import nonlocal_residuals
from youtube8m.models.tang2018.nonlocal_residuals import NonLocal

SMALL = {"netvlad_cluster_size": 4, "netvlad_hidden_size": 6, "iterations": 6}


def l2(x):
    return x / np.linalg.norm(x, axis=-1, keepdims=True)


def soft(x):
    x = np.exp(x - x.max(axis=-1, keepdims=True))
    return x / x.sum(axis=-1, keepdims=True)


def related(layer, v, values):
    """V + softmax(tau (V A) (V B)^T) (V G) O of one video."""
    a, b, o = (w.numpy() for w in (layer.queries, layer.keys, layer.out))
    n = soft(layer.scale * (v @ a) @ (v @ b).T)
    return v + n @ (v @ values.numpy()) @ o


def test_rows_see_each_other():
    layer = randomized(NonLocal(2, scale=0.3), X.shape)
    assert layer.values is not layer.keys
    for row, v in zip(layer(X), X, strict=True):
        check(row, related(layer, v, layer.values))


def test_released_rows_take_keys_for_values():
    layer = randomized(NonLocal(2, scale=0.3, values_are_keys=True), X.shape)
    assert [w.name for w in layer.trainable_weights] == ["queries", "keys", "out"]
    for row, v in zip(layer(X), X, strict=True):
        check(row, related(layer, v, layer.keys))


def expected_sums(layer, video, frames):
    """V of one video as of k frames, in numpy."""
    norm = layer.norm
    scores = video @ layer.kernel.numpy() / np.sqrt(1 + 1e-3)
    a = soft(scores * norm.gamma.numpy() + norm.beta.numpy())
    sums = a.T @ video
    if hasattr(layer, "centres"):
        sums -= a.sum(axis=0)[:, None] * layer.centres.numpy()
    return sums * frames / len(video)


@pytest.mark.parametrize("released", [False, True])
@pytest.mark.parametrize(
    "name, units, scale",
    [
        ("NonLocalResiduals", 3, 0.2),
        ("NonLocalKeyedResiduals", 3, 5**-0.5),
        ("NonLocalResidualsFromZero", 2, 5**-0.5),
    ],
)
def test_residuals_are_related_and_then_normalised(name, units, scale, released):
    """G is used, but in the released code's last two forms, which take B for it."""
    kind = getattr(nonlocal_residuals, name)
    given = {"scale": 0.2} if name == "NonLocalResiduals" else {}
    if units != 3:
        given["units"] = units
    layer = randomized(kind(3, 7, released_code=released, **given))
    relate = layer.relate
    assert (relate.units, relate.scale) == (units, scale)
    has_values = not released or name == "NonLocalResiduals"
    assert (relate.values is not relate.keys) == has_values
    for row, x, n in zip(layer(X, MASK), X, LENGTHS, strict=True):
        v = related(relate, expected_sums(layer, x[:n], 7), relate.values)
        np.testing.assert_allclose(row, l2(l2(v).ravel()), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    "name", ["NonLocalNetVLAD", "NonLocalNetRVLAD", "NonLocalEarlyNetVLAD"]
)
def test_every_frame_twice_changes_nothing(name):
    encoder = randomized(getattr(models, name)((3, 2), **SMALL))
    once = np.asarray(encoder.aggregate(X, MASK))
    twice = [np.repeat(x, 2, axis=1) for x in (X, MASK)]
    np.testing.assert_allclose(encoder.aggregate(*twice), once, rtol=1e-4, atol=1e-5)
    norm = 1.0 if name == "NonLocalEarlyNetVLAD" else 2**0.5
    check(np.linalg.norm(once, axis=-1), np.full(3, norm))


def test_prediction_is_that_of_as_many_frames_as_training_draws():
    """A video's frames, each k / n times, are the k that training draws on average."""
    encoder = randomized(models.NonLocalNetVLAD((3, 2), **SMALL))
    found = np.asarray(encoder.aggregate(X[:1, :3], MASK[:1, :3]))
    drawn = np.repeat(X[:1, :3], 2, axis=1)  # 6 frames, as `iterations`
    check(encoder.aggregate(drawn, np.ones((1, 6), bool)), found)
    sums = [s.sum_frames for s in encoder.streams]
    weights = np.full((1, 3, 4), 0.25, np.float32)
    scaled = np.asarray(sums[0](X[:1, :3, :3], weights))
    more = np.asarray(sums[0](drawn[..., :3], np.full((1, 6, 4), 0.25, np.float32)))
    check(scaled, more)


@pytest.mark.parametrize("released", [False, True])
def test_training_draws_frames_and_prediction_takes_all(released):
    encoder = models.NonLocalNetVLAD((3, 2), **SMALL, released_code=released)
    taken, _ = encoder.select(X, MASK)
    assert taken.shape[1] == (6 if released else 9)
    drawn, mask = encoder.select(X, MASK, training=True)
    assert drawn.shape == (3, 6, 5) and np.all(mask)


@pytest.mark.parametrize(
    "name, sizes, units",
    [
        ("NonLocalNetVLAD", (3, 2), [4, 2]),
        ("NonLocalNetRVLAD", (3, 2), [1, 1]),
        ("NonLocalEarlyNetVLAD", (3, 2), [4]),
        ("NonLocalNetVLAD", (5,), [4]),
        ("NonLocalEarlyNetVLAD", (5,), [4]),
    ],
)
def test_each_modality_has_matrices_of_its_own(name, sizes, units):
    encoder = getattr(models, name)(sizes, **SMALL)
    assert encoder(X, MASK).shape == (3, 6)
    assert [stream.relate.units for stream in encoder.streams] == units


def test_no_tensor_has_frames_times_clusters_times_features():
    values = {"netvlad_cluster_size": 8, "netvlad_hidden_size": 5}
    encoder = models.NonLocalNetVLAD((12, 4), **values)
    assert 4 * 50 * 16 <= largest_tensor(encoder, 4, 50, 16) < 4 * 50 * 8 * 12


# Gated NetVLAD's with 64 and 32 clusters, and A, B, G and O of both modalities.
LAYERS = 2 * 1152 + 2 * 64 * 1024 + 2 * 64 + 2 * 32 * 128 + 2 * 32
FUSION = (64 * 1024 + 32 * 128 + 1) * 1024 + 1024 * 1024 + 2 * 1024
EARLY = 2 * 1152 + 2 * 64 * 1152 + 2 * 64 + 4 * 1152 * 64
COUNTS = [
    ("NonLocalNetVLAD", LAYERS + FUSION + 4 * (64 * 1024 + 32 * 128)),
    (
        "NonLocalNetRVLAD",
        LAYERS - 64 * 1024 - 32 * 128 + FUSION + 4 * (1024 * 512 + 128 * 64),
    ),
    (
        "NonLocalEarlyNetVLAD",
        EARLY + (64 * 1152 + 1) * 1024 + 1024 * 1024 + 2 * 1024,
    ),
]


@pytest.mark.parametrize("name, expected", COUNTS)
def test_counts(name, expected):
    encoder = getattr(models, name)((1024, 128))
    assert count_built(encoder, (None, None, 1152)) == expected


def test_the_count_of_the_submitted_model():
    """Its encoder, eight experts of 3862 classes, and the gates on probabilities."""
    encoder = count_built(models.NonLocalNetVLAD((1024, 128)), (None, None, 1152))
    classifier = models.GatedMoeModel(3862, moe_num_mixtures=8, moe_prob_gating=True)
    total = encoder + count_built(classifier, (None, 1024))
    moe = 1024 * 17 * 3862 + 8 * 3862 + 3862 * 3862 + 2 * 3862
    assert (encoder, total) == (COUNTS[0][1], COUNTS[0][1] + moe)
    assert (encoder, total) == (72_775_104, 154_958_464)
