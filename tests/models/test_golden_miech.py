"""The models of Miech et al. 2017 against what the released code computes."""

import operator
import re

import numpy as np
import pytest
import tensorflow as tf

from tests.helpers import golden
from tests.helpers.golden import ATOL, assert_close, assert_equal, assert_known
from tests.helpers.golden_starter import NOISE
from youtube8m import models
from youtube8m.config import DataConfig, ModelConfig, RunConfig
from youtube8m.layers.inputs import frame_mask
from youtube8m.models.base import ENCODERS
from youtube8m.models.miech2017.whole_states import draw_sequence
from youtube8m.registry import hyperparameters
from youtube8m.runs.starter_code import by_expert

# The released class -> ours, and the values of its flags that differ from our defaults.
CLASSES = {
    "NetVLADModelLF": ("NetVLAD", {"netvlad_relu": True, "gating": False}),
    "NetFVModelLF": (
        "NetFV",
        {"fv_relu": True, "fv_couple_weights": True, "gating": False},
    ),
    "SoftDbofModelLF": ("SoftDBoF", {"dbof_relu": True}),
    "GatedDbofModelLF": ("GatedDBoF", {"dbof_relu": True}),
    "DbofModelLF": ("LateFusionDBoF", {}),
    "LstmModel": ("LSTMState", {}),
    "GruModel": ("GRUState", {}),
    "MoeModel": ("GatedMoeModel", {}),
}
# Flags that choose another class of ours.
VARIANTS = {"lightvlad": "NetRVLAD", "vlagd": "GatedVLAD"}


@pytest.mark.parametrize("case", golden.cases("willow"))
def test_miech(case):
    outputs = case.outputs
    known = ("predictions", "pooled", "descriptor_before_hidden1", "gather_index")
    assert_known(outputs, *known)
    model = build(case)
    golden.load(model, matched(model, case))
    inputs = tf.constant(case["input"])
    if model.encoder is None:
        pooled = inputs
    else:
        chosen = frames_of(case, model.encoder, inputs)
        pooled = model.encoder(*chosen)
        if "descriptor_before_hidden1" in outputs:
            parts = model.encoder.aggregate(*chosen)
            expected = outputs["descriptor_before_hidden1"][:, rows(model.encoder)]
            assert_close(parts, expected, "descriptor_before_hidden1")
    assert_close(pooled, outputs["pooled"], "pooled")
    predictions = model.classifier(pooled)
    atol = max(ATOL, case.meta[NOISE])
    assert_close(predictions, outputs["predictions"], "predictions", atol=atol)


def build(case):
    """Our model of a case, with its flags and sizes."""
    kind, sizes = case.meta["class"], case.meta["sizes"]
    assert kind in CLASSES, f"no test for cases of class {kind!r}"
    name, values = CLASSES[kind]
    flags = {**values, **case.meta["flags"]}
    # With it the case is run without its training argument, and no activation applies.
    flags.pop("video_level_classifier_model", None)
    if kind == "DbofModelLF":
        flags.pop("dbof_activation")
    for flag, variant in VARIANTS.items():
        name = variant if flags.pop(flag, False) else name
    is_encoder = name in ENCODERS
    classes = [models.GatedMoeModel, *([ENCODERS.get(name)] if is_encoder else [])]
    taken = {flag for cls in classes for flag in hyperparameters(cls)}
    assert_known(flags, *taken, "iterations")
    if is_encoder:
        names, widths = ("rgb", "audio"), (sizes["rgb"], sizes["audio"])
    else:
        names, widths = ("x",), case["input"].shape[-1:]
    data = DataConfig(names, widths, is_encoder, num_classes=sizes["classes"])
    # The authors' batch norm keeps 0.999 of its statistics from the first step.
    values = {**flags, "released_code": True, "slim_batch_norm": True}
    config = ModelConfig(name, "GatedMoeModel", hyperparameters=values)
    return models.create(RunConfig(data, config))


def frames_of(case, encoder, inputs):
    """The frames that the case's random numbers choose, and their mask."""
    mask = frame_mask(case["num_frames"], inputs.shape[1])
    if "uniform" not in case:
        return inputs, mask
    indices = encoder.sample.indices(case["uniform"], case["num_frames"])
    assert_equal(indices, case["sampled_index"], "sampled_index")
    assert_equal(indices, case.outputs["gather_index"][..., 1], "gather_index")
    if case.meta["class"] in ("LstmModel", "GruModel"):
        return draw_sequence(inputs, mask, case["uniform"])
    chosen = tf.gather(inputs, indices, batch_dims=1)
    return chosen, tf.ones(chosen.shape[:2], tf.bool)


# Weights in our layout ----------------------------------------------------------------

PLAIN = {
    "input_bn": "encoder.input_norm",
    "hidden1_bn": "encoder.hidden_norm",
    "gating_bn": "encoder.gate.norm",
    "gating_prob_bn": "classifier.prob_gate.norm",
    "hidden1_biases": "encoder.hidden.bias",
    "gating_weights_2": "encoder.gate.kernel",
    "gating_prob_weights": "classifier.prob_gate.kernel",
    "gates1/weights": "classifier.low_rank.kernel",
}
MIXTURE = {
    "gates/weights": "classifier.gates.kernel",
    "gates2/weights": "classifier.gates.kernel",
    "experts/weights": "classifier.experts.kernel",
    "experts/biases": "classifier.experts.bias",
}
STREAM = {
    "cluster_weights": "kernel",
    "cluster_bn": "norm",
    "cluster_bn_2": "gate_norm",
    "gate_weights": "gates",
    "dim_red": "reduce",
    "cluster_weights_2": "expand",
}
TRANSPOSED = {"cluster_weights2": "centres", "covar_weights": "deviations"}
IN_STREAM = re.compile(r"(?P<stream>video|audio)_(VLAD|FV|DBOF)/(?P<rest>.+)")
IN_CELL = re.compile(
    r"RNN/rnn/multi_rnn_cell/cell_(?P<layer>\d+)/"
    r"(?P<cell>basic_lstm_cell|gru_cell)/(?P<leaf>.+)"
)


def matched(model, case):
    """(our variable, TF1's value in our layout) of all TF1 variables."""
    pairs, grus = [], {}
    for name, value in case.variables.items():
        layer, _, leaf = name.rpartition("/")
        if match := IN_CELL.fullmatch(name):
            if match["cell"] == "gru_cell":
                grus.setdefault(int(match["layer"]), {})[match["leaf"]] = value
                continue
            cell = model.encoder.stack.layers[int(match["layer"])].cell
            for _, *pair in golden.lstm_weights(name, cell, match["leaf"], value):
                pairs.append(pair)
        elif match := IN_STREAM.fullmatch(name):
            stream = model.encoder.streams[match["stream"] == "audio"]
            pairs.append(in_stream(stream, match["rest"], value))
        elif name == "hidden1_weights":
            pairs.append((model.encoder.hidden.kernel, value[rows(model.encoder)]))
        elif name in MIXTURE:
            value = by_expert(value, case.meta["sizes"]["classes"])
            pairs.append((operator.attrgetter(MIXTURE[name])(model), value))
        elif name in PLAIN:
            pairs.append((operator.attrgetter(PLAIN[name])(model), value))
        else:
            assert layer in PLAIN, f"unknown variable {name}"
            norm = operator.attrgetter(PLAIN[layer])(model)
            pairs.append((getattr(norm, leaf), value))
    for number, values in grus.items():
        cell = model.encoder.levels[number].layers[0].cell
        pairs += gru_weights(cell, values)
    return pairs


def in_stream(stream, name, value):
    """Our weight of an aggregator, and its value; centres are [1, D, K] in TF1."""
    layer, _, leaf = name.rpartition("/")
    if layer:
        return getattr(getattr(stream, STREAM[layer]), leaf), value
    if name in TRANSPOSED:
        return getattr(stream, TRANSPOSED[name]), value.reshape(value.shape[-2:]).T
    ours = getattr(stream, STREAM[name])
    return ours, value.reshape(ours.shape)


def gru_weights(cell, values):
    """TF1 has gates r, u beside the candidate; Keras u, r and the candidate."""
    r, u = np.split(values["gates/kernel"], 2, axis=-1)
    r_bias, u_bias = np.split(values["gates/bias"], 2)
    kernel = np.concatenate([u, r, values["candidate/kernel"]], axis=-1)
    size = len(kernel) - cell.units
    yield cell.kernel, kernel[:size]
    yield cell.recurrent_kernel, kernel[size:]
    yield cell.bias, np.concatenate([u_bias, r_bias, values["candidate/bias"]])


def rows(encoder):
    """Where our descriptor's values are in TF1's, which has features before clusters.

    VLAD and Fisher vectors are matrices [K, D] here, and [D, K] there.
    """
    found, start = [], 0
    for stream, size in zip(encoder.streams, encoder.feature_sizes, strict=True):
        width, clusters = stream.output_size(size), stream.clusters
        parts = width // (clusters * size) or 1
        for part in np.split(np.arange(start, start + width), parts):
            if len(part) == clusters * size:
                part = part.reshape(size, clusters).T.ravel()
            found.append(part)
        start += width
    return np.concatenate(found)
