"""Runs that read by --input_pipeline=tfrecord: the same but for the order."""

import dataclasses
import json

import numpy as np
import pytest

from tests.helpers.training_runs import FRAMES, config, train
from youtube8m.config import ModelConfig, RunConfig
from youtube8m.errors import UserError
from youtube8m.evaluation.config import EvaluationConfig
from youtube8m.evaluation.evaluator import Evaluator
from youtube8m.prediction.config import InferenceConfig
from youtube8m.prediction.inference import Inference

PLAIN = {"input_pipeline": "tfrecord"}
RUN = RunConfig(
    dataclasses.replace(FRAMES, frame_sampling="run", crop_frames=6),
    ModelConfig("FrameLevelLogisticModel"),
)


@pytest.mark.slow
def test_a_run_resumes_exactly(sample, tmp_path):
    whole = train(RUN, config(sample, tmp_path / "whole", **PLAIN))
    for steps in (3, 7, 10):  # 160 videos x 2 epochs / 32
        settings = config(sample, tmp_path / "parts", max_steps=steps, **PLAIN)
        parts = train(RUN, settings)
    for one, other in zip(whole, parts, strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_run_keeps_its_pipeline(sample, tmp_path):
    train(RUN, config(sample, tmp_path, max_steps=1, **PLAIN))
    message = "--input_pipeline=reader: the run in .* was begun with tfrecord"
    with pytest.raises(UserError, match=message):
        train(RUN, config(sample, tmp_path))


def test_runs_begun_before_go_on_with_the_reader(sample, tmp_path):
    train(RUN, config(sample, tmp_path, max_steps=1))
    path = tmp_path / "training_flags.json"
    flags = json.loads(path.read_text())
    assert flags.pop("input_pipeline") == "reader"
    path.write_text(json.dumps(flags))
    message = "--input_pipeline=tfrecord: the run in .* was begun with reader"
    with pytest.raises(UserError, match=message):
        train(RUN, config(sample, tmp_path, **PLAIN))
    train(RUN, config(sample, tmp_path, max_steps=2))


def test_a_run_that_was_trained_elsewhere_may_take_either(sample, tmp_path):
    train(RUN, config(sample, tmp_path, max_steps=1))
    path = tmp_path / "training_flags.json"
    path.write_text(json.dumps({"optimizer": "AdamOptimizer"}))
    train(RUN, config(sample, tmp_path, max_steps=2, **PLAIN))
    assert json.loads(path.read_text())["input_pipeline"] == "tfrecord"


def test_evaluation_and_inference_give_the_same(sample, tmp_path):
    train(RUN, config(sample, tmp_path, max_steps=2))
    results, rows = [], []
    for kind in ("reader", "tfrecord"):
        paths = str(tmp_path), sample["frame/validate"]
        settings = EvaluationConfig(*paths, run_once=True, input_pipeline=kind)
        results.append(Evaluator(settings).run())
        out = tmp_path / f"{kind}.csv"
        paths = str(tmp_path), sample["frame/test"], str(out)
        assert Inference(InferenceConfig(*paths, input_pipeline=kind)).run() == 20
        rows.append(out.read_text())
    assert rows[0] == rows[1]
    for name in ("gap", "map", "hit_at_one", "perr", "loss"):
        assert results[0][name] == pytest.approx(results[1][name], rel=1e-6)


def test_there_are_two_pipelines(sample, tmp_path):
    message = "--input_pipeline=queue: must be one of reader, tfrecord"
    with pytest.raises(UserError, match=message):
        config(sample, tmp_path, input_pipeline="queue")
