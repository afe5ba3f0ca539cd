"""The checkpoints of a run with the highest GAP, out of the trainer's reach.

best = BestCheckpoints(directory, keep=1)
best.hold(prefix)               # before the trainer can delete it
best.rank(prefix, gap=0.83)
best.release()                  # lets it go, if it is none of them

train_dir/best/ holds their files, as links beside the trainer's, and `checkpoint`,
the best one last: it can be read as a run directory's checkpoints are. GAPs of other
records do not compare: such checkpoints are not ranked.
"""

import contextlib
import glob
import json
import os
import shutil

from youtube8m.errors import UserError
from youtube8m.runs.directory import RunDirectory
from youtube8m.util.files import replacing


class BestCheckpoints:
    """The `keep` best of a run.

    Args:
      name: the directory's, one of runs.BEST.
      measured_on: what the GAPs are of.
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
        """Notes the GAP of a checkpoint that is held, or that it is none of the best.

        Raises:
          UserError: it cannot be noted, or the GAPs there are of other records.
        """
        name = os.path.basename(prefix)
        measured_on, gaps = self._noted()
        if gaps and measured_on != self.measured_on:
            raise UserError(
                f"{self.directory.path}: ranks checkpoints by other shards or another "
                "--top_k; remove it to begin anew with these"
            )
        if not self._is_there(name):
            raise UserError(f"{self.directory.file(name)}: another command removed it")
        gaps[name] = gap
        ranked = sorted(gaps, key=gaps.get)[-self.keep :]
        with self._replacing("gaps.json") as file:
            kept = {name: gaps[name] for name in ranked}
            json.dump({"measured_on": self.measured_on, "gaps": kept}, file)
        with self._replacing("checkpoint") as file:
            file.write(f'model_checkpoint_path: "{ranked[-1]}"\n')
            file.writelines(f'all_model_checkpoint_paths: "{n}"\n' for n in ranked)

    def _replacing(self, name):
        return replacing(self.directory.file(name), self.directory.flag)

    def release(self) -> None:
        """Lets go of what is held but not ranked: what neither of both files names."""
        listed = map(os.path.basename, self.directory.checkpoints())
        kept = {*self.gaps(), *listed}
        for path in glob.glob(glob.escape(self.directory.file("model.ckpt-")) + "*"):
            if os.path.basename(path).rsplit(".", 1)[0] not in kept:
                with contextlib.suppress(OSError):  # the next time, then
                    os.remove(path)

    def gaps(self) -> dict[str, float]:
        """The GAP of each checkpoint that is kept, by name."""
        return self._noted()[1]

    def _noted(self):
        """What gaps.json says: what GAPs were measured on, and those that can be."""
        try:
            with open(self.directory.file("gaps.json"), encoding="utf-8") as file:
                found = json.load(file)
            gaps = found["gaps"]
            gaps = {n: float(gap) for n, gap in gaps.items() if self._is_there(n)}
            gaps = {n: gap for n, gap in gaps.items() if 0 <= round(gap, 6) <= 1}
            return found["measured_on"], gaps
        except (
            OSError,
            ValueError,
            TypeError,
            AttributeError,
            LookupError,
            OverflowError,
            RecursionError,
        ):
            return None, {}  # damaged: all but the next are let go

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
