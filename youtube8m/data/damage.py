"""Keeps count of what could not be read, and decides when that ends a run.

    damage = Damage(strict=False)
    damage.record("train00.tfrecord", "record 17: is cut short")   # one warning
    damage.check()                                                 # raises if fatal

The input pipeline runs in threads of its own, where an exception would surface
later as an opaque TensorFlow error; so it leaves its errors here and the loop that
consumes batches raises them.
"""

import threading

from absl import logging

from youtube8m.errors import UserError


class Damage:
    """Lost records by file, each reported once; in strict mode the first is fatal."""

    def __init__(self, strict: bool = False):
        self.strict = strict
        self.lost = 0
        self._seen: set[tuple[str, str]] = set()
        self._fatal: UserError | None = None
        self._lock = threading.Lock()

    def record(self, path: str, what: str, count: int = 1) -> None:
        """Notes that `count` records of `path` are lost; later epochs repeat it."""
        with self._lock:
            if (path, what) in self._seen:
                return
            self._seen.add((path, what))
            self.lost += count
        message = f"{path}: {what}"
        if self.strict:
            self.fail(UserError(f"{message}; without --strict_data it is skipped"))
        else:
            logging.warning("%s; skipped (%d records lost so far)", message, self.lost)

    def fail(self, error: UserError) -> None:
        """Makes `error` end the run at the next `check`; the first one wins."""
        with self._lock:
            self._fatal = self._fatal or error

    def check(self) -> None:
        """Raises the UserError that ends the run, if there is one."""
        if self._fatal is not None:
            raise self._fatal
