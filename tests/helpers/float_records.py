"""Frame-level records of each way to store values, and how they are read."""

import ml_dtypes
import numpy as np

from youtube8m.config import DataConfig
from youtube8m.data.writing.records import dequantize, frame_example, write_records

SIZES = {"rgb": 24, "audio": 8}
NUM_CLASSES = 7
TYPES = {
    "uint8": np.uint8,
    "float16": np.float16,
    "bfloat16": ml_dtypes.bfloat16,
    "float32": np.float32,
    "float_list": np.float32,
}


def data_config(*stored: str, **kwargs) -> DataConfig:
    """That of `records` stored so."""
    kwargs = {"num_classes": NUM_CLASSES, "max_frames": 30, **kwargs}
    sizes = tuple(SIZES.values())
    return DataConfig(tuple(SIZES), sizes, True, feature_dtypes=stored, **kwargs)


def levels(rng, *shape) -> np.ndarray:
    """Quantised values, most of them in the middle as those of YouTube-8M are."""
    return np.clip(rng.normal(127, 30, shape), 0, 255).astype(np.uint8)


def stored_as(quantised: np.ndarray, stored: str) -> np.ndarray:
    """The values of bytes in another type."""
    if stored == "uint8":
        return quantised
    return dequantize(quantised).astype(TYPES[stored])


def way(*stored: str) -> str:
    """How float32 is stored: the `floats` of frame_example."""
    return "lists" if "float_list" in stored else "bytes"


def records(*stored: str, count: int = 12, rated: bool = False, seed: int = 0, **keys):
    """Videos of the same values, the features stored as said."""
    rng = np.random.default_rng(seed)
    for number in range(count):
        frames = int(rng.integers(6, 20))
        quantised = {name: levels(rng, frames, size) for name, size in SIZES.items()}
        labels = sorted({*rng.integers(NUM_CLASSES, size=2).tolist()})
        segments = [(0, labels[0], 1.0), (5, 1, 0.0), (0, 2, 1.0)] if rated else None
        features = {
            name: stored_as(values, kind)
            for (name, values), kind in zip(quantised.items(), stored, strict=True)
        }
        yield frame_example(
            f"v{number:03d}",
            labels,
            features,
            segments,
            floats=way(*stored),
            **keys,
        )


def write(path, *stored: str, **kwargs) -> str:
    """Writes `records` to a file; returns its path."""
    write_records(path, records(*stored, **kwargs))
    return str(path)
