"""Batch predictions as JSON lines to a Kaggle CSV."""

import json
import re

import pytest
from absl.testing import flagsaver

from youtube8m.errors import UserError
from youtube8m.tools import convert_prediction_from_json_to_csv as tool

GOOD = {"video_id": "aAbc", "class_indexes": [3, 17], "predictions": [0.99, 4.5e-7]}


def line(**values):
    return json.dumps({**GOOD, **values})


def test_lines_of_all_files_become_rows(tmp_path):
    wrapped = {key: [value] for key, value in GOOD.items()}
    (tmp_path / "a-1").write_text(f"{line()}\n\n{line(video_id='é')}")
    (tmp_path / "a-2").write_text(json.dumps(wrapped) + "\n")
    out = tmp_path / "out.csv"
    with flagsaver.flagsaver(
        json_prediction_files_pattern=f"{tmp_path}/a-*", csv_output_file=str(out)
    ):
        tool.main()
    assert out.read_text(encoding="utf-8").splitlines() == [
        "VideoId,LabelConfidencePairs",
        "aAbc,3 0.990000 17 0.000000",
        "é,3 0.990000 17 0.000000",
        "aAbc,3 0.990000 17 0.000000",
    ]


@pytest.mark.parametrize("instance", [{"b64": "CgA="}, "CgA="])
def test_a_line_of_vertex_ai(instance):
    line = {"instance": instance, "prediction": GOOD}
    assert tool.to_csv_row(line) == tool.to_csv_row(GOOD)


@pytest.mark.parametrize(
    "text, message",
    [
        ("{", "is no prediction: "),
        ("[1]", "it is no JSON object"),
        ('{"video_id": "a"}', "it lacks class_indexes, predictions"),
        (line(video_id=5), "video_id is 5"),
        (line(video_id="a,b"), "video_id is 'a,b'"),
        (line(class_indexes=[3]), "it has 1 classes, 2 predictions"),
        (line(class_indexes=[3, -1]), "class_indexes is no list of class ids"),
        (line(class_indexes=[3, True]), "class_indexes is no list of class ids"),
        (line(class_indexes=3), "class_indexes is no list of class ids"),
        (line(predictions=[0.5, "x"]), "predictions is no list of numbers"),
        (line(predictions=[0.5, float("nan")]), "predictions is no list of numbers"),
        (line(predictions=[0.5, 10**400]), "is no prediction"),
        (line(video_id="\ud800"), "is no prediction"),
        (line(video_id=["a", "b"]), "it is of several videos"),
        ("[" * 100_000, "is no prediction"),
        ("\udcff", "is no prediction"),
        (line(class_indexes=[3, 4]).replace("4", "4" * 5000), "is no prediction"),
    ],
    ids=lambda text: text[:30],
)
def test_a_bad_line_is_told_by_file_and_number(text, message, tmp_path):
    path = tmp_path / "a"
    path.write_text(f"{line()}\n{text}\n", errors="surrogateescape")
    with pytest.raises(UserError, match=re.escape(message)) as error:
        tool.convert(str(path), str(tmp_path / "out.csv"))
    assert str(error.value).startswith(f"{path}: line 2 is no prediction")
    assert "\n" not in str(error.value)
    assert not (tmp_path / "out.csv").exists()


@pytest.mark.parametrize(
    "values, message",
    [
        ({"csv_output_file": "x"}, "--json_prediction_files_pattern is empty"),
        ({"json_prediction_files_pattern": "x"}, "--csv_output_file is empty"),
        (
            {"json_prediction_files_pattern": "/none/*", "csv_output_file": "x"},
            "--json_prediction_files_pattern=/none/.: no file matches",
        ),
    ],
)
def test_mistakes(values, message):
    empty = {"json_prediction_files_pattern": "", "csv_output_file": ""}
    with (
        flagsaver.flagsaver(**{**empty, **values}),
        pytest.raises(UserError, match=message),
    ):
        tool.main()


def test_a_doubled_id_is_told(tmp_path, caplog):
    line = '{"video_id": "a", "class_indexes": [1], "predictions": [0.5]}\n'
    (tmp_path / "p").write_text(line * 2)
    tool.convert(str(tmp_path / "p"), str(tmp_path / "out.csv"))
    assert "another prediction has the id 'a', too" in caplog.text


@pytest.mark.parametrize("name", ['say \\"a\\"', "a,b", "a\\tb", ""])
def test_ids_that_no_csv_holds_are_refused(tmp_path, name):
    line = '{"video_id": "%s", "class_indexes": [1], "predictions": [0.5]}'
    (tmp_path / "p").write_text(line % name)
    with pytest.raises(UserError, match="p: line 1 .*video_id is"):
        tool.convert(str(tmp_path / "p"), str(tmp_path / "out.csv"))
