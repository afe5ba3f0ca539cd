"""What is wrong with shards: which record, where, and how often it happens.

problems = Problems()
tfrecord.read_records(path, problems)
problems.listed[0].offset, problems.kinds["is damaged"]
"""

import collections
import re
from typing import NamedTuple

from youtube8m.data.reading.damage import Damage
from youtube8m.errors import UserError

_PLACE = re.compile(r"record (\d+) at byte (\d+)[ :]*(.*)", re.DOTALL)
_DETAILS = re.compile(r"'[^']*'|\d+(?:\.\d+)?")
_LISTED = 1000  # in all
_OF_A_KIND = 10  # of each file


class Problem(NamedTuple):
    """Something wrong in a file; without `record` it is about the file as a whole."""

    file: str
    record: int | None  # its number in the file, from 0
    offset: int | None  # where it begins, in bytes
    what: str


class Problems(Damage):
    """Damage that is listed and counted, and neither logged nor an error.

    Attributes:
      kinds: how often each kind of problem occurs; numbers do not make a kind.
      listed: at most 1,000, and of a kind ten of a file.
      by_file: problems of each file.
    """

    def __init__(self):
        super().__init__()
        self.kinds: collections.Counter[str] = collections.Counter()
        self.by_file: collections.Counter[str] = collections.Counter()
        self.listed: list[Problem] = []
        self._of_file: collections.Counter[tuple[str, str]] = collections.Counter()

    def record(self, path: str, what: str, count: int = 1, more: bool = False) -> None:
        self.lost += count
        if more:
            self.uncounted.add(path)
        found = _PLACE.fullmatch(what)
        number, offset, said = None, None, what
        if found:
            number, offset, said = int(found[1]), int(found[2]), found[3]
        self._list(Problem(path, number, offset, said))

    def file(self, path: str, error: UserError) -> None:
        """Lists a file that cannot be read at all."""
        self._list(Problem(path, None, None, str(error).removeprefix(f"{path}: ")))

    def at(self, path: str, index: int, offset: int, what: str) -> None:
        """Lists a record that can be read, but not be used."""
        self._list(Problem(path, index, offset, what))

    def _list(self, problem):
        kind = kind_of_problem(problem.what)
        self.kinds[kind] += 1
        self.by_file[problem.file] += 1
        self._of_file[problem.file, kind] += 1
        if len(self.listed) < _LISTED and (
            self._of_file[problem.file, kind] <= _OF_A_KIND
        ):
            self.listed.append(problem)

    @property
    def total(self) -> int:
        """How many there are."""
        return self.kinds.total()


def kind_of_problem(what: str) -> str:
    """A problem without its numbers and advice; names in quotes stay."""
    said = re.split(r"[;(]", what)[0].strip()
    return _DETAILS.sub(lambda m: m[0] if m[0][0] == "'" else "N", said)
