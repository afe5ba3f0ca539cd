"""Records to batches by TensorFlow's own operations.

    batch = parse_records(data, serialized, labels=True)       # string [B]
    batch = parse_segments(data, record)                       # string []: its segments
    index, num_frames = choose_frames(data, lengths)           # int [B]

`decoding` is faster and says more about a damaged record, but it is Python: no
SavedModel can hold it. Exported models and the plain tf.data pipeline parse by these
functions, which make the same batches. A record that cannot be used raises
InvalidArgumentError when the graph runs.

Shapes: B records or n examples, T frames, k of them chosen, D features, L labels.
"""

import tensorflow as tf
from keras import ops

from youtube8m import schema
from youtube8m.config import DataConfig
from youtube8m.util import frame_indices

_IDS = {key: tf.io.FixedLenFeature([], tf.string, "") for key in schema.ID_KEYS}
_LABELS = {schema.LABELS_KEY: tf.io.VarLenFeature(tf.int64)}
_RATINGS = dict.fromkeys(schema.RATING_KEYS, tf.io.VarLenFeature(tf.int64))
_RATINGS[schema.SEGMENT_SCORES_KEY] = tf.io.VarLenFeature(tf.float32)


def parse_records(
    data: DataConfig, serialized, labels: bool = False, seed=None, start=None
) -> dict:
    """A batch of one example of each record.

    Args:
      serialized: string [B]; records may have either id key.
      labels: whether the batch has `labels`.
      seed, start: as `choose_frames` takes them.
    """
    context_spec = {**_IDS, **(_LABELS if labels else {})}
    if data.frame_features:
        context, rows, lengths = _parse_frames(data, serialized, context_spec)
        index, num_frames = choose_frames(data, lengths, seed, start)
        if data.frame_sampling == "all" and not data.skip_frames:  # quicker
            rows = {name: row[:, : data.max_frames] for name, row in rows.items()}
        else:
            rows = _gather(rows, index, num_frames)
        batch = {"frames": _decode(data, rows), "num_frames": num_frames}
    else:
        sizes = zip(data.feature_names, data.feature_sizes, strict=True)
        specs = {n: tf.io.FixedLenFeature([size], tf.float32) for n, size in sizes}
        context = tf.io.parse_example(serialized, {**context_spec, **specs})
        features = tf.concat([context[name] for name in data.feature_names], axis=1)
        finite = tf.reduce_all(tf.math.is_finite(features))
        tf.debugging.Assert(finite, ["a record holds values that are not finite"])
        batch = {"features": features}
    batch["id"] = _video_ids(context)
    if labels:
        batch["labels"] = _class_ids(data, context[schema.LABELS_KEY])
    return batch


def parse_segments(data: DataConfig, record) -> dict:
    """A batch of the rated segments of one record, string [].

    They come in the order in which their start times first appear in the record.
    """
    context, rows, lengths = _parse_frames(data, record[None], {**_IDS, **_RATINGS})
    starts, classes, scores = (context[key].values for key in _RATINGS)
    sizes = [tf.size(starts)] * 2, [tf.size(classes), tf.size(scores)]
    message = "a record has segment lists of unequal lengths"
    check = tf.debugging.assert_equal(*sizes, message=message)
    with tf.control_dependencies([check]):
        starts, segment = tf.unique(tf.cast(starts, tf.int32))
    within = tf.reduce_all((starts >= 0) & (starts < lengths))
    tf.debugging.Assert(within, ["a record rates a segment beyond its frames"])
    index = starts[:, None] + tf.range(min(schema.SEGMENT_FRAMES, data.max_frames))
    index, num_frames = _cut(index, (index >= 0) & (index < lengths))
    rows = {name: row[0] for name, row in rows.items()}
    finite = tf.reduce_all(tf.math.is_finite(scores))
    tf.debugging.Assert(
        finite, ["a record has ratings of a segment that are not finite"]
    )
    present = scores > 0
    rated = _sparse(segment, classes, starts)
    labels = _sparse(segment[present], classes[present], starts)
    return {
        "id": tf.repeat(_video_ids(context), tf.size(starts)),
        "segment_start": starts,
        "frames": _decode(data, _gather(rows, index, num_frames)),
        "num_frames": num_frames,
        "rated": _class_ids(data, rated),
        "labels": _class_ids(data, labels),
    }


@tf.autograph.experimental.do_not_convert  # which knows no match statement
def choose_frames(data: DataConfig, lengths, seed=None, start=None):
    """The frames that are read of videos of `lengths`, as `frame_sampling.sample`.

    Returns index int32 [B, k], 0 after the end; and how many are chosen, int32 [B].

    Args:
      lengths: int [B], at least 1.
      seed: int64 [2], from which frames are drawn as in training; None for the choice
        of evaluation and prediction.
      start: int32 [B], where crops start if nothing is drawn; None for --crop_start.
    """

    def below(limits):
        """A number from 0 to limits - 1: drawn with equal chances, or the middle."""
        if seed is None:
            return limits // 2
        uniform = tf.random.stateless_uniform(tf.shape(limits), seed)
        return tf.cast(uniform * tf.cast(limits, tf.float32), tf.int32)

    lengths = tf.cast(lengths, tf.int32)[:, None]
    first = tf.minimum(data.skip_frames, lengths - 1)
    total = tf.minimum(lengths - first, data.max_frames)
    most, stride, count = data.longest_example, data.crop_stride, data.crop_frames
    if data.frame_sampling != "random":  # the only way to choose a frame twice
        most = tf.clip_by_value(tf.reduce_max(total), 1, most)
    number = tf.range(most)[None]  # of each chosen frame
    match data.frame_sampling:
        case "crop" | "interval" as way:
            begin = data.crop_start if start is None else tf.constant(start)[:, None]
            if seed is not None:
                starts = data.crop_range if way == "crop" else stride
                begin = below(tf.fill(tf.shape(total), starts))
            index = tf.minimum(begin, total - 1) + number * stride
        case "windows":
            sizes = tf.clip_by_value(total - number * stride, 0, stride)
            index = frame_indices.window_indices(ops, below, sizes, stride)
        case "random" if seed is None:
            index = (2 * number + 1) * total // (2 * count)
        case "random":
            index = tf.sort(below(tf.repeat(total, count, axis=1)), axis=1)
        case "run":
            index = frame_indices.run_starts(ops, below, total, count) + number
        case _:
            index = number
    return _cut(first + index, index < total)


def _parse_frames(data, serialized, context_spec):
    """(context features, strings [B, T] of each feature, number of frames [B])."""
    rows_spec = tf.io.FixedLenSequenceFeature([], tf.string)
    context, rows, lengths = tf.io.parse_sequence_example(
        serialized, context_spec, dict.fromkeys(data.feature_names, rows_spec)
    )
    columns = tf.stack([lengths[name] for name in data.feature_names], axis=1)
    message = f"a record has unequal or no frames of {', '.join(data.feature_names)}"
    expected = tf.maximum(columns[:, :1], 1)
    check = tf.debugging.assert_equal(columns, expected, message=message)
    # Otherwise an operation on the frames may fail first, and say less.
    with tf.control_dependencies([check]):
        length = tf.cast(columns[:, 0], tf.int32)
        rows = {name: tf.identity(rows[name]) for name in data.feature_names}
    for name, size in zip(data.feature_names, data.feature_sizes, strict=True):
        found = tf.strings.length(rows[name])
        fitting = tf.math.count_nonzero(found == size, axis=1, dtype=tf.int32)
        message = f"a record has a frame of {name} that is not of {size} bytes"
        tf.debugging.assert_equal(fitting, length, message=message)
    return context, rows, length


def _cut(index, real):
    """(index [n, k] with 0 where it is not real; how many are), k for the longest."""
    num_frames = tf.math.count_nonzero(real, axis=1, dtype=tf.int32)
    longest = tf.maximum(tf.reduce_max(num_frames), 1)  # of no examples, too
    return tf.where(real, index, 0)[:, :longest], num_frames


def _gather(rows, index, num_frames):
    """The strings [n, k] of each feature at index [n, k], "" after num_frames [n].

    `rows` are strings [n, T] of each feature, or [T] that all examples share.
    """
    real = tf.sequence_mask(num_frames, tf.shape(index)[1])
    return {
        name: tf.where(real, tf.gather(strings, index, batch_dims=strings.ndim - 1), "")
        for name, strings in rows.items()
    }


def _decode(data, rows):
    """uint8 [n, k, D] of strings [n, k] of each feature; zeros where they are empty."""
    sizes = zip(data.feature_names, data.feature_sizes, strict=True)
    parts = [
        tf.io.decode_raw(rows[name], tf.uint8, fixed_length=size)
        for name, size in sizes
    ]
    return tf.concat(parts, axis=2)


def _video_ids(parsed):
    """string [B]: the first of the two keys that a record has."""
    first, second = (parsed[key] for key in schema.ID_KEYS)
    ids = tf.where(first == "", second, first)
    message = f"a record has no video id (looked for {' and '.join(schema.ID_KEYS)})"
    tf.debugging.assert_none_equal(ids, "", message=message)
    return ids


def _sparse(rows, values, starts):
    """A sparse int64 [n, m] of `values` [m], each in one of n `rows` [m]."""
    columns = tf.range(tf.size(rows, tf.int64))
    indices = tf.stack([tf.cast(rows, tf.int64), columns], axis=1)
    shape = [tf.size(starts, tf.int64), tf.size(rows, tf.int64)]
    return tf.sparse.reorder(tf.SparseTensor(indices, values, shape))


def _class_ids(data, lists):
    """Sparse int64 [n, m] to int32 [n, L]: each class once, ascending, -1 behind."""
    message = f"a record has a label beyond --num_classes={data.num_classes}"
    within = (lists.values >= 0) & (lists.values < data.num_classes)
    tf.debugging.Assert(tf.reduce_all(within), [message])
    sets = tf.sets.union(lists, lists)
    # At least one column: tf.data's unbatch crashes on none.
    shape = tf.maximum(sets.dense_shape, [0, 1])
    ids = tf.SparseTensor(sets.indices, tf.cast(sets.values, tf.int32), shape)
    return tf.sparse.to_dense(ids, schema.LABEL_PADDING)
