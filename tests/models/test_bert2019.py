"""The transformers of 2019: formulas in numpy, counts, and what they promise."""

import math

import keras
import numpy as np
import pytest

from tests.helpers.layers import LENGTHS, MASK, X, check, count_built, randomized
from youtube8m import models
from youtube8m.config import DataConfig, ModelConfig, RunConfig
from youtube8m.errors import UserError
from youtube8m.models.bert2019.transformer import PostNormLayer, sinusoids

X6 = np.concatenate([X, X[..., :1] * 0.5], axis=-1)  # [3, 9, 6], for two heads
SMALL = {
    "bert_hidden_layer": 2,
    "bert_attention_heads": 2,
    "bert_intermediate_size": 4,
    "iterations": 3,
}


def soft(x):
    x = np.exp(x - x.max(axis=-1, keepdims=True))
    return x / x.sum(axis=-1, keepdims=True)


def layer_norm(norm, x):
    x = x - x.mean(axis=-1, keepdims=True)
    x = x / np.sqrt((x**2).mean(axis=-1, keepdims=True) + 1e-12)
    return x * norm.gamma.numpy() + norm.beta.numpy()


def gelu(x):
    return 0.5 * x * (1 + np.vectorize(math.erf)(x / np.sqrt(2)))


def dense(layer, x):
    return x @ layer.kernel.numpy() + layer.bias.numpy()


def transformed(layer, x):
    """PostNormLayer on the frames of one video, all of which are looked at."""
    weights = {
        w.path.split("attention/")[-1]: w.numpy() for w in layer.attention.weights
    }
    parts = {
        name: np.einsum("td,dhk->htk", x, weights[f"{name}/kernel"])
        + weights[f"{name}/bias"][:, None]
        for name in ("query", "key", "value")
    }
    size = parts["query"].shape[-1]
    shares = soft(parts["query"] @ parts["key"].transpose(0, 2, 1) / np.sqrt(size))
    found = np.einsum(
        "htk,hkd->td", shares @ parts["value"], weights["attention_output/kernel"]
    )
    y = layer_norm(layer.norms[0], x + found + weights["attention_output/bias"])
    hidden = gelu(dense(layer.hidden, y))
    return layer_norm(layer.norms[1], y + dense(layer.output_layer, hidden))


def close(found, expected):
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


def test_layer():
    layer = randomized(PostNormLayer(heads=2, units=4), X6.shape)
    found = layer(X6, MASK)
    for row, x, n in zip(np.asarray(found), X6, LENGTHS, strict=True):
        close(row[:n], transformed(layer, x[:n]))


def pooled(encoder, z):
    if encoder.pooling_strategy == "mean":
        return z.mean(axis=0)
    if encoder.pooling_strategy == "last":
        return z[-1]
    weights = soft((z @ encoder.query.numpy())[:, 0] / np.sqrt(z.shape[-1]))
    return weights @ z


@pytest.mark.parametrize("released", [False, True])
@pytest.mark.parametrize("pooling", ["mean", "last", "attention"])
def test_encoder(pooling, released):
    """The released code looks at padding, and pools it, too."""
    encoder = models.BertEncoder(
        **SMALL, pooling_strategy=pooling, released_code=released, max_frames=11
    )
    encoder = randomized(encoder, X6.shape)
    frames, mask = encoder.select(X6, MASK)
    for row, x, n in zip(encoder(frames, mask), X6, LENGTHS, strict=True):
        z = np.pad(x[:n], [(0, 11 - n), (0, 0)]) if released else x[:n]
        for layer in encoder.layers:
            z = transformed(layer, z)
        close(row, pooled(encoder, z))


def test_cross_encoder():
    encoder = models.BertCrossEncoder((4, 2), **SMALL)
    encoder = randomized(encoder, X6.shape)
    assert [len(layers) for layers in encoder.streams] == [1, 1]
    for row, x, n in zip(encoder(X6, MASK), X6, LENGTHS, strict=True):
        parts = np.split(x[:n], [4], axis=1)
        parts = [
            transformed(layer, part)
            for [layer], part in zip(encoder.streams, parts, strict=True)
        ]
        [joint] = encoder.layers
        close(row, transformed(joint, np.concatenate(parts, axis=1)).mean(axis=0))


def test_frames_know_their_place_only_with_positions():
    turned = X6[:1, ::-1]
    for positions, same in (("none", True), ("learned", False), ("sines", False)):
        encoder = models.BertEncoder(**SMALL, bert_positions=positions)
        encoder = randomized(encoder, X6.shape)
        found = [encoder(x, MASK[:1]) for x in (X6[:1], turned)]
        assert np.allclose(*found, atol=1e-4) == same, positions


def test_positions_are_added_to_frames():
    plain = randomized(models.BertEncoder(**SMALL), X6.shape)
    for positions in ("learned", "sines"):
        encoder = models.BertEncoder(**SMALL, bert_positions=positions)
        encoder = randomized(encoder, X6.shape)
        for one, other in zip(encoder.layers, plain.layers, strict=True):
            other.set_weights(one.get_weights())
        places = sinusoids(9, 6) if positions == "sines" else encoder.positions[:9]
        close(encoder(X6, MASK), plain(X6 + np.asarray(places), MASK))


def test_sinusoids():
    found = np.asarray(sinusoids(4, 6))
    for t in range(4):
        for pair in range(3):
            angle = t / 10000 ** (2 * pair / 6)
            check(found[t, 2 * pair : 2 * pair + 2], [np.sin(angle), np.cos(angle)])


def test_frames_after_the_last_place_have_that(monkeypatch):
    monkeypatch.setattr("youtube8m.models.bert2019.encoders.POSITIONS", 4)
    encoder = models.BertEncoder(**SMALL, bert_positions="learned")
    encoder = randomized(encoder, X6.shape)
    assert encoder.positions.shape == (4, 6)
    places = encoder._place(np.zeros((1, 9, 6), np.float32))
    check(places[0], encoder.positions.numpy()[[0, 1, 2, 3, 3, 3, 3, 3, 3]])


@pytest.mark.parametrize("released", [False, True])
def test_training_draws_a_run_and_prediction_takes_all(released):
    keras.utils.set_random_seed(1)
    encoder = models.BertEncoder(iterations=5, released_code=released)
    drawn, mask = (np.asarray(x) for x in encoder.select(X6, MASK, training=True))
    assert drawn.shape == (3, 5, 6)
    start = np.flatnonzero((X6[0] == drawn[0, 0]).all(axis=1))[0]
    check(drawn[0], X6[0, start : start + 5])
    check(drawn[1, :4], X6[1, :4])  # shorter than the run
    check(drawn[1, 4], X6[1, 3])
    check(mask.sum(axis=1), [5, 5, 5] if released else [5, 4, 1])
    taken, mask = encoder.select(X6, MASK)
    check(taken, X6)


def test_independent_frames_are_all_there():
    encoder = models.BertEncoder(iterations=5, sample_random_frames=True)
    drawn, mask = encoder.select(X6, MASK, training=True)
    assert np.all(mask)
    for row, x, n in zip(np.asarray(drawn), X6, LENGTHS, strict=True):
        assert {tuple(f) for f in row} <= {tuple(f) for f in x[:n]}


@pytest.mark.parametrize(
    "name, values, message",
    [
        ("BertEncoder", {}, "--bert_attention_heads=12: must divide the 5 values"),
        (
            "BertEncoder",
            {"pooling_strategy": "first"},
            "--pooling_strategy=first: must",
        ),
        (
            "BertEncoder",
            {"bert_positions": "yes"},
            "--bert_positions=yes: must be none",
        ),
    ],
)
def test_values_that_do_not_fit_are_told(name, values, message):
    data = DataConfig(("rgb",), (5,), True, num_classes=7)
    config = ModelConfig(name, hyperparameters=values)
    with pytest.raises((UserError, ValueError), match=message):
        models.create(RunConfig(data, config))


def layers(size, units=3072):
    """Parameters of one PostNormLayer on frames of that size."""
    attention = 4 * (size + 1) * size
    return attention + (size + 1) * units + (units + 1) * size + 4 * size


COUNTS = [
    ("BertEncoder", (), {}, 24_799_488),
    ("BertEncoder", (), {"pooling_strategy": "attention"}, 2 * layers(1152) + 1152),
    (
        "BertEncoder",
        (),
        {"bert_hidden_layer": 3, "bert_positions": "learned"},
        3 * layers(1152) + 512 * 1152,
    ),
    (
        "BertCrossEncoder",
        ((1024, 128),),
        {},
        layers(1024) + layers(128) + layers(1152),
    ),
]


@pytest.mark.parametrize("name, facts, values, expected", COUNTS)
def test_counts(name, facts, values, expected):
    encoder = getattr(models, name)(*facts, **values)
    assert count_built(encoder, (None, None, 1152)) == expected
