"""The files of checkpoints: which ones there are, and the variables in each.

    *_, newest = find_checkpoints("/tmp/run")      # prefixes, .../model.ckpt-900 last
    CheckpointReader(newest).part_shapes("model")  # {"encoder/hidden/kernel": [64, 8]}

A prefix is what the paths of a checkpoint's files have in common.
"""

import atexit
import contextlib
import functools
import glob
import os
import re
import shutil
import tempfile
from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from youtube8m import compat
from youtube8m.errors import UserError, reason

# Written by the starter code's eval.py, for its inference.py.
EXPORTS = ("segment_inference_model", "inference_model")


def tensorflow_directory(path: str) -> str:
    """A directory, or a link to it under a name that TensorFlow takes as it is.

    TensorFlow takes the prefix of a checkpoint for a glob, and cannot spell names that
    are not UTF-8.
    """
    return _link(path) if re.search(r"[][*?\\]", path) or not _is_utf8(path) else path


def tensorflow_prefix(prefix: str) -> str:
    """The same of a checkpoint's prefix."""
    directory, name = os.path.split(prefix)
    return os.path.join(tensorflow_directory(directory), name)


def _is_utf8(text):
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


@functools.cache
def _link(directory):
    """A link to a directory, which lasts as long as the process."""
    try:
        folder = tempfile.mkdtemp(prefix="youtube8m-")
    except OSError as error:
        raise UserError(
            f"{directory}: TensorFlow needs a link to a directory of this name, and "
            f"none can be made ({reason(error)}); set TMPDIR, or rename it"
        ) from None
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    link = os.path.join(folder, "directory")
    os.symlink(directory, link)
    return link


def find_checkpoints(path: str) -> list[str]:
    """The prefixes of all checkpoints in a directory by their names, newest last.

    The copies that the starter code's eval.py made in inference_model/ come before
    those of training.
    """
    names = glob.glob("model.ckpt-*.index", root_dir=path)
    saved = [os.path.join(path, name.removesuffix(".index")) for name in names]
    saved = [prefix for prefix in saved if _parse_number(prefix) is not None]
    folders = (path, os.path.join(path, "inference_model"))
    exports = [os.path.join(folder, name) for name in EXPORTS for folder in folders]
    exports = [prefix for prefix in exports if is_complete(prefix)]
    exports = exports if saved else sorted(exports, key=step_of)
    return exports + sorted(saved, key=_parse_number)


def is_complete(prefix: str) -> bool:
    """Whether the file that is written last, its index, is there."""
    return os.path.exists(f"{prefix}.index")


def without_index(path: str) -> str | None:
    """The newest checkpoint in a directory that has lost its index, if one has."""
    files = glob.glob("model.ckpt-*.data-00000-of-*", root_dir=path)
    prefixes = [os.path.join(path, name.rpartition(".data-")[0]) for name in files]
    lost = [p for p in prefixes if _parse_number(p) is not None and not is_complete(p)]
    return max(lost, key=_parse_number, default=None)


def step_of(prefix: str) -> int:
    """The step of a checkpoint, by its name or by the starter code's variable."""
    number = _parse_number(prefix)
    return CheckpointReader(prefix).step if number is None else number


def _parse_number(prefix):
    match = re.fullmatch(r"model\.ckpt-(\d+)", os.path.basename(prefix))
    return int(match[1]) if match else None


def listed_checkpoints(path: str) -> list[str] | None:
    """The prefixes that the file `checkpoint` of a directory lists, oldest first.

    An empty list if there is no such file, None if it is damaged.
    """
    directory = tensorflow_directory(path)
    exists = os.path.exists(os.path.join(path, "checkpoint"))
    try:
        with _silenced():
            state = tf.train.get_checkpoint_state(directory) if exists else None
    except ValueError:  # it is empty or no text
        return None
    if state is None:
        return None if exists else []
    return [
        os.path.join(path, os.path.relpath(found, directory))
        if os.path.dirname(found) == directory
        else found
        for found in state.all_model_checkpoint_paths
    ]


@contextlib.contextmanager
def _silenced():
    """Leaves out what TensorFlow logs of a file that is no list or cannot be read."""
    logger = tf.get_logger()
    before, logger.disabled = logger.disabled, True
    try:
        yield
    finally:
        logger.disabled = before


def checkpoint_list(names: Sequence[str], times: Sequence[float] = ()) -> str:
    """The text of TensorFlow's file `checkpoint`.

    Args:
      names: checkpoints in its directory, newest last.
      times: when each was written, in seconds; TensorFlow's CheckpointManager never
        removes a checkpoint without its time.
    """
    lines = [f'model_checkpoint_path: "{name}"\n' for name in names[-1:]]
    lines += [f'all_model_checkpoint_paths: "{name}"\n' for name in names]
    lines += [f"all_model_checkpoint_timestamps: {time}\n" for time in times]
    return "".join(lines)


class CheckpointReader:
    """The variables of a checkpoint, by name.

    Some variables of the starter code have scopes, `train/` and `tower/`, in some of
    its runs; names here are without these.

    Attributes:
      shapes: of each variable, by its name.

    Raises UserError if the checkpoint cannot be read.
    """

    def __init__(self, prefix: str):
        self.prefix = prefix
        path = tensorflow_prefix(prefix)
        self._reader = self._try_to_read(tf.train.load_checkpoint, path)
        shapes = self._reader.get_variable_to_shape_map()
        self._names = {re.sub(r"^(train/)?(tower/)?", "", n): n for n in shapes}
        self.shapes = {short: shapes[name] for short, name in self._names.items()}

    @property
    def is_starters(self) -> bool:
        """Whether the starter code wrote it: TensorFlow 1 saves no graph of objects."""
        return compat.OBJECT_GRAPH_KEY not in self.shapes

    @property
    def in_tower(self) -> bool:
        """Whether variables lie in `tower/`, as the starter code's of 2018 do."""
        return any(re.match(r"(train/)?tower/", name) for name in self._names.values())

    @property
    def step(self) -> int:
        """Updates that the starter code made. Raises UserError if it is not there."""
        if "global_step" not in self.shapes:
            raise UserError(
                f"{self.prefix}: has no variable global_step; expected a checkpoint "
                "that the starter code wrote"
            )
        return int(self.read("global_step"))

    def read(self, name: str) -> np.ndarray:
        """The value of a variable. Raises UserError if it is damaged."""
        return self._try_to_read(self._reader.get_tensor, self._names[name])

    def part_shapes(self, part: str) -> dict[str, list[int]]:
        """The shapes of the variables that we saved as `part`, by their names there."""
        names = {key: compat.variable_name(key, part) for key in self.shapes}
        return {name: self.shapes[key] for key, name in names.items() if name}

    def _try_to_read(self, read, name):
        try:
            return read(name)
        except (tf.errors.OpError, IndexError, ValueError, RuntimeError) as error:
            message = f"{self.prefix}: cannot be read ({reason(error)}); it is damaged"
            raise UserError(message) from None
