"""The models of today's standard: formulas in numpy, and what they promise."""

import math

import keras
import numpy as np
import pytest

from tests.helpers.layers import LENGTHS, MASK, X, check, largest_tensor, randomized
from tests.helpers.reference import sigmoid, softmax
from youtube8m import models
from youtube8m.models import VideoModel
from youtube8m.models.today.encoders import TransformerBlock, positions

SMALL = {"transformer_size": 6, "transformer_layers": 2, "attention_heads": 2}
DIRTY = np.where(MASK[..., None], X, 7.0).astype(np.float32)
WIDE = np.random.default_rng(2).normal(size=(3, 9, 6)).astype(np.float32)


def dense(layer, x):
    y = x @ layer.kernel.numpy()
    return y if layer.bias is None else y + layer.bias.numpy()


def normalize(norm, x):
    """Batch normalisation with fresh statistics."""
    return x / np.sqrt(1 + 1e-3) * norm.gamma.numpy() + norm.beta.numpy()


def layer_norm(norm, x):
    mean, variance = x.mean(axis=-1, keepdims=True), x.var(axis=-1, keepdims=True)
    normal = (x - mean) / np.sqrt(variance + norm.epsilon)
    return normal * norm.gamma.numpy() + norm.beta.numpy()


def gelu(x):
    return x * 0.5 * (1 + np.vectorize(math.erf)(x / math.sqrt(2)))


def attend(layer, x):
    """Multi-head attention of real frames [T, H] with each other."""
    weights = {
        w.path.split("/")[-2:][0] + "/" + w.name: w.numpy() for w in layer.weights
    }
    q, k, v = (
        np.einsum("td,dnh->nth", x, weights[f"{name}/kernel"])
        + weights[f"{name}/bias"][:, None]
        for name in ("query", "key", "value")
    )
    shares = softmax(np.einsum("nth,nsh->nts", q, k) / np.sqrt(q.shape[-1]), axis=-1)
    heads = np.einsum("nts,nsh->tnh", shares, v)
    out = np.einsum("tnh,nhd->td", heads, weights["attention_output/kernel"])
    return out + weights["attention_output/bias"]


def through(block, x):
    """A block without dropout on real frames [T, H]."""
    x = x + attend(block.attention, layer_norm(block.attention_norm, x))
    hidden = gelu(dense(block.expand, layer_norm(block.mlp_norm, x)))
    return x + dense(block.shrink, hidden)


def test_a_block():
    block = randomized(TransformerBlock(2, 0.1, 0.5), WIDE.shape)
    found = block(WIDE, MASK)
    for row, x, n in zip(found, WIDE, LENGTHS, strict=True):
        expected = through(block, x[:n])
        np.testing.assert_allclose(row[:n], expected, rtol=1e-4, atol=1e-4)


def test_frame_transformer():
    encoder = randomized(models.FrameTransformer(**SMALL))
    found = encoder(X, MASK)
    for row, x, n in zip(found, X, LENGTHS, strict=True):
        y = dense(encoder.project, normalize(encoder.input_norm, x[:n]))
        y = y + np.asarray(positions(n, 6))
        for block in encoder.blocks:
            y = through(block, y)
        y = layer_norm(encoder.norm, y)
        scores = np.tanh(y) @ encoder.pool.query.numpy()
        expected = softmax(scores[:, 0], axis=0) @ y
        np.testing.assert_allclose(row, expected, rtol=1e-3, atol=1e-3)


def test_positions():
    t, rate = 3, 10000 ** (-1 / 3)
    found = np.asarray(positions(5, 5))[t]
    waves = [np.sin(t), np.sin(t * rate), np.sin(t * rate**2)]
    check(found, [*waves, np.cos(t), np.cos(t * rate)])


def test_the_order_of_frames_counts():
    encoder = randomized(models.FrameTransformer(**SMALL))
    whole = np.ones((3, 9), bool)
    frames = np.random.default_rng(1).normal(size=X.shape).astype(np.float32)
    one, other = encoder(frames, whole), encoder(frames[:, ::-1], whole)
    assert not np.allclose(one, other, atol=1e-2)


def test_stochastic_depth_skips_a_block_for_whole_examples():
    """In training a video's update is 0, or twice as large where half are dropped."""
    keras.utils.set_random_seed(3)
    block = randomized(TransformerBlock(2, 0.0, 0.5), WIDE.shape)
    x = np.repeat(WIDE[:1], 64, axis=0)
    mask = np.ones(x.shape[:2], bool)
    block.shrink.kernel.assign(np.zeros((24, 6)))  # leaves the attention's update
    block.shrink.bias.assign(np.zeros(6))
    update = np.asarray(block(x, mask, training=True)) - x
    doubled = 2 * (np.asarray(block(x, mask)) - x)
    skipped = ~update.any(axis=(1, 2))
    assert 10 < skipped.sum() < 54
    np.testing.assert_allclose(
        update[~skipped], doubled[~skipped], rtol=1e-3, atol=1e-4
    )


def test_later_blocks_are_dropped_more_often():
    values = {"transformer_layers": 3, "stochastic_depth": 0.2}
    encoder = randomized(models.FrameTransformer(**{**SMALL, **values}))
    check([block.drop_path for block in encoder.blocks], [0.0, 0.1, 0.2])


@pytest.mark.parametrize(
    "encoder",
    [
        lambda: models.FrameTransformer(**SMALL),
        lambda: models.FrameMlp(6, 2),
    ],
)
def test_padding_of_any_value_changes_nothing(encoder):
    """Not even the statistics of batch normalisation in training."""
    encoder, found = randomized(encoder()), []
    for frames in (X, DIRTY):
        descriptor = encoder(frames, MASK)
        if isinstance(descriptor, dict):
            descriptor = np.where(MASK[..., None], descriptor["descriptor"], 0.0)
        found.append(descriptor)
    check(*found)
    encoder(DIRTY, MASK, training=True)
    real = X[MASK]
    check(encoder.input_norm.moving_mean, 0.9 * real.mean(axis=0))


def test_frame_mlp():
    encoder = randomized(models.FrameMlp(6, 3))
    found = encoder(X, MASK)
    h = normalize(encoder.input_norm, X)
    for layer, norm in zip(encoder.layers, encoder.norms, strict=True):
        h = np.maximum(normalize(norm, dense(layer, h)), 0)
    np.testing.assert_allclose(found["descriptor"], h, rtol=1e-4, atol=1e-5)
    check(found["frame_mask"], MASK)


def test_each_class_attends_to_frames_of_its_own():
    model = randomized(models.AttentiveLogisticModel(7), X.shape)
    found = model(X, MASK)
    for row, x, n in zip(found, X, LENGTHS, strict=True):
        shares = softmax(dense(model.attention, x[:n]), axis=0)
        check(row, (shares * sigmoid(dense(model.logits, x[:n]))).sum(axis=0))


def test_a_single_descriptor_needs_no_attention():
    model = randomized(models.AttentiveLogisticModel(7), (None, 5))
    assert model.attention is None
    check(model(X[:, 0]), sigmoid(dense(model.logits, X[:, 0])))


def test_a_video_model_hands_frames_to_what_weighs_them():
    """And averages the predictions of frames of any other classifier."""
    batch = {"frames": X, "num_frames": np.array(LENGTHS)}
    for cls in (models.AttentiveLogisticModel, models.LogisticModel):
        classifier = cls(7)
        model = VideoModel(
            classifier, models.FrameMlp(6, 1), input_transform="none", name="model"
        )
        outputs = model(batch)
        frames = np.asarray(outputs["descriptor"])
        if cls is models.AttentiveLogisticModel:
            expected = classifier(frames, MASK)
        else:
            each = np.asarray(classifier(frames)) * MASK[..., None]
            expected = each.sum(axis=1) / np.array(LENGTHS)[:, None]
        assert outputs["predictions"].shape == (3, 7)
        check(outputs["predictions"], expected)


@pytest.mark.parametrize("count", [1, 3])
def test_residual_mlp(count):
    model = models.ResidualMlpModel(
        7, residual_mlp_size=6, residual_mlp_layers=count, residual_mlp_dropout=0.9
    )
    model = randomized(model, (None, 5))
    h = normalize(model.input_norm, X[:, 0])
    for number, layer in enumerate(model.layers):
        update = np.maximum(normalize(model.norms[number], dense(layer, h)), 0)
        h = h + update if number else update
    np.testing.assert_allclose(model(X[:, 0]), sigmoid(dense(model.logits, h)), 1e-4)


def test_no_tensor_has_frames_times_frames_times_features():
    encoder = models.FrameTransformer(32, 1, 2)
    # Each of 2 heads has a share for each pair of frames.
    assert largest_tensor(encoder, 2, 40, 8) < 2 * 40 * 40 * 32


@pytest.mark.parametrize(
    "build",
    [
        lambda: models.FrameTransformer(drop_rate=1.0),
        lambda: models.FrameTransformer(stochastic_depth=1.0),
        lambda: models.FrameMlp(drop_rate=-0.1),
        lambda: models.ResidualMlpModel(7, residual_mlp_dropout=1.0),
    ],
)
def test_shares_that_are_none_are_refused(build):
    with pytest.raises(ValueError, match="must be from 0 to 1, but not 1"):
        build()
