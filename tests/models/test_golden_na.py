"""The encoders of Na et al. 2017 against what the authors' released code computes.

Tang et al. released the same LstmModel, an older one of the starter code's.
"""

import re

import numpy as np
import pytest

from tests.helpers import golden
from tests.helpers.golden import ATOL, assert_close, assert_known
from youtube8m import models
from youtube8m.config import DataConfig, ModelConfig, RunConfig
from youtube8m.registry import hyperparameters
from youtube8m.runs.starter_code import by_expert

# The released class -> ours, and its arguments besides the case's own flags.
MODELS = {
    "LstmModel": ("LSTMMemory", {"lstm_memory": "none"}),
    "Lstm_average_concat": ("LSTMMemory", {"lstm_memory": "m"}),
    "ContextMemoryModel": ("LSTMMemory", {"lstm_memory": "m-o"}),
    "LayerNormLstmAveConcatModel": ("LSTMMemory", {"layer_norm": True}),
    "CNN": ("TemporalCNN", {}),
    "PositionEncodingModel": ("PositionEncoding", {}),
    "SoftClusteringModel": ("IndirectClustering", {"clustering_projection": True}),
    "Many2ManyLstmModel": ("ManyToManyLSTM", {}),
}
# The size of the input, by two names, and what only matters in training.
NOT_OURS = {"feature_dim", "kernel_width", "dropout"}


@pytest.mark.parametrize(
    "case",
    golden.cases("na", without=golden.CLASSIFIERS_AND_LOSSES["na"])
    + golden.cases("tang", classes=("LstmModel",)),
)
def test_na(case):
    model = build(case)
    golden.load(model, matched(model, case.variables))
    outputs = model({"frames": case["input"], "num_frames": case["num_frames"]})
    expected = case.outputs
    assert_known(expected, "predictions", "pooled", "features")
    noise = case.meta["max_abs_change_of_predictions_for_1e6_relative_input_noise"]
    atol = min(max(ATOL, noise), 3e-5)
    assert_close(outputs["predictions"], expected["predictions"], "p", atol=atol)
    for name in expected.keys() & {"pooled", "features"}:
        assert_close(outputs["descriptor"], expected[name], name)


def build(case):
    released = case.meta["class"]
    assert released in MODELS, f"no test for cases of class {released!r}"
    name, values = MODELS[released]
    flags = {k: v for k, v in case.meta["flags"].items() if k not in NOT_OURS}
    classifier = flags.pop("video_level_classifier_model", "MoeModel")
    config = ModelConfig(name, classifier)
    taken = map(hyperparameters, filter(None, models.parts(config)))
    assert_known(flags, *(key for keys in taken for key in keys))
    values = {**values, **flags, "released_code": True}
    if "true division" in case.meta.get("patched", ""):
        values["integer_division"] = False
    _, steps, size = case["input"].shape
    num_classes = case.outputs["predictions"].shape[-1]
    data = DataConfig(("x",), (size,), True, num_classes=num_classes, max_frames=steps)
    config = ModelConfig(name, classifier, hyperparameters=values)
    return models.create(RunConfig(data, config))


# TF1 weights in our layout ----------------------------------------------------------

LSTM = re.compile(
    r"rnn/(multi_rnn_cell/cell_(?P<layer>\d+)/)?basic_lstm_cell/(?P<leaf>.*)"
)
LAYER_NORM = "rnn/layer_norm_basic_lstm_cell/"


def matched(model, tf1):
    tf1 = dict(tf1)
    normalized = [name for name in tf1 if name.startswith(LAYER_NORM)]
    if normalized:
        values = {name.removeprefix(LAYER_NORM): tf1.pop(name) for name in normalized}
        yield from golden.cell_weights(model.encoder.stack.layers[0], values)
    for name, value in tf1.items():
        if lstm := LSTM.fullmatch(name):
            layer = model.encoder.stack.layers[int(lstm["layer"] or 0)]
            parts = golden.lstm_weights(name, layer.cell, lstm["leaf"], value)
            yield from (part[1:] for part in parts)
        else:
            yield other_weight(model, name, value)


def other_weight(model, name, value):
    scope, leaf = name.split("/")
    if scope in ("gates", "experts"):
        value = by_expert(value, model.classifier.num_classes)
        layer = getattr(model.classifier, scope)
    elif scope == "Conv":
        value = np.squeeze(value, axis=2) if leaf == "weights" else value
        layer = model.encoder.conv
    elif scope == "LayerNorm":
        layer = model.encoder.norm
    else:
        assert scope == "fully_connected", f"unknown variable {name}"
        logits = getattr(model.classifier, "logits", None)
        layer = logits or model.encoder.projection
    return getattr(
        layer, {"weights": "kernel", "biases": "bias"}.get(leaf, leaf)
    ), value
