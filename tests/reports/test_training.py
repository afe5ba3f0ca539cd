"""The curves of a run, from metrics.jsonl of any version."""

import json

import numpy as np
import pytest

from youtube8m.errors import UserError
from youtube8m.reports import training
from youtube8m.reports.pages import Page
from youtube8m.runs.directory import RunDirectory

pytest.importorskip("altair", reason="needs the extra report")


def write(folder, rows):
    lines = [row if isinstance(row, str) else json.dumps(row) for row in rows]
    (folder / "metrics.jsonl").write_text("\n".join(lines))
    return RunDirectory(str(folder))


def test_rows_are_those_that_are_whole(tmp_path):
    rows = [
        {"step": 2, "loss": 4.0, "auxiliary_loss": 0.5, "gap": 0.25},
        {"step": 1, "loss": 5.0, "auxiliary_loss": 0.5},
        {"step": 2, "loss": 3.0, "auxiliary_loss": 0.5},  # made again
        "{damaged",
        "7",
        '{"step": "x"}',
        '{"step": 1e999}',
        '{"loss": 1}',
        '{"step": 3, "lo',
    ]
    frame = training.read_metrics(write(tmp_path, rows))
    assert frame["step"].tolist() == [1, 2]
    assert frame["loss"].tolist() == [5.5, 3.5]
    assert "waiting_share" not in frame


@pytest.mark.parametrize(
    "content, told", [(None, "no metrics.jsonl"), ("", "no step yet")]
)
def test_a_directory_without_steps_is_one_line(tmp_path, content, told):
    if content is not None:
        (tmp_path / "metrics.jsonl").write_text(content)
    with pytest.raises(UserError, match=told):
        training.read_metrics(RunDirectory(str(tmp_path)))


def test_long_runs_are_averaged(tmp_path):
    rows = [{"step": step, "loss": float(step % 4)} for step in range(1, 1001)]
    frame = training.read_metrics(write(tmp_path, rows))
    found = training.thinned(frame, "loss", points=250)
    assert found["step"].tolist() == list(range(4, 1001, 4))
    assert set(found["loss"]) == {1.5}
    assert (found["lowest"] == 0).all() and (found["highest"] == 3).all()


def test_few_steps_are_drawn_as_they_are(tmp_path):
    rows = [
        {"step": 1, "loss": 2.0, "gap": 0.5},
        {"step": 2, "loss": np.nan},
        {"step": 3, "loss": 1.0},
    ]
    frame = training.read_metrics(write(tmp_path, rows))
    found = training.thinned(frame, "loss")
    assert found["step"].tolist() == [1, 3] and found["loss"].tolist() == [2.0, 1.0]
    assert training.thinned(frame, "gap")["step"].tolist() == [1]


def test_charts_are_those_of_the_values_that_there_are(tmp_path):
    old = {"step": 1, "loss": 2.0, "learning_rate": 0.1, "gap": None}
    page = Page("Old")
    training.add_curves(page, training.read_metrics(write(tmp_path, [old])))
    assert [*page.tables] == ["training_loss", "training_learning_rate"]
    new = old | {"gap": 0.5, "gradient_norm": 1.0, "waiting_share": 0.25}
    page = Page("New")
    training.add_curves(page, training.read_metrics(write(tmp_path, [new])))
    assert [*page.tables] == [
        "training_loss",
        "training_gap",
        "training_learning_rate",
        "training_gradient_norm",
        "training_waiting_share",
    ]
    assert "Waiting for input: 25% of the time at last" in page.content()
