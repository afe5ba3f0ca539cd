"""Where a new run's weights come from that do not start at random.

take_correlation(model, "label_counts.npy")     # for parts that start from counts
lines = take_weights(model, "other_run")        # those that fit by name and shape
"""

import os

from absl import logging

from youtube8m.data.cooccurrence import correlation_matrix, read_counts
from youtube8m.errors import UserError
from youtube8m.models import VideoModel
from youtube8m.runs import RunDirectory
from youtube8m.training.checkpoints import warm_start


def take_correlation(model: VideoModel, path: str) -> None:
    """Gives the counts of --label_correlation_file to the parts that take them.

    Raises:
      UserError: a part needs counts and `path` is empty, or they cannot be read.
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
        logging.warning("--label_correlation_file: no part takes it; ignored")
    elif path:
        matrix = correlation_matrix(read_counts(path, parts[0].num_classes))
        for part in parts:
            part.set_label_correlation(matrix)


def take_weights(
    model: VideoModel, start: str, going: RunDirectory | None = None
) -> list[str]:
    """Takes the weights of --warm_start_from that fit; returns lines for the log.

    Args:
      start: a run directory or a checkpoint.
      going: the run that --start_new_model removes next.

    Raises:
      UserError: there is no checkpoint, it cannot be read, or it is going.
    """
    directory = RunDirectory(start, "--warm_start_from")
    prefix = directory.path
    if going and going.holds(prefix):
        raise UserError(
            f"--warm_start_from={start}: --start_new_model would remove it; "
            "give another --train_dir"
        )
    if os.path.isdir(prefix):
        prefix = directory.checkpoint()
    return warm_start(model, prefix).lines()
