"""Predictions in each format, as their readers see them."""

import io
import json

import numpy as np
import pandas as pd
import pytest

from youtube8m.data.labels.vocabulary import Vocabulary
from youtube8m.errors import UserError
from youtube8m.prediction import formats, writer
from youtube8m.prediction.names import Preview
from youtube8m.prediction.predictions import Predictions
from youtube8m.prediction.segment_ranking import SegmentRanking

VOCABULARY = Vocabulary(
    ("Game", "Pokémon", "", "Cooking"),
    np.zeros(4, np.int64),
    ("Food", "Games"),
    np.array([1, 1, -1, 0], np.int32),
)
SCORES = np.float32([[0.9, 1 / 3], [1e-7, 0.0], [0.25, 0.125]])
LISTED = np.array([[True, True], [True, False], [True, True]])
# The second id has a byte that is not UTF-8.
VIDEOS = Predictions(
    ["aAbc", "b\udcff", "日本"],
    np.arange(3),
    None,
    np.array([[1, 3], [2, 0], [0, 1]]),
    SCORES,
    LISTED,
)
SEGMENTS = VIDEOS._replace(videos=np.array([0, 0, 2]), starts=np.array([0, 5, 0]))


def written(form, *predictions, ranking=None, **options):
    file = io.BytesIO()
    with writer.open_writer(form, file, ranking, **options) as out:
        for part in predictions:
            out.add(part)
    return file.getvalue()


def ranking():
    return SegmentRanking(np.array([True, True, True, False]), 10)


def test_the_csv_of_videos():
    assert written("csv", VIDEOS).decode("utf-8", "surrogateescape") == (
        "VideoId,LabelConfidencePairs\n"
        "aAbc,1 0.9 3 0.333333\nb\udcff,2 1e-07\n日本,0 0.25 1 0.125\n"
    )


def test_the_csv_of_segments():
    found = written("csv", SEGMENTS, ranking=ranking())
    assert (
        found.decode() == "Class,Segments\n0,日本:0 aAbc:5\n1,aAbc:0 日本:0\n2,aAbc:5\n"
    )
    found = written("csv", SEGMENTS, ranking=ranking(), scored=True).decode()
    assert found.splitlines()[:2] == ["Class,ScoredSegments", "0,日本:0:0.25 aAbc:5:0"]


def test_json_lines():
    first, second, third = written("jsonl", VIDEOS).decode().splitlines()
    assert first == '{"id": "aAbc", "labels": [1, 3], "confidences": [0.9, 0.33333334]}'
    assert json.loads(second) == {"id": "b\udcff", "labels": [2], "confidences": [1e-7]}
    assert third.startswith('{"id": "日本", ')
    found = written("jsonl", SEGMENTS, ranking=ranking(), vocabulary=VOCABULARY)
    first, second, _ = map(json.loads, found.decode().splitlines())
    assert first == {
        "id": "aAbc",
        "segment_start": 0,
        "labels": [1, 3],
        "names": ["Pokémon", "Cooking"],
        "verticals": ["Games", "Food"],
        "confidences": [0.9, 0.33333334],
    }
    assert (second["segment_start"], second["names"]) == (5, [None])
    confidences = [c for row in map(json.loads, found.splitlines())
                   for c in row["confidences"]]  # fmt: skip
    np.testing.assert_array_equal(np.float32(confidences), SCORES[LISTED])


def test_pandas_reads_parquet(monkeypatch):
    monkeypatch.setattr(writer, "_GROUP_ROWS", 4)  # so that there are two groups
    parts = [SEGMENTS, SEGMENTS._replace(starts=np.array([10, 15, 5]))]
    found = written("parquet", *parts, ranking=ranking(), vocabulary=VOCABULARY)
    table = pd.read_parquet(io.BytesIO(found))
    assert table.columns.tolist() == [
        *("id", "segment_start", "labels", "names", "verticals", "confidences")
    ]
    assert table["id"].tolist() == ["aAbc", "aAbc", "日本"] * 2
    assert table["segment_start"].tolist() == [0, 5, 0, 10, 15, 5]
    first, second = table.iloc[0], table.iloc[1]
    assert first["names"].tolist() == ["Pokémon", "Cooking"]
    assert first["verticals"].tolist() == ["Games", "Food"]
    assert second["labels"].tolist() == [2] and second["names"].tolist() == [None]
    confidences = np.concatenate(table["confidences"][:3])
    assert confidences.dtype == np.float32
    np.testing.assert_array_equal(confidences, SCORES[LISTED])
    # A row for each label, as docs/output.md shows it.
    columns = ["labels", "names", "verticals", "confidences"]
    assert table.explode(columns)["labels"].tolist() == [1, 3, 2, 0, 1] * 2


def test_parquet_without_rows_and_names():
    table = pd.read_parquet(io.BytesIO(written("parquet")))
    assert table.columns.tolist() == ["id", "labels", "confidences"] and table.empty
    table = pd.read_parquet(io.BytesIO(written("parquet", VIDEOS)))
    assert table["id"].tolist() == ["aAbc", r"b\udcff", "日本"]


def test_columns_that_the_vocabulary_lacks_are_left_out():
    verticals = Vocabulary(("",) * 4, VOCABULARY.train_counts, *VOCABULARY_VERTICALS)
    row = json.loads(written("jsonl", VIDEOS, vocabulary=verticals).splitlines()[0])
    assert "names" not in row and row["verticals"] == ["Games", "Food"]


VOCABULARY_VERTICALS = VOCABULARY.verticals, VOCABULARY.vertical_of


@pytest.mark.parametrize(
    "path, form",
    [
        ("a.csv", "csv"),
        ("a", "csv"),
        ("/dev/null", "csv"),
        ("a.jsonl", "jsonl"),
        ("A.PARQUET", "parquet"),
        ("parquet", "csv"),
    ],
)
def test_the_ending_tells_the_format(path, form):
    assert formats.format_of(path) == form


def test_the_first_bytes_tell_the_format(tmp_path):
    for form in formats.FORMATS:
        (tmp_path / "x").write_bytes(written(form, VIDEOS))
        assert formats.find_format(tmp_path / "x") == form
    (tmp_path / "empty.jsonl").touch()
    assert formats.find_format(str(tmp_path / "empty.jsonl")) == "jsonl"


def test_every_byte_of_an_id_comes_back():
    spelled = (r"\udcff", r"\u005cudcff", r"\\udcff", "\\\udcff", r"\u005c", r"\udc8")
    for video_id in ("aAbc", "日本", "\udc80\udcffx", "back\\slash", *spelled):
        assert formats.id_from_text(formats.id_to_text(video_id)) == video_id


def test_missing_pyarrow_is_one_line(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    with pytest.raises(UserError, match=r"pip install 'youtube8m\[parquet\]'"):
        written("parquet", VIDEOS)


def test_what_a_person_reads():
    preview = Preview(VOCABULARY)
    preview.add(VIDEOS)
    assert preview.table().splitlines() == [
        r"id       confidence  class  name     vertical",
        r"aAbc           0.90      1  Pokémon  Games",
        r"               0.33      3  Cooking  Food",
        r"b\udcff        0.00      2  class 2",
        r"日本             0.25      0  Game     Games",
        r"               0.12      1  Pokémon  Games",
    ]
    preview = Preview(VOCABULARY)
    for _ in range(4):
        preview.add(SEGMENTS._replace(listed=LISTED & [True, False]))
    lines = preview.table().splitlines()
    assert lines[0].split() == [
        "id",
        "second",
        "confidence",
        "class",
        "name",
        "vertical",
    ]
    assert len(lines) == 6 and lines[2].split()[:2] == ["aAbc", "5"]
    preview = Preview(VOCABULARY)
    preview.add(VIDEOS._replace(listed=LISTED & False))
    assert "no class is listed" in preview.table()
