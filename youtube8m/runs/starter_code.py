"""Checkpoints of the starter code (TensorFlow 1), read as if they were ours.

    checkpoint = StarterCheckpoint("/tmp/theirs/model.ckpt-900")
    run = checkpoint.infer_run(run, given={})           # its sizes, by the variables
    values = checkpoint.values(shapes, num_classes)    # by the names of our weights

Each of our weights comes from one variable of the starter code: `starter_name` names
it, `our_layout` converts its value.
"""

import dataclasses
import math
import os
import re
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np
from absl import logging

from youtube8m import models
from youtube8m.config import RunConfig
from youtube8m.errors import UserError
from youtube8m.layers.normalization import UPDATES
from youtube8m.losses import LOSSES
from youtube8m.registry import defaults
from youtube8m.runs.checkpoint_files import CheckpointReader

MODELS = (
    *("LogisticModel", "MoeModel"),
    *("FrameLevelLogisticModel", "DbofModel", "LstmModel"),
)
# Hyper-parameters that the shapes of the variables do not show.
UNSAVED = (
    *("iterations", "sample_random_frames"),
    *("dbof_pooling_method", "dbof_activation"),
)
_CLASSIFIERS = (
    "a classifier has fully_connected/weights [H, C], or gates/weights [H, (M + 1) C] "
    "and experts/weights [H, M C]"
)

# Our layers -> the starter code's, with all that precedes the last part of a name.
_LAYERS = {
    "classifier/logits": "fully_connected/",
    "classifier/gates": "gates/",
    "classifier/experts": "experts/",
    "encoder/input_norm": "input_bn/",
    "encoder/cluster": "cluster_",
    "encoder/cluster_norm": "cluster_bn/",
    "encoder/hidden": "hidden1_",
    "encoder/hidden_norm": "hidden1_bn/",
}
_LEAVES = {"kernel": "weights", "bias": "biases"}
_LSTM = re.compile(
    r"encoder/stack/lstm/lstm_cell/(?P<leaf>kernel|recurrent_kernel|bias)"
    r"(#(?P<layer>\d+))?"
)


# The name of a TF1 variable, our weight (None if there is none), its value there.
Pair = tuple[str, Any, np.ndarray]


class Found(NamedTuple):
    """What the variables of a checkpoint show of its model: our names and sizes."""

    model: str
    classifier: str
    num_classes: int
    sizes: Mapping[str, Any]


def starter_name(name: str) -> str | None:
    """The variable of the starter code (without `tower/`) that holds a weight of ours.

    None for what the starter code does not save: the state of random generators, and
    batch normalisation's count of updates.
    """
    if lstm := _LSTM.fullmatch(name):
        leaf = lstm["leaf"].removeprefix("recurrent_")
        layer = lstm["layer"] or 0
        return f"rnn/multi_rnn_cell/cell_{layer}/basic_lstm_cell/{leaf}"
    layer, _, leaf = name.rpartition("/")
    if layer not in _LAYERS or leaf == UPDATES:
        return None
    return _LAYERS[layer] + _LEAVES.get(leaf, leaf)


def our_layout(name: str, value, num_classes: int, forget_bias: float = 1.0):
    """The value of our weight `name`, from the value of the starter code's variable.

    Args:
      forget_bias: is added to the bias of an LSTM's forget gate; 0 for gradients and
        for an optimizer's slots.
    """
    if name.startswith(("classifier/gates", "classifier/experts")):
        return by_expert(value, num_classes)
    lstm = _LSTM.fullmatch(name)
    return lstm_layout(lstm["leaf"], value, forget_bias) if lstm else value


def by_expert(value, num_classes: int):
    """[..., C M] ordered by class, then expert -> by expert, then class."""
    split = value.reshape(*value.shape[:-1], num_classes, -1)
    return split.swapaxes(-1, -2).reshape(value.shape)


def lstm_layout(leaf: str, value, forget_bias: float = 1.0):
    """A cell's `kernel`, `recurrent_kernel` or `bias`.

    TF1 has gates i, j, f, o and adds 1 to f in each step; Keras has i, f, j, o. TF1's
    kernel [D + H, 4 H] holds the rows of both of our kernels, the inputs' rows first.
    """
    i, j, f, o = np.split(value, 4, axis=-1)
    if leaf == "bias":
        f = f + np.float32(forget_bias)
    ours = np.concatenate([i, f, j, o], axis=-1)
    inputs = len(ours) - o.shape[-1]
    return {"kernel": ours[:inputs], "recurrent_kernel": ours[inputs:]}.get(leaf, ours)


class StarterCheckpoint(CheckpointReader):
    """A checkpoint of the starter code, and the model that its variables make.

    Raises UserError if the checkpoint cannot be read.
    """

    @property
    def adam_updates(self) -> int:
        """Updates that Adam counts: its beta2_power is 0.999^(updates + 1).

        Rounding makes that inexact, and after some 100,000 steps the power is 0. Where
        it is 0, missing, or agrees with the step, the result is the step.
        """
        known = "beta2_power" in self.shapes
        power = float(self.read("beta2_power")) if known else 0.0
        step = self.step
        if power < 1e-30:
            return step
        updates = math.log(power, 0.999) - 1
        return step if abs(updates - step) < 10 else round(updates)

    @property
    def slots(self) -> set[str]:
        """Names of the optimizer's slots, such as Adam and Adam_1."""
        split = map(os.path.split, self.shapes)
        return {slot for variable, slot in split if variable in self.shapes}

    def infer_run(self, run: RunConfig, given: Mapping[str, Any]) -> RunConfig:
        """`run`, of which five keys are known, with what the variables show.

        Args:
          given: hyper-parameters; the UNSAVED ones among them are used.

        Raises UserError if the model is not one of the starter code's, or the variables
        hold no classifier.
        """
        if run.model.model not in MODELS:
            raise UserError(
                f"{self.prefix}: model_flags.json beside it names the model "
                f"{run.model.model}; the starter code's are {', '.join(MODELS)}"
            )
        classifier, num_classes, sizes = self._infer_sizes()
        found = Found(run.model.model, classifier, num_classes, sizes)
        return self.infer_run_as(run, found, dict.fromkeys(UNSAVED), given)

    def infer_run_as(
        self,
        run: RunConfig,
        found: Found,
        unsaved: Mapping[str, Any],
        given: Mapping[str, Any],
        source: str = "the starter code",
    ) -> RunConfig:
        """`run` with the model that was found, and one log line of what was not.

        Args:
          unsaved: hyper-parameters that no variable shows, and their values unless they
            are `given`; None for the class's default.
          source: whose code it is.
        """
        config = dataclasses.replace(
            run.model,
            model=found.model,
            video_level_classifier_model=found.classifier,
        )
        loss = LOSSES.get(config.label_loss)
        values = defaults(*models.parts(config), models.VideoModel, loss)
        unsaved = {
            name: values[name] if value is None else value
            for name, value in unsaved.items()
            if name in values
        }
        if unsaved:
            unsaved |= {name: given[name] for name in unsaved.keys() & given}
            told = ", ".join(
                f"{name}={value} ({'given' if name in given else 'assumed'})"
                for name, value in unsaved.items()
            )
            message = "%s of %s, which keeps no record of these: %s"
            logging.info(message, config.model, source, told)
        sizes = {name: found.sizes[name] for name in found.sizes.keys() & values}
        data = dataclasses.replace(run.data, num_classes=found.num_classes)
        config = dataclasses.replace(config, hyperparameters=values | unsaved | sizes)
        return RunConfig(data, config)

    def _infer_sizes(self):
        """(classifier, number of classes, hyper-parameters) by the variables."""
        widths = {name: shape[-1] for name, shape in self.shapes.items() if shape}
        sizes = {"dbof_add_batch_norm": "cluster_bn/gamma" in widths}
        if "cluster_weights" in widths:
            sizes["dbof_cluster_size"] = widths["cluster_weights"]
        if "hidden1_weights" in widths:
            sizes["dbof_hidden_size"] = widths["hidden1_weights"]
        cells = [n for n in widths if n.endswith("/basic_lstm_cell/kernel")]
        if cells:
            sizes |= {"lstm_layers": len(cells), "lstm_cells": widths[cells[0]] // 4}
        if "fully_connected/weights" in widths:
            return "LogisticModel", widths["fully_connected/weights"], sizes
        experts = widths.get("experts/weights", 0)
        num_classes = widths.get("gates/weights", 0) - experts
        if experts < 1 or num_classes < 1 or experts % num_classes:
            raise self.no_classifier()
        sizes["moe_num_mixtures"] = experts // num_classes
        return "MoeModel", num_classes, sizes

    def values(
        self, shapes: Mapping[str, Any], num_classes: int, slot: str = ""
    ) -> dict[str, np.ndarray]:
        """The values of our weights, by name.

        Args:
          shapes: of our weights, by name.
          slot: reads the weights' slot of this name instead, such as Adam or Adam_1.

        Raises UserError, which lists all variables that are missing, have another shape
        or (without `slot`) fit no weight.
        """
        end = f"/{slot}" if slot else ""
        self._check(shapes, end)
        forget_bias = 0.0 if slot else 1.0
        return {
            name: our_layout(name, self.read(theirs + end), num_classes, forget_bias)
            for name in shapes
            if (theirs := starter_name(name))
        }

    def _check(self, shapes, end):
        """Raises UserError unless the variables that end with `end` fit our shapes."""
        expected: dict[str, list[int]] = {}
        for name, shape in shapes.items():
            theirs = starter_name(name)
            if theirs in expected:  # the other half of an LSTM's kernel
                shape = [expected[theirs][0] + shape[0], *shape[1:]]
            if theirs:
                expected[theirs] = list(shape)
        problems = []
        for name, shape in expected.items():
            found = self.shapes.get(name + end)
            if found is None:
                problems.append(f"{name}{end} {shape}: missing")
            elif found != shape:
                problems.append(f"{name}{end} {found}: must be {shape}")
        if not end:  # moving statistics have no slots
            known = {*expected, "global_step", "beta1_power", "beta2_power"}
            others = (n for n in self.shapes if not {n, os.path.dirname(n)} & known)
            problems += [
                f"{other}: not this model's" for other in self.list_shapes(others)
            ]
        if problems:
            raise self.misfit(problems)

    def no_classifier(self) -> UserError:
        """The error for variables that hold none."""
        weights = (n for n in self.shapes if os.path.dirname(n) not in self.shapes)
        return self.misfit(
            [f"{_CLASSIFIERS}, but {', '.join(self.list_shapes(weights))}"]
        )

    def list_shapes(self, names) -> list[str]:
        """Names of variables, each with its shape."""
        return [f"{name} {self.shapes[name]}" for name in sorted(names)]

    def misfit(self, problems: Iterable[str]) -> UserError:
        """The error for variables that do not fit."""
        folder = os.path.dirname(self.prefix)  # or inference_model/ in it
        folders = (folder, os.path.dirname(folder))
        files = [os.path.join(each, "model_flags.json") for each in folders]
        named = "model_flags.json beside it names"
        if not any(map(os.path.exists, files)):
            named = "--model and --feature_sizes describe"
        return UserError(
            f"{self.prefix}: its variables do not fit the model that {named}: "
            f"{'; '.join(problems)}"
        )
