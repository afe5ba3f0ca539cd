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

import functools

import tensorflow as tf
from keras import ops

from youtube8m import schema
from youtube8m.config import DataConfig
from youtube8m.config.features import Feature
from youtube8m.data.reading import layouts
from youtube8m.util import frame_indices

_INTEGERS, _FLOATS = map(tf.io.VarLenFeature, (tf.int64, tf.float32))
_RATINGS = {
    key: kind
    for keys in (layouts.YOUTUBE8M_RATINGS, layouts.MEDIAPIPE_RATINGS)
    for key, kind in zip(keys[:3], (_INTEGERS, _INTEGERS, _FLOATS), strict=True)
}
_CLIP_START = {layouts.CLIP_START_KEY: tf.io.FixedLenFeature([], tf.int64, 0)}


def parse_records(
    data: DataConfig, serialized, labels: bool = False, seed=None, start=None
) -> dict:
    """A batch of one example of each record.

    Args:
      serialized: string [B]; records may have either id key.
      labels: whether the batch has `labels`.
      seed, start: as `choose_frames` takes them.
    """
    context_spec = _ids_spec(data)
    if labels:
        context_spec |= dict.fromkeys(layouts.labels_keys(data), _INTEGERS)
    if data.frame_features:
        context, rows, lengths = _parse_frames(data, serialized, context_spec)
        index, num_frames = choose_frames(data, lengths, seed, start)
        if data.frame_sampling == "all" and not data.skip_frames:  # quicker
            rows = [row[:, : data.max_frames] for row in rows]
        else:
            rows = _gather(rows, index, num_frames)
        vectors = _vectors(data, context)
        batch = {**_decode(data, rows + vectors), "num_frames": num_frames}
    else:
        context = tf.io.parse_example(serialized, {**context_spec, **_specs(data)})
        features = tf.concat([context[name] for name in data.feature_names], axis=1)
        _require_finite(features)
        batch = {"features": features}
    batch["id"] = _video_ids(data, context)
    if labels:
        lists = [context[key] for key in layouts.labels_keys(data)]
        batch["labels"] = _class_ids(data, functools.reduce(_first, lists))
    return batch


def parse_segments(data: DataConfig, record) -> dict:
    """A batch of the rated segments of one record, string [].

    They come in the order in which their start times first appear in the record.
    """
    spec = {**_ids_spec(data), **_RATINGS, **_CLIP_START}
    context, rows, lengths = _parse_frames(data, record[None], spec)
    starts, classes, scores = _ratings(context)
    sizes = [tf.size(starts)] * 2, [tf.size(classes), tf.size(scores)]
    message = "a record has segment lists of unequal lengths"
    check = tf.debugging.assert_equal(*sizes, message=message)
    with tf.control_dependencies([check]):
        starts, segment = tf.unique(tf.cast(starts, tf.int32))
    within = tf.reduce_all((starts >= 0) & (starts < lengths))
    tf.debugging.Assert(within, ["a record rates a segment beyond its frames"])
    index = starts[:, None] + tf.range(min(schema.SEGMENT_FRAMES, data.max_frames))
    index, num_frames = _cut(index, (index >= 0) & (index < lengths))
    rows = _gather([row[0] for row in rows], index, num_frames)
    count = tf.size(starts)
    vectors = [tf.repeat(vector, count, axis=0) for vector in _vectors(data, context)]
    finite = tf.reduce_all(tf.math.is_finite(scores))
    tf.debugging.Assert(
        finite, ["a record has ratings of a segment that are not finite"]
    )
    present = scores > 0
    rated = _sparse(segment, classes, starts)
    labels = _sparse(segment[present], classes[present], starts)
    return {
        "id": tf.repeat(_video_ids(data, context), count),
        "segment_start": starts,
        **_decode(data, rows + vectors),
        "num_frames": num_frames,
        "rated": _class_ids(data, rated),
        "labels": _class_ids(data, labels),
    }


def _ratings(context):
    """(starts in frames, classes, scores) of the layout that a record has, [n] each."""
    own, other = layouts.YOUTUBE8M_RATINGS, layouts.MEDIAPIPE_RATINGS
    first, second = ([context[key].values for key in keys[:3]] for keys in (own, other))
    times, classes, scores = second
    start = layouts.seconds(context[layouts.CLIP_START_KEY], tf.identity)
    times = layouts.seconds(times, tf.identity) - start
    unscored = tf.size(scores) == 0
    scores = tf.cond(
        unscored, lambda: tf.ones_like(classes, tf.float32), lambda: scores
    )
    use_second = (tf.size(first[0]) == 0) & (tf.size(times) > 0)
    return [
        tf.cond(use_second, lambda two=two: two, lambda one=one: one)
        for one, two in zip(first, (times, classes, scores), strict=True)
    ]


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


def _ids_spec(data):
    no_id = tf.io.FixedLenFeature([], tf.string, "")
    return dict.fromkeys(layouts.id_keys(data), no_id)


def _specs(data, per_frame=False):
    """How the features of frames, or of videos, are parsed."""
    kind = tf.io.FixedLenSequenceFeature if per_frame else tf.io.FixedLenFeature
    return {
        feature.name: kind([feature.size], tf.float32)
        if feature.stored == schema.FLOAT_LIST
        else kind([], tf.string)
        for feature in data.features
        if feature.per_frame == per_frame
    }


def _parse_frames(data, serialized, context_spec):
    """(context features, rows [B, T] or [B, T, d] per feature, number of frames [B]).

    Rows are strings, or the values of float lists.
    """
    timestamps = [layouts.timestamps_key(name) for name in data.feature_names]
    timestamps = timestamps if all(timestamps) else []
    times = tf.io.FixedLenSequenceFeature([], tf.int64, allow_missing=True)
    context, parsed, lengths = tf.io.parse_sequence_example(
        serialized,
        {**context_spec, **_specs(data)},
        {**_specs(data, per_frame=True), **dict.fromkeys(timestamps, times)},
    )
    rows = [parsed[name] for name in data.feature_names]
    lengths = [tf.cast(lengths[name], tf.int32) for name in data.feature_names]
    if timestamps:
        seconds = [layouts.seconds(parsed[key], tf.identity) for key in timestamps]
        rows, lengths = _paired(rows, lengths, seconds)
    columns = tf.stack(lengths, axis=1)
    message = f"a record has unequal or no frames of {', '.join(data.feature_names)}"
    expected = tf.maximum(columns[:, :1], 1)
    check = tf.debugging.assert_equal(columns, expected, message=message)
    # Otherwise an operation on the frames may fail first, and say less.
    with tf.control_dependencies([check]):
        length = tf.cast(columns[:, 0], tf.int32)
        rows = [tf.identity(row) for row in rows]
    for feature, row in zip(data.features, rows, strict=False):
        if row.dtype == tf.string:
            _require_width(feature, row, length)
    return context, rows, length


def _require_width(feature: Feature, strings, count):
    """Asserts that `count` [n] of the strings [n, k] have the feature's bytes."""
    found = tf.strings.length(strings)
    fitting = tf.math.count_nonzero(found == feature.width, axis=1, dtype=tf.int32)
    what = "frame" if feature.per_frame else "vector"
    message = (
        f"a record has a {what} of {feature.name} that is not of {feature.width} bytes"
    )
    tf.debugging.assert_equal(fitting, count, message=message)


def _paired(rows, lengths, seconds):
    """The rows of the seconds that all features have, and how many [B] per feature.

    As the reader pairs them: where numbers of frames and first seconds are equal, or
    there are no times, all are kept.
    """
    masks, times, starts = [], [], []
    for row, number, second in zip(rows, lengths, seconds, strict=True):
        steps = tf.shape(row)[1]
        missing = tf.maximum(steps + 1 - tf.shape(second)[1], 0)
        second = tf.pad(second, [[0, 0], [0, missing]])
        masks.append(tf.sequence_mask(number, steps))
        times.append(second[:, :steps])
        starts.append(second[:, 0])
    same = tf.ones_like(lengths[0], tf.bool)
    for number, start in zip(lengths, starts, strict=True):
        same &= (number == lengths[0]) & (start == starts[0])
    kept, counts = [], []
    for row, mask, own in zip(rows, masks, times, strict=True):
        later = (own[:, 1:] > own[:, :-1]) | ~mask[:, 1:] | same[:, None]
        tf.debugging.Assert(
            tf.reduce_all(later), ["a record has two frames in one second"]
        )
        common = mask
        for other, real in zip(times, masks, strict=True):
            equal = (own[:, :, None] == other[:, None]) & real[:, None]
            common &= tf.reduce_any(equal, axis=2)
        common = tf.where(same[:, None], mask, common)
        order = tf.argsort(tf.cast(~common, tf.int32), axis=1, stable=True)
        kept.append(tf.gather(row, order, batch_dims=1))
        counts.append(tf.math.count_nonzero(common, axis=1, dtype=tf.int32))
    longest = tf.reduce_max(tf.stack(counts))
    return [row[:, :longest] for row in kept], counts


def _cut(index, real):
    """(index [n, k] with 0 where it is not real; how many are), k for the longest."""
    num_frames = tf.math.count_nonzero(real, axis=1, dtype=tf.int32)
    longest = tf.maximum(tf.reduce_max(num_frames), 1)  # of no examples, too
    return tf.where(real, index, 0)[:, :longest], num_frames


def _gather(rows, index, num_frames):
    """The rows at index [n, k] of each feature, "" or 0 after num_frames [n].

    Rows are [n, T] or [n, T, d] of each feature, or [T] or [T, d] that all examples
    share.
    """
    real = tf.sequence_mask(num_frames, tf.shape(index)[1])
    gathered = []
    for row in rows:
        is_string = row.dtype == tf.string
        batch_dims = row.shape.rank - (1 if is_string else 2)
        chosen = tf.gather(row, index, batch_dims=batch_dims)
        mask = real if is_string else real[..., None]
        gathered.append(tf.where(mask, chosen, tf.zeros([], row.dtype)))
    return gathered


def _vectors(data, context):
    """The features of videos, strings or values [B, 1] and [B, 1, d], as rows."""
    features = [f for f in data.features if not f.per_frame]
    vectors = [context[feature.name][:, None] for feature in features]
    for feature, vector in zip(features, vectors, strict=True):
        if vector.dtype == tf.string:
            _require_width(feature, vector, tf.ones(tf.shape(vector)[:1], tf.int32))
    return vectors


def _decode(data, rows):
    """The arrays of frames of strings [n, k], or values [n, k, d], of each feature.

    Empty strings are zeros.
    """
    batch, start = {}, 0
    for array in data.frame_arrays:
        end = start + len(array.features)
        pairs = zip(array.features, rows[start:end], strict=True)
        values = tf.concat([_values(*pair) for pair in pairs], axis=2)
        batch[array.key] = values if array.per_frame else values[:, 0]
        start = end
    return batch


def _values(feature: Feature, row):
    """Values [n, k, d] of strings [n, k]; of such values themselves."""
    if row.dtype == tf.string:
        row = tf.io.decode_raw(row, tf.uint8, fixed_length=feature.width)
        if feature.stored != schema.BYTES:
            itemsize = schema.STORED[feature.stored]
            shape = [*tf.unstack(tf.shape(row)[:2]), feature.size, itemsize]
            row = tf.bitcast(tf.reshape(row, shape), feature.dtype)
    if row.dtype != tf.uint8:
        _require_finite(row)
    return row


def _require_finite(values):
    finite = tf.reduce_all(tf.math.is_finite(values))
    tf.debugging.Assert(finite, ["a record holds values that are not finite"])


def _video_ids(data, parsed):
    """string [B]: the first of the keys that a record has."""
    ids, keys = "", layouts.id_keys(data)
    for key in reversed(keys):
        ids = tf.where(parsed[key] == "", ids, parsed[key])
    looked = " and ".join(keys[:2])
    message = f"a record has no video id (looked for {looked})"
    tf.debugging.assert_none_equal(ids, "", message=message)
    return ids


def _first(one, two):
    """The rows of a sparse matrix; where they are empty, those of another."""
    rows = tf.cast(one.indices[:, 0], tf.int32)
    empty = tf.math.bincount(rows, minlength=tf.cast(one.dense_shape[0], tf.int32)) == 0
    kept = tf.sparse.retain(two, tf.gather(empty, two.indices[:, 0]))
    return tf.sparse.concat(1, [one, kept])


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
