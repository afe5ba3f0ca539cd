"""The run directory: its files, and what they say of the run.

directory = RunDirectory("/tmp/yt8m_model")
directory.prepare(run, start_new=False)       # checks or writes model_flags.json
run = directory.read_run()
prefix = directory.checkpoint()               # the newest, or one by name

checkpoint, model.ckpt-STEP.*   weights, optimizer, random state, place in the data
model_flags.json                how to build the model again
training_flags.json             what the state of training is tied to
training_config.json            all flags of training, as last given
metrics.jsonl, train.log        one line per step; the console's lines
events.*, eval/                 TensorBoard's
best/, segment_best/            the checkpoints with the highest GAP
"""

import dataclasses
import glob
import json
import os
import shutil

import tensorflow as tf
from absl import logging

from youtube8m.config import RunConfig, TrainingConfig
from youtube8m.errors import UserError
from youtube8m.files import local_path, replacing

# Directories of the checkpoints with the highest GAP of videos, and of segments.
BEST = ("best", "segment_best")

# What a run writes, and --start_new_model may remove.
_RUN_FILES = (
    "checkpoint",
    "model.ckpt-*",
    "model_flags.json",
    "training_flags.json",
    "training_config.json",
    "metrics.jsonl",
    "train.log",
    "graph.pbtxt",
    "events.out.*",
    "eval",
    "inference_model",
    *BEST,
)


@dataclasses.dataclass(frozen=True)
class TrainingFlags:
    """What the state of training is tied to, for as long as a run goes on.

    A place in the data means nothing in another order of it, nor an optimizer's
    slots in another optimizer.
    """

    optimizer: str
    seed: int
    num_readers: int
    shuffle_buffer: int
    files: str  # a digest of the shards' names
    ema_decay: float = 0.0
    precision: str = "float32"


class RunDirectory:
    """A --train_dir, or the directory that another `flag` names.

    Of several workers only the chief `writes`; the others read what it wrote.
    """

    def __init__(self, path: str, flag: str = "--train_dir", writes: bool = True):
        self.flag = flag
        self.path = local_path(path, flag)
        self.writes = writes

    def file(self, name: str) -> str:
        """The path of one of the run's files."""
        return os.path.join(self.path, name)

    def prepare(self, run: RunConfig, start_new: bool) -> None:
        """Makes the directory ready to train `run`.

        Raises:
          UserError: it holds another model, cannot be written, or is to be emptied
            but is no run directory.
        """
        if not self.writes:
            return
        if start_new:
            self._remove_run()
        try:
            os.makedirs(self.path, exist_ok=True)
        except OSError as error:
            raise self._unusable(f"cannot be made ({error.strerror})") from None
        if self.latest_checkpoint():
            self._check_same(run)
        else:  # nothing is lost, whatever a run that never came far has left
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

    def write_training_config(self, config: TrainingConfig) -> None:
        """Keeps how the run is trained, for those who read it later."""
        if not self.writes:
            return
        with replacing(self.file("training_config.json"), "--train_dir") as file:
            json.dump(dataclasses.asdict(config), file, indent=2)

    def tied_to_training(self, flags: TrainingFlags) -> TrainingFlags:
        """The flags to go on with: those the run began with, or `flags` if it begins.

        Raises:
          UserError: another optimizer, another decay of its averages, another
            precision, or other shards than the checkpoints belong to.
        """
        path = self.file("training_flags.json")
        begins = not self.latest_checkpoint() or not os.path.exists(path)
        if self.writes and begins:
            with replacing(path, "--train_dir") as file:
                json.dump(dataclasses.asdict(flags), file, indent=2)
            return flags
        try:
            with open(path, encoding="utf-8") as file:
                saved = TrainingFlags(**json.load(file))
        except (OSError, ValueError, TypeError):
            message = f"{path}: damaged; restore it, or give --start_new_model"
            raise UserError(message) from None
        for name in ("optimizer", "ema_decay", "precision"):
            was, now = getattr(saved, name), getattr(flags, name)
            if was != now:
                raise UserError(
                    f"--{name}={now}: the run in {self.path} was begun with {was}; "
                    "give that, or --start_new_model to begin anew"
                )
        if saved.files != flags.files:
            raise self._unusable(
                "the run there was begun on other shards than --train_data_pattern "
                "finds; give the same files, or --start_new_model to begin anew"
            )
        for name, value in dataclasses.asdict(saved).items():
            if value != getattr(flags, name):
                logging.warning(
                    "--%s=%s: the run goes on with %s, in the order it was begun",
                    name,
                    getattr(flags, name),
                    value,
                )
        return saved

    def checkpoints(self) -> list[str]:
        """The prefixes of all whole checkpoints, .../model.ckpt-STEP, newest last."""
        state = tf.train.get_checkpoint_state(self.path)
        known = state.all_model_checkpoint_paths if state else []
        return [prefix for prefix in known if os.path.exists(f"{prefix}.index")]

    def latest_checkpoint(self) -> str | None:
        """The newest whole checkpoint's prefix."""
        return (self.checkpoints() or [None])[-1]

    def checkpoint(self, name: str = "", flag: str = "--checkpoint") -> str:
        """The prefix of the checkpoint `name`, or of the newest.

        Args:
          name: model.ckpt-STEP, or best or segment_best for the one with the highest
            GAP of those that eval.py has seen.

        Raises:
          UserError: there is none.
        """
        if not name:
            prefix = self.latest_checkpoint()
            if not prefix:
                raise self._unusable("no checkpoint; train a model there first")
            return prefix
        if name in BEST:
            prefix = RunDirectory(self.file(name)).latest_checkpoint()
            if not prefix:
                raise UserError(
                    f"{flag}={name}: eval.py has kept none in {self.path}; run it "
                    "first, with --keep_best"
                )
            return prefix
        prefix = os.path.join(self.path, os.path.basename(name))
        if not os.path.exists(f"{prefix}.index"):
            found = sorted(glob.glob(os.path.join(glob.escape(self.path), "*.index")))
            names = ", ".join(os.path.basename(p)[:-6] for p in found) or "none"
            raise UserError(f"{flag}={name}: not in {self.path}; there are: {names}")
        return prefix

    def _check_same(self, run):
        saved, wanted = (_flat(json.loads(r.to_json())) for r in (self.read_run(), run))
        different = [key for key in wanted if wanted[key] != saved.get(key)]
        if different:
            was = ", ".join(f"{key}={_short(saved.get(key))}" for key in different)
            now = ", ".join(f"{key}={_short(wanted[key])}" for key in different)
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
        return UserError(f"{self.flag}={self.path}: {why}")


def _flat(values):
    """model_flags.json with each hyper-parameter on its own."""
    return {**values, **values["hyperparameters"], "hyperparameters": None}


def _short(value, width=40):
    text = str(value)
    return text if len(text) <= width else text[: width - 3] + "..."
