"""Files over HTTP: resumed where they were cut, tried again, checked before they count.

    transfer = Transfer()
    transfer.read("http://data.yt8m.org/2/download_plans/frame_train.json")
    transfer.fetch(url, "train0000.tfrecord", md5)

While a file is fetched, it is called NAME.part. The next try goes on there, also one of
another process.
"""

import contextlib
import hashlib
import os
import random
import re
import threading
from collections.abc import Callable

import requests
from urllib3 import Retry
from urllib3.exceptions import HTTPError, InvalidHeader, ReadTimeoutError

try:
    import fcntl
except ImportError:  # not on Windows
    fcntl = None

_CHUNK = 1 << 16
_LONGEST_PAUSE = 60  # seconds
_LONGEST_WISH = 600  # seconds of a pause that a server asks for
_CONNECT = 10  # seconds
# What the two libraries raise for a network that fails.
_ERRORS = (requests.RequestException, HTTPError)
# Of the statuses from 400 to 499, those that may pass.
_PASSING = {408, 425, 429}
_jitter = random.Random()


class NotFetched(Exception):
    """The reason, in words, why an address was not fetched.

    Attributes:
      status: of the server's last answer; None if none came.
      is_final: whether the answer was about the file, so that trying again is no use.
      pause: seconds for which the server asks before the next try.
    """

    def __init__(
        self,
        reason: str,
        status: int | None = None,
        is_final: bool = False,
        pause: float = 0.0,
    ):
        super().__init__(reason)
        self.status = status
        self.is_final = is_final
        self.pause = pause


class Stopped(Exception):
    """The transfer was told to stop."""


class Transfer:
    """Fetches one address at a time, over one connection.

    Args:
      tries: of an address without progress, before it is given up.
      pause: seconds before the second try; before each further one twice as many.
      timeout: seconds without a byte after which a try has failed.
      stop: when it is set, `fetch` raises Stopped.
      received: called with the number of bytes whenever some came.
      held: called with the number of bytes by which a .part file grew or shrank.
      sized: called with (url, bytes) when a file's size is known.
      failed: called with the reason of a try that failed, if another one follows.
    """

    def __init__(
        self,
        tries: int = 8,
        pause: float = 1.0,
        timeout: float = 60.0,
        stop: threading.Event | None = None,
        received: Callable[[int], None] = lambda count: None,
        held: Callable[[int], None] = lambda count: None,
        sized: Callable[[str, int], None] = lambda url, count: None,
        failed: Callable[[str], None] = lambda reason: None,
    ):
        self._tries, self._pause, self._timeout = tries, pause, timeout
        self._stop = stop or threading.Event()
        self._received, self._held, self._sized = received, held, sized
        self._failed = failed
        self._session = requests.Session()
        # Bytes as they are stored: a range of compressed ones would be another.
        self._session.headers["Accept-Encoding"] = "identity"

    def read(self, url: str) -> bytes:
        """What an address holds. Raises NotFetched."""
        failures = 0
        while True:
            try:
                with self._get(url) as response:
                    _require_success(response)
                    return b"".join(_chunks(response))
            except (NotFetched, *_ERRORS) as error:
                failures += 1
                self._pause_after(failures, _as_not_fetched(error))

    def size(self, url: str) -> int | None:
        """The bytes of a file, from the server's headers; None if it does not say."""
        timeout = (_CONNECT, self._timeout)
        try:
            with self._session.head(
                url, allow_redirects=True, timeout=timeout
            ) as response:
                length = response.headers.get("Content-Length", "")
                return int(length) if response.ok and length.isdigit() else None
        except _ERRORS:
            return None

    def fetch(self, url: str, path: str, md5: str) -> None:
        """Fetches a file, and gives it its name when its md5 is right.

        Raises:
          NotFetched: it could not be had; what came of it is kept.
          Stopped: `stop` was set.
          OSError: it cannot be written.
        """
        with _Part(f"{path}.part", self._held) as part:
            furthest, failures, wrong = part.size, 0, set()
            while part.md5 != md5:
                try:
                    self._receive(url, part)
                    if part.md5 != md5:
                        raise self._wrong_bytes(part, md5, wrong)
                except (NotFetched, *_ERRORS) as error:
                    failures = 1 if part.size > furthest else failures + 1
                    furthest = max(furthest, part.size)
                    if part.md5 != md5:
                        self._pause_after(failures, _as_not_fetched(error))
            part.rename(path)

    def _wrong_bytes(self, part, md5, wrong):
        """The error for a whole file of another md5, which is dropped.

        It is final if the server has sent the same bytes before: it has no others.
        """
        error = NotFetched(
            f"the server's {part.size:,} bytes have the md5 {part.md5}, the plan says "
            f"{md5}",
            is_final=part.md5 in wrong,
        )
        wrong.add(part.md5)
        part.clear()
        return error

    def _receive(self, url, part):
        """Appends to a part what the server has beyond it."""
        with self._get(url, part.size) as response:
            if response.status_code == 416:  # there is nothing beyond it
                part.clear()
            _require_success(response)
            if _range_start(response) != part.size:
                part.clear()  # the server takes no ranges
            if _range_start(response) != part.size:
                raise NotFetched("the server sent another range than asked for")
            length = response.headers.get("Content-Length", "")
            if length.isdigit():
                self._sized(url, part.size + int(length))
            for chunk in _chunks(response):
                if self._stop.is_set():
                    raise Stopped
                self._received(len(chunk))
                part.append(chunk)

    def _get(self, url, start=0):
        headers = {"Range": f"bytes={start}-"} if start else {}
        timeout = (_CONNECT, self._timeout)
        return self._session.get(url, headers=headers, stream=True, timeout=timeout)

    def _pause_after(self, failures, error):
        """Waits before the next try. Raises the error if there is none."""
        if error.is_final or failures >= self._tries:
            raise error
        self._failed(str(error))
        pause = min(self._pause * 2 ** (failures - 1), _LONGEST_PAUSE)
        pause = max(pause * _jitter.uniform(0.75, 1.25), error.pause)
        if self._stop.wait(pause):
            raise Stopped


class _Part:
    """A file that is being fetched, and the md5 of what it holds.

    Raises NotFetched if another process has it open, too.
    """

    def __init__(self, path: str, held: Callable[[int], None]):
        self.path, self._held = path, held
        self._file = _open_locked(path)
        self._start()
        while chunk := self._file.read(1 << 20):
            self._count(chunk)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if not self.size:  # nothing to go on with
            with contextlib.suppress(FileNotFoundError):
                os.remove(self.path)
        self._file.close()

    def _start(self):
        self.size, self._digest = 0, hashlib.md5(usedforsecurity=False)

    def _count(self, chunk):
        self._digest.update(chunk)
        self.size += len(chunk)
        self._held(len(chunk))

    @property
    def md5(self) -> str:
        return self._digest.hexdigest()

    def append(self, chunk: bytes) -> None:
        view = memoryview(chunk)
        while view:  # a raw file may write less than all
            view = view[self._file.write(view) :]
        self._count(chunk)

    def clear(self) -> None:
        self._file.seek(0)
        self._file.truncate()
        self._held(-self.size)
        self._start()

    def rename(self, path: str) -> None:
        os.replace(self.path, path)


def _open_locked(path):
    """Opens a file for one process alone, as far as the file system knows locks."""
    while True:
        file = open(os.open(path, os.O_RDWR | os.O_CREAT, 0o666), "r+b", buffering=0)
        try:
            if fcntl:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.close()
            raise NotFetched("another process is fetching it", is_final=True) from None
        except OSError:  # no locks there
            return file
        with contextlib.suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(file.fileno()), os.stat(path)):
                return file
        file.close()  # another process has just renamed it


def _require_success(response):
    """Raises NotFetched for the status of an error."""
    status = response.status_code
    if status not in (200, 206):
        raise NotFetched(
            f"the server says {status} {response.reason}".rstrip(),
            status,
            is_final=400 <= status < 500 and status not in {*_PASSING, 416},
            pause=min(_wish(response), _LONGEST_WISH),
        )


def _wish(response):
    """The seconds of a header Retry-After; 0 without one that makes sense."""
    try:
        return Retry().get_retry_after(response.raw) or 0.0
    except (InvalidHeader, ValueError, OverflowError):
        return 0.0


def _chunks(response):
    """Yields the bytes as they come: requests' own chunks are lost if they are cut."""
    read = getattr(response.raw, "read1", response.raw.read)  # urllib3 1 has no read1
    while chunk := read(_CHUNK):
        yield chunk


def _range_start(response):
    """Where the bytes of an answer begin in the file."""
    if response.status_code != 206:
        return 0
    found = re.match(r"bytes (\d+)-", response.headers.get("Content-Range", ""))
    return int(found[1]) if found else -1


def _as_not_fetched(error):
    """The libraries' errors in words; NotFetched stays."""
    if isinstance(error, NotFetched):
        return error
    if isinstance(error, (requests.Timeout, ReadTimeoutError)):
        return NotFetched("the server does not answer")
    if isinstance(error, HTTPError):
        return NotFetched("the connection was cut")
    cause = getattr(error.args[0], "reason", error) if error.args else error
    words = str(cause).rpartition(": ")[2].partition(" (")[0]
    words = re.sub(r"^\[Errno -?\d+\] ", "", words).strip() or type(error).__name__
    is_final = isinstance(error, (ValueError, requests.TooManyRedirects))
    return NotFetched(f"no connection ({words})", is_final=is_final)
