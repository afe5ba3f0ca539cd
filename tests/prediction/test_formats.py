"""What inference.py writes in each format, from runs that are there."""

import json
import pathlib

import numpy as np
import pandas as pd
import pytest

from tests.helpers import processes
from youtube8m.data.labels.vocabulary import read_vocabulary
from youtube8m.errors import UserError
from youtube8m.prediction.config import InferenceConfig
from youtube8m.prediction.inference import Inference
from youtube8m.prediction.submission import Submission

DATA = pathlib.Path(processes.ROOT, "tests", "data", "earlier_versions")
VOCABULARY = str(DATA / "sample" / "vocabulary.csv")
VIDEOS = {
    "train_dir": str(DATA / "runs" / "correlation"),
    "input_data_pattern": str(DATA / "sample" / "video" / "validate*.tfrecord"),
}
SEGMENTS = {
    "train_dir": str(DATA / "runs" / "preset"),
    "input_data_pattern": str(DATA / "sample" / "segment" / "validate*.tfrecord"),
    "segment_labels": True,
}


@pytest.fixture(scope="module")
def videos():
    """A model that is built once."""
    return Inference(InferenceConfig(output_file="x", **VIDEOS))


@pytest.fixture
def infer(tmp_path, videos, monkeypatch):
    """Predicts videos into a file of tmp_path; returns its path."""

    def infer(name, vocabulary=None, **values):
        path = str(tmp_path / name)
        config = InferenceConfig(output_file=path, **VIDEOS, **values)
        monkeypatch.setattr(videos, "config", config)
        monkeypatch.setattr(videos, "vocabulary", vocabulary)
        assert videos.run() == 20
        return path

    return infer


def read_lines(path):
    with open(path, encoding="utf-8") as file:
        return list(map(json.loads, file))


def test_all_formats_hold_what_the_csv_does(infer, capsys):
    csv = Submission(DATA / "csv" / "correlation.csv")
    given = {"names": True, "vocabulary_file": VOCABULARY}
    rows = read_lines(infer("x.jsonl", read_vocabulary(VOCABULARY), **given))
    shown = capsys.readouterr().out.splitlines()
    table = pd.read_parquet(infer("x", output_format="parquet"))
    assert [row["id"] for row in rows] == table["id"].tolist() == csv.keys
    _, classes, scores = csv.pairs(range(len(rows)))
    assert [n for row in rows for n in row["labels"]] == classes.tolist()
    np.testing.assert_array_equal(np.concatenate(table["labels"]), classes)
    confidences = np.concatenate(table["confidences"])
    np.testing.assert_allclose(confidences, scores, rtol=1e-5)
    confidences = [c for row in rows for c in row["confidences"]]
    np.testing.assert_allclose(confidences, scores, rtol=1e-5)
    assert rows[0]["names"][:2] == ["Sample class 1", "Sample class 0"]
    assert rows[0]["verticals"][:2] == ["Games", "Food & Drink"]
    assert shown[:2] == [
        "id    confidence  class  name             vertical",
        "VPBy        0.56      1  Sample class 1   Games",
    ]


@pytest.mark.slow
def test_rows_of_segments(tmp_path):
    csv = Submission(DATA / "csv" / "segments_of_preset.csv")
    classes = tmp_path / "classes.csv"
    classes.write_text("Index\n0\n2\n3\n")
    path = str(tmp_path / "x.jsonl")
    values = {"output_file": path, "segment_label_ids_file": str(classes)}
    Inference(InferenceConfig(**SEGMENTS, **values)).run()
    rows = read_lines(path)
    found = {class_id: [] for class_id in (0, 2, 3)}
    for row in rows:
        name = f"{row['id']}:{row['segment_start']}"
        for class_id, score in zip(row["labels"], row["confidences"], strict=True):
            found[class_id].append((-score, name))
    for class_id, scored in found.items():
        listed = csv.segments(csv.keys.index(class_id))
        assert {name for _, name in sorted(scored)[: len(listed)]} == {*listed}
    starts = [row["segment_start"] for row in rows if row["id"] == rows[0]["id"]]
    assert starts == [*range(0, 5 * len(starts), 5)]


def test_names_need_a_vocabulary_of_the_same_classes(tmp_path):
    with pytest.raises(UserError, match="--names: .* give --vocabulary_file"):
        InferenceConfig(output_file="x.csv", names=True, **VIDEOS)
    with pytest.raises(UserError, match="--output_format=xml: must be one of csv, jso"):
        InferenceConfig(output_file="x.csv", output_format="xml", **VIDEOS)
    (tmp_path / "short.csv").write_text("Index,Name\n0,Game\n")
    values = {"vocabulary_file": str(tmp_path / "short.csv"), "output_file": "x.jsonl"}
    with pytest.raises(UserError, match="has 1 classes; expected --num_classes=12"):
        Inference(InferenceConfig(**values, **VIDEOS))


def test_an_interrupted_file_leaves_the_old_one(infer, tmp_path, monkeypatch):
    (tmp_path / "x.parquet").write_text("old")
    monkeypatch.setattr(Inference, "_find_top", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        infer("x.parquet")
    assert (tmp_path / "x.parquet").read_text() == "old"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["x.parquet"]
