"""Paired differences of runs, against the metrics of repeated videos."""

import dataclasses

import numpy as np
import pandas as pd
import pytest

from tests.helpers.browser import Browser
from youtube8m.errors import UserError
from youtube8m.metrics import Metrics, top_predictions
from youtube8m.reports import comparison
from youtube8m.reports.comparison import Recorder, compare

CLASSES, TOP_K = 7, 5
REPLICATES = 40


def evaluated(name, noise, seed=0, videos=60, classes=CLASSES, starts=None):
    """A run whose predictions are the labels and so much noise."""
    rng = np.random.default_rng(7)  # of the data, the same for all runs
    labels = np.sort(rng.integers(0, classes, (videos, 2)), axis=1)
    labels[labels[:, 0] == labels[:, 1], 1] = -1
    truth = np.zeros((videos, classes + 1))
    np.put_along_axis(truth, labels, 1.0, axis=1)
    own = np.random.default_rng(seed)
    scores = truth[:, :-1] + noise * own.normal(size=(videos, classes))
    scores = (1 / (1 + np.exp(-scores))).astype(np.float32)
    ids = np.array([f"v{n}".encode() for n in range(videos)], object)
    recorder, metrics = Recorder(name, classes, TOP_K), Metrics(classes, TOP_K)
    recorder.begin("model.ckpt-1")
    for rows in (slice(0, 25), slice(25, videos)):
        top = top_predictions(scores[rows], labels[rows], TOP_K)
        batch = {"id": ids[rows], "labels": labels[rows]}
        if starts is not None:
            batch |= {"segment_start": starts[rows], "rated": labels[rows]}
        loss = -np.log(scores[rows]).mean(axis=1)
        recorder.add(batch, top, loss)
        metrics.update(top, labels[rows], loss)
    recorder.end(metrics.result())
    return recorder.evaluated


def test_point_values_are_those_of_the_evaluations():
    one, two = evaluated("a", 1.0), evaluated("b", 0.5, seed=1)
    found = compare([one, two], REPLICATES)
    names = {"GAP": "gap", "mAP": "map", "Hit@1": "hit_at_one", "PERR": "perr"}
    rows = found.metrics.set_index(["metric", "run"])
    for title, key in names.items():
        row = rows.loc[(title, "b")]
        assert row["value"] == two.result[key]
        assert row["difference"] == two.result[key] - one.result[key]
        assert row["least"] < row["difference"] < row["most"]
    classes = found.classes.set_index("class")
    expected = two.result["average_precisions"] - one.result["average_precisions"]
    np.testing.assert_allclose(classes["difference"], expected[classes.index])
    assert found.examples == 60 and (classes["run"] == "b").all()


def test_the_interval_is_paired():
    """Of a run and one that is a little worse everywhere, though videos differ much."""
    one = evaluated("a", 1.0)
    found = compare([one, dataclasses.replace(one, name="same")], REPLICATES)
    same = found.metrics[found.metrics["run"] == "same"]
    assert (same["least"] == 0).all() and (same["most"] == 0).all()
    assert (same["low"] < same["high"]).all()
    assert all("no clear difference" in line for line in found.sentences())


def test_what_is_better_is_said():
    found = compare([evaluated("a", 3.0), evaluated("b", 0.1, seed=1)], REPLICATES)
    gap, *_, loss = found.sentences()
    row = found.metrics.set_index(["metric", "run"]).loc[("GAP", "b")]
    assert gap.startswith(f"GAP: b is better than a by {row['difference']:.4f} (95 %")
    assert loss.startswith("loss: b is better than a by ")  # which is lower
    found = compare([evaluated("a", 0.1, seed=1), evaluated("b", 3.0)], REPLICATES)
    assert found.sentences()[0].startswith("GAP: b is worse than a by ")
    assert "\N{MINUS SIGN}" in found.sentences()[0]


def test_classes_with_few_examples_get_no_interval():
    found = compare([evaluated("a", 1.0, videos=12), evaluated("b", 0.5, videos=12)], 9)
    few = found.classes["videos"] < 5
    assert few.any() and not few.all()
    assert (found.classes["least"].isna() == few).all()


@pytest.mark.parametrize(
    "other, told",
    [
        ({"classes": 6}, "a has 7 classes and b 6"),
        ({"videos": 59}, r"a and b have read other examples \(60 and 59\)"),
        ({"starts": np.arange(60) * 5}, None),
    ],
)
def test_what_cannot_be_compared_is_one_line(other, told):
    one = evaluated("a", 1.0)
    if told is None:
        one = evaluated("a", 1.0, starts=np.zeros(60, int))
        told = "a and b have read other examples"
    with pytest.raises(UserError, match=told):
        compare([one, evaluated("b", 1.0, **other)], REPLICATES)


def test_names_are_short_where_that_tells_them_apart():
    assert comparison.short_names(["/x/a/", "/y/b"]) == ["a", "b"]
    assert comparison.short_names(["/x/a", "/y/a"]) == ["/x/a", "/y/a"]


@pytest.fixture(scope="module")
def page():
    pytest.importorskip("altair", reason="needs the extra report")
    pytest.importorskip("vl_convert", reason="needs the extra report")
    runs = [evaluated("a", 3.0), evaluated("b", 0.1, 1), evaluated("c", 0.1, 2)]
    curves = {
        name: pd.DataFrame({"step": [1, 2, 3], "loss": [3.0, 2.0, 1.0]})
        for name in ("a", "b")
    }
    names = [f"name {n}" for n in range(CLASSES)]
    return comparison.page(compare(runs, REPLICATES), names, curves, {"Data": "v*"})


def test_the_page_says_it_in_sentences(page):
    text = page.content()
    assert "GAP: b is better than a by" in text and "b and c against a" in text
    assert "at least 5 examples, c is better in" in text
    assert {"comparison", "class_differences", "curves_of_loss"} <= {*page.tables}
    assert "curves_of_gap" not in page.tables


@pytest.mark.slow
def test_a_browser_draws_it(page, tmp_path):
    path, *_ = page.write(str(tmp_path / "report.html"), "--report_dir")
    with Browser() as browser:
        browser.open(path)
        browser.require_sound(charts=5)
        assert len(browser.rows("comparison")) == 15
        for width in (375, 1600):
            assert browser.overflow(width) <= 0
