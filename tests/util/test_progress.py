"""A progress bar is drawn on a terminal, and elsewhere harms nothing."""

import io

import pytest

from youtube8m.util import progress


class Terminal(io.StringIO):
    def isatty(self):
        return True


class Gone(Terminal):
    def write(self, text):
        raise OSError(5, "Input/output error")


class Other:  # such as a notebook's
    def write(self, text):
        raise AssertionError("no bar belongs here")


def closed():
    stream = Terminal()
    stream.close()
    return stream


def draw(monkeypatch, stream):
    monkeypatch.setattr("sys.stderr", stream)
    monkeypatch.setattr(progress, "_INTERVAL", 0)
    with progress.Progress("training", 10, "step") as bar:
        bar.update(0)
        bar.update(5, "loss 3.21")
        bar.update(20)
    return bar


def test_a_terminal_has_a_bar(monkeypatch):
    stream = Terminal()
    draw(monkeypatch, stream)
    first, second, third, end = stream.getvalue().split("\r\033[K")[1:]
    assert first.startswith("training [                        ] step 0/10  ETA -")
    assert second.startswith(
        "training [============            ] step 5/10  ETA 0:00:0"
    )
    assert second.endswith("loss 3.21") and "step 20/20  ETA 0:00:00" in third
    assert end == ""


@pytest.mark.parametrize("make", [lambda: None, Other, io.StringIO, closed, Gone])
def test_whatever_the_stream_is_nothing_fails(monkeypatch, make):
    assert not draw(monkeypatch, make()).visible


def test_a_stream_that_is_replaced_meanwhile_gets_nothing(monkeypatch):
    first, second = Terminal(), Terminal()
    monkeypatch.setattr("sys.stderr", first)
    with progress.Progress("reading", 10) as bar:
        monkeypatch.setattr("sys.stderr", second)
        bar.update(1)
    assert "reading" in first.getvalue() and not second.getvalue()
