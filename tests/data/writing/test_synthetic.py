"""The sample data set holds what it promises, in the published formats."""

import dataclasses
import glob
import os

import numpy as np
import pytest
import tensorflow as tf

from youtube8m.config.features import numpy_dtype
from youtube8m.data.labels.vocabulary import read_vocabulary
from youtube8m.data.writing import records, synthetic
from youtube8m.data.writing.synthetic import SampleConfig, write_sample
from youtube8m.errors import UserError

SIZES = {"rgb": 12, "audio": 6}
CONFIG = SampleConfig(
    num_classes=6,
    feature_names=tuple(SIZES),
    feature_sizes=tuple(SIZES.values()),
    num_train=150,
    num_validate=60,
    num_test=20,
    num_shards=3,
    min_frames=20,
    max_frames=60,
    one_frame_share=0.03,
    mean_labels=2.0,
)


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    return write_sample(tmp_path_factory.mktemp("sample"), CONFIG)


def serialized(pattern):
    paths = sorted(glob.glob(pattern))
    assert paths
    return [r.numpy() for r in tf.data.TFRecordDataset(paths)]


def frame_records(pattern):
    return [tf.train.SequenceExample.FromString(r) for r in serialized(pattern)]


def video_records(pattern):
    return [tf.train.Example.FromString(r) for r in serialized(pattern)]


def ints(features, key):
    if key not in features.feature:  # looking it up would add it
        return []
    return list(features.feature[key].int64_list.value)


def floats(features, key):
    return list(features.feature[key].float_list.value)


def video_id(features):
    (value,) = features.feature["id"].bytes_list.value
    return value.decode()


def frames_of(example):
    """uint8 [T, 18], the features concatenated."""
    parts = []
    for name in SIZES:
        rows = example.feature_lists.feature_list[name].feature
        values = [row.bytes_list.value[0] for row in rows]
        parts.append(np.stack([np.frombuffer(value, np.uint8) for value in values]))
    return np.concatenate(parts, axis=1)


def means_of(example):
    """float [18], the means of both features."""
    names = [f"mean_{name}" for name in SIZES]
    return np.concatenate([floats(example.features, name) for name in names])


def tree(directory):
    """Path -> content of all files."""
    found = {}
    for folder, _, names in os.walk(directory):
        for name in names:
            path = os.path.join(folder, name)
            with open(path, "rb") as file:
                found[os.path.relpath(path, directory)] = file.read()
    return found


def test_files_and_counts(files):
    root = os.path.dirname(files["vocabulary"])
    levels = [
        f"{level}/{split}{number:02d}.tfrecord"
        for level in ("frame", "video", "segment")
        for split in ("train", "validate", "test")
        for number in range(3)
        if (level, split) != ("segment", "test")
    ]
    assert sorted(tree(root)) == sorted([*levels, "vocabulary.csv"])
    assert files["num_videos"] == {"train": 150, "validate": 60, "test": 20}
    assert "segment/test" not in files
    frames = segments = 0
    for split, count in files["num_videos"].items():
        records = frame_records(files[f"frame/{split}"])
        assert len(records) == count
        frames += sum(len(frames_of(record)) for record in records)
    for split in ("train", "validate"):
        for record in frame_records(files[f"segment/{split}"]):
            segments += len(ints(record.context, "segment_labels"))
    assert (files["num_frames"], files["num_segments"]) == (frames, segments)


def test_lengths_ids_and_labels(files):
    ids = []
    for split in ("train", "validate", "test"):
        lengths = []
        for record in frame_records(files[f"frame/{split}"]):
            ids.append(video_id(record.context))
            lengths.append(len(frames_of(record)))
            labels = ints(record.context, "labels")
            assert labels == sorted(set(labels)) and set(labels) <= set(range(6))
            assert ("labels" in record.context.feature) == (split != "test")
            if lengths[-1] == 1 and split != "test":
                assert len(labels) == 1  # there is no time for more
        long = [length for length in lengths if length > 1]
        assert 20 <= min(long) < max(long) <= 60
        assert len(lengths) - len(long) == np.ceil(0.03 * len(lengths))
    assert len(set(ids)) == len(ids) == 230
    assert all(len(name) == 4 and name.isalnum() for name in ids)


@pytest.mark.parametrize("split", ["train", "validate", "test"])
def test_video_level_is_mean_of_dequantised_frames(files, split):
    frame_level = frame_records(files[f"frame/{split}"])
    video_level = video_records(files[f"video/{split}"])
    assert frame_level
    for frame, video in zip(frame_level, video_level, strict=True):
        assert video_id(frame.context) == video_id(video.features)
        assert ints(frame.context, "labels") == ints(video.features, "labels")
        assert ("labels" in video.features.feature) == (split != "test")
        values = frames_of(frame) * 4.0 / 255 + 4.0 / 512 - 2  # as published
        np.testing.assert_allclose(means_of(video), values.mean(axis=0), atol=1e-5)


def test_segments_are_rated_by_what_is_shown(files):
    """Scores follow the class's direction, found from the frames themselves."""
    directions = synthetic._directions(CONFIG)
    projections, scores = [], []
    for record in frame_records(files["segment/validate"]):
        context, frames = record.context, frames_of(record)
        starts = ints(context, "segment_start_times")
        rated = ints(context, "segment_labels")
        score = floats(context, "segment_scores")
        assert len(starts) == len(rated) == len(score)
        assert len(score) == min(5, max(1, len(frames) // 5))
        assert starts == sorted(set(starts))
        assert all(start % 5 == 0 and start < len(frames) for start in starts)
        ends = ints(context, "segment_end_times")
        assert ends == [start + 5 for start in starts]
        assert len(set(rated)) == 1 and rated[0] in ints(context, "labels")
        direction = directions[rated[0]] / (directions[rated[0]] ** 2).sum()
        values = records.dequantize(frames)
        projections += [values[s : s + 5].mean(axis=0) @ direction for s in starts]
        scores += score
    scores, projections = np.array(scores), np.array(projections)
    assert set(scores) == {0.0, 1.0} and 0.2 < scores.mean() < 0.9
    assert ((projections > 0.6) == scores).mean() > 0.85
    assert projections[scores == 1].mean() - projections[scores == 0].mean() > 0.5


def test_segment_files_hold_the_same_videos(files):
    plain = frame_records(files["frame/train"])
    rated = frame_records(files["segment/train"])
    assert plain
    for ours, theirs in zip(plain, rated, strict=True):
        assert not any(key.startswith("segment") for key in ours.context.feature)
        assert ours.feature_lists == theirs.feature_lists
        for key in ("id", "labels"):
            assert ours.context.feature[key] == theirs.context.feature[key]


def test_vocabulary_counts_the_training_labels(files):
    vocabulary = read_vocabulary(files["vocabulary"], num_classes=6)
    counts = np.zeros(6, np.int64)
    for record in video_records(files["video/train"]):
        counts[ints(record.features, "labels")] += 1
    np.testing.assert_array_equal(vocabulary.train_counts, counts)
    assert (np.diff(counts) <= 0).all() and counts[0] > 2 * counts[-1] > 0
    assert counts.sum() / 150 == pytest.approx(CONFIG.mean_labels, abs=0.3)
    assert vocabulary.names[2] == "Sample class 2"
    assert len(vocabulary.verticals) == 5
    with open(files["vocabulary"]) as file:
        assert file.readline().strip() == (
            "Index,TrainVideoCount,KnowledgeGraphId,Name,WikiUrl,"
            "Vertical1,Vertical2,Vertical3,WikiDescription"
        )


def test_least_squares_learns_it(files):
    """What a linear model learns on train holds on validate."""

    def read(split):
        records = video_records(files[f"video/{split}"])
        features = np.stack([means_of(record) for record in records])
        labels = np.zeros((len(records), 6))
        for row, record in zip(labels, records, strict=True):
            row[ints(record.features, "labels")] = 1
        return np.c_[features, np.ones(len(features))], labels

    (features, labels), (unseen, expected) = read("train"), read("validate")
    weights = np.linalg.lstsq(features, labels, rcond=None)[0]
    best = (unseen @ weights).argmax(axis=1)
    hit = expected[np.arange(len(best)), best].mean()
    # Without looking, the most frequent class is the best guess.
    assert hit > 0.9 > 0.75 > expected[:, 0].mean()


def test_same_config_same_files(tmp_path):
    config = dataclasses.replace(CONFIG, num_train=6, num_validate=4, num_test=2)
    write_sample(tmp_path / "a", config)
    write_sample(tmp_path / "b", config)
    write_sample(tmp_path / "b", config)  # over its own files
    write_sample(tmp_path / "c", dataclasses.replace(config, seed=1))
    a, b, c = (tree(tmp_path / name) for name in "abc")
    assert a == b
    assert a.keys() == c.keys()
    assert all(a[path] != c[path] for path in a if path.endswith(".tfrecord"))


@pytest.mark.parametrize("stored", ["float16", "bfloat16", "float32"])
def test_frames_of_floats_are_those_of_the_bytes(tmp_path, stored):
    config = dataclasses.replace(CONFIG, num_train=5, num_validate=0, num_test=0)
    of_bytes = write_sample(tmp_path / "bytes", config)
    config = dataclasses.replace(config, feature_dtype=stored)
    of_floats = write_sample(tmp_path / "floats", config)
    for one, two, video in zip(
        frame_records(of_bytes["frame/train"]),
        frame_records(of_floats["frame/train"]),
        video_records(of_floats["video/train"]),
        strict=True,
    ):
        rows = two.feature_lists.feature_list["rgb"].feature
        values = [row.bytes_list.value[0] for row in rows]
        values = np.stack([np.frombuffer(v, numpy_dtype(stored)) for v in values])
        values = values.astype(np.float32)
        expected = records.dequantize(frames_of(one)[:, : SIZES["rgb"]])
        np.testing.assert_allclose(np.clip(values, -2, 2), expected, atol=0.03)
        means = floats(video.features, "mean_rgb")
        np.testing.assert_allclose(means, values.mean(axis=0), atol=1e-5)


def test_progress_and_empty_splits(tmp_path):
    config = dataclasses.replace(CONFIG, num_train=2, num_validate=0, num_test=1)
    calls = []
    files = write_sample(tmp_path, config, progress=lambda *call: calls.append(call))
    assert calls == [(1, 3), (2, 3), (3, 3)]
    assert "frame/validate" not in files
    # Never more shards than videos: an empty file would look like damage.
    assert len(glob.glob(files["frame/train"])) == 2
    assert len(glob.glob(files["frame/test"])) == 1


def test_another_vocabulary_is_not_overwritten(tmp_path):
    path = tmp_path / "vocabulary.csv"
    path.write_text("Index,Name\n0,Game\n")
    with pytest.raises(UserError, match="vocabulary.csv: is no sample's, and would be"):
        write_sample(tmp_path, SampleConfig(num_train=1, num_validate=0, num_test=0))
    assert path.read_text() == "Index,Name\n0,Game\n"
    assert os.listdir(tmp_path) == ["vocabulary.csv"]


def test_refuses_to_mix_samples(tmp_path):
    config = dataclasses.replace(CONFIG, num_train=4, num_validate=0, num_test=0)
    write_sample(tmp_path, config)
    before = tree(tmp_path)
    with pytest.raises(UserError, match=r"train02\.tfrecord: belongs to another"):
        write_sample(tmp_path, dataclasses.replace(config, num_shards=2))
    assert tree(tmp_path) == before


@pytest.mark.parametrize(
    "wrong",
    [
        {"num_classes": 0},
        {"feature_sizes": (12,)},
        {"num_test": -1},
        {"num_shards": 0},
        {"min_frames": 61},
        {"one_frame_share": 1.5},
        {"mean_labels": 0.5},
        {"noise": -0.1},
    ],
)
def test_wrong_config_names_the_flag(wrong):
    with pytest.raises(UserError, match=f"--{next(iter(wrong))}"):
        dataclasses.replace(CONFIG, **wrong)


def test_quantisation():
    levels = np.arange(256, dtype=np.uint8)
    values = records.dequantize(levels)
    assert values.dtype == np.float32
    np.testing.assert_allclose(values, levels * 4.0 / 255 + 4 / 512 - 2, atol=1e-6)
    # The published offset is not quite half a step: 255 lies just above 2.
    np.testing.assert_array_equal(records.quantize(values), levels)
    inside = np.random.default_rng(0).uniform(-2, 2, 1000)
    error = records.dequantize(records.quantize(inside)) - inside
    assert np.abs(error).max() <= 4 / 255 / 2 + 1e-4
    np.testing.assert_array_equal(records.quantize(np.array([-9.0, 9.0])), [0, 255])


def test_frame_example():
    frames = np.arange(6, dtype=np.uint8).reshape(3, 2)
    segments = [(0, 4, 1.0), records.RatedSegment(5, 4, 0.0)]
    example = records.frame_example(
        "aAbc", [4, 7], {"rgb": frames}, segments, id_key="video_id"
    )
    example = tf.train.SequenceExample.FromString(example.SerializeToString())
    context = example.context
    assert context.feature["video_id"].bytes_list.value == [b"aAbc"]
    assert ints(context, "labels") == [4, 7]
    rows = example.feature_lists.feature_list["rgb"].feature
    assert [row.bytes_list.value[0] for row in rows] == [b"\0\1", b"\2\3", b"\4\5"]
    assert ints(context, "segment_start_times") == [0, 5]
    assert ints(context, "segment_end_times") == [5, 10]
    assert ints(context, "segment_labels") == [4, 4]
    assert floats(context, "segment_scores") == [1.0, 0.0]
    bare = records.frame_example("aAbc", None, {"rgb": frames})
    assert set(bare.context.feature) == {"id"}
    with pytest.raises(ValueError, match="float32"):
        records.frame_example("aAbc", [], {"rgb": frames.astype(np.float32)})


def test_video_example():
    means = {"mean_rgb": np.float32([0.5, -1.25])}
    example = records.video_example("aAbc", [3], means)
    example = tf.train.Example.FromString(example.SerializeToString())
    assert video_id(example.features) == "aAbc"
    assert ints(example.features, "labels") == [3]
    assert floats(example.features, "mean_rgb") == [0.5, -1.25]
    bare = records.video_example("aAbc", None, means, id_key="video_id")
    assert set(bare.features.feature) == {"video_id", "mean_rgb"}
    with pytest.raises(ValueError, match="shape"):
        records.video_example("aAbc", [], {"mean_rgb": np.zeros((2, 2))})


def test_write_records_leaves_old_file_when_it_fails(tmp_path):
    path = tmp_path / "train.tfrecord"
    example = records.video_example("aAbc", [3], {})
    records.write_records(path, [example, b"raw"])
    first, second = serialized(str(path))
    assert tf.train.Example.FromString(first) == example and second == b"raw"

    def failing():
        yield example
        raise RuntimeError("the disk is full")

    before = path.read_bytes()
    with pytest.raises(RuntimeError):
        records.write_records(path, failing())
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["train.tfrecord"]


def test_the_home_directory_has_its_short_name(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    written = write_sample("~/sample", CONFIG)
    assert written["vocabulary"] == f"{tmp_path}/home/sample/vocabulary.csv"
    records.write_records("~/own.tfrecord", [b"one"])
    assert [path.name for path in tmp_path.iterdir()] == ["home"]
    with pytest.raises(UserError, match="--directory=gs://.*remote stores are not"):
        write_sample("gs://bucket/sample", CONFIG)
