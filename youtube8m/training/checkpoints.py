"""Saving the whole state of a run, and taking it up again.

saver = Saver(directory, state, keep=5)
saver.restore()
saver.save()                                  # model.ckpt-STEP
load_weights(model, prefix)                   # of any checkpoint
warm_start(model, prefix).lines()             # what of another model's fits
"""

import dataclasses
import os
import re

import tensorflow as tf
from absl import logging

from youtube8m.errors import UserError, reason
from youtube8m.runs import RunDirectory
from youtube8m.starter_checkpoints import StarterCheckpoint
from youtube8m.training.steps import TrainingState

# What TensorFlow raises for files that are missing, cut short or of another model.
_RESTORE_ERRORS = (tf.errors.OpError, AssertionError, IndexError, ValueError)


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
        averages = _shapes(tf.train.load_checkpoint(prefix), "average")
        parts: dict[str, dict] = {}
        for name, variable in weights.items():
            part = "average" if name in averages else "model"
            parts.setdefault(part, {})[name] = variable
        status = tf.train.Checkpoint(**parts).restore(prefix)
        status.assert_existing_objects_matched().expect_partial()
    except _RESTORE_ERRORS as error:
        raise _unreadable(prefix, error) from None


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
    return _save(manager, directory, step)


@dataclasses.dataclass
class WarmStart:
    """What a checkpoint had for a model: names of its weights."""

    prefix: str
    taken: list[str]
    other_shape: list[str]  # "name: [3] there, [4] here"
    missing: list[str]

    def lines(self) -> list[str]:
        """A report for the log."""
        total = len(self.taken) + len(self.other_shape) + len(self.missing)
        lines = [f"warm start from {self.prefix}: {len(self.taken)} of {total} weights"]
        if self.other_shape:
            lines.append(f"of another shape: {'; '.join(self.other_shape)}")
        if self.missing:
            lines.append(f"not there, so left as they start: {', '.join(self.missing)}")
        return lines


def warm_start(model, prefix: str) -> WarmStart:
    """Takes the weights that a checkpoint of any model has by name and shape.

    Raises:
      UserError: it is missing, unreadable, the starter code's, or has none of them.
    """
    if not os.path.exists(f"{prefix}.index"):
        raise UserError(
            f"--warm_start_from={prefix}: no such checkpoint; name a run's directory, "
            "or a checkpoint in it, such as model/model.ckpt-1000"
        )
    if StarterCheckpoint(prefix).is_starters:
        raise UserError(
            f"--warm_start_from={prefix}: written by the starter code; start from the "
            "directory that python -m youtube8m.tools.convert_checkpoint makes of it"
        )
    try:
        shapes = _shapes(tf.train.load_checkpoint(prefix), "model")
    except _RESTORE_ERRORS as error:
        raise _unreadable(prefix, error) from None
    found = WarmStart(prefix, [], [], [])
    weights = named_variables(model.weights)
    for name, variable in weights.items():
        here = variable.shape.as_list()
        if name not in shapes:
            found.missing.append(name)
        elif shapes[name] != here:
            found.other_shape.append(f"{name}: {shapes[name]} there, {here} here")
        else:
            found.taken.append(name)
    if not found.taken:
        raise UserError(
            f"--warm_start_from={prefix}: has none of this model's weights; it holds "
            f"{', '.join(sorted(shapes)[:5])} ..., this model {', '.join(weights)}"
        )
    taken = {name: weights[name] for name in found.taken}
    try:
        tf.train.Checkpoint(model=taken).restore(prefix).expect_partial()
    except _RESTORE_ERRORS as error:
        raise _unreadable(prefix, error) from None
    return found


def _shapes(reader, part):
    """Name -> shape of what `Saver` wrote as `part`."""
    start, end = f"{part}/", "/.ATTRIBUTES/VARIABLE_VALUE"
    return {
        key.removeprefix(start).removesuffix(end).replace(".S", "/"): shape
        for key, shape in reader.get_variable_to_shape_map().items()
        if key.startswith(start) and key.endswith(end)
    }


@dataclasses.dataclass
class Saver:
    """Saves and restores the whole state of a run."""

    directory: RunDirectory
    state: TrainingState
    keep: int

    def __post_init__(self):
        state = self.state
        self._checkpoint = tf.train.Checkpoint(
            model=named_variables(state.model.variables),
            optimizer=[variable.value for variable in state.optimizer.variables],
            loss=[variable.value for variable in state.loss.variables],
            step=state.step,
            examples=state.examples,
            position=state.position,
            **_averages(state),
        )
        self._manager = tf.train.CheckpointManager(
            self._checkpoint,
            self.directory.path,
            max_to_keep=self.keep,
            checkpoint_name="model.ckpt",
        )

        self._current = None  # the prefix that holds the state as it is

    def restore(self) -> str | None:
        """Takes up the newest sound checkpoint, if there is any; returns its prefix.

        Raises:
          UserError: there are some, but none can be restored.
        """
        self._current = load_newest(self.directory, self._restore)
        return self._current

    def _restore(self, prefix):
        try:
            status = self._checkpoint.restore(prefix)
            status.assert_existing_objects_matched()
        except _RESTORE_ERRORS as error:
            raise _unreadable(prefix, error) from None

    def save(self) -> str:
        """Writes model.ckpt-STEP, unless it is there; returns its prefix.

        Raises:
          UserError: it cannot be written, or weights are not finite, which are not
            worth it.
        """
        step = self.state.steps_done
        prefix = self.directory.file(f"model.ckpt-{step}")
        if self.directory.writes and self._current != prefix:
            self._check_finite(step)
            self._current = _save(self._manager, self.directory, step)
        return prefix

    def _check_finite(self, step):
        for name, variable in named_variables(self.state.model.variables).items():
            finite = tf.math.is_finite if variable.dtype.is_floating else tf.ones_like
            if not tf.reduce_all(tf.cast(finite(variable), tf.bool)):
                raise UserError(
                    f"the weights {name} are not finite behind step {step}, which is "
                    f"not saved; {back_to(self._current)}"
                )


def back_to(prefix: str | None) -> str:
    """What to do when weights have gone astray since the checkpoint `prefix`."""
    lower = "lower --base_learning_rate and run again"
    if not prefix:
        return f"no checkpoint was saved before: {lower}"
    return f"the last good checkpoint is {prefix}: {lower}, without --start_new_model"


def _save(manager, directory, step):
    try:
        return manager.save(checkpoint_number=step)
    except tf.errors.OpError as error:
        prefix = directory.file(f"model.ckpt-{step}")
        raise UserError(f"{prefix}: cannot be written ({error.message})") from None


def _averages(state):
    """The moving averages by the names of their weights, if the optimizer has any."""
    optimizer = getattr(state.optimizer, "inner_optimizer", state.optimizer)
    if not optimizer.use_ema:
        return {}
    names = named_variables(state.model.trainable_variables)
    averages = optimizer._model_variables_moving_average
    values = (average.value for average in averages)
    return {"average": dict(zip(names, values, strict=True))}


def _unreadable(prefix, error):
    return UserError(
        f"{prefix}: cannot be restored ({reason(error)}); it is damaged or of another "
        "model"
    )
