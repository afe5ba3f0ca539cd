"""Weights of a new run that do not start at random.

lines = initialize_weights(model, config, directory)   # by its flags
found = warm_start(model, "/tmp/other/model.ckpt-900")
found.loaded, found.missing                            # names of weights
"""

import os
from typing import NamedTuple

from absl import logging

from youtube8m.data.labels.cooccurrence import correlation_matrix, read_counts
from youtube8m.errors import UserError
from youtube8m.models import VideoModel
from youtube8m.runs.checkpoint_files import CheckpointReader, is_complete
from youtube8m.runs.directory import RunDirectory
from youtube8m.runs.weights import (
    is_count,
    named_variables,
    restore_checkpoint,
    shapes_of,
)
from youtube8m.training.config import TrainingConfig


def initialize_weights(
    model: VideoModel, config: TrainingConfig, directory: RunDirectory
) -> list[str]:
    """Sets the weights that --label_correlation_file and --warm_start_from hold.

    A run that resumes takes none. They are read before --start_new_model removes the
    earlier run in `directory`. Returns lines for the log.

    Raises UserError if a file is missing or cannot be read, or would be removed.
    """
    if directory.latest_checkpoint() and not config.start_new_model:
        return []
    _set_label_correlation(model, config.label_correlation_file)
    if not config.warm_start_from:
        return []
    start = RunDirectory(config.warm_start_from, "--warm_start_from")
    if config.start_new_model and directory.holds(start.path):
        raise UserError(
            f"--warm_start_from={config.warm_start_from}: --start_new_model would "
            "remove it; give another --train_dir"
        )
    prefix = start.checkpoint() if os.path.isdir(start.path) else start.path
    found = warm_start(model, prefix)
    loaded, total = len(found.loaded), sum(map(len, found))
    lines = [f"warm start from {prefix}: {loaded} of {total} weights"]
    if found.other_shape:
        lines.append(f"not loaded, of another shape: {'; '.join(found.other_shape)}")
    if found.missing:
        lines.append(f"not in the checkpoint: {', '.join(found.missing)}")
    return lines


def _set_label_correlation(model, path):
    """Sets the label correlation of the parts of a model that start from one."""
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


class WarmStart(NamedTuple):
    """The names of a model's weights, by what a checkpoint holds of them."""

    loaded: list[str]
    other_shape: list[str]  # "name: [3] there, [4] here"
    missing: list[str]


def warm_start(model: VideoModel, prefix: str) -> WarmStart:
    """Loads the weights that a checkpoint of any model has by name and shape.

    Raises UserError if it is missing, damaged, the starter code's, or has none of them.
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
        if is_count(name, shapes):  # of an earlier version
            found.loaded.append(name)
        elif name not in shapes:
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
    restore_checkpoint({"model": loaded}, prefix)
    return found
