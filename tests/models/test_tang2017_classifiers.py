"""Classifiers that use verticals and frequencies, against numpy."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.helpers.layers import check, count_built
from tests.helpers.reference import mixture, sigmoid
from youtube8m.models.tang2017.classifiers import (
    ClassifierChainModel,
    HierarchicalMoeModel,
    PerVerticalModel,
    PerVerticalMoeModel,
)

RNG = np.random.default_rng(0)
X = RNG.normal(size=(4, 5)).astype(np.float32)
VERTICALS = (1, 0, 2, 1, 0, 1, 2)
COUNTS = (20, 500, 90, 500, 10, 300, 400)
PAPER_VERTICALS = tuple(i % 25 for i in range(4716))


def randomized(layer, shape=X.shape):
    """With variances above 0, and most units positive before a relu."""
    layer.build(shape)
    for weight in layer.weights:
        if weight.path.endswith(("moving_variance", "beta")):
            weight.assign(RNG.uniform(1, 2, weight.shape))
        elif "seed_generator" not in weight.path:
            weight.assign(RNG.normal(size=weight.shape))
    return layer


def moe(x, layer):
    gates, experts, bias = (np.asarray(weight) for weight in layer.weights)
    return mixture(x @ gates, x @ experts + bias, layer.num_classes)


# Per vertical -----------------------------------------------------------------------


def test_each_class_has_experts_on_the_descriptor_of_its_vertical():
    sizes = (5, 3, 4)
    layer = PerVerticalMoeModel(7, VERTICALS, moe_num_mixtures=2)
    randomized(layer, [(None, size) for size in sizes])
    descriptors = [RNG.normal(size=(2, size)).astype(np.float32) for size in sizes]
    result = np.asarray(layer(descriptors))
    for c, v in enumerate(VERTICALS):
        expected = moe(descriptors[v], layer.heads[v])
        check(result[:, c], expected[:, VERTICALS[:c].count(v)])


def test_count_of_the_mixtures_per_vertical():
    """As many values as one mixture of 4 on 1024 has."""
    layer = PerVerticalMoeModel(4716, PAPER_VERTICALS, moe_num_mixtures=4)
    expected = 4716 * (5 * 1024 + 4 * 1025)
    assert count_built(layer, [(None, 1024)] * 25) == expected


@pytest.mark.parametrize("bias", [True, False])
def test_each_class_uses_the_descriptor_of_its_vertical(bias):
    sizes = (5, 3, 4)
    layer = PerVerticalModel(7, VERTICALS, vertical_bias=bias)
    randomized(layer, [(None, size) for size in sizes])
    descriptors = [RNG.normal(size=(2, size)).astype(np.float32) for size in sizes]
    result = np.asarray(layer(descriptors))
    for c, v in enumerate(VERTICALS):
        head, column = layer.heads[v], VERTICALS[:c].count(v)
        logits = descriptors[v] @ np.asarray(head.kernel)[:, column]
        check(result[:, c], sigmoid(logits + (head.bias[column] if bias else 0)))


PER_VERTICAL = pytest.mark.parametrize("cls", [PerVerticalModel, PerVerticalMoeModel])


@PER_VERTICAL
def test_one_descriptor_serves_all_verticals(cls):
    layer = randomized(cls(7, VERTICALS))
    check(layer(X), layer([X, X, X]))


@PER_VERTICAL
def test_as_many_descriptors_as_verticals(cls):
    with pytest.raises(ValueError, match="2 descriptors: expected 3, one per vertical"):
        cls(7, VERTICALS).build([(None, 5)] * 2)


@PER_VERTICAL
def test_verticals_at_the_end_may_have_no_class(cls):
    """No weights are made for them, and their descriptors are left out."""
    layer = randomized(cls(7, VERTICALS, num_verticals=5), [(None, 5)] * 5)
    assert len(layer.heads) == 3
    few = cls(7, VERTICALS)
    few.build([(None, 5)] * 3)
    few.set_weights(layer.get_weights())
    check(layer([X, 2 * X, 3 * X, X, X]), few([X, 2 * X, 3 * X]))


def test_verticals_at_the_end_may_have_no_coarse_class():
    hierarchical = HierarchicalMoeModel(7, VERTICALS, num_verticals=5)
    assert hierarchical(X)["coarse_predictions"].shape == (len(X), 5)
    assert hierarchical.get_config()["num_verticals"] == 5
    with pytest.raises(ValueError, match="num_verticals=2: a class has vertical 2"):
        HierarchicalMoeModel(7, VERTICALS, num_verticals=2)


def test_symbolic_calls_know_their_shapes():
    one = keras.KerasTensor((None, 5))
    for cls in (PerVerticalModel, PerVerticalMoeModel):
        assert cls(7, VERTICALS)([one, one, one]).shape == (None, 7)
    outputs = HierarchicalMoeModel(7, VERTICALS)(one)
    assert outputs["predictions"].shape == (None, 7)
    assert outputs["coarse_predictions"].shape == (None, 3)


@pytest.mark.parametrize(
    "build",
    [
        lambda: PerVerticalModel(7, (0, 1)),
        lambda: PerVerticalMoeModel(7, (0, 1)),
        lambda: HierarchicalMoeModel(7, (0, 1)),
        lambda: ClassifierChainModel(7, (5, 1)),
    ],
)
def test_facts_of_another_number_of_classes_are_refused(build):
    with pytest.raises(ValueError, match="has 2 entries: expected one for each of 7"):
        build()


# Hierarchical mixture of experts ----------------------------------------------------


def hierarchical(**values):
    values = {"coarse_num_mixtures": 2, "label_num_mixtures": 3, **values}
    return randomized(HierarchicalMoeModel(7, VERTICALS, **values))


@pytest.mark.parametrize(
    "values",
    [{}, {"coarse_values": "probabilities"}, {"released_code": True}],
)
def test_hierarchical_moe(values):
    layer = hierarchical(**values)
    outputs = layer(X)
    coarse = moe(X, layer.coarse)
    assert layer.fine.gates.kernel.shape[0] == 5 + 3
    assert np.all((coarse >= 0) & (coarse <= 1))
    check(outputs["coarse_predictions"], coarse)
    known = coarse if values else np.log((coarse + 1e-5) / (1 - coarse + 1e-5))
    expected = moe(np.hstack([X, known]), layer.fine)
    np.testing.assert_allclose(outputs["predictions"], expected, rtol=1e-4, atol=1e-6)


def test_the_logits_of_certain_verticals_are_finite():
    layer = hierarchical()
    layer.coarse.experts.kernel.assign(1e4 * layer.coarse.experts.kernel)
    layer.coarse.gates.kernel.assign(1e4 * layer.coarse.gates.kernel)
    with tf.GradientTape() as tape:
        outputs = layer(X)
    q = np.asarray(outputs["coarse_predictions"])
    assert q.min() == 0 and q.max() == 1
    weights = [weight.value for weight in layer.trainable_weights]
    assert weights
    for gradient in tape.gradient(outputs["predictions"], weights):
        assert np.all(np.isfinite(gradient))


def test_hierarchical_moe_learns_verticals_too():
    layer = hierarchical(coarse_loss_weight=0.5)
    labels = np.array([[0, 3, 1], [2, -1, -1], [-1, -1, -1], [5, 6, -1]], np.int32)
    truth = np.array([[1, 1, 0], [0, 0, 1], [0, 0, 0], [0, 1, 1]])
    outputs = layer(X)
    q, e = np.asarray(outputs["coarse_predictions"]), 1e-5
    terms = truth * np.log(q + e) + (1 - truth) * np.log(1 - q + e)
    losses = layer.auxiliary_losses(outputs, {"labels": labels})
    assert losses.keys() == {"coarse_loss"}
    check(losses["coarse_loss"], -0.5 * terms.sum(axis=1))


def test_gradients_of_the_classes_reach_the_verticals():
    layer = hierarchical()
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(layer(X)["predictions"])
    gradient = tape.gradient(loss, layer.coarse.experts.kernel.value)
    assert np.abs(gradient).max() > 0


def test_count_of_the_hierarchical_moe():
    layer = HierarchicalMoeModel(4716, PAPER_VERTICALS, 4, 4)
    assert count_built(layer, (None, 1152)) == 50_234_752
    assert layer.fine.gates.kernel.shape[0] == 1177


# Classifier chain -------------------------------------------------------------------

VARIANTS = [(4, 3), (0, 3), (4, 0), (0, 0)]


def chain(features=4, distribution=3, **values):
    values = {"chain_groups": 3, "moe_num_mixtures": 2, **values}
    return randomized(
        ClassifierChainModel(
            7,
            feature_bottleneck=features,
            distribution_bottleneck=distribution,
            **values,
        )
    )


def normalized(x, norm):
    """In inference; there is no scale."""
    mean, variance = np.asarray(norm.moving_mean), np.asarray(norm.moving_variance)
    return (x - mean) / np.sqrt(variance + 1e-3) + np.asarray(norm.beta)


@pytest.mark.parametrize("features, distribution", VARIANTS)
def test_classifier_chain(features, distribution):
    """The distribution d is filled group by group, at the positions of its classes."""
    layer = chain(features, distribution)
    f, d = X, np.zeros((4, 7))
    if features:
        f = np.maximum(normalized(X @ layer.reduce.kernel, layer.reduce_norm), 0)
    for number, classes in enumerate(([0, 1, 2], [3, 4], [5, 6])):
        b = d
        if distribution:
            b = normalized(d @ np.asarray(layer.bottleneck), layer.norms[number])
            b = np.maximum(b, 0)
        d[:, classes] = moe(np.hstack([b, f]), layer.groups[number])
    check(layer(X), d)


@pytest.mark.parametrize("features, distribution", VARIANTS)
@pytest.mark.parametrize("group", [0, 1, 2])
def test_groups_do_not_see_later_ones(features, distribution, group):
    layer = chain(features, distribution)
    before = np.asarray(layer(X))
    bias = layer.groups[group].experts.bias
    bias.assign_add(np.ones(bias.shape))
    changed = np.any(np.asarray(layer(X)) != before, axis=0)
    first = (0, 3, 5)[group]
    assert not changed[:first].any() and changed[first:].all()


def test_chains_go_from_frequent_to_rare_classes():
    """Of the order 1, 3 (as frequent, later), 6, 5, 2, 0, 4 in groups of 3, 2, 2."""
    layer = chain(class_counts=COUNTS)
    plain = ClassifierChainModel.from_config(
        {**layer.get_config(), "class_counts": None}
    )
    plain.build(X.shape)
    plain.set_weights(layer.get_weights())
    order = [1, 3, 6, 5, 2, 0, 4]
    np.testing.assert_array_equal(np.asarray(layer(X))[:, order], plain(X))


def test_chains_of_more_groups_than_classes():
    layer = ClassifierChainModel(3, chain_groups=12)
    assert layer(X).shape == (4, 3) and len(layer.groups) == 3


def test_gradients_flow_through_the_predictions_of_a_chain():
    layer = chain(0, 0, chain_dropout=0.0)
    with tf.GradientTape() as tape:
        last = tf.reduce_sum(layer(X, training=True)[:, 5:])
    gradient = tape.gradient(last, layer.groups[0].experts.kernel.value)
    assert np.abs(gradient).max() > 0
    check(layer(X, training=True), layer(X))


def test_chains_drop_in_training_only():
    layer = chain(0, 0)
    first, second = (np.asarray(layer(X, training=True)) for _ in "ab")
    assert np.abs(first - second).max() > 0
    np.testing.assert_array_equal(layer(X), layer(X))


def test_count_of_the_chain():
    layer = ClassifierChainModel(4716)
    without_biases_before_normalisation = 128_615_264 - (512 + 1024)
    assert count_built(layer, (None, 1152)) == without_biases_before_normalisation
    assert layer.groups[0].gates.kernel.shape == (1536, 3537)
