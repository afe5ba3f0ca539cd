"""Training on rated segments: what is not rated has no say."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from tests.helpers.metrics import figures_within
from tests.helpers.sample import SAMPLE
from tests.helpers.scripts import read_csv, train
from tests.helpers.training_runs import FRAMES, config, metrics_lines
from tests.helpers.training_runs import train as trained_weights
from youtube8m import losses
from youtube8m.config import ModelConfig, RunConfig
from youtube8m.errors import UserError
from youtube8m.evaluation.config import EvaluationConfig
from youtube8m.evaluation.evaluator import Evaluator
from youtube8m.models.tang2017.classifiers import HierarchicalMoeModel
from youtube8m.prediction.config import InferenceConfig
from youtube8m.prediction.inference import Inference
from youtube8m.registry import construct
from youtube8m.training import trainer
from youtube8m.training.config import TrainingConfig
from youtube8m.training.trainer import Trainer

C = 6
LSTM = ModelConfig(
    "LstmModel", "LogisticModel", hyperparameters={"lstm_cells": 8, "lstm_layers": 1}
)
RNG = np.random.default_rng(0)
PREDICTIONS = RNG.uniform(0.05, 0.95, (3, C)).astype(np.float32)
BATCH = {  # row 2: nothing that was rated is present
    "labels": np.array([[1, -1], [0, 3], [-1, -1]], np.int32),
    "rated": np.array([[1, 4, -1], [0, 3, 5], [2, -1, -1]], np.int32),
}
LABELS, RATED = np.zeros((2, 3, C), np.float32)
LABELS[[0, 1, 1], [1, 0, 3]] = 1
RATED[[0, 0, 1, 1, 1, 2], [1, 4, 0, 3, 5, 2]] = 1


def loss_and_gradient(name):
    loss = construct(losses.LOSSES.get(name), {"class_counts": (60, 50, 40, 30, 20, 9)})
    labels, weights = losses.label_arrays(BATCH, C)
    predictions = tf.constant(PREDICTIONS)
    with tf.GradientTape() as tape:
        tape.watch(predictions)
        value = loss.call(labels, predictions, weights)
    return np.asarray(value), np.asarray(tape.gradient(value, predictions))


def test_cross_entropy_of_rated_classes_alone():
    value, gradient = loss_and_gradient("CrossEntropyLoss")
    y, p = LABELS, PREDICTIONS.astype(np.float64)
    terms = -(y * np.log(p + 1e-5) + (1 - y) * np.log(1 - p + 1e-5))
    slopes = -(y / (p + 1e-5) - (1 - y) / (1 - p + 1e-5))
    np.testing.assert_allclose(value, (RATED * terms).sum(axis=1), rtol=1e-5)
    np.testing.assert_allclose(gradient, RATED * slopes, rtol=1e-5)


def test_softmax_over_rated_classes_alone():
    value, _ = loss_and_gradient("SoftmaxLoss")
    powers = RATED * np.exp(PREDICTIONS)
    share = np.where(LABELS > 0, powers / powers.sum(axis=1, keepdims=True), 1)
    targets = LABELS / np.maximum(LABELS.sum(axis=1, keepdims=True), 1)
    expected = -(targets * np.log(share)).sum(axis=1)
    np.testing.assert_allclose(value, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", losses.LOSSES)
def test_unrated_classes_have_no_gradient_in_any_loss(name):
    _, gradient = loss_and_gradient(name)
    assert (gradient[RATED == 0] == 0).all()
    assert (gradient[LABELS > 0] < 0).all()


def test_verticals_count_where_a_class_of_theirs_is_rated():
    verticals = (0, 0, 1, 1, 2, 2)
    model = HierarchicalMoeModel(C, verticals, coarse_loss_weight=0.5)
    q = RNG.uniform(0.1, 0.9, (3, 3)).astype(np.float32)
    found = model.auxiliary_losses({"coarse_predictions": tf.constant(q)}, BATCH)
    expected = [  # rated: verticals 0 and 2; 0, 1 and 2; 1
        np.log(q[0, 0]) + np.log(1 - q[0, 2]),
        np.log(q[1, 0]) + np.log(q[1, 1]) + np.log(1 - q[1, 2]),
        np.log(1 - q[2, 1]),
    ]
    np.testing.assert_allclose(
        found["coarse_loss"], -0.5 * np.array(expected), rtol=1e-3
    )


def test_metrics_see_predictions_of_rated_classes_alone():
    found = losses.rated_predictions(tf.constant(PREDICTIONS), BATCH)
    np.testing.assert_array_equal(found, PREDICTIONS * RATED)
    videos = {"labels": BATCH["labels"]}
    assert losses.rated_predictions(PREDICTIONS, videos) is PREDICTIONS


def evaluator(train_dir, pattern, **values):
    settings = EvaluationConfig(
        train_dir=str(train_dir), eval_data_pattern=pattern, run_once=True, **values
    )
    return Evaluator(settings)


def evaluate(*arguments, **values):
    return evaluator(*arguments, **values).run()


@pytest.mark.slow
def test_fine_tuning_starts_where_the_video_run_stands(sample, tmp_path, monkeypatch):
    """The first step's figures are those that eval.py finds on the segments."""
    monkeypatch.setattr(trainer, "_REPORT_STEPS", 1)
    run_config = RunConfig(FRAMES, LSTM)
    Trainer(run_config, config(sample, tmp_path / "videos", max_steps=5)).train()
    pattern = sample["segment/validate"]
    measure = evaluator(tmp_path / "videos", pattern, segment_labels=True)
    expected = measure.run()
    batches = []
    for batch in measure.shards.iterate(measure.shards.ordered_batches(100)):
        predictions = measure.trained.predict(batch)["predictions"]
        rated = losses.rated_predictions(predictions, batch)
        batches.append((rated.numpy(), batch["labels"].numpy()))
    low, high = figures_within(1e-6, batches)
    tuned = TrainingConfig(
        train_dir=str(tmp_path / "segments"),
        train_data_pattern=pattern,
        segment_labels=True,
        warm_start_from=str(tmp_path / "videos"),
        batch_size=1000,  # all segments
        num_epochs=1,
    )
    Trainer(run_config, tuned).train()
    (first,) = metrics_lines(tmp_path / "segments")
    assert first["examples"] == expected["num_examples"] > SAMPLE.num_validate
    np.testing.assert_allclose(first["loss"], expected["rated_loss"], rtol=1e-5)
    for name in ("hit_at_one", "perr", "gap"):
        assert low[name] - 1e-6 <= first[name] <= high[name] + 1e-6, name


@pytest.mark.slow
def test_a_resumed_segment_run_ends_with_the_same_weights(sample, tmp_path):
    run_config = RunConfig(FRAMES, LSTM)
    values = {"level": "segment", "segment_labels": True}
    whole = trained_weights(run_config, config(sample, tmp_path / "a", **values))
    part = config(sample, tmp_path / "b", max_steps=3, **values)
    trained_weights(run_config, part)
    parts = trained_weights(run_config, config(sample, tmp_path / "b", **values))
    for ours, theirs in zip(whole, parts, strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_segments_do_not_go_on_in_a_run_of_videos(sample, tmp_path):
    run_config = RunConfig(FRAMES, LSTM)
    Trainer(run_config, config(sample, tmp_path, max_steps=1)).train()
    settings = config(sample, tmp_path, "segment", segment_labels=True)
    with pytest.raises(UserError, match="--segment_labels=True.*--warm_start_from"):
        Trainer(run_config, settings).train()


def test_segments_are_never_sampled(sample, tmp_path):
    """Whatever the run's videos are: with released crops even floats."""
    crops = {"frame_sampling": "crop", "crop_frames": 3, "released_crops": True}
    data = dataclasses.replace(FRAMES, **crops)
    settings = config(sample, tmp_path, "segment", segment_labels=True, max_steps=1)
    run_config = RunConfig(data, LSTM)
    trained = Trainer(run_config, settings)
    batch = next(iter(trained.shards.ordered_batches(4)))
    assert batch["frames"].shape[1] == batch["num_frames"].numpy().max() == 5
    trained.train()
    evaluate(tmp_path, sample["frame/validate"])
    evaluate(tmp_path, sample["segment/validate"], segment_labels=True)


@pytest.fixture(scope="module")
def segment_run(sample, tmp_path_factory):
    """A run directory trained on segments through train.py, and its log."""
    path = tmp_path_factory.mktemp("segment") / "run"
    flags = (
        "--model=FrameLevelLogisticModel",
        "--segment_labels",
        "--num_epochs=16",
        "--base_learning_rate=0.05",
        f"--train_data_pattern={sample['segment/train']}",
    )
    return path, train(sample, path, *flags, level="frame")


@pytest.mark.slow
def test_a_run_on_segments_learns(segment_run, sample, tmp_path):
    start = config(sample, tmp_path, "segment", segment_labels=True, max_steps=1)
    Trainer(RunConfig(FRAMES, ModelConfig("FrameLevelLogisticModel")), start).train()
    pattern = sample["segment/validate"]
    before = evaluate(tmp_path, pattern, segment_labels=True)
    after = evaluate(segment_run[0], pattern, segment_labels=True)
    assert before["gap"] < 0.8 < 0.95 < after["gap"]
    assert before["map"] < 0.8 < 0.95 < after["map"]
    last = [row["gap"] for row in metrics_lines(segment_run[0]) if "gap" in row][-1]
    assert last > 0.95


def test_a_run_on_segments_knows_videos_and_segments(segment_run, sample, tmp_path):
    videos = evaluate(segment_run[0], sample["frame/validate"])
    assert videos["num_examples"] == SAMPLE.num_validate and videos["gap"] > 0.5
    for segments, title in ((False, "VideoId"), (True, "Class")):
        settings = InferenceConfig(
            train_dir=str(segment_run[0]),
            input_data_pattern=sample["frame/test"],
            output_file=str(tmp_path / "out.csv"),
            segment_labels=segments,
        )
        assert Inference(settings).run() == SAMPLE.num_test
        assert read_csv(tmp_path / "out.csv")[0][0] == title


def test_records_without_ratings_are_told(sample, tmp_path):
    settings = config(sample, tmp_path, "frame", segment_labels=True)
    with pytest.raises(UserError, match="it is not a record of rated segments"):
        Trainer(RunConfig(FRAMES, LSTM), settings)
