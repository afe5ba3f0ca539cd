"""The checkpoints of Miech et al.'s code (TensorFlow 1), by their variables."""

import operator
import re
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from youtube8m.runs.starter_code import Found, Pair, by_expert, lstm_layout

# Their class -> our encoder, or classifier, where the variables do not decide.
CLASSES = {
    "NetVLADModelLF": "NetVLAD",
    "NetFVModelLF": "NetFV",
    "SoftDbofModelLF": "SoftDBoF",
    "GatedDbofModelLF": "GatedDBoF",
    "DbofModelLF": "LateFusionDBoF",
    "LstmModel": "LSTMState",
    "GruModel": "GRUState",
    "MoeModel": "GatedMoeModel",
}
OURS = {*CLASSES.values(), "NetRVLAD", "GatedVLAD"}
# Hyper-parameters that no variable shows, and their values unless they are given.
UNSAVED = {
    "released_code": True,
    "iterations": None,  # the class's default
    "sample_random_frames": None,
    "gating_remove_diag": None,
    "fv_coupling_factor": None,
    "lstm_random_sequence": None,
    "lstm_backward": None,
    "gru_random_sequence": None,
    "gru_backward": None,
    "moe_l2": None,
}

_CELL = re.compile(
    r"RNN/rnn/multi_rnn_cell/cell_(?P<layer>\d+)/"
    r"(?P<cell>basic_lstm_cell|gru_cell)/(?P<leaf>.+)"
)
_STREAM = re.compile(r"(?P<stream>video|audio)_(VLAD|FV|DBOF)/(?P<rest>.+)")


def recognises(name: str, shapes: Mapping[str, Any]) -> bool:
    """Whether a class of this name is theirs, not the starter code's of that name."""
    if name == "LstmModel":
        return any(map(_CELL.fullmatch, shapes))
    if name == "MoeModel":
        return "gating_prob_weights" in shapes or "gates1/weights" in shapes
    return name in CLASSES


def describe(
    name: str, shapes: Mapping[str, Any], in_tower: bool = False
) -> Found | None:
    """What the variables show of a model; None if they hold no classifier.

    Args:
      in_tower: whether they lie in `tower/`, which theirs never do.
    """
    model, sizes = CLASSES[name], {}
    if model in ("NetVLAD", "NetFV"):
        kind = "VLAD" if model == "NetVLAD" else "FV"
        prefix, flag = f"video_{kind}/", "netvlad" if kind == "VLAD" else "fv"
        centres = f"{prefix}cluster_weights2" in shapes
        if model == "NetVLAD" and not centres:
            gated = f"{prefix}gate_weights" in shapes
            model = "GatedVLAD" if gated else "NetRVLAD"
        sizes |= _hidden(shapes, flag)
        sizes[f"{flag}_cluster_size"] = _width(shapes, f"{prefix}cluster_weights")
        sizes["fv_couple_weights"] = not centres
    elif name.endswith("ModelLF"):
        sizes |= _bag(shapes)
    elif name in ("LstmModel", "GruModel"):
        sizes |= _recurrent(shapes)
    sizes["gating"] = "gating_weights_2" in shapes
    head = _head(shapes)
    if head is None:
        return None
    classifier, classes, of_head = head
    model = classifier if name == "MoeModel" else model
    return Found(model, classifier, classes, sizes | of_head)


def _width(shapes, name):
    return shapes.get(name, [0])[-1]


def _hidden(shapes, flag):
    return {
        f"{flag}_hidden_size": _width(shapes, "hidden1_weights"),
        f"{flag}_relu": "hidden1_bn/gamma" in shapes,
    }


def _bag(shapes):
    video = _width(shapes, "video_DBOF/cluster_weights")
    audio = _width(shapes, "audio_DBOF/cluster_weights")
    has_hidden = "hidden1_weights" in shapes
    width = (shapes.get("hidden1_weights") or shapes.get("experts/weights") or [0])[0]
    sizes = _hidden(shapes, "dbof") if has_hidden else {}
    return {
        **sizes,
        "dbof_cluster_size": video,
        "fc_dimred": has_hidden,
        "softdbof_maxpool": width > video + audio,
    }


def _recurrent(shapes):
    cells = [match for match in map(_CELL.fullmatch, shapes) if match]
    layers = len({match["layer"] for match in cells})
    if cells and cells[0]["cell"] == "gru_cell":
        of_candidate = [m.string for m in cells if m["leaf"].startswith("candidate/")]
        return {"gru_layers": layers, "gru_cells": _width(shapes, of_candidate[0])}
    kernels = [m.string for m in cells if len(shapes[m.string]) == 2]
    cells = _width(shapes, kernels[0]) // 4 if kernels else 0
    return {"lstm_layers": layers, "lstm_cells": cells}


def _head(shapes):
    """(classifier, number of classes, hyper-parameters); None if there is none."""
    if "fully_connected/weights" in shapes:
        return "LogisticModel", _width(shapes, "fully_connected/weights"), {}
    low_rank = _width(shapes, "gates1/weights") or -1
    gates = _width(shapes, "gates2/weights" if low_rank > 0 else "gates/weights")
    experts = _width(shapes, "experts/weights")
    classes = gates - experts
    if experts < 1 or classes < 1 or experts % classes:
        return None
    gating = shapes.get("gating_prob_weights")
    return (
        "GatedMoeModel",
        classes,
        {
            "moe_num_mixtures": experts // classes,
            "moe_low_rank_gating": low_rank,
            "moe_prob_gating": gating is not None,
            "moe_prob_gating_input": (
                "input" if gating and gating[0] != classes else "prob"
            ),
        },
    )


# Weights in our layout ----------------------------------------------------------------

_PLAIN = {
    "input_bn": "encoder.input_norm",
    "hidden1_bn": "encoder.hidden_norm",
    "gating_bn": "encoder.gate.norm",
    "gating_prob_bn": "classifier.prob_gate.norm",
    "hidden1_biases": "encoder.hidden.bias",
    "gating_weights_2": "encoder.gate.kernel",
    "gating_prob_weights": "classifier.prob_gate.kernel",
    "gates1/weights": "classifier.low_rank.kernel",
    "fully_connected/weights": "classifier.logits.kernel",
    "fully_connected/biases": "classifier.logits.bias",
}
_MIXTURE = {
    "gates/weights": "classifier.gates.kernel",
    "gates2/weights": "classifier.gates.kernel",
    "experts/weights": "classifier.experts.kernel",
    "experts/biases": "classifier.experts.bias",
}
_OF_STREAM = {
    "cluster_weights": "kernel",
    "cluster_bn": "norm",
    "cluster_bn_2": "gate_norm",
    "gate_weights": "gates",
    "dim_red": "reduce",
    "cluster_weights_2": "expand",
}
_TRANSPOSED = {"cluster_weights2": "centres", "covar_weights": "deviations"}
_CELL_LEAVES = {"weights": "kernel", "biases": "bias"}  # of TensorFlow 1.0


def match(
    model: Any, variables: Mapping[str, np.ndarray], forget_bias: float = 1.0
) -> Iterator[Pair]:
    """Their variables beside our weights.

    Args:
      model: a VideoModel with parts of Miech et al. 2017.
      variables: by the names of TensorFlow 1.
      forget_bias: is added to the bias of an LSTM's forget gate.

    Yields the name of a variable, our weight (None if there is none) and its value in
    our layout.
    """
    grus: dict[int, dict[str, np.ndarray]] = {}
    for name, value in variables.items():
        if found := _CELL.fullmatch(name):
            layer, (*path, leaf) = int(found["layer"]), found["leaf"].split("/")
            leaf = "/".join([*path, _CELL_LEAVES.get(leaf, leaf)])
            if found["cell"] == "gru_cell":
                grus.setdefault(layer, {})[leaf] = value
            else:
                yield from _lstm(model, name, layer, leaf, value, forget_bias)
        elif found := _STREAM.fullmatch(name):
            stream = _get(model, f"encoder.streams.{found['stream'] == 'audio':d}")
            yield name, *_in_stream(stream, found["rest"], value)
        elif name == "hidden1_weights":
            order = descriptor_order(model.encoder)
            value = value[order] if len(value) == len(order) else value
            yield name, _get(model, "encoder.hidden.kernel"), value
        elif name in _MIXTURE:
            value = by_expert(value, model.classifier.num_classes)
            yield name, _get(model, _MIXTURE[name]), value
        elif name in _PLAIN:
            yield name, _get(model, _PLAIN[name]), value
        else:
            layer, _, leaf = name.rpartition("/")
            yield name, _get(model, f"{_PLAIN.get(layer)}.{leaf}"), value
    for layer, values in grus.items():
        yield from _gru(model, layer, values)


def _get(part, path):
    """What stands at a path of attributes and indices, or None."""
    for step in path.split("."):
        try:
            part = (
                part[int(step)] if step.isdigit() else operator.attrgetter(step)(part)
            )
        except (AttributeError, IndexError):
            return None
    return part


def _in_stream(stream, name, value):
    """Our weight of an aggregator, and its value; centres are [1, D, K] in TF1."""
    layer, _, leaf = name.rpartition("/")
    if layer:
        return _get(stream, f"{_OF_STREAM.get(layer)}.{leaf}"), value
    if name in _TRANSPOSED:
        return _get(stream, _TRANSPOSED[name]), value.reshape(value.shape[-2:]).T
    ours = _get(stream, str(_OF_STREAM.get(name)))
    is_wider = ours is not None and value.ndim > len(ours.shape)
    return ours, value.reshape(value.shape[1:]) if is_wider else value


def _lstm(model, name, layer, leaf, value, forget_bias):
    for ours in ("bias",) if leaf == "bias" else ("kernel", "recurrent_kernel"):
        weight = _get(model, f"encoder.stack.layers.{layer}.cell.{ours}")
        yield name, weight, lstm_layout(ours, value, forget_bias)


def _gru(model, layer, values):
    """TF1 has gates r, u beside the candidate; Keras u, r and the candidate."""
    cell = _get(model, f"encoder.levels.{layer}.layers.0.cell")
    for leaf in ("kernel", "bias"):
        name = f"gru_cell of cell_{layer}, gates/{leaf} and candidate/{leaf}"
        if {f"gates/{leaf}", f"candidate/{leaf}"} <= values.keys():
            r, u = np.split(values[f"gates/{leaf}"], 2, axis=-1)
            value = np.concatenate([u, r, values[f"candidate/{leaf}"]], axis=-1)
            if leaf == "bias":
                yield name, _get(cell, "bias"), value
                continue
            size = len(value) - value.shape[-1] // 3
            yield name, _get(cell, "kernel"), value[:size]
            yield name, _get(cell, "recurrent_kernel"), value[size:]


def descriptor_order(encoder) -> np.ndarray:
    """Where our descriptor's values are in TF1's, which has features before clusters.

    VLAD and Fisher vectors are matrices [K, D] here, and [D, K] there.
    """
    found, start = [], 0
    for stream, size in zip(encoder.streams, encoder.feature_sizes, strict=True):
        width, clusters = stream.output_size(size), stream.clusters
        order = np.arange(start, start + width)
        if stream.output_size(2) > stream.output_size(1):  # no counts of clusters
            order = order.reshape(-1, size, clusters).transpose(0, 2, 1).ravel()
        found.append(order)
        start += width
    return np.concatenate(found)
