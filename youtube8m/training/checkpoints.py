"""Saving the whole state of a run, and taking it up again.

saver = Saver(directory, state, keep=5)
saver.restore()
saver.save()                                  # model.ckpt-STEP
load_weights(model, prefix)                   # of any checkpoint
"""

import dataclasses
import re

import tensorflow as tf

from youtube8m.errors import UserError
from youtube8m.runs import RunDirectory
from youtube8m.training.steps import TrainingState

# What TensorFlow raises for files that are missing, cut short or of another model.
_RESTORE_ERRORS = (tf.errors.OpError, AssertionError, IndexError, ValueError)


def checkpoint_step(prefix: str) -> int:
    """STEP of .../model.ckpt-STEP."""
    return int(prefix.rsplit("-", 1)[1])


def named_variables(variables) -> dict[str, tf.Variable]:
    """Keras variables by names that every process gives them alike.

    Keras counts the layers of a process (lstm_cell, lstm_cell_1 ...), so numbers are
    taken off its paths, and what is then doubled is counted here. A checkpoint of
    these holds every variable; one of the model object would leave out, in silence,
    layers that it keeps in lists.
    """
    named: dict[str, tf.Variable] = {}
    for variable in variables:
        path = "/".join(re.sub(r"_\d+$", "", part) for part in variable.path.split("/"))
        count = sum(name.split("#")[0] == path for name in named)
        named[f"{path}#{count}" if count else path] = variable.value
    return named


def load_weights(model, prefix: str) -> None:
    """Restores a built model's weights from a checkpoint, without the optimizer.

    Raises:
      UserError: the checkpoint is damaged or of another model.
    """
    try:
        weights = named_variables(model.variables)
        status = tf.train.Checkpoint(model=weights).restore(prefix)
        status.assert_existing_objects_matched().expect_partial()
    except _RESTORE_ERRORS as error:
        raise _unreadable(prefix, error) from None


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
            step=state.step,
            examples=state.examples,
            position=state.position,
        )
        self._manager = tf.train.CheckpointManager(
            self._checkpoint,
            self.directory.path,
            max_to_keep=self.keep,
            checkpoint_name="model.ckpt",
        )

    def restore(self) -> str | None:
        """Takes up the newest checkpoint, if there is one; returns its prefix."""
        prefix = self.directory.latest_checkpoint()
        if prefix:
            try:
                status = self._checkpoint.restore(prefix)
                status.assert_existing_objects_matched()
            except _RESTORE_ERRORS as error:
                raise _unreadable(prefix, error) from None
        return prefix

    def save(self) -> str:
        """Writes model.ckpt-STEP, unless it is there; returns its prefix."""
        step = self.state.steps_done
        prefix = self.directory.file(f"model.ckpt-{step}")
        if self.directory.latest_checkpoint() == prefix:
            return prefix
        try:
            return self._manager.save(checkpoint_number=step)
        except tf.errors.OpError as error:
            raise UserError(f"{prefix}: cannot be written ({error.message})") from None


def _unreadable(prefix, error):
    reason = str(getattr(error, "message", error)).splitlines()[0]
    return UserError(
        f"{prefix}: cannot be restored ({reason}); it is damaged or of another model"
    )
