"""MediaPipe's clips as records: golden ones, and what goes wrong with others."""

import numpy as np
import pytest
import tensorflow as tf

from tests.helpers import golden
from youtube8m.config import DataConfig
from youtube8m.data.reading.damage import Damage
from youtube8m.data.reading.messages import RecordError
from youtube8m.data.reading.pipeline import decoder_for
from youtube8m.data.writing import mediapipe
from youtube8m.data.writing.records import quantize, write_records
from youtube8m.errors import UserError

SIZES = {"rgb": 3, "audio": 2}
FOLDER = golden.FOLDER / "extraction"
FILE = FOLDER / "mediapipe_features.npz"
GOLDEN = golden.Case(FILE) if FILE.exists() else None
CASES = list(GOLDEN.meta["cases"]) if GOLDEN else [
    pytest.param("", marks=pytest.mark.skip(reason=f"no {FILE}: set YT8M_GOLDEN"))
]  # fmt: skip


def values(features, key, kind="int64_list"):
    return list(getattr(features.feature[key], kind).value)


def rows(record, name):
    """float32 [T, d], or uint8 where the frames are bytes."""
    found = record.feature_lists.feature_list[name].feature
    if found[0].HasField("bytes_list"):
        return np.array([np.frombuffer(f.bytes_list.value[0], "u1") for f in found])
    return np.array([f.float_list.value for f in found], np.float32)


@pytest.mark.parametrize("quantized", [False, True])
@pytest.mark.parametrize("case", CASES)
def test_golden_clips(case, quantized, tmp_path):
    facts, path = GOLDEN.meta["cases"][case], tmp_path / "features.pb"
    path.write_bytes(GOLDEN[f"serialized_{case}"].tobytes())
    (clip,) = mediapipe.read_clips(str(path), Damage(strict=True))
    sizes = mediapipe.find_features([clip])
    assert list(sizes) == ["rgb", "audio"][: 2 if facts["audio"] else 1]
    record = mediapipe.Conversion(sizes, quantized).record(clip, str(path))
    count, start = facts["rgb"], facts["start_s"]
    kind = "_bytes_floor" if quantized else ""
    np.testing.assert_array_equal(rows(record, "rgb"), GOLDEN[f"{case}|rgb{kind}"])
    if facts["audio"]:
        # It begins with the file, so the clip's first second is its `start`-th row.
        expected = GOLDEN[f"{case}|audio{kind}"][start : start + count]
        np.testing.assert_array_equal(rows(record, "audio"), expected)
    context = record.context
    assert values(context, "id", "bytes_list") == [b"some clip"]
    assert ("labels" in context.feature) == bool(facts["labels"])
    assert (values(context, "labels") or None) == facts["labels"]
    segments = np.reshape(facts["segments"] or [], (-1, 4))
    starts, ends, classes, scores = segments.T.tolist()
    assert values(context, "segment_start_times") == starts
    assert values(context, "segment_end_times") == ends
    assert values(context, "segment_labels") == classes
    assert values(context, "segment_scores", "float_list") == scores


@pytest.mark.skipif(not FOLDER.is_dir(), reason=f"no {FOLDER}: set YT8M_GOLDEN")
def test_the_golden_file_is_the_labelled_clip():
    (clip,) = mediapipe.read_clips(str(FOLDER / "mediapipe_features.pb"), Damage(True))
    labelled = GOLDEN["serialized_labelled"].tobytes()
    assert clip == tf.train.SequenceExample.FromString(labelled)
    sizes = mediapipe.find_features([clip])
    record = mediapipe.Conversion(sizes).record(clip, "features.pb")
    assert values(record.context, "labels") == [52, 3]


def clip(rgb=(0, 1, 2), audio=(0, 1, 2), **context):
    """A clip: at second s the values of rgb are s + 0.1 and so on, of audio -s."""
    example = tf.train.SequenceExample()
    lists = example.feature_lists.feature_list
    for prefix, seconds, make in (
        ("RGB", rgb, lambda s: s + np.float32([0.1, 0.2, 0.3])),
        ("AUDIO", audio, lambda s: np.full(2, -s)),
    ):
        for second in seconds:
            frame = lists[f"{prefix}/feature/floats"].feature.add()
            frame.float_list.value.extend(make(second))
            time = lists[f"{prefix}/feature/timestamp"].feature.add()
            time.int64_list.value.append(round(second * 1e6))
    for key, given in context.items():
        kind = {int: "int64_list", float: "float_list", bytes: "bytes_list"}
        feature = example.context.feature[key.replace("__", "/")]
        getattr(feature, kind[type(given[0])]).value.extend(given)
    return example


def convert(example, sizes=SIZES, path="/videos/clip.pb", **options):
    return mediapipe.Conversion(sizes, **options).record(example, path)


@pytest.mark.parametrize(
    "rgb, audio, kept, heard",
    [
        ([0, 1, 2], [0.02, 1.02, 2.02], [0, 1, 2], [0.02, 1.02, 2.02]),
        ([0, 1, 2], [0, 1, 2, 3, 4], [0, 1, 2], [0, 1, 2]),
        ([5, 6], [0, 1, 2, 3, 4, 5, 6], [5, 6], [5, 6]),
        ([0, 1, 2, 3], [1, 2], [1, 2], [1, 2]),
        ([2, 0, 1], [1, 2, 0], [0, 1, 2], [0, 1, 2]),  # in the order of time
        ([0, 0.5, 1, 1.5], [0, 0.52, 1, 1.49], [0, 0.5, 1, 1.5], [0, 0.52, 1, 1.49]),
        ([0, 1, 3], [0, 1, 2, 3], [0, 1, 3], [0, 1, 3]),  # a frame is missing
        ([0, 1, 2, 3], [0, 1, 3], [0, 1, 3], [0, 1, 3]),
        ([7], [7.4], [7], [7.4]),
        ([1], [0, 1, 2], [1], [1]),
    ],
)
def test_frames_are_paired_by_their_times(rgb, audio, kept, heard):
    record = convert(clip(rgb, audio))
    np.testing.assert_allclose(rows(record, "rgb")[:, 0], np.add(kept, 0.1), 1e-6)
    np.testing.assert_allclose(rows(record, "audio")[:, 1], np.negative(heard), 1e-6)


def test_what_has_no_counterpart_is_left_out_and_counted_or_zero():
    conversion = mediapipe.Conversion(SIZES)
    conversion.record(clip([0, 1, 2, 3], [2, 3, 4, 5, 6]), "a.pb")
    assert conversion.unpaired == {"rgb": 2, "audio": 3} and conversion.num_frames == 2
    record = convert(clip([0, 1, 2], [1]), zero_missing=True, quantized=True)
    np.testing.assert_array_equal(rows(record, "audio")[[0, 2]], 127)  # byte of 0.0
    assert rows(record, "audio")[1, 0] == quantize(np.array([-1.0]))[0]
    record = convert(clip(audio=()), zero_missing=True)
    np.testing.assert_array_equal(rows(record, "audio"), np.zeros((3, 2)))
    record = convert(clip(rgb=()), zero_missing=True)
    np.testing.assert_array_equal(rows(record, "rgb"), np.zeros((3, 3)))
    record = convert(clip(), {"audio": 2})
    assert list(record.feature_lists.feature_list) == ["audio"]


def test_ids():
    def id_of(**context):
        return values(convert(clip(**context)).context, "id", "bytes_list")[0]

    video = {"clip__data_path": [b"/videos/my.first \xff.mp4"]}
    assert id_of(**video) == b"my.first \xff"
    assert id_of(**video, clip__media_id=[b"m"]) == b"m"
    assert id_of(**video, clip__media_id=[b"m"], example__id=[b"e"]) == b"e"
    assert id_of() == id_of(clip__data_path=[b""]) == b"clip"


def test_segments_count_frames_from_the_clips_first():
    second = 1_000_000
    example = clip(
        range(10, 22),
        range(22),
        segment__start__timestamp=[10 * second, 15 * second, 9 * second, 25 * second],
        segment__end__timestamp=[15 * second, 17 * second, 14 * second, 30 * second],
        segment__label__index=[3, 4, 5, 6],
        segment__label__confidence=[1.0, 0.0, 1.0, 1.0],
    )
    conversion = mediapipe.Conversion(SIZES, quantized=True)
    record = conversion.record(example, "a.pb")
    assert values(record.context, "segment_start_times") == [0, 5]
    assert values(record.context, "segment_end_times") == [5, 7]
    assert (conversion.lost_segments, conversion.odd_segments) == (2, 1)
    config = DataConfig(("rgb", "audio"), (3, 2), True, num_classes=7)
    decoder = decoder_for(config, True, Damage(True), segments=True)
    first, second = decoder.parse(record.SerializeToString())
    assert (first["rated"].tolist(), first["labels"].tolist()) == ([3], [3])
    assert (second["segment_start"], second["labels"].tolist()) == (5, [])
    np.testing.assert_array_equal(
        first["frames"][1][:, 0], quantize(-np.arange(10.0, 15))
    )


def test_labels_by_name():
    example = clip(
        clip__label__string=[b"Cooking", b"Game"],
        segment__start__timestamp=[0],
        segment__label__string=[b"Game"],
    )
    record = convert(example, class_of={"Game": 0, "Cooking": 3})
    assert values(record.context, "labels") == [3, 0]
    assert values(record.context, "segment_labels") == [0]
    assert values(record.context, "segment_scores", "float_list") == [1.0]
    with pytest.raises(UserError, match="no class ids .*; give --vocabulary_file"):
        convert(example)
    with pytest.raises(UserError, match="the label 'Cooking', which no class of"):
        convert(example, class_of={"Game": 0})


def without_times(example):
    del example.feature_lists.feature_list["AUDIO/feature/timestamp"]


def with_another_size(example):
    rgb = example.feature_lists.feature_list["RGB/feature/floats"].feature
    rgb[1].float_list.value.append(0)


def with_nan(example):
    rgb = example.feature_lists.feature_list["RGB/feature/floats"].feature
    rgb[1].float_list.value[0] = np.nan


@pytest.mark.parametrize(
    "example, spoil, message",
    [
        (clip(audio=()), None, "has no audio; --zero_missing"),
        (clip(audio=[7, 8]), None, "no two features at the same time"),
        (clip(), without_times, "not one time in AUDIO/feature/timestamp for each"),
        (clip(), with_another_size, "4 values in RGB/feature/floats, where .* 3"),
        (clip(), with_nan, "RGB/feature/floats that are not finite"),
        (
            clip(segment__start__timestamp=[0, 1], segment__label__index=[3]),
            None,
            "segment lists of unequal lengths",
        ),
        (clip(segment__start__timestamp=[0]), None, "segment lists of unequal"),
    ],
)
def test_what_is_wrong_with_a_clip_is_told(example, spoil, message):
    if spoil:
        spoil(example)
    with pytest.raises(RecordError, match=message):
        convert(example)


def test_files_of_one_clip_of_many_and_of_none(tmp_path):
    one, many, none = (str(tmp_path / name) for name in ("one.pb", "many", "none.pb"))
    first, second = clip(), clip(rgb=[0])
    write_records(many, [first, b"\x0a\xff", tf.train.SequenceExample(), second])
    for path, data in ((one, first.SerializeToString()), (none, b"\x0a\xff")):
        with open(path, "wb") as file:
            file.write(data)
    damage = Damage()
    paths = (one, many, none, str(tmp_path / "missing"))
    found = [len([*mediapipe.read_clips(path, damage)]) for path in paths]
    assert found == [1, 2, 0, 0]
    reports = {path: sorted(what) for path, what in damage.reports.items()}
    assert reports[many] == [
        "record 1 is no SequenceExample",
        "record 2 has no frames of any PREFIX/feature/floats",
    ]
    assert reports[none] == ["is no SequenceExample"]
    assert "cannot be read" in reports[paths[-1]][0] and one not in reports


def test_features_and_their_names():
    example = clip(audio=())
    lists = example.feature_lists.feature_list
    for key in ("CLIP/feature/floats", "feature/floats", "A/B/feature/floats"):
        lists[key].feature.add().float_list.value.extend([1, 2, 3, 4])
    lists["image/encoded"].feature.add().bytes_list.value.append(b"jpeg")
    found = mediapipe.find_features([example, clip()])
    assert list(found.items()) == [
        *(("rgb", 3), ("audio", 2), ("a_b", 4), ("clip", 4), ("feature", 4))
    ]
