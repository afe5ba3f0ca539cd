"""Checkpoints of the starter code (TensorFlow 1), read as if they were ours.

    prefix = find("/tmp/yt8m_model")[-1]         # .../model.ckpt-1000
    checkpoint = StarterCheckpoint(prefix)
    run = checkpoint.complete(run, {})           # five keys -> all hyper-parameters
    values = checkpoint.values(shapes, num_classes)         # by our names and layout
    checkpoint.values(shapes, num_classes, slot="Adam")     # the optimizer's, likewise

Each of our weights comes from one variable of the starter code's: `starter_name` says
from which, `our_layout` how.
"""

import dataclasses
import glob
import math
import os
import re
from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow as tf
from absl import logging

from youtube8m import models
from youtube8m.config import RunConfig
from youtube8m.errors import UserError, reason
from youtube8m.losses import LOSSES
from youtube8m.registry import defaults

MODELS = (
    "LogisticModel",
    "MoeModel",
    "FrameLevelLogisticModel",
    "DbofModel",
    "LstmModel",
)

# Hyper-parameters that leave no trace in any variable.
UNSAVED = (
    "iterations",
    "sample_random_frames",
    "dbof_pooling_method",
    "dbof_activation",
)

# Written by its eval.py, for its inference.py.
_EXPORTS = ("segment_inference_model", "inference_model")

_CLASSIFIERS = (
    "a classifier has fully_connected/weights [H, C], or gates/weights [H, (M + 1) C] "
    "and experts/weights [H, M C]"
)

_ADAM_BETA_2 = 0.999


def find(path: str) -> list[str]:
    """The prefixes of all checkpoints in a train directory, newest last.

    Those of training come behind the copies that the starter code's eval.py made in
    inference_model/. The `checkpoint` file is not asked: its paths may be absolute
    ones of another machine.
    """
    folders = (path, os.path.join(path, "inference_model"))
    exports = [os.path.join(folder, name) for name in _EXPORTS for folder in folders]
    exports = [prefix for prefix in exports if os.path.exists(f"{prefix}.index")]
    found = glob.glob(os.path.join(glob.escape(path), "model.ckpt-*.index"))
    saved = [name.removesuffix(".index") for name in found]
    saved = [prefix for prefix in saved if _number(prefix) is not None]
    if not saved:
        exports.sort(key=step_of)
    return exports + sorted(saved, key=_number)


def step_of(prefix: str) -> int:
    """The step of a checkpoint: of its name, else as it counts itself."""
    number = _number(prefix)
    return StarterCheckpoint(prefix).step if number is None else number


def _number(prefix):
    match = re.fullmatch(r"model\.ckpt-(\d+)", os.path.basename(prefix))
    return int(match[1]) if match else None


# Names and layouts --------------------------------------------------------------------

# Ours -> the starter code's, with what stands before the leaf.
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


def starter_name(name: str) -> str | None:
    """The starter code's variable (less `tower/`) that holds our weight `name`.

    None for what it does not have: the state of random generators.
    """
    if lstm := _LSTM.fullmatch(name):
        leaf = lstm["leaf"].removeprefix("recurrent_")
        layer = lstm["layer"] or 0
        return f"rnn/multi_rnn_cell/cell_{layer}/basic_lstm_cell/{leaf}"
    layer, _, leaf = name.rpartition("/")
    if layer not in _LAYERS:
        return None
    return _LAYERS[layer] + _LEAVES.get(leaf, leaf)


def our_layout(name: str, value, num_classes: int, forget_bias: float = 1.0):
    """Our weight `name` of the value of the starter code's variable that holds it.

    Args:
      forget_bias: added to an LSTM's; 0 for gradients and an optimizer's slots.
    """
    if name.startswith(("classifier/gates", "classifier/experts")):
        return by_expert(value, num_classes)
    lstm = _LSTM.fullmatch(name)
    return lstm_layout(lstm["leaf"], value, forget_bias) if lstm else value


def by_expert(value, num_classes: int):
    """[..., C M], by class then expert -> by expert then class."""
    split = value.reshape(*value.shape[:-1], num_classes, -1)
    return split.swapaxes(-1, -2).reshape(value.shape)


def lstm_layout(leaf: str, value, forget_bias: float = 1.0):
    """A cell's `kernel`, `recurrent_kernel` or `bias`.

    TF1 has gates i, j, f, o and adds 1 to f when it runs; Keras has i, f, j, o. TF1's
    kernel [D + H, 4 H] has the rows of both of ours, those of the inputs first.
    """
    i, j, f, o = np.split(value, 4, axis=-1)
    if leaf == "bias":
        f = f + np.float32(forget_bias)
    ours = np.concatenate([i, f, j, o], axis=-1)
    inputs = len(ours) - o.shape[-1]
    return {"kernel": ours[:inputs], "recurrent_kernel": ours[inputs:]}.get(leaf, ours)


def _starter_shapes(shapes):
    """Name -> shape that the starter code's variables have where ours have `shapes`."""
    found: dict[str, list[int]] = {}
    for name, shape in shapes.items():
        theirs = starter_name(name)
        if theirs in found:  # the other half of an LSTM's kernel
            shape = [found[theirs][0] + shape[0], *shape[1:]]
        if theirs:
            found[theirs] = list(shape)
    return found


# One checkpoint -----------------------------------------------------------------------


class StarterCheckpoint:
    """What a checkpoint of the starter code holds.

    Raises:
      UserError: it cannot be read.
    """

    def __init__(self, prefix: str):
        self.prefix = prefix
        self._reader = self._reading(tf.train.load_checkpoint, prefix)
        shapes = self._reader.get_variable_to_shape_map()
        # By the names without scopes that some runs have and some have not.
        self._names = {re.sub(r"^(train/)?(tower/)?", "", n): n for n in shapes}
        self.shapes = {short: shapes[name] for short, name in self._names.items()}

    @property
    def is_starters(self) -> bool:
        """Whether it is TensorFlow 1's, with names and no graph of objects."""
        return "_CHECKPOINTABLE_OBJECT_GRAPH" not in self.shapes

    @property
    def step(self) -> int:
        """Updates made so far."""
        if "global_step" not in self.shapes:
            raise self._unfit(["global_step []: missing"])
        return int(self._tensor("global_step"))

    @property
    def adam_updates(self) -> int:
        """Updates that Adam counts: its beta2_power is 0.999^(updates + 1).

        Rounding makes that inexact over many steps, and after some 100,000 nothing is
        left of it; where it agrees with the step, or says nothing, it is the step.
        """
        known = "beta2_power" in self.shapes
        power = float(self._tensor("beta2_power")) if known else 0.0
        if power < 1e-30:
            return self.step
        updates = math.log(power) / math.log(_ADAM_BETA_2) - 1
        return self.step if abs(updates - self.step) < 10 else round(updates)

    @property
    def slots(self) -> set[str]:
        """What an optimizer kept of each variable, such as Adam and Adam_1."""
        split = map(os.path.split, self.shapes)
        return {slot for variable, slot in split if variable in self.shapes}

    def complete(self, run: RunConfig, given: Mapping[str, Any]) -> RunConfig:
        """`run`, known by its five keys, with all that the variables tell.

        Args:
          given: hyper-parameters; of these the UNSAVED are taken.

        Raises:
          UserError: no model of the starter code's, or no classifier in the variables.
        """
        if run.model.model not in MODELS:
            raise UserError(
                f"{self.prefix}: model_flags.json beside it names the model "
                f"{run.model.model}; the starter code's are {', '.join(MODELS)}"
            )
        classifier, num_classes, sizes = self._sizes()
        config = dataclasses.replace(run.model, video_level_classifier_model=classifier)
        loss = LOSSES.get(config.label_loss)
        known = defaults(*models.parts(config), models.VideoModel, loss)
        sizes = {name: size for name, size in sizes.items() if name in known}
        unsaved = {name: known[name] for name in UNSAVED if name in known}
        taken = {name: given.get(name, value) for name, value in unsaved.items()}
        self._announce(config.model, taken, given)
        return RunConfig(
            dataclasses.replace(run.data, num_classes=num_classes),
            dataclasses.replace(config, hyperparameters={**known, **taken, **sizes}),
        )

    def _announce(self, model, taken, given):
        if taken:
            told = ", ".join(
                f"{name}={value} ({'given' if name in given else 'assumed'})"
                for name, value in taken.items()
            )
            logging.info(
                "%s of the starter code, which keeps no record of these: %s",
                model,
                told,
            )

    def _sizes(self):
        """(classifier, number of classes, hyper-parameters) by variables' shapes."""
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
            raise self._unfit([f"{_CLASSIFIERS}, but {self._listed()}"])
        sizes["moe_num_mixtures"] = experts // num_classes
        return "MoeModel", num_classes, sizes

    def _listed(self):
        """All but optimizers' slots."""
        return ", ".join(
            f"{name} {shape}"
            for name, shape in sorted(self.shapes.items())
            if os.path.dirname(name) not in self.shapes
        )

    def values(
        self, shapes: Mapping[str, Any], num_classes: int, slot: str = ""
    ) -> dict[str, np.ndarray]:
        """The values of our weights of these names and `shapes`.

        Args:
          slot: of the optimizer's, these instead, such as Adam or Adam_1.

        Raises:
          UserError: a variable is missing, has another shape or (without `slot`) is
            left over; all such are listed.
        """
        self._check(_starter_shapes(shapes), slot)
        forget_bias = 0.0 if slot else 1.0
        end = f"/{slot}" if slot else ""
        return {
            name: our_layout(
                name, self._tensor(starter_name(name) + end), num_classes, forget_bias
            )
            for name in shapes
            if starter_name(name)
        }

    def _check(self, expected, slot):
        end = f"/{slot}" if slot else ""
        problems = []
        for name, shape in expected.items():
            found = self.shapes.get(name + end)
            if found is None:
                problems.append(f"{name}{end} {shape}: missing")
            elif found != shape:
                problems.append(f"{name}{end} {found}: must be {shape}")
        known = {*expected, "global_step", "beta1_power", "beta2_power"}
        problems += [
            f"{name} {shape}: not this model's"
            for name, shape in sorted(self.shapes.items())
            if not slot  # which not all weights have
            and name not in known
            and os.path.dirname(name) not in known  # its slots
        ]
        if problems:
            raise self._unfit(problems)

    def _unfit(self, problems):
        return UserError(
            f"{self.prefix}: its variables do not fit the model that model_flags.json "
            f"beside it names: {'; '.join(problems)}"
        )

    def _tensor(self, name):
        return self._reading(self._reader.get_tensor, self._names[name])

    def _reading(self, read, name):
        try:
            return read(name)
        except (tf.errors.OpError, IndexError, ValueError, RuntimeError) as error:
            message = f"{self.prefix}: cannot be read ({reason(error)}); it is damaged"
            raise UserError(message) from None
