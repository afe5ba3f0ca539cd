"""From a video to a table of labels; the whole path is in test_own_videos.py."""

import json

import numpy as np
import pytest

from tests.helpers.clips import write_clip
from tests.helpers.extraction import NAMES_CSV, write_network
from youtube8m.config import DataConfig, ModelConfig, RunConfig
from youtube8m.errors import UserError
from youtube8m.extraction.config import ExtractConfig
from youtube8m.extraction.many_videos import extract_videos
from youtube8m.extraction.video_predictions import (
    PredictConfig,
    VideoPredictor,
    is_records,
)
from youtube8m.prediction.config import InferenceConfig
from youtube8m.prediction.inference import Inference
from youtube8m.training.config import TrainingConfig
from youtube8m.training.trainer import Trainer


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Clips of 7 seconds, their features, and runs on frames and on videos."""
    folder = tmp_path_factory.mktemp("predictions")
    write_network(folder / "network.keras")
    (folder / "names.csv").write_text(NAMES_CSV)
    lines = []
    for n, colour in enumerate([(200, 0, 0), (0, 200, 0)]):
        path = write_clip(folder / f"clip{n}.mp4", colour, seconds=7, sound=False)
        lines.append(f"{path},{n}\n")
    (folder / "list.csv").write_text("".join(lines))
    extract_videos(
        ExtractConfig(
            input_videos_csv=str(folder / "list.csv"),
            output_dir=str(folder / "features"),
            image_model=str(folder / "network.keras"),
            fit_pca=4,
            audio=False,
        )
    )
    frames = RunConfig(
        DataConfig(("rgb",), (4,), True, num_classes=3),
        ModelConfig("FrameLevelLogisticModel"),
    )
    train(folder, "frames", frames)
    videos = DataConfig(("mean_rgb",), (4,), num_classes=3)
    train(folder, "videos", RunConfig(videos, ModelConfig("LogisticModel")))
    return folder


def train(folder, name, run):
    config = TrainingConfig(
        train_dir=str(folder / name),
        train_data_pattern=str(folder / "features" / "*.tfrecord"),
    )
    Trainer(run, config).saver.save()


@pytest.mark.parametrize("name", ["list.csv", "other.TXT", "rows.jsonl"])
def test_a_table_is_no_video(folder, name):
    (folder / name).touch()
    with pytest.raises(UserError, match=f"{name}: is .*; name videos, files of rec"):
        predictor(folder).predict([str(folder / name)])


def predictor(folder, run="frames", **fields):
    return VideoPredictor(
        PredictConfig(
            train_dir=str(folder / run),
            vocabulary_file=str(folder / "names.csv"),
            **fields,
        )
    )


def cells(preview):
    return [line.split() for line in preview.table().splitlines()]


@pytest.mark.parametrize("run", ["frames", "videos"])
def test_a_video_is_predicted_as_its_record(folder, run, tmp_path):
    found = predictor(folder, run)
    rows = cells(found.predict([str(folder / "clip0.mp4")]))
    assert rows[0] == ["id", "confidence", "class", "name", "vertical"]
    assert rows[1][0] == "clip0.mp4" and len(rows) == 4
    records = str(folder / "features" / "*.tfrecord")
    of_records = cells(found.predict([records]))
    assert [row[-3:] for row in of_records[1:4]] == [row[-3:] for row in rows[1:]]
    output = str(tmp_path / "x.csv")
    Inference(InferenceConfig(str(folder / run), records, output)).run()
    _, line, _ = open(output).read().splitlines()
    pairs = line.partition(",")[2].split()
    assert [row[-2] for row in rows[1:]] == pairs[::2]
    values = [float(row[-3]) for row in rows[1:]]
    np.testing.assert_allclose(values, list(map(float, pairs[1::2])), atol=0.005)


def test_a_timeline_has_each_five_seconds(folder):
    found = predictor(folder, timeline=True, top_k=1)
    rows = cells(found.predict([str(folder / "clip*.mp4")]))
    assert rows[0][:2] == ["id", "second"]
    assert [row[:2] for row in rows[1:]] == [
        ["clip0.mp4", "0"],
        ["clip0.mp4", "5"],
        ["clip1.mp4", "0"],
        ["clip1.mp4", "5"],
    ]
    with pytest.raises(UserError, match="only frame-level models know segments"):
        predictor(folder, "videos", timeline=True).predict([str(folder / "clip0.mp4")])


def test_bad_videos_are_told_and_counted(folder, tmp_path, caplog):
    tmp_path.joinpath("text.mp4").write_text("hello")
    paths = [tmp_path / "text.mp4", folder / "clip1.mp4", tmp_path / "none.mp4"]
    found = predictor(folder)
    rows = cells(found.predict(list(map(str, paths))))
    assert len(rows) == 4 and rows[1][0] == "clip1.mp4"
    assert found.failed == 2


def test_another_network_is_an_error(folder, tmp_path):
    write_network(tmp_path / "other.keras", features=5)
    found = predictor(folder, image_model=str(tmp_path / "other.keras"))
    named = r"image_model .*other.keras \(sha256 \w+\) and .*network.keras \(sha256"
    with pytest.raises(UserError, match=named):
        found.predict([str(folder / "clip0.mp4")])


def test_a_network_that_was_moved_is_named(folder, tmp_path):
    data = (folder / "network.keras").read_bytes()
    tmp_path.joinpath("moved.keras").write_bytes(data)
    found = predictor(folder, image_model=str(tmp_path / "moved.keras"))
    assert len(cells(found.predict([str(folder / "clip0.mp4")]))) == 4


def test_a_run_that_does_not_say_how_its_features_were_made(folder, tmp_path):
    path = folder / "frames" / "model_flags.json"
    before = path.read_text()
    values = json.loads(before)
    del values["features"]
    try:
        path.write_text(json.dumps(values))
        clip = [str(folder / "clip0.mp4")]
        with pytest.raises(UserError, match="give --image_model and --pca_dir"):
            predictor(folder).predict(clip)
        given = {"image_model": str(folder / "network.keras")}
        given["pca_dir"] = str(folder / "features" / "pca")
        assert len(cells(predictor(folder, **given).predict(clip))) == 4
    finally:
        path.write_text(before)


def test_records_are_known_by_their_start(folder, tmp_path):
    shard = folder / "features" / "videos00000.tfrecord"
    tmp_path.joinpath("x").write_bytes(shard.read_bytes())
    assert is_records(str(shard)) and is_records(str(tmp_path / "x"))
    assert not is_records(str(folder / "clip0.mp4"))
    assert not is_records(str(tmp_path / "missing"))
