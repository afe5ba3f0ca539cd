"""A batch: a dict of arrays or tensors with examples along the first axis.

Frame level: `frames` [B, T, D], features concatenated in the order of --feature_names,
in the type in which they are stored (uint8; released crops: float32), and `num_frames`
int32 [B]. Features of different types are `frames0`, `frames1` ..., of neighbours of
one type each; vectors of a video are [B, d] there. Video level: `features` float32
[B, D]. Both: `id` string [B] and, where they are asked for, `labels`
int32 [B, L], padded with -1. Rated segments add `rated` int32 [B, R], the classes that
were rated, padded with -1, of which `labels` are present, and `segment_start` int32
[B]. Batches of training add `position` int64 [3]: how much of the data is consumed with
them.

Values keep their type and labels stay ids until they are on the device, where
`layers.inputs.join_frames` makes one array of the frames.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

from youtube8m import schema
from youtube8m.config import DataConfig
from youtube8m.data.reading import order

_PADDING = {"labels": schema.LABEL_PADDING, "rated": schema.LABEL_PADDING}  # else 0, ""


def input_signature(config: DataConfig) -> dict[str, tf.TensorSpec]:
    """The specs of what models take, of any number of videos and frames."""
    if not config.frame_features:
        return {"features": tf.TensorSpec([None, config.feature_size], tf.float32)}
    signature = {
        array.key: tf.TensorSpec(array.shape, array.dtype)
        for array in config.frame_arrays
    }
    return {**signature, "num_frames": tf.TensorSpec([None], tf.int32)}


def record_signature(
    config: DataConfig, labels: bool, segments: bool = False
) -> dict[str, tf.TensorSpec]:
    """The specs of the batches that records, or their rated segments, decode to."""
    ids = tf.TensorSpec([None, None], tf.int32)
    signature = {"id": tf.TensorSpec([None], tf.string), **input_signature(config)}
    if labels:
        signature["labels"] = ids
    if segments:
        signature["rated"] = ids
        signature["segment_start"] = tf.TensorSpec([None], tf.int32)
        signature["position"] = tf.TensorSpec([None, None], tf.int64)
    return signature


def batch_signature(batch: dict[str, np.ndarray]) -> dict[str, tf.TensorSpec]:
    """The specs of batches like `batch`, of any size, length and number of labels."""
    specs = {}
    for name, value in batch.items():
        shape = [None] * len(value.shape)
        if name.startswith("frames") or name == "features":
            shape[-1] = value.shape[-1]
        dtype = tf.string if value.dtype == object else value.dtype
        specs[name] = tf.TensorSpec(shape, dtype)
    return specs


def of_any_size(function: Callable[[dict], Any], autograph: bool = False):
    """A function of a batch that is traced once, whatever its size and length.

    Traced for one size, TensorFlow rounds otherwise than for another.
    """
    traced = {}  # by the names in a batch

    def call(batch):
        if (names := tuple(batch)) not in traced:
            signature = [batch_signature(batch)]
            traced[names] = tf.function(
                function, input_signature=signature, autograph=autograph
            )
        return traced[names](batch)

    return call


def pad_ids(rows: list[np.ndarray]) -> np.ndarray:
    """Rows of class ids as int32 [B, L], padded with -1, L at least 1.

    tf.data's unbatch crashes on columns of no width.
    """
    width = max([1, *map(len, rows)])
    padded = np.full((len(rows), width), schema.LABEL_PADDING, np.int32)
    for row, ids in zip(padded, rows, strict=True):
        row[: len(ids)] = ids
    return padded


def pad_examples(examples: tf.data.Dataset, batch_size: int) -> tf.data.Dataset:
    """Batches of single examples, padded to the longest of each batch."""
    padding = {name: _PADDING.get(name) for name in examples.element_spec}
    return examples.padded_batch(batch_size, padding_values=padding)


def share_examples(
    examples: tf.data.Dataset, batch_size: int, worker: tuple[int, int], least_rows: int
) -> tf.data.Dataset:
    """The share of each batch of single examples that a worker (index, count) gets.

    Its `position` is that of the whole batch. Batches below `least_rows` are left out.
    """

    @tf.autograph.experimental.do_not_convert
    def take_share(batch):
        position = batch.pop("position")[-1]
        own = order.share(tf.size(batch["id"]), *worker)
        return {**{name: v[own] for name, v in batch.items()}, "position": position}

    batches = pad_examples(examples, batch_size)
    batches = batches.filter(lambda batch: tf.size(batch["id"]) >= least_rows)
    return batches.map(take_share)


def device_inputs(batch: dict) -> dict:
    """A batch without strings, which stay on the host."""
    return {k: v for k, v in batch.items() if v.dtype != tf.string}


def without_position(batch: dict) -> dict:
    """A batch as models get it: its position matters to training alone."""
    return {name: value for name, value in batch.items() if name != "position"}
