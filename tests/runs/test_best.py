"""Copies of the best checkpoints: what a GAP is, what is copied, what goes."""

import json
import os

import pytest

from youtube8m.errors import UserError
from youtube8m.runs.best import BestCheckpoints
from youtube8m.runs.directory import RunDirectory

SUFFIXES = ("data-00000-of-00001", "index")


@pytest.fixture
def run(tmp_path):
    """A run's directory with the files of model.ckpt-1 to 3."""
    for step in (1, 2, 3):
        for suffix in SUFFIXES:
            (tmp_path / f"model.ckpt-{step}.{suffix}").write_text(f"{step} {suffix}")
    return RunDirectory(str(tmp_path))


def names(best):
    return sorted(os.listdir(best.directory.path))


def files(*steps):
    return [f"model.ckpt-{step}.{suffix}" for step in steps for suffix in SUFFIXES]


@pytest.mark.parametrize(
    "gap, kept",
    [
        *((0.0, True), (0.5, True), (1.0, True), (1, True)),
        *((1.0000004, True), (-0.0000004, True)),  # as sums in float32 may be
        *((1.000001, False), (-0.000001, False), (2.0, False), (-1.0, False)),
    ],
)
def test_a_gap_is_from_0_to_1_to_six_digits(run, gap, kept):
    best = BestCheckpoints(run, keep=2)
    best.copy(run.file("model.ckpt-1"))
    values = {"measured_on": "", "gaps": {"model.ckpt-1": gap}}
    best.directory.write_json("gaps.json", values)
    assert best.gaps() == ({"model.ckpt-1": gap} if kept else {})


def test_gaps_are_of_checkpoints_that_are_there(run):
    best = BestCheckpoints(run, keep=2)
    assert best.gaps() == {}
    best.copy(run.file("model.ckpt-1"))
    gaps = {"model.ckpt-1": 0.5, "model.ckpt-2": 0.7}
    best.directory.write_json("gaps.json", {"measured_on": "", "gaps": gaps})
    assert best.gaps() == {"model.ckpt-1": 0.5}


def test_a_damaged_list_of_gaps_removes_none_that_is_listed(run):
    best = BestCheckpoints(run, keep=2)
    for step in (1, 2):
        best.copy(run.file(f"model.ckpt-{step}"))
        best.rank(run.file(f"model.ckpt-{step}"), step / 10)
    with open(best.directory.file("gaps.json"), "w") as file:
        file.write("{")
    assert best.gaps() == {}
    best.copy(run.file("model.ckpt-3"))
    best.remove_others()
    assert names(best) == ["checkpoint", "gaps.json", *files(1, 2)]
    os.remove(best.directory.file("checkpoint"))
    best.remove_others()
    assert names(best) == ["gaps.json"]


@pytest.mark.parametrize("gone", SUFFIXES)
def test_a_checkpoint_without_one_of_its_files_is_not_copied(run, gone):
    os.remove(run.file(f"model.ckpt-1.{gone}"))
    best = BestCheckpoints(run, keep=1)
    with pytest.raises(FileNotFoundError, match="its files are gone"):
        best.copy(run.file("model.ckpt-1"))
    assert names(best) == []


@pytest.mark.parametrize("links", [True, False])
def test_copies_hold_the_same_and_nothing_else_stays(run, monkeypatch, links):
    def refuse(*_):
        raise OSError

    if not links:
        monkeypatch.setattr(os, "link", refuse)
    best = BestCheckpoints(run, keep=1, name="segment_best")
    for _ in range(2):  # again over itself
        best.copy(run.file("model.ckpt-2"))
        assert names(best) == files(2)
    for name in files(2):
        copy = os.path.join(run.path, "segment_best", name)
        assert open(copy).read() == open(run.file(name)).read()
        assert os.path.samefile(copy, run.file(name)) is links


def test_gaps_on_other_records_are_not_mixed(run):
    best = BestCheckpoints(run, keep=3, measured_on="a")
    for step in (1, 2):
        best.copy(run.file(f"model.ckpt-{step}"))
    best.rank(run.file("model.ckpt-1"), 0.25)
    found = json.load(open(best.directory.file("gaps.json")))
    assert found == {"measured_on": "a", "gaps": {"model.ckpt-1": 0.25}}
    other = BestCheckpoints(run, keep=3, measured_on="b")
    with pytest.raises(UserError, match="/best: ranks checkpoints by other shards or"):
        other.rank(run.file("model.ckpt-2"), 0.5)
    best.rank(run.file("model.ckpt-2"), 0.5)
    assert best.gaps() == {"model.ckpt-1": 0.25, "model.ckpt-2": 0.5}
