"""What is measured: models of the size that is trained, or small ones for a trial."""

import dataclasses
import typing


class Sizes(typing.NamedTuple):
    """Shapes of the data: features D, classes C, frames T."""

    features: tuple[int, int]
    classes: int
    frames: int


FULL, SMALL = Sizes((1024, 128), 3862, 300), Sizes((24, 8), 12, 6)


@dataclasses.dataclass(frozen=True)
class Row:
    """A model, and the batch sizes that it is measured with.

    Attributes:
      flops: operations of the matrix products of a training step, for one video, as
        youtube8m.benchmarks.flops counts them under TensorFlow.
      frames: whether it takes frames.
      values: its hyper-parameters, where they are not the defaults.
      small: those of a trial.
    """

    model: str
    batches: tuple[int, ...]
    flops: int
    frames: bool = True
    values: dict = dataclasses.field(default_factory=dict)
    small: dict = dataclasses.field(default_factory=dict)


_FEW_CELLS = {"lstm_cells": 4}

ROWS = [
    Row("LogisticModel", (1024, 8192), 17_796_096, frames=False),
    Row("MoeModel", (1024, 8192), 88_980_480, frames=False),
    Row("FrameLevelLogisticModel", (128, 1024), 17_796_096),
    Row(
        "DbofModel",
        (128, 512),
        1_867_665_408,
        small={"dbof_cluster_size": 10, "dbof_hidden_size": 8, "iterations": 3},
    ),
    Row("LstmModel", (64, 256), 28_448_018_432, small=_FEW_CELLS),
    Row("HierarchicalBiLSTMAttention", (64,), 42_707_132_928, small=_FEW_CELLS),
    Row(
        "LSTMMoE",
        (64,),
        9_672_111_104,
        values={"lstm_cells": 256},
        small={**_FEW_CELLS, "num_experts": 4, "active_experts": 2, "expert_size": 5},
    ),
]
