"""Classifiers and losses against what the authors' released code computes.

The tests of encoders leave these cases out. NOT_TAKEN_OVER names what has no test.
"""

import os
import re

import numpy as np
import pytest
import tensorflow as tf

from tests.helpers import golden
from tests.helpers.golden import ATOL, assert_close, assert_known
from youtube8m import losses
from youtube8m.data.labels.cooccurrence import correlation_matrix
from youtube8m.layers.targets import cross_entropy
from youtube8m.models.base import CLASSIFIERS
from youtube8m.registry import construct
from youtube8m.runs.starter_code import by_expert

# Of Na et al.'s code, not in their paper.
NOT_TAKEN_OVER = {"L2_CrossEntropyLoss", "L2_HingeLoss", "Huber_HingeLoss"}


def cases():
    for source, classes in golden.CLASSIFIERS_AND_LOSSES.items():
        yield from golden.cases(source, classes=classes)


@pytest.mark.parametrize("case", cases())
def test_released_code(case):
    kind = case.meta["class"]
    if kind in MODELS:
        check_model(case)
    else:
        assert kind in CHECKS, f"no test for cases of class {kind!r}"
        CHECKS[kind](case)


# Models -----------------------------------------------------------------------------

# The released class -> ours; all sizes follow from the case, see `hyperparameters_of`.
MODELS = {
    "MoeModel": "MoeModel",
    "MoeWithLabelCorelationModel": "LabelCorrelationMoeModel",
    "Moe_2Layer_Model": "MultiLayerMoeModel",
    "NN": "MlpModel",
    "HMoeModel": "HierarchicalMoeModel",
    "CCMoeModel": "ClassifierChainModel",
    "CCDistrMoeModel": "ClassifierChainModel",
    "CCOrigMoeModel": "ClassifierChainModel",
}
FLAGS = {
    "corelation_gamma": "logit_correlation",
    "dim_gate": "moe_hidden_size",
    "hidden_size": "mlp_size",
}
# Names of the inputs themselves, and those that `check_losses` reads.
INPUTS = {"pooled", "features"}
LOSSES = {"label_loss", "coarse_loss", "reg_loss", "total_loss"}


def check_model(case):
    model = build(case)
    load(model, case)
    if "counts_matrix" in case:
        matrix = correlation_matrix(case["counts_matrix"])
        assert_close(matrix, case["normalised_matrix_initial"], "normalised")
    outputs, expected = model(case["input"]), dict(case.outputs)
    outputs = outputs if isinstance(outputs, dict) else {"predictions": outputs}
    assert_known(expected, *outputs, *INPUTS, *LOSSES)
    for name in INPUTS & expected.keys():
        assert_close(case["input"], expected[name], name)
    noise = case.meta["max_abs_change_of_predictions_for_1e6_relative_input_noise"]
    for name, values in outputs.items():
        assert_close(values, expected[name], name, atol=max(ATOL, noise))
    if LOSSES & expected.keys():
        check_losses(case, model)


def build(case):
    flags = {FLAGS.get(key, key): v for key, v in case.meta["flags"].items()}
    facts = {"num_classes": case.outputs["predictions"].shape[-1]}
    if "belongs" in case:
        facts["verticals"] = case["belongs"].tolist()
        facts["num_verticals"] = case.outputs["coarse_predictions"].shape[-1]
    values = flags | hyperparameters_of(case) | facts | {"slim_batch_norm": True}
    model = construct(CLASSIFIERS.get(MODELS[case.meta["class"]]), values)
    assert flags.items() <= model.get_config().items()
    model.build(case["input"].shape)
    return model


def hyperparameters_of(case):
    """What follows from the shapes of TF1's weights, for each kind of classifier."""
    shapes = {name: value.shape for name, value in case.variables.items()}
    outputs = {
        name: value.shape[-1] for name, value in case.outputs.items() if value.ndim
    }

    def size(name):  # of a vector, 0 where there is none
        return shapes.get(name, (0,))[0]

    def count(pattern):
        return sum(re.fullmatch(pattern, name) is not None for name in shapes)

    if "pred_0/biases" in shapes:  # M s and (M + 1) s, for the s classes of a group
        experts, gates = size("pred_0/biases"), shapes["gate_0/weights"][1]
        return {
            "chain_groups": count(r"pred_\d+/biases"),
            "moe_num_mixtures": experts // (gates - experts),
            "feature_bottleneck": size("reduce/biases"),
            "distribution_bottleneck": size("distr_biases"),
        }
    if "coarse_predictions" in outputs:
        return {"released_code": True} | {
            f"{level}_num_mixtures": size(f"{level}_experts/biases") // outputs[name]
            for level, name in {
                "coarse": "coarse_predictions",
                "label": "predictions",
            }.items()
        }
    if "fully_connected/weights" in shapes:
        layers = count(r"fully_connected(_\d+)?/weights")
        return {"mlp_layers": layers, "mlp_size": shapes["fully_connected/weights"][1]}
    values = {"moe_num_mixtures": size("experts/biases") // outputs["predictions"]}
    if "gates0/biases" in shapes:
        values |= {"moe_hidden_size": size("gates0/biases"), "released_code": True}
    return values


def check_losses(case, model):
    """The terms of the training loss, and the gradients of their sum."""
    labels, expected = case["labels"], case.outputs
    weights = {weight.path: weight for weight in model.trainable_weights}
    with tf.GradientTape() as tape:
        outputs = model(case["input"])
        outputs = outputs if isinstance(outputs, dict) else {"predictions": outputs}
        terms = cross_entropy(labels, outputs["predictions"])
        found = {
            "label_loss": tf.reduce_mean(tf.reduce_sum(terms, axis=-1)),
            "reg_loss": tf.add_n(model.losses),
        }
        batch = {"labels": golden.label_ids(labels)}
        for name, term in model.auxiliary_losses(outputs, batch).items():
            found[name] = tf.reduce_mean(term)
        found["total_loss"] = total = tf.add_n(list(found.values()))
    for name in LOSSES & expected.keys():
        assert_close(found[name], expected[name], name, rtol=2e-5)
    gradients = tape.gradient(total, {k: w.value for k, w in weights.items()})
    compared = set()
    # TF 1.15's sigmoid is off by 1e-8, which is much beside p + 1e-5 for small p; we
    # agree with the same maths in float64 to 5e-6 of each variable's largest.
    noise = 1e-3 if expected["predictions"].min() < 1e-4 else 1e-6
    for weight, value in matched(model, case.group("grad")):
        atol = noise * np.abs(value).max()
        assert_close(gradients[weight.path], value, weight.path, 2e-5, atol)
        compared.add(weight.path)
    assert compared == weights.keys()


# TF1 weights in our layout ----------------------------------------------------------

LEAVES = {"weights": "kernel", "biases": "bias"}
# Biases before a normalisation: ours subtracts them from its mean.
FOLDED = {"reduce/biases", "distr_biases"}
ONE_OF_ITS_KIND = {
    "predictions_layer": "logits",
    "gates0": "gate_hidden",
    "reduce": "reduce",
}
MIXTURE = re.compile(
    r"((?P<level>coarse|label)_)?(?P<part>gates|experts)"
    r"|(?P<step>pred|gate)_(?P<number>\d+)"
)


def load(model, case):
    """Every variable of TF1's to one of ours, and none of ours left over."""
    covered = []
    tf1 = case.variables
    for weight, value in matched(model, tf1):
        weight.assign(value)
        covered.append(weight.path)
    if "reduce/biases" in tf1:
        weight = model.reduce_norm.moving_mean
        weight.assign_sub(tf1["reduce/biases"])
    if "distr_biases" in tf1:
        for norm in model.norms:
            norm.moving_mean.assign_sub(tf1["distr_biases"])
    weights = [w.path for w in model.weights if "seed_generator" not in w.path]
    assert sorted(covered) == sorted(weights)


def matched(model, tf1):
    """(weight of ours, TF1's values in our layout) of all but FOLDED."""
    for name, value in tf1.items():
        scope, _, leaf = name.partition("/")
        if name == "Variable":
            yield model.matrix, value
        elif name == "distr_weights":
            yield model.bottleneck, value
        elif mixture := MIXTURE.fullmatch(scope):
            part, layer = mixture_of(model, **mixture.groupdict())
            value = by_expert(value, part.num_classes)
            yield getattr(layer, LEAVES[leaf]), value
        elif name not in FOLDED:
            yield getattr(layer_of(model, scope), LEAVES.get(leaf, leaf)), value


def mixture_of(model, level, part, step, number):
    """The MoeModel of a scope, and its layer."""
    if step:
        model, part = model.groups[int(number)], {"pred": "experts"}.get(step, "gates")
    elif level:
        model = {"coarse": model.coarse, "label": model.fine}[level]
    return model, getattr(model, part)


def layer_of(model, scope):
    if scope in ONE_OF_ITS_KIND:
        return getattr(model, ONE_OF_ITS_KIND[scope])
    kind, number = re.fullmatch(r"(\w+?)(?:_(\d+))?", scope).groups()
    if kind == "BatchNorm":
        layers = [norm for norm in (model.reduce_norm, *model.norms) if norm]
    else:
        layers = {"fully_connected": model.hidden, "LayerNorm": model.norms}[kind]
    return layers[int(number or 0)]  # in the order of their making


# Losses -----------------------------------------------------------------------------


def loss_of(name):
    """Our loss of a released name, None for NOT_TAKEN_OVER."""
    if name in NOT_TAKEN_OVER:
        return None
    if huber := re.fullmatch(r"Huber_CrossEntropyLoss_delta([\d.]+)", name):
        return losses.PseudoHuberLoss(huber_delta=float(huber[1]))
    if name == "CrossEntropyLossMat":  # p > 0.2
        return losses.NegativeMaskedCrossEntropyLoss(0.2, False)
    if name == "CrossEntropyLossSample":  # p >= 0.15
        return losses.NegativeMaskedCrossEntropyLoss(0.15, True)
    return losses.LOSSES.get(name)()


def check_label_losses(case):
    predictions = tf.constant(case["predictions"])
    for name, expected in case.outputs.items():
        if (loss := loss_of(name)) is None:
            continue
        with tf.GradientTape() as tape:
            tape.watch(predictions)
            value = loss(case["labels"], predictions)
        assert_close(value, expected, name, rtol=2e-5)
        gradient = tape.gradient(value, predictions)
        assert_gradient(case, gradient, case.group("grad")[name], name)


def assert_gradient(case, actual, expected, name):
    """With respect to predictions; TF1 rounds 1 + 1e-5, so 1 - p + 1e-5 near p = 1."""
    rounded = certain_negatives(case)
    for rows, rtol in ((~rounded, 2e-5), (rounded, 2e-3)):
        assert_close(np.asarray(actual)[rows], expected[rows], name, rtol)


def certain_negatives(case):
    return (case["labels"] == 0) & (case["predictions"] > 0.999)


def test_some_negatives_are_certain():
    found = [case for param in cases() if (case := param.values[0]) is not None]
    losses_alone = [case for case in found if case.meta["class"] in CHECKS]
    if not losses_alone:
        assert not os.environ.get(golden.VARIABLE)
        pytest.skip("no golden figures of losses")
    assert any(np.any(certain_negatives(case)) for case in losses_alone)


def check_center_loss(case):
    """The centers move only where the released code was made to move them."""
    expected = case.outputs
    losses_of_beta = [name for name in expected if name.startswith("loss_beta")]
    betas = [name.removeprefix("loss_beta") for name in losses_of_beta]
    assert betas
    assert_known(
        expected, *losses_of_beta, "center_term_numpy", "centers_after_dangling_update"
    )
    for beta in betas:
        loss = losses.CenterLoss(
            center_loss_weight=float(beta),
            center_rate=1 - case.meta["flags"]["alfa"],
            center_mean=True,
        )
        loss.build(*case["centers"].shape[:1], (1, case["features"].shape[-1]))
        loss.centers.assign(case["centers"])
        predictions = tf.constant(case["predictions"])
        features = tf.constant(case["features"])
        with tf.GradientTape() as tape:
            tape.watch([predictions, features])
            terms = loss.auxiliary_losses(
                {"descriptor": features},
                {"labels": golden.label_ids(case["labels"])},
            )
            total = loss(case["labels"], predictions) + terms["center_loss"]
        assert_close(total, expected[f"loss_beta{beta}"], beta, rtol=2e-5)
        term = float(beta) * expected["center_term_numpy"]
        assert_close(terms["center_loss"], term, beta)
        gradients = tape.gradient(total, [predictions, features])
        figures = case.group("grad")
        assert_gradient(case, gradients[0], figures[f"predictions_beta{beta}"], beta)
        assert_close(gradients[1], figures[f"features_beta{beta}"], beta, rtol=2e-5)
        if "centers_after_dangling_update" in expected:
            moved = expected["centers_after_dangling_update"]
            assert_close(loss.centers.numpy(), moved, "centers")


CHECKS = {
    "CenterLoss": check_center_loss,
    "losses": check_label_losses,
    "CrossEntropyLossMat, CrossEntropyLossSample": check_label_losses,
}
