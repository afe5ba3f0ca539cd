"""Counts the records that cannot be read, and decides when that ends a run.

    damage = Damage(strict=False)
    damage.record("train00.tfrecord", "record 17: is cut short")   # one warning
    damage.check()                                                 # raises if fatal

The input pipeline runs in threads of its own. An exception there would become an error
of TensorFlow's that says little. So errors are left here, and the loop that consumes
batches raises them.
"""

import collections
import threading

from absl import logging

from youtube8m.errors import UserError

_LINES_PER_FILE = 10  # a file of another kind would fill the log


class Damage:
    """Lost records by file, each reported once; in strict mode the first is fatal.

    `lost` is their number; `reports` has the messages about each file.
    """

    def __init__(self, strict: bool = False):
        self.strict = strict
        self.lost = 0
        self.reports: dict[str, set[str]] = collections.defaultdict(set)
        self._fatal: UserError | None = None
        self._lock = threading.Lock()

    def record(self, path: str, what: str, count: int = 1) -> None:
        """Counts `count` records of `path` as lost; later epochs repeat it."""
        with self._lock:
            seen = self.reports[path]
            if what in seen:
                return
            seen.add(what)
            self.lost += count
        message = f"{path}: {what}"
        if self.strict:
            self.fail(UserError(f"{message}; without --strict_data it is skipped"))
        elif len(seen) == _LINES_PER_FILE + 1:
            logging.warning("%s: and more, which is only counted", path)
        elif len(seen) <= _LINES_PER_FILE:
            logging.warning("%s; skipped (%d records lost so far)", message, self.lost)

    def warn_of_lost(self, consequence: str) -> None:
        """Logs how many records are lost, if any, and the consequence."""
        if self.lost:
            logging.warning("%d records could not be read %s", self.lost, consequence)

    def fail(self, error: UserError) -> None:
        """Makes the next `check` raise `error`, unless an earlier one is there."""
        with self._lock:
            self._fatal = self._fatal or error

    def check(self) -> None:
        """Raises the UserError that ends the run, if there is one."""
        if self._fatal is not None:
            raise self._fatal
