"""A trained model as one .tgz file, as users upload it to Kaggle.

    pack("model.tgz", RunDirectory("model"), prefix)
    train_dir = unpack("model.tgz", "/tmp/yt8m-model")

It holds a run directory's files: model_flags.json, checkpoint and model.ckpt-STEP.*.
Archives come from other people: only regular files are unpacked, below the directory
that is named, and none before all have been checked.
"""

import glob
import gzip
import io
import os
import posixpath
import shutil
import tarfile
import zlib

from youtube8m.config.fields import require
from youtube8m.errors import UserError
from youtube8m.runs.checkpoint_files import checkpoint_list
from youtube8m.runs.directory import RunDirectory
from youtube8m.util.files import local_path, replacing, replacing_directory

MAX_MEMBERS = 1000
MAX_BYTES = 8 * 2**30  # of all files together, unpacked

_FLAGS_FILE = "model_flags.json"
_MAX_READ = 2**20  # bytes at once; a header's text is shorter

_KINDS = {
    tarfile.SYMTYPE: "a symbolic link",
    tarfile.LNKTYPE: "a hard link",
    tarfile.FIFOTYPE: "a pipe",
    **dict.fromkeys((tarfile.CHRTYPE, tarfile.BLKTYPE), "a device"),
}
# What Python's readers raise for a damaged archive; ValueError for odd numbers in it.
_DAMAGES = (tarfile.TarError, zlib.error, OSError, EOFError, ValueError, RecursionError)


def pack(path: str, directory: RunDirectory, prefix: str) -> None:
    """Writes the archive of a run's model and its checkpoint `prefix`.

    Raises UserError if the archive cannot be written.
    """
    weights = sorted(glob.glob(f"{glob.escape(prefix)}.*"))
    state = checkpoint_list([os.path.relpath(prefix, directory.path)])
    no_owner = {"uid": 0, "gid": 0, "uname": "", "gname": ""}
    with (
        replacing(path, "--output_model_tgz", binary=True) as file,
        tarfile.open(fileobj=file, mode="w:gz", compresslevel=6) as archive,
    ):
        for source in (directory.file(_FLAGS_FILE), *weights):
            name = os.path.relpath(source, directory.path)
            archive.add(
                source, name, filter=lambda m: m.replace(**no_owner, deep=False)
            )
        header = tarfile.TarInfo("checkpoint")
        header.size = len(state)
        archive.addfile(header, io.BytesIO(state.encode()))


def unpack(path: str, directory: str) -> str:
    """Replaces `directory` by an archive's files; returns its absolute path.

    A directory that all files share is left out.

    Raises UserError if the archive is damaged, too large or not of a model, a member is
    not a regular file or would lie elsewhere, or `directory` has other files.
    """
    source = f"--input_model_tgz={path}"
    try:
        file = open(local_path(path, "--input_model_tgz"), "rb")
    except OSError as error:
        raise UserError(f"{source}: cannot be read ({error.strerror})") from None
    with file:
        names = [name for name, _ in _read_members(file, source)]
        shared = posixpath.commonpath(map(posixpath.dirname, names)) if names else ""
        if posixpath.join(shared, _FLAGS_FILE) not in names:
            raise UserError(
                f"{source}: has no {_FLAGS_FILE}; give an archive that inference.py "
                "--output_model_tgz wrote"
            )
        with replacing_directory(directory, "--untar_model_dir") as target:
            for name, content in _read_members(file, source):
                path = os.path.join(target, posixpath.relpath(name, shared or "."))
                os.makedirs(os.path.dirname(path), exist_ok=True)
                with open(path, "xb") as out:
                    shutil.copyfileobj(content, out)
    return local_path(directory, "--untar_model_dir")


def _read_members(file, source):
    """Yields (name, readable content) of each file of an archive.

    Raises UserError, with `source` first, at the first thing that is wrong.
    """
    file.seek(0)
    names, total = set(), 0
    try:
        with (
            gzip.GzipFile(fileobj=file) as stream,
            tarfile.open(fileobj=_Bounded(stream), mode="r:") as archive,
        ):
            for count, member in enumerate(archive, 1):
                total += max(member.size, 0)
                require(count <= MAX_MEMBERS, f"has more than {MAX_MEMBERS} members")
                too_large = f"unpacks to {total} bytes or more, over {MAX_BYTES}"
                require(total <= MAX_BYTES, too_large)
                name = _check_name(member)
                if not member.isdir():
                    require(name not in names, f"holds {name!r} twice")
                    names.add(name)
                    yield name, archive.extractfile(member)
            # Behind the last member: the rest of the blocks, and the checksum.
            most = MAX_BYTES + MAX_MEMBERS * _MAX_READ
            while stream.read(_MAX_READ):
                require(stream.tell() <= most, "continues after its end")
    except UserError as error:
        raise UserError(f"{source}: {error}") from None
    except _DAMAGES as error:
        what = str(error) or type(error).__name__
        raise UserError(f"{source}: is not a complete .tgz archive ({what})") from None


def _check_name(member):
    """A member's name without `.` parts. Raises UserError unless it may be unpacked."""
    parts = [part for part in member.name.split("/") if part not in ("", ".")]
    inside = not member.name.startswith("/") and ".." not in parts
    outside = f"holds {member.name!r}, which would lie outside; nothing is unpacked"
    require(inside and "\0" not in member.name, outside)
    kind = _KINDS.get(member.type, "of an unusual kind")
    other = f"holds {member.name!r}, {kind}; only files and directories are unpacked"
    require(member.isdir() or (member.isreg() and not member.issparse()), other)
    require(bool(parts) or member.isdir(), "holds a file without a name")
    return "/".join(parts)


class _Bounded:
    """A stream from which not much is read at once: a header may claim gigabytes."""

    def __init__(self, stream):
        self._stream = stream
        self.seek, self.tell = stream.seek, stream.tell

    def read(self, size: int) -> bytes:
        if not 0 <= size <= _MAX_READ:
            raise tarfile.ReadError(f"a header of {size} bytes")
        return self._stream.read(size)
