"""The lines of a run: what stands in them, and when they are written."""

import json
import time

import numpy as np
import pytest
import tensorflow as tf

from youtube8m.errors import UserError
from youtube8m.runs.directory import RunDirectory
from youtube8m.training import reports
from youtube8m.training.reports import TrainingReport

POSITION = np.array([2, 30, 0])
METRICS = {"hit_at_one": 0.5, "perr": 0.25, "gap": 0.125}


@pytest.fixture
def clock(monkeypatch):
    """Seconds that go by only where a test says so."""
    seconds = [100.0]
    monkeypatch.setattr(reports.time, "monotonic", lambda: seconds[0])
    return seconds


def results(*losses, examples=8, norm=1.5):
    values = {
        "loss": list(losses),
        "auxiliary_loss": [0.5] * len(losses),
        "regularization_loss": [9.0] * len(losses),
        "gradient_norm": [norm] * len(losses),
        "learning_rate": [0.25] * len(losses),
        "examples": [examples] * len(losses),
        "stopping": [0.0] * len(losses),
    }
    return {name: np.array(value) for name, value in values.items()} | {
        "predictions": np.zeros((2, 3))
    }


def origins(*names):
    return [(POSITION, np.array([name], object)) for name in names]


def lines(path):
    return [
        json.loads(line)
        for line in (path / "metrics.jsonl").read_text().split("\n")[:-1]
    ]


def said(path):
    """train.log without its times."""
    return [line[20:] for line in (path / "train.log").read_text().splitlines()]


def test_steps_are_written_when_flushed_with_the_rate_of_all(tmp_path, clock):
    with TrainingReport(RunDirectory(str(tmp_path)), 0, 10) as report:
        report.steps(2, results(3.0, 4.0), origins(b"a", b"b"))
        report.steps(3, results(5.0, examples=4), origins(b"c"))
        assert lines(tmp_path) == []
        clock[0] += 10.0
        report.flush(METRICS)
        found = lines(tmp_path)
        assert [line["step"] for line in found] == [1, 2, 3]
        assert [line["loss"] for line in found] == [3.0, 4.0, 5.0]
        assert found[0] == {
            "step": 1,
            "loss": 3.0,
            "auxiliary_loss": 0.5,
            "regularization_loss": 9.0,
            "gradient_norm": 1.5,
            "learning_rate": 0.25,
            "examples": 8,
            "epoch": 2,
            "record": 30,
            "examples_per_second": 2.0,
        }
        assert found[2] == {**found[0], "step": 3, "loss": 5.0, "examples": 4} | METRICS
        report.flush(METRICS)  # nothing is left
        assert lines(tmp_path) == found
        report.steps(4, results(6.0), origins(b"d"))
        clock[0] += 4.0  # since the last flush
    assert lines(tmp_path)[3]["examples_per_second"] == 2.0  # at the end, too
    assert said(tmp_path) == [
        "training step 1 | Loss: 3.50 Examples/sec: 2.00",
        "training step 2 | Loss: 4.50 Examples/sec: 2.00",
        "training step 3 | Loss: 5.50 Examples/sec: 2.00 | "
        "Hit@1: 0.50 PERR: 0.25 GAP: 0.12",
        "training step 4 | Loss: 6.50 Examples/sec: 2.00",
    ]
    time.strptime((tmp_path / "train.log").read_text()[:19], "%Y-%m-%d %H:%M:%S")


def test_the_rate_over_less_than_a_second(tmp_path, clock):
    with TrainingReport(RunDirectory(str(tmp_path)), 0, 10) as report:
        report.steps(1, results(3.0), origins(b"a"))
        clock[0] += 0.5
        report.flush()
        report.steps(2, results(3.0), origins(b"a"))
        report.flush()  # at once
    half, none = (line["examples_per_second"] for line in lines(tmp_path))
    assert half == 16.0 and none == pytest.approx(8e9)


def test_the_share_of_the_time_that_steps_wait_for_input(tmp_path, clock):
    def slow_batches():
        for number, seconds in enumerate((3.0, 1.0, 0.0, 2.0), 1):
            clock[0] += seconds
            yield number

    with TrainingReport(RunDirectory(str(tmp_path)), 0, 10) as report:
        for number in report.waiting_for(slow_batches()):
            clock[0] += 1.0  # of the step
            report.steps(number, results(3.0), origins(b"a"))
            if number % 2 == 0:
                report.flush()
        assert report.waiting_share == 0.6  # 6 of 10 seconds
    shares = [line["waiting_share"] for line in lines(tmp_path)]
    assert shares == [4 / 6, 4 / 6, 0.5, 0.5]


def test_what_ends_the_batches_is_passed_on(tmp_path):
    def broken_batches():
        yield 1
        raise UserError("damaged")

    with TrainingReport(RunDirectory(str(tmp_path)), 0, 10) as report:
        batches = report.waiting_for(broken_batches())
        assert next(batches) == 1
        with pytest.raises(UserError, match="damaged"):
            next(batches)


def test_tensorboard_gets_the_last_of_the_steps_by_the_starter_codes_names(tmp_path):
    with TrainingReport(RunDirectory(str(tmp_path)), 0, 10) as report:
        report.steps(3, results(3.0, 4.0, 5.0), origins(b"a", b"b", b"c"))
        report.flush(METRICS)
    (path,) = tmp_path.glob("events.out.*")
    found = {
        value.tag: (event.step, float(tf.make_ndarray(value.tensor)))
        for event in tf.compat.v1.train.summary_iterator(str(path))
        for value in event.summary.value
    }
    assert found.pop("global_step/Examples/Second")[0] == 3
    assert found == {
        "model/Training_Hit@1": (3, 0.5),
        "model/Training_Perr": (3, 0.25),
        "model/Training_GAP": (3, 0.125),
        "learning_rate": (3, 0.25),
        "label_loss": (3, 5.0),
        "auxiliary_loss": (3, 0.5),
        "reg_loss": (3, 9.0),
    }


@pytest.mark.parametrize(
    "values, what",
    [
        ({"losses": (np.nan,)}, "the loss is nan"),
        ({"losses": (np.inf,)}, "the loss is inf"),
        ({"losses": (1.0,), "norm": np.inf}, "the gradient's norm is inf"),
    ],
)
@pytest.mark.parametrize("count", [1, 8, 9, 11])
def test_what_is_not_finite_names_eight_videos(tmp_path, values, what, count):
    names = [f"v{number}" for number in range(count)]
    ids = np.array([name.encode() for name in names], object)
    with TrainingReport(RunDirectory(str(tmp_path)), 0, 10) as report:
        report.steps(6, results(2.0), origins(b"a"))
        values = dict(values)
        report.steps(7, results(*values.pop("losses"), **values), [(POSITION, ids)])
        report.steps(8, results(3.0), origins(b"b"))
        with pytest.raises(UserError) as error:
            report.flush(METRICS)
    more = f" and {count - 8} more (train.log)" if count > 8 else ""
    shown = " ".join(names[:8])
    assert str(error.value).startswith(
        f"{what} at step 7 of the videos {shown}{more}; "
    )
    (line,) = lines(tmp_path)  # of the step before, without metrics
    assert line["step"] == 6 and "gap" not in line
    assert said(tmp_path)[0] == f"{what} at step 7 of {' '.join(names)}"


def test_lines_of_steps_that_are_made_again_go(tmp_path):
    rows = [json.dumps({"step": step}) for step in (1, 2, 3, 4)]
    rows.insert(1, "{damaged")
    rows.insert(2, '{"loss": 1}')
    (tmp_path / "metrics.jsonl").write_text("\n".join(rows))
    with TrainingReport(RunDirectory(str(tmp_path)), 3, 10):
        pass
    assert lines(tmp_path) == [{"step": 1}, {"step": 2}, {"step": 3}]


def test_only_the_chief_reports(tmp_path):
    with TrainingReport(RunDirectory(str(tmp_path), writes=False), 0, 10) as report:
        report.steps(1, results(3.0), origins(b"a"))
        report.say("a line")
    assert list(tmp_path.iterdir()) == []
