"""The report of an ensemble: gains and correlations of members."""

import numpy as np
import pytest

from tests.helpers import simulated
from tests.helpers.browser import Browser
from youtube8m.config import DataConfig, ModelConfig, RunConfig
from youtube8m.metrics import average_precision
from youtube8m.prediction import ensemble
from youtube8m.prediction.submission import VIDEO_HEADER, Submission, video_line
from youtube8m.reports import ensemble_report, pages, statistics
from youtube8m.reports.ensemble_report import Ensemble
from youtube8m.reports.evaluation_report import Classes

pytest.importorskip("altair", reason="needs the extra report")

CLASSES, VIDEOS = 6, 40


@pytest.fixture
def whole(tmp_path):
    """Two members, one of which has noise, and a third that copies the first."""
    rng = np.random.default_rng(0)
    predictions, labels = simulated.batch(rng, VIDEOS, CLASSES, labels_per_video=1.5)
    noisy = np.clip(predictions + rng.normal(0, 0.2, predictions.shape), 0.01, 1)
    members = {"good": predictions, "noisy": noisy, "copy": predictions}
    ids = [f"v{n:02d}" for n in range(VIDEOS)]
    for name, scores in members.items():
        best = np.argsort(-scores, axis=1, kind="stable")
        lines = [
            video_line(i, order, row[order])
            for i, order, row in zip(ids, best, scores, strict=True)
        ]
        (tmp_path / f"{name}.csv").write_text("".join([VIDEO_HEADER, *lines]))
    files = [Submission(str(tmp_path / f"{name}.csv"), CLASSES) for name in members]
    weights = ensemble.normalized([1, 1, 1])
    return Ensemble(files, ensemble.align(files), weights, labels, ids)


def test_gains_and_correlations(whole, tmp_path, monkeypatch):
    monkeypatch.setattr(pages, "_vega_bundle", lambda flag: "")
    monkeypatch.setattr(statistics, "REPLICATES", 20)
    run = RunConfig(DataConfig(num_classes=CLASSES), ModelConfig())
    found = {}
    write = pages.Page.write

    def keep(page, *arguments):
        found.update({name: table.frame for name, table in page.tables.items()})
        return write(page, *arguments)

    monkeypatch.setattr(pages.Page, "write", keep)
    path = str(tmp_path / "report" / "report.html")
    paths = ensemble_report.write_report(whole, path, Classes(run), CLASSES, 4)
    assert paths[0] == path
    members = found["members"].set_index("member")
    _, result = whole.pool(CLASSES, 4)
    for number, name in enumerate(["good.csv", "noisy.csv", "copy.csv"]):
        _, without = whole.without(number).pool(CLASSES, 4)
        expected = result["gap"] - without["gap"]
        assert members["gain"][name] == pytest.approx(expected)
        assert members["gain from"][name] <= expected <= members["gain to"][name]
    assert members["GAP"]["good.csv"] == members["GAP"]["copy.csv"]
    alike = found["correlations"].set_index(["member", "other"])["correlation"]
    assert alike["good.csv", "copy.csv"] == pytest.approx(1)
    assert alike["good.csv", "noisy.csv"] < 0.95
    assert found["overall"]["value"].iloc[0] == result["gap"]


@pytest.mark.slow
def test_a_browser_draws_it(whole, tmp_path):
    """With the gain of each member, and the correlation of each pair."""
    run = RunConfig(DataConfig(num_classes=CLASSES), ModelConfig())
    path = str(tmp_path / "report.html")
    ensemble_report.write_report(whole, path, Classes(run), CLASSES, 4)
    with Browser() as browser:
        browser.open(path)
        browser.require_sound(charts=6)
        names = ["good.csv", "noisy.csv", "copy.csv"]
        assert [row[0] for row in browser.rows("members")] == names
        pairs = [tuple(row[:2]) for row in browser.rows("correlations")]
        assert pairs == [(one, other) for one in names for other in names]
        gains, pairs, *_ = browser.marks().values()  # in the order of the page
        assert gains >= 3 and pairs >= 9
        browser.sort("members", "gain")
        gains = [float(row[5]) for row in browser.rows("members")]
        assert gains in (sorted(gains), sorted(gains, reverse=True))
        browser.search("members", "noisy")
        assert [row[0] for row in browser.rows("members")] == ["noisy.csv"]
        for width in (375, 1600):
            assert browser.overflow(width) <= 0
        assert browser.pdf().startswith(b"%PDF")


def test_a_member_alone_is_itself(whole):
    pool, result = whole.of([1]).pool(CLASSES, 4)
    gap = average_precision(pool.scores, pool.hits, len(pool.label_class))
    assert result["gap"] == pytest.approx(gap)
    assert whole.of([1]).without(0).weights.tolist() == [1]
