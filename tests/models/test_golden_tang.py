"""The frame-level models of Tang et al. against what the released code computes."""

import operator
import re

import numpy as np
import pytest

from tests.helpers import golden
from tests.helpers.golden import ATOL, assert_close, assert_equal, assert_known
from youtube8m import models
from youtube8m.config import DataConfig, ModelConfig, RunConfig
from youtube8m.layers.inputs import frame_mask
from youtube8m.models.tang2017.windows import window_indices
from youtube8m.runs.starter_code import by_expert

# The descriptor of the released LstmModel is [c, h]: test_golden_na compares it.
ELSEWHERE = ("LstmModel", *golden.CLASSIFIERS_AND_LOSSES["tang"])
# The released class -> ours, and the attributes of our encoder for its variables.
CLASSES = {
    "BiLstmModel": ("BiLSTM", {"": "bilstm"}),
    "ATT_BiLstm": (
        "BiLSTMAttention",
        {"": "head.bilstm", "attention_w": "head.attention.query"},
    ),
    "Split_ATT_BiLstm": (
        "SplitBiLSTMAttention",
        {
            "visual_lstm": "visual.bilstm",
            "audio_lstm": "audio.bilstm",
            "attention_visual": "visual.attention.query",
            "attention_audio": "audio.attention.query",
        },
    ),
    "multi_att": (
        "MultiAttentionBiLSTM",
        {"local_lstm": "local", "postmax_lstm": "bilstm", "attention_w": "query"},
    ),
    "Maxpool_ATT_BiLstm": (
        "MaxPoolBiLSTMAttention",
        {
            "local_lstm": "local",
            "postmax_lstm": "head.bilstm",
            "attention_w": "head.attention.query",
        },
    ),
    "Random": (
        "RandomBiLSTMAttention",
        {"bi": "head.bilstm", "attention_w": "head.attention.query"},
    ),
    "hlstm": (
        "HierarchicalBiLSTMAttention",
        {
            "local_lstm_1": "frames",
            "local_lstm_2": "groups",
            "global_lstm": "head.bilstm",
            "attention_w": "head.attention.query",
        },
    ),
}


@pytest.mark.parametrize("case", golden.cases("tang", without=ELSEWHERE))
def test_tang(case):
    assert_known(case.outputs, "predictions", "pooled", "features")
    model = build(case)
    load(model, case)
    descriptor = encode(model.encoder, case)
    predictions = model.classifier(descriptor)
    if isinstance(descriptor, list):
        # The released features are those of each class's vertical.
        classes = [descriptor[v] for v in case["belongs"]]
        features = case.outputs["features"]
        descriptor = np.stack(classes, axis=1).reshape(features.shape)
    for name in case.outputs.keys() - {"predictions"}:
        assert_close(descriptor, case.outputs[name], name)
    noise = case.meta["max_abs_change_of_predictions_for_1e6_relative_input_noise"]
    expected = case.outputs["predictions"]
    assert_close(predictions, expected, "predictions", atol=max(ATOL, noise))


CODE = {
    "released_code": True,
    "attention_score": "tanh-dense",
    "vertical_bias": False,
}


def build(case):
    """Our model of a case, with its flags and sizes."""
    kind, sizes = case.meta["class"], case.meta["sizes"]
    assert kind in CLASSES, f"no test for cases of class {kind!r}"
    flags = {
        "pool_size" if k == "poolsize" else k: v for k, v in case.meta["flags"].items()
    }
    classifier = flags.pop("video_level_classifier_model")
    if kind == "multi_att":  # which has a classifier of its own
        classifier = "PerVerticalModel"
    data = DataConfig(
        ("rgb", "audio"),
        (sizes["rgb"], sizes["audio"]),
        frame_features=True,
        num_classes=sizes["classes"],
        max_frames=case["input"].shape[1],
    )
    facts = {}
    if "belongs" in case:
        facts["verticals"] = case["belongs"].tolist()
        facts["num_verticals"] = case.variables["attention_w"].shape[-1]
    config = ModelConfig(
        CLASSES[kind][0],
        classifier,
        hyperparameters=flags | CODE,
        **facts,
    )
    return models.create(RunConfig(data, config))


def encode(encoder, case):
    frames = case["input"]
    mask = frame_mask(case["num_frames"], frames.shape[1])
    chosen, mask = encoder.select(frames, mask)
    if "random_offset" in case:
        uniform = (case["random_offset"] + 0.5) / 5
        indices = window_indices(uniform, np.full(uniform.shape, 5), 5)
        assert_equal(indices, case["sampled_index"], "sampled_index")
        chosen = np.take_along_axis(frames, np.asarray(indices)[..., None], axis=1)
    return encoder(chosen, mask)


# Weights ---------------------------------------------------------------------------

CLASSIFIER = {
    "gates/weights": "gates.kernel",
    "experts/weights": "experts.kernel",
    "experts/biases": "experts.bias",
    "fully_connected/weights": "logits.kernel",
    "fully_connected/biases": "logits.bias",
}
LSTM_VARIABLE = re.compile(
    r"(?P<scope>\w*?)/?bidirectional_rnn/(?P<direction>fw|bw)/multi_rnn_cell/"
    r"cell_(?P<layer>\d+)/(basic_)?lstm_cell/(?P<leaf>kernel|bias)"
)


def load(model, case):
    """Every variable of TF1's to one of ours, and none of ours left over."""
    covered = set()
    for _, variable, value in matched(model, case):
        variable.assign(value)
        covered.add(variable.path)
    assert covered == {weight.path for weight in model.trainable_weights}


def matched(model, case):
    """(name, our variable, TF1's values in our layout) of all TF1 variables."""
    attributes = CLASSES[case.meta["class"]][1]
    matches = []
    for name, value in case.variables.items():
        if match := LSTM_VARIABLE.fullmatch(name):
            stack = operator.attrgetter(attributes[match["scope"]])(model.encoder)
            directions = dict(zip(("fw", "bw"), stack.levels[0], strict=True))
            layer = directions[match["direction"]].layers[int(match["layer"])]
            matches += golden.lstm_weights(name, layer.cell, match["leaf"], value)
        elif name == "tang":  # [C, H, 1], a vector for each class
            with_classes = np.unique(case["belongs"])
            matches += [
                (name, head.kernel, value[case["belongs"] == v, :, 0].T)
                for v, head in zip(with_classes, model.classifier.heads, strict=True)
            ]
        elif name in CLASSIFIER:
            if not name.startswith("fully_connected"):
                value = by_expert(value, model.classifier.num_classes)
            variable = operator.attrgetter(CLASSIFIER[name])(model.classifier)
            matches.append((name, variable, value))
        else:
            assert name in attributes, f"unknown variable {name}"
            variable = operator.attrgetter(attributes[name])(model.encoder)
            matches.append((name, variable, value))
    return matches
