"""The models of Zou et al. 2017 against a few lines of numpy."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.helpers import layers, reference
from tests.helpers.all_models import FRAMES, NUM_CLASSES, VERTICALS
from tests.helpers.reference import normalized
from youtube8m import models
from youtube8m.config import DataConfig, ModelConfig, RunConfig
from youtube8m.errors import UserError
from youtube8m.layers.recurrent import BidirectionalStack

SIZES = (5, 3)  # of the modalities
LENGTHS = np.array([9, 4, 1])


def random_frames(lengths=LENGTHS):
    """Frames [B, T, D] as encoders get them, and their mask."""
    rng = np.random.default_rng(0)
    mask = np.arange(max(lengths)) < lengths[:, None]
    frames = normalized(rng.normal(size=(*mask.shape, sum(SIZES))))
    return np.where(mask[..., None], frames, 0).astype(np.float32), mask


def encoder(name, size=8, **values):
    """An encoder with random weights, biases and gains included."""
    encoder = models.ENCODERS.get(name)(**values)
    return layers.randomized(encoder, (None, None, size), scale=1)


def small(name, **values):
    return encoder(name, lstm_cells=4, top_lstm_cells=3, **values)


def check(encoder, expected_of_video, lengths=LENGTHS):
    """Each descriptor depends only on the real frames of its video."""
    frames, mask = random_frames(lengths)
    expected = [expected_of_video(x[:n]) for x, n in zip(frames, lengths, strict=True)]
    np.testing.assert_allclose(encoder(frames, mask), expected, rtol=1e-4, atol=1e-5)


def bilstm(x, stack):
    """A level of a BidirectionalStack: outputs [n, 2 H], and the last of each [2 H]."""
    forward, backward = (direction.layers[0] for direction in stack)
    step = reference.LAYERS[type_of(forward)]
    there, back, _, _ = reference.bidirectional(x, forward, backward, step)
    outputs = np.concatenate([there, back], axis=-1)
    return outputs, np.concatenate([there[-1], back[0]])


def type_of(layer):
    return "lstm" if isinstance(layer, keras.layers.LSTM) else "layer_norm_lstm"


def two_bilstms(encoder, x):
    outputs, _ = bilstm(x, encoder.bottom.levels[0])
    return bilstm(outputs, encoder.top.levels[0])


@pytest.mark.parametrize("layer_norm", [True, False])
def test_stacked_bilstm(layer_norm):
    layer = small("StackedBiLSTMLN", layer_norm=layer_norm)
    check(layer, lambda x: two_bilstms(layer, x)[1])


def test_stacked_bilstm_is_an_interleaved_stack():
    layer = small("StackedBiLSTMLN", layer_norm=False)
    stack = BidirectionalStack((4, 3), interleaved=True)
    frames, mask = random_frames()
    stack.build(frames.shape)
    stack.set_weights(layer.get_weights())
    np.testing.assert_array_equal(layer(frames, mask), stack(frames, mask)[1].h)


def test_released_code_differs_for_plain_cells_only():
    """Forward half of the second layer; with layer normalisation both."""
    layer = small("StackedBiLSTMLN", layer_norm=False, released_code=True)

    def forward(x):
        outputs, _ = bilstm(x, layer.bottom.levels[0])
        return reference.lstm(outputs, layer.top.layers[0])[1]

    check(layer, forward)
    layer = small("StackedBiLSTMLN", released_code=True)
    check(layer, lambda x: two_bilstms(layer, x)[1])


@pytest.mark.parametrize(
    "length, positions",
    [(45, (14, 29, 44)), (9, (2, 5, 8)), (4, (0, 1, 3)), (1, (0,) * 3)],
)
def test_segment_attention(length, positions):
    layer = small("SegmentAttentionBiLSTM")

    def mean_of_thirds(x):
        outputs, _ = two_bilstms(layer, x)
        return outputs[list(positions)].mean(axis=0)

    check(layer, mean_of_thirds, lengths=np.array([length]))


def test_released_segment_attention_reads_two_fixed_frames():
    layer = small("SegmentAttentionBiLSTM", released_code=True)

    def two_frames(x):
        outputs, _ = bilstm(x, layer.bottom.levels[0])
        outputs, _, _ = reference.lstm(outputs, layer.top.layers[0])
        outputs = np.pad(outputs, ((0, 45), (0, 0)))
        return 0.33 * outputs[29] + 0.66 * outputs[44]

    check(layer, two_frames, lengths=np.array([50, 31, 4]))


def late_fusion(**values):
    sizes = {"visual_lstm_cells": 4, "audio_lstm_cells": 2, "top_lstm_cells": 3}
    return encoder("LateFusionLSTM", feature_sizes=SIZES, **sizes, **values)


@pytest.mark.parametrize("layer_norm", [False, True])
def test_late_fusion(layer_norm):
    layer = late_fusion(layer_norm=layer_norm)
    step = reference.layer_norm_lstm if layer_norm else reference.lstm

    def fused(x):
        visual, _, _ = step(normalized(x[:, :5]), layer.visual.layers[0])
        audio, _, _ = step(normalized(x[:, 5:]), layer.audio.layers[0])
        both = np.concatenate([visual, audio], axis=-1)
        return step(both, layer.top.layers[0])[1]

    check(layer, fused)


@pytest.mark.parametrize("code", [{"released_code": True}, {"bidirectional": True}])
def test_late_fusion_of_the_code(code):
    layer = late_fusion(layer_norm=True, **code)

    def fused(x):
        visual, _ = bilstm(normalized(x[:, :5]), layer.visual.levels[0])
        audio, _ = bilstm(normalized(x[:, 5:]), layer.audio.levels[0])
        both = np.concatenate([visual, audio], axis=-1)
        return reference.layer_norm_lstm(both, layer.top.layers[0])[1]

    check(layer, fused)


def test_late_fusion_needs_two_modalities():
    data = DataConfig(("rgb",), (12,), True, num_classes=7)
    with pytest.raises(UserError, match="LateFusionLSTM takes two modalities"):
        models.create(RunConfig(data, ModelConfig("LateFusionLSTM")))


@pytest.mark.parametrize("layers", [1, 2])
def test_per_vertical(layers):
    verticals = (0,) * 7 + (1,) * 2
    layer = encoder(
        "PerVerticalBiLSTM",
        verticals=verticals,
        min_lstm_cells=2,
        lstm_layers=layers,
    )
    assert layer.cells() == [(4,) * layers, (2,) * layers]  # floor(0.7 * 7), minimum
    frames, mask = random_frames()
    for stack, descriptor in zip(layer.stacks, layer(frames, mask), strict=True):
        for x, n, actual in zip(frames, LENGTHS, descriptor, strict=True):
            outputs = x[:n]
            for level in stack.levels:
                outputs, expected = bilstm(outputs, level)
            np.testing.assert_allclose(actual, expected, rtol=1e-4, atol=1e-5)


# The autoencoder -------------------------------------------------------------------


def autoencoder(**values):
    return small(
        "CrossModalAutoencoder", feature_sizes=SIZES, decoder_lstm_cells=4, **values
    )


def test_autoencoder():
    layer = autoencoder()
    frames, mask = random_frames()
    outputs = layer(frames, mask)
    for row, (x, n) in enumerate(zip(frames, LENGTHS, strict=True)):
        encoded, final = two_bilstms(layer, normalized(x[:n, :5]))
        decoded, _, _ = reference.layer_norm_lstm(encoded, layer.decoder.layers[0])
        kernel, bias = layer.reconstruct.get_weights()
        error = np.mean((decoded @ kernel + bias - x[:n]) ** 2)
        np.testing.assert_allclose(outputs["descriptor"][row], final, rtol=1e-4)
        np.testing.assert_allclose(
            outputs["reconstruction_error"][row], error, rtol=1e-4
        )
    losses = layer.auxiliary_losses(outputs, {})
    assert losses == {"reconstruction": outputs["reconstruction_error"]}


def test_a_classifier_can_start_from_the_autoencoder():
    """The same variables by name, and the same descriptors of visual features."""
    pretrained, start = autoencoder(), small("StackedBiLSTMLN", size=SIZES[0])

    def by_name(layer):
        return {w.path.removeprefix(layer.path): w for w in layer.weights}

    for name, weight in by_name(start).items():
        weight.assign(by_name(pretrained)[name])
    frames, mask = random_frames()
    visual = np.where(mask[..., None], frames[..., :5], 1)
    visual = np.where(mask[..., None], normalized(visual), 0)
    np.testing.assert_allclose(
        start(visual, mask), pretrained(frames, mask)["descriptor"], rtol=1e-5
    )


@pytest.mark.parametrize(
    "names, sizes",
    [
        pytest.param(("rgb", "audio"), (12, 4), marks=pytest.mark.slow),
        (("x",), (16,)),
    ],
)
def test_autoencoder_trains_on_bytes_of_any_modalities(names, sizes):
    data = DataConfig(names, sizes, True, num_classes=NUM_CLASSES)
    values = {"lstm_cells": 4, "top_lstm_cells": 3, "decoder_lstm_cells": 5}
    run = RunConfig(data, ModelConfig("CrossModalAutoencoder", hyperparameters=values))
    model = models.create(run)
    batch = {
        "frames": np.random.default_rng(0).integers(0, 256, (3, 9, 16), np.uint8),
        "num_frames": LENGTHS,
    }
    with tf.GradientTape() as tape:
        outputs = model(batch, training=True)
        terms = model.auxiliary_losses(outputs, batch)
    gradients = tape.gradient(terms["reconstruction"], model.trainable_variables)
    assert all(np.abs(gradient).max() > 0 for gradient in gradients)
    padded = dict(batch, frames=np.pad(batch["frames"], ((0, 0), (0, 5), (0, 0))))
    for name, value in model(padded).items():
        np.testing.assert_allclose(value, outputs[name], rtol=1e-5, atol=1e-6)
    copy = type(model).from_config(model.get_config())
    copy(batch)
    copy.set_weights(model.get_weights())
    for name, value in copy(batch).items():
        np.testing.assert_array_equal(value, model(batch)[name])


# Sizes -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name, values, parameters, width",
    [
        ("StackedBiLSTMLN", {"layer_norm": False}, 43_008_000, 2048),
        ("SegmentAttentionBiLSTM", {}, 43_008_000, 2048),
        ("SegmentAttentionBiLSTM", {"released_code": True}, None, 1024),
        ("StackedBiLSTMLN", {"top_lstm_cells": 768}, None, 1536),
        ("StackedBiLSTMLN", {"layer_norm": False, "released_code": True}, None, 1024),
        ("LateFusionLSTM", {}, None, 1200),
    ],
)
def test_sizes_of_the_paper(name, values, parameters, width):
    data = DataConfig(("rgb", "audio"), (1024, 128), True, num_classes=4716)
    config = ModelConfig(name, hyperparameters=values)
    with tf.Graph().as_default():  # makes variables without their values
        model = models.create(RunConfig(data, config))
        assert parameters in (None, models.count_parameters(model.encoder))
        assert model.classifier.gates.kernel.shape == (width, 4716 * 3)
        if width == 2048:
            assert models.count_parameters(model.classifier) == 48_301_272


def test_classes_get_only_the_bilstm_of_their_vertical():
    values = {"min_lstm_cells": 3}
    config = ModelConfig(
        "PerVerticalBiLSTM", hyperparameters=values, verticals=VERTICALS
    )
    model = models.create(RunConfig(FRAMES, config))
    batch = models.dummy_batch(FRAMES, frames=4)
    before = np.asarray(model(batch)["predictions"])
    for weight in model.encoder.stacks[1].weights:
        weight.assign(weight + 1.0)
    changed = (np.asarray(model(batch)["predictions"]) != before)[0]
    np.testing.assert_array_equal(changed, np.array(VERTICALS) == 1)


def test_verticals_at_the_end_may_have_no_class():
    encoder = models.PerVerticalBiLSTM(
        (0, 0, 1), cells_per_class=2.0, min_lstm_cells=3, num_verticals=4
    )
    assert encoder.cells() == [(4,), (3,), (3,), (3,)]
