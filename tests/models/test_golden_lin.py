"""NeXtVLAD against what the released code of Lin et al. computes."""

import operator

import numpy as np
import pytest
import tensorflow as tf

from tests.helpers import golden
from tests.helpers.golden import ATOL, assert_close, assert_known
from tests.helpers.golden_starter import NOISE
from youtube8m import models
from youtube8m.config import DataConfig, ModelConfig, RunConfig
from youtube8m.layers.inputs import frame_mask
from youtube8m.runs.starter_code import by_expert

CLASSES = {"NeXtVLADModel": "NeXtVLAD", "MixNeXtVladModel": "MixNeXtVLAD"}
CLASSIFIERS = {
    ("NeXtVLADModel", "LogisticModel"): "PenalizedLogisticModel",
    ("NeXtVLADModel", "MoeModel"): "MoeLogitModel",
    ("MixNeXtVladModel", "LogisticModel"): "MixLogisticModel",
}


@pytest.mark.parametrize("case", golden.cases("nextvlad"))
def test_lin(case):
    outputs = case.outputs
    known = ("predictions", "pooled", "logits", "regularization_loss")
    assert_known(outputs, *known, "pooled_0", "pooled_1", "pooled_2")
    model = build(case)
    golden.load(model, matched(model, case))
    inputs = tf.constant(case["input"])
    mask = frame_mask(case["num_frames"], inputs.shape[1])
    if "segment_labels" in case.meta["flags"]:  # all of its rows count
        mask = tf.ones_like(mask)
    encoded = model.encoder(inputs, mask)
    atol = max(ATOL, case.meta[NOISE])
    if case.meta["class"] == "MixNeXtVladModel":
        check_mixture(model.classifier, encoded["descriptor"], outputs, atol)
        return
    assert_close(encoded, outputs["pooled"], "pooled", atol=atol)
    # Their sums of some tens of terms differ in the last digits.
    logits = model.classifier.compute_logits(encoded)
    assert_close(logits, outputs["logits"], "logits", atol=10 * atol)
    predictions = model.classifier(encoded)
    assert_close(predictions, outputs["predictions"], "predictions", atol=atol)


def check_mixture(classifier, descriptors, outputs, atol):
    for number, descriptor in enumerate(descriptors[:-1]):
        name = f"pooled_{number}"
        assert_close(descriptor, outputs[name], name, atol=atol)
    found = classifier(descriptors)
    expected = outputs["predictions"]
    assert_close(found["predictions"], expected, "predictions", atol=atol)
    assert_close(found["mixed_logits"], outputs["logits"], "logits", atol=10 * atol)
    batch = {"labels": -np.ones((len(expected), 1), np.int32)}
    terms = classifier.auxiliary_losses(found, batch)
    loss = np.mean(terms["distillation_loss"])
    assert_close(loss, outputs["regularization_loss"], "regularization_loss", 2e-5)


def build(case):
    """Our model of a case, with its flags and sizes."""
    kind, sizes = case.meta["class"], case.meta["sizes"]
    flags = dict(case.meta["flags"])
    classifier = CLASSIFIERS[kind, flags.pop("video_level_classifier_model")]
    flags.pop("segment_labels", None)
    data = DataConfig(
        ("rgb", "audio"),
        (sizes["rgb"], sizes["audio"]),
        frame_features=True,
        num_classes=sizes["classes"],
    )
    values = {**flags, "released_code": True, "slim_batch_norm": True}
    config = ModelConfig(CLASSES[kind], classifier, hyperparameters=values)
    return models.create(RunConfig(data, config))


# Weights in our layout ----------------------------------------------------------------

STREAM = {
    "fully_connected/weights": "expand.kernel",
    "fully_connected/biases": "expand.bias",
    "fully_connected_1/weights": "attention.kernel",
    "fully_connected_1/biases": "attention.bias",
    "cluster_weights": "assign.kernel",
    "cluster_bn": "assign_norm",
    "cluster_weights2": "centres",
    "vlad_bn": "norm",
}
BRANCH = {
    "hidden1_bn": "hidden_norm",
    "hidden1_weights": "hidden.kernel",
    "gating_weights_1": "gate.squeeze.kernel",
    "gating_bn": "gate.norm",
    "gating_weights_2": "gate.excite.kernel",
}
HEAD = {
    "fully_connected/weights": "logits.kernel",
    "fully_connected/biases": "logits.bias",
    "gates/weights": "gates.kernel",
    "experts/weights": "experts.kernel",
    "experts/biases": "experts.bias",
}
MIX = {
    "mix_weights_bn": "context_norm",
    "mix_weights/weights": "weigh.kernel",
    "mix_weights/biases": "weigh.bias",
}


def matched(model, case):
    """(our variable, TF1's value in our layout) of all TF1 variables."""
    classes = case.meta["sizes"]["classes"]
    for name, value in case.variables.items():
        branch, head, rest = owner(model, name)
        stream, _, inner = rest.partition("/")
        if stream.lower() in ("video_vlad", "audio_vlad"):
            layer = branch.streams[stream.lower() == "audio_vlad"]
            yield find(layer, STREAM, inner), in_stream(layer, inner, value)
        elif find(branch, BRANCH, rest) is not None:
            if rest == "hidden1_weights":
                value = value[np.concatenate([*orders(branch)])]
            yield find(branch, BRANCH, rest), value
        elif find(model.classifier, MIX, rest) is not None:
            yield find(model.classifier, MIX, rest), value
        else:
            if rest.startswith(("gates", "experts")):
                value = by_expert(value, classes)
            yield find(head, HEAD, rest), value


def owner(model, name):
    """The branch and the classifier that a variable belongs to, and its own name."""
    if not name.startswith("branch_"):
        return getattr(model.encoder, "branch", None), model.classifier, name
    scope, _, rest = name.partition("/")
    number = int(scope.removeprefix("branch_"))
    return model.encoder.branches[number], model.classifier.heads[number], rest


def find(part, table, name):
    """Our variable for a TF1 name, or None."""
    if name in table:
        return operator.attrgetter(table[name])(part)
    layer, _, leaf = name.rpartition("/")
    found = table.get(layer)
    return getattr(operator.attrgetter(found)(part), leaf) if found else None


def in_stream(layer, name, value):
    if name == "cluster_weights2":
        return value[0].T
    return value[order(layer)] if name.startswith("vlad_bn") else value


def order(layer):
    """TF1 has features before clusters, we have clusters before features."""
    shape = (layer.group_size, layer.clusters)
    return np.arange(np.prod(shape)).reshape(shape).T.ravel()


def orders(branch):
    start = 0
    for layer in branch.streams:
        yield start + order(layer)
        start += layer.clusters * layer.group_size
