"""The run directory: its files, and going on from them.

directory = RunDirectory("/tmp/yt8m_model")
directory.prepare(run, start_new=False)       # checks or writes model_flags.json
run = directory.read_run()
saver = Saver(directory, state, keep=5); saver.restore(); saver.save()

checkpoint, model.ckpt-STEP.*   weights, optimizer, random state, place in the data
model_flags.json                how to build the model again
metrics.jsonl, train.log        one line per step; the console's lines
events.*, eval/                 TensorBoard's
"""

import contextlib
import dataclasses
import glob
import json
import os
import re
import shutil

import tensorflow as tf
from absl import logging

from youtube8m.config import RunConfig
from youtube8m.errors import UserError
from youtube8m.files import replacing
from youtube8m.training.steps import TrainingState

# What a run writes, and --start_new_model may remove.
_RUN_FILES = (
    "checkpoint",
    "model.ckpt-*",
    "model_flags.json",
    "metrics.jsonl",
    "train.log",
    "graph.pbtxt",
    "events.out.*",
    "eval",
    "inference_model",
)


class RunDirectory:
    """A --train_dir."""

    def __init__(self, path: str):
        self.path = os.path.abspath(os.path.expanduser(path))

    def file(self, name: str) -> str:
        """The path of one of the run's files."""
        return os.path.join(self.path, name)

    def prepare(self, run: RunConfig, start_new: bool) -> None:
        """Makes the directory ready to train `run`.

        Raises:
          UserError: it holds another model, cannot be written, or is to be emptied
            but is no run directory.
        """
        if start_new:
            self._remove_run()
        try:
            os.makedirs(self.path, exist_ok=True)
        except OSError as error:
            raise self._unusable(f"cannot be made ({error.strerror})") from None
        if os.path.exists(self.file("model_flags.json")):
            self._check_same(run)
        elif self.latest_checkpoint():
            raise self._unusable("has checkpoints but no model_flags.json")
        else:
            with replacing(self.file("model_flags.json"), "--train_dir") as file:
                file.write(run.to_json())

    def read_run(self) -> RunConfig:
        """The configuration of the run.

        Raises:
          UserError: the directory holds no run.
        """
        path = self.file("model_flags.json")
        try:
            with open(path, encoding="utf-8") as file:
                return RunConfig.from_json(file.read(), path)
        except OSError as error:
            raise self._unusable(
                f"no model_flags.json ({error.strerror}); train a model there first"
            ) from None

    def latest_checkpoint(self) -> str | None:
        """The newest checkpoint's prefix, .../model.ckpt-STEP."""
        return tf.train.latest_checkpoint(self.path)

    def _check_same(self, run):
        saved = json.loads(self.read_run().to_json())
        wanted = json.loads(run.to_json())
        different = [key for key in wanted if wanted[key] != saved.get(key)]
        if different:
            was = ", ".join(f"{key}={saved.get(key)}" for key in different)
            now = ", ".join(f"{key}={wanted[key]}" for key in different)
            raise self._unusable(
                f"model_flags.json there says {was}, but this run {now}; give the same "
                "flags, another --train_dir, or --start_new_model to begin anew"
            )

    def _remove_run(self):
        if not os.path.isdir(self.path) or not os.listdir(self.path):
            return
        known = any(
            os.path.exists(self.file(name))
            for name in ("model_flags.json", "checkpoint")
        )
        if not known:
            raise self._unusable(
                "--start_new_model will not empty it: it holds files but no "
                "model_flags.json, so it is no run's directory; name another"
            )
        for pattern in _RUN_FILES:
            for path in glob.glob(os.path.join(glob.escape(self.path), pattern)):
                shutil.rmtree(path) if os.path.isdir(path) else os.unlink(path)

    def _unusable(self, why):
        return UserError(f"--train_dir={self.path}: {why}")


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
    except (tf.errors.OpError, AssertionError, ValueError) as error:
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
        prefix = self._manager.latest_checkpoint
        if prefix:
            try:
                status = self._checkpoint.restore(prefix)
                status.assert_existing_objects_matched()
            except (tf.errors.OpError, AssertionError, ValueError) as error:
                raise _unreadable(prefix, error) from None
        return prefix

    def save(self) -> str:
        """Writes model.ckpt-STEP, unless it is there; returns its prefix."""
        step = self.state.steps_done
        prefix = self.directory.file(f"model.ckpt-{step}")
        if self._manager.latest_checkpoint == prefix:
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


def truncate_metrics(path: str, last_step: int) -> None:
    """Drops the lines of metrics.jsonl behind `last_step`, which will come again."""
    if not os.path.exists(path):
        return
    kept = []
    with open(path, encoding="utf-8") as file:
        for line in file:
            with contextlib.suppress(ValueError, KeyError):
                if json.loads(line)["step"] <= last_step:
                    kept.append(line)
    with replacing(path) as file:
        file.writelines(kept)
    logging.debug("%s: kept %d lines", path, len(kept))
