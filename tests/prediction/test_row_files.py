"""JSON lines and Parquet that are read again, merged and refused."""

import io
import json
import pathlib

import numpy as np
import pyarrow
import pyarrow.parquet
import pytest
from absl.testing import flagsaver

from youtube8m.errors import UserError
from youtube8m.prediction import row_files, submission, writer
from youtube8m.prediction.predictions import Predictions
from youtube8m.prediction.row_files import PredictionRows, open_predictions
from youtube8m.prediction.segment_ranking import SegmentRanking
from youtube8m.tools import ensemble, merge_shards

ROWS = [("a", [3, 1], [0.5, 0.25]), ("b\udcff", [2], [1.0]), ("c", [0, 3], [0.75, 0.5])]


def predictions(rows, starts=None):
    """Predictions of (id, labels, confidences)."""
    width = max((len(labels) for _, labels, _ in rows), default=0)
    classes, scores = np.zeros((2, len(rows), width))
    listed = np.arange(width) < np.array([[len(row[1])] for row in rows])
    for row, (_, labels, confidences) in enumerate(rows):
        classes[row, : len(labels)] = labels
        scores[row, : len(labels)] = confidences
    ids, videos = [row[0] for row in rows], np.arange(len(rows))
    scores = scores.astype(np.float32)
    return Predictions(ids, videos, starts, classes.astype(int), scores, listed)


@pytest.fixture
def write(tmp_path):
    """Writes rows in the format of the name; returns the path."""

    def write(name, rows, starts=None):
        path, form = tmp_path / name, name.partition(".")[2]
        ranking = None if starts is None else SegmentRanking(None, 1)
        with path.open("wb") as file, writer.open_writer(form, file, ranking) as out:
            if rows:
                out.add(predictions(rows, starts))
        return str(path)

    return write


@pytest.mark.parametrize("form", ["csv", "jsonl", "parquet"])
def test_every_format_gives_the_same_lists(write, form):
    file = open_predictions(write(f"x.{form}", ROWS), 4)
    assert file.keys == ["a", "b\udcff", "c"]
    assert file.header == submission.VIDEO_HEADER and file.num_bytes > 0
    file.require_merged()
    counts, classes, scores = file.pairs(np.array([2, 0]))
    assert counts.tolist() == [2, 2]
    assert classes.tolist() == [0, 3, 3, 1] and classes.dtype == np.int32
    assert scores.tolist() == [0.75, 0.5, 0.5, 0.25]


def test_the_numbers_need_not_be_floats(tmp_path):
    path = tmp_path / "x.jsonl"
    path.write_text('\n{"id": "a", "labels": [3, 1], "confidences": [1, 0]}\r\n\n')
    assert PredictionRows(path).pairs([0])[2].tolist() == [1.0, 0.0]


@pytest.mark.parametrize(
    "row, message",
    [
        ("{", "line 2 is no prediction: not JSON"),
        ("[]", "line 2 is no prediction: it is no JSON object"),
        ({"id": 3}, "line 2 is no prediction: its id is no text"),
        ({"id": ""}, "its id is no text"),
        ({"labels": 3}, "its labels or confidences are no list"),
        ({"labels": [3, 2, 1]}, "has 3 labels, 2 confidences"),
        ({"labels": [3, 4]}, "line 2 has 4 for a class; .* below --num_classes=4"),
        ({"labels": [3, -1]}, "has -1 for a class"),
        ({"labels": [3, 1.0]}, "has 1.0 for a class"),
        ({"labels": [3, 3]}, "lists a class twice"),
        ({"labels": [], "confidences": []}, "lists no class"),
        ({"confidences": [0.5, None]}, "has the confidence None; expected one from 0"),
        ({"confidences": [0.5, -1]}, "has the confidence -1"),
        ({"confidences": [0.5, float("nan")]}, "has the confidence nan"),
        ({"id": "a"}, "line 2 has 'a' again, after line 1"),
        ({"segment_start": 5}, "has the labels of segments; give predictions of video"),
    ],
)
def test_wrong_rows_are_one_line(tmp_path, row, message):
    path = tmp_path / "x.jsonl"
    good = {"id": "a", "labels": [3, 1], "confidences": [0.5, 0.25]}
    text = row if isinstance(row, str) else json.dumps({**good, "id": "b", **row})
    path.write_text(f"{json.dumps(good)}\n{text}\n")
    with pytest.raises(UserError, match=message):
        PredictionRows(str(path), 4)


def test_wrong_parquet_is_one_line(tmp_path, write):
    path = tmp_path / "x.parquet"
    path.write_bytes(b"PAR1 and nothing more")
    with pytest.raises(UserError, match="x.parquet: is no sound Parquet file"):
        open_predictions(str(path))
    pyarrow.parquet.write_table(pyarrow.table({"id": ["a"]}), path)
    with pytest.raises(UserError, match="has no column 'labels'"):
        open_predictions(str(path))
    columns = {"id": [None], "labels": [[1]], "confidences": [[0.5]]}
    pyarrow.parquet.write_table(pyarrow.table(columns), path)
    with pytest.raises(UserError, match="row 1 is no prediction: its id is no text"):
        open_predictions(str(path))
    for name in ("empty.parquet", "empty.jsonl"):
        with pytest.raises(UserError, match="has no rows"):
            open_predictions(write(name, []))


def test_what_needs_a_csv_says_so(write):
    for name, form in (("x.jsonl", "jsonl"), ("x.parquet", "parquet")):
        message = f"is no CSV but {form}; give the CSV that inference.py --output_form"
        with pytest.raises(UserError, match=message):
            submission.Submission(write(name, ROWS))


def merged(*paths):
    file = io.BytesIO()
    row_files.merge_parts(paths, file)
    return file.getvalue()


def test_parts_become_one_file(write, tmp_path):
    whole = write("whole.jsonl", ROWS)
    parts = [
        write("0.jsonl", ROWS[:2]),
        write("1.jsonl", []),
        write("2.jsonl", ROWS[2:]),
    ]
    with open(whole, "rb") as file:
        assert merged(*parts) == file.read()
    parts = [write(f"{n}.parquet", rows) for n, rows in enumerate((ROWS[:2], ROWS[2:]))]
    found = pyarrow.parquet.read_table(io.BytesIO(merged(*parts)))
    assert found == pyarrow.parquet.read_table(write("whole.parquet", ROWS))


def test_segments_are_told_apart_by_their_starts(write):
    rows = [ROWS[0], ROWS[0]]
    for form in ("jsonl", "parquet"):
        first = write(f"0.{form}", rows, np.array([0, 5]))
        assert merged(first, write(f"1.{form}", rows, np.array([10, 15])))
        again = write(f"2.{form}", rows, np.array([15, 5]))
        with pytest.raises(
            UserError, match="2.* lists 'a', as .*0.*; give the file of"
        ):
            merged(first, again)


def test_parts_that_do_not_fit_are_told(write):
    part, other = write("0.jsonl", ROWS[:1]), write("1.parquet", ROWS[1:])
    with pytest.raises(UserError, match="1.parquet: is parquet, but .*0.jsonl jsonl"):
        merged(part, other)
    segments = write("2.parquet", ROWS[:1], np.array([0]))
    with pytest.raises(UserError, match="2.parquet: has other columns than"):
        merged(other, segments)


def test_an_ensemble_reads_and_writes_every_format(write, tmp_path):
    paths = ",".join(write(f"x.{form}", ROWS) for form in ("csv", "jsonl", "parquet"))
    for name in ("out.csv", "out.jsonl", "out.parquet"):
        with flagsaver.flagsaver(input_files=paths, output_file=str(tmp_path / name)):
            ensemble.main("merge")
        merged = open_predictions(str(tmp_path / name))
        assert merged.keys == ["a", "b\udcff", "c"]
        _, classes, scores = merged.pairs([0, 1, 2])
        assert classes.tolist() == [3, 1, 2, 0, 3]
        assert scores.tolist() == [0.5, 0.25, 1.0, 0.75, 0.5]


def test_merged_segments_need_a_csv(tmp_path):
    path = tmp_path / "x.csv"
    path.write_text("Class,Segments\n3,a:0 a:5\n")
    values = {"input_files": str(path), "output_file": str(tmp_path / "out.jsonl")}
    with (
        flagsaver.flagsaver(**values),
        pytest.raises(
            UserError, match="no confidences, which jsonl needs; name a .csv"
        ),
    ):
        ensemble.main("merge")


def test_merge_shards_takes_the_format_of_its_files(write, tmp_path):
    parts = write("0.jsonl", ROWS[:2]), write("1.jsonl", ROWS[2:])
    out = tmp_path / "out"
    values = {"input_files": ",".join(parts), "output_file": str(out), "num_shards": 2}
    with flagsaver.flagsaver(**values):
        merge_shards.main()
    assert out.read_bytes() == pathlib.Path(write("whole.jsonl", ROWS)).read_bytes()


def test_parquet_that_is_damaged_inside_is_one_line(write, tmp_path):
    """Its end, which is read first, is sound."""
    path = pathlib.Path(write("x.parquet", ROWS * 1, None))
    content = bytearray(path.read_bytes())
    content[4:40] = b"\xff" * 36
    path.write_bytes(content)
    with pytest.raises(UserError, match="x.parquet: is no sound Parquet file"):
        PredictionRows(str(path))
    with pytest.raises(UserError, match="x.parquet: is no sound Parquet file"):
        row_files.merge_parts([str(path)], io.BytesIO())


def json_line(name, confidence="0.5"):
    return f'{{"id": "{name}", "labels": [1], "confidences": [{confidence}]}}\n'


def test_an_id_of_half_a_character_is_told(tmp_path):
    path = tmp_path / "x.jsonl"
    path.write_text(json_line("\\ud800"))
    with pytest.raises(UserError, match="line 1 is no prediction: its id .* no text"):
        PredictionRows(str(path))


def test_an_id_spelled_in_two_ways_is_one(tmp_path):
    path = tmp_path / "x.jsonl"
    path.write_text(json_line("\u00e9") + json_line("\\udcc3\\udca9"), "utf-8")
    with pytest.raises(UserError, match="line 2 has .* again, after line 1"):
        PredictionRows(str(path))


def test_a_confidence_beyond_all_floats_is_told(tmp_path):
    path = tmp_path / "x.jsonl"
    path.write_text(json_line("a", "1" + "0" * 400))
    with pytest.raises(UserError, match="has the confidence 1000.*expected one from 0"):
        PredictionRows(str(path))


@pytest.mark.parametrize("name", ["a,b", "a\\nb", '\\"'])
def test_ids_that_no_csv_holds_are_merged_into_other_formats(tmp_path, name):
    path, out = tmp_path / "x.jsonl", tmp_path / "out"
    path.write_text(json_line(name))
    for ending in (".csv", ".jsonl", ".parquet"):
        given = {"input_files": str(path), "output_file": f"{out}{ending}"}
        with flagsaver.flagsaver(**given):
            if ending != ".csv":
                ensemble.main("merge")
                keys = open_predictions(f"{out}{ending}").keys
                assert keys == PredictionRows(str(path)).keys
                continue
            with pytest.raises(UserError, match="a CSV cannot hold the id .*jsonl or"):
                ensemble.main("merge")
    assert not (tmp_path / "out.csv").exists()


@pytest.mark.parametrize(
    "labels, confidences, message",
    [
        ('["1"]', "[0.5]", "line 2 has '1' for a class"),
        ("[-1]", "[0.5]", "line 2 has -1 for a class"),
        ("[1]", "[-0.5]", "line 2 has the confidence -0.5"),
        ("[]", "[]", "line 2 lists no class"),
    ],
)
def test_parts_that_an_ensemble_would_refuse_are_not_merged(
    tmp_path, labels, confidences, message
):
    path = tmp_path / "x.jsonl"
    row = f'{{"id": "b", "labels": {labels}, "confidences": {confidences}'
    path.write_text(f"{json_line('a')}{row}}}\n")
    with pytest.raises(UserError, match=message):
        row_files.merge_parts([str(path)], io.BytesIO())
    path.write_text(f'{row}, "segment_start": 5}}\n')
    if labels == "[]":  # no class of the segment is listed
        row_files.merge_parts([str(path)], io.BytesIO())
