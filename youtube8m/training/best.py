"""The checkpoints of a run with the highest GAP, out of the trainer's reach.

best = BestCheckpoints(directory, keep=1)
best.hold(prefix)               # before the trainer can delete it
best.rank(prefix, gap=0.83)     # keeps it, or lets it go

train_dir/best/ holds their files, as links beside the trainer's, and `checkpoint`,
the best one last: it can be read as a run directory's checkpoints are.
"""

import contextlib
import glob
import inspect
import json
import os
import shutil

import tensorflow as tf

from youtube8m.files import replacing
from youtube8m.runs import RunDirectory


class BestCheckpoints:
    """The `keep` best of a run; `name` is the directory's, one of runs.BEST."""

    def __init__(self, directory: RunDirectory, keep: int, name: str = "best"):
        self.directory = RunDirectory(directory.file(name))
        self.keep = keep

    def hold(self, prefix: str) -> None:
        """Takes a checkpoint's files. Raises OSError if they cannot be taken."""
        os.makedirs(self.directory.path, exist_ok=True)
        paths = glob.glob(glob.escape(prefix) + ".*")
        if f"{prefix}.index" not in paths or len(paths) < 2:  # and its data
            raise FileNotFoundError("its files are gone")
        for path in paths:
            copy = self.directory.file(os.path.basename(path))
            with contextlib.suppress(FileNotFoundError):
                os.remove(copy)
            try:
                os.link(path, copy)
            except OSError:  # some file systems know no links
                shutil.copyfile(path, copy)

    def rank(self, prefix: str, gap: float) -> None:
        """Notes the GAP of a checkpoint that is held, and removes the lowest."""
        gaps = {**self.gaps(), os.path.basename(prefix): gap}
        ranked = sorted(gaps, key=gaps.get)[-self.keep :]
        with replacing(self.directory.file("gaps.json")) as file:
            json.dump({name: gaps[name] for name in ranked}, file, indent=2)
        paths = [self.directory.file(name) for name in ranked]
        # Unwrapped, as the function would announce that a manager is preferred.
        update = inspect.unwrap(tf.compat.v1.train.update_checkpoint_state)
        update(self.directory.path, paths[-1], paths)
        for path in glob.glob(glob.escape(self.directory.file("model.ckpt-")) + "*"):
            if os.path.basename(path).rsplit(".", 1)[0] not in ranked:
                os.remove(path)

    def gaps(self) -> dict[str, float]:
        """The GAP of each checkpoint that is kept, by name."""
        try:
            with open(self.directory.file("gaps.json"), encoding="utf-8") as file:
                gaps = json.load(file)
            return {n: float(gap) for n, gap in gaps.items() if self._is_there(n)}
        except (OSError, ValueError, TypeError, AttributeError, RecursionError):
            return {}  # damaged: all but the next are let go

    def _is_there(self, name):
        return os.path.exists(self.directory.file(f"{name}.index"))
