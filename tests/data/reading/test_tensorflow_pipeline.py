"""The plain tf.data pipeline makes the batches that ours makes, record by record."""

import dataclasses
import gzip
import io
import os
import zlib

import numpy as np
import pytest
import tensorflow as tf

from tests.helpers.real_data import DATA
from youtube8m.config import DataConfig
from youtube8m.data.reading import frame_sampling
from youtube8m.data.reading.other_files import packing_fault
from youtube8m.data.reading.parsing_ops import choose_frames
from youtube8m.data.reading.tensorflow_pipeline import TensorFlowShards, open_shards
from youtube8m.data.writing.records import frame_example, video_example, write_records
from youtube8m.errors import UserError

FRAMES = DataConfig(("rgb", "audio"), (4, 2), True, num_classes=20)
VIDEOS = DataConfig(("mean_rgb", "mean_audio"), (4, 2), num_classes=20)
# Frames of each record of each file.
LENGTHS = [[1, 12, 7, 40, 3], [2, 1], [25, 9, 14, 33, 5, 6, 1, 21]]
NAMES = [f"f{f}r{r}" for f, lengths in enumerate(LENGTHS) for r in range(len(lengths))]
TOTAL = len(NAMES)
LABELS = ([7], [5, 19, 0, 5], [], [1, 2])
SAMPLINGS = [
    {},
    {"max_frames": 11},
    {"skip_frames": 7, "max_frames": 11},
    {"frame_sampling": "crop", "crop_frames": 4, "crop_stride": 3, "crop_start": 5},
    {"frame_sampling": "crop", "crop_frames": 4, "crop_stride": 3, "skip_frames": 2},
    {"frame_sampling": "interval", "crop_stride": 4, "crop_start": 2},
    {"frame_sampling": "interval", "crop_stride": 9, "max_frames": 5},
    {"frame_sampling": "windows", "crop_stride": 4, "skip_frames": 3},
    {"frame_sampling": "random", "crop_frames": 6, "skip_frames": 3},
    {"frame_sampling": "run", "crop_frames": 6, "max_frames": 17},
]


def frame_level(name, labels, key, frames, segments=None):
    features = {"rgb": frames[:, :4], "audio": frames[:, 4:]}
    return frame_example(name, labels, features, segments, key)


def video_level(name, labels, key, frames):
    means = frames.mean(axis=0)
    features = {"mean_rgb": means[:4], "mean_audio": means[4:]}
    return video_example(name, labels, features, id_key=key)


def rated(name, labels, key, frames):
    """Up to four segments, not in the order of time, some with classes rated twice."""
    rng = np.random.default_rng(len(frames))
    starts = rng.permutation(range(0, len(frames), 5))[: len(frames) % 5]
    segments = [
        (int(start), int(label), float(rng.integers(2)))
        for start in [*starts, *starts[:2]]
        for label in rng.choice(20, 3)
    ]
    return frame_level(name, labels, key, frames, segments)


def write(folder, make=frame_level, labeled=True):
    """The glob of three files whose records `make` makes."""
    for file, lengths in enumerate(LENGTHS):
        examples = []
        for index, length in enumerate(lengths):
            name, key = f"f{file}r{index}", ("id", "video_id")[index % 2]
            rng = np.random.default_rng(zlib.crc32(name.encode()))
            frames = rng.integers(1, 256, (length, 6), np.uint8)
            labels = LABELS[index % len(LABELS)] if labeled else None
            examples.append(make(name, labels, key, frames))
        write_records(folder / f"{file}.tfrecord", examples)
    return f"{folder}/*.tfrecord"


@pytest.fixture(scope="module")
def pattern(tmp_path_factory):
    return write(tmp_path_factory.mktemp("frames"))


@pytest.fixture(scope="module")
def rated_pattern(tmp_path_factory):
    return write(tmp_path_factory.mktemp("rated"), rated)


@pytest.fixture
def plain(pattern):
    return TensorFlowShards.open(pattern, "--f", FRAMES)


def both(pattern, config, **arguments):
    kinds = ("reader", "tfrecord")
    return [open_shards(kind, pattern, "--f", config, **arguments) for kind in kinds]


def examples_in(batch):
    """Each example as lists without its padding, which is checked."""
    batch = {name: value.numpy() for name, value in batch.items()}
    batch.pop("position", None)
    examples = []
    for row in range(len(batch["id"])):
        example = {name: values[row] for name, values in batch.items()}
        lengths = {"frames": example.get("num_frames")}
        lengths |= {
            n: (example[n] >= 0).sum() for n in ("labels", "rated") if n in example
        }
        for name, length in lengths.items():
            if name in example:
                padding = 0 if name == "frames" else -1
                assert (example[name][length:] == padding).all()
                example[name] = example[name][:length]
        examples.append({name: np.asarray(v).tolist() for name, v in example.items()})
    return examples


def read(shards, dataset):
    return [e for batch in shards.iterate(dataset) for e in examples_in(batch)]


def assert_same(ours, plain, **arguments):
    """Ordered batches of both, with what is known of them beforehand."""
    batches = [shards.ordered_batches(**arguments) for shards in (ours, plain)]
    assert batches[0].element_spec == batches[1].element_spec
    first, second = map(read, (ours, plain), batches)
    assert first == second and first
    return first


def some_slow(samplings):
    """Yields parameters; of each way of choosing frames the first is quick."""
    seen = set()
    for values in samplings:
        way = values.get("frame_sampling", "all")
        marks = [pytest.mark.slow] if way in seen else []
        seen.add(way)
        yield pytest.param(values, marks=marks)


# Batches in order.


@pytest.mark.parametrize("values", some_slow(SAMPLINGS), ids=str)
def test_the_same_frames_are_read(pattern, values):
    shards = both(pattern, dataclasses.replace(FRAMES, **values))
    found = assert_same(*shards, batch_size=4)
    assert [example["id"].decode() for example in found] == NAMES


def test_frames_are_padded_to_the_longest_of_their_batch(plain):
    batches = list(plain.iterate(plain.ordered_batches(5)))
    assert len(batches) > 1
    for batch in batches:
        assert batch["frames"].shape[1] == max(batch["num_frames"].numpy())


def test_the_same_videos_are_read(tmp_path):
    assert (
        len(assert_same(*both(write(tmp_path, video_level), VIDEOS), batch_size=4))
        == TOTAL
    )


@pytest.mark.parametrize("make, config", [(frame_level, FRAMES), (video_level, VIDEOS)])
def test_the_same_is_read_without_labels(tmp_path, make, config):
    pattern = write(tmp_path, make, labeled=False)
    found = assert_same(*both(pattern, config, labels=False), batch_size=4)
    assert len(found) == TOTAL and "labels" not in found[0]
    with pytest.raises(UserError, match="has no 'labels'"):
        TensorFlowShards.open(pattern, "--f", config)


@pytest.mark.parametrize("values", some_slow(SAMPLINGS[3:7]), ids=str)
def test_the_same_crops_are_read(pattern, values):
    shards = both(pattern, dataclasses.replace(FRAMES, **values))
    found = assert_same(*shards, batch_size=4, crop_starts=(0, 3, 50))
    assert [example["id"].decode() for example in found[::3]] == NAMES


def test_the_same_segments_are_read(rated_pattern):
    found = assert_same(*both(rated_pattern, FRAMES, segments=True), batch_size=4)
    assert len(found) > TOTAL
    whole = FRAMES.of_segments()
    assert len(assert_same(*both(rated_pattern, whole), batch_size=4)) == TOTAL


def test_ratings_of_any_value_are_read_alike(tmp_path):
    ratings = [(5, 1, -1.0), (5, 2, 0.0), (5, 3, 1.0), (5, 4, 0.25), (0, 3, -1.0)]
    frames = np.random.default_rng(0).integers(1, 256, (9, 6), np.uint8)
    write_records(tmp_path / "x", [frame_level("v", [7], "id", frames, ratings)])
    found = assert_same(*both(str(tmp_path / "x"), FRAMES, segments=True), batch_size=4)
    assert [example["labels"] for example in found] == [[3, 4], []]


def test_several_readers_read_every_record_once(plain):
    found = read(plain, plain.ordered_batches(4, num_readers=3))
    assert sorted(example["id"].decode() for example in found) == sorted(NAMES)


@pytest.mark.parametrize(
    "count",
    [
        pytest.param(2, marks=pytest.mark.slow),
        3,
        pytest.param(5, marks=pytest.mark.slow),
    ],
)
def test_parts_in_order_make_the_whole(plain, count):
    parts = [
        read(plain, plain.ordered_batches(4, part=(index, count)))
        for index in range(count)
    ]
    assert sum(parts, []) == read(plain, plain.ordered_batches(4))


@pytest.mark.skipif(not os.path.isdir(DATA), reason=f"no records in YT8M_DATA={DATA}")
@pytest.mark.parametrize(
    "files, config, labels, count",
    [
        pytest.param(
            "audioset_frame/eval/*",
            DataConfig(("audio_embedding",), (128,), True, num_classes=527),
            True,
            10_185,
            marks=pytest.mark.slow,
        ),
        pytest.param(
            "yt8m_2018_video/validate/*",
            DataConfig(("mean_rgb", "mean_audio"), (1024, 128)),
            True,
            4_579,
            marks=pytest.mark.slow,
        ),
        ("yt8m_2017_video/test/*", DataConfig(("mean_rgb",), (1024,)), False, 512),
    ],
)
def test_the_same_is_read_of_real_records(files, config, labels, count):
    found = assert_same(*both(f"{DATA}/{files}", config, labels=labels), batch_size=256)
    assert len(found) == count


# Compressed files.


def compress(path):
    data = path.read_bytes()
    with gzip.open(path, "wb") as file:
        file.write(data)


def test_compressed_files_are_read_beside_others(tmp_path, plain):
    pattern = write(tmp_path)
    compress(tmp_path / "0.tfrecord")
    shards = TensorFlowShards.open(pattern, "--f", FRAMES)
    expected = read(plain, plain.ordered_batches(4))
    assert read(shards, shards.ordered_batches(4)) == expected


@pytest.mark.parametrize("pack", [gzip.compress, zlib.compress])
def test_a_packed_file_that_is_cut_or_damaged_is_told_as_such(tmp_path, pack):
    """The other way of reading takes no packed files: it is no remedy."""
    pattern, path = write(tmp_path), tmp_path / "1.tfrecord"
    whole = path.read_bytes()
    packed = bytearray(pack(whole))
    cut, damaged = packed[: len(packed) * 9 // 10], bytearray(packed)
    damaged[-3] ^= 255  # in its checksum
    inside = bytearray(whole)
    inside[-1] ^= 255
    for content, told in (
        (cut, "1.tfrecord: is compressed .* and is cut short: .*; copy or download"),
        (damaged, "1.tfrecord: is compressed .* and is damaged: .*; copy or download"),
        (pack(inside), "decompress the shards: then --input_pipeline=reader names"),
    ):
        path.write_bytes(content)
        shards = TensorFlowShards.open(pattern, "--f", FRAMES)
        with pytest.raises(UserError, match=told) as error:
            read(shards, shards.ordered_batches(4))
        assert "\n" not in str(error.value)
    path.write_bytes(whole[:-2])
    shards = TensorFlowShards.open(pattern, "--f", FRAMES)
    with pytest.raises(UserError, match="ends here; --input_pipeline=reader names"):
        read(shards, shards.ordered_batches(4))


def test_a_packed_file_alone_is_told_as_such(tmp_path):
    path = tmp_path / "x.gz"
    packed = gzip.compress(b"id,labels\n" * 99)
    for content, told in ((packed, "holds something else"), (packed[:30], "cut short")):
        path.write_bytes(content)
        with pytest.raises(UserError, match=f"is compressed .gzip. and .*{told}"):
            TensorFlowShards.open(str(path), "--f", FRAMES)


def test_a_file_packed_in_another_way_is_told(tmp_path):
    path = tmp_path / "x.tfrecord"
    path.write_bytes(b"PK\x03\x04" + bytes(600))
    with pytest.raises(UserError, match="it is compressed .zip.: unpack it"):
        TensorFlowShards.open(str(path), "--f", FRAMES)


def test_several_packed_parts_are_one_file():
    parts = gzip.compress(b"a" * 99) + gzip.compress(b"b" * 99)
    for content, fault in ((parts, ""), (parts[:-3], "is cut short"), (b"", "")):
        file = io.BytesIO(content)
        assert packing_fault(file) == (fault if content else "is cut short")


def test_a_length_that_looks_like_gzip_is_none(tmp_path):
    example = frame_level("v", [1], "id", np.ones((3, 6), np.uint8))
    size = 0x088B1F - len(example.SerializeToString())
    feature = example.context.feature["padding"].bytes_list.value
    feature.append(b"x" * size)
    feature[0] = b"x" * (size - (len(example.SerializeToString()) - 0x088B1F))
    path = tmp_path / "x"
    write_records(path, [example])
    assert path.read_bytes()[:3] == b"\x1f\x8b\x08"
    ours, plain = both(str(path), FRAMES)
    assert_same(ours, plain, batch_size=1)


# Training.


def training(shards, batch_size=4, seed=0, num_epochs=2, **arguments):
    return shards.training_batches(batch_size, seed, num_epochs, **arguments)


def names(shards, dataset):
    return [example["id"].decode() for example in read(shards, dataset)]


def test_every_record_comes_once_an_epoch_and_batches_cross_epochs(plain):
    batches = list(plain.iterate(training(plain, num_epochs=3)))
    sizes = [len(batch["id"]) for batch in batches]
    assert sizes[:-1] == [4] * (3 * TOTAL // 4) and sum(sizes) == 3 * TOTAL
    found = sum(map(examples_in, batches), [])
    in_order = {e["id"]: e for e in read(plain, plain.ordered_batches(4))}
    for epoch in range(3):
        part = found[epoch * TOTAL : (epoch + 1) * TOTAL]
        assert {example["id"]: example for example in part} == in_order
    consumed = 0
    for batch, size in zip(batches, sizes, strict=True):
        consumed += size
        expected = [(consumed - 1) // TOTAL, (consumed - 1) % TOTAL + 1, 0]
        assert batch["position"].numpy().tolist() == expected


@pytest.mark.parametrize("num_readers", [pytest.param(1, marks=pytest.mark.slow), 3])
def test_order_is_a_function_of_the_seed_and_the_epoch(plain, num_readers):
    def order(seed, **arguments):
        return names(
            plain, training(plain, seed=seed, num_readers=num_readers, **arguments)
        )

    first = order(0)
    assert first == order(0)
    assert first[:TOTAL] == order(0, num_epochs=1)
    orders = {tuple(first[:TOTAL]), tuple(first[TOTAL:]), tuple(NAMES)}
    for seed in (1, 2**32 - 1):
        other = order(seed)
        orders |= {tuple(other[:TOTAL]), tuple(other[TOTAL:])}
    assert len(orders) == 7  # all differ


def test_the_order_and_the_frames_of_a_seed_never_change(plain):
    """Else a run that is resumed would read some records twice and others never."""
    values = {"seed": 7, "num_readers": 2, "shuffle_buffer": 6}
    expected = [
        "f2r1",
        "f2r2",
        "f2r3",
        "f1r1",
        "f0r1",
        "f2r5",
        "f2r0",
        "f0r3",
        "f2r4",
        "f2r6",
        "f2r7",
        "f0r0",
        "f1r0",
        "f0r2",
        "f0r4",
        "f0r0",
        "f0r3",
        "f0r2",
        "f2r0",
        "f2r1",
        "f0r4",
        "f1r1",
        "f2r3",
        "f2r4",
        "f2r2",
        "f1r0",
        "f2r6",
        "f2r5",
        "f2r7",
        "f0r1",
    ]
    assert names(plain, training(plain, **values)) == expected
    config = dataclasses.replace(FRAMES, frame_sampling="random", crop_frames=3)
    shards = dataclasses.replace(plain, config=config)
    whole = read(plain, plain.ordered_batches(4))
    whole = {example["id"].decode(): example["frames"] for example in whole}
    drawn = read(shards, training(shards, seed=7, num_epochs=1).take(1))
    drawn = {example["id"].decode(): example["frames"] for example in drawn}
    index = {"f2r2": [3, 5, 12], "f1r0": [0, 1, 1], "f0r1": [5, 5, 8]}
    assert [*drawn] == [*index, "f2r5"]
    for name, chosen in (index | {"f2r5": [0, 1, 3]}).items():
        assert drawn[name] == [whole[name][frame] for frame in chosen]


def test_order_does_not_depend_on_global_seeds(plain):
    expected = names(plain, training(plain))
    try:
        for seed in (0, 7):
            tf.random.set_seed(seed)
            assert names(plain, training(plain)) == expected
            state = tf.random.uniform([])
            tf.random.set_seed(seed)  # which reading has not touched
            assert tf.random.uniform([]) == state
    finally:
        tf.compat.v1.set_random_seed(None)


@pytest.mark.parametrize(
    "values, batch_size",
    [
        pytest.param(SAMPLINGS[0], 4, marks=pytest.mark.slow),
        (SAMPLINGS[3], 4),
        pytest.param(SAMPLINGS[7], TOTAL, marks=pytest.mark.slow),
    ],
    ids=["all", "crop", "windows, whole epochs"],
)
def test_resuming_gives_exactly_the_batches_behind(pattern, values, batch_size):
    shards = TensorFlowShards.open(
        pattern, "--f", dataclasses.replace(FRAMES, **values)
    )
    arguments = {"batch_size": batch_size, "seed": 3, "num_epochs": 3, "num_readers": 2}
    whole = list(shards.iterate(training(shards, **arguments)))
    for k in {len(whole) // 2, len(whole) - 1}:
        start = tuple(whole[k]["position"].numpy())
        rest = list(shards.iterate(training(shards, **arguments, start=start)))
        for again, batch in zip(rest, whole[k + 1 :], strict=True):
            assert again.keys() == batch.keys()
            for key in batch:
                np.testing.assert_array_equal(again[key], batch[key])


def test_segments_train_in_full_batches_and_resume_within_a_video(rated_pattern):
    shards = TensorFlowShards.open(rated_pattern, "--f", FRAMES, segments=True)
    whole = list(shards.iterate(training(shards)))
    assert {len(batch["id"]) for batch in whole[:-1]} == {4}
    found = sum(map(examples_in, whole), [])
    in_order = read(shards, shards.ordered_batches(4))
    key = lambda e: (e["id"], e["segment_start"])  # noqa: E731
    for part in found[: len(in_order)], found[len(in_order) :]:
        assert sorted(part, key=key) == sorted(in_order, key=key)
    for number, batch in list(enumerate(whole))[::4]:
        rest = training(shards, start=tuple(batch["position"].numpy()))
        assert read(shards, rest) == found[4 * (number + 1) :]


@pytest.mark.parametrize(
    "segments", [pytest.param(False, marks=pytest.mark.slow), True]
)
def test_workers_share_each_batch(rated_pattern, segments):
    shards = TensorFlowShards.open(rated_pattern, "--f", FRAMES, segments=segments)
    whole = list(shards.iterate(training(shards, 5)))
    parts = [
        list(shards.iterate(training(shards, 5, worker=(index, 3), least_rows=1)))
        for index in range(3)
    ]
    assert len(whole) > 1
    for batch, *shares in zip(whole, *parts, strict=True):
        assert examples_in(batch) == sum(map(examples_in, shares), [])
        for share in shares:
            np.testing.assert_array_equal(share["position"], batch["position"])


def test_a_batch_too_small_for_all_workers_is_left_out(plain):
    assert TOTAL % 7 == 1
    sizes = [
        len(b["id"]) for b in plain.iterate(training(plain, 7, 0, 1, least_rows=2))
    ]
    assert sizes == [7] * (TOTAL // 7)


# Drawn frames.


def possible(config, length):
    """All that `frame_sampling` may draw; None where that is too much."""
    frames = frame_sampling.available(length, config.skip_frames, config.max_frames)
    match config.frame_sampling:
        case "crop" | "interval" as way:
            limit = config.crop_range if way == "crop" else config.crop_stride
            samples = [
                frame_sampling.sample(config, length, None, s) for s in range(limit)
            ]
        case "run":
            room = max(len(frames) - config.crop_frames, 0) + 1
            samples = [frames[s : s + config.crop_frames] for s in range(room)]
        case _:
            return None
    return {tuple(sample) for sample in samples}


@pytest.mark.parametrize("values", some_slow(SAMPLINGS[3:]), ids=str)
def test_drawn_frames_are_those_that_ours_may_draw(values):
    config = dataclasses.replace(FRAMES, **values)
    draw = tf.function(
        lambda seed, n: choose_frames(config, n[None], seed=seed), autograph=False
    )
    for length in (1, 2, 13, 60):
        seeds = [tf.constant([5, n], tf.int64) for n in range(300)]
        drawn = [
            draw(seed, tf.constant(length))[0].numpy()[0].tolist() for seed in seeds
        ]
        expected = possible(config, length)
        if expected is not None:
            assert set(map(tuple, drawn)) == expected
            continue
        frames = frame_sampling.available(length, config.skip_frames, config.max_frames)
        columns = np.transpose(drawn)
        if config.frame_sampling == "windows":
            windows = [frames[i : i + 4] for i in range(0, len(frames), 4)]
            assert [sorted(set(c)) for c in columns.tolist()] == list(
                map(list, windows)
            )
        else:
            assert len(columns) == config.crop_frames
            assert (np.diff(columns, axis=0) >= 0).all()
            share = np.bincount(columns.ravel(), minlength=length)[frames.start :]
            np.testing.assert_allclose(share / columns.size, 1 / len(frames), atol=0.05)
            assert set(columns.ravel().tolist()) == set(frames)


def test_frames_are_drawn_anew_in_each_epoch_and_of_each_record(plain):
    config = dataclasses.replace(FRAMES, frame_sampling="run", crop_frames=1)
    shards = dataclasses.replace(plain, config=config)
    found = [(e["id"], str(e["frames"])) for e in read(shards, training(shards))]
    first, second = dict(found[:TOTAL]), dict(found[TOTAL:])
    assert 5 < sum(first[name] != second[name] for name in first) < TOTAL
    other = dict(
        (e["id"], str(e["frames"])) for e in read(shards, training(shards, seed=1))
    )
    assert 5 < sum(second[name] != other[name] for name in other) < TOTAL


# What cannot be read.


def error_of(action, *arguments):
    with pytest.raises(UserError) as error:
        action(*arguments)
    assert "\n" not in str(error.value) and "{{" not in str(error.value)
    return str(error.value)


@pytest.mark.parametrize(
    "harm, message",
    [
        (lambda data: data[:-3], "truncated record at"),
        (lambda data: data[:-20] + b"x" + data[-19:], "corrupted record at"),
    ],
    ids=["cut short", "changed"],
)
def test_damage_ends_the_run_with_one_line(tmp_path, harm, message):
    pattern = write(tmp_path)
    path = tmp_path / "2.tfrecord"
    path.write_bytes(harm(path.read_bytes()))
    shards = TensorFlowShards.open(pattern, "--f", FRAMES)
    for dataset in shards.ordered_batches(4), training(shards):
        found = error_of(read, shards, dataset)
        assert found.startswith(f"--input_pipeline=tfrecord: {message}")
        assert found.endswith("reader names the record, and leaves damaged ones out")


@pytest.mark.parametrize(
    "record, message",
    [
        (b"\xff\xff", "Invalid protocol message"),
        (
            frame_level("v", [20], "id", np.ones((3, 6), np.uint8)),
            "a record has a label beyond --num_classes=20; ",
        ),
        (
            frame_level("v", [1], "id", np.ones((3, 5), np.uint8)),
            "a record has a frame of audio that is not of 2 bytes; ",
        ),
        (
            frame_level("v", [1], "id", np.ones((3, 6), np.uint8), [(0, 1, np.nan)]),
            "a record has ratings of a segment that are not finite; ",
        ),
        *(
            (
                frame_level("v", None, "id", np.ones((3, 6), np.uint8), rated),
                "a record rates a segment beyond its frames; ",
            )
            for rated in ([(5, 1, 1.0)], [(3, 1, 1.0)], [(0, 1, 1.0), (-2, 1, 1.0)])
        ),
    ],
    ids=["no record", "label", "size", "rating", "segment", "just behind", "before"],
)
def test_an_unusable_record_ends_the_run_with_one_line(tmp_path, record, message):
    sound = frame_level("v", [1], "id", np.ones((3, 6), np.uint8), [(0, 1, 1.0)])
    write_records(tmp_path / "x", [sound] * 9 + [record])
    shards = TensorFlowShards.open(
        str(tmp_path / "x"), "--f", FRAMES, segments="segment" in message
    )
    found = error_of(read, shards, shards.ordered_batches(4))
    assert found.startswith(f"--input_pipeline=tfrecord: {message}")


def test_a_file_that_is_gone_ends_the_run_with_one_line(tmp_path):
    shards = TensorFlowShards.open(write(tmp_path), "--f", FRAMES)
    os.remove(tmp_path / "1.tfrecord")
    found = error_of(read, shards, shards.ordered_batches(4))
    assert f"{tmp_path}/1.tfrecord; No such file" in found


def test_files_of_another_kind_are_refused_when_opened(tmp_path):
    path = tmp_path / "x"
    opened = lambda: TensorFlowShards.open(str(path), "--f", FRAMES)  # noqa: E731
    path.write_text("VideoId,LabelConfidencePairs\n" * 9)
    assert error_of(opened).startswith(f"{path}: not a TFRecord file")
    path.write_bytes(b"")
    assert error_of(opened).startswith(f"{path}: holds no records")
    write_records(path, [video_level("v", [1], "id", np.ones((1, 6)))])
    assert "drop --frame_features" in error_of(opened)


def test_crops_of_released_code_are_refused(pattern):
    config = dataclasses.replace(FRAMES, frame_sampling="crop", released_crops=True)
    found = error_of(TensorFlowShards.open, pattern, "--f", config)
    assert found.startswith("--input_pipeline=tfrecord: ")
