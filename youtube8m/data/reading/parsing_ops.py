"""Records to batches by TensorFlow's own operations, for models that are exported.

    batch = parse_records(data, serialized)                    # string [B]
    index, num_frames = choose_frames(data, lengths)           # int [B]

`records` is faster and says more of a damaged record, but it is Python, which no
SavedModel can hold. Both make the same batches of the same records.
"""

import numpy as np
import tensorflow as tf

from youtube8m import schema
from youtube8m.config import DataConfig
from youtube8m.data.reading import frame_sampling
from youtube8m.errors import UserError

_MOST_ENTRIES = 2**22  # of a table of chosen frames; 16 MB


def parse_records(data: DataConfig, serialized) -> dict:
    """A batch of records [B] as `records` describes it, without labels.

    Records may have either id key, and labels or none. A record that is no such record
    raises InvalidArgumentError, when the graph runs.
    """
    ids = {key: tf.io.FixedLenFeature([], tf.string, "") for key in schema.ID_KEYS}
    if not data.frame_features:
        sizes = zip(data.feature_names, data.feature_sizes, strict=True)
        specs = {n: tf.io.FixedLenFeature([size], tf.float32) for n, size in sizes}
        parsed = tf.io.parse_example(serialized, {**ids, **specs})
        features = tf.concat([parsed[name] for name in data.feature_names], axis=1)
        return {"id": _video_ids(parsed), "features": features}
    specs = {
        n: tf.io.FixedLenSequenceFeature([], tf.string) for n in data.feature_names
    }
    context, rows, lengths = tf.io.parse_sequence_example(serialized, ids, specs)
    length = _common_length(data, lengths)
    index, num_frames = choose_frames(data, length)
    real = tf.sequence_mask(num_frames, tf.shape(index)[1])
    parts = []
    for name, size in zip(data.feature_names, data.feature_sizes, strict=True):
        _check_sizes(name, rows[name], length, size)
        chosen = tf.where(real, tf.gather(rows[name], index, batch_dims=1), "")
        parts.append(tf.io.decode_raw(chosen, tf.uint8, fixed_length=size))
    frames = tf.concat(parts, axis=2)
    return {"id": _video_ids(context), "frames": frames, "num_frames": num_frames}


def _video_ids(parsed):
    """string [B]: the first of the two keys that a record has."""
    first, second = (parsed[key] for key in schema.ID_KEYS)
    ids = tf.where(first == "", second, first)
    message = f"a record has no video id (looked for {' and '.join(schema.ID_KEYS)})"
    tf.debugging.assert_none_equal(ids, "", message=message)
    return ids


def _common_length(data, lengths):
    """int32 [B]: the number of frames, which all features must share."""
    columns = tf.stack([lengths[name] for name in data.feature_names], axis=1)
    message = f"a record has unequal or no frames of {', '.join(data.feature_names)}"
    expected = tf.maximum(columns[:, :1], 1)
    check = tf.debugging.assert_equal(columns, expected, message=message)
    # Else what gathers frames by these lengths may fail first, and say less.
    with tf.control_dependencies([] if check is None else [check]):
        return tf.cast(columns[:, 0], tf.int32)


def _check_sizes(name, rows, length, size):
    real = tf.sequence_mask(length, tf.shape(rows)[1])
    sizes = tf.where(real, tf.strings.length(rows), size)
    message = f"a record has a frame of {name} that is not of {size} bytes"
    tf.debugging.assert_equal(sizes, size, message=message)


def choose_frames(data: DataConfig, lengths):
    """The frames that evaluation and inference read of videos of `lengths` [B].

    They depend on the length alone, so `frame_sampling.sample` is asked here, once for
    each length up to where videos are cut, and the graph looks its answers up.

    Returns:
      index int32 [B, k], 0 behind the end; and how many are chosen, int32 [B].

    Raises:
      UserError: there are too many such lengths, or the run reads released crops.
    """
    table, counts = _choices(data)
    row = tf.minimum(lengths, len(counts)) - 1
    num_frames = tf.gather(counts, row)
    places = tf.range(tf.maximum(tf.reduce_max(num_frames), 1))  # of no videos, too
    if data.frame_sampling in ("windows", "random"):
        index = tf.gather(tf.gather(table, row), places, axis=1)
    else:
        first, step = (tf.gather(column, row)[:, None] for column in table.T)
        index = first + step * places
    return tf.where(places < num_frames[:, None], index, 0), num_frames


def _choices(data):
    """The choice for each length from 1 on: a table, and the counts int32 [L].

    Rows of the table are (first, step) where all choices are ranges, else frames.
    """
    if data.released_crops:
        raise UserError(
            f"--frame_sampling={data.frame_sampling} with --released_code: crops of "
            "the released code are not exported; predict with inference.py"
        )
    last = data.skip_frames + data.max_frames
    irregular = data.frame_sampling in ("windows", "random")
    width = data.longest_example if irregular else 1
    if last * width > _MOST_ENTRIES:
        raise UserError(
            f"--max_frames={data.max_frames}: too many to export with --frame_sampling="
            f"{data.frame_sampling}, at most {_MOST_ENTRIES // width}"
        )
    choices = [frame_sampling.sample(data, length) for length in range(1, last + 1)]
    counts = np.array([len(chosen) for chosen in choices], np.int32)
    if not irregular:
        return np.array([(c.start, c.step) for c in choices], np.int32), counts
    table = np.zeros((last, width), np.int32)
    for out, chosen in zip(table, choices, strict=True):
        out[: len(chosen)] = chosen
    return table, counts
