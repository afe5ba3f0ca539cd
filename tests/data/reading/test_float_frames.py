"""Frames of floats are read as they are stored, by both pipelines."""

import dataclasses

import numpy as np
import pytest

from tests.helpers import float_records
from tests.helpers.float_records import SIZES, data_config
from youtube8m.data.reading.survey import survey
from youtube8m.data.reading.tensorflow_pipeline import open_shards
from youtube8m.data.writing.records import dequantize, frame_example, write_records
from youtube8m.errors import UserError

QUICK = [("float16", "float16"), ("uint8", "float_list")]
WAYS = [
    *(pytest.param(stored, id="-".join(stored)) for stored in QUICK),
    *(
        pytest.param(stored, id="-".join(stored), marks=pytest.mark.slow)
        for stored in (
            ("float_list", "float_list"),
            ("float32", "float32"),
            ("bfloat16", "bfloat16"),
            ("uint8", "float16"),
            ("float32", "uint8"),
        )
    ),
]


def read(path, data, pipeline="reader", batch_size=5, segments=False, **kwargs):
    """All batches, in the order of the files."""
    path = str(path)
    opened = open_shards(pipeline, path, "--flag", data, segments=segments, **kwargs)
    batches = opened.iterate(opened.ordered_batches(batch_size))
    return [{k: v.numpy() for k, v in batch.items()} for batch in batches], opened


def assert_same(ours, theirs):
    assert len(ours) == len(theirs) > 0
    for one, two in zip(ours, theirs, strict=True):
        assert one.keys() == two.keys()
        for key in one:
            assert one[key].dtype == two[key].dtype, key
            np.testing.assert_array_equal(one[key], two[key], err_msg=key)


@pytest.mark.parametrize("stored", WAYS)
@pytest.mark.parametrize("sampling", ["all", "random"])
def test_values_are_those_of_the_bytes(tmp_path, stored, sampling):
    sampled = {"frame_sampling": sampling, "crop_frames": 6, "skip_frames": 1}
    path = float_records.write(tmp_path / "floats.tfrecord", *stored)
    other = float_records.write(tmp_path / "bytes.tfrecord", "uint8", "uint8")
    batches, _ = read(path, data_config(*stored, **sampled))
    expected, _ = read(other, data_config(**sampled))
    plain, _ = read(path, data_config(*stored, **sampled), "tfrecord")
    assert_same(batches, plain)
    same_type = len({*stored}) == 1
    keys = ["frames"] if same_type else ["frames0", "frames1"]
    types = [np.dtype(float_records.TYPES[kind]) for kind in stored]
    for batch, wanted in zip(batches, expected, strict=True):
        assert [k for k in batch if k.startswith("frames")] == keys
        assert [batch[k].dtype for k in keys] == types[: len(keys)]
        start = 0
        for key, kind in zip(keys, stored, strict=False):
            found = batch[key]
            part = wanted["frames"][..., start : start + found.shape[-1]]
            real = np.arange(part.shape[1]) < wanted["num_frames"][:, None]
            values = float_records.stored_as(part, kind) * real[..., None].astype(
                found.dtype
            )
            np.testing.assert_array_equal(found, values)
            start += found.shape[-1]


@pytest.mark.parametrize("stored", WAYS)
def test_segments_of_floats(tmp_path, stored):
    path = float_records.write(tmp_path / "a.tfrecord", *stored, rated=True)
    ours, _ = read(path, data_config(*stored), segments=True)
    plain, _ = read(path, data_config(*stored), "tfrecord", segments=True)
    assert_same(ours, plain)
    key = [key for key in ours[0] if key.startswith("frames")][0]
    assert ours[0][key].shape[1] == 5
    assert ours[0]["num_frames"].min() >= 1


@pytest.mark.parametrize("pipeline", ["reader", "tfrecord"])
def test_float32_is_read_from_bytes_and_from_lists(tmp_path, pipeline):
    found = []
    for way in ("float32", "float_list"):
        path = float_records.write(tmp_path / way, way, way)
        found += [
            read(path, data_config(k, k), pipeline)[0]
            for k in ("float32", "float_list")
        ]
    for other in found[1:]:
        assert_same(found[0], other)


@pytest.mark.parametrize("kind", ["float16", "bfloat16", "float32", "float_list"])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_values_that_are_not_finite_are_damage(tmp_path, kind, value):
    records = [*float_records.records(kind, kind)]
    frames = np.zeros((3, SIZES["rgb"]), float_records.TYPES[kind])
    frames[2, 5] = value
    audio = np.ones((3, SIZES["audio"]), frames.dtype)
    bad = frame_example(
        "bad", [1], {"rgb": frames, "audio": audio}, floats=float_records.way(kind)
    )
    write_records(tmp_path / "a", [*records[:3], bad, *records[3:]])
    write_records(tmp_path / "b", records)
    batches, shards = read(tmp_path / "a", data_config(kind, kind), batch_size=20)
    sound, _ = read(tmp_path / "b", data_config(kind, kind), batch_size=20)
    assert_same(batches, sound)
    (report,) = shards.damage.reports[str(tmp_path / "a")]
    assert report == "record 3 feature 'rgb' holds values that are not finite"
    with pytest.raises(UserError, match="not finite"):
        read(tmp_path / "a", data_config(kind, kind), "tfrecord")


def test_a_segment_that_is_not_finite_takes_all_of_its_record(tmp_path):
    records = [*float_records.records("float16", "float16", count=3, rated=True)]
    rows = records[1].feature_lists.feature_list["audio"].feature
    rows[5].bytes_list.value[0] = b"\x00\x7c" * SIZES["audio"]
    write_records(tmp_path / "a", records)
    batches, shards = read(
        tmp_path / "a", data_config("float16", "float16"), segments=True
    )
    assert [*batches[0]["id"]] == [b"v000", b"v000", b"v002", b"v002"]
    assert len(batches[0]["frames"]) == 4 and shards.damage.lost == 1


@pytest.mark.parametrize("stored", ["uint8", "float_list"])
def test_vectors_of_a_video(tmp_path, stored):
    rng, examples, vectors = np.random.default_rng(0), [], []
    for number in range(4):
        vectors.append(float_records.stored_as(float_records.levels(rng, 6), stored))
        features = {"rgb": float_records.levels(rng, 3 + number, 24)}
        examples.append(
            frame_example(
                f"v{number}",
                [number],
                features,
                [(0, number, 1.0)],
                context={"clip": vectors[-1]},
            )
        )
    write_records(tmp_path / "a", examples)
    data = data_config()
    data = dataclasses.replace(
        data,
        feature_names=("rgb",),
        context_features=("clip",),
        feature_sizes=(24, 6),
        feature_dtypes=("uint8", stored),
    )
    for segments in (False, True):
        ours, _ = read(tmp_path / "a", data, segments=segments)
        plain, _ = read(tmp_path / "a", data, "tfrecord", segments=segments)
        assert_same(ours, plain)
        np.testing.assert_array_equal(ours[0]["frames1"], vectors)


def test_wrong_widths_are_told_with_what_they_may_be(tmp_path):
    path = float_records.write(tmp_path / "a", "float16", "float16")
    with pytest.raises(UserError, match="rgb.*48 bytes where 24.*=float16 or bfloat16"):
        read(path, data_config())
    with pytest.raises(UserError, match=r"rgb.*48 bytes where 96.*float16 or bfloat16"):
        read(path, data_config("float32", "float32"))
    path = float_records.write(tmp_path / "b", "float_list", "float_list")
    with pytest.raises(UserError, match=r"quantize them.*--feature_dtypes=float_list"):
        read(path, data_config())


def test_other_keys(tmp_path):
    keys = {"id_key": "name", "labels_key": "topics"}
    path = float_records.write(tmp_path / "a", "uint8", "uint8", **keys)
    usual = float_records.write(tmp_path / "b", "uint8", "uint8")
    expected, _ = read(usual, data_config())
    for pipeline in ("reader", "tfrecord"):
        assert_same(read(path, data_config(**keys), pipeline)[0], expected)
    with pytest.raises(UserError, match="--id_key"):
        read(path, data_config())
    with pytest.raises(UserError, match="'topics'"):
        read(usual, data_config(labels_key="topics"))
    assert survey(path, "--flag", config=data_config(**keys)).labelled == 8


# MediaPipe's layout: see docs/input.md.


def mediapipe_example(name, start, rgb, audio, late=0, rated=False):
    """As its graph writes it; the audio begins `late` seconds after the frames."""
    features = {"RGB/feature/floats": rgb, "AUDIO/feature/floats": audio}
    example = frame_example(
        name,
        [1, 3],
        features,
        id_key="clip/data_path",
        labels_key="clip/label/index",
        floats="lists",
    )
    lists, context = example.feature_lists.feature_list, example.context.feature
    for prefix, frames, first in (("RGB", rgb, start), ("AUDIO", audio, start + late)):
        context[f"{prefix}/feature/rate"].float_list.value.append(1.0)
        context[f"{prefix}/feature/dimensions"].int64_list.value.append(frames.shape[1])
        for number in range(len(frames)):
            times = lists[f"{prefix}/feature/timestamp"].feature.add().int64_list
            jitter = 3000 if prefix == "AUDIO" else 0
            times.value.append((first + number) * 1_000_000 + jitter)
    context["clip/start/timestamp"].int64_list.value.append(start * 1_000_000)
    if rated:
        times = context["segment/start/timestamp"].int64_list.value
        times.extend([start * 1_000_000, (start + 5) * 1_000_000])
        context["segment/label/index"].int64_list.value.extend([2, 4])
    return example


MEDIAPIPE = {
    "feature_names": ("RGB/feature/floats", "AUDIO/feature/floats"),
    "feature_dtypes": ("float_list", "float_list"),
}


@pytest.fixture
def mediapipe(tmp_path):
    rng = np.random.default_rng(3)
    examples = []
    for number, (frames, sounds, late) in enumerate([(8, 8, 0), (9, 10, 0), (8, 8, 2)]):
        rgb = rng.normal(size=(frames, 24)).astype(np.float32)
        audio = rng.normal(size=(sounds, 8)).astype(np.float32)
        examples.append(
            (
                mediapipe_example(f"clip{number}", 10 * number, rgb, audio, late, True),
                rgb,
                audio,
                late,
            )
        )
    write_records(tmp_path / "a", [example for example, *_ in examples])
    return str(tmp_path / "a"), [rest for _, *rest in examples]


def test_mediapipe_records_are_paired_by_their_times(mediapipe):
    path, videos = mediapipe
    data = dataclasses.replace(data_config(), **MEDIAPIPE)
    ours, shards = read(path, data)
    assert_same(ours, read(path, data, "tfrecord")[0])
    assert shards.damage.lost == 0
    (batch,) = ours
    assert [*batch["id"]] == [b"clip0", b"clip1", b"clip2"]
    np.testing.assert_array_equal(batch["labels"], [[1, 3]] * 3)
    for frames, count, (rgb, audio, late) in zip(
        batch["frames"], batch["num_frames"], videos, strict=True
    ):
        length = min(len(rgb) - late, len(audio))
        assert count == length
        expected = np.concatenate([rgb[late:][:length], audio[:length]], axis=1)
        np.testing.assert_array_equal(frames[:count], expected)


def test_mediapipe_segments(mediapipe):
    path, _ = mediapipe
    data = dataclasses.replace(data_config(), **MEDIAPIPE)
    ours, _ = read(path, data, segments=True)
    plain, _ = read(path, data, "tfrecord", segments=True)
    assert_same(ours, plain)
    (first, *_) = ours
    np.testing.assert_array_equal(first["segment_start"][:4], [0, 5, 0, 5])
    np.testing.assert_array_equal(first["labels"][:2], [[2], [4]])


# What a survey tells.


@pytest.mark.parametrize("stored", [("uint8", "uint8"), *WAYS], ids="-".join)
def test_a_survey_tells_types_and_sizes(tmp_path, stored):
    path = float_records.write(tmp_path / "a", *stored)
    found = survey(path, "--flag").frame_features
    assert {n: f.size for n, f in found.items()} == SIZES
    assert tuple(feature.stored for feature in found.values()) == stored


def test_a_survey_of_mediapipe_names_its_features_alone(mediapipe):
    found = survey(mediapipe[0], "--flag")
    names = {name: f.size for name, f in found.frame_features.items()}
    assert names == {"RGB/feature/floats": 24, "AUDIO/feature/floats": 8}
    assert not found.video_features
    assert found.labelled == 3 and found.highest_label == 3 and found.segments == 3


def test_dequantised_values_are_those_of_the_device():
    levels = np.arange(256, dtype=np.uint8)
    from youtube8m.layers.inputs import join_frames

    batch = {"frames0": levels[None, None], "frames1": np.ones((1, 2), np.float16)}
    joined = np.asarray(join_frames(batch))
    assert joined.dtype == np.float32 and joined.shape == (1, 1, 258)
    np.testing.assert_allclose(joined[0, 0, :256], dequantize(levels), atol=1e-6)
    np.testing.assert_array_equal(joined[0, 0, 256:], 1)
