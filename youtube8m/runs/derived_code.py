"""Checkpoints of TensorFlow 1: of the starter code, and of code derived from it.

    run = infer_run(StarterCheckpoint(prefix), run, given={})
    values = weight_values(model, named_variables(model.variables), checkpoint)

A source is a module that knows its classes: Miech et al.'s LstmModel and MoeModel have
the starter code's names, and are told apart by their variables.
"""

import os
import re
from collections.abc import Mapping
from typing import Any

import numpy as np

from youtube8m.config import DataConfig, ModelConfig, RunConfig
from youtube8m.errors import UserError
from youtube8m.layers.normalization import UPDATES
from youtube8m.models.base import CLASSIFIERS, VideoModel
from youtube8m.runs import lin_code, miech_code
from youtube8m.runs.starter_code import StarterCheckpoint

SOURCES = {
    "the code of Miech et al. 2017": miech_code,
    "the code of Lin et al. 2018": lin_code,
}


# Of Lin et al. 2018, by their names there.
_CLASSIFIERS = {
    "LogisticModel": (
        *("PenalizedLogisticModel", "MixLogisticModel", "OuterMixLogisticModel"),
    ),
    "MoeModel": ("MoeLogitModel", "MixMoeModel"),
}


def describe(path: str, given: Mapping[str, Any]) -> RunConfig:
    """The run of a directory without model_flags.json, by flags.

    Raises UserError if one of the flags is missing.
    """
    needed = ("model", "feature_names", "feature_sizes")
    if missing := [f"--{name}" for name in needed if not given.get(name)]:
        raise UserError(
            f"{path}: holds checkpoints of TensorFlow 1, but no model_flags.json; give "
            f"{', '.join(missing)} as its training command had them"
        )
    name = given["model"]
    frame_features = given.get("frame_features", name not in CLASSIFIERS)
    names, sizes = given["feature_names"], given["feature_sizes"]
    loss = given.get("label_loss", ModelConfig.label_loss)
    return RunConfig(
        DataConfig(names, sizes, frame_features), ModelConfig(name, label_loss=loss)
    )


def is_alias(theirs: Any, ours: Any) -> bool:
    """Whether a class of a source has another name here."""
    return ours in _CLASSIFIERS.get(theirs, ()) or any(
        theirs in source.CLASSES and ours in source.OURS for source in SOURCES.values()
    )


def infer_run(
    checkpoint: StarterCheckpoint, run: RunConfig, given: Mapping[str, Any]
) -> RunConfig:
    """`run`, of which five keys are known, with what the variables show.

    Args: as `StarterCheckpoint.infer_run`.

    Raises UserError as that.
    """
    theirs, shapes = run.model.model, checkpoint.shapes
    for name, source in SOURCES.items():
        if source.recognises(theirs, shapes):
            found = source.describe(theirs, shapes, checkpoint.in_tower)
            if found is None:
                raise checkpoint.no_classifier()
            return checkpoint.infer_run_as(run, found, source.UNSAVED, given, name)
    return checkpoint.infer_run(run, given)


def weight_values(
    model: VideoModel,
    weights: Mapping[str, Any],
    checkpoint: StarterCheckpoint,
    slot: str = "",
) -> dict[str, np.ndarray]:
    """The values of a model's weights, by name.

    Args:
      weights: the model's, or some of them, as `named_variables` names them.
      slot: reads their slot of this name instead, such as Adam.

    Raises UserError, which lists all variables that are missing, have another shape or
    (without `slot`) fit no weight.
    """
    source = _source_of(model)
    if source is None:
        shapes = {name: weight.shape.as_list() for name, weight in weights.items()}
        return checkpoint.values(shapes, model.classifier.num_classes, slot)
    names = {id(weight): name for name, weight in weights.items()}
    values, problems = {}, []
    pairs = source.match(model, _variables(checkpoint, slot), 0.0 if slot else 1.0)
    for theirs, weight, value in pairs:
        name = names.get(id(getattr(weight, "value", None)))
        if name is None:
            problems.append(f"{theirs} {list(value.shape)}: not this model's")
        elif list(value.shape) != weights[name].shape.as_list():
            expected = weights[name].shape.as_list()
            problems.append(f"{theirs} {list(value.shape)}: must be {expected}")
        values[name] = value
    missing = [name for name in weights.keys() - values if not _is_ours_alone(name)]
    problems += [f"{name}: missing" for name in sorted(missing)]
    if problems:
        raise checkpoint.misfit(problems)
    return values


def _source_of(model):
    """The source of a model's classes; None for the starter code's."""
    parts = {type(part).__name__ for part in (model.encoder, model.classifier) if part}
    return next((s for s in SOURCES.values() if parts & s.OURS), None)


def _variables(checkpoint, slot):
    """The variables that are weights, or their slots under the weights' names."""
    end, shapes = f"/{slot}" if slot else "", checkpoint.shapes
    other = re.compile(r"(.*/)?(global_step|beta[12]_power)")
    return {
        name: checkpoint.read(name + end)
        for name in shapes
        if name + end in shapes
        and os.path.dirname(name) not in shapes
        and not other.fullmatch(name)
    }


def _is_ours_alone(name):
    """Whether a weight is no variable there: a count, or a random generator's state."""
    return name.partition("#")[0].endswith((f"/{UPDATES}", "seed_generator_state"))
