"""Counts the records that cannot be read, and decides when that ends a run.

    damage = Damage(strict=False)
    damage.record("train00.tfrecord", "record 17: is cut short")   # one warning
    damage.check()                                                 # raises if fatal

The input pipeline runs in threads of its own. An exception there would become an error
of TensorFlow's that says little. So errors are left here, and the loop that consumes
batches raises them.
"""

import collections
import errno
import threading

from absl import logging

from youtube8m.errors import UserError, reason

_FILES = "close other files, or allow more with ulimit -n"
_MEMORY = "give the process more memory, or a smaller --batch_size"
# What the system may be short of, and what helps.
_SHORTAGES = {errno.EMFILE: _FILES, errno.ENFILE: _FILES, errno.ENOMEM: _MEMORY}
_LINES_PER_FILE = 10  # a file of another kind would fill the log


class Damage:
    """Lost records by file, each reported once; in strict mode the first is fatal.

    `lost` is their number, in which a part of a file whose records nobody can count is
    one; `uncounted` has the files with such a part. `unlabelled` is the number of
    usable records without a label, about exact where threads count them; `reports` has
    the messages about each file.
    """

    def __init__(self, strict: bool = False):
        self.strict = strict
        self.lost = 0
        self.uncounted: set[str] = set()
        self.unlabelled = 0
        self.reports: dict[str, set[str]] = collections.defaultdict(set)
        self._fatal: UserError | None = None
        self._lock = threading.Lock()

    def record(self, path: str, what: str, count: int = 1, more: bool = False) -> None:
        """Counts `count` records of `path` as lost; later epochs repeat it.

        Args:
          more: whether the file may have had any number of records besides.
        """
        with self._lock:  # no warning of this thread follows another's fatal error
            seen = self.reports[path]
            if what in seen:
                return
            seen.add(what)
            self.lost += count
            if more:
                self.uncounted.add(path)
            if not (self.strict or self._fatal):
                self._warn(path, what, len(seen))
        if self.strict:
            message = f"{path}: {what}; without --strict_data it is skipped"
            self.fail(UserError(message))

    def _warn(self, path, what, lines):
        if lines <= _LINES_PER_FILE:
            message = "%s: %s; skipped (%s lost so far)"
            logging.warning(message, path, what, self.amount())
        elif lines == _LINES_PER_FILE + 1:
            logging.warning("%s: and more, which is only counted", path)

    def unreadable(self, path: str, error: Exception, record: str = "") -> None:
        """Counts what the system cannot read as lost.

        Raises UserError if the system is short of files or memory: then the data is
        sound, and another run would lose other records.
        """
        shortage = _SHORTAGES.get(getattr(error, "errno", None))
        if isinstance(error, MemoryError):
            shortage = _SHORTAGES[errno.ENOMEM]
        if shortage is None:
            what = f"{record} cannot be read ({reason(error)})".lstrip()
            self.record(path, what, more=not record)
            return
        message = f"{path}: cannot be read ({reason(error)}); {shortage}"
        raise self.fail(UserError(message))

    def amount(self, what: str = "records") -> str:
        """How many are lost, in words: '3 records, and an unknown number in 2 files'.

        Args:
          what: the records are.
        """
        files = len(self.uncounted)
        unknown = f"in {files} file{'s' * (files > 1)}"
        if not files:
            return f"{self.lost} {what}"
        if self.lost == files:
            return f"an unknown number of {what} {unknown}"
        return f"{self.lost - files} {what}, and an unknown number {unknown},"

    def warn_of_lost(self, consequence: str) -> None:
        """Logs how many records are lost, if any, and the consequence.

        And how many have no label.
        """
        if self.lost:
            logging.warning("%s could not be read %s", self.amount(), consequence)
        if self.unlabelled:
            logging.warning("%d records have no label", self.unlabelled)

    def fail(self, error: UserError) -> UserError:
        """Makes the next `check` raise `error`, unless an earlier one is there.

        From now on nothing is logged: the error is to be the last line.
        """
        with self._lock:
            self._fatal = self._fatal or error
        return error

    def check(self) -> None:
        """Raises the UserError that ends the run, if there is one."""
        if self._fatal is not None:
            raise self._fatal
