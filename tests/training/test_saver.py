"""When checkpoints are written, how many stay, and which are tried."""

import numpy as np
import pytest
import tensorflow as tf

from tests.helpers.training_runs import LOGISTIC, config
from youtube8m import losses, models, optimizers
from youtube8m.errors import UserError
from youtube8m.runs.directory import RunDirectory
from youtube8m.runs.weights import load_newest
from youtube8m.training import trainer
from youtube8m.training.saver import Saver, advise_after_divergence
from youtube8m.training.steps import TrainingState
from youtube8m.training.trainer import Trainer


def new_state(ema_decay=0.0):
    optimizer = optimizers.create("AdamOptimizer", 0.1, ema_decay)
    return TrainingState(models.create(LOGISTIC), optimizer, losses.create(LOGISTIC))


def saver_of(path, keep=5, writes=True, **values):
    return Saver(RunDirectory(str(path), writes=writes), new_state(**values), keep)


def steps_of(path):
    return [int(p.rpartition("-")[2]) for p in RunDirectory(str(path)).checkpoints()]


def save_steps(saver, steps):
    """Saves each step with a weight that tells them apart."""
    kernel = saver.state.model.trainable_variables[0]
    for step in steps:
        saver.state.step.assign(step)
        kernel.assign(tf.fill(kernel.shape, float(step)))
        assert saver.save() == saver.directory.file(f"model.ckpt-{step}")


@pytest.mark.parametrize("keep", [1, 2, 3, 5])
def test_as_many_checkpoints_stay_as_asked_for(tmp_path, keep):
    save_steps(saver_of(tmp_path, keep), range(1, 7))
    assert steps_of(tmp_path) == list(range(7 - keep, 7))
    names = {path.name.split(".")[1] for path in tmp_path.glob("model.ckpt-*")}
    assert names == {f"ckpt-{step}" for step in steps_of(tmp_path)}


def test_zero_keeps_all(tmp_path):
    save_steps(saver_of(tmp_path, 0), range(1, 8))
    assert steps_of(tmp_path) == list(range(1, 8))


def test_a_run_that_goes_on_counts_the_checkpoints_before(tmp_path):
    save_steps(saver_of(tmp_path, 3), (1, 2, 3))
    saver = saver_of(tmp_path, 3)
    assert saver.restore() == saver.directory.file("model.ckpt-3")
    save_steps(saver, (4,))
    assert steps_of(tmp_path) == [2, 3, 4]


@pytest.mark.parametrize("damaged", range(5))
def test_every_checkpoint_is_tried_from_the_newest_on(tmp_path, damaged, caplog):
    save_steps(saver_of(tmp_path), range(1, 6))
    for step in range(6 - damaged, 6):
        next(tmp_path.glob(f"model.ckpt-{step}.data*")).write_bytes(b"")
    saver = saver_of(tmp_path)
    step = 5 - damaged
    assert saver.restore() == saver.directory.file(f"model.ckpt-{step}")
    kernel = saver.state.model.trainable_variables[0]
    np.testing.assert_array_equal(kernel, np.full(kernel.shape, step))
    assert saver.state.steps_done == step
    told = caplog.text.count(f"model.ckpt-{step} is used instead")
    assert told == damaged


def test_where_all_are_damaged_the_newest_is_named(tmp_path):
    save_steps(saver_of(tmp_path), range(1, 6))
    for path in tmp_path.glob("model.ckpt-*.data*"):
        path.write_bytes(b"")
    with pytest.raises(UserError, match="model.ckpt-5: cannot be restored"):
        saver_of(tmp_path).restore()


def test_without_checkpoints_nothing_is_restored(tmp_path):
    saver = saver_of(tmp_path)
    assert saver.restore() is None
    assert load_newest(saver.directory, pytest.fail) is None


def test_all_of_the_state_comes_back(tmp_path):
    """Weights, averages, slots, the optimizer's count, step, examples, position."""
    saver = saver_of(tmp_path, ema_decay=0.9)
    state, rng = saver.state, np.random.default_rng(0)
    variables = [
        *(v.value for v in (*state.model.variables, *state.optimizer.variables)),
        *(state.step, state.examples, state.position),
    ]
    for variable in variables:
        variable.assign(tf.cast(rng.integers(1, 99, variable.shape), variable.dtype))
    saver.save()
    again = saver_of(tmp_path, ema_decay=0.9)
    again.restore()
    state = again.state
    found = [
        *(v.value for v in (*state.model.variables, *state.optimizer.variables)),
        *(state.step, state.examples, state.position),
    ]
    for one, two in zip(variables, found, strict=True):
        np.testing.assert_array_equal(one, two)


def test_only_the_chief_saves(tmp_path):
    saver = saver_of(tmp_path, writes=False)
    assert saver.save() == saver.directory.file("model.ckpt-0")
    assert not list(tmp_path.iterdir())


def test_a_state_that_is_saved_is_not_saved_again(tmp_path):
    saver = saver_of(tmp_path)
    save_steps(saver, (1,))
    index = tmp_path / "model.ckpt-1.index"
    before = index.stat().st_mtime_ns
    saver.save()
    assert index.stat().st_mtime_ns == before
    save_steps(saver, (2,))
    again = saver_of(tmp_path)
    again.restore()
    index.write_bytes(b"untouched")
    again.save()
    assert index.read_bytes() == b"untouched" and steps_of(tmp_path) == [1, 2]


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_one_value_that_is_not_finite_is_not_saved(tmp_path, value):
    saver = saver_of(tmp_path)
    save_steps(saver, (1,))
    saver.state.step.assign(2)
    kernel = saver.state.model.trainable_variables[0]
    kernel[3, 5].assign(value)
    wrong = "the weights classifier/logits/kernel are not finite after step 2, which is"
    with pytest.raises(UserError, match=f"{wrong} not saved; the last good .*ckpt-1:"):
        saver.save()
    assert steps_of(tmp_path) == [1]


def test_advice_names_the_last_good_checkpoint():
    lower = "lower --base_learning_rate and run again"
    assert advise_after_divergence(None) == f"no checkpoint was saved before: {lower}"
    assert advise_after_divergence("run/model.ckpt-7") == (
        f"the last good checkpoint is run/model.ckpt-7: {lower}, "
        "without --start_new_model"
    )


def saved_steps(sample, path, monkeypatch, seconds, **values):
    """Steps that a run saves of which each takes so many seconds by the clock."""
    settings = config(sample, path, "video", keep_checkpoints=0, **values)
    run = Trainer(LOGISTIC, settings)
    clock = [0.0]
    loop = run.step.loop

    def slow_loop(batches):
        clock[0] += seconds
        return loop(batches)

    run.step.loop = slow_loop
    monkeypatch.setattr(trainer.time, "monotonic", lambda: clock[0])
    run.train()
    return steps_of(path)


def test_minutes_between_two_checkpoints_are_minutes(sample, tmp_path, monkeypatch):
    """150 s are exactly three steps; the tenth is the last."""
    values = {"save_checkpoint_minutes": 2.5}
    assert saved_steps(sample, tmp_path, monkeypatch, 50, **values) == [3, 6, 9, 10]


def test_steps_between_two_checkpoints_are_steps(sample, tmp_path, monkeypatch):
    values = {"export_model_steps": 4}
    assert saved_steps(sample, tmp_path, monkeypatch, 0, **values) == [4, 8, 10]
