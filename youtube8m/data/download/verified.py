"""Which files of a directory are known to be right, so that they are read once.

    verified = VerifiedFiles("/data/train", "2/frame/train")
    verified.is_right("train0000.tfrecord", md5)     # reads a file that is not listed
    verified.add("train0001.tfrecord", md5)

The list is a file of the directory, `.youtube8m_verified`, with a line per file. A line
counts as long as the file has the size and the time of change that the line says.
"""

import dataclasses
import hashlib
import os
import re

from youtube8m.errors import UserError

LIST = ".youtube8m_verified"

_LINE = re.compile(r"(\S+) ([0-9a-f]{32}) (\d+) (\d+) (\S+)\n")
_CLOCK = 2  # seconds; some file systems keep times no better


@dataclasses.dataclass(frozen=True)
class _Entry:
    partition: str
    md5: str
    size: int  # bytes
    changed: int  # seconds

    def describes(self, found: os.stat_result) -> bool:
        """Whether the file is as it was when its md5 was computed."""
        same_time = abs(self.changed - found.st_mtime) <= _CLOCK
        return self.size == found.st_size and same_time


class VerifiedFiles:
    """The files of a directory whose md5 has been computed. Not for several threads.

    Args:
      partition: where the files belong.
    """

    def __init__(self, directory: str, partition: str):
        self._directory, self._partition = directory, partition
        self._path = os.path.join(directory, LIST)
        self._entries = {}
        try:
            with open(self._path, encoding="utf-8", errors="replace") as file:
                lines = file.readlines()
        except FileNotFoundError:
            lines = []
        for match in filter(None, map(_LINE.fullmatch, lines)):  # the last may be cut
            partition, md5, size, changed, name = match.groups()
            self._entries[name] = _Entry(partition, md5, int(size), int(changed))
        self._is_cut = bool(lines) and not lines[-1].endswith("\n")

    def is_right(self, name: str, md5: str) -> bool:
        """Whether the file is there, with this md5; a new finding is added.

        Raises UserError if the file belongs to another partition.
        """
        path, entry = os.path.join(self._directory, name), self._entries.get(name)
        try:
            found = os.stat(path)
        except FileNotFoundError:
            return False
        if entry and entry.md5 == md5 and entry.size != found.st_size:
            return False
        if entry and entry.describes(found):
            if entry.md5 != md5 and entry.partition != self._partition:
                raise UserError(
                    f"--directory={self._directory}: holds {name} of "
                    f"{entry.partition}, and {self._partition} has a file of that "
                    "name, too; name another directory"
                )
            return entry.md5 == md5
        if _md5(path) != md5:
            return False
        self.add(name, md5)
        return True

    def add(self, name: str, md5: str) -> None:
        """Lists a file that has this md5."""
        found = os.stat(os.path.join(self._directory, name))
        entry = _Entry(self._partition, md5, found.st_size, int(found.st_mtime))
        line = f"{entry.partition} {md5} {entry.size} {entry.changed} {name}\n"
        with open(self._path, "a", encoding="utf-8") as file:
            file.write("\n" * self._is_cut + line)
        self._entries[name], self._is_cut = entry, False


def _md5(path):
    with open(path, "rb") as file:
        return hashlib.file_digest(file, _new_md5).hexdigest()


def _new_md5():
    return hashlib.md5(usedforsecurity=False)
