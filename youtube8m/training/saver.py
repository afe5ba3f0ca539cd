"""Saving and restoring the whole state of training.

saver = Saver(directory, state, keep=5)
saver.restore()                        # the newest sound checkpoint, if there is one
prefix = saver.save()                  # model.ckpt-STEP
"""

import dataclasses
import functools

import tensorflow as tf

from youtube8m.errors import UserError
from youtube8m.optimizers import slot_variables
from youtube8m.runs.directory import RunDirectory
from youtube8m.runs.weights import (
    checkpoint_manager,
    load_newest,
    named_variables,
    restore_checkpoint,
    save_checkpoint,
)
from youtube8m.training.steps import TrainingState


@dataclasses.dataclass
class Saver:
    """Saves the state of a run, and keeps the newest `keep` checkpoints."""

    directory: RunDirectory
    state: TrainingState
    keep: int

    def __post_init__(self):
        state = self.state
        names = named_variables(state.model.trainable_variables)
        slots = [slot.value for slot in slot_variables(state.optimizer, "average")]
        # With --ema_decay; the optimizer holds them, but not by the weights' names.
        averages = {"average": dict(zip(names, slots, strict=True))} if slots else {}
        self._parts = {
            "model": named_variables(state.model.variables),
            "optimizer": [variable.value for variable in state.optimizer.variables],
            "loss": [variable.value for variable in state.loss.variables],
            "step": state.step,
            "examples": state.examples,
            "position": state.position,
            **averages,
        }
        self._whole = tf.train.Checkpoint(**self._parts)
        self._manager = checkpoint_manager(self._whole, self.directory, self.keep)
        self._current = None  # the prefix of the checkpoint that equals the state

    def restore(self) -> str | None:
        """Restores the newest sound checkpoint; returns its prefix, None without any.

        Raises UserError if there are checkpoints, but none can be restored.
        """
        restore = functools.partial(restore_checkpoint, self._parts, whole=self._whole)
        self._current = load_newest(self.directory, restore)
        return self._current

    def save(self) -> str:
        """Writes model.ckpt-STEP, unless it is there; returns its prefix.

        Raises UserError if it cannot be written, or some weights are not finite.
        """
        step = self.state.steps_done
        prefix = self.directory.file(f"model.ckpt-{step}")
        if self.directory.writes and self._current != prefix:
            self._check_finite(step)
            self._current = save_checkpoint(self._manager, self.directory, step)
        return prefix

    def _check_finite(self, step):
        for name, variable in named_variables(self.state.model.variables).items():
            is_float = variable.dtype.is_floating
            if is_float and not tf.reduce_all(tf.math.is_finite(variable)):
                raise UserError(
                    f"the weights {name} are not finite after step {step}, which is "
                    f"not saved; {advise_after_divergence(self._current)}"
                )


def advise_after_divergence(prefix: str | None) -> str:
    """What to do when training has diverged since the checkpoint `prefix`."""
    lower = "lower --base_learning_rate and run again"
    if not prefix:
        return f"no checkpoint was saved before: {lower}"
    return f"the last good checkpoint is {prefix}: {lower}, without --start_new_model"
