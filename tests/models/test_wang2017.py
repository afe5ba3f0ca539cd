"""The models of Wang et al. 2017: formulas in numpy, counts, and what they promise."""

import keras
import numpy as np
import pytest

from tests.helpers.layers import (
    LENGTHS,
    MASK,
    X,
    check,
    check_recurrent,
    count_built,
    randomized,
)
from youtube8m import losses, models
from youtube8m.errors import UserError
from youtube8m.layers.inputs import frame_mask
from youtube8m.models.base import VideoModel
from youtube8m.models.wang2017.causal_filters import CausalFilters, halve

CLASSES = 7
PADDED = np.pad(X, [(0, 0), (0, 3), (0, 0)]), np.pad(MASK, [(0, 0), (0, 3)])


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def l2(x):
    return x / np.sqrt(np.maximum(np.sum(x**2, axis=-1, keepdims=True), 1e-12))


def videos():
    return [x[:n] for x, n in zip(X, LENGTHS, strict=True)]


def moe(layer, x):
    """A MoeModel of two experts in numpy."""
    gates = (x @ layer.gates.kernel.numpy()).reshape(len(x), 3, CLASSES)
    gates = np.exp(gates) / np.exp(gates).sum(axis=1, keepdims=True)
    experts = x @ layer.experts.kernel.numpy() + layer.experts.bias.numpy()
    experts = sigmoid(experts).reshape(len(x), 2, CLASSES)
    return (gates[:, :2] * experts).sum(axis=1)


def dense(layer, x):
    return x @ layer.kernel.numpy() + layer.bias.numpy()


# Filters ------------------------------------------------------------------------------


def filtered(layer, video, rows=None):
    """CausalFilters of widths 1, 2 and 3 in numpy: [T, F]."""
    one, two, three = layer.filters
    kernel = layer.kernel.numpy()
    now, before, earlier = np.split(
        kernel, [one + two + three, one + 2 * two + 2 * three], axis=1
    )
    size, total = kernel.shape[0], one + two + three
    weights = np.zeros((3, size, total))
    weights[0], weights[1, :, one:], weights[2, :, one + two :] = now, before, earlier
    rows = rows or len(video)
    frames = np.zeros((rows + 2, size))
    frames[2 : 2 + len(video)] = video
    return np.stack(
        [
            sum(frames[t + 2 - lag] @ weights[lag] for lag in range(3))
            for t in range(rows)
        ]
    )


def test_causal_filters():
    layer = randomized(CausalFilters((2, 1, 3)))
    found = np.asarray(layer(X))
    assert found.shape == (3, 9, 6)
    for row, video in zip(found, videos(), strict=True):
        check(row[: len(video)], filtered(layer, video))


def test_filters_of_width_one_see_one_frame():
    layer = randomized(CausalFilters((2, 1, 3)))
    changed = X.copy()
    changed[0, 3] += 1.0
    moved = np.abs(np.asarray(layer(changed)) - np.asarray(layer(X)))[0] > 1e-6
    # Frames that see frame 3, by the columns of each width.
    assert [np.flatnonzero(moved[:, c]).tolist() for c in (0, 2, 3)] == [
        [3],
        [3, 4],
        [3, 4, 5],
    ]


@pytest.mark.parametrize("steps", [1, 2, 9, 10])
def test_halves(steps):
    x = np.abs(np.random.default_rng(3).normal(size=(2, steps, 4))).astype("float32")
    lengths = np.array([steps, max(steps // 2, 1)])
    mask = np.arange(steps) < lengths[:, None]
    x = np.where(mask[..., None], x, 0)
    found, left = halve(x, mask)
    check(np.sum(left, axis=1), np.maximum(lengths // 2, 1))
    for row, video, n in zip(np.asarray(found), x, lengths, strict=True):
        for pair in range(max(n // 2, 1)):
            check(row[pair], video[2 * pair : 2 * pair + 2].max(axis=0))


# Chains -------------------------------------------------------------------------------


def chain(**values):
    values = {"deep_chain_layers": 2, "deep_chain_relu_cells": 3, **values}
    return models.DeepCombineChainModel(CLASSES, **values)


def chained(model, descriptors, latest=False):
    """Predictions and supports of a chain in numpy."""
    supports, units = [], []
    for number, d in enumerate(descriptors):
        handed_on = units[-1:] if latest else units
        p = moe(model.moes[number], np.concatenate([d, *handed_on], axis=1))
        if number == len(descriptors) - 1:
            return p, np.concatenate(supports, axis=1)
        supports.append(p)
        units.append(l2(np.maximum(dense(model.reducers[number], p), 0)))


@pytest.mark.parametrize("latest", [False, True])
def test_chain(latest):
    model = randomized(chain(deep_chain_latest=latest), (None, 5))
    outputs = model(X[:, 0])
    predictions, supports = chained(model, [X[:, 0]] * 3, latest)
    check(outputs["predictions"], predictions)
    check(outputs["support_predictions"], supports)


def test_chain_of_an_encoders_descriptors():
    shapes = [(None, 5), (None, 2), (None, 4)]
    model = randomized(chain(), shapes)
    inputs = [X[:, 0], X[:, 1, :2], X[:, 2, :4]]
    check(model(inputs)["predictions"], chained(model, inputs)[0])


def test_chains_of_another_length_are_told():
    with pytest.raises(ValueError, match="2 descriptors, but 3 mixtures"):
        chain().build([(None, 5), (None, 5)])


def test_elu_lets_negative_units_pass():
    model = randomized(chain(deep_chain_relu_type="elu"), (None, 5))
    p = moe(model.moes[0], X[:, 0])
    units = dense(model.reducers[0], p)
    assert units.min() < 0
    units = l2(np.where(units > 0, units, np.exp(units) - 1))
    expected = moe(model.moes[1], np.concatenate([X[:, 0], units], axis=1))
    check(model(X[:, 0])["support_predictions"][:, CLASSES:], expected)
    with pytest.raises(ValueError, match="--deep_chain_relu_type=gelu: must be relu"):
        chain(deep_chain_relu_type="gelu")


def test_later_layers_cannot_change_earlier_supports():
    model = randomized(chain(), (None, 5))
    before = np.asarray(model(X[:, 0])["support_predictions"])
    for layer in (model.moes[1], model.moes[2], model.reducers[1]):
        for weight in layer.trainable_weights:
            weight.assign(weight + 1.0)
    after = np.asarray(model(X[:, 0])["support_predictions"])
    check(after[:, :CLASSES], before[:, :CLASSES])
    assert not np.allclose(after[:, CLASSES:], before[:, CLASSES:])


# The loss -----------------------------------------------------------------------------


def cross_entropy(labels, p):
    return -np.log(labels * p + (1 - labels) * (1 - p) + 1e-5).sum(axis=1)


BATCH = {"labels": np.array([[0, 2], [1, -1], [-1, -1]], np.int32)}
TRUTH = np.zeros((3, CLASSES))
TRUTH[0, [0, 2]] = TRUTH[1, 1] = 1


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_the_loss_of_several_predictions(share):
    """(1 - s) ce(p) + s sum_l ce(p_l)."""
    outputs = randomized(chain(), (None, 5))(X[:, 0])
    loss = losses.MultiTaskCrossEntropyLoss(support_loss_percent=share)
    total = loss.of_batch(BATCH, outputs["predictions"], CLASSES)
    total = total + loss.auxiliary_losses(outputs, BATCH)["support_loss"]
    supports = np.split(np.asarray(outputs["support_predictions"]), 2, axis=1)
    own = cross_entropy(TRUTH, np.asarray(outputs["predictions"]))
    expected = (1 - share) * own
    expected += share * sum(cross_entropy(TRUTH, p) for p in supports)
    check(total, expected)


def test_the_loss_counts_rated_classes_alone():
    outputs = randomized(chain(), (None, 5))(X[:, 0])
    rated = np.array([[0, 3], [1, -1], [-1, -1]], np.int32)
    loss = losses.MultiTaskCrossEntropyLoss(support_loss_percent=1.0)
    batch = {**BATCH, "rated": rated}
    total = loss.of_batch(batch, outputs["predictions"], CLASSES)
    total = total + loss.auxiliary_losses(outputs, batch)["support_loss"]
    p = np.asarray(outputs["support_predictions"])[0]
    expected = -np.log(p[[0, 7]] + 1e-5) - np.log(1 - p[[3, 10]] + 1e-5)
    check(total, [expected.sum(), -np.log(p_of(outputs, 1)[[1, 8]] + 1e-5).sum(), 0.0])


def p_of(outputs, row):
    return np.asarray(outputs["support_predictions"])[row]


def test_the_loss_needs_support_predictions():
    loss = losses.MultiTaskCrossEntropyLoss()
    with pytest.raises(UserError, match="needs support predictions"):
        loss.auxiliary_losses({"predictions": TRUTH}, BATCH)
    with pytest.raises(ValueError, match="--support_loss_percent=1.5: must be from 0"):
        losses.MultiTaskCrossEntropyLoss(support_loss_percent=1.5)


# Encoders of chains -------------------------------------------------------------------


@pytest.mark.parametrize("released", [False, True])
def test_cnn_chain(released):
    """The released code's maximum is over padding, too."""
    encoder = models.CNNDeepCombineChain(
        deep_chain_layers=1,
        deep_chain_relu_cells=2,
        released_code=released,
        max_frames=12,
    )
    encoder = randomized(encoder)
    frames, mask = encoder.select(X, MASK)
    assert frames.shape[1] == (12 if released else 9)
    first, second = encoder(frames, mask)["descriptor"]
    for row, video in enumerate(videos()):
        rows = 12 if released else None
        maxima = [filtered(f, video, rows).max(axis=0) for f in encoder.filters]
        mean = video.mean(axis=0)
        reduced = l2(np.maximum(dense(encoder.reduce_mean, mean), 0))
        check(first[row], l2(maxima[0]))
        check(second[row], np.concatenate([mean, l2(maxima[1]), reduced]))


def test_lstm_cnn_chain():
    encoder = models.LSTMCNNDeepCombineChain(
        (3, 2),
        deep_chain_layers=1,
        deep_chain_relu_cells=2,
        visual_lstm_cells=4,
        audio_lstm_cells=3,
    )
    encoder = randomized(encoder)
    assert [f.filters for f in encoder.filters] == [(2, 4, 2), (2, 2, 4)]
    parts = l2(X[..., :3]) * MASK[..., None], l2(X[..., 3:]) * MASK[..., None]
    outputs = [
        stack(part.astype("float32"), MASK)[0]
        for stack, part in zip(encoder.stacks, parts, strict=True)
    ]
    z = np.concatenate([np.asarray(o) for o in outputs], axis=-1)
    first, second = encoder(X, MASK)["descriptor"]
    for row, (video, n) in enumerate(zip(videos(), LENGTHS, strict=True)):
        maxima = [l2(filtered(f, z[row, :n]).max(axis=0)) for f in encoder.filters]
        mean = video.mean(axis=0)
        reduced = l2(np.maximum(dense(encoder.reduce_mean, mean), 0))
        check_recurrent(first[row], maxima[0])
        check_recurrent(second[row], np.concatenate([maxima[1], reduced]))


def test_lstm_chain_hands_on_memories():
    encoder = models.LSTMMemoryDeepChain(lstm_cells=4, deep_chain_layers=1)
    encoder = randomized(encoder)
    descriptors = encoder(X, MASK)["descriptor"]
    assert len(descriptors) == 2
    for stack, found in zip(encoder.stacks, descriptors, strict=True):
        states = np.asarray(stack(X, MASK)[1].states)  # c_1, h_1, c_2, h_2
        check(found, np.concatenate([states[:, :4], states[:, 8:12]], axis=1))
    assert not np.allclose(*descriptors)


# Attentions ---------------------------------------------------------------------------


@pytest.mark.parametrize("places", [0, 2])
def test_attentions(places):
    encoder = models.LSTMAttentionMaxPooling(
        4, 1, lstm_attentions=2, positional_embedding_size=places, max_frames=6
    )
    encoder = randomized(encoder)
    outputs = np.asarray(encoder.stack(X, MASK)[0])
    found = encoder(X, MASK)["descriptor"]
    assert found.shape == (3, 2, 4)
    for row, (video, n) in enumerate(zip(videos(), LENGTHS, strict=True)):
        parts = [video, outputs[row, :n]]
        if places:  # later frames have the last of six places
            table = encoder.positions.numpy()
            parts.insert(1, table[np.minimum(np.arange(n), 5)])
        weights = np.exp(np.concatenate(parts, axis=1) @ encoder.score.kernel.numpy())
        weights /= weights.sum(axis=0)
        check_recurrent(found[row], weights.T @ outputs[row, :n])


def test_the_highest_prediction_of_the_attentions_counts():
    encoder = models.LSTMAttentionMaxPooling(4, 1, lstm_attentions=3)
    classifier = models.LogisticModel(CLASSES)
    model = VideoModel(classifier, encoder=encoder, input_transform="none")
    inputs = {"frames": X, "num_frames": np.array(LENGTHS, np.int32)}
    model(inputs)
    randomized(encoder), randomized(classifier)
    outputs = model(inputs)
    each = np.asarray(classifier(np.reshape(outputs["descriptor"], (9, 4))))
    check(outputs["predictions"], each.reshape(3, 3, CLASSES).max(axis=1))


def test_the_highest_support_predictions_count_too():
    encoder = models.LSTMAttentionMaxPooling(4, 1, lstm_attentions=3)
    classifier = chain()
    model = VideoModel(classifier, encoder=encoder, input_transform="none")
    inputs = {"frames": X, "num_frames": np.array(LENGTHS, np.int32)}
    model(inputs)
    randomized(encoder), randomized(classifier)
    outputs = model(inputs)
    each = classifier(np.reshape(outputs["descriptor"], (9, 4)))
    for name, size in (("predictions", CLASSES), ("support_predictions", 2 * CLASSES)):
        found = np.asarray(each[name]).reshape(3, 3, size)
        check(outputs[name], found.max(axis=1))
    terms = losses.MultiTaskCrossEntropyLoss().auxiliary_losses(outputs, BATCH)
    assert terms["support_loss"].shape == (3,)


def test_positions_need_a_number_of_frames():
    with pytest.raises(ValueError, match="--positional_embedding_size=2: needs max_fr"):
        models.LSTMAttentionMaxPooling(positional_embedding_size=2)


# Scales -------------------------------------------------------------------------------


def multiscale(**values):
    values = {"multiscale_cnn_lstm_layers": 3, "multiscale_filters": 2, **values}
    return randomized(models.MultiscaleCNNLSTM(lstm_cells=4, **values))


def memory(stack, x):
    x = x[None].astype("float32")
    return np.asarray(stack(x, np.ones((1, x.shape[1]), bool))[1].c)[0]


def normalized(norm, x):
    return x / np.sqrt(1 + 1e-3) * norm.gamma.numpy() + norm.beta.numpy()


@pytest.mark.parametrize("released", [False, True])
def test_scales(released):
    """9 frames become 4 and 2; 4 become 2 and 1; 1 stays 1."""
    encoder = multiscale(released_code=released, max_frames=12)
    found = encoder(*encoder.select(X, MASK))["descriptor"]
    for row, video in enumerate(videos()):
        x, n = video, len(video)
        for scale in range(3):
            rows = 12 >> scale if released else n
            y = filtered(encoder.filters[scale], x, rows)
            y = np.maximum(normalized(encoder.norms[scale], y), 0)
            check_recurrent(found[scale][row], memory(encoder.stacks[scale], y[:n]))
            n = max(n // 2, 1)
            y = y[: len(y) // 2 * 2].reshape(-1, 2, 8) if len(y) > 1 else y[:, None]
            x = y.max(axis=1)[: None if released else n]


@pytest.mark.parametrize("released", [False, True])
def test_statistics_of_padding(released):
    """Only the released code's batch normalisation sees it in training."""
    means = []
    for frames, mask in ((X, MASK), PADDED):
        encoder = multiscale(released_code=released)
        encoder(frames, mask, training=True)
        means.append([norm.moving_mean.numpy() for norm in encoder.norms])
    assert np.allclose(*means, atol=1e-6) != released


def test_the_mean_of_all_scales():
    model = models.MultiscaleMoeModel(CLASSES, multiscale_cnn_lstm_layers=2)
    model = randomized(model, [(None, 5), (None, 3)])
    inputs = [X[:, 0], X[:, 1, :3]]
    outputs = model(inputs)
    each = [moe(m, x) for m, x in zip(model.moes, inputs, strict=True)]
    check(outputs["predictions"], sum(each) / 2)
    check(outputs["support_predictions"], np.concatenate(each, axis=1))


def test_one_descriptor_is_that_of_every_scale():
    model = models.MultiscaleMoeModel(CLASSES, multiscale_cnn_lstm_layers=2)
    model = randomized(model, (None, 5))
    each = [moe(m, X[:, 0]) for m in model.moes]
    check(model(X[:, 0])["predictions"], sum(each) / 2)


# Counts -------------------------------------------------------------------------------


def moes(sizes, mixtures, classes=4716):
    """Parameters of mixtures of experts on descriptors of these sizes."""
    return sum(h * (2 * mixtures + 1) * classes + mixtures * classes for h in sizes)


def lstm(size, cells):
    return 4 * cells * (size + cells + 1)


ONE_KERNEL = 128 * (1 + 2 + 2 * 3)  # columns of filters of widths 1, 2, 3


COUNTS = [
    # n = 8, q = 128: x_l has 1152 + 128 l values.
    (
        ("DeepCombineChainModel", (4716,)),
        {"deep_chain_layers": 8, "deep_chain_relu_cells": 128},
        (None, 1152),
        moes([1152 + 128 * n for n in range(9)], 2) + 8 * (4716 + 1) * 128,
    ),
    (
        ("CNNDeepCombineChain", ()),
        {"deep_chain_layers": 4, "deep_chain_relu_cells": 128},
        (None, None, 1152),
        5 * 1152 * ONE_KERNEL + 1153 * 128,
    ),
    (
        ("LSTMCNNDeepCombineChain", ((1024, 128),)),
        {"deep_chain_layers": 3, "deep_chain_relu_cells": 128},
        (None, None, 1152),
        lstm(1024, 1024)
        + lstm(128, 128)
        + 1152 * 128 * (1 + 2 * 2 + 3)
        + 3 * 1152 * ONE_KERNEL
        + 1153 * 128,
    ),
    (
        ("LSTMMemoryDeepChain", ()),
        {"deep_chain_layers": 1},
        (None, None, 1152),
        2 * (lstm(1152, 1024) + lstm(1024, 1024)),
    ),
    (
        ("LSTMAttentionMaxPooling", ()),
        {},
        (None, None, 1152),
        lstm(1152, 1024) + lstm(1024, 1024) + 2176 * 8,
    ),
    (
        ("MultiscaleCNNLSTM", ()),
        {},
        (None, None, 1152),
        (1152 + 3 * 1024) * 256 * 9 + 4 * 2 * 1024 + 4 * lstm(1024, 1024),
    ),
    (
        ("MultiscaleMoeModel", (4716,)),
        {"moe_num_mixtures": 4},
        [(None, 1024)] * 4,
        moes([1024] * 4, 4),
    ),
]


@pytest.mark.parametrize("named, values, shape, expected", COUNTS)
def test_counts(named, values, shape, expected):
    name, facts = named
    assert count_built(getattr(models, name)(*facts, **values), shape) == expected


def test_a_chain_behind_any_encoder():
    """With one descriptor, the chain is that of video-level features."""
    encoder = models.LstmModel(4, 1)
    model = VideoModel(chain(), encoder=encoder, input_transform="none")
    lengths = np.array(LENGTHS, np.int32)
    outputs = model({"frames": X, "num_frames": lengths})
    assert outputs["support_predictions"].shape == (3, 2 * CLASSES)
    mask = frame_mask(lengths, 9)
    check(outputs["descriptor"], encoder(X, keras.ops.convert_to_numpy(mask)))
