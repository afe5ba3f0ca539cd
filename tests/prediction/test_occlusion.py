"""What a video's labels rest on, against predictions of records that lack frames."""

import dataclasses

import numpy as np
import pytest

from youtube8m import models
from youtube8m.config import DataConfig, ModelConfig, RunConfig
from youtube8m.data.writing.records import frame_example, video_example, write_records
from youtube8m.errors import UserError
from youtube8m.prediction.occlusion import explain_record
from youtube8m.prediction.predictor import TrainedRun
from youtube8m.runs.directory import RunDirectory

CLASSES = 6
DATA = DataConfig(("rgb", "audio"), (4, 2), frame_features=True, num_classes=CLASSES)
ATTENTION = ModelConfig("BiLSTMAttention", hyperparameters={"lstm_cells": 4})
MEAN = ModelConfig("FrameLevelLogisticModel")
RNG = np.random.default_rng(0)


def trained_run(folder, model=MEAN, **data):
    """A run with random weights."""
    run = RunConfig(dataclasses.replace(DATA, **data), model)
    RunDirectory(str(folder)).prepare(models.complete(run), start_new=False)
    trained = TrainedRun(str(folder), {})
    for weight in trained.model.trainable_weights:
        weight.assign(RNG.normal(0, 1, weight.shape))
    return trained


def features(length):
    return {
        name: RNG.integers(0, 256, (length, size), dtype=np.uint8)
        for name, size in zip(DATA.feature_names, DATA.feature_sizes, strict=True)
    }


def record(frames, labels=(1,)):
    return frame_example("v", labels, frames).SerializeToString()


def predictions(trained, tmp_path, frames):
    """float32 [C], as inference reads and predicts a record."""
    path = str(tmp_path / "one.tfrecord")
    write_records(path, [record(frames)])
    shards = trained.open_shards(path, "--f", labels=False)
    (batch,) = shards.iterate(shards.ordered_batches(1))
    return np.asarray(trained.predict(batch)["predictions"])[0]


def without(frames, start, end):
    kept = [n for n in range(len(frames["rgb"])) if not start <= n < end]
    return {name: values[kept] for name, values in frames.items()}


@pytest.mark.parametrize(
    "model, data",
    [
        (MEAN, {}),
        (ATTENTION, {}),
        (MEAN, {"skip_frames": 2, "max_frames": 11}),
        (MEAN, {"frame_sampling": "crop", "crop_frames": 3, "crop_stride": 2}),
        (
            MEAN,
            {
                "frame_sampling": "crop",
                "crop_frames": 30,
                "crop_stride": 1,
                "released_crops": True,
            },
        ),
    ],
)
def test_occlusion_is_prediction_without_the_frames(tmp_path, model, data):
    trained, frames = trained_run(tmp_path / "run", model, **data), features(18)
    explained = explain_record(trained, record(frames), top_k=3)
    whole = predictions(trained, tmp_path, frames)
    assert explained.classes.tolist() == np.argsort(-whole)[:3].tolist()
    np.testing.assert_allclose(
        explained.confidences, whole[explained.classes], rtol=1e-5
    )
    assert explained.starts.tolist() == [0, 5, 10, 15] and explained.seconds == 18
    for number, start in enumerate((0, 5, 10, 15)):
        cut = predictions(trained, tmp_path, without(frames, start, start + 5))
        expected = (cut - whole)[explained.classes]
        np.testing.assert_allclose(explained.occlusion[number], expected, atol=1e-5)
    assert np.abs(explained.occlusion).max() > 1e-3


def test_each_segment_alone(tmp_path):
    trained, frames = trained_run(tmp_path / "run"), features(12)
    explained = explain_record(trained, record(frames), top_k=CLASSES)
    for number, start in enumerate((0, 5, 10)):
        alone = {name: x[start : start + 5] for name, x in frames.items()}
        expected = predictions(trained, tmp_path, alone)[explained.classes]
        np.testing.assert_allclose(explained.timeline[number], expected, rtol=1e-5)


def test_more_segments_than_are_predicted_at_once(tmp_path):
    """The last of 21 is cut in a call of its own, and differs as a call alone."""
    trained, frames = trained_run(tmp_path / "run"), features(103)
    explained = explain_record(trained, record(frames))
    cut = predictions(trained, tmp_path, without(frames, 100, 105))
    expected = (cut - predictions(trained, tmp_path, frames))[explained.classes]
    np.testing.assert_allclose(explained.occlusion[20], expected, atol=1e-5)


def test_five_seconds_are_more_frames_of_a_faster_run(tmp_path):
    trained, frames = trained_run(tmp_path / "run"), features(22)
    explained = explain_record(trained, record(frames), rate=2.0)
    assert explained.starts.tolist() == [0, 5, 10] and explained.seconds == 11
    cut = predictions(trained, tmp_path, without(frames, 10, 20))
    expected = (cut - predictions(trained, tmp_path, frames))[explained.classes]
    np.testing.assert_allclose(explained.occlusion[1], expected, atol=1e-5)


def test_attention_is_that_of_the_models_frames(tmp_path):
    trained, frames = trained_run(tmp_path / "run", ATTENTION), features(12)
    explained = explain_record(trained, record(frames))
    joined = np.concatenate([frames["rgb"], frames["audio"]], axis=1)[None]
    batch = {"frames": joined, "num_frames": np.array([12], np.int32)}
    weights = np.asarray(trained.predict(batch)["attention"])[0, :, 0]
    expected = [weights[start : start + 5].sum() for start in (0, 5, 10)]
    np.testing.assert_allclose(explained.attention[:, 0], expected, rtol=1e-4)
    assert explain_record(trained_run(tmp_path / "b"), record(frames)).attention is None


@pytest.mark.parametrize(
    "name, values", [("RandomBiLSTMAttention", {}), ("MaxPoolBiLSTMAttention", {})]
)
def test_attention_of_windows_is_spread_over_their_frames(tmp_path, name, values):
    model = ModelConfig(name, hyperparameters={"lstm_cells": 4, **values})
    trained, frames = trained_run(tmp_path / "run", model), features(12)
    explained = explain_record(trained, record(frames))
    assert explained.attention.shape == (3, 1)
    np.testing.assert_allclose(explained.attention.sum(), 1.0, rtol=1e-5)
    joined = np.concatenate([frames["rgb"], frames["audio"]], axis=1)[None]
    batch = {"frames": joined, "num_frames": np.array([12], np.int32)}
    weights = np.asarray(trained.predict(batch)["attention"])[0, :, 0]
    size = trained.model.encoder.frames_per_attention
    of_frames = [
        weights[n // size] / min(size, 12 - n // size * size) for n in range(12)
    ]
    expected = [sum(of_frames[start : start + 5]) for start in (0, 5, 10)]
    np.testing.assert_allclose(explained.attention[:, 0], expected, rtol=1e-4)


def test_a_video_of_one_segment_has_nothing_to_leave_out(tmp_path):
    explained = explain_record(trained_run(tmp_path), record(features(4)))
    assert len(explained.starts) == 1 and np.isnan(explained.occlusion).all()
    np.testing.assert_allclose(explained.timeline[0], explained.confidences, rtol=1e-5)


def test_video_level_runs_have_labels_alone(tmp_path):
    data = {
        "feature_names": ("mean_rgb", "mean_audio"),
        "frame_features": False,
    }
    trained = trained_run(tmp_path, ModelConfig("LogisticModel"), **data)
    vectors = {"mean_rgb": np.ones(4), "mean_audio": np.zeros(2)}
    made = video_example("v", None, vectors).SerializeToString()
    explained = explain_record(trained, made, top_k=100)
    assert not explained.has_frames and explained.attention is None
    assert len(explained.classes) == CLASSES and explained.labels is None
    assert explained.confidences.tolist() == sorted(explained.confidences)[::-1]


def test_what_does_not_fit_is_one_line(tmp_path):
    trained, frames = trained_run(tmp_path), features(7)
    assert explain_record(trained, record(frames, (4, 2))).labels.tolist() == [2, 4]
    with pytest.raises(UserError, match="the record has no frame-level feature"):
        explain_record(trained, record({"rgb": frames["rgb"]}))
    with pytest.raises(UserError, match="the record has labels entry 9"):
        explain_record(trained, record(frames, (9,)))
