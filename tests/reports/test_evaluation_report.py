"""The report of an evaluation: its numbers, its names, and how it looks."""

import dataclasses

import numpy as np
import pandas as pd
import pytest

from tests.helpers import simulated
from tests.helpers.browser import Browser
from tests.helpers.sample import SAMPLE
from tests.helpers.training_runs import DBOF, FRAMES, LOGISTIC, config
from youtube8m.config import DataConfig, ModelConfig, RunConfig
from youtube8m.errors import UserError
from youtube8m.evaluation.config import EvaluationConfig
from youtube8m.evaluation.evaluator import Evaluator
from youtube8m.reports import pages, statistics
from youtube8m.reports.evaluation_report import (
    Classes,
    EvaluationReport,
    add_sections,
    id_link,
)
from youtube8m.reports.pages import Page
from youtube8m.training.trainer import Trainer

pytest.importorskip("altair", reason="needs the extra report")
pytest.importorskip("vl_convert", reason="needs the extra report")

CLASSES = 12
RUN = RunConfig(DataConfig(num_classes=CLASSES), ModelConfig())


def vocabulary(folder, count=CLASSES):
    path = folder / "vocabulary.csv"
    rows = [f"{n},{10 ** (n % 5)},Name {n},Vertical {n % 3}" for n in range(count)]
    path.write_text("\n".join(["Index,TrainVideoCount,Name,Vertical1", *rows]) + "\n")
    return str(path)


@pytest.fixture(scope="module")
def measured():
    pool, result = simulated.evaluation(np.random.default_rng(0), 300, CLASSES, top_k=5)
    return pool, statistics.bootstrap(pool, 50), result


@pytest.fixture
def tables(measured, monkeypatch):
    """Makes a page, and returns its tables by name."""
    monkeypatch.setattr(pages, "_vega_bundle", lambda flag: "")

    def make(classes, pool=measured[0]):
        page = Page("Simulated")
        add_sections(page, pool, *measured[1:], classes)
        page.html()
        return {name: table.frame for name, table in page.tables.items()}

    return make


def test_values_are_those_of_the_metrics(tables, measured, tmp_path):
    pool, _, result = measured
    found = tables(Classes(RUN, vocabulary(tmp_path)))
    overall = found["overall"].set_index("metric")
    for title, name in (("GAP", "gap"), ("mAP", "map"), ("Hit@1", "hit_at_one")):
        assert overall["value"][title] == result[name]
        assert overall["from"][title] <= result[name] <= overall["to"][title]
    of_classes = found["classes"]
    np.testing.assert_array_equal(of_classes["AP"], result["average_precisions"])
    np.testing.assert_array_equal(of_classes["videos"], result["positives"])
    assert (
        of_classes["name"][3] == "Name 3" and of_classes["vertical"][4] == "Vertical 1"
    )
    verticals = found["verticals"].set_index("vertical")
    expected = np.nanmean(result["average_precisions"][1::3])
    assert verticals["mAP"]["Vertical 1"] == pytest.approx(expected)
    assert found["gap_against_k"]["GAP"].iloc[-1] == result["gap"]
    assert len(found["expensive_mistakes"]) == 50


def test_class_numbers_stand_in_for_names(tables):
    found = tables(Classes(RUN))
    assert found["classes"]["name"][3] == "class 3"
    assert "vertical" not in found["classes"] and "verticals" not in found
    assert found["confused_pairs"]["wrong"].str.startswith("class ").all()


def test_a_model_without_a_mistake_has_a_report(tables, measured):
    pool, *_ = measured
    right = {"hits": np.ones_like(pool.hits), "scores": np.ones_like(pool.scores)}
    found = tables(Classes(RUN), dataclasses.replace(pool, **right))
    assert found["expensive_mistakes"]["cost in GAP"].eq(0).all()


def test_a_vocabulary_of_another_length_is_one_line(tmp_path):
    with pytest.raises(UserError, match="has 11 classes; expected --num_classes=12"):
        Classes(RUN, vocabulary(tmp_path, 11))


def test_frequencies_and_verticals_of_the_run_stand_in():
    model = ModelConfig(verticals=(0, 1) * 6, num_verticals=2, class_counts=(5,) * 12)
    classes = Classes(RunConfig(RUN.data, model))
    assert classes.train_counts.tolist() == [5] * 12
    assert classes.vertical_names()[:2] == ["0", "1"]


def test_ids_lead_to_their_videos():
    assert id_link(b"AbCd") == "http://data.yt8m.org/2/j/i/Ab/AbCd.js"
    assert id_link(b"dQw4w9WgXcQ") == "https://www.youtube.com/watch?v=dQw4w9WgXcQ"
    assert id_link(b"my video.mp4") is None and id_link(b"\xff") is None


def test_a_part_of_the_data_has_no_report():
    with pytest.raises(UserError, match="--report_dir=x: needs all data"):
        EvaluationConfig(
            eval_data_pattern="x",
            report_dir="x",
            num_shards=2,
            metrics_file="m",
            run_once=True,
        )


def report_of(run, level, sample, folder, **values):
    """Trains a run, and evaluates it with a report; returns its metrics."""
    kind = {"segment_labels": True} if level == "segment" else {}
    Trainer(run, config(sample, folder / "run", level, **kind)).train()
    evaluation = EvaluationConfig(
        train_dir=str(folder / "run"),
        eval_data_pattern=sample[f"{level}/validate"],
        report_dir=str(folder / "report"),
        run_once=True,
        **kind,
        **values,
    )
    evaluator = Evaluator(evaluation)
    shards = evaluator.shards.paths
    evaluator.report = EvaluationReport(evaluation, evaluator.trained, shards)
    return evaluator.run()


@pytest.fixture(scope="module")
def of_videos(sample, tmp_path_factory):
    folder = tmp_path_factory.mktemp("videos")
    names = vocabulary(folder)
    result = report_of(LOGISTIC, "video", sample, folder, vocabulary_file=names)
    return folder / "report", result


@pytest.mark.slow
def test_the_report_of_eval_has_its_figures(of_videos):
    folder, result = of_videos
    overall = pd.read_csv(folder / "overall.csv").set_index("metric")["value"]
    for title, name in (("GAP", "gap"), ("mAP", "map"), ("Loss", "loss")):
        assert overall[title] == pytest.approx(result[name], rel=1e-12)
    assert result["num_examples"] == SAMPLE.num_validate


@pytest.mark.slow
def test_the_report_of_eval_in_a_browser(of_videos):
    folder, _ = of_videos
    with Browser() as browser:
        browser.open(folder / "report.html")
        browser.require_sound(charts=6)
        for width in (375, 1600):
            assert browser.overflow(width) <= 0
        assert browser.pdf().startswith(b"%PDF")
        browser.search("classes", "Name 11")
        (row,) = browser.rows("classes")
        assert row[1] == "Name 11"
        browser.sort("expensive_mistakes", "cost in GAP")
        assert len(browser.rows("expensive_mistakes")) == 25


@pytest.mark.slow
def test_the_report_of_segments_in_a_browser(sample, tmp_path):
    result = report_of(RunConfig(FRAMES, DBOF), "segment", sample, tmp_path)
    ratings = pd.read_csv(tmp_path / "report" / "ratings.csv")
    assert ratings["rated"].sum() >= result["num_examples"]
    with Browser() as browser:
        browser.open(tmp_path / "report" / "report.html")
        browser.require_sound(charts=6)
