"""training_flags.json: the flags that the state of training depends on.

flags = resume_flags(directory, flags)       # those the run began with, or `flags`
"""

import dataclasses
import os
import typing
from collections.abc import Iterable

from absl import logging

from youtube8m.errors import UserError
from youtube8m.runs.directory import RunDirectory
from youtube8m.util.json import JsonError, read_json

_NAME = "training_flags.json"
# What a run cannot change; other flags it keeps, with a warning.
_FIXED = ("optimizer", "ema_decay", "segment_labels", "precision", "input_pipeline")


@dataclasses.dataclass(frozen=True)
class TrainingFlags:
    """The flags that the state of training depends on, which a run keeps.

    A position in the data has no meaning in another order of the data, and an
    optimizer's slots have none in another optimizer.
    """

    optimizer: str
    seed: int
    num_readers: int
    shuffle_buffer: int
    files: str  # a digest of the shards' names
    ema_decay: float = 0.0
    segment_labels: bool = False
    precision: str = "float32"
    input_pipeline: str = "reader"


def resume_flags(
    directory: RunDirectory, flags: TrainingFlags, derived: Iterable[str] = ()
) -> TrainingFlags:
    """The flags that the run began with, or `flags` if it begins now.

    A warning names each flag that differs, except the `derived`, which nobody gave.

    Raises UserError for another optimizer, decay of its averages, precision or input
    pipeline, for segments instead of videos, or for other shards.
    """
    path = directory.file(_NAME)
    begun = directory.latest_checkpoint() and os.path.exists(path)
    saved = _read(path, flags) if begun else flags
    anew = "--start_new_model to begin anew"
    for name in dict.fromkeys((*_FIXED, "files", *dataclasses.asdict(saved))):
        was, now = getattr(saved, name), getattr(flags, name)
        if was == now or name in derived:
            continue
        if name in _FIXED:
            raise UserError(
                f"--{name}={now}: the run in {directory.path} was begun with {was}; "
                f"give that, {anew}, or another --train_dir, which may take the "
                "weights by --warm_start_from"
            )
        if name == "files":
            raise UserError(
                f"{directory.flag}={directory.path}: the run there was begun on "
                "other shards than --train_data_pattern finds; give the same files, or "
                f"{anew}"
            )
        message = "--%s=%s: the run goes on with %s, in the order it was begun"
        logging.warning(message, name, now, was)
    directory.write_json(_NAME, dataclasses.asdict(saved))
    return saved


def fix_optimizer(directory: RunDirectory, name: str) -> None:
    """Writes the only flag that the state of a converted run depends on."""
    directory.write_json(_NAME, {"optimizer": name})


def _read(path, flags):
    """The flags of a file, and for those that a converted run lacks, `flags`."""

    def to_flags(values):
        earlier = {"ema_decay": 0.0, "precision": "float32"}  # of files without them
        if "files" in values:
            earlier["input_pipeline"] = "reader"
        saved = dataclasses.replace(flags, **{**earlier, **values})
        for name, kind in typing.get_type_hints(TrainingFlags).items():
            kinds = (float, int) if kind is float else (kind,)
            if type(getattr(saved, name)) not in kinds:
                raise TypeError
        least = min(saved.num_readers, saved.shuffle_buffer)
        if not 0 <= saved.seed < 2**32 or least < 1:
            raise ValueError
        return saved

    try:
        return read_json(path, to_flags)
    except JsonError:
        message = f"{path}: damaged; restore it, or give --start_new_model"
        raise UserError(message) from None
