"""The shards that a flag names: which files they are, and how large.

paths = find_shards("/data/train*.tfrecord, /data/validate*.tfrecord", "--flag")
digest(paths)                                # of their names and sizes
"""

import hashlib
import itertools
import os
from collections.abc import Iterable

import tensorflow as tf

from youtube8m.errors import UserError, reason
from youtube8m.util.files import find_files, split_paths


def find_shards(pattern: str, flag: str) -> list[str]:
    """The files that comma-separated globs match, sorted within each glob.

    A path that exists is no glob; see `split_paths` for paths with commas.

    Raises UserError if there is no glob, one matches nothing, or a store is unreadable.
    """
    return distinct(itertools.chain(*find_by_glob(pattern, flag)))


def distinct(paths: Iterable[str]) -> list[str]:
    """The first path of each file, links resolved."""
    first: dict[str, str] = {}
    for path in paths:
        first.setdefault(os.path.realpath(path), path)
    return list(first.values())


def find_by_glob(pattern: str, flag: str) -> list[list[str]]:
    """As `find_shards`, the files that each glob matches."""
    globs, shards = split_paths(pattern), []
    if not globs:
        raise UserError(f"{flag}={pattern}: names no file; give a glob")
    for glob in globs:
        found = _remote_files(glob, flag) if "://" in glob else find_files(glob)
        if not found and os.path.isdir(os.path.expanduser(glob)):
            pattern = os.path.join(glob, "*.tfrecord")
            raise UserError(
                f"{flag}={glob}: no file matches, as it is a directory; give a glob of "
                f"the files in it, such as {pattern!r}"
            )
        if not found:
            raise UserError(
                f"{flag}={glob}: no file matches; check the path, and quote the glob "
                "so that the shell does not expand it"
            )
        shards.append(found)
    return shards


def _remote_files(glob, flag):
    try:
        return sorted(p for p in tf.io.gfile.glob(glob) if not tf.io.gfile.isdir(p))
    except tf.errors.OpError as error:
        raise UserError(
            f"{flag}={glob}: cannot be read ({reason(error)}); give local files"
        ) from None


def count_bytes(path: str) -> int:
    """Bytes of a file; 0 if it cannot be read, which will be reported then."""
    try:
        return tf.io.gfile.stat(path).length if "://" in path else os.stat(path).st_size
    except (OSError, tf.errors.OpError):
        return 0


def digest(paths: list[str], *more: str) -> str:
    """A digest of the files' names and sizes, in any order and any directory.

    Args:
      more: what else counts.
    """
    facts = [(os.path.basename(path), count_bytes(path)) for path in sorted(paths)]
    return hashlib.sha256(repr([*facts, *more]).encode()).hexdigest()
