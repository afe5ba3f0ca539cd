"""Records that do not fit a trained run are told without advice on training."""

import numpy as np
import pytest

from youtube8m import models
from youtube8m.config import DataConfig, ModelConfig, RunConfig
from youtube8m.data.writing.records import frame_example, video_example, write_records
from youtube8m.errors import UserError
from youtube8m.prediction.predictor import TrainedRun
from youtube8m.runs.directory import RunDirectory


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    path = str(tmp_path_factory.mktemp("run"))
    data = DataConfig(("rgb",), (4,), frame_features=True, num_classes=3)
    run = RunConfig(data, ModelConfig("FrameLevelLogisticModel"))
    RunDirectory(path).prepare(models.complete(run), start_new=False)
    return TrainedRun(path, {})


def frames(labels=(1,), name="rgb", size=4):
    return frame_example("v", labels, {name: np.ones((2, size), np.uint8)})


@pytest.mark.parametrize(
    "record, told",
    [
        (video_example("v", [1], {"rgb": np.ones(4)}), "video-level, not frame-level"),
        (frames(name="audio"), "has no frame-level feature 'rgb' .it has: audio."),
        (frames(size=5), "holds a frame of 5 bytes where 4 belong"),
        (frames(size=16), "look like float32 values, .* quantize them, as .*quantize"),
        (frames(labels=[3]), "entry 3, but --num_classes=3 allows 0 to 2"),
    ],
)
def test_what_does_not_fit_is_told_beside_what_the_run_reads(
    trained, tmp_path, record, told
):
    write_records(tmp_path / "x", [record])
    reads = r" \[--f must name records as .*: frame-level, rgb \(4\), 3 classes\]"
    with pytest.raises(UserError, match=f"x: record 0 .*{told}.*{reads}") as error:
        trained.open_shards(str(tmp_path / "x"), "--f")
    for advice in ("drop --", "add --", "check --", "see --", "set --"):
        assert advice not in str(error.value)


def test_what_is_no_matter_of_the_run_is_told_alone(trained, tmp_path):
    (tmp_path / "x").write_bytes(b"BZh9" + bytes(100))
    for pattern, told in (("x", "compressed .bzip2."), ("y", "no file matches")):
        with pytest.raises(UserError, match=told) as error:
            trained.open_shards(f"{tmp_path}/{pattern}", "--f")
        assert "must name records" not in str(error.value)
