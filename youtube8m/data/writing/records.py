"""Builds and writes records in YouTube-8M's formats, of any content.

    example = frame_example("aAbc", [3, 17], {"rgb": quantize(frames)})
    write_records("mine.tfrecord", [example])

Shapes: T frames, d values of one feature.
"""

import contextlib
import os
from collections.abc import Iterable, Mapping
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from youtube8m import schema
from youtube8m.errors import reason
from youtube8m.util.files import local_path, renamed
from youtube8m.util.text import encode_id

_TYPES = (schema.BYTES, "float16", "bfloat16", "float32")  # of values; native ones
_RANGE = schema.QUANTIZED_MAX - schema.QUANTIZED_MIN


class RatedSegment(NamedTuple):
    """Five seconds that a person rated for one class."""

    start: int  # seconds, a multiple of 5
    label: int
    score: float  # 1.0 where the class is present, 0.0 where it is not


def quantize(values: np.ndarray) -> np.ndarray:
    """Floats to uint8, 256 levels over [-2, 2]; what lies beyond is clipped."""
    levels = (values - schema.QUANTIZED_MIN) * (255 / _RANGE)
    return np.clip(levels, 0, 255, out=levels).astype(np.uint8)


def dequantize(quantized: np.ndarray) -> np.ndarray:
    """The float32 value at the middle of each level: q * 4/255 + 4/512 - 2.

    As `layers.inputs.dequantize`, on the host.
    """
    scale, offset = _RANGE / 255, _RANGE / 512 + schema.QUANTIZED_MIN
    return quantized.astype(np.float32) * np.float32(scale) + np.float32(offset)


def frame_example(
    video_id: str,
    labels: Iterable[int] | None,
    features: Mapping[str, np.ndarray],
    segments: Iterable[tuple[int, int, float]] | None = None,
    id_key: str = schema.ID_KEYS[0],
    labels_key: str = schema.LABELS_KEY,
    context: Mapping[str, np.ndarray] | None = None,
    floats: str = "",
) -> tf.train.SequenceExample:
    """A frame-level record.

    Args:
      labels: class ids; None leaves the key out, as in test records.
      features: name -> uint8 (quantised), float16, bfloat16 or float32 [T, d].
      segments: (start, label, score) of each rated segment; None: not rated.
      id_key: 'id', or 'video_id' as in the 2017 release and AudioSet.
      context: name -> a vector [d] of the video; one of float32 becomes a float list.
      floats: how frames of float32 are stored: as "bytes", or "lists" of floats; by
        default they are refused, as somebody may have forgotten to quantise them.

    Raises ValueError: values are of another type or shape.
    """
    example = tf.train.SequenceExample()
    _add_identity(example.context, video_id, labels, id_key, labels_key)
    if segments is not None:
        add_segments(example.context, segments)
    for name, frames in features.items():
        _require(name, frames, "[T, d]", _TYPES if floats else _TYPES[:-1])
        rows = example.feature_lists.feature_list[name].feature
        for frame in frames:
            _set_values(rows.add(), frame, as_list=floats == "lists")
    for name, vector in (context or {}).items():
        _require(name, vector, "[d]", _TYPES)
        _set_values(example.context.feature[name], vector, as_list=True)
    return example


def _require(name, values, shape, types):
    """Raises ValueError if values have another number of axes, or type."""
    dtype, fits = values.dtype, values.ndim == shape.count(",") + 1
    if not fits or dtype.name not in types or not dtype.isnative:
        raise ValueError(
            f"feature {name!r} is {dtype} {list(values.shape)}; expected {shape} of "
            f"{', '.join(types)}: quantize float32 frames, or give floats=; use astype "
            "for other types"
        )


def _set_values(feature, values, as_list):
    if as_list and values.dtype == np.float32:
        feature.float_list.value.extend(values)
    else:
        feature.bytes_list.value.append(values.tobytes())


def video_example(
    video_id: str,
    labels: Iterable[int] | None,
    features: Mapping[str, np.ndarray],
    id_key: str = schema.ID_KEYS[0],
    labels_key: str = schema.LABELS_KEY,
) -> tf.train.Example:
    """A video-level record: as `frame_example`, but features are floats [d]."""
    example = tf.train.Example()
    _add_identity(example.features, video_id, labels, id_key, labels_key)
    for name, values in features.items():
        if np.ndim(values) != 1:
            raise ValueError(f"feature {name!r} has shape {np.shape(values)}, not [d]")
        example.features.feature[name].float_list.value.extend(values)
    return example


def _add_identity(features, video_id, labels, id_key, labels_key):
    features.feature[id_key].bytes_list.value.append(encode_id(video_id))
    if labels is not None:
        features.feature[labels_key].int64_list.value.extend(labels)


def add_segments(context, segments):
    """Adds the rated segments, as the four parallel lists of the 2019 release."""
    starts, labels, scores = list(zip(*segments, strict=True)) or [(), (), ()]
    ends = [start + schema.SEGMENT_FRAMES for start in starts]
    for key, values in (
        (schema.SEGMENT_START_TIMES_KEY, starts),
        (schema.SEGMENT_END_TIMES_KEY, ends),
        (schema.SEGMENT_LABELS_KEY, labels),
    ):
        context.feature[key].int64_list.value.extend(values)
    context.feature[schema.SEGMENT_SCORES_KEY].float_list.value.extend(scores)


def write_records(path, examples: Iterable) -> None:
    """Writes a TFRecord file of messages (or bytes), whole or not at all."""
    with record_file(os.fspath(path)) as write:
        for example in examples:
            write(example)


@contextlib.contextmanager
def record_file(path: str):
    """A function that appends a message, or bytes, to the TFRecord file `path`."""
    path = local_path(path, "path")
    with contextlib.ExitStack() as stack:
        temporary = os.fsencode(stack.enter_context(renamed(path)))
        # As bytes, because not every name is UTF-8.
        stack.enter_context(_system_errors(path))
        writer = stack.enter_context(tf.io.TFRecordWriter(temporary))

        def write(example):
            if not isinstance(example, bytes):
                # The order of map entries is otherwise left to chance.
                example = example.SerializeToString(deterministic=True)
            writer.write(example)

        yield write


@contextlib.contextmanager
def _system_errors(path):
    """Turns TensorFlow's errors of writing, as on a full disk, into OSErrors."""
    try:
        yield
    except tf.errors.OpError as error:
        why = reason(error).rpartition("; ")[2]
        raise OSError(None, f"cannot be written ({why})", path) from None
