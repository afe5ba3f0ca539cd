"""NeXtVLAD and its mixture: formulas in numpy, counts, and what they promise."""

import numpy as np
import pytest
import tensorflow as tf

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
from youtube8m.models.lin2018.branch import GroupedResiduals, SqueezeGating

SMALL = {
    "nextvlad_cluster_size": 4,
    "nextvlad_hidden_size": 6,
    "groups": 2,
    "gating_reduction": 2,
}


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def normalize(norm, x):
    """Batch normalisation with fresh statistics."""
    return x / np.sqrt(1 + 1e-3) * norm.gamma.numpy() + norm.beta.numpy()


def test_grouped_residuals():
    """Each frame is G members of a VLAD, weighed by its attention."""
    layer = randomized(GroupedResiduals(clusters=3, groups=2, expansion=2))
    found = layer(X, MASK)
    for row, x, n in zip(found, X, LENGTHS, strict=True):
        y = x[:n] @ layer.expand.kernel.numpy() + layer.expand.bias.numpy()
        attention = y @ layer.attention.kernel.numpy() + layer.attention.bias.numpy()
        scores = normalize(layer.assign_norm, y @ layer.assign.kernel.numpy())
        total = np.zeros((3, 5))
        for t in range(n):
            for g in range(2):
                shares = np.exp(scores[t, 3 * g : 3 * g + 3])
                weights = sigmoid(attention[t, g]) * shares / shares.sum()
                difference = y[t, 5 * g : 5 * g + 5] - layer.centres.numpy()
                total += weights[:, None] * difference
        total /= np.linalg.norm(total, axis=1, keepdims=True)
        expected = normalize(layer.norm, total.ravel())
        np.testing.assert_allclose(row, expected, rtol=1e-4, atol=1e-5)


def test_squeeze_gating():
    layer = randomized(SqueezeGating(reduction=2), (None, 5))
    x = X[:, 0]
    squeezed = normalize(layer.norm, x @ layer.squeeze.kernel.numpy())
    gates = sigmoid(np.maximum(squeezed, 0) @ layer.excite.kernel.numpy())
    check(layer(x), x * gates)


def test_padding_of_any_value_changes_nothing():
    encoder = randomized(models.NeXtVLAD((3, 2), **SMALL))
    dirty = np.where(MASK[..., None], X, 7.0).astype(np.float32)
    check(encoder(dirty, MASK), encoder(X, MASK))


@pytest.mark.parametrize("released", [False, True])
def test_statistics_of_padding(released):
    """Only the released code's batch normalisation sees it in training."""
    longer = np.pad(X, [(0, 0), (0, 4), (0, 0)]), np.pad(MASK, [(0, 0), (0, 4)])
    found = []
    for frames, mask in ((X, MASK), longer):
        encoder = models.NeXtVLAD((3, 2), **SMALL, released_code=released)
        encoder = randomized(encoder)
        encoder(frames, mask, training=True)
        norm = encoder.branch.streams[0].assign_norm
        found.append(norm.moving_mean.numpy())
    assert np.allclose(*found, atol=1e-6) != released


def test_released_code_pads_to_all_frames():
    encoder = models.MixNeXtVLAD((3, 2), **SMALL, released_code=True, max_frames=12)
    frames, mask = encoder.select(X, MASK)
    assert frames.shape[1] == 12 and np.sum(mask) == sum(LENGTHS)
    context = encoder(frames, mask)["descriptor"][-1]
    check(context, X.sum(axis=1) / 12)
    context = models.MixNeXtVLAD((3, 2), **SMALL)(X, MASK)["descriptor"][-1]
    check(context, X.sum(axis=1) / np.array(LENGTHS)[:, None])


@pytest.mark.parametrize(
    "sizes, clusters, groups",
    [((5,), [4], [2]), ((3, 2), [4, 2], [2, 1]), ((2, 1, 2), [4, 2, 2], [2, 1, 1])],
)
def test_each_modality_has_clusters_of_its_own(sizes, clusters, groups):
    encoder = models.NeXtVLAD(sizes, **SMALL)
    assert encoder(X, MASK).shape == (3, 6)
    streams = encoder.branch.streams
    assert [stream.clusters for stream in streams] == clusters
    assert [stream.groups for stream in streams] == groups


def test_no_tensor_has_frames_times_clusters_times_features():
    sizes = {"nextvlad_cluster_size": 16, "nextvlad_hidden_size": 6, "groups": 2}
    encoder = models.NeXtVLAD((12, 4), **sizes, gating_reduction=2)
    # Frames are [B, T, 2 D] after their expansion, which each cluster would have.
    assert 4 * 50 * 24 <= largest_tensor(encoder, 4, 50, 16) < 4 * 50 * 24 * 16


@pytest.mark.parametrize(
    "values, message",
    [
        ({"groups": 3}, "--groups: 3 groups do not divide the 10 values"),
        ({"gating_reduction": 9}, "--gating_reduction=9: must be at most"),
        ({"drop_rate": 1.0}, "--drop_rate=1.0: must be from 0 to 1"),
    ],
)
def test_sizes_that_do_not_fit_are_told(values, message):
    data = DataConfig(("rgb",), (5,), True, num_classes=7)
    config = ModelConfig("NeXtVLAD", hyperparameters={**SMALL, **values})
    with pytest.raises((UserError, ValueError), match=message):
        models.create(RunConfig(data, config))


# Classifiers --------------------------------------------------------------------------


def softmax(x, axis=-1):
    x = np.exp(x - x.max(axis=axis, keepdims=True))
    return x / x.sum(axis=axis, keepdims=True)


def test_mixtures_of_logits():
    model = randomized(models.MoeLogitModel(7, 2), (None, 5))
    x = X[:, 0]
    gates = softmax((x @ model.gates.kernel.numpy()).reshape(3, 3, 7), axis=1)
    logits = x @ model.experts.kernel.numpy() + model.experts.bias.numpy()
    mixed = (gates[:, :2] * logits.reshape(3, 2, 7)).sum(axis=1)
    check(model(x), sigmoid(mixed))


def test_the_penalty_is_on_weights_and_biases():
    model = randomized(models.PenalizedLogisticModel(7, l2_penalty=0.5), (None, 5))
    squares = sum(np.sum(w.numpy() ** 2) for w in model.trainable_weights)
    check(sum(model.losses), 0.25 * squares)


def batch_of(*labels, **more):
    return {"labels": np.array(labels, np.int32), **more}


@pytest.fixture
def mixture():
    model = models.MixLogisticModel(7, mix_number=2, cl_temperature=2.0, cl_lambda=3.0)
    return randomized(model, [(None, 5), (None, 5), (None, 4)])


DESCRIPTORS = [X[:, 0], X[:, 0] * 0.5 + 1.0, X[:, 0, :4]]


def test_mixture(mixture):
    outputs = mixture(DESCRIPTORS)
    logits = np.stack(
        [
            x @ head.logits.kernel.numpy() + head.logits.bias.numpy()
            for x, head in zip(DESCRIPTORS, mixture.heads, strict=False)
        ],
        axis=1,
    )
    scores = normalize(mixture.context_norm, DESCRIPTORS[-1])
    scores = scores @ mixture.weigh.kernel.numpy() + mixture.weigh.bias.numpy()
    mixed = (softmax(scores)[..., None] * logits).sum(axis=1)
    check(outputs["predictions"], sigmoid(mixed))
    terms = mixture.auxiliary_losses(outputs, batch_of([0, 2], [1, -1], [-1, -1]))
    p, q = softmax(mixed / 2)[:, None], softmax(logits / 2)
    check(terms["distillation_loss"], 3 * (p * np.log(p / q)).sum(axis=(1, 2)))
    truth = np.zeros((3, 1, 7))
    truth[0, :, [0, 2]] = truth[1, :, 1] = 1
    share = sigmoid(logits)
    right = truth * share + (1 - truth) * (1 - share)
    check(terms["branch_loss"], -np.log(right + 1e-5).sum(axis=(1, 2)))


def test_branches_learn_from_rated_classes_alone(mixture):
    outputs = mixture(DESCRIPTORS)
    labels = ([0, 2], [1, -1], [-1, -1])
    rated = np.array([[0, 3], [1, -1], [-1, -1]], np.int32)
    terms = mixture.auxiliary_losses(outputs, batch_of(*labels, rated=rated))
    share = sigmoid(np.asarray(outputs["branch_logits"]))
    expected = -np.log(share[0, :, 0] + 1e-5).sum()
    expected -= np.log(1 - share[0, :, 3] + 1e-5).sum()
    check(terms["branch_loss"][0], expected)
    check(terms["branch_loss"][2], 0.0)


def test_equal_branches_have_nothing_to_distil(mixture):
    mixture.heads[1].set_weights(mixture.heads[0].get_weights())
    outputs = mixture([DESCRIPTORS[0], DESCRIPTORS[0], DESCRIPTORS[2]])
    check(outputs["predictions"], mixture.heads[0](DESCRIPTORS[0]))
    terms = mixture.auxiliary_losses(outputs, batch_of([0], [1], [2]))
    np.testing.assert_allclose(terms["distillation_loss"], np.zeros(3), atol=1e-5)


def test_distillation_changes_both_sides(mixture):
    with tf.GradientTape() as tape:
        outputs = mixture(DESCRIPTORS)
        loss = mixture.divergence(outputs["mixed_logits"], outputs["branch_logits"])
    kernels = [mixture.weigh.kernel, *(head.logits.kernel for head in mixture.heads)]
    for gradient in tape.gradient(loss, [kernel.value for kernel in kernels]):
        assert np.abs(gradient).max() > 0


def test_a_cold_distillation_is_refused():
    with pytest.raises(ValueError, match="--cl_temperature=0.0: must be above 0"):
        models.MixLogisticModel(7, cl_temperature=0.0)


# The mixture of mixtures --------------------------------------------------------------


@pytest.fixture
def outer():
    model = models.OuterMixLogisticModel(
        7,
        outer_mix_number=2,
        mix_number=2,
        cl_temperature=2.0,
        cl_lambda=3.0,
        final_temperature=4.0,
        final_lambda=5.0,
    )
    return randomized(model, [*[(None, 5)] * 4, (None, 4)])


EACH = [X[:, 0], X[:, 0] * 0.5 + 1.0, X[:, 0] - 1.0, X[:, 0] * 2.0]


def kl(mixed, logits, temperature):
    p, q = softmax(mixed / temperature)[:, None], softmax(logits / temperature)
    return (p * np.log(p / q)).sum(axis=(1, 2))


def losses_of(logits, truth):
    share = sigmoid(logits)
    right = truth * share + (1 - truth) * (1 - share)
    return -np.log(right + 1e-5).sum(axis=(1, 2))


def test_mixtures_are_mixed(outer):
    """Each has losses of its own, and all learn from what mixes them."""
    context = X[:, 0, :4]
    found = outer([*EACH, context])
    inner = []
    for tower, descriptors in zip(outer.towers, (EACH[:2], EACH[2:]), strict=True):
        inner.append(tower([*descriptors, context]))
    mixed = np.stack([part["mixed_logits"] for part in inner], axis=1)
    scores = normalize(outer.context_norm, context)
    scores = scores @ outer.weigh.kernel.numpy() + outer.weigh.bias.numpy()
    outermost = (softmax(scores)[..., None] * mixed).sum(axis=1)
    check(found["predictions"], sigmoid(outermost))
    terms = outer.auxiliary_losses(found, batch_of([0, 2], [1, -1], [-1, -1]))
    truth = np.zeros((3, 1, 7))
    truth[0, :, [0, 2]] = truth[1, :, 1] = 1
    branches = [np.asarray(part["branch_logits"]) for part in inner]
    expected = losses_of(mixed, truth) + sum(losses_of(b, truth) for b in branches)
    np.testing.assert_allclose(terms["branch_loss"], expected, rtol=1e-4)
    expected = 5 * kl(outermost, mixed, 4.0)
    expected += sum(3 * kl(mixed[:, i], branches[i], 2.0) for i in range(2))
    np.testing.assert_allclose(
        terms["distillation_loss"], expected, rtol=1e-3, atol=1e-5
    )


def test_the_encoder_has_a_branch_for_each_descriptor():
    encoder = models.OuterMixNeXtVLAD((3, 2), outer_mix_number=2, **SMALL, mix_number=3)
    *descriptors, context = encoder(X, MASK)["descriptor"]
    assert len(descriptors) == 6 and descriptors[0].shape == (3, 6)
    check(context, X.sum(axis=1) / np.array(LENGTHS)[:, None])


def test_a_cold_distillation_between_mixtures_is_refused():
    with pytest.raises(ValueError, match="--final_temperature=0.0: must be above 0"):
        models.OuterMixLogisticModel(7, final_temperature=0.0)


# Counts -------------------------------------------------------------------------------

SINGLE = {"nextvlad_cluster_size": 112, "gating_reduction": 16}
COUNTS = [  # encoder, and with logistic regressions of 4716 and of 3862 classes
    ("NeXtVLAD", {}, 80_976_140, 90_639_224, 88_889_378),
    ("NeXtVLAD", SINGLE, 70_729_932, 80_393_016, 78_643_170),
    ("MixNeXtVLAD", SINGLE, 3 * 70_729_932, 241_184_811, 235_935_273),
]


@pytest.mark.parametrize("name, values, encoder, total_2017, total_2018", COUNTS)
def test_counts(name, values, encoder, total_2017, total_2018):
    built = getattr(models, name)((1024, 128), **values)
    assert count_built(built, (None, None, 1152)) == encoder
    classifier, shape = models.PenalizedLogisticModel, (None, 2048)
    if name == "MixNeXtVLAD":
        classifier, shape = models.MixLogisticModel, [shape] * 3 + [(None, 1152)]
    for classes, total in ((4716, total_2017), (3862, total_2018)):
        assert encoder + count_built(classifier(classes), shape) == total
