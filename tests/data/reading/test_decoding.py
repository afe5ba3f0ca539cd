"""Records become the batches promised, and bad ones are named, not guessed at."""

import dataclasses
import gc

import numpy as np
import pytest
import tensorflow as tf

from tests.helpers.decoding import decode_records
from youtube8m.config import DataConfig
from youtube8m.data.reading import buffers, frame_sampling, pipeline
from youtube8m.data.reading.batch import batch_signature, record_signature
from youtube8m.data.reading.damage import Damage
from youtube8m.data.writing.records import frame_example, video_example
from youtube8m.errors import UserError
from youtube8m.layers.inputs import dequantize

CLASSES = 20
FRAME = DataConfig(("rgb", "audio"), (4, 2), frame_features=True, num_classes=CLASSES)
VIDEO = DataConfig(("mean_rgb", "mean_audio"), (4, 2), num_classes=CLASSES)


class SegmentConfig(DataConfig):
    """Of records that are read as their rated segments."""


SEGMENT = SegmentConfig(**dataclasses.asdict(FRAME))


def frames(rng, length, sizes=(4, 2)):
    """{name: uint8 [length, size]}; never zero, to be told from padding."""
    return {
        name: rng.integers(1, 256, (length, size), np.uint8)
        for name, size in zip(("rgb", "audio"), sizes, strict=True)
    }


def joined(features):
    return np.concatenate([features["rgb"], features["audio"]], axis=1)


def means(rng, sizes=(4, 2)):
    return {
        name: rng.normal(size=size).astype(np.float32)
        for name, size in zip(("mean_rgb", "mean_audio"), sizes, strict=True)
    }


def decode(config, examples, labels=True, damage=None, draws=None, crop_starts=()):
    damage = damage or Damage(strict=True)
    segments = config.__class__ is SegmentConfig
    decoder = pipeline.decoder_for(config, labels, damage, crop_starts, segments)
    serialized = [
        e if isinstance(e, bytes) else e.SerializeToString() for e in examples
    ]
    return decode_records(decoder, serialized, draws)


def problem(config, example, labels=True):
    """What is said of a record that cannot be used; a sound one beside it is kept."""
    rng = np.random.default_rng(9)
    sound = {
        FRAME: lambda: frame_example("good", [1], frames(rng, 3)),
        VIDEO: lambda: video_example("good", [1], means(rng)),
        SEGMENT: lambda: frame_example("good", [1], frames(rng, 9), [(0, 1, 1.0)]),
    }[config]()
    damage = Damage()
    batch = decode(config, [example, sound], labels, damage)
    assert batch["id"].tolist() == [b"good"]
    assert damage.lost == 1
    ((path, (what,)),) = damage.reports.items()
    assert path == "x.tfrecord" and what.startswith("record 0 ") and "\n" not in what
    return what.removeprefix("record 0 ")


# Sound records.


@pytest.mark.parametrize("id_key", ["id", "video_id"])
def test_frame_level_batches(id_key):
    rng = np.random.default_rng(0)
    content = [frames(rng, length) for length in (3, 7, 1)]
    labels = [[5], [9, 2, 5, 2], []]
    batch = decode(
        FRAME,
        [
            frame_example(f"v{i}", labels[i], content[i], id_key=id_key)
            for i in range(3)
        ],
    )
    assert batch["id"].tolist() == [b"v0", b"v1", b"v2"]
    assert batch["num_frames"].tolist() == [3, 7, 1]
    assert batch["frames"].dtype == np.uint8 and batch["frames"].shape == (3, 7, 6)
    for row, features in zip(batch["frames"], content, strict=True):
        length = len(features["rgb"])
        np.testing.assert_array_equal(row[:length], joined(features))
        assert not row[length:].any()
    # Doubles count once; rows are sorted and padded with -1.
    assert batch["labels"].tolist() == [[5, -1, -1], [2, 5, 9], [-1, -1, -1]]
    types = {batch[name].dtype for name in ("labels", "num_frames")}
    assert types == {np.dtype(np.int32)}


@pytest.mark.parametrize("id_key", ["id", "video_id"])
def test_video_level_batches(id_key):
    rng = np.random.default_rng(1)
    content = [means(rng) for _ in range(3)]
    examples = [
        video_example(f"v{i}", [i], features, id_key=id_key)
        for i, features in enumerate(content)
    ]
    batch = decode(VIDEO, examples)
    assert batch["id"].tolist() == [b"v0", b"v1", b"v2"]
    expected = [np.concatenate([c["mean_rgb"], c["mean_audio"]]) for c in content]
    assert batch["features"].dtype == np.float32
    np.testing.assert_array_equal(batch["features"], expected)
    assert batch["labels"].tolist() == [[0], [1], [2]]
    assert batch.keys() == {"id", "features", "labels"}


def test_features_follow_the_order_of_the_flag_and_others_are_left_out():
    content = {
        **frames(np.random.default_rng(2), 4),
        "extra": np.ones((2, 9), np.uint8),
    }
    example = frame_example("v", [1], content)
    swapped = DataConfig(("audio", "rgb"), (2, 4), frame_features=True)
    expected = np.concatenate([content["audio"], content["rgb"]], axis=1)
    np.testing.assert_array_equal(decode(swapped, [example])["frames"][0], expected)
    alone = DataConfig(("audio",), (2,), frame_features=True)
    np.testing.assert_array_equal(
        decode(alone, [example])["frames"][0], content["audio"]
    )


def test_id_is_preferred_to_video_id():
    example = frame_example("old", [1], frames(np.random.default_rng(0), 2), None, "id")
    example.context.feature["video_id"].bytes_list.value.append(b"new")
    assert decode(FRAME, [example])["id"].tolist() == [b"old"]


def test_videos_are_cut_to_max_frames():
    content = [frames(np.random.default_rng(3), length) for length in (4, 5, 6, 20)]
    config = dataclasses.replace(FRAME, max_frames=5)
    batch = decode(config, [frame_example("v", [1], c) for c in content])
    assert batch["num_frames"].tolist() == [4, 5, 5, 5]
    assert batch["frames"].shape == (4, 5, 6)
    np.testing.assert_array_equal(batch["frames"][3], joined(content[3])[:5])


@pytest.mark.parametrize("draw", [None, 2**40 + 5, 2**63 - 1])
@pytest.mark.parametrize(
    "scheme", ["all", "crop", "interval", "windows", "random", "run"]
)
def test_all_modalities_have_the_same_frames(scheme, draw):
    config = dataclasses.replace(FRAME, frame_sampling=scheme, skip_frames=3)
    for length in (1, 4, 21, 301):
        content = frames(np.random.default_rng(length), length)
        example = frame_example("v", [1], content)
        draws = None if draw is None else np.array([draw])
        batch = decode(config, [example], draws=draws)
        chosen = np.asarray(frame_sampling.sample(config, length, draw))
        np.testing.assert_array_equal(batch["frames"][0], joined(content)[chosen])
        assert batch["num_frames"].tolist() == [len(chosen)]


def test_crops_of_a_record_lie_side_by_side():
    config = dataclasses.replace(FRAME, frame_sampling="crop", crop_stride=3)
    content = [frames(np.random.default_rng(9), length) for length in (7, 2)]
    examples = [frame_example(f"v{i}", [i], c) for i, c in enumerate(content)]
    examples.insert(1, b"\xff")
    batch = decode(config, examples, damage=Damage(), crop_starts=(0, 2))
    assert batch["id"].tolist() == [b"v0", b"v0", b"v1", b"v1"]
    assert batch["num_frames"].tolist() == [3, 2, 1, 1]
    assert batch["labels"].tolist() == [[0], [0], [1], [1]]
    np.testing.assert_array_equal(batch["frames"][0], joined(content[0])[0::3])
    np.testing.assert_array_equal(batch["frames"][1, :2], joined(content[0])[2::3])
    np.testing.assert_array_equal(batch["frames"][2:, 0], joined(content[1]))


@pytest.mark.parametrize("scheme", ["crop", "interval"])
def test_released_crops_draw_for_each_modality(scheme):
    """Short ones: a crop counts 45 frames, an interval those of the first feature."""
    config = dataclasses.replace(FRAME, frame_sampling=scheme, released_crops=True)
    content = frames(np.random.default_rng(1), 12)
    draws = frame_sampling.draws(3, range(50))
    batch = decode(config, [frame_example("v", [1], content)] * 50, draws=draws)
    apart = 0
    for row, count, draw in zip(
        batch["frames"], batch["num_frames"], draws.tolist(), strict=True
    ):
        own = frame_sampling.draws(draw, [0, 1]).tolist()
        rgb, audio = (list(frame_sampling.sample(config, 12, bits)) for bits in own)
        apart += rgb[0] != audio[0] if rgb and audio else 1
        assert count == (45 if scheme == "crop" else len(rgb))
        expected = np.zeros_like(row)
        expected[: len(rgb), :4] = dequantize(content["rgb"][rgb])
        audio = audio[:count]
        expected[: len(audio), 4:] = dequantize(content["audio"][audio])
        np.testing.assert_allclose(row, expected, rtol=1e-6)
    assert apart > 25


@pytest.mark.parametrize("config", [FRAME, VIDEO])
def test_labels_are_needed_only_where_asked_for(config):
    rng = np.random.default_rng(0)
    example = (
        frame_example("v", None, frames(rng, 2))
        if config is FRAME
        else video_example("v", None, means(rng))
    )
    batch = decode(config, [example], labels=False)
    assert batch["id"].tolist() == [b"v"] and "labels" not in batch
    assert "has no 'labels'" in problem(config, example)


def test_labels_are_not_looked_at_where_not_asked_for():
    example = frame_example("v", [CLASSES + 5], frames(np.random.default_rng(0), 2))
    assert decode(FRAME, [example], labels=False)["id"].tolist() == [b"v"]


@pytest.mark.parametrize("config", [FRAME, VIDEO, SEGMENT])
@pytest.mark.parametrize("labels", [True, False])
@pytest.mark.parametrize("count", [0, 1])
def test_batches_have_the_keys_and_types_of_the_signature(config, labels, count):
    rng = np.random.default_rng(0)
    example = (
        video_example("v", [1], means(rng))
        if config is VIDEO
        else frame_example("v", [1], frames(rng, 6), [(0, 1, 1.0)])
    )
    batch = decode(config, [example] * count, labels)
    signature = record_signature(config, labels, segments=config is SEGMENT)
    assert batch_signature(batch) == signature
    assert all(len(value) == count for value in batch.values())


# Segments.


def test_segments_are_one_example_per_start_in_order_of_appearance():
    content = frames(np.random.default_rng(4), 23)
    rated = [(20, 3, 1.0), (5, 3, 0.0), (20, 1, 0.0), (20, 7, 1.0), (5, 3, 0.0)]
    unrated = frame_example("none", [3], frames(np.random.default_rng(5), 9), [])
    examples = [frame_example("v", [3], content, rated), unrated]
    batch = decode(SEGMENT, examples)
    assert batch["id"].tolist() == [b"v", b"v"]
    assert batch["segment_start"].tolist() == [20, 5]
    assert batch["num_frames"].tolist() == [3, 5]  # the video ends at 23
    assert batch["labels"].tolist() == [[3, 7], [-1, -1]]
    assert batch["rated"].tolist() == [[1, 3, 7], [3, -1, -1]]
    whole = joined(content)
    np.testing.assert_array_equal(batch["frames"][0, :3], whole[20:23])
    assert not batch["frames"][0, 3:].any()
    np.testing.assert_array_equal(batch["frames"][1], whole[5:10])


def test_max_frames_cuts_segments_not_the_video_they_come_from():
    content = frames(np.random.default_rng(4), 20)
    config = dataclasses.replace(SEGMENT, max_frames=3)
    batch = decode(config, [frame_example("v", [3], content, [(15, 2, 1.0)])])
    np.testing.assert_array_equal(batch["frames"][0], joined(content)[15:18])


def test_segments_of_a_single_feature():
    content = {"rgb": frames(np.random.default_rng(4), 9)["rgb"]}
    config = SegmentConfig(("rgb",), (4,), frame_features=True, num_classes=CLASSES)
    batch = decode(config, [frame_example("v", [3], content, [(5, 3, 1.0)])])
    assert batch["segment_start"].tolist() == [5]
    np.testing.assert_array_equal(batch["frames"][0, :4], content["rgb"][5:])


@pytest.mark.parametrize("start", [-5, 10, 2**40])
def test_segments_beyond_the_frames_are_refused(start):
    content = frames(np.random.default_rng(0), 10)
    example = frame_example("v", [1], content, [(0, 1, 1.0), (start, 1, 1.0)])
    assert f"rates a segment at {start}, beyond" in problem(SEGMENT, example)


@pytest.mark.parametrize("start", [-1, -5, -7, -12])
def test_segments_before_the_first_frame_are_refused(start):
    """Some of these starts name frames, counted from the end."""
    content = frames(np.random.default_rng(0), 10)
    found = len(content["rgb"][start : start + 5])
    assert found == {-1: 0, -5: 0, -7: 5, -12: 3}[start]
    example = frame_example("v", [1], content, [(0, 1, 1.0), (start, 1, 1.0)])
    assert f"rates a segment at {start}, beyond" in problem(SEGMENT, example)


def test_the_last_frame_is_a_segment():
    content = frames(np.random.default_rng(0), 11)
    batch = decode(SEGMENT, [frame_example("v", [1], content, [(10, 1, 1.0)])])
    assert batch["num_frames"].tolist() == [1]
    np.testing.assert_array_equal(batch["frames"][0, :1], joined(content)[10:])


def test_only_ratings_above_zero_say_that_a_class_is_present():
    content = frames(np.random.default_rng(0), 9)
    ratings = [(5, 1, -1.0), (5, 2, 0.0), (5, 3, 1.0), (5, 4, 0.25), (0, 3, -1.0)]
    batch = decode(SEGMENT, [frame_example("v", [7], content, ratings)])
    assert batch["segment_start"].tolist() == [5, 0]
    assert batch["rated"].tolist() == [[1, 2, 3, 4], [3, -1, -1, -1]]
    assert batch["labels"].tolist() == [[3, 4], [-1, -1]]


@pytest.mark.parametrize("key", ["start_times", "labels", "scores"])
def test_segment_lists_that_are_missing_or_unequal_are_refused(key):
    content = frames(np.random.default_rng(0), 10)
    example = frame_example("v", [1], content, [(0, 1, 1.0), (5, 1, 1.0)])
    example.context.feature[f"segment_{key}"].Clear()
    assert "unequal lengths" in problem(SEGMENT, example)
    del example.context.feature[f"segment_{key}"]
    assert f"has no 'segment_{key}'" in problem(SEGMENT, example)


@pytest.mark.parametrize("score", [np.nan, np.inf, -np.inf])
def test_ratings_that_are_not_finite_are_refused(score):
    """A comparison would take them for present, or for absent."""
    content = frames(np.random.default_rng(0), 10)
    ratings = [(0, 1, 1.0), (5, 1, float(score))]
    example = frame_example("v", [1], content, ratings)
    assert "'segment_scores' holds values that are not" in problem(SEGMENT, example)


# Records that cannot be used.


def test_a_record_that_is_no_message_is_refused():
    for junk in (b"\xff\xff", b"VideoId,LabelConfidencePairs\n"):
        assert problem(FRAME, junk)


@pytest.mark.parametrize("config", [FRAME, VIDEO])
def test_records_without_one_id_are_refused(config):
    rng = np.random.default_rng(0)
    example = (
        frame_example("v", [1], frames(rng, 2), id_key="name")
        if config is FRAME
        else video_example("v", [1], means(rng), id_key="name")
    )
    assert "no video id (looked for id and video_id)" in problem(config, example)


def test_missing_features_are_named_with_those_there():
    rng = np.random.default_rng(0)
    rgb = {"rgb": frames(rng, 3)["rgb"], "flow": np.ones((3, 2), np.uint8)}
    what = problem(FRAME, frame_example("v", [1], rgb))
    assert "no frame-level feature 'audio' (it has: flow, rgb)" in what
    assert "--feature_names" in what
    mean = {"mean_rgb": means(rng)["mean_rgb"]}
    what = problem(VIDEO, video_example("v", [1], mean))
    assert "no video-level feature 'mean_audio' (it has: mean_rgb)" in what


def test_the_other_record_level_is_recognised():
    rng = np.random.default_rng(0)
    video = video_example("v", [1], means(rng))
    assert "is video-level, not frame-level; drop --frame_features" in problem(
        FRAME, video
    )
    frame = frame_example("v", [1], frames(rng, 3))
    assert "is frame-level, not video-level; add --frame_features" in problem(
        VIDEO, frame
    )


@pytest.mark.parametrize("size", [1, 3, 5])
def test_features_of_another_size_are_refused(size):
    rng = np.random.default_rng(0)
    what = problem(FRAME, frame_example("v", [1], frames(rng, 3, (size, 2))))
    assert f"'rgb' holds a frame of {size} bytes where 4 belong" in what
    assert "--feature_sizes" in what
    what = problem(VIDEO, video_example("v", [1], means(rng, (size, 2))))
    assert f"'mean_rgb' holds {size} values where 4 belong" in what
    assert "--feature_sizes" in what


def test_one_uneven_frame_among_even_ones_is_refused():
    example = frame_example("v", [1], frames(np.random.default_rng(0), 5))
    rows = example.feature_lists.feature_list["rgb"].feature
    rows[3].bytes_list.value[0] = b"abc"
    assert "a frame of 3 bytes where 4 belong" in problem(FRAME, example)


def test_what_helps_with_values_of_another_kind_is_said():
    rng = np.random.default_rng(0)
    frame = frame_example("v", [1], frames(rng, 2))
    for row in frame.feature_lists.feature_list["rgb"].feature:
        row.bytes_list.value[0] = np.ones(4).tobytes()
    assert "float64 values, which are not read" in problem(FRAME, frame)
    for row in frame.feature_lists.feature_list["rgb"].feature:
        row.int64_list.value.extend(range(4))
    assert "frames of integers are not read: write" in problem(FRAME, frame)
    labels = frame_example("v", None, frames(rng, 2))
    assert "its keys are id: see --labels_key" in problem(FRAME, labels)
    labels.context.feature["labels"].bytes_list.value.append(b"Game")
    assert "labels are class ids, int64" in problem(FRAME, labels)


def test_values_of_another_kind_are_refused():
    rng = np.random.default_rng(0)
    frame = frame_example("v", [1], frames(rng, 2))
    for row in frame.feature_lists.feature_list["rgb"].feature:
        row.float_list.value.extend([1.0] * 4)
    what = problem(FRAME, frame)
    assert "'rgb' holds a float_list where a bytes_list belongs" in what
    video = video_example("v", [1], means(rng))
    video.features.feature["mean_rgb"].bytes_list.value.append(bytes(16))
    what = problem(VIDEO, video)
    assert "'mean_rgb' holds a bytes_list where a float_list belongs" in what
    labels = frame_example("v", None, frames(rng, 2))
    labels.context.feature["labels"].float_list.value.append(1.0)
    assert "'labels' holds a float_list" in problem(FRAME, labels)


def test_modalities_of_unequal_length_are_refused():
    rng = np.random.default_rng(0)
    content = {"rgb": frames(rng, 4)["rgb"], "audio": frames(rng, 3)["audio"]}
    what = problem(FRAME, frame_example("v", [1], content))
    assert "unequal or no frames: rgb 4, audio 3" in what


def test_videos_without_frames_are_refused():
    example = frame_example("v", [1], {})
    for name in ("rgb", "audio"):
        example.feature_lists.feature_list[name].SetInParent()
    assert "unequal or no frames: rgb 0, audio 0" in problem(FRAME, example)


@pytest.mark.parametrize("label", [CLASSES, -1, 2**62])
@pytest.mark.parametrize("config", [FRAME, VIDEO, SEGMENT])
def test_a_label_out_of_range_ends_the_run(config, label):
    rng = np.random.default_rng(0)
    example = {
        FRAME: lambda: frame_example("v", [3, label], frames(rng, 2)),
        VIDEO: lambda: video_example("v", [3, label], means(rng)),
        SEGMENT: lambda: frame_example("v", [3], frames(rng, 9), [(0, label, 1.0)]),
    }[config]()
    damage = Damage()
    with pytest.raises(UserError):
        decode(config, [example], damage=damage)
    with pytest.raises(UserError) as error:
        damage.check()
    message = str(error.value)
    assert message.startswith("x.tfrecord: record 0 has ") and "\n" not in message
    assert f"entry {label}, but --num_classes={CLASSES} allows 0 to 19" in message


def test_the_largest_label_is_in_range():
    example = frame_example("v", [0, CLASSES - 1], frames(np.random.default_rng(0), 2))
    assert decode(FRAME, [example])["labels"].tolist() == [[0, CLASSES - 1]]


# Buffers.


def test_buffers_are_aligned_and_shaped():
    pool = buffers.BufferPool()
    for shape, dtype in (
        ((3, 5), np.uint8),
        ((7, 2, 3), np.float32),
        ((0, 4), np.uint8),
    ):
        array = pool.empty(shape, dtype)
        assert array.shape == shape and array.dtype == dtype
        # numpy may point an empty array anywhere.
        assert array.size == 0 or array.ctypes.data % 64 == 0
        assert array.flags.writeable


def overlap(first, second):
    return np.shares_memory(first, second)


def test_buffers_in_use_are_not_handed_out():
    pool = buffers.BufferPool()
    held = [pool.empty((50,), np.uint8) for _ in range(4)]
    for index, array in enumerate(held):
        assert not any(overlap(array, other) for other in held[:index])
    # Neither a view nor a tensor that took over the memory may lose its buffer.
    held[1] = held[1][10:20]
    held[2] = tf.convert_to_tensor(held[2])
    tensor_view = np.asarray(memoryview(held[2]))
    fresh = [pool.empty((50,), np.uint8) for _ in range(4)]
    for array in fresh:
        for other in (held[0], held[1], tensor_view, held[3]):
            assert not overlap(array, other)


def test_released_buffers_are_used_again_and_grow():
    pool = buffers.BufferPool()
    array = pool.empty((50,), np.uint8)
    address = array.ctypes.data
    del array
    gc.collect()
    array = pool.empty((40,), np.uint8)
    assert array.ctypes.data == address
    del array
    assert pool.empty((5000,), np.uint8).size == 5000
    assert len(pool._unused) == 1


def test_batches_held_by_the_user_stay_as_they_were():
    rng = np.random.default_rng(6)
    decoder = pipeline.decoder_for(FRAME, True, Damage(strict=True))
    held = []
    for index in range(12):
        content = [frames(rng, int(rng.integers(1, 9))) for _ in range(3)]
        data = [frame_example("v", [1], c).SerializeToString() for c in content]
        batch = decode_records(decoder, data)
        if index % 3:  # and some are let go, for their buffers to be used again
            held.append((batch, content))
    for batch, content in held:
        for row, features in zip(batch["frames"], content, strict=True):
            length = len(features["rgb"])
            np.testing.assert_array_equal(row[:length], joined(features))
            assert not row[length:].any()
