"""A progress bar on the terminal for long tasks.

    with Progress("training", total=1000, unit="step") as progress:
        progress.update(120, "loss 3.21")

It is written to standard error, and only if that is a terminal, as long as it is one.
A log gets lines of its own, from the task.
"""

import sys
import time

_INTERVAL = 0.2  # seconds between two drawings
_WIDTH = 24


class Progress:
    """A progress bar with the time left; `total` may be an estimate."""

    def __init__(self, title: str, total: int, unit: str = "video"):
        self.title = title
        self.total = max(1, total)
        self.unit = unit
        self._first = None
        self._drawn = 0.0
        self._stream = sys.stderr
        self.visible = _is_terminal(self._stream)

    def __enter__(self) -> "Progress":
        return self

    def __exit__(self, *_) -> None:
        self.clear()

    def update(self, done: int, note: str = "") -> None:
        """Draws the bar for `done` units, a few times a second at most."""
        now = time.monotonic()
        self._first = self._first or (now, done)
        if not self.visible or now - self._drawn < _INTERVAL:
            return
        self._drawn = now
        share = min(1.0, done / self.total)
        bar = "=" * round(share * _WIDTH)
        start, first = self._first
        left = "-"
        if done > first:
            seconds = int((now - start) / (done - first) * max(0, self.total - done))
            left = f"{seconds // 3600}:{seconds // 60 % 60:02d}:{seconds % 60:02d}"
        self._write(
            f"\r\033[K{self.title} [{bar:<{_WIDTH}}] {self.unit} {done:,}/"
            f"{max(done, self.total):,}  ETA {left}  {note}"
        )

    def clear(self) -> None:
        """Removes the bar, so that a line can be printed."""
        if self.visible:
            self._write("\r\033[K")

    def _write(self, text):
        try:
            self._stream.write(text)
            self._stream.flush()
        except (OSError, ValueError):  # the terminal has gone, or the stream is closed
            self.visible = False


def _is_terminal(stream):
    """A program that uses the library may have closed or replaced the stream."""
    try:
        return stream.isatty()
    except (AttributeError, ValueError):
        return False
