"""Fields that the commands which read a trained run have in common."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from youtube8m.config.data import InputConfig
from youtube8m.config.fields import ANY, Config, flag, require

# Flags that describe a run where its directory does not.
DESCRIBING = ("model", "feature_names", "feature_sizes", "frame_features", "label_loss")

CHECKPOINT_HELP = (
    "Checkpoint to use: model.ckpt-STEP, or best (segment_best) of those that eval.py "
    "has seen; else the newest."
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrainedRunConfig(Config):
    """Fields of a command that reads a trained run.

    Attributes:
      hyperparameters: those that a directory of the starter code does not hold; and
        the DESCRIBING flags, for one without model_flags.json.
    """

    hyperparameters: Mapping[str, Any] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True, kw_only=True)
class PartConfig(InputConfig):
    """Fields of a command that may process one of several parts of the data."""

    num_shards: int = flag(
        1,
        "Parts of the data for as many processes, to be merged by tools.merge_shards.",
    )
    shard_index: int = flag(
        0, "Which of --num_shards parts to process, from 0 on.", ANY
    )

    def __post_init__(self):
        super().__post_init__()
        require(
            0 <= self.shard_index < self.num_shards,
            f"--shard_index={self.shard_index}: must be from 0 to "
            f"{self.num_shards - 1}, as --num_shards={self.num_shards}",
        )
