"""Batches in a known order, each record once an epoch, resumable at any batch."""

import collections
import dataclasses
import os
import weakref
import zlib

import numpy as np
import pytest
import tensorflow as tf

from tests.helpers import processes
from youtube8m.config import DataConfig
from youtube8m.data.reading.damage import Damage
from youtube8m.data.reading.pipeline import Shards
from youtube8m.data.reading.tfrecord import RecordReader, walk
from youtube8m.data.writing.records import frame_example, video_example, write_records
from youtube8m.errors import UserError

CONFIG = DataConfig(("rgb", "audio"), (4, 2), frame_features=True, num_classes=20)
COUNTS = (13, 5, 9, 10)  # records of each file
TOTAL = sum(COUNTS)


def content(video_id, length=None):
    """The frames of a video, uint8 [T, 6]: a function of its id, never zero."""
    rng = np.random.default_rng(zlib.crc32(video_id.encode()))
    length = int(rng.integers(1, 12)) if length is None else length
    return rng.integers(1, 256, (length, 6), np.uint8)


def example(video_id, labels=(1, 2), **kwargs):
    frames = content(video_id, kwargs.pop("length", None))
    features = {"rgb": frames[:, :4], "audio": frames[:, 4:]}
    return frame_example(video_id, labels, features, **kwargs)


def names(file):
    return [f"f{file}r{index}" for index in range(COUNTS[file])]


ALL_NAMES = [name for file in range(len(COUNTS)) for name in names(file)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("shards")
    for file in range(len(COUNTS)):
        write_records(folder / f"{file}.tfrecord", map(example, names(file)))
    return folder


@pytest.fixture
def found(folder):
    return Shards.open(f"{folder}/*.tfrecord", "--train_data_pattern", CONFIG)


def ids(batch):
    return [video_id.decode() for video_id in batch["id"].numpy()]


def in_order(shards, dataset):
    return [video_id for batch in shards.iterate(dataset) for video_id in ids(batch)]


def training(shards, batch_size=8, seed=0, num_epochs=2, **kwargs):
    return shards.training_batches(batch_size, seed, num_epochs, **kwargs)


def check_batch(batch):
    """A batch holds exactly the frames that its ids say."""
    assert batch["frames"].dtype == tf.uint8
    assert batch["num_frames"].dtype == batch["labels"].dtype == tf.int32
    rows = zip(ids(batch), batch["frames"].numpy(), batch["num_frames"], strict=True)
    for video_id, frames, length in rows:
        expected = content(video_id)
        assert length == len(expected)
        np.testing.assert_array_equal(frames[:length], expected)
        assert not frames[length:].any()


# Opening.


def open_error(pattern, config=CONFIG, **kwargs):
    with pytest.raises(UserError) as error:
        Shards.open(str(pattern), "--eval_data_pattern", config, **kwargs)
    message = str(error.value)
    assert "\n" not in message
    return message


def test_a_glob_without_a_match_names_the_flag(tmp_path):
    message = open_error(tmp_path / "*.tfrecord")
    assert message.startswith(f"--eval_data_pattern={tmp_path}/*.tfrecord: no file")


def test_no_glob_at_all_is_told():
    with pytest.raises(UserError, match="--train_data_pattern=,: names no file"):
        Shards.open(",", "--train_data_pattern", CONFIG)


def test_a_file_of_another_format_is_named(tmp_path):
    path = tmp_path / "x.csv"
    path.write_text("VideoId,LabelConfidencePairs\n" * 9)
    message = open_error(path)
    assert message.startswith(f"{path}: not a TFRecord file") and "expected" in message


def test_files_without_records_are_named(tmp_path):
    for name in ("a", "b"):
        write_records(tmp_path / name, [])
    message = open_error(tmp_path / "*")
    assert message.startswith(f"{tmp_path}/a: holds no records")


def test_the_wrong_level_size_name_or_classes_name_file_and_remedy(folder, tmp_path):
    frame, first = f"{folder}/*.tfrecord", f"{folder}/0.tfrecord: record 0 "
    replace = dataclasses.replace
    for config, what in (
        (replace(CONFIG, frame_features=False), "add --frame_features"),
        (replace(CONFIG, feature_sizes=(5, 2)), "check --feature_sizes"),
        (replace(CONFIG, feature_names=("rgb", "flow")), "see --feature_names"),
        (replace(CONFIG, num_classes=2), "set --num_classes"),
    ):
        message = open_error(frame, config)
        assert message.startswith(first) and what in message
    message = open_error(frame, segments=True)
    assert message.startswith(first) and "not a record of rated segments" in message
    video = video_example("v", [1], {"mean_rgb": np.ones(4)})
    write_records(tmp_path / "video", [video])
    assert "drop --frame_features" in open_error(tmp_path / "video")


def test_an_empty_shard_beside_others_costs_nothing(folder, tmp_path):
    write_records(tmp_path / "empty", [])
    pattern = f"{tmp_path}/empty,{folder}/*.tfrecord"
    shards = Shards.open(pattern, "--flag", CONFIG)
    batches = shards.iterate(shards.ordered_batches(64))
    assert sum(len(batch["id"]) for batch in batches) == TOTAL
    assert shards.damage.lost == 0
    assert shards.damage.reports == {f"{tmp_path}/empty": {"is empty"}}


VIDEOS = DataConfig(("mean_rgb", "mean_audio"), (3, 2), num_classes=20)


def unmeant(tmp_path, monkeypatch, records, config=VIDEOS, **values):
    """The warnings of the first records, without the path."""
    found = []
    monkeypatch.setattr("absl.logging.warning", lambda text, *v: found.append(text % v))
    write_records(tmp_path / "x", records)
    Shards.open(str(tmp_path / "x"), "--flag", config, **values)
    return [text.removeprefix(f"{tmp_path}/x: the first ") for text in found]


def video(number, name=None, labels=None, audio=None):
    rng = np.random.default_rng(number)
    features = {"mean_rgb": rng.normal(size=3), "mean_audio": rng.normal(size=2)}
    if audio is not None:
        features["mean_audio"][:] = audio
    labels = [number % 3] if labels is None else labels
    return video_example(name or f"v{number}", labels, features)


@pytest.mark.parametrize(
    "values, told",
    [
        ({}, []),
        ({"audio": 0.0}, ["8 records have 0.0 everywhere in feature 'mean_audio'"]),
        ({"labels": [2, 1]}, ["8 records have the same labels, [1, 2]"]),
        ({"name": "a"}, ["8 records have the same id, b'a'"]),
    ],
)
def test_videos_that_cannot_be_meant_are_told(tmp_path, monkeypatch, values, told):
    records = [video(number, **values) for number in range(12)]
    assert unmeant(tmp_path, monkeypatch, records) == told
    assert unmeant(tmp_path, monkeypatch, [*records[:7], video(8)]) == []
    for few in (1, 2):  # say nothing, but of features that never change
        told = [text.replace("8", "2") for text in told if "everywhere" in text]
        expected = told if few == 2 else []
        assert unmeant(tmp_path, monkeypatch, records[:few]) == expected


def test_frames_that_never_change_are_told(tmp_path, monkeypatch):
    frames = {"rgb": np.full((3, 4), 7, np.uint8), "audio": content("a")[:, 4:]}
    frames["audio"] = np.resize(frames["audio"], (3, 2))
    records = [frame_example(f"v{n}", [n % 3], frames) for n in range(8)]
    told = unmeant(tmp_path, monkeypatch, records, CONFIG)
    assert told == ["8 records have 7 everywhere in feature 'rgb'"]


def test_one_class_is_no_reason_for_a_warning(tmp_path, monkeypatch):
    config = dataclasses.replace(VIDEOS, num_classes=1)
    records = [video(number, labels=[0]) for number in range(12)]
    assert unmeant(tmp_path, monkeypatch, records, config) == []
    assert unmeant(tmp_path, monkeypatch, records, labels=False) == []


@pytest.mark.parametrize(
    "label, advice",
    [
        (-1, "leave it out"),
        (20, "classes, or count classes from 0 where the records are written"),
        (21, "set --num_classes to the data set's number of classes"),
    ],
)
def test_a_wrong_label_is_told_with_what_helps(tmp_path, label, advice):
    write_records(tmp_path / "x", [video(0, labels=[label])])
    with pytest.raises(UserError, match=f"entry {label}, .* 0 to 19; .*{advice}"):
        Shards.open(str(tmp_path / "x"), "--flag", VIDEOS)


def test_records_without_labels_open_for_inference_only(tmp_path):
    write_records(tmp_path / "test", [example("v", None)])
    assert "has no 'labels'" in open_error(tmp_path / "test")
    shards = Shards.open(str(tmp_path / "test"), "--f", CONFIG, labels=False)
    (batch,) = shards.iterate(shards.ordered_batches(4))
    assert ids(batch) == ["v"] and "labels" not in batch


def test_one_bad_record_at_the_start_is_no_reason_to_stop(tmp_path):
    write_records(tmp_path / "x", [b"\xff", example("v")])
    shards = Shards.open(str(tmp_path / "x"), "--f", CONFIG)
    assert in_order(shards, shards.ordered_batches(4)) == ["v"]


def test_estimated_records(found):
    assert TOTAL / 2 < found.estimated_records < TOTAL * 2
    assert found.estimated_examples == found.estimated_records


def test_estimated_examples_of_segments(tmp_path):
    rated = ([], [(0, 1, True), (5, 1, False)])
    videos = [example("v", length=14, segments=found) for found in rated]
    write_records(tmp_path / "x", [*videos, b"\xff"])
    shards = Shards.open(str(tmp_path / "x"), "--f", CONFIG, segments=True)
    assert shards.record_examples == 1.0  # (0 + 2) / 2


# Ordered batches.


@pytest.mark.parametrize("batch_size", [1, 7, 100])
def test_ordered_batches_keep_the_order_of_the_files(found, batch_size):
    batches = list(found.iterate(found.ordered_batches(batch_size)))
    sizes = [len(ids(batch)) for batch in batches]
    assert sum(map(ids, batches), []) == ALL_NAMES
    assert all(size == batch_size for size in sizes[:-1]) and sum(sizes) == TOTAL
    for batch in batches:
        check_batch(batch)
    assert found.damage.lost == 0


def test_ordered_batches_of_several_readers_hold_every_record_once(found):
    ordered = in_order(found, found.ordered_batches(8, num_readers=4))
    assert sorted(ordered) == sorted(ALL_NAMES)


def test_frames_are_padded_to_the_longest_of_their_batch(found):
    batches = list(found.iterate(found.ordered_batches(5)))
    assert len(batches) > 5
    for batch in batches:
        assert batch["frames"].shape[1] == max(batch["num_frames"].numpy())


def test_labels_are_padded(tmp_path):
    rows = [[3], [5, 4], []]
    write_records(tmp_path / "x", [example(f"v{i}", rows[i]) for i in range(3)])
    shards = Shards.open(str(tmp_path / "x"), "--f", CONFIG)
    (batch,) = shards.iterate(shards.ordered_batches(4))
    assert batch["labels"].numpy().tolist() == [[3, -1], [4, 5], [-1, -1]]


def test_specs_say_what_is_known_beforehand(found):
    spec = found.ordered_batches(5).element_spec
    assert spec["frames"] == tf.TensorSpec([None, None, 6], tf.uint8)
    assert spec["labels"] == tf.TensorSpec([None, None], tf.int32)
    spec = training(found).element_spec
    assert spec["position"] == tf.TensorSpec([3], tf.int64)


def test_video_level_batches(tmp_path):
    rng = np.random.default_rng(0)
    values = rng.normal(size=(9, 3)).astype(np.float32)
    examples = [
        video_example(f"v{i}", [i], {"mean_rgb": v}) for i, v in enumerate(values)
    ]
    write_records(tmp_path / "x", examples)
    config = DataConfig(("mean_rgb",), (3,))
    shards = Shards.open(str(tmp_path / "x"), "--f", config)
    batches = list(shards.iterate(shards.ordered_batches(4)))
    found = np.concatenate([batch["features"] for batch in batches])
    np.testing.assert_array_equal(found, values)
    (mixed,) = shards.iterate(shards.training_batches(9, 0, 1))
    known = {f"v{i}": row for i, row in enumerate(values)}
    expected = [known[video_id] for video_id in ids(mixed)]
    np.testing.assert_array_equal(mixed["features"], expected)


def test_segments_come_in_full_batches(tmp_path):
    """Records hold 0 to 3 segments; batches count segments, not records."""
    numbers, expected, examples = [3, 0, 1, 2, 3, 0, 2], [], []
    for video, number in enumerate(numbers):
        rated = [(5 * k, video, float(k % 2)) for k in range(number)]
        examples.append(example(f"v{video}", length=14, segments=rated))
        expected += [(f"v{video}", start, label) for start, label, _ in rated]
    write_records(tmp_path / "x", examples)
    shards = Shards.open(str(tmp_path / "x"), "--f", CONFIG, segments=True)
    batches = list(shards.iterate(shards.ordered_batches(4)))
    assert [len(ids(batch)) for batch in batches] == [4, 4, 3]
    rows = []
    for batch in batches:
        starts = batch["segment_start"].numpy().tolist()
        rows += zip(ids(batch), starts, batch["rated"].numpy()[:, 0], strict=True)
        found = zip(rows[-len(starts) :], batch["frames"].numpy(), strict=True)
        for (video_id, start, _), frames in found:
            whole = content(video_id, 14)[start : start + 5]
            np.testing.assert_array_equal(frames[: len(whole)], whole)
            assert not frames[len(whole) :].any()
        present = (np.array(starts) // 5 % 2 == 1)[:, None]
        labels = np.where(present, batch["rated"], -1)
        np.testing.assert_array_equal(batch["labels"], labels)
    assert rows == expected


# Training batches.


def test_every_record_comes_once_an_epoch_and_batches_cross_epochs(found):
    batches = list(found.iterate(training(found, num_epochs=3)))
    sizes = [len(ids(batch)) for batch in batches]
    assert sizes[:-1] == [8] * (3 * TOTAL // 8) and sum(sizes) == 3 * TOTAL
    order = sum(map(ids, batches), [])
    for epoch in range(3):
        records = order[epoch * TOTAL : (epoch + 1) * TOTAL]
        assert sorted(records) == sorted(ALL_NAMES)
    for batch in batches:
        check_batch(batch)


def test_positions_count_the_records_of_the_epoch(found):
    consumed = 0
    for batch in found.iterate(training(found, num_epochs=3)):
        consumed += len(ids(batch))
        epoch, count, _ = batch["position"].numpy()
        # The end of an epoch is not yet the beginning of the next.
        assert (epoch, count) == ((consumed - 1) // TOTAL, (consumed - 1) % TOTAL + 1)
    assert consumed == 3 * TOTAL


@pytest.mark.parametrize("num_readers", [1, 4])
def test_order_is_a_function_of_the_seed_and_the_epoch(found, num_readers):
    def order(seed, **kwargs):
        kwargs = {"num_readers": num_readers, **kwargs}
        return in_order(found, training(found, seed=seed, **kwargs))

    first = order(0)
    assert first == order(0)
    assert first[:TOTAL] == order(0, num_epochs=1)  # not of the number of epochs
    orders = {tuple(first[:TOTAL]), tuple(first[TOTAL:]), tuple(ALL_NAMES)}
    for seed in (1, 2, -1):
        other = order(seed)
        orders |= {tuple(other[:TOTAL]), tuple(other[TOTAL:])}
    assert len(orders) == 9  # all differ


# Of two epochs with seed 7: two readers, six records to shuffle among.
SEVENTH = [
    "f2r0",
    "f1r1",
    "f2r2",
    "f1r4",
    "f1r0",
    "f1r3",
    "f2r1",
    "f2r4",
    "f2r5",
    "f2r6",
    "f3r1",
    "f3r2",
    "f1r2",
    "f2r3",
    "f0r0",
    "f3r4",
    "f0r1",
    "f3r6",
    "f3r5",
    "f0r2",
    "f3r3",
    "f3r8",
    "f0r4",
    "f3r0",
    "f0r5",
    "f3r7",
    "f2r8",
    "f0r7",
    "f0r8",
    "f0r6",
    "f2r7",
    "f0r11",
    "f0r12",
    "f3r9",
    "f0r10",
    "f0r9",
    "f0r3",
    "f1r1",
    "f0r0",
    "f1r0",
    "f1r4",
    "f1r2",
    "f0r4",
    "f0r3",
    "f0r2",
    "f0r5",
    "f0r6",
    "f0r1",
    "f0r8",
    "f0r7",
    "f1r3",
    "f2r3",
    "f2r0",
    "f2r5",
    "f2r2",
    "f2r6",
    "f0r10",
    "f2r1",
    "f2r7",
    "f0r11",
    "f2r8",
    "f3r1",
    "f3r0",
    "f3r4",
    "f3r3",
    "f0r12",
    "f0r9",
    "f3r2",
    "f3r8",
    "f3r7",
    "f2r4",
    "f3r6",
    "f3r5",
    "f3r9",
]


def test_the_order_of_a_seed_never_changes(found):
    """Else a run that is resumed would read some records twice and others never."""
    values = {"seed": 7, "num_readers": 2, "shuffle_buffer": 6}
    assert in_order(found, training(found, **values)) == SEVENTH
    # By default eight readers, and five batches to shuffle among.
    begin = in_order(found, training(found, seed=7, num_epochs=1))[:10]
    assert begin == [
        "f1r0",
        "f2r7",
        "f0r4",
        "f0r2",
        "f3r1",
        "f0r6",
        "f1r1",
        "f2r8",
        "f1r2",
        "f0r9",
    ]
    for worker, own in enumerate(((0, 2), (2, 5), (5, 8))):  # of batches of 8
        shares = training(found, num_epochs=1, worker=(worker, 3), **values)
        batches = [SEVENTH[start : start + 8][slice(*own)] for start in (0, 8, 16, 24)]
        assert in_order(found, shares)[: 4 * (own[1] - own[0])] == sum(batches, [])
    ordered = in_order(found, found.ordered_batches(8, num_readers=3))
    assert ordered[:6] == ["f0r0", "f1r0", "f2r0", "f0r1", "f1r1", "f2r1"]
    assert ordered[-8:] == [
        "f3r4",
        "f0r11",
        "f3r5",
        "f0r12",
        "f3r6",
        "f3r7",
        "f3r8",
        "f3r9",
    ]


def test_the_frames_of_a_seed_never_change(found):
    """As the numbers of epoch, file and record in it draw them."""
    config = dataclasses.replace(CONFIG, frame_sampling="random", crop_frames=3)
    shards = dataclasses.replace(found, config=config)
    expected = {"f0r1": [0, 0, 0], "f3r4": [0, 4, 8], "f2r2": [0, 5, 7]}
    dataset = training(shards, batch_size=4, seed=7, num_epochs=1).take(1)
    drawn = dict(frames_of(shards, dataset))
    assert [*drawn] == [*expected, "f0r0"]
    for name, index in (expected | {"f0r0": [2, 3, 5]}).items():
        assert drawn[name] == content(name)[index].tobytes()


def test_one_file_is_shuffled_anew_in_each_epoch(folder):
    """Here the order of the files cannot tell one epoch from the next."""
    shards = Shards.open(f"{folder}/0.tfrecord", "--f", CONFIG)
    order = in_order(shards, training(shards, num_epochs=4))
    count = COUNTS[0]
    epochs = {tuple(order[i : i + count]) for i in range(0, 4 * count, count)}
    assert len(epochs) == 4 and tuple(names(0)) not in epochs


def test_order_does_not_depend_on_global_seeds(found):
    expected = in_order(found, training(found))
    try:
        for seed in (0, 7):
            tf.random.set_seed(seed)
            np.random.seed(seed)
            assert in_order(found, training(found)) == expected
    finally:
        tf.compat.v1.set_random_seed(None)


def test_a_small_shuffle_buffer_still_shuffles_the_files(found):
    firsts = set()
    for seed in range(8):
        dataset = training(found, seed=seed, shuffle_buffer=1, num_readers=1)
        order = in_order(found, dataset.take(1))
        assert order[:5] in [names(file)[:5] for file in range(4)]
        firsts.add(order[0])
    assert len(firsts) > 1


@pytest.mark.parametrize("num_readers", [1, 4])
@pytest.mark.parametrize("batch_size", [8, 37, 50])  # 37: batches end with epochs
def test_resuming_gives_exactly_the_batches_behind(
    found, num_readers, batch_size, monkeypatch
):
    """And reads the records of those alone, none of those before."""
    reads, read = [], RecordReader.read
    monkeypatch.setattr(
        RecordReader,
        "read",
        lambda reader, location: reads.append(location) or read(reader, location),
    )
    arguments = {
        "batch_size": batch_size,
        "seed": 3,
        "num_epochs": 4,
        "num_readers": num_readers,
        "shuffle_buffer": 10,
    }
    whole = list(found.iterate(found.training_batches(**arguments)))
    for k in sorted({0, 1, len(whole) // 2, len(whole) - 2}):
        start = tuple(whole[k]["position"].numpy())
        resumed = found.training_batches(**arguments, start=start)
        reads.clear()
        rest = list(found.iterate(resumed))
        assert len(rest) == len(whole) - k - 1
        assert len(reads) == sum(len(ids(batch)) for batch in rest)
        for again, batch in zip(rest, whole[k + 1 :], strict=True):
            assert again.keys() == batch.keys()
            for key in batch:
                np.testing.assert_array_equal(again[key], batch[key])


def test_resuming_at_the_end_gives_nothing(found):
    *_, last = found.iterate(training(found))
    position = tuple(last["position"].numpy())
    assert list(found.iterate(training(found, start=position))) == []


def test_batches_larger_than_several_epochs(found):
    sizes = collections.Counter()
    for batch in found.iterate(training(found, batch_size=100, num_epochs=5)):
        sizes.update(ids(batch))
    assert sizes == dict.fromkeys(ALL_NAMES, 5)


# Sampled frames.


@pytest.fixture
def sampled(found):
    config = dataclasses.replace(
        CONFIG, frame_sampling="run", crop_frames=1, crop_stride=3
    )
    return dataclasses.replace(found, config=config)


def frames_of(shards, dataset):
    """[(id, bytes of its frames)], in order."""
    return [
        (video_id, rows[:length].tobytes())
        for batch in shards.iterate(dataset)
        for video_id, rows, length in zip(
            ids(batch), batch["frames"].numpy(), batch["num_frames"], strict=True
        )
    ]


def test_frames_are_drawn_anew_in_each_epoch(sampled):
    drawn = frames_of(sampled, training(sampled, num_epochs=2))
    first, second = dict(drawn[:TOTAL]), dict(drawn[TOTAL:])
    assert 5 < sum(first[name] != second[name] for name in ALL_NAMES) < TOTAL
    other = dict(frames_of(sampled, training(sampled, seed=1, num_epochs=1)))
    assert 5 < sum(first[name] != other[name] for name in ALL_NAMES) < TOTAL


def test_draws_depend_neither_on_batches_nor_on_readers(sampled):
    first = frames_of(sampled, training(sampled))
    other = training(sampled, batch_size=5, num_readers=1, shuffle_buffer=3)
    assert sorted(first) == sorted(frames_of(sampled, other))


def test_resuming_draws_the_same_frames(sampled):
    whole = list(sampled.iterate(training(sampled)))
    drawn = frames_of(sampled, training(sampled))
    for k in range(0, len(whole) - 1, 3):
        start = tuple(whole[k]["position"].numpy())
        rest = frames_of(sampled, training(sampled, start=start))
        assert rest == drawn[8 * (k + 1) :]


def test_nothing_is_drawn_in_ordered_batches(sampled):
    expected = []
    for name in ALL_NAMES:
        frames = content(name)
        expected.append((name, frames[len(frames) // 2].tobytes()))
    for batch_size in (4, 9):
        batches = sampled.ordered_batches(batch_size)
        assert frames_of(sampled, batches) == expected


def test_several_crops_come_from_one_reading(sampled):
    config = dataclasses.replace(sampled.config, frame_sampling="interval")
    shards = dataclasses.replace(sampled, config=config)
    found = frames_of(shards, shards.ordered_batches(5, crop_starts=(0, 2)))
    assert found == [
        (name, content(name)[min(start, len(content(name)) - 1) :: 3].tobytes())
        for name in ALL_NAMES
        for start in (0, 2)
    ]


# Records that cannot be used.


@pytest.fixture
def harmed(tmp_path):
    """Three files of eight records; three of the second are bad in three ways."""
    for file in range(3):
        records = [example(f"h{file}r{index}") for index in range(8)]
        if file == 1:
            records[2] = example("h1r2", None)
            records[3] = b"\xff\xff"
            records[6].feature_lists.feature_list["audio"].feature.pop()
        write_records(tmp_path / f"{file}.tfrecord", records)
    sound = [f"h{file}r{index}" for file in range(3) for index in range(8)]
    for name in ("h1r2", "h1r3", "h1r6"):
        sound.remove(name)
    return f"{tmp_path}/*.tfrecord", sound


def test_bad_records_are_left_out_and_reported(harmed):
    pattern, sound = harmed
    shards = Shards.open(pattern, "--f", CONFIG)
    assert in_order(shards, shards.ordered_batches(4)) == sound
    assert shards.damage.lost == 3
    ((path, reports),) = shards.damage.reports.items()
    assert os.path.basename(path) == "1.tfrecord"
    assert {int(what.split()[1]) for what in reports} == {2, 3, 6}
    order = in_order(shards, training(shards, num_epochs=2))
    assert sorted(order) == sorted(sound * 2)
    assert shards.damage.lost == 3  # the same ones again


def test_a_batch_of_bad_records_alone_is_left_out(harmed):
    pattern, sound = harmed
    shards = Shards.open(pattern, "--f", CONFIG)
    batches = list(shards.iterate(shards.ordered_batches(1)))
    assert [ids(batch) for batch in batches] == [[name] for name in sound]


def test_bad_records_do_not_disturb_resuming(harmed):
    pattern, _ = harmed
    shards = Shards.open(pattern, "--f", CONFIG)
    whole = list(shards.iterate(training(shards, batch_size=5)))
    for k in range(len(whole)):
        start = tuple(whole[k]["position"].numpy())
        rest = shards.iterate(training(shards, batch_size=5, start=start))
        assert [ids(batch) for batch in rest] == [ids(b) for b in whole[k + 1 :]]


def test_strict_mode_ends_the_run_at_a_bad_record(harmed):
    shards = Shards.open(harmed[0], "--f", CONFIG, strict=True)
    with pytest.raises(
        UserError, match="1.tfrecord: record 2 .*--strict_data"
    ) as error:
        list(shards.iterate(training(shards, num_readers=1, shuffle_buffer=1)))
    assert "\n" not in str(error.value)


def test_a_label_out_of_range_ends_the_run(tmp_path):
    labels = [1] * 20 + [99]
    write_records(tmp_path / "x", [example(f"v{i}", [n]) for i, n in enumerate(labels)])
    shards = Shards.open(str(tmp_path / "x"), "--f", CONFIG)
    with pytest.raises(UserError) as error:
        list(shards.iterate(shards.ordered_batches(4)))
    message = str(error.value)
    assert message.startswith(f"{tmp_path}/x: record 20 has labels entry 99")
    assert "--num_classes=20" in message and "\n" not in message


class Watched:
    """A dataset that knows whether its iterator is still there."""

    def __init__(self, dataset):
        self.dataset = dataset

    def __iter__(self):
        iterator = iter(self.dataset)
        self.iterator = weakref.ref(iterator)
        return iterator


def test_a_kept_error_keeps_no_iterator(tmp_path):
    """One that lives on when the interpreter shuts down may hang the process."""
    examples = [example(f"{n}", [99 if n == 20 else 1]) for n in range(30)]
    write_records(str(tmp_path / "x"), examples)
    shards = Shards.open(str(tmp_path / "x"), "--data", CONFIG)
    watched = Watched(shards.ordered_batches(4))
    with pytest.raises(UserError) as caught:
        collections.deque(shards.iterate(watched), maxlen=0)
    assert "record 20" in str(caught.value) and watched.iterator() is None


# Memory.


def test_batches_held_for_long_keep_their_contents(found):
    """Buffers are used again, but never one whose batch is still there."""
    held = []
    dataset = training(found, batch_size=4, num_epochs=20)
    for index, batch in enumerate(found.iterate(dataset)):
        if index % 3:
            held.append(batch)
    assert len(held) > 100
    for batch in held:
        check_batch(batch)


def test_views_of_a_batch_keep_its_memory(found):
    kept = []
    for batch in found.iterate(training(found, batch_size=4, num_epochs=10)):
        kept.append((ids(batch), np.asarray(memoryview(batch["frames"]))))
        del batch
    for video_ids, frames in kept:
        for video_id, rows in zip(video_ids, frames, strict=True):
            expected = content(video_id)
            np.testing.assert_array_equal(rows[: len(expected)], expected)


def test_two_iterations_of_one_dataset_do_not_share_batches(found):
    dataset = found.ordered_batches(4)
    pairs = list(zip(dataset, dataset, strict=True))
    for first, second in pairs:
        assert ids(first) == ids(second)
        check_batch(first)
        check_batch(second)


# The end of a process.

SLOW = """
import time
from youtube8m.data.reading.tfrecord import RecordReader
read = RecordReader.read
RecordReader.read = lambda *arguments: time.sleep(0.5) or read(*arguments)
"""
# Python functions are slow, to be running when the process ends; they do not belong to
# the main module, which shall go first.
ITERATE = f"""
import sys
from youtube8m.config import DataConfig
from youtube8m.data.reading.pipeline import Shards

exec({SLOW!r}, {{}})
data = DataConfig(("rgb", "audio"), (4, 2), frame_features=True, num_classes=20)
shards = Shards.open(sys.argv[1], "--f", data)
batches = shards.iterate(shards.training_batches(4, 0, 1000))
next(batches)
"""


@pytest.mark.slow
def test_a_process_ends_with_an_open_iteration(folder):
    with processes.started("-c", ITERATE, folder / "*.tfrecord") as process:
        assert process.wait(timeout=100) == 0


# Several readers of one data set.


@pytest.mark.parametrize("workers", [2, 3])
def test_workers_share_each_batch(found, workers):
    whole = list(found.iterate(training(found, batch_size=10)))
    parts = [
        list(found.iterate(training(found, batch_size=10, worker=(index, workers))))
        for index in range(workers)
    ]
    assert len(whole) > 1
    assert {len(part) for part in parts} == {len(whole)}
    for batch, *shares in zip(whole, *parts, strict=True):
        assert ids(batch) == sum(map(ids, shares), [])
        for share in shares:
            check_batch(share)
            np.testing.assert_array_equal(share["position"], batch["position"])


def test_a_batch_too_small_for_all_workers_is_left_out(found):
    last = TOTAL % 4  # one record
    assert last == 1
    parts = [
        in_order(found, training(found, 4, 0, 1, worker=(index, 2), least_rows=2))
        for index in range(2)
    ]
    assert list(map(len, parts)) == [(TOTAL - last) // 2] * 2
    assert not set(parts[0]) & set(parts[1])


@pytest.mark.parametrize("count", [1, 3, pytest.param(20, marks=pytest.mark.slow)])
def test_shards_in_order_make_the_whole(found, count):
    parts = [
        in_order(found, found.ordered_batches(4, part=(index, count)))
        for index in range(count)
    ]
    assert sum(parts, []) == ALL_NAMES
    assert count > 7 or max(map(len, parts)) < 2 * TOTAL / count


def test_damage_is_told_by_the_shard_it_lies_in(tmp_path):
    path = tmp_path / "x"
    write_records(path, [example(f"v{n}") for n in range(12)])
    data = bytearray(path.read_bytes())
    offsets = [offset for _, offset, _ in walk(str(path), Damage())]
    expected = [0] * 4
    for offset in offsets[5], offsets[9], offsets[10]:
        data[offset] ^= 1  # in a header, so that its checksum does not hold
    for offset in offsets[5], offsets[9]:  # the last lies behind damage: one loss
        expected[4 * offset // len(data)] += 1
    path.write_bytes(data)
    lost = []
    for index in range(4):
        shards = Shards.open(str(path), "--f", CONFIG)
        list(shards.iterate(shards.ordered_batches(4, part=(index, 4))))
        lost.append(shards.damage.lost)
    assert lost == expected and sum(lost) == 2


def test_a_worker_whose_part_is_damaged_stops(tmp_path):
    """Left out, it would keep the others waiting."""
    records = [example("v0"), *[b"\xff"] * 3, *map(example, ("v4", "v5"))]
    write_records(tmp_path / "x", records)
    shards = Shards.open(str(tmp_path / "x"), "--f", CONFIG)
    order = {"shuffle_buffer": 1, "worker": (1, 2), "num_epochs": 1}
    with pytest.raises(UserError, match="worker's part of a batch"):
        list(shards.iterate(training(shards, 4, **order)))


# Training on segments.


@pytest.fixture
def segments(tmp_path):
    """Shards of 12 videos with 0 to 3 rated segments, 18 in all."""
    for file in range(2):
        examples = []
        for video in range(6):
            rated = [(5 * k, video, float(k % 2)) for k in range((video + file) % 4)]
            examples.append(example(f"{file}v{video}", length=14, segments=rated))
        write_records(tmp_path / f"{file}.tfrecord", examples)
    return Shards.open(f"{tmp_path}/*.tfrecord", "--f", CONFIG, segments=True)


def names_of(batch):
    return list(zip(ids(batch), batch["segment_start"].numpy().tolist(), strict=True))


def test_segments_train_in_full_batches_and_resume_within_a_video(segments):
    arguments = {"batch_size": 4, "seed": 2, "num_epochs": 2}
    whole = list(segments.iterate(segments.training_batches(**arguments)))
    rows = sum(map(names_of, whole), [])
    total = len(set(rows))
    assert [len(ids(batch)) for batch in whole[:-1]] == [4] * (len(whole) - 1)
    assert sorted(rows[:total]) == sorted(rows[total:]) == sorted(set(rows))
    assert rows[:total] != rows[total:]
    for number, batch in enumerate(whole):
        start = tuple(batch["position"].numpy())
        rest = segments.iterate(segments.training_batches(**arguments, start=start))
        assert sum(map(names_of, rest), []) == rows[4 * (number + 1) :]


def test_workers_share_batches_of_segments(segments):
    whole = list(segments.iterate(segments.training_batches(4, 0, 1)))
    parts = [
        list(segments.iterate(segments.training_batches(4, 0, 1, worker=(index, 2))))
        for index in range(2)
    ]
    assert len(whole) > 1
    for batch, *shares in zip(whole, *parts, strict=True):
        assert names_of(batch) == sum(map(names_of, shares), [])
