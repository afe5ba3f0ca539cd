"""The models of Zou et al. 2017 against what the authors' released code computes."""

import re

import numpy as np
import pytest

from tests.helpers import golden
from tests.helpers.golden import ATOL, assert_close, assert_known
from youtube8m.layers.recurrent import Stack
from youtube8m.models.base import CLASSIFIERS, ENCODERS, VideoModel
from youtube8m.registry import construct
from youtube8m.runs.starter_code import by_expert

# Readers and losses, which are no models.
ELSEWHERE = ("YT8MFrameFeatureReader", *golden.CLASSIFIERS_AND_LOSSES["zou"])
# A BiLSTM for each of 25 verticals takes longer than all other cases.
SLOW = ("BiLstm25Model",)
# The last commit of the kunxu branch, which changed BiLstmModel to pick two frames.
PICKING = "0679e473fa49a68874b66970e3f26d8414f020ef"
FLAGS = ("lstm_cells", "lstm_layers", "moe_num_mixtures")


@pytest.mark.parametrize("case", golden.cases("zou", without=ELSEWHERE, slow=SLOW))
def test_zou(case):
    model = build(case)
    outputs = model({"frames": case["input"], "num_frames": case["num_frames"]})
    descriptor, expected = outputs["descriptor"], case.outputs
    pooled = {"pooled": descriptor}
    if isinstance(descriptor, list):
        pooled = {f"pooled_{number}": x for number, x in enumerate(descriptor)}
    assert_known(expected, "predictions", *pooled)
    noise = case.meta["max_abs_change_of_predictions_for_1e6_relative_input_noise"]
    atol = min(max(ATOL, noise), 3e-5)
    for name, values in pooled.items():
        assert_close(values, expected[name], name, atol=atol)
    assert_close(outputs["predictions"], expected["predictions"], "p", atol=atol)


# Our model of a case ----------------------------------------------------------------


def build(case):
    name, values = encoder_of(case)
    encoder = construct(ENCODERS.get(name), values)
    if name == "PerVerticalBiLSTM":
        encoder.cells = lambda: cells_of_verticals(case)
    model = VideoModel(classifier_of(case, encoder), encoder)
    shape = (1, 2, case["input"].shape[-1])
    model({"frames": np.zeros(shape, np.float32), "num_frames": np.array([2])})
    golden.load(model, matched(model, case.variables))
    return model


def classifier_of(case, encoder):
    flags = case.meta["flags"]
    name = flags.get("video_level_classifier_model", "MoeModel")
    values = {
        "num_classes": case.outputs["predictions"].shape[-1],
        "moe_num_mixtures": flags.get("moe_num_mixtures", 2),
        "verticals": getattr(encoder, "verticals", ()),
    }
    if name == "MLPModel":
        name = "MlpModel"
        size = len(case.variables["fully_connected/biases"])
        values |= {"mlp_layers": 1, "mlp_size": size, "mlp_layer_norm": False}
        values |= {"mlp_activation": "relu6"}
    own = encoder.classifiers[:1]  # as that of BiLstm25Model
    return construct(CLASSIFIERS.get(*own or [name]), values)


def encoder_of(case):
    """The name of our class, and its arguments."""
    assert_known(case.meta["flags"], *FLAGS, "video_level_classifier_model")
    kernels = {k: v for k, v in case.variables.items() if k.endswith("cell/kernel")}
    cells = [kernel.shape[1] // 4 for kernel in kernels.values()]
    released = case.meta["class"]
    if released == "LstmModel":
        return "LstmModel", {"lstm_cells": cells[0], "lstm_layers": len(cells)}
    if released == "BiLstmModel":
        picking = case.meta["commit"] == PICKING
        return "SegmentAttentionBiLSTM" if picking else "StackedBiLSTMLN", {
            "lstm_cells": cells[0],
            "top_lstm_cells": cells[-1],
            "layer_norm": any("layer_norm" in name for name in kernels),
            "released_code": True,
        }
    if released == "LstmModel_late":
        sizes = case.meta["sizes"]
        return "LateFusionLSTM", {
            "feature_sizes": (sizes["rgb"], sizes["audio"]),
            "visual_lstm_cells": cells_of(kernels, "rgb_lstm/"),
            "audio_lstm_cells": cells_of(kernels, "audio_lstm/"),
            "top_lstm_cells": cells_of(kernels, "hidden_lstm/"),
            "layer_norm": True,
            "released_code": True,
        }
    assert released == "BiLstm25Model", f"no test for cases of class {released!r}"
    sizes = case["vertical_sizes"]
    # The released order of classes is by vertical.
    return "PerVerticalBiLSTM", {"verticals": np.repeat(np.arange(len(sizes)), sizes)}


def cells_of(kernels, scope):
    """Units of the one size of LSTM in a scope."""
    shapes = [k.shape for name, k in kernels.items() if name.startswith(scope)]
    (width,) = {width for _, width in shapes}
    return width // 4


def cells_of_verticals(case):
    """The case's own sizes, where ours would follow from the numbers of classes."""
    layers = zip(case["lstm_sizes_layer1"], case["lstm_sizes_layer2_or_0"], strict=True)
    return [tuple(int(size) for size in sizes if size) for sizes in layers]


# TF1 weights in our layout ----------------------------------------------------------

CELL = re.compile(r"(?P<scope>.+)/(layer_norm_)?basic_lstm_cell/(?P<leaf>.+)")
BIDIRECTIONAL = re.compile(
    r"(?:vertical(?P<vertical>\d+)/|(?P<modality>\w+)_lstm/)?stack_bidirectional_rnn/"
    r"cell_(?P<level>\d+)/bidirectional_rnn/(?P<direction>[fb]w)"
)
LEAVES = {"weights": "kernel", "biases": "bias"}


def matched(model, tf1):
    cells = {}
    for name, value in tf1.items():
        if cell := CELL.fullmatch(name):
            cells.setdefault(cell["scope"], {})[cell["leaf"]] = value
        else:
            yield classifier_weight(model.classifier, name, value)
    for scope, values in cells.items():
        layer = recurrent_layer(model.encoder, scope)
        if layer is not None:
            yield from golden.cell_weights(layer, values)


def recurrent_layer(encoder, scope):
    """Our layer of TF1's scope; None for what no output depends on."""
    if scope == "hidden_lstm/rnn":
        return encoder.top.layers[0]
    if stack := re.fullmatch(r"rnn/multi_rnn_cell/cell_(\d+)", scope):
        return encoder.stack.layers[int(stack[1])]
    match = BIDIRECTIONAL.fullmatch(scope)
    assert match, f"unknown scope {scope}"
    level, backward = int(match["level"]), match["direction"] == "bw"
    if match["vertical"]:
        pair = encoder.stacks[int(match["vertical"])].levels[level]
    elif match["modality"]:
        pair = {"rgb": encoder.visual, "audio": encoder.audio}[match["modality"]]
        pair = pair.levels[level]
    elif level == 1 and isinstance(encoder.top, Stack):
        # Released code that reads only the forward half of the second layer.
        return None if backward else encoder.top.layers[0]
    else:
        pair = (encoder.bottom, encoder.top)[level].levels[0]
    return pair[backward].layers[0]


def classifier_weight(classifier, name, value):
    *vertical, scope, leaf = name.split("/")
    if vertical:
        layer = classifier.heads[int(vertical[0].removeprefix("vertical"))]
    elif scope in ("gates", "experts"):
        layer = getattr(classifier, scope)
        value = by_expert(value, classifier.num_classes)
    else:
        dense = [*getattr(classifier, "hidden", ()), classifier.logits]
        layer = dense[int(scope.removeprefix("fully_connected").strip("_") or 0)]
    return getattr(layer, LEAVES[leaf]), value
