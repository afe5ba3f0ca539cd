"""What a run's directory says when some of its files are missing."""

import pytest
import tensorflow as tf
from absl import logging

from tests.helpers.training_runs import VIDEO
from youtube8m import models
from youtube8m.config import ModelConfig, RunConfig
from youtube8m.errors import UserError
from youtube8m.runs import checkpoint_files
from youtube8m.runs.directory import RunDirectory
from youtube8m.runs.weights import restore_checkpoint, save_weights

RUN = models.complete(RunConfig(VIDEO, ModelConfig("LogisticModel")))


@pytest.fixture
def warnings(monkeypatch):
    found = []
    monkeypatch.setattr(logging, "warning", lambda text, *v: found.append(text % v))
    return found


@pytest.fixture
def run(tmp_path):
    """A directory with the checkpoints 1 and 2, as far as their names go."""
    directory = RunDirectory(str(tmp_path))
    directory.prepare(RUN, start_new=False)
    for step in (1, 2):
        for part in ("data-00000-of-00001", "index"):
            (tmp_path / f"model.ckpt-{step}.{part}").touch()
    names = ["model.ckpt-1", "model.ckpt-2"]
    text = checkpoint_files.checkpoint_list(names, [1.0, 2.0])
    (tmp_path / "checkpoint").write_text(text)
    return directory


def remove(directory, *names):
    for name in names:
        tf.io.gfile.remove(directory.file(name))


def test_a_run_whose_only_index_is_gone_is_not_begun_anew(run):
    remove(run, "model.ckpt-1.index", "model.ckpt-2.index")
    for tried in (lambda: run.prepare(RUN, start_new=False), run.checkpoint):
        with pytest.raises(UserError, match="model.ckpt-2.index, which is missing"):
            tried()
    run.prepare(RUN, start_new=True)
    assert checkpoint_files.without_index(run.path) is None


def test_an_older_checkpoint_is_not_taken_without_a_word(run, warnings):
    remove(run, "model.ckpt-2.index")
    run.prepare(RUN, start_new=False)
    (warning,) = warnings
    assert "model.ckpt-2.index, which is missing" in warning
    assert warning.endswith(f"training goes on from {run.path}/model.ckpt-1")


def test_a_save_that_died_is_no_checkpoint(run, warnings):
    """The index is written last, and then the list: this one was never complete."""
    remove(run, "model.ckpt-1.index", "model.ckpt-2.index", "checkpoint")
    run.prepare(RUN, start_new=False)
    assert warnings and warnings[-1].endswith("training goes on from scratch")


def test_what_is_whole_is_told_nothing_about(run, warnings):
    run.prepare(RUN, start_new=False)
    remove(run, "model.ckpt-1.index")
    run.prepare(RUN, start_new=False)
    assert run.checkpoint().endswith("model.ckpt-2") and not warnings


def test_flags_that_are_missing_beside_checkpoints(run):
    remove(run, "model_flags.json")
    with pytest.raises(UserError, match="belongs to the checkpoints there: copy it"):
        run.read_run()
    remove(run, "model.ckpt-1.index", "model.ckpt-2.index", "checkpoint")
    with pytest.raises(UserError, match="train a model there first"):
        run.read_run()


def test_what_a_checkpoint_lacks_is_told(tmp_path):
    directory = RunDirectory(str(tmp_path))
    directory.prepare(RUN, start_new=False)
    model = models.create(RUN)
    prefix = save_weights(model, directory, 7)
    own = {name: tf.Variable(1.0) for name in ("optimizer", "step")}
    weights = {"model": {"kernel": tf.Variable(1.0)}}
    with pytest.raises(UserError, match=f"weights alone.* --warm_start_from={prefix}"):
        restore_checkpoint({**weights, **own}, prefix)
    with pytest.raises(UserError, match="it has no average.*; it is damaged or"):
        restore_checkpoint({"average": own}, prefix)
    with pytest.raises(UserError, match="it is damaged or of another model"):
        restore_checkpoint(weights, prefix)


def test_what_cannot_be_written_names_its_flag(tmp_path, monkeypatch):
    (tmp_path / "model_flags.json").mkdir()
    directory = RunDirectory(str(tmp_path), "--output_dir")
    with pytest.raises(UserError, match="^--output_dir=.*model_flags.json: cannot be"):
        directory.prepare(RUN, start_new=False)


def test_a_directory_in_place_of_the_list(run):
    """Predictions need no list, and training writes one, which it cannot there."""
    remove(run, "checkpoint")
    tf.io.gfile.mkdir(run.file("checkpoint"))
    assert run.checkpoint().endswith("model.ckpt-2")
    with pytest.raises(UserError, match="`checkpoint` there is a directory.*move it"):
        run.prepare(RUN, start_new=False)
