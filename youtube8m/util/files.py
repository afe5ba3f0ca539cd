"""Paths that users give, and files that are either complete or absent.

for path in split_paths("a.csv,b.csv"): ...
with replacing("~/merged.csv", "--output_file") as file: ...
"""

import contextlib
import glob
import os
import re
import struct
import tempfile
import tokenize
import zipfile
import zlib
from collections.abc import Iterable

from youtube8m.errors import UserError

# What numpy and zipfile raise for a damaged .npy or .npz file.
ARRAY_ERRORS = (
    OSError,
    ValueError,
    TypeError,
    LookupError,
    EOFError,
    MemoryError,
    OverflowError,
    RuntimeError,
    SyntaxError,
    struct.error,
    tokenize.TokenError,
    zipfile.BadZipFile,
    zlib.error,
)

PACKED_START = 512  # bytes of a file that `packed_as` looks at
_PACKED = {  # the bytes at some offset -> what packs files so
    (0, b"\x1f\x8b"): "gzip",
    (0, b"PK\x03\x04"): "zip",
    (0, b"BZh"): "bzip2",
    (0, b"\xfd7zXZ"): "xz",
    (0, b"\x28\xb5\x2f\xfd"): "zstd",
    (0, b"\x04\x22\x4d\x18"): "lz4",
    (0, b"7z\xbc\xaf"): "7z",
    (0, b"Rar!"): "rar",
    (257, b"ustar"): "tar",
}
_CONTENTS = ".contents"  # lists the files that `replacing_directory` wrote


def local_path(path: str, flag: str) -> str:
    """The absolute form of a path, `~` expanded.

    Raises UserError if it names a remote store, such as gs://.
    """
    if "://" in path:
        raise UserError(f"{flag}={path}: remote stores are not supported here")
    return os.path.abspath(os.path.expanduser(path))


def split_paths(text: str) -> list[str]:
    """The paths or globs of a comma-separated list; blanks around them do not count.

    One that exists is taken whole, with its commas. In a list `\\,` stands for a comma.
    """
    if os.path.exists(os.path.expanduser(text)):
        return [text]
    parts = re.split(r"(?<!\\),", text)
    return [part.replace("\\,", ",").strip() for part in parts if part.strip()]


def escape_commas(path: str) -> str:
    """A path as an item of a list that `split_paths` reads."""
    return path.replace(",", "\\,")


def find_files(pattern: str) -> list[str]:
    """The files that a glob matches, sorted; `~` is expanded.

    What exists is taken as it is named: a file, or the directories before the glob,
    although their names have characters that mean something in one.
    """
    known, parts = "", os.path.expanduser(pattern).split(os.sep)
    while parts and os.path.exists(os.path.join(known, parts[0]) or os.sep):
        known = os.path.join(known, parts.pop(0)) or os.sep
    pattern = os.path.join(glob.escape(known), *parts)
    return sorted(path for path in glob.glob(pattern) if not os.path.isdir(path))


def packed_as(start: bytes) -> str:
    """How a file with these first bytes is compressed or packed; "" if it is not."""
    for (offset, mark), kind in _PACKED.items():
        if start.startswith(mark, offset):
            return kind
    return ""


@contextlib.contextmanager
def renamed(path: str):
    """A temporary file that is renamed to `path` unless the block raises an error.

    Of a link the target is replaced. A device, pipe or directory cannot be replaced:
    `path` itself is yielded.
    """
    if not _is_replaceable(path):
        yield path
        return
    path = os.path.realpath(path)
    directory, name = os.path.split(path)
    with contextlib.suppress(FileNotFoundError):
        os.lstat(path)  # raises an error now where the name is too long
    handle, temporary = tempfile.mkstemp(prefix=_temporary_prefix(name), dir=directory)
    os.close(handle)
    try:
        yield temporary
        mask = os.umask(0)
        os.umask(mask)
        os.chmod(temporary, 0o666 & ~mask)  # mkstemp lets nobody else read
        os.replace(temporary, path)
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.remove(temporary)


@contextlib.contextmanager
def replacing(path: str, flag: str = "file", binary: bool = False):
    """Opens a text (or binary) file that replaces `path` unless there is an error.

    Raises UserError if it cannot be written; the message names `flag`.
    """
    path = local_path(path, flag)
    text = {"mode": "w", "encoding": "utf-8", "errors": "surrogateescape"}
    mode = {"mode": "wb"} if binary else text
    with _user_errors(path, flag), renamed(path) as name, open(name, **mode) as file:
        yield file


def require_writable(path: str, flag: str) -> None:
    """Tries whether `replacing` can write, and changes nothing.

    Raises UserError if it cannot be written; the message names `flag`.
    """
    path = local_path(path, flag)
    with _user_errors(path, flag):
        if os.path.isdir(path):
            raise IsADirectoryError(None, "Is a directory")
        if _is_replaceable(path):
            directory, name = os.path.split(os.path.realpath(path))
            tempfile.TemporaryFile(
                prefix=_temporary_prefix(name), dir=directory
            ).close()
            with contextlib.suppress(FileNotFoundError):
                os.lstat(path)


def require_other_file(path: str, flag: str, read: Iterable[str]) -> None:
    """Raises UserError if a file to be written is one of those that are read.

    Args:
      read: paths; those of remote stores are never the file.
    """
    target = os.path.realpath(local_path(path, flag))
    paths = (os.path.expanduser(path) for path in read if "://" not in path)
    if any(target == os.path.realpath(other) for other in paths):
        raise UserError(f"{flag}={path}: is read, too; name another file to be written")


@contextlib.contextmanager
def replacing_directory(path: str, flag: str):
    """A new directory that replaces `path` unless the block raises an error.

    Raises UserError if it cannot be written, or `path` holds files that this function
    did not write; the message names `flag`.
    """
    path = local_path(path, flag)
    parent, name = os.path.split(path)
    with _user_errors(path, flag):
        if os.path.lexists(path) and not _is_ours(path):
            raise UserError(
                f"{flag}={path}: exists, and its files are not those that an earlier "
                "run of this command wrote; name another directory, or remove that one"
            )
        os.makedirs(parent, exist_ok=True)
        prefix = _temporary_prefix(name)
        with tempfile.TemporaryDirectory(prefix=prefix, dir=parent) as temporary:
            new = os.path.join(temporary, "new")
            os.mkdir(new)
            yield new
            names = "".join(f"{name}\n" for name in _files(new))
            with _contents(new, "w") as file:
                file.write(names)
            if os.path.lexists(path):
                os.rename(path, os.path.join(temporary, "old"))
            os.rename(new, path)


def is_replaced_directory(path: str) -> bool:
    """Whether `replacing_directory` wrote the directory, as for an unpacked archive."""
    return os.path.exists(os.path.join(path, _CONTENTS))


@contextlib.contextmanager
def _user_errors(path, flag):
    """Turns the system's errors of writing `path` into UserErrors.

    Errors that name another file, such as one that is being read, are passed on.
    """
    try:
        yield
    except OSError as error:
        if not _is_about(error.filename, path):
            raise
        message = f"{flag}={path}: cannot be written ({error.strerror})"
        raise UserError(message) from None


def _is_about(filename, path):
    """Whether an error's file is `path`, its temporary file or a directory above."""
    if not isinstance(filename, str):
        return True
    directory, name = os.path.split(os.path.realpath(path))
    parts = os.path.relpath(os.path.realpath(filename), directory).split(os.sep)
    if set(parts) <= {os.curdir, os.pardir}:
        return True
    return parts[0] == name or parts[0].startswith(_temporary_prefix(name))


def _temporary_prefix(name):
    """How temporary files of `name` begin: short, as a name has 255 bytes at most."""
    return f".{os.fsdecode(os.fsencode(name)[:200])}."


def _is_replaceable(path):
    return os.path.isfile(path) or not os.path.exists(path)


def _is_ours(path):
    """Whether a directory is empty, or holds what `replacing_directory` wrote."""
    if os.path.islink(path) or not os.path.isdir(path):
        return False
    found = _files(path)
    if _CONTENTS not in found:
        return not os.listdir(path)
    with _contents(path, "r") as file:
        return file.read().splitlines() == [name for name in found if name != _CONTENTS]


def _contents(directory, mode):
    path = os.path.join(directory, _CONTENTS)
    return open(path, mode, encoding="utf-8", errors="surrogateescape")


def _files(directory):
    """The relative paths of all files below a directory, sorted."""
    walk = os.walk(directory)
    paths = (os.path.join(top, name) for top, _, names in walk for name in names)
    return sorted(os.path.relpath(path, directory) for path in paths)
