"""Files that are either whole or absent."""

import contextlib
import os
import tempfile

from youtube8m.errors import UserError


def local_path(path: str, flag: str) -> str:
    """The absolute form of a path, `~` expanded.

    Raises:
      UserError: it names a remote store, such as gs://.
    """
    if "://" in path:
        raise UserError(f"{flag}={path}: remote stores are not supported here")
    return os.path.abspath(os.path.expanduser(path))


@contextlib.contextmanager
def renamed(path: str):
    """A temporary name beside `path` that becomes `path` at a clean end."""
    directory, name = os.path.split(os.path.abspath(path))
    handle, temporary = tempfile.mkstemp(prefix=f".{name}.", dir=directory)
    os.close(handle)
    try:
        yield temporary
        os.chmod(temporary, 0o666 & ~_umask())  # mkstemp lets nobody else read
        os.replace(temporary, path)
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.remove(temporary)


@contextlib.contextmanager
def replacing(path: str, flag: str = "file", binary: bool = False):
    """Opens a text (or binary) file that replaces `path` at a clean end.

    Raises:
      UserError: it cannot be written; the message names `flag`.
    """
    path = local_path(path, flag)
    mode = {"mode": "wb"} if binary else {"mode": "w", "encoding": "utf-8"}
    try:
        if os.path.isdir(path):
            raise IsADirectoryError(None, "it is a directory")
        with renamed(path) as name, open(name, **mode) as file:
            yield file
    except OSError as error:
        message = f"{flag}={path}: cannot be written ({error.strerror})"
        raise UserError(message) from None


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
