"""The models of Zhao against numpy, video by video."""

import numpy as np
import pytest

from tests.helpers import reference
from tests.helpers.layers import LENGTHS, MASK, X, check_recurrent, randomized
from youtube8m import models
from youtube8m.models.zhao2019.encoders import (
    BiGRUAttention,
    ModalityFusion,
    StackedBiGRU,
    StackedBiLSTM,
)

SIZES = (3, 2)
ENCODERS = [StackedBiLSTM, StackedBiGRU, BiGRUAttention]


@pytest.mark.parametrize("cls, cell", [(StackedBiLSTM, "lstm"), (StackedBiGRU, "gru")])
@pytest.mark.parametrize("interleaved", [False, True])
def test_stacks(cls, cell, interleaved):
    encoder = randomized(cls(SIZES, 4, 2, interleaved))
    result = encoder(X, MASK)["descriptor"]
    step = reference.LAYERS[cell]
    for b, n in enumerate(LENGTHS):
        there, back = X[b, :n], X[b, :n][::-1]
        pairs = [
            pair
            for forward, backward in encoder.stack.levels
            for pair in zip(forward.layers, backward.layers, strict=True)
        ]
        for forward, backward in pairs:
            (there, h, *_), (back, g, *_) = step(there, forward), step(back, backward)
            if interleaved:
                there = np.concatenate([there, back[::-1]], axis=1)
                back = there[::-1]
        check_recurrent(result[b], np.concatenate([h, g]))


def test_attention():
    encoder = randomized(BiGRUAttention(SIZES, 6, 4, 1, 3))
    result = encoder(X, MASK)["descriptor"]
    ((forward, backward),) = encoder.stack.levels
    kernel, bias = encoder.attention.hidden.get_weights()
    for b, n in enumerate(LENGTHS):
        x = X[b, :n] @ encoder.embedding.get_weights()[0]
        there, back, *_ = reference.bidirectional(
            x, forward.layers[0], backward.layers[0], reference.gru
        )
        h = np.concatenate([there, back], axis=1)
        weights = reference.softmax(
            np.tanh(h @ kernel + bias) @ encoder.attention.query
        )
        check_recurrent(result[b], weights[:, 0] @ h)


@pytest.mark.parametrize("mode", ["concat", "shared", "projection"])
def test_fusion(mode):
    fusion = randomized(ModalityFusion(SIZES, mode, 4))
    fused, distance = fusion(X, MASK)
    assert fused.shape[-1] == fusion.output_size
    if mode == "concat":
        np.testing.assert_array_equal(fused, X)
        return
    parts = X[..., :3], X[..., 3:]
    pairs = zip(parts, fusion.maps, strict=True)
    v, a = (part @ layer.get_weights()[0] for part, layer in pairs)
    if mode == "shared":
        check_recurrent(fused, v + a)
        return
    check_recurrent(fused, np.concatenate([v, a], axis=-1))
    squares = ((v - a) ** 2).sum(axis=-1)
    check_recurrent(distance, [squares[b, :n].mean() for b, n in enumerate(LENGTHS)])


def test_maps_start_small():
    fusion = ModalityFusion((200, 100), "shared", 300)
    fusion.build((None, None, 300))
    assert len(fusion.maps) == 2
    for layer in fusion.maps:
        (kernel,) = layer.get_weights()
        assert kernel.std() == pytest.approx(0.01, rel=0.05)


@pytest.mark.parametrize("cls", ENCODERS)
def test_only_the_projection_has_a_distance_loss(cls):
    encoder = cls(SIZES, modality_fusion="projection", projection_weight=0.5)
    outputs = {"projection_distance": np.float32([1, 2, 3])}
    losses = encoder.auxiliary_losses(outputs, {})
    np.testing.assert_allclose(losses["projection_distance"], [0.5, 1, 1.5])
    assert cls(SIZES).auxiliary_losses({}, {}) == {}


@pytest.mark.parametrize("cls", ENCODERS)
@pytest.mark.parametrize("mode", ["shared", "projection"])
def test_one_modality_cannot_be_fused(cls, mode):
    with pytest.raises(ValueError, match=f"--modality_fusion={mode}: .* gives 1; "):
        cls((5,), modality_fusion=mode)
    with pytest.raises(ValueError, match="--modality_fusion=sum"):
        cls((5,), modality_fusion="sum")


@pytest.mark.parametrize("cls", ENCODERS)
def test_one_modality_can_be_concatenated(cls):
    encoder = cls((5,))
    assert encoder.fusion.output_size == 5


def gru_count(inputs, units):
    return 3 * units * (inputs + units + 1)


@pytest.mark.parametrize(
    "encoder, count",
    [
        (
            StackedBiLSTM((1024, 128)),
            2 * 17_309_696,
        ),
        (
            StackedBiGRU((1024, 128)),
            2 * (gru_count(1152, 1024) + gru_count(1024, 1024)),
        ),
        (
            BiGRUAttention((1024, 128)),
            1152 * 1024 + 2 * gru_count(1024, 1024) + 2048 * 1024 + 1024 + 1024,
        ),
    ],
)
def test_counts(encoder, count):
    encoder.build((None, None, 1152))
    assert models.count_parameters(encoder) == count
