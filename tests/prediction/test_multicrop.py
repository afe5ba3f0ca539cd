"""Predictions averaged over the crops of a video, and runs that crop."""

import csv
import dataclasses
import json
import shutil

import numpy as np
import pytest

from tests.helpers.training_runs import DBOF, FRAMES, config
from youtube8m.config import ModelConfig, RunConfig
from youtube8m.data.reading.pipeline import Shards
from youtube8m.errors import UserError
from youtube8m.evaluation.config import EvaluationConfig
from youtube8m.evaluation.evaluator import Evaluator
from youtube8m.layers.inputs import dequantize
from youtube8m.prediction.config import InferenceConfig
from youtube8m.prediction.inference import Inference
from youtube8m.prediction.predictor import TrainedRun, mean_of_crops
from youtube8m.training.trainer import Trainer

CROP = dataclasses.replace(
    FRAMES, frame_sampling="crop", crop_frames=6, crop_stride=3, crop_range=5
)
STARTS = (0, 1, 2, 3, 4)


@pytest.fixture(scope="module")
def crop_run(sample, tmp_path_factory):
    path = tmp_path_factory.mktemp("crops")
    Trainer(RunConfig(CROP, DBOF), config(sample, path, max_steps=4)).train()
    return path


def inference(train_dir, sample, out, pattern="frame/test", **values):
    settings = {"input_data_pattern": sample[pattern], "batch_size": 7, **values}
    return Inference(InferenceConfig(str(train_dir), output_file=str(out), **settings))


def rows_of(path):
    with open(path, newline="") as file:
        rows = list(csv.reader(file))[1:]
    return {name: np.array(pairs.split(), float).reshape(-1, 2) for name, pairs in rows}


def dense(rows, num_classes=12):
    out = np.zeros((len(rows), num_classes))
    for row, pairs in zip(out, rows.values(), strict=True):
        row[pairs[:, 0].astype(int)] = pairs[:, 1]
    return out


# The mean.


def test_a_label_in_the_top_of_one_of_five_crops_gets_a_fifth():
    predictions = np.full((5, 30), 0.5, np.float32)
    predictions[:, 25:] = 0.1
    predictions[2, 29] = 0.8
    mean = mean_of_crops(predictions, 5, top_k=20).numpy()
    assert mean.shape == (1, 30)
    np.testing.assert_allclose(mean[0, 29], 0.8 / 5, rtol=1e-6)
    assert not mean[0, 25:29].any()
    full = mean_of_crops(predictions, 5).numpy()
    np.testing.assert_allclose(full[0, 29], (0.8 + 4 * 0.1) / 5, rtol=1e-6)


def test_mean_in_numpy():
    predictions = np.random.default_rng(0).random((6, 9), np.float32)
    cut = np.where(
        predictions >= np.sort(predictions, axis=1)[:, -4:-3], predictions, 0
    )
    for values, top_k in ((predictions, None), (cut, 4)):
        mean = mean_of_crops(predictions, 3, top_k)
        expected = values.reshape(2, 3, 9).mean(axis=1)
        np.testing.assert_allclose(mean, expected, rtol=1e-6)


# Commands.


@pytest.mark.slow
@pytest.mark.parametrize("average", ["top_k", "full"])
def test_csv_holds_the_mean_of_the_crops(crop_run, sample, tmp_path, average):
    values = {"crop_starts": STARTS, "ensemble_average": average, "top_k": 3}
    assert inference(crop_run, sample, tmp_path / "x", **values).run() == 20
    kept = 3 if average == "top_k" else 12
    single = []
    for start in STARTS:
        one = inference(
            crop_run, sample, tmp_path / "one", crop_starts=(start,), top_k=kept
        )
        one.run()
        single.append(dense(rows_of(tmp_path / "one")))
    mean = np.mean(single, axis=0)
    found = rows_of(tmp_path / "x")
    assert list(found) == list(rows_of(tmp_path / "one"))
    for pairs, expected in zip(found.values(), mean, strict=True):
        best = np.sort(expected)[:-4:-1]
        np.testing.assert_allclose(pairs[:, 1], best, atol=2e-6)
        classes = pairs[:, 0].astype(int)
        np.testing.assert_allclose(expected[classes], pairs[:, 1], atol=2e-6)
    assert np.ptp(single, axis=0).max() > 1e-3  # the crops do differ


@pytest.fixture(scope="module")
def other_run(sample, tmp_path_factory):
    path = tmp_path_factory.mktemp("other")
    settings = config(sample, path, max_steps=2, seed=5)
    Trainer(RunConfig(CROP, ModelConfig("FrameLevelLogisticModel")), settings).train()
    return path


@pytest.mark.parametrize(
    "average", [pytest.param("top_k", marks=pytest.mark.slow), "full"]
)
def test_several_models_in_one_pass(crop_run, other_run, sample, tmp_path, average):
    both = f"{crop_run}, {other_run}"
    values = {"ensemble_average": average, "top_k": 3, "ensemble_weights": "3,1"}
    assert inference(both, sample, tmp_path / "x", **values).run() == 20
    kept = 3 if average == "top_k" else 12
    single = []
    for run in (crop_run, other_run):
        inference(run, sample, tmp_path / "one", top_k=kept).run()
        single.append(dense(rows_of(tmp_path / "one")))
    mean = 0.75 * single[0] + 0.25 * single[1]
    for pairs, expected in zip(rows_of(tmp_path / "x").values(), mean, strict=True):
        np.testing.assert_allclose(pairs[:, 1], np.sort(expected)[:-4:-1], atol=2e-6)
        classes = pairs[:, 0].astype(int)
        np.testing.assert_allclose(expected[classes], pairs[:, 1], atol=2e-6)


def test_models_that_read_differently_are_told(crop_run, sample, tmp_path):
    Trainer(RunConfig(FRAMES, DBOF), config(sample, tmp_path, max_steps=1)).train()
    with pytest.raises(UserError, match="frame_sampling crop and all.*tools.ensemble"):
        inference(f"{crop_run},{tmp_path}", sample, "x")
    with pytest.raises(UserError, match="give one for each of the 2 directories"):
        inference(f"{crop_run},{tmp_path}", sample, "x", ensemble_weights="1")
    with pytest.raises(UserError, match="each must be a number from 0 on"):
        inference(f"{crop_run},{tmp_path}", sample, "x", ensemble_weights="1,nan")


@pytest.mark.parametrize(
    "changed, values",
    [
        ({"crop_range": 9}, {}),
        ({"crop_start": 2}, {"crop_starts": "0,1"}),
        ({"frame_sampling": "all", "skip_frames": 2}, {"segment_labels": True}),
    ],
)
def test_models_that_read_alike_predict_together(
    crop_run, sample, tmp_path, changed, values
):
    other = shutil.copytree(crop_run, tmp_path / "other")
    flags = json.loads((other / "model_flags.json").read_text()) | changed
    (other / "model_flags.json").write_text(json.dumps(flags))
    together = inference(f"{crop_run},{other}", sample, tmp_path / "x", **values)
    assert together.run() == 20
    if values:
        with pytest.raises(UserError, match="read records differently"):
            inference(f"{crop_run},{other}", sample, "x")


def test_no_start_is_the_start_of_the_run(crop_run, sample, tmp_path):
    for name, starts in (("default", ()), ("zero", (0,))):
        inference(crop_run, sample, tmp_path / name, crop_starts=starts).run()
    default, zero = (rows_of(tmp_path / name) for name in ("default", "zero"))
    assert list(default) == list(zero)
    np.testing.assert_allclose(dense(default), dense(zero), atol=2e-6)


def test_evaluation_is_deterministic(crop_run, sample):
    settings = EvaluationConfig(str(crop_run), sample["frame/validate"], run_once=True)
    results = [Evaluator(settings).run() for _ in range(2)]
    for name in ("hit_at_one", "perr", "gap", "map", "loss"):
        assert results[0][name] == pytest.approx(results[1][name], rel=1e-4), name


def test_segments_are_whole_whatever_the_run_samples(crop_run, sample, tmp_path):
    run = inference(crop_run, sample, tmp_path / "x", segment_labels=True)
    assert max(batch["frames"].shape[1] for batch in run._batches()) > 6


def test_mistakes_are_one_line(crop_run, sample, tmp_path):
    with pytest.raises(UserError, match="--crop_starts: segments are predicted whole"):
        inference(crop_run, sample, "x", crop_starts="0,1", segment_labels=True)
    with pytest.raises(UserError, match="--crop_starts=0,-1: each must be a number"):
        inference(crop_run, sample, "x", crop_starts="0,-1")
    with pytest.raises(
        UserError, match="--ensemble_average=mean: must be top_k or full"
    ):
        inference(crop_run, sample, "x", ensemble_average="mean")
    Trainer(RunConfig(FRAMES, DBOF), config(sample, tmp_path, max_steps=1)).train()
    with pytest.raises(UserError, match="reads --frame_sampling=all, .* no start"):
        inference(tmp_path, sample, "x", crop_starts=(0, 1))


# Training.


@pytest.mark.slow
def test_resuming_draws_what_an_undisturbed_run_draws(sample, tmp_path):
    def weights(train_dir, *stops):
        for stop in stops:
            trainer = Trainer(run, config(sample, train_dir, max_steps=stop))
            trainer.train()
        return [variable.numpy() for variable in trainer.state.model.variables]

    run = RunConfig(CROP, DBOF)
    whole = weights(tmp_path / "whole", 8)
    for ours, theirs in zip(whole, weights(tmp_path / "parts", 3, 8), strict=True):
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["crop", "interval"])
def test_released_crops_train_and_predict(sample, tmp_path, scheme):
    """Floats in place of bytes, from training to the CSV; segments stay bytes."""
    data = dataclasses.replace(CROP, frame_sampling=scheme, released_crops=True)
    sizes = {"lstm_cells": 4, "top_lstm_cells": 4, "released_code": True}
    sizes["layer_norm"] = False  # whose gradient overflows on frames of zeros
    run = RunConfig(data, ModelConfig("StackedBiLSTMLN", hyperparameters=sizes))
    Trainer(run, config(sample, tmp_path, max_steps=2)).train()
    trained = TrainedRun(str(tmp_path))
    assert trained.model.encoder.max_frames == (6 if scheme == "crop" else 100)
    assert inference(tmp_path, sample, tmp_path / "x", crop_starts=(0, 2)).run() == 20
    inference(tmp_path, sample, tmp_path / "y", segment_labels=True).run()
    rated = trained.open_shards(sample["segment/validate"], "--f", segments=True)
    batch = next(rated.iterate(rated.ordered_batches(8)))
    floats = trained.predict({**batch, "frames": dequantize(batch["frames"])})
    expected = trained.predict(batch)["predictions"]
    np.testing.assert_allclose(floats["predictions"], expected, rtol=1e-5)


def test_shards_know_released_crops(sample):
    data = dataclasses.replace(CROP, released_crops=True)
    shards = Shards.open(sample["frame/train"], "--f", data)
    (batch, *_) = shards.iterate(shards.ordered_batches(4))
    assert batch["frames"].dtype == "float32"
    assert batch["frames"].shape == (4, CROP.crop_frames, 32)
