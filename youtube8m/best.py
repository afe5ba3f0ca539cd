"""The checkpoints of a run with the highest GAP, out of the trainer's reach.

best = BestCheckpoints(directory, keep=1)
best.hold(prefix)               # before the trainer can delete it
best.rank(prefix, gap=0.83)     # keeps it, or lets it go

train_dir/best/ holds their files, as links beside the trainer's, and `checkpoint`,
the best one last: it can be read as a run directory's checkpoints are. GAPs of other
records do not compare; those of the last evaluation's count.
"""

import contextlib
import glob
import json
import os
import shutil

from youtube8m.files import replacing
from youtube8m.runs import RunDirectory


class BestCheckpoints:
    """The `keep` best of a run.

    Args:
      name: the directory's, one of runs.BEST.
      measured_on: what the GAPs are of; where it changes, ranking begins anew.
    """

    def __init__(
        self,
        directory: RunDirectory,
        keep: int,
        name: str = "best",
        measured_on: str = "",
    ):
        self.directory = RunDirectory(directory.file(name))
        self.keep = keep
        self.measured_on = measured_on

    def hold(self, prefix: str) -> None:
        """Takes a checkpoint's files. Raises OSError if not all can be taken."""
        os.makedirs(self.directory.path, exist_ok=True)
        paths = glob.glob(glob.escape(prefix) + ".*")
        if f"{prefix}.index" not in paths or len(paths) < 2:  # and its data
            raise FileNotFoundError("its files are gone")
        copies = [self.directory.file(os.path.basename(path)) for path in paths]
        try:
            for path, copy in zip(paths, copies, strict=True):
                _link(path, f"{copy}.new")
            for copy in copies:
                os.replace(f"{copy}.new", copy)
        finally:
            for copy in copies:  # also there if it is the same file as `copy`
                with contextlib.suppress(OSError):
                    os.remove(f"{copy}.new")

    def rank(self, prefix: str, gap: float) -> None:
        """Notes the GAP of a checkpoint that is held, and removes the lowest.

        Raises:
          UserError: it cannot be noted; then the checkpoint is let go.
        """
        gaps = {**self.gaps(), os.path.basename(prefix): gap}
        ranked = sorted(gaps, key=gaps.get)[-self.keep :]
        try:
            with self._replacing("gaps.json") as file:
                kept = {name: gaps[name] for name in ranked}
                json.dump({"measured_on": self.measured_on, "gaps": kept}, file)
            with self._replacing("checkpoint") as file:
                file.write(f'model_checkpoint_path: "{ranked[-1]}"\n')
                file.writelines(f'all_model_checkpoint_paths: "{n}"\n' for n in ranked)
        finally:
            self._remove_others()

    def _replacing(self, name):
        return replacing(self.directory.file(name), self.directory.flag)

    def _remove_others(self):
        """Removes what neither of both files names."""
        listed = map(os.path.basename, self.directory.checkpoints())
        kept = {*self.gaps(), *listed}
        for path in glob.glob(glob.escape(self.directory.file("model.ckpt-")) + "*"):
            if os.path.basename(path).rsplit(".", 1)[0] not in kept:
                with contextlib.suppress(OSError):  # the next time, then
                    os.remove(path)

    def gaps(self) -> dict[str, float]:
        """The GAP of each checkpoint that is kept, by name, of the same records."""
        try:
            with open(self.directory.file("gaps.json"), encoding="utf-8") as file:
                found = json.load(file)
            if found["measured_on"] != self.measured_on:
                return {}
            gaps = found["gaps"]
            gaps = {n: float(gap) for n, gap in gaps.items() if self._is_there(n)}
            return {n: gap for n, gap in gaps.items() if 0 <= round(gap, 6) <= 1}
        except (
            OSError,
            ValueError,
            TypeError,
            AttributeError,
            LookupError,
            OverflowError,
            RecursionError,
        ):
            return {}  # damaged: all but the next are let go

    def _is_there(self, name):
        return os.path.exists(self.directory.file(f"{name}.index"))


def _link(path, new):
    """Makes `new` the same file as `path`, or a copy of it."""
    with contextlib.suppress(FileNotFoundError):
        os.remove(new)
    try:
        os.link(path, new)
    except OSError:  # some file systems know no links
        shutil.copyfile(path, new)
