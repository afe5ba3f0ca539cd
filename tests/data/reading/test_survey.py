"""What a survey finds in records of each level."""

import os

import numpy as np
import pytest

from youtube8m.config import DataConfig
from youtube8m.data.reading.pipeline import Shards
from youtube8m.data.reading.survey import survey
from youtube8m.data.writing.records import frame_example, video_example, write_records
from youtube8m.errors import UserError


def frames(count, size):
    return np.zeros((count, size), np.uint8)


def test_frame_level_records(tmp_path):
    write_records(
        tmp_path / "a.tfrecord",
        [
            frame_example(
                f"v{n}", [n], {"zoom": frames(n, 3), "audio": frames(n, 4)}, id_key="id"
            )
            for n in (1, 2, 3)
        ],
    )
    segments = [(0, 5, 1.0)]
    features = {"audio": frames(2, 4), "rgb": frames(2, 6)}
    write_records(
        tmp_path / "b.tfrecord", [frame_example("w", [9], features, segments)]
    )
    found = survey(f"{tmp_path}/a*,{tmp_path}/b*", "--flag")
    assert found.records == 4
    sizes = {name: feature.size for name, feature in found.frame_features.items()}
    assert list(sizes.items()) == [("rgb", 6), ("audio", 4), ("zoom", 3)]
    assert found.frame_features["audio"].records == 4
    assert found.frame_features["rgb"].records == 1
    assert found.num_frames == {1, 2, 3}
    assert found.labelled == 4 and found.highest_label == 9 and found.segments == 1
    assert not found.video_features


def test_video_level_records(tmp_path):
    vectors = {"zoom": np.ones(2), "mean_audio": np.ones(3), "mean_rgb": np.ones(5)}
    write_records(
        tmp_path / "a.tfrecord",
        [video_example("v", None, vectors), video_example("w", [], vectors)],
    )
    found = survey(f"{tmp_path}/a.tfrecord", "--flag")
    sizes = {name: feature.size for name, feature in found.video_features.items()}
    assert list(sizes.items()) == [("mean_rgb", 5), ("mean_audio", 3), ("zoom", 2)]
    assert not found.frame_features
    assert found.labelled == 0 and found.highest_label == -1


def test_a_size_that_differs_is_none(tmp_path):
    examples = [frame_example("v", [0], {"rgb": frames(2, size)}) for size in (3, 4)]
    write_records(tmp_path / "a.tfrecord", examples)
    found = survey(f"{tmp_path}/a.tfrecord", "--flag")
    assert found.frame_features["rgb"].size is None
    assert found.frame_features["rgb"].sizes == {3, 4}


def test_damaged_records_are_passed_over(tmp_path):
    good = frame_example("v", [0], {"rgb": frames(2, 3)})
    write_records(tmp_path / "a.tfrecord", [b"damaged", good])
    (tmp_path / "b.tfrecord").write_bytes(b"no TFRecord")
    found = survey(f"{tmp_path}/*.tfrecord", "--flag")
    assert found.records == 1 and found.frame_features["rgb"].size == 3


def test_no_file_is_an_error(tmp_path):
    with pytest.raises(UserError, match="--flag=.*no file matches"):
        survey(f"{tmp_path}/*", "--flag")


def test_a_name_that_is_not_utf8(tmp_path):
    record = video_example("v", [1], {"mean_rgb": np.ones(5)})
    write_records(tmp_path / "a.tfrecord", [record])
    (tmp_path / "a.tfrecord").rename(tmp_path / os.fsdecode(b"\xff.tfrecord"))
    pattern = f"{tmp_path}/*.tfrecord"
    assert survey(pattern, "--flag").records == 1
    shards = Shards.open(pattern, "--flag", DataConfig(("mean_rgb",), (5,)))
    assert len(shards.fingerprint()) == 64
