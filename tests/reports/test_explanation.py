"""The text and the page of one video."""

import dataclasses

import numpy as np
import pytest

from tests.helpers.browser import Browser
from youtube8m.data.labels.vocabulary import Vocabulary
from youtube8m.prediction.occlusion import Explanation
from youtube8m.reports import explanation

VOCABULARY = Vocabulary(
    ("Guitar", "Piano", "", "Guitar", "A name that is much longer than a table wants"),
    np.zeros(5, np.int64),
    (),
    np.full(5, -1),
)
FOUND = Explanation(
    video_id=b"aAbc",
    classes=np.array([0, 3, 4]),
    confidences=np.array([0.75, 0.5, 0.125], np.float32),
    labels=np.array([3]),
    starts=np.array([0.0, 5.0]),
    seconds=8.0,
    timeline=np.array([[0.25, 0.5, 0.0], [0.875, 0.25, 0.0]], np.float32),
    occlusion=np.array([[0.125, -0.25, 0.0], [0.5, 0.25, 0.125]], np.float32),
    attention=np.array([[0.25, 0.75], [0.75, 0.25]], np.float32),
)
NO_FRAMES = dataclasses.replace(
    FOUND,
    starts=np.empty(0),
    timeline=np.empty((0, 3)),
    occlusion=np.empty((0, 3)),
    attention=None,
    labels=None,
)


def cells(text):
    return [line.split() for line in text.splitlines()]


def test_the_text_has_labels_and_segments():
    lines = explanation.as_lines(FOUND, VOCABULARY).splitlines()
    assert lines[0] == "video aAbc"
    assert lines[1].split() == ["confidence", "class", "name", "in", "the", "record"]
    assert lines[2].split() == ["0.750", "0", "Guitar", "(0)"]
    assert lines[3].split() == ["0.500", "3", "Guitar", "(3)", "yes"]
    assert lines[4].split()[:2] == ["0.125", "4"] and "..." in lines[4]
    first, second = lines[-2:]
    shown = "0 0.500 Guitar (3) -0.250 Guitar (3) 0.500"
    assert " ".join(first.split()) == shown
    # Nothing rests on the second: without it all are higher.
    assert second.split() == ["5", "0.875", "Guitar", "(0)", "+0.125", "0.500"]


def test_without_frames_there_are_labels_alone():
    text = explanation.as_lines(NO_FRAMES, VOCABULARY)
    assert len(text.splitlines()) == 5 and "record" not in text
    one = dataclasses.replace(FOUND, occlusion=np.full((2, 3), np.nan), attention=None)
    last = explanation.as_lines(one, VOCABULARY).splitlines()[-1]
    assert last.split() == ["5", "0.875", "Guitar", "(0)"]


def test_tables_have_a_row_for_each_segment_and_label():
    frame = explanation.segments_frame(FOUND, VOCABULARY)
    assert frame["from"].tolist() == [0, 0, 0, 5, 5, 5]
    assert frame["to"].tolist() == [5, 5, 5, 8, 8, 8]
    assert frame["class"].tolist() == [0, 3, 4] * 2
    assert frame["confidence alone"].tolist() == FOUND.timeline.ravel().tolist()
    assert frame["change without"].tolist() == FOUND.occlusion.ravel().tolist()


@pytest.fixture(scope="module")
def page():
    pytest.importorskip("altair", reason="needs the extra report")
    pytest.importorskip("vl_convert", reason="needs the extra report")
    return explanation.page(FOUND, VOCABULARY, {"run": "/tmp/<b>"}, [b"a", b"b"])


def test_the_page_has_all_that_is_known(page):
    assert [*page.tables] == ["labels", "timeline", "occlusion", "attention"]
    text = page.content()
    assert "0:00 Guitar (3) 0.50" in text and "0:05 Guitar (0) 0.88" in text
    assert "<b>" not in text
    assert "Guitar (0) is highest in 1 of 2 segments alone" in text
    lost = "\N{MINUS SIGN}0.25 without"
    assert f"Guitar (3) rests most on seconds 0 to 5 ({lost})" in text
    assert "attends most to seconds 0 to 5, with 50% of its attention" in text
    alone = explanation.page(NO_FRAMES, VOCABULARY, {})
    assert [*alone.tables] == ["labels"] and "video-level" in alone.content()


@pytest.mark.slow
def test_a_browser_draws_it(page, tmp_path):
    path, *_ = page.write(str(tmp_path / "report.html"), "--report_dir")
    with Browser() as browser:
        browser.open(path)
        browser.require_sound(charts=3)
        assert browser.marks()["timeline-chart0"] == 6
        for width in (375, 1600):
            assert browser.overflow(width) <= 0
        assert browser.pdf().startswith(b"%PDF")
