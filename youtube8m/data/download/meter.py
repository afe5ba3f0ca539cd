"""How far a download is: a progress bar, or a line of the log now and then.

with meter:
    meter.show()
"""

import collections
import threading
import time

from absl import logging

from youtube8m.util.progress import Progress
from youtube8m.util.text import file_size

_INTERVAL = 30  # seconds between lines where no bar is seen
_WINDOW = 10  # seconds over which the rate is measured


class Meter:
    """Counts the bytes of files of which not all sizes are known. For any thread.

    Attributes:
      num_done: files that are complete.
    """

    def __init__(self, num_files: int):
        self.num_done = 0
        self._num_files = num_files
        self._lock = threading.Lock()
        self._sizes: dict[str, int] = {}
        self._held = self._received = 0
        self._progress = None
        self._trouble = ""
        self._logged = time.monotonic()
        self._seen = collections.deque([(self._logged, 0)])

    def __enter__(self) -> "Meter":
        self._scale, unit = (10**6, "MB") if self.total > 10**7 else (10**3, "kB")
        self._progress = Progress("downloading", 1, unit)
        return self

    def __exit__(self, *_) -> None:
        self._progress.clear()

    def add_received(self, count: int) -> None:
        """Counts bytes that came over the network."""
        with self._lock:
            self._received += count

    def add_held(self, count: int) -> None:
        """Counts bytes by which the files here grow or, below 0, shrink."""
        with self._lock:
            self._held += count

    def set_size(self, url: str, count: int) -> None:
        """Notes the bytes of a file."""
        with self._lock:
            self._sizes[url] = count

    def set_trouble(self, reason: str) -> None:
        """Notes why a try failed, which is told while no bytes come."""
        self._trouble = reason

    @property
    def total(self) -> int:
        """The bytes of all files: of the others, the mean of those that are known."""
        with self._lock:
            known = sum(self._sizes.values())
            return known * self._num_files // max(1, len(self._sizes))

    def show(self) -> None:
        """Draws the bar, or writes a line if there is none and it is time."""
        now, received = time.monotonic(), self._received
        self._seen.append((now, received))
        while now - self._seen[0][0] > _WINDOW:
            self._seen.popleft()
        start, before = self._seen[0]
        rate = (received - before) / (now - start) if now > start else 0.0
        speed, files = (
            f"{file_size(rate)}/s",
            f"{self.num_done}/{self._num_files} files",
        )
        self._progress.total = max(1, self.total // self._scale)
        self._progress.update(self._held // self._scale, f"{speed}, {files}")
        if not self._progress.visible and now - self._logged > _INTERVAL:
            self._logged = now
            left = max(0, self.total - self._held) / rate if rate else 0
            logging.info(
                "downloaded %s of %s, %s, %s, %.0f minutes left",
                file_size(self._held),
                file_size(self.total),
                files,
                speed,
                left / 60,
            )
