"""What is told of damaged records, and when nothing more is."""

import threading

import pytest
from absl import logging

from youtube8m.data.reading.damage import Damage
from youtube8m.errors import UserError


@pytest.fixture
def warnings(monkeypatch):
    found = []
    monkeypatch.setattr(logging, "warning", lambda text, *v: found.append(text % v))
    return found


def test_no_damage_is_told_behind_a_fatal_error(warnings):
    """The error is to be a command's last line, whatever other threads still read."""
    damage = Damage()
    damage.record("a", "record 1 is damaged")
    damage.fail(UserError("wrong labels"))
    damage.record("a", "record 2 is damaged")
    assert damage.lost == 2
    assert warnings == ["a: record 1 is damaged; skipped (1 records lost so far)"]
    with pytest.raises(UserError, match="wrong labels"):
        damage.check()


def test_an_error_waits_for_a_warning_that_is_being_written(monkeypatch):
    damage, order = Damage(), []
    writing, failed = threading.Event(), threading.Event()

    def warn(*_):
        writing.set()
        failed.wait(0.1)  # which the lock does not let happen
        order.append("warning")

    monkeypatch.setattr(logging, "warning", warn)
    thread = threading.Thread(target=damage.record, args=("a", "is damaged"))
    thread.start()
    writing.wait()
    damage.fail(UserError("wrong labels"))
    order.append("error")
    failed.set()
    thread.join()
    assert order == ["warning", "error"]


def test_a_file_has_ten_lines_at_most(warnings):
    damage = Damage()
    for number in range(30):
        damage.record("a", f"record {number} is damaged")
        damage.record("a", f"record {number} is damaged")  # of a later epoch
    damage.record("b", "is empty", count=0)
    assert damage.lost == 30 and len(warnings) == 12
    assert warnings[10] == "a: and more, which is only counted"
    assert warnings[11] == "b: is empty; skipped (30 records lost so far)"


def test_what_nobody_can_count_is_an_unknown_number(warnings):
    damage = Damage()
    damage.record("a", "is another file", more=True)
    assert damage.lost == 1 and damage.amount() == (
        "an unknown number of records in 1 file"
    )
    damage.record("b", "record 7 is damaged")
    damage.unreadable("c", OSError(5, "Input/output error"))
    damage.unreadable("d", OSError(5, "Input/output error"), "record 3 at byte 9")
    amount = "2 records, and an unknown number in 2 files,"
    damage.warn_of_lost("and have no prediction")
    assert warnings[-1] == f"{amount} could not be read and have no prediction"
    assert warnings[-2].endswith(f"skipped ({amount} lost so far)")
    assert damage.amount("videos").startswith("2 videos, and")
