"""Files that are either whole or absent."""

import contextlib
import os
import tempfile

from youtube8m.errors import UserError


@contextlib.contextmanager
def replacing(path: str, flag: str | None = None):
    """Opens a temporary text file beside `path`, renamed to it at a clean end.

    Raises:
      UserError: the file cannot be written; the message names `flag`.
    """
    path = os.path.abspath(os.path.expanduser(path))
    directory, name = os.path.split(path)
    temporary = None
    try:
        if os.path.isdir(path):
            raise IsADirectoryError(None, "it is a directory")
        handle, temporary = tempfile.mkstemp(prefix=f".{name}.", dir=directory)
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            yield file
        os.chmod(temporary, 0o666 & ~_umask())
        os.replace(temporary, path)
        temporary = None
    except OSError as error:
        where = f"{flag}={path}" if flag else path
        raise UserError(f"{where}: cannot be written ({error.strerror})") from None
    finally:
        if temporary and os.path.exists(temporary):
            os.unlink(temporary)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
