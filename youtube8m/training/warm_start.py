"""Weights of a new run that do not start at random.

load_correlation(model, "label_counts.npy")     # for parts that start from counts
lines = load_fitting(model, "other_run")        # those that fit by name and shape
"""

import os
from typing import NamedTuple

import tensorflow as tf
from absl import logging

from youtube8m.data.labels.cooccurrence import correlation_matrix, read_counts
from youtube8m.errors import UserError
from youtube8m.models import VideoModel
from youtube8m.runs.checkpoint_files import CheckpointReader, is_complete
from youtube8m.runs.directory import RunDirectory
from youtube8m.runs.weights import named_variables, restore_checkpoint, shapes_of


def load_correlation(model: VideoModel, path: str) -> None:
    """Sets the label correlation of the parts of a model that start from one.

    Args:
      path: of --label_correlation_file.

    Raises UserError if a part needs counts and `path` is empty, or they cannot be read.
    """
    parts = (model.classifier, model.label_processing)
    parts = [part for part in parts if hasattr(part, "set_label_correlation")]
    if parts and not path:
        raise UserError(
            f"{type(parts[0]).__name__} starts from counts of labels: "
            "give --label_correlation_file, which python -m "
            "youtube8m.tools.label_correlation writes"
        )
    if path and not parts:
        logging.warning("--label_correlation_file: no part uses it; ignored")
    elif path:
        matrix = correlation_matrix(read_counts(path, parts[0].num_classes))
        for part in parts:
            part.set_label_correlation(matrix)


def load_fitting(
    model: VideoModel, start: str, removed: RunDirectory | None = None
) -> list[str]:
    """Loads the weights of --warm_start_from that fit; returns lines for the log.

    Args:
      start: a run directory or a checkpoint.
      removed: the run that --start_new_model will remove.

    Raises:
      UserError: there is no checkpoint, it cannot be read, or it will be removed.
    """
    directory = RunDirectory(start, "--warm_start_from")
    prefix = directory.path
    if removed and removed.holds(prefix):
        raise UserError(
            f"--warm_start_from={start}: --start_new_model would remove it; "
            "give another --train_dir"
        )
    if os.path.isdir(prefix):
        prefix = directory.checkpoint()
    found = warm_start(model, prefix)
    loaded = len(found.loaded)
    total = loaded + len(found.other_shape) + len(found.missing)
    lines = [f"warm start from {prefix}: {loaded} of {total} weights"]
    if found.other_shape:
        lines.append(f"not loaded, of another shape: {'; '.join(found.other_shape)}")
    if found.missing:
        lines.append(f"not in the checkpoint: {', '.join(found.missing)}")
    return lines


class WarmStart(NamedTuple):
    """The names of a model's weights, by what a checkpoint holds of them."""

    loaded: list[str]
    other_shape: list[str]  # "name: [3] there, [4] here"
    missing: list[str]


def warm_start(model: VideoModel, prefix: str) -> WarmStart:
    """Loads the weights that a checkpoint of any model has by name and shape.

    Raises:
      UserError: it is missing, unreadable, the starter code's, or has none of them.
    """
    if not is_complete(prefix):
        raise UserError(
            f"--warm_start_from={prefix}: no such checkpoint; name a run's directory, "
            "or a checkpoint in it, such as model/model.ckpt-1000"
        )
    reader = CheckpointReader(prefix)
    if reader.is_starters:
        raise UserError(
            f"--warm_start_from={prefix}: written by the starter code; start from the "
            "directory that python -m youtube8m.tools.convert_checkpoint makes of it"
        )
    weights, shapes = named_variables(model.weights), reader.part_shapes("model")
    found = WarmStart([], [], [])
    for name, here in shapes_of(weights).items():
        if name not in shapes:
            found.missing.append(name)
        elif shapes[name] != here:
            found.other_shape.append(f"{name}: {shapes[name]} there, {here} here")
        else:
            found.loaded.append(name)
    if not found.loaded:
        raise UserError(
            f"--warm_start_from={prefix}: has none of this model's weights; it holds "
            f"{', '.join(sorted(shapes)[:5])} ..., this model {', '.join(weights)}"
        )
    loaded = {name: weights[name] for name in found.loaded}
    restore_checkpoint(tf.train.Checkpoint(model=loaded), prefix)
    return found
