"""training_flags.json: what the state of training is tied to.

flags = continued(directory, TrainingFlags(...))    # those the run began with
"""

import dataclasses
import json
import os
import typing
from collections.abc import Iterable

from absl import logging

from youtube8m.errors import UserError
from youtube8m.runs.directory import RunDirectory
from youtube8m.util.files import replacing

_NAME = "training_flags.json"
# What a run cannot change; other flags it keeps, with a warning.
_FIXED = ("optimizer", "ema_decay", "segment_labels", "precision", "input_pipeline")


@dataclasses.dataclass(frozen=True)
class TrainingFlags:
    """What the state of training is tied to, for as long as a run goes on.

    A place in the data means nothing in another order of it, nor an optimizer's
    slots in another optimizer.
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

    @property
    def is_possible(self) -> bool:
        """Whether the values are of their types, and the numbers can be used."""
        types = typing.get_type_hints(type(self))
        found = {name: type(getattr(self, name)) for name in types}
        return (
            all(
                found[n] in (kind, int if kind is float else kind)
                for n, kind in types.items()
            )
            and 0 <= self.seed < 2**32
            and min(self.num_readers, self.shuffle_buffer) > 0
        )


def continued(
    directory: RunDirectory, flags: TrainingFlags, derived: Iterable[str] = ()
) -> TrainingFlags:
    """The flags to go on with: those the run began with, or `flags` if it begins.

    Others than it began with are a warning, but for the `derived`, which nobody gave.

    Raises:
      UserError: another optimizer, another decay of its averages, another precision,
        another input pipeline, segments instead of videos, or other shards than the
        checkpoints belong to.
    """
    path = directory.file(_NAME)
    begun = directory.latest_checkpoint() and os.path.exists(path)
    saved = _read(path, flags) if begun else flags
    for name in _FIXED:
        was, now = getattr(saved, name), getattr(flags, name)
        if was != now:
            raise UserError(
                f"--{name}={now}: the run in {directory.path} was begun with {was}; "
                "give that, --start_new_model to begin anew, or another "
                "--train_dir, which may take the weights by --warm_start_from"
            )
    if saved.files != flags.files:
        raise UserError(
            f"{directory.flag}={directory.path}: the run there was begun on other "
            "shards than --train_data_pattern finds; give the same files, or "
            "--start_new_model to begin anew"
        )
    for name, value in dataclasses.asdict(saved).items():
        if value != getattr(flags, name) and name not in derived:
            logging.warning(
                "--%s=%s: the run goes on with %s, in the order it was begun",
                name,
                getattr(flags, name),
                value,
            )
    if directory.writes:
        _write(directory, dataclasses.asdict(saved))
    return saved


def tie_to_optimizer(directory: RunDirectory, name: str) -> None:
    """Ties a run that has been trained elsewhere to its optimizer alone."""
    _write(directory, {"optimizer": name})


def _write(directory, values):
    with replacing(directory.file(_NAME), directory.flag) as file:
        json.dump(values, file, indent=2)


def _read(path, flags):
    """A file's; what a run trained elsewhere leaves open is as in `flags`."""
    try:
        with open(path, encoding="utf-8") as file:
            known = {"ema_decay": 0.0, "precision": "float32", **json.load(file)}
        if "files" in known:
            known = {"input_pipeline": "reader", **known}
        saved = dataclasses.replace(flags, **known)
        if not saved.is_possible:
            raise ValueError
        return saved
    except (OSError, ValueError, TypeError, RecursionError):
        message = f"{path}: damaged; restore it, or give --start_new_model"
        raise UserError(message) from None
