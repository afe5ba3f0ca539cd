"""Runs that meet damage: nothing learnt is lost, and what happened is said."""

import errno
import json
import os
import shutil

import numpy as np
import pytest
import tensorflow as tf

from tests.helpers.sample import SAMPLE
from tests.helpers.training_runs import (
    DBOF,
    FRAMES,
    LOGISTIC,
    config,
    metrics_lines,
    train,
)
from youtube8m.config import ModelConfig, RunConfig
from youtube8m.data.reading import messages
from youtube8m.data.reading.video_decoding import VideoDecoder
from youtube8m.data.writing.records import video_example, write_records
from youtube8m.errors import UserError
from youtube8m.evaluation.config import EvaluationConfig
from youtube8m.evaluation.evaluator import Evaluator
from youtube8m.prediction.config import InferenceConfig
from youtube8m.prediction.inference import Inference
from youtube8m.runs.best import BestCheckpoints
from youtube8m.runs.directory import RunDirectory
from youtube8m.training.config import TrainingConfig
from youtube8m.training.trainer import Trainer

SUFFIXES = ("data-00000-of-00001", "index")


def checkpoints(train_dir):
    return [os.path.basename(p) for p in RunDirectory(str(train_dir)).checkpoints()]


def read_any_floats(self, record, context, name):
    return messages.floats(record, context[name])


@pytest.mark.parametrize("loop", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_a_loss_that_is_nan_names_step_videos_and_checkpoint(
    tmp_path, loop, monkeypatch
):
    """The 23rd of 40 videos gives a nan; batches of 4, saved every 2 steps."""
    # The reader would leave out a video of such features.
    monkeypatch.setattr(VideoDecoder, "_read_floats", read_any_floats)
    rng = np.random.default_rng(0)
    features = rng.normal(size=(40, 32))
    features[22, 5] = np.nan
    examples = [
        video_example(
            f"v{n:02d}", [n % 12], {"mean_rgb": row[:24], "mean_audio": row[24:]}
        )
        for n, row in enumerate(features)
    ]
    write_records(tmp_path / "x.tfrecord", examples)
    settings = config(
        {"video/train": str(tmp_path / "x.tfrecord")},
        tmp_path / "run",
        "video",
        batch_size=4,
        num_readers=1,
        shuffle_buffer=1,
        export_model_steps=2,
        steps_per_loop=loop,
    )
    for _ in range(2):  # again the same: nothing of it has been saved
        with pytest.raises(UserError) as caught:
            train(LOGISTIC, settings)
        message = str(caught.value)
        assert "the loss is nan at step 6 of the videos v20 v21 v22 v23;" in message
        assert message.count("model.ckpt-4") == 1 and "\n" not in message
        assert checkpoints(tmp_path / "run") == ["model.ckpt-2", "model.ckpt-4"]
        steps = [line["step"] for line in metrics_lines(tmp_path / "run")]
        assert steps == [1, 2, 3, 4, 5]


def test_weights_that_are_not_finite_are_not_saved(sample, tmp_path):
    trainer = Trainer(LOGISTIC, config(sample, tmp_path, "video", max_steps=1))
    trainer.train()
    trainer.state.step.assign(2)
    kernel = trainer.state.model.trainable_variables[0]
    kernel.assign(np.full(kernel.shape, np.inf))
    with pytest.raises(UserError, match="kernel are not finite after step 2.*ckpt-1"):
        trainer.saver.save()
    assert checkpoints(tmp_path) == ["model.ckpt-1"]


def damage(train_dir, name, how):
    path = next(train_dir.glob(f"{name}.{how[0]}*"))
    data = bytearray(path.read_bytes())
    if how[1] == "cut":
        data = data[: len(data) // 2]
    else:
        data[len(data) // 2] ^= 255
    path.write_bytes(data)


@pytest.fixture(scope="module")
def eight_steps(sample, tmp_path_factory):
    """The weights behind eight steps; a run that has saved the steps 3 and 6."""
    folder, run = tmp_path_factory.mktemp("steps"), RunConfig(FRAMES, DBOF)
    whole = train(run, config(sample, folder / "whole", max_steps=8))
    parts = config(sample, folder / "parts", max_steps=6, export_model_steps=3)
    train(run, parts)
    return whole, folder / "parts"


@pytest.mark.parametrize(
    "part, how",
    [
        pytest.param("data", "cut", marks=pytest.mark.slow),
        ("index", "flipped"),
        pytest.param("data", "flipped", marks=pytest.mark.slow),
        pytest.param("index", "cut", marks=pytest.mark.slow),
    ],
)
def test_the_checkpoint_before_a_damaged_one_is_used(
    sample, eight_steps, tmp_path, caplog, part, how
):
    run, (whole, begun), parts = RunConfig(FRAMES, DBOF), eight_steps, tmp_path / "run"
    shutil.copytree(begun, parts)
    damage(parts, "model.ckpt-6", (part, how))
    # Once more a step 6 is saved, over the damaged one.
    train(run, config(sample, parts, max_steps=6))
    assert "model.ckpt-6: cannot be restored" in caplog.text
    assert "model.ckpt-3 is used instead" in caplog.text
    caplog.clear()
    ours = train(run, config(sample, parts, max_steps=8))
    assert not caplog.text.count("used instead")
    for one, two in zip(whole, ours, strict=True):
        np.testing.assert_array_equal(one, two)
    assert [line["step"] for line in metrics_lines(parts)] == list(range(1, 9))


def evaluator(sample, train_dir, **values):
    return Evaluator(
        EvaluationConfig(
            train_dir=str(train_dir),
            eval_data_pattern=sample["video/validate"],
            **{"run_once": True, **values},
        )
    )


def test_evaluation_and_inference_pass_over_a_damaged_checkpoint(
    sample, tmp_path, caplog
):
    train(LOGISTIC, config(sample, tmp_path, "video", export_model_steps=5))
    before = evaluator(sample, tmp_path, checkpoint="model.ckpt-5").run()
    damage(tmp_path, "model.ckpt-10", ("data", "cut"))
    assert evaluator(sample, tmp_path).run()["gap"] == before["gap"]
    assert "model.ckpt-5 is used instead" in caplog.text
    caplog.clear()
    values = {"train_dir": str(tmp_path), "input_data_pattern": sample["video/test"]}
    out = str(tmp_path / "out.csv")
    Inference(InferenceConfig(output_file=out, **values)).run()
    assert "model.ckpt-5 is used instead" in caplog.text
    assert sum(1 for _ in open(out)) == SAMPLE.num_test + 1
    with pytest.raises(UserError, match="model.ckpt-10: cannot be restored"):
        evaluator(sample, tmp_path, checkpoint="model.ckpt-10").run()


@pytest.mark.slow
def test_the_best_checkpoint_outlives_the_trainers(sample, tmp_path, caplog):
    settings = {"export_model_steps": 1, "keep_checkpoints": 1}
    gaps = {}
    for step in (2, 4):
        train(LOGISTIC, config(sample, tmp_path, "video", max_steps=step, **settings))
        gaps[f"model.ckpt-{step}"] = evaluator(sample, tmp_path).run()["gap"]
    best = max(gaps, key=gaps.get)
    train(LOGISTIC, config(sample, tmp_path, "video", max_steps=6, **settings))
    assert checkpoints(tmp_path) == ["model.ckpt-6"]
    assert checkpoints(tmp_path / "best") == [best]
    assert evaluator(sample, tmp_path, checkpoint="best").run()["gap"] == gaps[best]
    noted = json.loads((tmp_path / "best" / "gaps.json").read_text())
    assert noted["gaps"] == {best: gaps[best]}
    evaluator(sample, tmp_path, top_k=1).run()  # whose GAP does not compare
    assert "ranks checkpoints by other shards or another --top_k" in caplog.text
    assert checkpoints(tmp_path / "best") == [best]
    assert not list((tmp_path / "best").glob("model.ckpt-6*"))
    with pytest.raises(UserError, match="segment_best: eval.py has kept none"):
        evaluator(sample, tmp_path, checkpoint="segment_best").run()
    train(
        LOGISTIC, config(sample, tmp_path, "video", max_steps=1, start_new_model=True)
    )
    assert not (tmp_path / "best").exists()


def test_the_best_are_kept_in_order(tmp_path, tmp_path_factory):
    """By GAP, whatever the order they come in; what else lies there goes."""
    directory = RunDirectory(str(tmp_path))
    for step, gap in enumerate([0.2, 0.5, 0.1, 0.4, 0.3]):
        for suffix in SUFFIXES:
            (tmp_path / f"model.ckpt-{step}.{suffix}").write_text(str(step))
        best = BestCheckpoints(directory, keep=2)
        best.copy(directory.file(f"model.ckpt-{step}"))
        best.rank(directory.file(f"model.ckpt-{step}"), gap)
        best.remove_others()
    assert checkpoints(tmp_path / "best") == ["model.ckpt-3", "model.ckpt-1"]
    assert directory.checkpoint("best") == str(tmp_path / "best" / "model.ckpt-1")
    other = tmp_path_factory.mktemp("moved") / "run"
    moved = RunDirectory(str(shutil.copytree(tmp_path, other)))
    assert moved.checkpoint("best") == moved.file("best/model.ckpt-1")
    for suffix in SUFFIXES:  # as the trainer removes them
        (tmp_path / f"model.ckpt-4.{suffix}").unlink()
        with pytest.raises(FileNotFoundError, match="its files are gone"):
            best.copy(directory.file("model.ckpt-4"))
    assert sorted(os.listdir(tmp_path / "best")) == [
        "checkpoint",
        "gaps.json",
        *(f"model.ckpt-{n}.{s}" for n in (1, 3) for s in SUFFIXES),
    ]


def test_a_best_checkpoint_that_cannot_be_taken_costs_none(tmp_path, monkeypatch):
    """Wherever the disk becomes full, what was kept stays, and it alone."""
    directory = RunDirectory(str(tmp_path))
    for step in (1, 2):
        for suffix in SUFFIXES:
            (tmp_path / f"model.ckpt-{step}.{suffix}").write_text(str(step))
    best = BestCheckpoints(directory, keep=1)
    first, second = (directory.file(f"model.ckpt-{step}") for step in (1, 2))
    best.copy(first)
    best.rank(first, 0.1)
    kept = {path.name: path.read_text() for path in (tmp_path / "best").iterdir()}

    copyfile = shutil.copyfile

    def full(*_, **__):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def partly(path, copy):
        copyfile(path, copy)
        if "data" in path:
            os.truncate(copy, 0)
            full()

    def found():
        return {path.name: path.read_text() for path in (tmp_path / "best").iterdir()}

    with monkeypatch.context() as patch:  # on a file system without links
        patch.setattr(os, "link", full)
        patch.setattr(shutil, "copyfile", partly)
        for prefix in (first, second):
            with pytest.raises(OSError):
                best.copy(prefix)
            assert found() == kept
    best.copy(second)
    with monkeypatch.context() as patch:
        patch.setattr(json, "dump", full)
        with pytest.raises(UserError, match=f"^--train_dir={tmp_path}/best/gaps.json"):
            best.rank(second, 0.2)
    best.remove_others()
    assert found() == kept
    with pytest.raises(UserError, match="another command removed it"):
        best.rank(second, 0.2)
    best.copy(second)
    best.rank(second, 0.2)
    best.remove_others()
    assert {*found()} == {name.replace("-1.", "-2.") for name in kept}


def test_a_checkpoint_holds_model_and_optimizer_and_little_else(sample, tmp_path):
    sizes = {"lstm_cells": 64, "lstm_layers": 1}
    run = RunConfig(FRAMES, ModelConfig("LstmModel", hyperparameters=sizes))
    trainer = Trainer(run, config(sample, tmp_path, max_steps=2))
    trainer.train()
    state = trainer.state
    variables = {id(v): v for v in (*state.model.variables, *state.optimizer.variables)}
    needed = sum(tf.convert_to_tensor(v).numpy().nbytes for v in variables.values())
    files = sum(path.stat().st_size for path in tmp_path.glob("model.ckpt-2.*"))
    # Names and the like. One batch would be 16 KiB, and those that are shuffled more.
    assert needed < files < needed + 8 * 2**10


@pytest.mark.parametrize("name", ["base_learning_rate", "regularization_penalty"])
def test_what_no_weight_survives_is_refused(name):
    fields = {"train_data_pattern": "x", "train_dir": "x", name: float("inf")}
    with pytest.raises(UserError, match=f"--{name}=inf: must be finite"):
        TrainingConfig(**fields)
