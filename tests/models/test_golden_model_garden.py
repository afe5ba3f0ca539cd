"""MaskedDBoF and InputGatedMoeModel against TensorFlow's Model Garden."""

import operator

import numpy as np
import pytest
import tensorflow as tf

from tests.helpers import golden
from tests.helpers.golden import ATOL, assert_close, assert_known
from tests.helpers.golden_starter import NOISE
from youtube8m import models
from youtube8m.config import DataConfig, ModelConfig, RunConfig
from youtube8m.runs.starter_code import by_expert

# The flags of theirs that have other names here.
FLAGS = {
    "cluster_size": "dbof_cluster_size",
    "hidden_size": "dbof_hidden_size",
    "pooling_method": "dbof_pooling_method",
    "activation": "dbof_activation",
    "num_mixtures": "moe_num_mixtures",
}
HEADS = {"moe": "InputGatedMoeModel", "logistic": "LogisticModel"}
# Flags that change no prediction: the order of columns, and a gate that is not used.
OTHERS = ("head", "vocab_as_last_dim", "use_output_context_gate")


@pytest.mark.parametrize("case", golden.cases("official"))
def test_model_garden(case):
    outputs = case.outputs
    assert_known(outputs, "predictions", "pooled")
    model = build(case)
    golden.load(model, matched(model, case))
    inputs = {"frames": tf.constant(case["input"]), "num_frames": case["num_frames"]}
    found = model(inputs)
    atol = max(ATOL, case.meta[NOISE])
    assert_close(found["descriptor"], outputs["pooled"], "pooled", atol=atol)
    assert_close(found["predictions"], outputs["predictions"], "predictions", atol=atol)


def build(case):
    """Our model of a case, with its flags and sizes."""
    sizes, flags = case.meta["sizes"], case.meta["flags"]
    assert case.meta["class"] == "VideoClassificationModel"
    values = {FLAGS.get(n, n): v for n, v in flags.items() if n not in OTHERS}
    head = HEADS[flags["head"]]
    values.setdefault("use_input_context_gate", False)
    if head == "LogisticModel":
        del values["use_input_context_gate"]
        values.pop("moe_num_mixtures", None)
    data = DataConfig(
        ("frames",), (sizes["features"],), True, num_classes=sizes["classes"]
    )
    config = ModelConfig(
        "MaskedDBoF", head, hyperparameters={**values, "released_code": True}
    )
    return models.create(RunConfig(data, config))


# Weights in our layout ----------------------------------------------------------------

LAYERS = {
    "input_bn": "encoder.input_norm",
    "cluster_dense": "encoder.cluster",
    "cluster_bn": "encoder.cluster_norm",
    "context_gate_cluster/bottleneck": "encoder.gate.squeeze",
    "context_gate_cluster/bottleneck_norm": "encoder.gate.squeeze_norm",
    "context_gate_cluster/gates_dense": "encoder.gate.gates",
    "context_gate_cluster/gates_norm": "encoder.gate.gates_norm",
    "hidden_dense": "encoder.hidden",
    "hidden_bn": "encoder.hidden_norm",
    "input_context_gate/gates_dense": "classifier.input_gate.gates",
    "input_context_gate/gates_norm": "classifier.input_gate.gates_norm",
    "gate": "classifier.gates",
    "expert": "classifier.experts",
    "dense": "classifier.logits",
}


def matched(model, case):
    """(our variable, its value) of all variables, and of the counts of updates."""
    classes = case.meta["sizes"]["classes"]
    by_class = not case.meta["flags"].get("vocab_as_last_dim", False)
    for name, value in case.variables.items():
        layer, _, leaf = name.rpartition("/")
        # Without the scopes dbof_1, video_classification_model_1/moe_model.
        layer = layer.removeprefix(layer.split("/")[0] + "/")
        if layer.split("/")[0].startswith(("moe_model", "logistic_model")):
            layer = layer.partition("/")[2]
        if layer in ("gate", "expert") and by_class:
            value = by_expert(value, classes)
        yield getattr(operator.attrgetter(LAYERS[layer])(model), leaf), value
    for weight in model.weights:
        if weight.name == "updates":
            yield weight, np.float32(1e4)
