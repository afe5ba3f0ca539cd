"""The run directory: its files, and which of them are checkpoints.

directory = RunDirectory("/tmp/yt8m_model")
directory.prepare(run, start_new=False)       # checks or writes model_flags.json
run = directory.read_run()                    # what model_flags.json says
prefix = directory.checkpoint()               # the newest, or one by name

checkpoint, model.ckpt-STEP.*   weights, optimizer, random state, position in the data
model_flags.json                how to build the model again
training_flags.json             the flags that the state of training depends on
training_config.json            all flags of training, as last given
metrics.jsonl, train.log        one line per step; the console's lines
events.*, eval/                 TensorBoard's summaries
best/, segment_best/            the checkpoints with the highest GAP
"""

import contextlib
import glob
import itertools
import json
import os
import shutil
import time
from collections.abc import Callable, Iterator, Mapping

from absl import logging

from youtube8m.config import RunConfig, provenance
from youtube8m.errors import UserError
from youtube8m.runs.checkpoint_files import (
    CheckpointReader,
    checkpoint_list,
    find_checkpoints,
    is_complete,
    listed_checkpoints,
    step_of,
    without_index,
)
from youtube8m.util.files import local_path, replacing
from youtube8m.util.json import JsonError, read_json
from youtube8m.util.text import shortened
from youtube8m.util.text_files import read_bytes

# Directories of the checkpoints with the highest GAP of videos, and of segments.
BEST = ("best", "segment_best")

# The files of a run, which --start_new_model removes.
_RUN_FILES = (
    *("checkpoint", "model.ckpt-*"),
    *("model_flags.json", "training_flags.json", "training_config.json"),
    *("metrics.jsonl", "train.log", "graph.pbtxt", "events.out.*", "eval"),
    *("inference_model", *BEST),
)


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

    def files(self) -> list[str]:
        """The paths of all of the run's files and directories that are there."""
        names = (glob.glob(name, root_dir=self.path) for name in _RUN_FILES)
        return list(map(self.file, itertools.chain.from_iterable(names)))

    def prepare(
        self,
        run: RunConfig,
        start_new: bool,
        complete: Callable[[RunConfig], RunConfig] = lambda run: run,
    ) -> None:
        """Makes the directory ready to train `run`.

        Args:
          complete: fills in what files of earlier versions lack, `models.complete`.

        Raises UserError if it holds another model or cannot be written, or with
        `start_new` is not a run directory.
        """
        if not self.writes:
            return
        if start_new:
            self._remove_run()
        try:
            os.makedirs(self.path, exist_ok=True)
        except OSError as error:
            raise self._unusable(f"cannot be made ({error.strerror})") from None
        is_starters = self.is_starters
        if not is_starters:
            self._repair_checkpoint_list()
        self._check_index()
        if not self.latest_checkpoint():  # a run without a checkpoint may be replaced
            with replacing(self.file("model_flags.json"), self.flag) as file:
                file.write(run.to_json())
        elif is_starters:
            raise self._unusable(
                "the starter code trained the run there; python -m "
                "youtube8m.tools.convert_checkpoint makes a directory of it that "
                "train.py continues from"
            )
        else:
            self._check_same(run, complete)

    @property
    def is_starters(self) -> bool:
        """Whether the starter code wrote it, whose flags hold no hyper-parameters.

        Code derived from it may have kept no flags; then the checkpoints tell.
        """
        path = self.file("model_flags.json")
        if not os.path.exists(path):
            return self._has_checkpoints_of_tensorflow1()
        try:
            return read_json(path, lambda flags: "hyperparameters" not in {**flags})
        except JsonError:
            return False

    def _has_checkpoints_of_tensorflow1(self):
        found = list(filter(is_complete, find_checkpoints(self.path)))
        try:
            return bool(found) and CheckpointReader(found[-1]).is_starters
        except UserError:  # damaged: what reads it will say so
            return False

    @property
    def has_flags(self) -> bool:
        """Whether it has a model_flags.json."""
        return os.path.exists(self.file("model_flags.json"))

    def read_run(self) -> RunConfig:
        """What model_flags.json says: for the starter code's, only its five keys.

        Raises UserError if the directory holds no run.
        """
        path = self.file("model_flags.json")
        try:
            return RunConfig.from_json(read_bytes(path), path)
        except OSError as error:
            advice = "train a model there first"
            if self.latest_checkpoint():
                advice = "it belongs to the checkpoints there: copy it from their run"
            raise self._unusable(
                f"no model_flags.json ({error.strerror}); {advice}"
            ) from None

    def require_empty(self) -> None:
        """Raises UserError if there is anything in the directory."""
        if os.path.isdir(self.path) and os.listdir(self.path):
            raise self._unusable("not empty; name another directory")

    def write_json(self, name: str, values: Mapping) -> None:
        """Writes one of the run's files."""
        if self.writes:
            with replacing(self.file(name), self.flag) as file:
                json.dump(values, file, indent=2)

    def checkpoints(self) -> list[str]:
        """The prefixes of all complete checkpoints, .../model.ckpt-STEP, newest last.

        The starter code's `checkpoint` may list absolute paths of another machine; its
        checkpoints are found by their names.
        """
        listed = [] if self.is_starters else listed_checkpoints(self.path) or []
        complete = [prefix for prefix in listed if is_complete(prefix)]
        return complete or list(filter(is_complete, find_checkpoints(self.path)))

    def _repair_checkpoint_list(self):
        """Writes the file `checkpoint` anew, if it is damaged or missing.

        TensorFlow would fail at a damaged one, and begin anew without it.
        """
        listed, found = listed_checkpoints(self.path), self.checkpoints()
        if listed is not None and {*found} <= {*listed}:
            return
        path = self.file("checkpoint")
        if os.path.isdir(path):
            raise self._unusable(
                "`checkpoint` there is a directory; expected TensorFlow's list of the "
                "checkpoints: move it away, and the list is written anew"
            )
        what = "damaged" if os.path.exists(path) else "missing"
        logging.warning("%s: %s; replaced by a list of the checkpoints", path, what)
        if not found:
            os.remove(path)
            return
        names = [os.path.basename(prefix) for prefix in found]
        times = [os.path.getmtime(f"{prefix}.index") for prefix in found]
        with replacing(path, self.flag) as file:
            file.write(checkpoint_list(names, times))

    def _check_index(self):
        """Tells if the newest checkpoint has no index, which is written last.

        Raises UserError if it was complete, as the file `checkpoint` lists it, and
        there is no other: the run would begin anew.
        """
        lost, latest = without_index(self.path), self.latest_checkpoint()
        if lost is None or (latest and step_of(latest) > step_of(lost)):
            return
        if not latest and lost in (listed_checkpoints(self.path) or []):
            raise self._unusable(_lost_index(lost))
        begins = f"from {latest}" if latest else "from scratch"
        logging.warning("%s; training goes on %s", _lost_index(lost), begins)

    def new_checkpoints(self) -> Iterator[str]:
        """Yields the newest checkpoint, then each newer one, without an end."""
        last = None
        while True:
            prefix = self.latest_checkpoint()
            if prefix and prefix != last:
                last = prefix
                yield prefix
            time.sleep(1.0)

    def latest_checkpoint(self) -> str | None:
        """The prefix of the newest complete checkpoint."""
        return (self.checkpoints() or [None])[-1]

    def checkpoint(self, name: str = "", flag: str = "--checkpoint") -> str:
        """The prefix of the checkpoint `name`, or of the newest.

        Args:
          name: model.ckpt-STEP, or a path relative to this or to the working
            directory; or best (segment_best), the one with the highest GAP of those
            that eval.py has evaluated.

        Raises UserError if there is none.
        """
        if not name or name in BEST:  # the run's own, or those of a directory in it
            prefix = RunDirectory(self.file(name)).latest_checkpoint()
            if prefix:
                return prefix
            if not name:
                raise self._unusable(self._why_no_checkpoint())
            raise UserError(
                f"{flag}={name}: eval.py has kept none in {self.path}; run it first, "
                "with --keep_best"
            )
        known = {os.path.basename(prefix): prefix for prefix in self.checkpoints()}
        if name in known:
            return known[name]
        for prefix in (self.file(name), local_path(name, flag)):
            if is_complete(prefix) and self.holds(prefix):
                return self.file(self._relative(prefix))
        found = glob.glob("*.index", root_dir=self.path)
        known = {*known, *(file.removesuffix(".index") for file in found)}
        names = ", ".join(sorted(known)) or "none"
        raise UserError(f"{flag}={name}: not in {self.path}; there are: {names}")

    def _why_no_checkpoint(self):
        if lost := without_index(self.path):
            return _lost_index(lost)
        return "no checkpoint; train a model there first"

    def holds(self, path: str) -> bool:
        """Whether a path is this directory, or lies in it."""
        return self._relative(path).split(os.sep)[0] != os.pardir

    def _relative(self, path):
        return os.path.relpath(os.path.realpath(path), os.path.realpath(self.path))

    def _check_same(self, run, complete):
        saved = self.read_run()
        if saved.model.model == run.model.model:
            with contextlib.suppress(UserError):  # of a class that is not imported
                saved, run = complete(saved), complete(run)
        self._check_features(saved, run)
        saved, wanted = _flatten(saved), _flatten(run)
        different = [key for key in wanted if wanted[key] != saved.get(key)]
        if "released_code" in different and "released_crops" in different:
            different.remove("released_crops")  # which follows from it
        if different:
            was = [f"{key}={shortened(str(saved.get(key)))}" for key in different]
            now = [f"{key}={shortened(str(wanted[key]))}" for key in different]
            raise self._unusable(
                f"model_flags.json there says {', '.join(was)}, but this run "
                f"{', '.join(now)}; give the same flags, another --train_dir, or "
                "--start_new_model to begin anew"
            )

    def _check_features(self, saved, run):
        names = run.data.feature_names
        different = provenance.differences(saved.features, run.features, names)
        if different:
            raise self._unusable(
                "the run was trained on features that were made differently from those "
                f"of --train_data_pattern ({provenance.different_values(different)}); "
                "name shards like the run's, another --train_dir, or --start_new_model"
            )

    def _remove_run(self):
        if not os.path.isdir(self.path) or not os.listdir(self.path):
            return
        known = ("model_flags.json", "checkpoint")
        if not any(os.path.exists(self.file(name)) for name in known):
            raise self._unusable(
                "--start_new_model will not empty it: it holds files but no "
                "model_flags.json, so it is no run's directory; name another"
            )
        for path in self.files():
            shutil.rmtree(path) if os.path.isdir(path) else os.unlink(path)

    def _unusable(self, why):
        return UserError(f"{self.flag}={self.path}: {why}")


def _lost_index(prefix):
    name = os.path.basename(prefix)
    return (
        f"{name} cannot be read without the file {name}.index, which is missing; copy "
        "it there, or begin anew in another directory"
    )


def _flatten(run):
    """model_flags.json with each hyper-parameter as a key; modules may have moved."""
    values = json.loads(run.to_json())
    left_out = ("hyperparameters", "import", "defaults_version", "features")
    left_out = dict.fromkeys(left_out)
    return {**values, **values["hyperparameters"], **left_out}
