"""The page of an inspection: its tables, and what a browser makes of it."""

import numpy as np
import pandas as pd
import pytest

from tests.helpers.browser import Browser
from youtube8m.data.inspection.inspector import inspect
from youtube8m.data.labels.vocabulary import read_vocabulary
from youtube8m.data.writing.records import frame_example, write_records
from youtube8m.reports import data_page

pytest.importorskip("altair", reason="needs the extra report")

CLASSES = 30


def example(number, rng):
    rows = np.clip(rng.normal(127, 40, (rng.integers(5, 40), 16)), 0, 255)
    first = int(min(rng.geometric(0.2), CLASSES)) - 1
    labels = sorted({first, int(rng.integers(CLASSES))})
    rated = [(0, labels[0], 1.0), (0, 3, 0.0)] if number % 3 else None
    features = {
        "rgb": rows.astype(np.uint8),
        "audio": ((rows[:, :4] - 127) / 64).astype(np.float16),
    }
    return frame_example(f"v{number % 390:03d}", labels, features, rated)


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """The page of a data set with all that a page can tell."""
    folder, rng = tmp_path_factory.mktemp("inspected"), np.random.default_rng(0)
    names = [f"{n},class <{n}>,Group {n % 5}" for n in range(CLASSES)]
    vocabulary = folder / "vocabulary.csv"
    vocabulary.write_text("\n".join(["Index,Name,Vertical1", *names]))
    for file in range(2):
        numbers = range(200 * file, 200 * file + 200)
        write_records(folder / f"{file}.tfrecord", [example(n, rng) for n in numbers])
    (folder / "2.tfrecord").write_bytes((folder / "0.tfrecord").read_bytes()[:9000])
    pattern = f"{folder}/*.tfrecord"
    return data_page.build(inspect(pattern, "G", None, read_vocabulary(vocabulary)))


def test_doubled_ids_are_listed_and_may_be_any_bytes(tmp_path):
    path = tmp_path / "double.tfrecord"
    record = frame_example("\udcfe", [1], {"rgb": np.zeros((2, 4), np.uint8)})
    write_records(path, [record, record])
    tables = data_page.build(inspect(str(path), "G")).tables
    assert [*tables["doubled_ids"].frame["id"]] == [r"\udcfe"] * 2


def test_tables_have_what_was_found(page):
    frames = {name: table.frame for name, table in page.tables.items()}
    classes, files = frames["classes"], frames["files"]
    assert classes["videos"].is_monotonic_decreasing
    assert classes["class"].is_unique and set(classes["vertical"]) == {
        f"Group {n}" for n in range(5)
    }
    assert files["usable"].sum() == files["records"].sum() == 400 + files["usable"][2]
    assert frames["lengths"]["videos"].sum() == files["usable"].sum()
    assert frames["labels_per_video"]["labelled videos"].sum() == files["usable"].sum()
    assert len(frames["problems"]) == 1 and frames["problems"]["byte"][0] > 8000
    assert len(frames["doubled_ids"]) > 10
    assert [*frames["features"]["stored as"]] == [
        "a byte a value (quantised)",
        "float16, as bytes",
    ]
    pairs = frames["verticals_together"]
    assert len(pairs) == 20 and pairs["share"].between(0, 1).all()
    assert frames["values0"]["bytes"].sum() > 16 * 400
    counted = frames["lengths"].set_index("frames")["videos"]
    assert counted.index.min() >= 5 and counted.index.max() < 40


@pytest.mark.slow
def test_in_a_browser(page, tmp_path):
    paths = page.write(str(tmp_path / "report.html"), "--report_dir")
    assert (tmp_path / "report.html").stat().st_size < 5_000_000
    assert pd.read_csv(tmp_path / "classes.csv")["videos"].sum() > 400
    assert len(paths) == len(page.tables) + 1
    with Browser() as browser:
        browser.open(paths[0])
        browser.require_sound(charts=6)
        browser.sort("classes", "class")
        assert browser.rows("classes")[0][0] in ("0", "29")
        for width in (375, 1600):
            assert browser.overflow(width) == 0
        assert browser.pdf().startswith(b"%PDF")
