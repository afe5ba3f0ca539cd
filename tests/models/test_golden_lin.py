"""NeXtVLAD against what the released code of Lin et al. computes."""

import numpy as np
import pytest
import tensorflow as tf

from tests.helpers import golden
from tests.helpers.golden import ATOL, assert_close, assert_known
from tests.helpers.golden_starter import NOISE
from youtube8m import models
from youtube8m.config import DataConfig, ModelConfig, RunConfig
from youtube8m.layers.inputs import frame_mask
from youtube8m.runs import lin_code

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
    golden.load(model, golden.known_pairs(lin_code.match(model, case.variables)))
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
