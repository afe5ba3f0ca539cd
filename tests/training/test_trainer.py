"""Training as a whole: resuming, replicas, the schedule, the run's files."""

import dataclasses
import json
import os
import re
import shutil
import signal

import numpy as np
import pytest
import tensorflow as tf

from tests.helpers import processes
from tests.helpers.sample import VIDEO_FLAGS
from tests.helpers.training_runs import (
    CLIP,
    DBOF,
    FRAMES,
    LOGISTIC,
    TWO_REPLICAS,
    VIDEO,
    assert_clipped,
    config,
    metrics_lines,
    run_python,
    train,
)
from youtube8m.config import ModelConfig, RunConfig
from youtube8m.data.writing.records import video_example, write_records
from youtube8m.errors import UserError
from youtube8m.runs.directory import RunDirectory
from youtube8m.runs.weights import load_weights
from youtube8m.training.config import TrainingConfig
from youtube8m.training.reports import TrainingReport
from youtube8m.training.steps import decayed_learning_rate
from youtube8m.training.trainer import Trainer
from youtube8m.training.warm_start import warm_start
from youtube8m.training.workers import Workers


@pytest.mark.parametrize(
    "model",
    [
        DBOF,
        pytest.param(
            ModelConfig(
                "LstmModel", hyperparameters={"lstm_cells": 8, "lstm_layers": 1}
            ),
            marks=pytest.mark.slow,
        ),
        # With dropout, and noise that chooses among experts.
        pytest.param(
            ModelConfig(
                "LSTMMoE",
                hyperparameters={
                    "lstm_cells": 8,
                    "num_experts": 4,
                    "active_experts": 2,
                    "expert_size": 8,
                },
            ),
            marks=pytest.mark.slow,
        ),
    ],
    ids=lambda m: m.model,
)
def test_resuming_gives_the_weights_of_an_undisturbed_run(sample, tmp_path, model):
    """Bit for bit: weights, optimizer, random state and place in the data."""
    run = RunConfig(FRAMES, model)
    whole = train(run, config(sample, tmp_path / "whole"))
    train(run, config(sample, tmp_path / "parts", max_steps=3))
    train(run, config(sample, tmp_path / "parts", max_steps=7))
    parts = train(run, config(sample, tmp_path / "parts"))
    for ours, theirs in zip(whole, parts, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    steps = [line["step"] for line in metrics_lines(tmp_path / "parts")]
    assert steps == list(range(1, 11))  # 160 videos x 2 epochs / 32


def test_warm_start_takes_what_fits(sample, tmp_path):
    sizes = {"lstm_cells": 8, "lstm_layers": 2}
    first = RunConfig(FRAMES, ModelConfig("LstmModel", hyperparameters=sizes))
    train(first, config(sample, tmp_path / "first", max_steps=2))
    other = ModelConfig("LstmModel", "LogisticModel", hyperparameters=sizes)
    settings = config(
        sample,
        tmp_path / "second",
        max_steps=1,
        warm_start_from=str(tmp_path / "first"),
    )
    trainer = Trainer(RunConfig(FRAMES, other), settings)
    trainer.train()
    log = (tmp_path / "second" / "train.log").read_text()
    assert "6 of 8 weights" in log
    assert "classifier/logits/kernel, classifier/logits/bias" in log
    started = Trainer(RunConfig(FRAMES, other), config(sample, tmp_path / "third"))
    report = warm_start(
        started.state.model, RunDirectory(str(tmp_path / "first")).checkpoint()
    )
    assert len(report.loaded) == 6 and not report.other_shape
    source = Trainer(first, config(sample, tmp_path / "first"))
    source.saver.restore()
    for ours, theirs in zip(
        started.state.model.encoder.weights,
        source.state.model.encoder.weights,
        strict=True,
    ):
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.slow
def test_warm_start_tells_of_other_shapes_and_of_nothing_that_fits(sample, tmp_path):
    small = ModelConfig("LstmModel", hyperparameters={"lstm_cells": 8})
    large = ModelConfig("LstmModel", hyperparameters={"lstm_cells": 9})
    train(RunConfig(FRAMES, small), config(sample, tmp_path / "small", max_steps=1))
    prefix = RunDirectory(str(tmp_path / "small")).checkpoint()
    model = Trainer(
        RunConfig(FRAMES, large), config(sample, tmp_path / "x")
    ).state.model
    report = warm_start(model, prefix)
    assert "encoder/stack/lstm/lstm_cell/kernel: [32, 32] there, [32, 36] here" in (
        report.other_shape
    )
    assert report.loaded == ["classifier/experts/bias"]
    logistic = RunConfig(FRAMES, ModelConfig("FrameLevelLogisticModel"))
    model = Trainer(logistic, config(sample, tmp_path / "y")).state.model
    with pytest.raises(UserError, match="has none of this model's weights"):
        warm_start(model, prefix)


def test_what_a_run_starts_from_is_read_before_an_old_one_goes(sample, tmp_path):
    run = RunConfig(VIDEO, ModelConfig("LogisticModel"))
    own, other = tmp_path / "own", tmp_path / "other"
    for path in (own, other):
        train(run, config(sample, path, "video", max_steps=1))
    shutil.copytree(own, own / "best")
    (tmp_path / "link").symlink_to("own")
    data = next(other.glob("model.ckpt-1.data*"))
    data.write_bytes(data.read_bytes()[:100])
    before = sorted(own.rglob("*"))
    for start, message in {
        own: "--start_new_model would remove it",
        own / "model.ckpt-1": "--start_new_model would remove it",
        own / "best": "--start_new_model would remove it",
        tmp_path / "link" / "best" / "model.ckpt-1": "would remove it",
        tmp_path / "none": f"--warm_start_from={tmp_path}/none: no such checkpoint",
        other / "model.ckpt-7": "model.ckpt-7: no such checkpoint",
        other: "model.ckpt-1: cannot be restored",
    }.items():
        settings = config(
            sample, own, "video", start_new_model=True, warm_start_from=str(start)
        )
        with pytest.raises(UserError, match=message):
            Trainer(run, settings)
        assert sorted(own.rglob("*")) == before, start


def test_warm_start_expands_the_home_directory(sample, tmp_path, monkeypatch):
    run = RunConfig(VIDEO, ModelConfig("LogisticModel"))
    weights = train(run, config(sample, tmp_path / "a", "video", max_steps=1))
    monkeypatch.setenv("HOME", str(tmp_path))
    start = {"warm_start_from": "~/a/model.ckpt-1"}
    trainer = Trainer(run, config(sample, tmp_path / "b", "video", **start))
    for ours, theirs in zip(trainer.state.model.variables, weights, strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_one_worker_keeps_no_results_of_its_steps(sample, tmp_path):
    run = RunConfig(VIDEO, ModelConfig("LogisticModel"))
    trainer = Trainer(run, config(sample, tmp_path, "video"))
    is_stopping, kept = trainer._is_stopping, []
    trainer._is_stopping = lambda recent: (
        kept.append(len(recent)) or is_stopping(recent)
    )
    trainer.train()
    assert kept == [0] * 10


@pytest.mark.slow
def test_reports_take_no_memory_that_stays(tmp_path):
    """TensorFlow keeps 800 bytes for each number of Python's that it is given."""

    def resident():
        with open("/proc/self/statm") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    with TrainingReport(RunDirectory(str(tmp_path)), 0, 1) as report:
        for step in range(4000):
            if step == 1000:
                before = resident()
            names = ("loss", "gap", "perr", "learning_rate", "auxiliary_loss")
            row = {name: step + number / 7 for number, name in enumerate(names)}
            report._summarize({"step": step, **row})
    assert resident() - before < 5e6  # not 3000 * 6 * 800 bytes


def test_checkpoints_are_named_by_paths_in_their_directory_alone(
    sample, tmp_path, monkeypatch
):
    run = RunConfig(VIDEO, ModelConfig("LogisticModel"))
    for name in ("own", "other"):
        train(run, config(sample, tmp_path / name, "video", max_steps=1))
    own = tmp_path / "own"
    shutil.copytree(own, own / "best")
    monkeypatch.chdir(tmp_path)
    directory = RunDirectory("own")
    for name in ("model.ckpt-1", "own/model.ckpt-1", f"{own}/model.ckpt-1"):
        assert directory.checkpoint(name) == f"{own}/model.ckpt-1"
    for name in ("best/model.ckpt-1", "own/best/model.ckpt-1", "best"):
        assert directory.checkpoint(name) == f"{own}/best/model.ckpt-1"
    for name in ("other/model.ckpt-1", "../other/model.ckpt-1", "worst/model.ckpt-1"):
        with pytest.raises(UserError, match=f"--checkpoint={name}: not in {own}; the"):
            directory.checkpoint(name)


def test_a_run_keeps_the_order_it_began_with(sample, tmp_path, caplog):
    """Batch size and readers may change; each record still comes once an epoch."""
    run = RunConfig(VIDEO, ModelConfig("LogisticModel"))
    settings = {"level": "video", "num_epochs": 1}
    Trainer(
        run, config(sample, tmp_path, batch_size=16, max_steps=3, **settings)
    ).train()
    seen = []
    trainer = Trainer(
        run, config(sample, tmp_path, batch_size=10, num_readers=1, **settings)
    )
    loop = trainer.step.loop
    trainer.step.loop = lambda batches: (
        seen.extend(len(batch["labels"]) for batch in batches) or loop(batches)
    )
    trainer.train()
    assert sum(seen) == 160 - 3 * 16
    flags = trainer.training_flags
    assert flags.num_readers == 2 and flags.shuffle_buffer == 80
    assert "--num_readers=1: the run goes on with 2" in caplog.text


@pytest.mark.parametrize(
    "values, message",
    [
        ({"optimizer": "SGD"}, "--optimizer=SGD: .* begun with AdamOptimizer"),
        ({"data": "video/validate"}, "begun on other shards"),
    ],
)
def test_a_run_cannot_go_on_with_another_state(sample, tmp_path, values, message):
    run = RunConfig(VIDEO, ModelConfig("LogisticModel"))
    train(run, config(sample, tmp_path, "video", max_steps=1))
    data = values.pop("data", None)
    source = {"video/train": sample[data]} if data else sample
    with pytest.raises(UserError, match=message):
        train(run, config(source, tmp_path, "video", **values))


def test_a_run_that_never_saved_does_not_hold_its_directory(sample, tmp_path):
    wrong = dataclasses.replace(VIDEO, num_classes=3)
    with pytest.raises(UserError, match="--num_classes=3"):
        train(
            RunConfig(wrong, ModelConfig("LogisticModel")),
            config(sample, tmp_path, "video"),
        )
    run = RunConfig(VIDEO, ModelConfig("LogisticModel"))
    train(run, config(sample, tmp_path, "video", max_steps=1))
    assert RunDirectory(str(tmp_path)).read_run() == run


def test_a_record_that_ends_the_run_does_not_cost_what_was_learnt(sample, tmp_path):
    good = RunConfig(VIDEO, ModelConfig("LogisticModel"))
    path = tmp_path / "z.tfrecord"
    with open(path, "wb") as out:
        for shard in sorted(tf.io.gfile.glob(sample["video/train"])):
            with open(shard, "rb") as file:
                out.write(file.read())
        bad = tmp_path / "bad.tfrecord"
        means = {"mean_rgb": np.zeros(24), "mean_audio": np.zeros(8)}
        write_records(bad, [video_example("bad!", [77], means)])
        out.write(bad.read_bytes())
    settings = config(
        {"video/train": str(path)},
        tmp_path / "run",
        "video",
        shuffle_buffer=1,
        num_readers=1,
    )
    with pytest.raises(UserError, match="record 160 has labels entry 77"):
        train(good, settings)
    latest = RunDirectory(str(tmp_path / "run")).latest_checkpoint()
    assert latest == str(tmp_path / "run" / "model.ckpt-5")
    assert len(metrics_lines(tmp_path / "run")) == 5


def test_an_older_checkpoint_serves_where_the_newest_is_gone(sample, tmp_path):
    run = RunConfig(VIDEO, ModelConfig("LogisticModel"))
    train(run, config(sample, tmp_path, "video", max_steps=4, export_model_steps=2))
    directory = RunDirectory(str(tmp_path))
    assert directory.checkpoint("model.ckpt-2") == str(tmp_path / "model.ckpt-2")
    for path in tmp_path.glob("model.ckpt-4*"):
        path.unlink()
    assert directory.latest_checkpoint() == str(tmp_path / "model.ckpt-2")
    with pytest.raises(UserError, match="--checkpoint=model.ckpt-4: .* model.ckpt-2"):
        directory.checkpoint("model.ckpt-4")
    train(run, config(sample, tmp_path, "video", max_steps=4))
    assert directory.latest_checkpoint() == str(tmp_path / "model.ckpt-4")


@pytest.mark.parametrize("size", [0, 100])
def test_a_truncated_checkpoint_is_told(sample, tmp_path, size):
    run = RunConfig(VIDEO, ModelConfig("LogisticModel"))
    train(run, config(sample, tmp_path, "video", max_steps=1))
    data = next(tmp_path.glob("model.ckpt-1.data*"))
    data.write_bytes(data.read_bytes()[:size])
    with pytest.raises(UserError, match="model.ckpt-1: cannot be restored"):
        train(run, config(sample, tmp_path, "video"))


def test_last_step_is_saved_and_files_are_those_of_the_starter_code(sample, tmp_path):
    run = RunConfig(VIDEO, ModelConfig("LogisticModel"))
    train(run, config(sample, tmp_path, "video", max_steps=4))
    directory = RunDirectory(str(tmp_path))
    assert directory.latest_checkpoint() == str(tmp_path / "model.ckpt-4")
    assert directory.read_run() == run
    with open(tmp_path / "model_flags.json") as file:
        flags = json.load(file)
    assert flags["model"] == "LogisticModel"
    assert flags["feature_names"] == "mean_rgb,mean_audio"
    assert flags["feature_sizes"] == "24,8"
    assert flags["frame_features"] is False
    assert flags["label_loss"] == "CrossEntropyLoss"
    tags = {
        value.tag
        for path in tf.io.gfile.glob(str(tmp_path / "events*"))
        for event in tf.compat.v1.train.summary_iterator(path)
        for value in event.summary.value
    }
    assert {"label_loss", "learning_rate", "global_step/Examples/Second"} <= tags


@pytest.mark.slow
def test_all_checkpoints_are_kept_on_request(sample, tmp_path):
    settings = {"max_steps": 8, "export_model_steps": 1, "keep_checkpoints": 0}
    train(LOGISTIC, config(sample, tmp_path, "video", **settings))
    assert len(RunDirectory(str(tmp_path)).checkpoints()) == 8
    settings |= {"max_steps": 10}
    train(LOGISTIC, config(sample, tmp_path, "video", **settings))
    assert len(RunDirectory(str(tmp_path)).checkpoints()) == 10


def test_histograms_are_written_with_each_checkpoint_on_request(sample, tmp_path):
    settings = {"max_steps": 2, "export_model_steps": 1, "weight_histograms": True}
    train(LOGISTIC, config(sample, tmp_path, "video", **settings))
    found = [
        (event.step, value.tag)
        for path in sorted(tmp_path.glob("events*"))
        for event in tf.compat.v1.train.summary_iterator(str(path))
        for value in event.summary.value
        if value.metadata.plugin_data.plugin_name == "histograms"
    ]
    names = ["classifier/logits/bias", "classifier/logits/kernel"]
    assert {*found} == {(step, name) for step in (1, 2) for name in names}


def test_training_learns(sample, tmp_path):
    run = RunConfig(VIDEO, ModelConfig("LogisticModel"))
    train(run, config(sample, tmp_path, "video", num_epochs=20, base_learning_rate=0.1))
    lines = metrics_lines(tmp_path)
    assert lines[-1]["loss"] < lines[0]["loss"] / 2
    assert max(line.get("gap", 0) for line in lines) > 0.6


def test_console_lines_are_those_people_grep(sample, tmp_path, caplog):
    run = RunConfig(VIDEO, ModelConfig("LogisticModel"))
    train(run, config(sample, tmp_path, "video", num_epochs=3))
    log = (tmp_path / "train.log").read_text()
    number = r"[\d.]+"
    head = rf"training step %d \| Loss: {number} Examples/sec: {number}"
    assert re.search(head % 9 + "\n", log)
    tail = rf" \| Hit@1: {number} PERR: {number} GAP: {number}\n"
    assert re.search(head % 10 + tail, log)


def test_the_last_line_says_how_long_steps_waited_for_input(sample, tmp_path):
    run = RunConfig(VIDEO, ModelConfig("LogisticModel"))
    settings = config(sample, tmp_path, "video", num_epochs=1)
    train(run, settings)
    shares = [line["waiting_share"] for line in metrics_lines(tmp_path)]
    assert len(shares) == 5 and all(0 < share <= 1 for share in shares)
    saved = rf"saved step 5: {tmp_path}/model.ckpt-5"
    log = tmp_path / "train.log"
    last = log.read_text().splitlines()[-1]
    assert re.search(rf"{saved} \| Waiting for input: \d+% of the time$", last)
    train(run, settings)  # nothing is left to do
    assert re.search(f"{saved}$", log.read_text().splitlines()[-1])


def test_learning_rate_falls_in_steps_of_examples():
    settings = TrainingConfig(
        train_data_pattern="x",
        base_learning_rate=0.5,
        learning_rate_decay=0.8,
        learning_rate_decay_examples=100,
    )
    rates = [float(decayed_learning_rate(settings, n)) for n in (0, 99, 100, 250)]
    np.testing.assert_allclose(rates, [0.5, 0.5, 0.4, 0.32], rtol=1e-6)


def test_only_the_chief_writes(sample, tmp_path):
    """The second of two workers, here without the first, whose run it takes up."""
    run = RunConfig(VIDEO, ModelConfig("LogisticModel"))
    train(run, config(sample, tmp_path, "video", max_steps=1))
    before = {path: path.read_bytes() for path in tmp_path.rglob("*")}
    second = Trainer(
        run,
        config(sample, tmp_path, "video", export_model_steps=2),
        tf.distribute.OneDeviceStrategy("/cpu:0"),
        Workers(("a:1", "b:2"), 1),
    )
    assert second.train()["step"] == 10
    assert second.state.examples.numpy() == 32 + 9 * 16
    assert {path: path.read_bytes() for path in tmp_path.rglob("*")} == before


def test_another_model_in_train_dir_is_refused(sample, tmp_path):
    train(
        RunConfig(VIDEO, ModelConfig("LogisticModel")),
        config(sample, tmp_path, "video", max_steps=1),
    )
    other = RunConfig(VIDEO, ModelConfig("MoeModel"))
    with pytest.raises(UserError, match="model=LogisticModel, but this run model=Moe"):
        Trainer(other, config(sample, tmp_path, "video"))
    train(other, config(sample, tmp_path, "video", max_steps=1, start_new_model=True))
    assert RunDirectory(str(tmp_path)).read_run() == other


def test_start_new_model_spares_other_directories(sample, tmp_path):
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(UserError, match="will not empty it"):
        Trainer(
            RunConfig(VIDEO, ModelConfig("LogisticModel")),
            config(sample, tmp_path, "video", start_new_model=True),
        )
    assert (tmp_path / "thesis.txt").exists()


def test_start_new_model_keeps_files_that_are_not_the_runs(sample, tmp_path):
    run = RunConfig(VIDEO, ModelConfig("LogisticModel"))
    train(run, config(sample, tmp_path, "video", max_steps=1))
    (tmp_path / "notes.txt").write_text("mine")
    train(run, config(sample, tmp_path, "video", max_steps=1, start_new_model=True))
    assert (tmp_path / "notes.txt").exists()
    assert [line["step"] for line in metrics_lines(tmp_path)] == [1]


def test_checkpoint_of_other_sizes_is_told(sample, tmp_path):
    run = RunConfig(FRAMES, DBOF)
    train(run, config(sample, tmp_path, max_steps=1))
    from youtube8m import models

    other = ModelConfig("DbofModel", hyperparameters={"dbof_cluster_size": 17})
    model = models.create(RunConfig(FRAMES, other))
    with pytest.raises(UserError, match="damaged or of another model"):
        load_weights(model, str(tmp_path / "model.ckpt-1"))


def test_a_loss_that_is_not_finite_stops_the_run(sample, tmp_path):
    run = RunConfig(VIDEO, ModelConfig("LogisticModel", label_loss="HingeLoss"))
    settings = config(sample, tmp_path, "video", base_learning_rate=1e38)
    # The first one's update is beyond all bounds.
    message = (
        r"is (nan|inf) at step 2 of the videos (\S+ ){8}and 24 more \(train.log\);"
    )
    with pytest.raises(UserError, match=message):
        train(run, settings)


TRAINING_SCRIPT = (
    TWO_REPLICAS
    + """
from youtube8m.training.workers import split_batch
shares = strategy.experimental_local_results(
    split_batch(strategy, {"frames": tf.zeros([5, 3])})["frames"])
assert [s.device[-5:] for s in shares] == ["CPU:0", "CPU:1"][:replicas]
assert sum(s.shape[0] for s in shares) == 5
from tests.helpers import training_runs as t
settings = t.TrainingConfig(train_dir=out, train_data_pattern=data,
    batch_size=int(batch), num_epochs=4, clip_gradient_norm=t.CLIP,
    optimizer=sys.argv[5], base_learning_rate=float(sys.argv[6]),
    regularization_penalty=1e6)
t.train(t.RunConfig(t.FRAMES, t.FIXED_DBOF), settings, strategy)
"""
)


@pytest.mark.slow
@pytest.mark.parametrize(
    "optimizer, rate", [("GradientDescentOptimizer", 0.05), ("AdamOptimizer", 0.001)]
)
def test_two_replicas_of_half_the_batch_give_the_same_weights(
    sample, tmp_path, optimizer, rate
):
    """After 20 steps with clipping, weight decay and batch normalisation.

    Adam's are but for one, whose true gradient is 0, as a batch norm behind it takes it
    out again: Adam makes whole steps of what rounding leaves. They move the mean that
    this batch norm sees.
    """
    runs = [tmp_path / replicas for replicas in "12"]
    for replicas, (run, batch) in enumerate(zip(runs, (32, 16), strict=True), 1):
        values = (sample["frame/train"], run, batch, optimizer, rate)
        run_python(TRAINING_SCRIPT, replicas, *values)
    one, two = map(model_weights, runs)
    if optimizer == "AdamOptimizer":
        assert one.pop("encoder/input_norm/beta").shape == (32,)
        assert one.pop("encoder/cluster_norm/moving_mean").shape == (16,)
    assert len(one) > 15
    for name in one:
        np.testing.assert_allclose(one[name], two[name], 0, 1e-5, err_msg=name)
    for run in runs:
        assert len(metrics_lines(run)) == 20
        assert_clipped(run, CLIP, len(one))


def model_weights(train_dir):
    """Those in the newest checkpoint, by name."""
    reader = tf.train.load_checkpoint(RunDirectory(str(train_dir)).checkpoint())
    return {name: reader.get_tensor(key) for name, key in model_keys(reader)}


def model_keys(reader):
    for key in reader.get_variable_to_shape_map():
        if found := re.fullmatch("model/(.*)/.ATTRIBUTES/VARIABLE_VALUE", key):
            yield found[1].replace(".S", "/"), key


@pytest.mark.parametrize(
    "number", [signal.SIGTERM, pytest.param(signal.SIGINT, marks=pytest.mark.slow)]
)
def test_signals_save_and_end_cleanly(sample, tmp_path, number):
    arguments = (
        f"--train_dir={tmp_path}",
        f"--train_data_pattern={sample['video/train']}",
        *VIDEO_FLAGS,
        "--num_epochs=100000",
        "--batch_size=16",
    )
    with processes.started("train.py", *arguments) as process:
        for line in process.stderr:
            if "training step 20 " in line:
                process.send_signal(number)
                break
        rest = process.stderr.read()
        assert process.wait() == 128 + number
    assert f"stopped by {number.name}; run the same command to go on" in rest
    assert "Traceback" not in rest
    steps = metrics_lines(tmp_path)[-1]["step"]
    latest = RunDirectory(str(tmp_path)).latest_checkpoint()
    assert latest == str(tmp_path / f"model.ckpt-{steps}")
