"""Pages of reports: escaping, tables, CSV files, and what a browser makes of them."""

import json
import re

import numpy as np
import pandas as pd
import pytest

from tests.helpers.browser import Browser
from youtube8m.errors import UserError
from youtube8m.reports import charts, pages
from youtube8m.reports.charts import Axis
from youtube8m.reports.pages import Page, Table

pytest.importorskip("altair", reason="needs the extra report")
pytest.importorskip("vl_convert", reason="needs the extra report")

EVIL = "</script><script>alert(1)</script> & <b>bold</b> é"
CURVE = pd.DataFrame({"k": [1, 2, 3], "a.b[0]": [0.5, 0.25, np.nan]})


def data_of(text):
    """The JSON in a page, by its id."""
    form = r'<script type="application/json" id="([^"]+)">(.*?)</script>'
    found = re.findall(form, text, re.S)
    return {name: json.loads(value) for name, value in found}


def line():
    return charts.line(
        CURVE,
        Axis("k", "predictions (k)"),
        Axis("a.b[0]", "GAP"),
        title=f"A title {EVIL}",
        description="Falls.",
    )


@pytest.fixture
def quick(monkeypatch):
    """Pages without Vega, which takes seconds."""
    monkeypatch.setattr(pages, "_vega_bundle", lambda flag: "vegaEmbed = () => {};")


def test_text_of_all_kinds_is_escaped(quick, tmp_path):
    page = Page(EVIL, EVIL)
    page.section(EVIL)
    page.facts({EVIL: EVIL})
    page.paragraph(EVIL)
    page.code(EVIL)
    page.image(b"png", f'"{EVIL}')
    page.chart(line(), "curve")
    page.table(
        Table(pd.DataFrame({EVIL: [EVIL, None, "\udcff"]}, dtype=object), "evil", EVIL)
    )
    page.write(str(tmp_path / "new" / "report.html"), "--report_dir")
    text = (tmp_path / "new" / "report.html").read_text("utf-8")
    assert "alert(1)</script>" not in text and "<b>bold" not in text
    cells = data_of(text)["evil-table"]["columns"][0]
    assert cells["title"] == EVIL
    assert cells["values"] == [EVIL, "", "\\udcff"]


def test_numbers_of_tables_are_whole_in_csv_and_rounded_in_html(quick, tmp_path):
    frame = pd.DataFrame({"n": [1, 2], "x": [1 / 3, np.nan], "name": ["a", "b"]})
    page = Page("Numbers")
    page.table(Table(frame, "numbers", "Numbers"))
    paths = page.write(str(tmp_path / "report.html"), "--report_dir")
    assert [str(tmp_path / "report.html"), str(tmp_path / "numbers.csv")] == paths
    pd.testing.assert_frame_equal(pd.read_csv(paths[1]), frame)
    columns = data_of((tmp_path / "report.html").read_text())["numbers-table"]
    kinds = [(c["kind"], c["values"]) for c in columns["columns"]]
    assert kinds == [
        ("integer", [1, 2]),
        ("number", [0.333333, None]),
        ("text", ["a", "b"]),
    ]


def test_a_name_of_a_table_is_used_once(quick):
    page = Page("Twice")
    page.table(Table(CURVE, "curve", "Curve"))
    with pytest.raises(ValueError, match="twice"):
        page.table(Table(CURVE, "curve", "Curve"))


def test_a_missing_extra_is_one_line(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "altair", None)
    with pytest.raises(UserError, match=r"--report_dir: .*youtube8m\[report\]"):
        charts.import_altair("--report_dir")


def test_a_directory_that_cannot_be_made_is_one_line(quick, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="--report_dir=.*cannot be made"):
        Page("No").write(str(tmp_path / "file" / "report.html"), "--report_dir")


def test_what_has_no_place_on_a_logarithmic_axis_is_told():
    frame = pd.DataFrame({"n": [0, 1, 10], "ap": [0.1, 0.2, 0.3]})
    axes = Axis("n", "videos", log=True), Axis("ap", "AP")
    chart = charts.points(frame, *axes, title="T", description="D.")
    assert "1 values of 0 or below" in chart.description
    assert len(chart.frame) == 3


@pytest.fixture(scope="module")
def full_page(tmp_path_factory):
    """A page with every kind of chart and two tables."""
    rng = np.random.default_rng(0)
    page = Page("Every chart", "With two tables")
    page.section("Charts")
    page.chart(line(), "curve")
    many = pd.DataFrame(
        {
            "step": np.tile(np.arange(50), 2),
            "loss": rng.random(100) + 1,
            "low": 0.9,
            "high": 2.1,
            "run": np.repeat(["a", "b"], 50),
        }
    )
    axes = Axis("step", "step"), Axis("loss", "loss", log=True)
    says = {"title": "Two lines", "description": "They wiggle."}
    chart = charts.line(
        many, *axes, series="run", band=("low", "high"), marked=[(9, 1.5, "x")], **says
    )
    page.chart(chart, "lines")
    classes = pd.DataFrame(
        {
            "class": np.arange(300),
            "name": [f"name {n}" for n in range(299)] + [EVIL],
            "videos": rng.integers(1, 100_000, 300),
            "AP": rng.random(300),
        }
    )
    table = Table(classes, "classes", "All classes", notes={"AP": "precision"})
    page.table(table)
    axes = Axis("videos", "training videos", log=True), Axis("AP", "AP")
    says = {"title": "Points", "description": "A cloud."}
    page.chart(charts.points(classes, *axes, names=["name"], **says), table, False)
    chart = charts.bars(
        classes[:25].assign(low=0.1, high=0.4),
        "name",
        Axis("AP", "AP", zero=True),
        interval=("low", "high"),
        **says,
    )
    page.chart(chart, "bars")
    counts = {"right": [0, 10, 1000], "wrong": [5, 1, 0]}
    chart = charts.histogram([0, 0.5, 0.75, 1], counts, "p", "n", log_y=True, **says)
    page.chart(chart, "confidences")
    pairs = pd.DataFrame(
        {"a": ["x", "y"] * 2, "b": ["u", "u", "v", "v"], "n": range(4)}
    )
    page.chart(charts.heat_map(pairs, "a", "b", Axis("n", "videos"), **says), "pairs")
    path = tmp_path_factory.mktemp("page") / "report.html"
    page.write(str(path), "--report_dir")
    return path


@pytest.fixture(scope="module")
def browser(full_page):
    with Browser() as browser:
        browser.open(full_page)
        yield browser


@pytest.mark.slow
def test_every_kind_of_chart_is_drawn(browser, full_page):
    browser.require_sound(charts=6)
    assert full_page.stat().st_size < 5e6


@pytest.mark.slow
def test_tables_are_sorted_and_searched(browser):
    assert len(browser.rows("classes")) == 25
    browser.sort("classes", "AP")
    found = [float(row[3]) for row in browser.rows("classes")]
    assert found == sorted(found, reverse=True)
    browser.sort("classes", "AP")
    assert float(browser.rows("classes")[0][3]) < found[-1]
    browser.search("classes", "NAME 29")
    expected = {n for n in range(299) if "29" in str(n)}
    assert {int(row[0]) for row in browser.rows("classes")} == expected
    browser.search("classes", "ALERT(1)")
    assert [row[1] for row in browser.rows("classes")] == [EVIL]
    browser.search("classes", "nothing like it")
    assert browser.rows("classes") == []
    browser.search("classes", "")


@pytest.mark.slow
@pytest.mark.parametrize("width", [375, 1600])
def test_nothing_is_wider_than_the_window(browser, width):
    assert browser.overflow(width) <= 0


@pytest.mark.slow
def test_it_prints(browser):
    assert browser.pdf().startswith(b"%PDF")


@pytest.mark.slow
def test_a_request_outside_is_seen(browser, tmp_path):
    """The harness itself: it finds what it looks for."""
    path = tmp_path / "page.html"
    path.write_text(
        '<html data-ready="true"><img src="http://example.com/a.png">'
        '<div data-chart="empty"><svg></svg></div><script>fail()</script></html>'
    )
    with Browser() as other:
        other.open(path)
        assert other.outside_requests() == ["http://example.com/a.png"]
        assert any("fail" in line for line in other.console_errors())
        assert other.marks() == {"empty": 0}
