"""The checkpoints of Lin et al.'s code (TensorFlow 1), by their variables.

The code of 2019 trains a copy of the model on each GPU, tower_0, tower_1 ..., and mixes
their logits by the variables in ensemble/.
"""

import operator
import re
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from youtube8m.runs.starter_code import Found, Pair, by_expert

CLASSES = {"NeXtVLADModel": "NeXtVLAD", "MixNeXtVladModel": "MixNeXtVLAD"}
OURS = {*CLASSES.values(), "OuterMixNeXtVLAD"}
# Hyper-parameters that no variable shows, and their values unless they are given.
UNSAVED = {
    "released_code": True,
    "input_transform": "reverse_whitening",
    "drop_rate": None,
    "l2_penalty": None,
    "cl_temperature": None,
    "cl_lambda": None,
    "final_temperature": None,
    "final_lambda": None,
}

_TOWER = re.compile(r"tower_(\d+)/")
_BRANCH = re.compile(r"branch_(\d+)/")


def recognises(name: str, shapes: Mapping[str, Any]) -> bool:
    """Whether a class of this name is theirs."""
    return name in CLASSES


def describe(
    name: str, shapes: Mapping[str, Any], in_tower: bool = False
) -> Found | None:
    """What the variables show of a model; None if they hold no classifier.

    Args:
      in_tower: whether they lie in `tower/`, as those of 2018 do.
    """
    towers, branches = _count(_TOWER, shapes), _count(_BRANCH, shapes)
    one = {_own_name(full): shape for full, shape in shapes.items()}
    if "fully_connected/weights" in one:
        kind, classes, sizes = "Logistic", one["fully_connected/weights"][-1], {}
    else:
        experts = one.get("experts/weights", [0])[-1]
        classes = one.get("gates/weights", [0])[-1] - experts
        if experts < 1 or classes < 1 or experts % classes:
            return None
        kind, sizes = "Moe", {"moe_num_mixtures": experts // classes}
    sizes |= _sizes(one)
    if CLASSES[name] == "NeXtVLAD" and towers < 2:
        moe = "MoeModel" if in_tower else "MoeLogitModel"  # of 2018, of 2019
        classifier = moe if kind == "Moe" else "PenalizedLogisticModel"
        return Found("NeXtVLAD", classifier, classes, sizes)
    if towers < 2 or CLASSES[name] == "NeXtVLAD":
        sizes["mix_number"] = branches or towers
        return Found("MixNeXtVLAD", f"Mix{kind}Model", classes, sizes)
    sizes |= {"mix_number": branches, "outer_mix_number": towers}
    return Found("OuterMixNeXtVLAD", "OuterMixLogisticModel", classes, sizes)


def _count(pattern, shapes):
    return len({found[1] for name in shapes if (found := pattern.search(name))})


def _own_name(name):
    """Of a variable in its branch, whatever its tower and branch are."""
    name = re.sub(r"^(tower_\d+/)?(branch_\d+/)?", "", name)
    return re.sub("^(video|audio)_vlad/", r"\1_VLAD/", name)


def _sizes(one):
    """Of a NeXtVLAD, by the shapes of its variables."""
    scores = one.get("video_VLAD/cluster_weights", [1, 1])
    expanded = one.get("video_VLAD/fully_connected/weights", [1, 1])
    clusters = one.get("video_VLAD/cluster_weights2", [1])[-1]
    hidden, fewer = one.get("gating_weights_1", [1, 1])
    return {
        "nextvlad_cluster_size": clusters,
        "groups": scores[-1] // clusters,
        "expansion": expanded[1] // expanded[0],
        "nextvlad_hidden_size": hidden,
        "gating_reduction": hidden // fewer,
    }


# Weights in our layout ----------------------------------------------------------------

_STREAM = {
    "fully_connected/weights": "expand.kernel",
    "fully_connected/biases": "expand.bias",
    "fully_connected_1/weights": "attention.kernel",
    "fully_connected_1/biases": "attention.bias",
    "cluster_weights": "assign.kernel",
    "cluster_bn": "assign_norm",
    "cluster_weights2": "centres",
    "vlad_bn": "norm",
}
_IN_BRANCH = {
    "hidden1_bn": "hidden_norm",
    "hidden1_weights": "hidden.kernel",
    "gating_weights_1": "gate.squeeze.kernel",
    "gating_bn": "gate.norm",
    "gating_weights_2": "gate.excite.kernel",
}
_HEAD = {
    "fully_connected/weights": "logits.kernel",
    "fully_connected/biases": "logits.bias",
    "gates/weights": "gates.kernel",
    "experts/weights": "experts.kernel",
    "experts/biases": "experts.bias",
}
_MIX = {
    "mix_weights_bn": "context_norm",
    "mix_weights/weights": "weigh.kernel",
    "mix_weights/biases": "weigh.bias",
}


def match(
    model: Any, variables: Mapping[str, np.ndarray], forget_bias: float = 1.0
) -> Iterator[Pair]:
    """Their variables beside our weights.

    Args:
      model: a VideoModel with parts of Lin et al. 2018.
      variables: by the names of TensorFlow 1, without tower/.
      forget_bias: of LSTMs, which there are none of.

    Yields the name of a variable, our weight (None if there is none) and its value in
    our layout.
    """
    towers, branches = _count(_TOWER, variables), _count(_BRANCH, variables)
    for name, value in variables.items():
        if name.startswith("ensemble/") and towers < 2:
            continue  # of a single tower, whose weight is always 1
        tower, branch, rest = _split(name)
        if towers and not branches:  # a mixture of the towers themselves
            tower, branch = 0, tower
        mixture, branch_layer, head = _owners(model, name, tower, branch)
        stream, _, inner = rest.partition("/")
        if stream.lower() in ("video_vlad", "audio_vlad"):
            streams = getattr(branch_layer, "streams", ())
            number = stream.lower() == "audio_vlad"
            layer = streams[number] if number < len(streams) else None
            yield name, _find(layer, _STREAM, inner), _in_stream(layer, inner, value)
        elif (weight := _find(branch_layer, _IN_BRANCH, rest)) is not None:
            if rest == "hidden1_weights":
                order = np.concatenate([*_orders(branch_layer)])
                value = value[order] if len(value) == len(order) else value
            yield name, weight, value
        elif (weight := _find(mixture, _MIX, rest)) is not None:
            yield name, weight, value
        else:
            if rest.startswith(("gates", "experts")):
                value = by_expert(value, model.classifier.num_classes)
            yield name, _find(head, _HEAD, rest), value


def _split(name):
    """(tower, branch, the rest) of a name; 0 where it names none."""
    numbers = []
    for pattern in (_TOWER, _BRANCH):
        found = pattern.match(name)
        numbers.append(int(found[1]) if found else 0)
        name = name[found.end() :] if found else name
    return *numbers, name.removeprefix("ensemble/")


def _owners(model, name, tower, branch):
    """The classifier that mixes, the branch of the encoder, and its own classifier."""
    encoder, mixture = model.encoder, model.classifier
    towers = getattr(mixture, "towers", None)
    number = branch
    if towers and not name.startswith("ensemble/"):
        number = tower * mixture.mix_number + branch
        mixture = towers[tower] if tower < len(towers) else None
    branches = getattr(encoder, "branches", None) or [encoder.branch]
    heads = getattr(mixture, "heads", None) or [mixture]
    layer = branches[number] if number < len(branches) else None
    return mixture, layer, heads[branch] if branch < len(heads) else None


def _find(part, table, name):
    """Our weight for a TF1 name, or None."""
    layer, _, leaf = name.rpartition("/")
    path = table.get(name) or (layer in table and f"{table[layer]}.{leaf}")
    try:
        return operator.attrgetter(path)(part) if path else None
    except AttributeError:
        return None


def _in_stream(layer, name, value):
    if name == "cluster_weights2":
        return value[0].T
    if layer is None or not name.startswith("vlad_bn"):
        return value
    order = _order(layer)
    return value[order] if len(value) == len(order) else value


def _order(layer):
    """TF1 has features before clusters, we have clusters before features."""
    shape = (layer.group_size, layer.clusters)
    return np.arange(np.prod(shape)).reshape(shape).T.ravel()


def _orders(branch):
    start = 0
    for layer in branch.streams:
        yield start + _order(layer)
        start += layer.clusters * layer.group_size
