"""Saving the whole state of a run, and taking it up again.

saver = Saver(directory, state, keep=5)
saver.restore()
saver.save()                                  # model.ckpt-STEP
load_weights(model, prefix)                   # of any checkpoint
warm_start(model, prefix).lines()             # what of another model's fits
"""

import re

import tensorflow as tf
from absl import logging

from youtube8m.errors import UserError, reason
from youtube8m.runs.directory import RunDirectory
from youtube8m.runs.starter_code import StarterCheckpoint

# What TensorFlow raises for files that are missing, cut short or of another model.
RESTORE_ERRORS = (tf.errors.OpError, AssertionError, IndexError, ValueError)


def named_variables(variables) -> dict[str, tf.Variable]:
    """Keras variables by names that every process gives them alike.

    Keras counts the layers of a process (lstm_cell, lstm_cell_1 ...), so numbers are
    taken off its paths, and what is then doubled is counted here; the model's own name
    is left out. A checkpoint of these holds every variable; one of the model object
    would leave out, in silence, layers that it keeps in lists.
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

    Where the checkpoint has averages (--ema_decay), they are the weights. It may be one
    of the starter code's.

    Raises:
      UserError: the checkpoint is damaged or of another model.
    """
    weights = named_variables(model.variables)
    starters = StarterCheckpoint(prefix)
    if starters.is_starters:
        classes = model.classifier.num_classes
        for name, value in starters.values(shapes_of(weights), classes).items():
            weights[name].assign(value)
        return
    try:
        averages = variable_shapes(tf.train.load_checkpoint(prefix), "average")
        parts: dict[str, dict] = {}
        for name, variable in weights.items():
            part = "average" if name in averages else "model"
            parts.setdefault(part, {})[name] = variable
        status = tf.train.Checkpoint(**parts).restore(prefix)
        status.assert_existing_objects_matched().expect_partial()
    except RESTORE_ERRORS as error:
        raise unreadable(prefix, error) from None


def shapes_of(variables: dict[str, tf.Variable]) -> dict[str, list[int]]:
    """Name -> shape."""
    return {name: variable.shape.as_list() for name, variable in variables.items()}


def load_newest(directory: RunDirectory, load) -> str | None:
    """Calls `load(prefix)` with the newest checkpoint, or else with older ones.

    Returns:
      The prefix that was loaded; None if the directory has no checkpoint.

    Raises:
      UserError: what `load` raised of the newest, if it refused them all.
    """
    problems = []
    for prefix in reversed(directory.checkpoints()):
        try:
            load(prefix)
        except UserError as error:
            problems.append(error)
            continue
        for problem in problems:
            logging.warning("%s; %s is used instead", problem, prefix)
        return prefix
    if problems:
        raise problems[0]
    return None


def save_weights(model, directory: RunDirectory, step: int) -> str:
    """Writes a model's weights alone, as model.ckpt-STEP; returns the prefix."""
    weights = tf.train.Checkpoint(model=named_variables(model.variables))
    manager = tf.train.CheckpointManager(
        weights, directory.path, max_to_keep=1, checkpoint_name="model.ckpt"
    )
    return save_checkpoint(manager, directory, step)


def variable_shapes(reader, part):
    """Name -> shape of what `Saver` wrote as `part`."""
    start, end = f"{part}/", "/.ATTRIBUTES/VARIABLE_VALUE"
    return {
        key.removeprefix(start).removesuffix(end).replace(".S", "/"): shape
        for key, shape in reader.get_variable_to_shape_map().items()
        if key.startswith(start) and key.endswith(end)
    }


def save_checkpoint(manager, directory, step):
    try:
        return manager.save(checkpoint_number=step)
    except tf.errors.OpError as error:
        prefix = directory.file(f"model.ckpt-{step}")
        raise UserError(f"{prefix}: cannot be written ({error.message})") from None


def unreadable(prefix, error):
    return UserError(
        f"{prefix}: cannot be restored ({reason(error)}); it is damaged or of another "
        "model"
    )
