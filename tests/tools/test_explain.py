"""tools.explain: one record, or one video, from the flags to the page."""

import numpy as np
import pytest

from tests.helpers.clips import write_clip
from tests.helpers.extraction import write_network
from tests.helpers.training_runs import FRAMES, LOGISTIC, config
from youtube8m.config import DataConfig, ModelConfig, RunConfig
from youtube8m.data.reading import messages, shard_files, tfrecord
from youtube8m.data.reading.damage import Damage
from youtube8m.data.writing.records import frame_example, write_records
from youtube8m.errors import UserError
from youtube8m.extraction.config import ExtractConfig
from youtube8m.extraction.many_videos import extract_videos
from youtube8m.tools.explain import ExplainConfig, explain
from youtube8m.training.config import TrainingConfig
from youtube8m.training.trainer import Trainer

ATTENTION = ModelConfig("BiLSTMAttention", hyperparameters={"lstm_cells": 4})


@pytest.fixture(scope="module")
def runs(tmp_path_factory, sample):
    """Directories of runs with random weights, on frames and on videos."""
    folder = tmp_path_factory.mktemp("runs")
    Trainer(
        RunConfig(FRAMES, ATTENTION), config(sample, folder / "frames")
    ).saver.save()
    Trainer(LOGISTIC, config(sample, folder / "videos", "video")).saver.save()
    return folder


def first_id(pattern):
    (path, *_) = shard_files.find_shards(pattern, "--f")
    _, record = next(tfrecord.read_records(path, Damage()))
    context, _ = messages.split_sequence_example(record)
    return messages.byte_strings(record, context["id"])[0].decode()


def settings(runs, sample, level="frame", **values):
    pattern = sample[f"{level}/validate"]
    given = {"input_data_pattern": pattern, "video_id": first_id(pattern)}
    run = "frames" if level == "frame" else "videos"
    return ExplainConfig(train_dir=str(runs / run), **(given | values))


def test_a_record_is_explained(runs, sample, tmp_path):
    pytest.importorskip("altair", reason="needs the extra report")
    pytest.importorskip("vl_convert", reason="needs the extra report")
    path = tmp_path / "explained"
    flags = settings(
        *(runs, sample),
        top_k=4,
        vocabulary_file=sample["vocabulary"],
        report_dir=str(path),
    )
    lines = explain(flags).splitlines()
    assert lines[0] == f"video {flags.video_id}"
    labels = lines[2:6]
    scores = [float(line.split()[0]) for line in labels]
    assert scores == sorted(scores, reverse=True)
    assert lines[7].split()[-1] == "attention"
    assert [line.split()[0] for line in lines[8:10]] == ["0", "5"]
    names = {file.name for file in path.iterdir()}
    assert names == {
        "report.html",
        *("labels.csv", "timeline.csv", "occlusion.csv", "attention.csv"),
    }


def test_a_run_on_video_level_features_says_what_is_not_possible(runs, sample, caplog):
    text = explain(settings(runs, sample, "video"))
    assert len(text.splitlines()) == 12 and "second" not in text
    assert "nothing can be said of parts of the video" in caplog.text


@pytest.mark.parametrize(
    "values, told",
    [
        ({"video_id": "none"}, "--video_id=none: no record of the . files"),
        ({"video_id": ""}, "give both --input_data_pattern and --video_id"),
        ({"input_data_pattern": "", "video_id": ""}, "0 videos are named"),
        ({"input_data_pattern": "/no/*.tfrecord"}, "no file matches"),
    ],
)
def test_what_cannot_be_explained_is_one_line(runs, sample, values, told):
    with pytest.raises(UserError, match=told):
        explain(settings(runs, sample, **values))


def test_a_record_and_a_video_are_not_named_together(runs, sample):
    with pytest.raises(UserError, match="1 videos are named .* a record by its id"):
        explain(settings(runs, sample), ["my.mp4"])


def test_of_records_with_one_id_the_first_is_explained(runs, sample, tmp_path, caplog):
    frames = {"rgb": np.ones((6, 24), np.uint8), "audio": np.ones((6, 8), np.uint8)}
    write_records(tmp_path / "twice", [frame_example("v", [1], frames)] * 2)
    flags = settings(
        *(runs, sample), input_data_pattern=str(tmp_path / "twice"), video_id="v"
    )
    assert explain(flags).startswith("video v\n")
    assert "--video_id=v: 2 records have this id; the first" in caplog.text
    assert "record 0" in caplog.text


@pytest.mark.slow
def test_a_video_is_explained_with_pictures(tmp_path):
    write_network(tmp_path / "network.keras")
    path = write_clip(tmp_path / "clip.mp4", (200, 0, 0), seconds=12, sound=False)
    (tmp_path / "list.csv").write_text(f"{path},0\n")
    extract_videos(
        ExtractConfig(
            input_videos_csv=str(tmp_path / "list.csv"),
            output_dir=str(tmp_path / "features"),
            image_model=str(tmp_path / "network.keras"),
            fit_pca=4,
            audio=False,
        )
    )
    run = RunConfig(DataConfig(("rgb",), (4,), True, num_classes=3), ATTENTION)
    pattern = str(tmp_path / "features" / "*.tfrecord")
    train_dir = str(tmp_path / "run")
    Trainer(
        run, TrainingConfig(train_dir=train_dir, train_data_pattern=pattern)
    ).saver.save()
    of_video = ExplainConfig(train_dir=train_dir, report_dir=str(tmp_path / "out"))
    lines = explain(of_video, [path]).splitlines()
    assert lines[0] == "video clip.mp4"
    assert [line.split()[0] for line in lines[-3:]] == ["0", "5", "10"]
    page = (tmp_path / "out" / "report.html").read_text()
    assert page.count("data:image/jpeg;base64,") == 3
    of_record = ExplainConfig(
        train_dir=train_dir, input_data_pattern=pattern, video_id="clip"
    )
    assert explain(of_record).splitlines()[-3:] == lines[-3:]
    with pytest.raises(UserError, match=r"none.mp4: cannot be used"):
        explain(of_video, [str(tmp_path / "none.mp4")])
