"""A run's directory: its checkpoints by name, and what a new run does to it."""

import itertools
import json
import os
import time

import pytest

from youtube8m.config import DataConfig, ModelConfig, RunConfig
from youtube8m.errors import UserError
from youtube8m.runs import checkpoint_files
from youtube8m.runs.directory import RunDirectory

RUN = RunConfig(DataConfig(("rgb",), (4,), True), ModelConfig("LstmModel"))
OTHER = RunConfig(DataConfig(("rgb",), (5,), True), ModelConfig("LstmModel"))


def add_checkpoints(path, *steps, listed=True):
    path.mkdir(exist_ok=True)
    names = [f"model.ckpt-{step}" for step in steps]
    for name in names:
        (path / f"{name}.index").touch()
        (path / f"{name}.data-00000-of-00001").touch()
    if listed:
        (path / "checkpoint").write_text(checkpoint_files.checkpoint_list(names))


@pytest.fixture
def run(tmp_path):
    """A directory, run, with the checkpoints 9 and 10 and the flags of RUN."""
    path = tmp_path / "run"
    add_checkpoints(path, 9, 10)
    (path / "model_flags.json").write_text(RUN.to_json())
    return path


def test_checkpoints_by_name(run, tmp_path, monkeypatch):
    directory = RunDirectory(str(run))
    nine, ten = (str(run / f"model.ckpt-{step}") for step in (9, 10))
    assert directory.checkpoints() == [nine, ten]
    assert directory.latest_checkpoint() == directory.checkpoint() == ten
    assert directory.checkpoint("model.ckpt-9") == nine
    assert directory.checkpoint(nine) == nine
    monkeypatch.chdir(tmp_path)
    assert directory.checkpoint("run/model.ckpt-9") == nine
    assert RunDirectory("run").checkpoint() == ten
    add_checkpoints(run / "best", 3)
    assert directory.checkpoint("best") == str(run / "best" / "model.ckpt-3")
    assert directory.checkpoint("best/model.ckpt-3") == str(run / "best/model.ckpt-3")
    add_checkpoints(tmp_path / "elsewhere", 9)
    wrong = "^--flag=elsewhere/model.ckpt-9: not in .*; there are: model.ckpt-10, mod"
    with pytest.raises(UserError, match=wrong):
        directory.checkpoint("elsewhere/model.ckpt-9", "--flag")
    with pytest.raises(UserError, match="^--checkpoint=segment_best: eval.py has kept"):
        directory.checkpoint("segment_best")


def test_a_directory_without_checkpoints(tmp_path):
    directory = RunDirectory(str(tmp_path), "--flag")
    assert directory.checkpoints() == [] and directory.latest_checkpoint() is None
    with pytest.raises(UserError, match=f"^--flag={tmp_path}: no checkpoint; train a"):
        directory.checkpoint()
    with pytest.raises(UserError, match="; there are: none$"):
        directory.checkpoint("model.ckpt-1")
    (tmp_path / "copy.index").touch()
    with pytest.raises(UserError, match="; there are: copy$"):
        directory.checkpoint("model.ckpt-1")
    assert directory.checkpoint("copy") == str(tmp_path / "copy")


def test_listed_checkpoints_that_are_gone_do_not_count(run):
    (run / "model.ckpt-10.index").unlink()
    assert RunDirectory(str(run)).latest_checkpoint() == str(run / "model.ckpt-9")
    (run / "model.ckpt-9.index").rename(run / "model.ckpt-11.index")
    assert RunDirectory(str(run)).checkpoints() == [str(run / "model.ckpt-11")]


def test_new_checkpoints_come_as_they_appear(run, monkeypatch):
    """Looked for every second; the newest of several."""
    seconds = []

    def sleep(length):
        seconds.append(length)
        if len(seconds) == 3:
            add_checkpoints(run, 9, 10, 11, 12)

    monkeypatch.setattr(time, "sleep", sleep)
    found = list(itertools.islice(RunDirectory(str(run)).new_checkpoints(), 2))
    assert found == [str(run / "model.ckpt-10"), str(run / "model.ckpt-12")]
    assert seconds == [1.0] * 3


def test_what_lies_in_a_directory(tmp_path):
    directory = RunDirectory(str(tmp_path / "run"))
    for inside in ("run", "run/a", "run/a/b", "run/..b", "run/../run"):
        assert directory.holds(str(tmp_path / inside)), inside
    for outside in ("", "run2", "run/..", "run/../a"):
        assert not directory.holds(str(tmp_path / outside)), outside
    (tmp_path / "run").mkdir()
    os.symlink(tmp_path / "run", tmp_path / "link")
    assert directory.holds(str(tmp_path / "link" / "a"))


def test_only_a_directory_with_something_in_it_is_not_empty(tmp_path):
    directory = RunDirectory(str(tmp_path))
    directory.require_empty()
    RunDirectory(str(tmp_path / "none")).require_empty()
    (tmp_path / "a").touch()
    with pytest.raises(UserError, match=f"^--train_dir={tmp_path}: not empty; name an"):
        directory.require_empty()


def test_only_the_chief_writes(tmp_path):
    for writes in (False, True):
        directory = RunDirectory(str(tmp_path), writes=writes)
        directory.write_json("a.json", {"one": [1]})
        assert (tmp_path / "a.json").exists() is writes
    assert (tmp_path / "a.json").read_text() == '{\n  "one": [\n    1\n  ]\n}'
    RunDirectory(str(tmp_path / "b"), writes=False).prepare(RUN, start_new=True)
    assert not (tmp_path / "b").exists()


def test_a_directory_is_made_and_a_run_without_checkpoints_replaced(tmp_path):
    directory = RunDirectory(str(tmp_path / "a" / "b"))
    for run in (RUN, OTHER):
        directory.prepare(run, start_new=False)
        assert directory.read_run() == run
    (tmp_path / "file").touch()
    for name in ("file", "file/below"):
        with pytest.raises(
            UserError, match=f"^--train_dir={tmp_path}/{name}: cannot b"
        ):
            RunDirectory(str(tmp_path / name)).prepare(RUN, start_new=False)


def test_a_run_goes_on_with_the_same_flags_alone(run):
    directory = RunDirectory(str(run))
    directory.prepare(RUN, start_new=False)
    with pytest.raises(UserError) as error:
        directory.prepare(OTHER, start_new=False)
    assert str(error.value) == (
        f"--train_dir={run}: model_flags.json there says feature_sizes=4, but this run "
        "feature_sizes=5; give the same flags, another --train_dir, or "
        "--start_new_model to begin anew"
    )
    assert directory.read_run() == RUN


def test_what_complete_adds_counts_for_the_same_model_alone(run):
    """Files of earlier versions lack what it adds."""
    called = []

    def complete(given):
        called.append(given)
        return RUN

    directory = RunDirectory(str(run))
    directory.prepare(OTHER, start_new=False, complete=complete)
    assert called == [RUN, OTHER]
    other = RunConfig(RUN.data, ModelConfig("GruModel"))
    with pytest.raises(UserError, match="says model=LstmModel, but this run model=Gru"):
        directory.prepare(other, start_new=False, complete=complete)
    assert len(called) == 2

    def fail(given):
        raise UserError("its class is not imported")

    directory.prepare(RUN, start_new=False, complete=fail)


def test_released_crops_that_follow_from_released_code_are_not_named_twice(run):
    values = json.loads(RUN.to_json()) | {"frame_sampling": "crop"}
    released = {"released_crops": True, "released_code": True}

    def prepare(*changes):
        saved, wanted = (RunConfig.from_json(json.dumps(values | c)) for c in changes)
        (run / "model_flags.json").write_text(saved.to_json())
        RunDirectory(str(run)).prepare(wanted, start_new=False)

    only = "says released_code=False, but this run released_code=True; give the same"
    with pytest.raises(UserError, match=only):
        prepare({}, released)


@pytest.mark.parametrize(
    "was, now, message",
    [
        (("all", False, False), ("all", False, True), "released_code=True; give"),
        (("crop", False, True), ("crop", True, True), "released_crops=True; give"),
    ],
)
def test_either_of_both_is_named_where_it_differs_alone(run, was, now, message):
    """Of a model that has --released_code, as a hyper-parameter."""

    def config(frame_sampling, released_crops, released_code):
        data = DataConfig(
            ("rgb",),
            (4,),
            True,
            frame_sampling=frame_sampling,
            released_crops=released_crops,
        )
        values = {"released_code": released_code}
        return RunConfig(data, ModelConfig("LstmModel", hyperparameters=values))

    (run / "model_flags.json").write_text(config(*was).to_json())
    with pytest.raises(UserError, match=f"but this run {message}"):
        RunDirectory(str(run)).prepare(config(*now), start_new=False)


@pytest.mark.parametrize("listed", [None, b"\x80", b""])
def test_a_missing_or_damaged_list_is_written_anew(run, listed, caplog):
    (run / "checkpoint").unlink()
    if listed is not None:
        (run / "checkpoint").write_bytes(listed)
    times = (1000.0, 2000.0)
    for step, seconds in zip((9, 10), times, strict=True):
        os.utime(run / f"model.ckpt-{step}.index", (seconds, seconds))
    RunDirectory(str(run)).prepare(RUN, start_new=False)
    what = "missing" if listed is None else "damaged"
    assert caplog.messages == [
        f"{run}/checkpoint: {what}; replaced by a list of the checkpoints"
    ]
    expected = checkpoint_files.checkpoint_list(
        ["model.ckpt-9", "model.ckpt-10"], times
    )
    assert (run / "checkpoint").read_text() == expected
    caplog.clear()
    RunDirectory(str(run)).prepare(RUN, start_new=False)
    assert caplog.messages == []


def test_a_list_of_checkpoints_that_are_gone_goes(run):
    for path in run.glob("model.ckpt-*"):
        path.unlink()
    (run / "checkpoint").write_bytes(b"\x80")
    RunDirectory(str(run)).prepare(RUN, start_new=False)
    assert not (run / "checkpoint").exists()


def test_start_new_model_removes_a_run_and_nothing_else(run):
    names = (
        *("training_flags.json", "training_config.json", "metrics.jsonl", "train.log"),
        *("graph.pbtxt", "events.out.tfevents.1"),
    )
    for name in (*names, "notes.txt"):
        (run / name).touch()
    for name in ("eval", "inference_model", "best", "segment_best", "mine"):
        (run / name).mkdir()
    RunDirectory(str(run)).prepare(OTHER, start_new=True)
    assert sorted(os.listdir(run)) == ["mine", "model_flags.json", "notes.txt"]
    assert RunDirectory(str(run)).read_run() == OTHER


def test_start_new_model_takes_an_empty_or_absent_directory(tmp_path):
    (tmp_path / "empty").mkdir()
    for name in ("empty", "absent"):
        directory = RunDirectory(str(tmp_path / name))
        directory.prepare(RUN, start_new=True)
        assert directory.read_run() == RUN


def test_start_new_model_spares_what_is_no_run(tmp_path):
    directory = RunDirectory(str(tmp_path))
    (tmp_path / "model.ckpt-1.index").touch()
    with pytest.raises(
        UserError, match="--start_new_model will not empty it: it holds"
    ):
        directory.prepare(RUN, start_new=True)
    assert os.listdir(tmp_path) == ["model.ckpt-1.index"]
    for known in ("checkpoint", "model_flags.json"):
        (tmp_path / known).touch()
        directory.prepare(RUN, start_new=True)
        assert os.listdir(tmp_path) == ["model_flags.json"]


def test_a_run_of_the_starter_code_is_not_continued(run):
    values = json.loads(RUN.to_json())
    keys = ("model", "feature_names", "feature_sizes", "frame_features", "label_loss")
    (run / "model_flags.json").write_text(json.dumps({k: values[k] for k in keys}))
    directory = RunDirectory(str(run))
    assert directory.is_starters
    with pytest.raises(UserError, match="the starter code trained the run there; pyth"):
        directory.prepare(RUN, start_new=False)


def test_a_directory_without_flags_is_told(tmp_path):
    directory = RunDirectory(str(tmp_path))
    assert not directory.is_starters
    with pytest.raises(
        UserError, match="no model_flags.json .No such file .*; train a"
    ):
        directory.read_run()
