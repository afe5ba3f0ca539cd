"""Copies of the checkpoints with the highest GAP, which the trainer does not delete.

best = BestCheckpoints(directory, keep=1)
best.copy(prefix)               # before the trainer can delete it
best.rank(prefix, gap=0.83)
best.remove_others()            # those that are not among the best

train_dir/best/ holds their files, as hard links where these are possible, and a file
`checkpoint` with the best one last, so that it is read like a run directory. GAPs on
other records cannot be compared: such checkpoints are not ranked.
"""

import contextlib
import dataclasses
import glob
import os
import shutil

from youtube8m.errors import UserError
from youtube8m.runs.checkpoint_files import (
    checkpoint_list,
    is_complete,
    listed_checkpoints,
)
from youtube8m.runs.directory import RunDirectory
from youtube8m.util.files import replacing
from youtube8m.util.json import JsonError, read_json


@dataclasses.dataclass
class BestCheckpoints:
    """The `keep` best checkpoints of a run, in a `directory` of their own.

    Args:
      name: of their directory, one of directory.BEST.
      measured_on: names the records that the GAPs are computed on.
    """

    directory: RunDirectory
    keep: int
    name: str = "best"
    measured_on: str = ""

    def __post_init__(self):
        self.directory = RunDirectory(self.directory.file(self.name))

    def copy(self, prefix: str) -> None:
        """Copies a checkpoint's files. Raises OSError if not all can be copied."""
        os.makedirs(self.directory.path, exist_ok=True)
        paths = glob.glob(glob.escape(prefix) + ".*")
        if f"{prefix}.index" not in paths or len(paths) < 2:  # without its data
            raise FileNotFoundError("its files are gone")
        copies = {p: self.directory.file(f"{os.path.basename(p)}.new") for p in paths}
        try:
            for path, copy in copies.items():
                with contextlib.suppress(FileNotFoundError):
                    os.remove(copy)
                try:
                    os.link(path, copy)
                except OSError:  # some file systems have no hard links
                    shutil.copyfile(path, copy)
            for copy in copies.values():
                os.replace(copy, copy.removesuffix(".new"))
        finally:
            for copy in copies.values():  # renaming a link to its own file leaves it
                with contextlib.suppress(OSError):
                    os.remove(copy)

    def rank(self, prefix: str, gap: float) -> None:
        """Writes down the best of the earlier checkpoints and of this copied one.

        Raises UserError if it cannot be written, or earlier GAPs are of other records.
        """
        name = os.path.basename(prefix)
        measured_on, gaps = self._read()
        if gaps and measured_on != self.measured_on:
            raise UserError(
                f"{self.directory.path}: ranks checkpoints by other shards or another "
                "--top_k; remove it to rank by these"
            )
        if not self._has(name):
            raise UserError(f"{self.directory.file(name)}: another command removed it")
        gaps[name] = gap
        ranked = sorted(gaps, key=gaps.get)[-self.keep :]
        kept = {name: gaps[name] for name in ranked}
        values = {"measured_on": self.measured_on, "gaps": kept}
        self.directory.write_json("gaps.json", values)
        with replacing(self.directory.file("checkpoint"), self.directory.flag) as file:
            file.write(checkpoint_list(ranked))

    def remove_others(self) -> None:
        """Removes copies that neither gaps.json nor `checkpoint` names."""
        listed = listed_checkpoints(self.directory.path) or ()
        kept = {*self.gaps(), *map(os.path.basename, listed)}
        for name in glob.glob("model.ckpt-*", root_dir=self.directory.path):
            if name.rsplit(".", 1)[0] not in kept:
                with contextlib.suppress(OSError):  # the next call tries again
                    os.remove(self.directory.file(name))

    def gaps(self) -> dict[str, float]:
        """The GAP of each checkpoint that is kept, by name."""
        return self._read()[1]

    def _read(self):
        """(measured_on, GAPs by name) of gaps.json; None and none if it is damaged."""
        try:
            return read_json(self.directory.file("gaps.json"), self._usable)
        except JsonError:
            return None, {}

    def _usable(self, found):
        gaps = {n: float(g) for n, g in found["gaps"].items() if self._has(n)}
        gaps = {n: gap for n, gap in gaps.items() if 0 <= round(gap, 6) <= 1}
        return found["measured_on"], gaps

    def _has(self, name):
        return is_complete(self.directory.file(name))
