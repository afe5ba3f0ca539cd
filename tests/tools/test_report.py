"""tools.report: what it writes for one run, for two, and for a training alone."""

import dataclasses
import json

import pandas as pd
import pytest

from tests.helpers.training_runs import LOGISTIC, config
from youtube8m import models
from youtube8m.errors import UserError
from youtube8m.runs.directory import RunDirectory
from youtube8m.tools.report import ReportConfig, report
from youtube8m.training.trainer import Trainer

pytest.importorskip("altair", reason="needs the extra report")
pytest.importorskip("vl_convert", reason="needs the extra report")


@pytest.fixture
def runs(tmp_path):
    """Run directories without checkpoints: of one model, and of other classes."""
    data = dataclasses.replace(LOGISTIC.data, num_classes=13)
    other = dataclasses.replace(LOGISTIC, data=data)
    for name, run in (("first", LOGISTIC), ("other", other)):
        directory = RunDirectory(str(tmp_path / name))
        directory.prepare(models.complete(run), start_new=False)
    rows = [{"step": 1, "loss": 2.0, "waiting_share": 0.5}, {"step": 2, "loss": 1.0}]
    text = "".join(json.dumps(row) + "\n" for row in rows)
    (tmp_path / "first" / "metrics.jsonl").write_text(text)
    return tmp_path


def test_without_records_the_training_is_reported(runs):
    report(ReportConfig(train_dir=str(runs / "first")))
    folder = runs / "first" / "report"
    assert pd.read_csv(folder / "training_loss.csv")["loss"].tolist() == [2.0, 1.0]
    assert pd.read_csv(folder / "training_waiting_share.csv")["step"].tolist() == [1]
    assert "Training of LogisticModel" in (folder / "report.html").read_text()


@pytest.mark.slow
def test_two_runs_are_compared_on_the_same_records(sample, tmp_path, caplog):
    for name, rate in (("first", 0.001), ("second", 0.1)):
        settings = config(
            *(sample, tmp_path / name, "video"), num_epochs=8, base_learning_rate=rate
        )
        Trainer(LOGISTIC, settings).train()
    folder = tmp_path / "compared"
    report(
        ReportConfig(
            train_dir=f"{tmp_path}/first,{tmp_path}/second",
            eval_data_pattern=sample["video/validate"],
            report_dir=str(folder),
        )
    )
    table = pd.read_csv(folder / "comparison.csv").set_index(["metric", "run"])
    gap = table.loc[("GAP", "second")]
    assert 0 < gap["least"] < gap["difference"] < gap["most"]
    assert f"GAP: second is better than first by {gap['difference']:.4f}" in caplog.text
    assert f"GAP: {gap['value']:.3f}" in caplog.text  # as eval.py prints it
    page = (folder / "report.html").read_text()
    assert f"{tmp_path}/second, step 40" in page and "curves_of_loss" in page


@pytest.mark.parametrize(
    "values, told",
    [
        ({"train_dir": "first,second"}, "give --eval_data_pattern"),
        (
            {"train_dir": "first", "watch": True, "eval_data_pattern": "x"},
            "--watch fol",
        ),
        ({"train_dir": "first,second", "watch": True}, "--eval_data_pattern"),
        (
            {"train_dir": "first,other", "eval_data_pattern": "x"},
            "12 .* other 13",
        ),
        ({"train_dir": "first,none", "eval_data_pattern": "x"}, "no model_flags"),
        ({"train_dir": "first,first", "eval_data_pattern": "x"}, "no checkpoint"),
        ({"train_dir": "none"}, "no metrics.jsonl"),
        ({"train_dir": "none", "watch": True}, "no metrics.jsonl"),
    ],
)
def test_what_cannot_be_reported_is_one_line(runs, values, told):
    paths = ",".join(str(runs / name) for name in values["train_dir"].split(","))
    values = values | {"train_dir": paths, "report_dir": str(runs / "out")}
    with pytest.raises(UserError, match=told):
        report(ReportConfig(**values))
