"""What the features of records are, and which arrays of a batch hold them.

    Feature("rgb", 1024, "uint8", per_frame=True)
    (array,) = DataConfig(("rgb", "audio"), (1024, 128), True).frame_arrays
    array.key, array.size, array.dtype            # "frames", 1152, "uint8"

All that reads, writes or feeds features goes by these.
"""

import itertools
from typing import NamedTuple

import ml_dtypes
import numpy as np

from youtube8m import schema


class Feature(NamedTuple):
    """One feature of the records."""

    name: str
    size: int  # values per frame, or per video
    stored: str  # bytes of this type, or float_list: one of schema.STORED
    per_frame: bool

    @property
    def dtype(self) -> str:
        """The type of its values."""
        return "float32" if self.stored == schema.FLOAT_LIST else self.stored

    @property
    def width(self) -> int:
        """Bytes per frame, or per video."""
        return self.size * schema.STORED[self.stored]


class FrameArray(NamedTuple):
    """An array of a batch: features side by side, all of frames or all of videos."""

    key: str
    features: tuple[Feature, ...]
    dtype: str
    per_frame: bool  # [B, T, size], and not [B, size]

    @property
    def size(self) -> int:
        """Values per frame, or per video."""
        return sum(feature.size for feature in self.features)

    @property
    def shape(self) -> list[int | None]:
        """That of the array, None where batches differ."""
        return [None] * (1 + self.per_frame) + [self.size]


def group(
    features: tuple[Feature, ...], all_float32: bool = False
) -> tuple[FrameArray, ...]:
    """The arrays of some features: neighbours of one type share one.

    A single array is `frames`; several are `frames0`, `frames1` ...

    Args:
      all_float32: whether features of frames are made float32 when they are read.
    """

    def kind(feature):
        as_float32 = all_float32 and feature.per_frame
        return "float32" if as_float32 else feature.dtype, feature.per_frame

    groups = [(*k, tuple(found)) for k, found in itertools.groupby(features, kind)]
    keys = ["frames"]
    if len(groups) > 1:
        keys = [f"frames{number}" for number in range(len(groups))]
    return tuple(
        FrameArray(key, found, dtype, per_frame)
        for key, (dtype, per_frame, found) in zip(keys, groups, strict=True)
    )


def numpy_dtype(name: str) -> np.dtype:
    """The numpy type of a name in `schema.STORED`."""
    if name == "bfloat16":
        return np.dtype(ml_dtypes.bfloat16)
    return np.dtype("float32" if name == schema.FLOAT_LIST else name)
