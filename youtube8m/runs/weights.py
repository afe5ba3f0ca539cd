"""The weights of a trained run, ours or the starter code's.

prefix = load_newest(directory, functools.partial(load_weights, model))
save_weights(model, RunDirectory("/tmp/averaged"), step=900)
"""

import contextlib
import re
from collections.abc import Callable, Container, Mapping
from typing import Any

import numpy as np
import tensorflow as tf
from absl import logging

from youtube8m.errors import UserError, reason
from youtube8m.layers.normalization import SETTLED, UPDATES
from youtube8m.runs.checkpoint_files import (
    CheckpointReader,
    tensorflow_directory,
    tensorflow_prefix,
)
from youtube8m.runs.derived_code import weight_values
from youtube8m.runs.directory import RunDirectory
from youtube8m.runs.starter_code import StarterCheckpoint

# What TensorFlow raises for files that are missing, truncated or of another model.
_RESTORE_ERRORS = (tf.errors.OpError, AssertionError, IndexError, ValueError)


def named_variables(variables) -> dict[str, tf.Variable]:
    """Keras variables by names that are the same in every process.

    Keras counts the layers of a process (lstm_cell, lstm_cell_1 ...). Here these
    numbers are removed from the paths, and equal paths within the model are numbered
    again; the model's own name is left out. A checkpoint of these variables is
    complete; one of the model object would silently omit layers in lists.
    """
    named: dict[str, tf.Variable] = {}
    for variable in variables:
        _, *parts = variable.path.split("/")
        path = "/".join(re.sub(r"_\d+$", "", part) for part in parts)
        count = sum(name.split("#")[0] == path for name in named)
        named[f"{path}#{count}" if count else path] = variable.value
    return named


def load_weights(model, prefix: str) -> None:
    """Restores a built model's weights from a checkpoint, without the optimizer.

    Moving averages (--ema_decay) are loaded in place of the weights they belong to.

    Raises UserError if the checkpoint is damaged or of another model, or weights are
    not finite.
    """
    weights = named_variables(model.variables)
    reader = StarterCheckpoint(prefix)  # or one of ours, which reads alike
    if reader.is_starters:
        values = weight_values(model, weights, reader)
        for name, variable in weights.items():
            if name in values:
                variable.assign(values[name])
            elif is_count(name):
                variable.assign(SETTLED)
        _require_finite(weights, prefix)
        return
    averages = reader.part_shapes("average")
    parts: dict[str, dict] = {}
    for name, variable in weights.items():
        part = "average" if name in averages else "model"
        parts.setdefault(part, {})[name] = variable
    restore_checkpoint(parts, prefix)
    _require_finite(weights, prefix)


def _require_finite(weights, prefix):
    """Raises UserError unless all weights are finite: they would predict nan."""
    for name, variable in weights.items():
        is_float = variable.dtype.is_floating
        if is_float and not np.isfinite(variable.numpy().astype(np.float32)).all():
            raise UserError(
                f"{prefix}: the weights {name} are not finite; name an earlier "
                "checkpoint, or train again with a lower --base_learning_rate"
            )


def is_count(name: str, known: Container[str] | None = None) -> bool:
    """Whether a weight counts the updates of a batch normalisation's statistics.

    Args:
      known: names of weights in a checkpoint; then whether it has the statistics, but
        not the count, which earlier versions did not keep.
    """
    if name.partition("#")[0].rpartition("/")[2] != UPDATES:
        return False
    statistic = name.replace(f"/{UPDATES}", "/moving_mean")
    return known is None or (name not in known and statistic in known)


def shapes_of(variables: dict[str, tf.Variable]) -> dict[str, list[int]]:
    """The shapes of variables, by name."""
    return {name: variable.shape.as_list() for name, variable in variables.items()}


def load_newest(directory: RunDirectory, load: Callable[[str], None]) -> str | None:
    """Loads the newest checkpoint, or an older one where `load` raises a UserError.

    Returns the prefix that was loaded; None if the directory has no checkpoint.
    Raises the UserError of the newest one if none can be loaded.
    """
    problems = []
    for prefix in reversed(directory.checkpoints()):
        try:
            load(prefix)
        except UserError as error:
            problems.append(error)
        else:
            for problem in problems:
                logging.warning("%s; %s is used instead", problem, prefix)
            return prefix
    if problems:
        raise problems[0]
    return None


def restore_checkpoint(
    parts: Mapping[str, Any], prefix: str, whole: tf.train.Checkpoint | None = None
) -> None:
    """Restores the variables of a checkpoint's `parts` from the files at `prefix`.

    Args:
      parts: by name, as tf.train.Checkpoint takes them; `model` holds variables by
        name.
      whole: a checkpoint of these parts, which counts how often it was saved.

    Raises UserError if the files are damaged or lack one of the variables.
    """
    model = parts.get("model", {})
    counts = set(filter(is_count, model))
    with contextlib.suppress(UserError):  # restoring says what is wrong
        known = CheckpointReader(prefix).part_shapes("model") if counts else {}
        counts = {name for name in counts if is_count(name, known)}
    kept = {name: model[name] for name in model.keys() - counts}
    checkpoint = None if counts else whole
    try:
        checkpoint = checkpoint or tf.train.Checkpoint(**{**parts, "model": kept})
        status = checkpoint.restore(tensorflow_prefix(prefix))
        status.assert_existing_objects_matched().expect_partial()
    except _RESTORE_ERRORS as error:
        what = _missing_part(parts, prefix) or reason(error)
        raise UserError(
            f"{prefix}: cannot be restored ({what}); it is damaged or of another model"
        ) from None
    for name in counts:
        model[name].assign(SETTLED)


def _missing_part(parts, prefix):
    """What a checkpoint lacks that can be read; None if it lacks no whole part."""
    try:
        names = CheckpointReader(prefix).shapes
    except UserError:
        return None
    found = {name.partition("/")[0] for name in names}
    missing = sorted(parts.keys() - found)
    if "model" in found and {"optimizer", "step"} <= {*missing}:
        return (
            "it holds weights alone, from which training cannot go on; give "
            f"--warm_start_from={prefix} and another --train_dir"
        )
    return f"it has no {' and no '.join(missing)}" if missing else None


def save_weights(model, directory: RunDirectory, step: int) -> str:
    """Writes model.ckpt-STEP of a model's weights alone; returns the prefix."""
    weights = tf.train.Checkpoint(model=named_variables(model.variables))
    return save_checkpoint(checkpoint_manager(weights, directory, 1), directory, step)


def checkpoint_manager(
    checkpoint: tf.train.Checkpoint, directory: RunDirectory, keep: int
) -> tf.train.CheckpointManager:
    """What saves `checkpoint` in a run's directory.

    Args:
      keep: how many of the newest stay; 0: all.
    """
    path = tensorflow_directory(directory.path)
    return tf.train.CheckpointManager(
        checkpoint, path, keep or None, checkpoint_name="model.ckpt"
    )


def save_checkpoint(manager, directory, step):
    """Writes model.ckpt-STEP; returns the prefix. Raises UserError if it cannot be."""
    prefix = directory.file(f"model.ckpt-{step}")
    try:
        manager.save(checkpoint_number=step)
    except tf.errors.OpError as error:
        raise UserError(f"{prefix}: cannot be written ({reason(error)})") from None
    return prefix
