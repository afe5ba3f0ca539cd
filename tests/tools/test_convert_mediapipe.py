"""Files of MediaPipe's clips to a TFRecord file."""

import re

import numpy as np
import pytest
import tensorflow as tf
from absl.testing import flagsaver

from youtube8m.config import DataConfig
from youtube8m.data.reading.damage import Damage
from youtube8m.data.reading.pipeline import decoder_for
from youtube8m.data.reading.tfrecord import read_records
from youtube8m.data.writing import mediapipe
from youtube8m.errors import UserError
from youtube8m.tools import convert_mediapipe as tool


def clip(labels=(), seconds=(0, 1, 2), prefixes=("RGB", "AUDIO"), **context):
    """A clip whose frames all hold the first label, or 0."""
    example = tf.train.SequenceExample()
    lists = example.feature_lists.feature_list
    for prefix in prefixes:
        for second in seconds:
            frame = lists[f"{prefix}/feature/floats"].feature.add()
            frame.float_list.value.extend([*labels, 0.0][:1] * 4)
            time = lists[f"{prefix}/feature/timestamp"].feature.add()
            time.int64_list.value.append(second * 1_000_000)
    if labels:
        example.context.feature["clip/label/index"].int64_list.value.extend(labels)
    for key, value in context.items():
        example.context.feature[f"clip/label/{key}"].bytes_list.value.append(value)
    return example


@pytest.fixture
def convert(tmp_path):
    """Writes clips as files 0.pb, 1.pb ..., and converts them to out.tfrecord."""

    def convert(*clips, words=("*.pb",), **values):
        for number, example in enumerate(clips):
            data = (
                example if isinstance(example, bytes) else example.SerializeToString()
            )
            (tmp_path / f"{number}.pb").write_bytes(data)
        out = str(tmp_path / "out.tfrecord")
        given = {"output_file": out, "feature_names": "", **values}
        with flagsaver.flagsaver(**given):
            tool.main(*(str(tmp_path / word) for word in words))
        return out

    return convert


def test_train_reads_what_was_converted(convert):
    path = convert(clip([1]), clip([2, 0]), quantize=True)
    data = DataConfig(("rgb", "audio"), (4, 4), True, num_classes=3)
    decoder = decoder_for(data, True, damage := Damage(strict=True))
    records = [*zip(*read_records(path, damage), strict=True)]
    batch = decoder.decode([path], *records)
    assert batch["id"].tolist() == [b"0", b"1"]
    assert batch["labels"].tolist() == [[1, -1], [0, 2]]
    assert batch["num_frames"].tolist() == [3, 3]
    expected = np.full((2, 3, 8), [[[191]], [[255]]])  # the bytes of 1.0 and 2.0
    np.testing.assert_array_equal(batch["frames"], expected)


def test_what_is_lost_is_told(convert, caplog):
    convert(
        clip([1]), clip([1], prefixes=["RGB"]), b"\x0a\xff", clip(seconds=[1, 2, 3])
    )
    log = caplog.text
    assert re.search(r"1\.pb: has no audio; --zero_missing .*1 records lost", log)
    assert re.search(r"2\.pb: is no SequenceExample; skipped \(2 records", log)
    assert "wrote 2 videos, 6 frames of rgb (4), audio (4): " in log
    assert "2 videos could not be converted" in log


@pytest.mark.parametrize(
    "later, readings, features",
    [
        (["RGB"], 1, "rgb (4)"),
        (["RGB", "FACE"], 3, "rgb (4), face (4)"),  # all are looked through, then read
    ],
)
def test_files_are_read_once_unless_a_later_one_has_more(
    later, readings, features, convert, monkeypatch, caplog
):
    read, seen = mediapipe.read_clips, []
    monkeypatch.setattr(
        mediapipe, "read_clips", lambda *args: seen.append(args[0]) or read(*args)
    )
    convert(clip([1], prefixes=["RGB"]), clip(prefixes=later), zero_missing=True)
    assert len([path for path in seen if path.endswith("1.pb")]) == readings
    assert f"wrote 2 videos, 6 frames of {features}: " in caplog.text


def test_frames_and_ids_that_are_odd_are_counted(convert, caplog):
    late = clip(prefixes=["AUDIO"], seconds=[1, 2, 7])
    late.MergeFrom(clip(prefixes=["RGB"]))
    for example in (first := clip(), late):
        example.context.feature["clip/media_id"].bytes_list.value.append(b"m")
    convert(first, late)
    assert "1 frames of rgb have no counterpart at their time; left out" in caplog.text
    assert "1 frames of audio have no counterpart" in caplog.text
    assert "1 ids are those of several videos, first 'm'" in caplog.text


def test_chosen_features_and_words(convert, caplog):
    clips = [clip([1]), clip([1], prefixes=["RGB"])]
    convert(*clips, words=["0.pb", "*.pb"], feature_names="rgb")
    assert "wrote 2 videos, 6 frames of rgb (4): " in caplog.text


def test_label_names_become_class_ids(convert, tmp_path):
    path = tmp_path / "vocabulary.csv"
    path.write_text("Index,Name\n0,Game\n1,Cooking\n")
    example = clip(string=b"Cooking")
    out = convert(example, vocabulary_file=str(path))
    ((_, data),) = read_records(out, Damage(strict=True))
    context = tf.train.SequenceExample.FromString(data).context
    assert context.feature["labels"].int64_list.value == [1]
    with pytest.raises(UserError, match="0.pb: has label names .* --vocabulary_file"):
        convert(example)


@pytest.mark.parametrize(
    "clips, values, message",
    [
        ([], {}, r"the files to convert=.*\*.pb: no file matches"),
        ([b"\x0a\xff"], {}, "0.pb: no file holds a clip with frames"),
        ([clip()], {"words": ()}, "name the files to convert"),
        ([clip()], {"output_file": ""}, "--output_file is empty"),
        ([clip()], {"output_file": "/missing/x"}, "--output_file=/missing/x: cannot"),
        ([clip()], {"feature_names": "rgb,clip"}, "no file has 'clip'; they have rgb"),
        (
            [clip(), clip(prefixes=["RGB"])],
            {"strict_data": True},
            "1.pb: has no audio.*without --strict_data it is skipped",
        ),
    ],
)
def test_mistakes_are_one_line(convert, clips, values, message, tmp_path):
    with pytest.raises(UserError, match=message):
        convert(*clips, **values)
    assert not (tmp_path / "out.tfrecord").exists()


def test_files_that_hold_nothing_usable_leave_no_file(convert, tmp_path):
    clips = [clip(prefixes=["RGB"]), clip(prefixes=["AUDIO"])]
    with pytest.raises(UserError, match="no video of the 2 files could be converted"):
        convert(*clips)
    assert not (tmp_path / "out.tfrecord").exists()
