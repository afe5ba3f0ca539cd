"""Vocabularies and verticals are read by class id, whatever the file looks like."""

import os
import pathlib

import numpy as np
import pytest

from youtube8m.data.labels.vocabulary import read_vocabulary
from youtube8m.errors import UserError

HEADER = (
    "Index,TrainVideoCount,KnowledgeGraphId,Name,WikiUrl,"
    "Vertical1,Vertical2,Vertical3,WikiDescription"
)
ROWS = [
    '0,900,/m/0a,Game,http://w/Game,Games,,,"Rules, and players"',
    "1,500,/m/0b,,,Sports,Games,,",
    "2,300,/m/0c,NA,http://w/NA,Games,,,None",
    "3,100,/m/0d,Nicaragua,http://w/Nicaragua,,,,",
]


@pytest.fixture
def write(tmp_path):
    """A function that writes lines to a CSV file and returns its path."""

    def write_lines(*lines, encoding="utf-8"):
        path = tmp_path / "vocabulary.csv"
        path.write_text("\n".join(lines) + "\n", encoding=encoding)
        return path

    return write_lines


def real_labels():
    """The folder of the published label files, where it is there."""
    default = pathlib.Path(__file__).parents[3] / "../shared/data"
    labels = pathlib.Path(os.environ.get("YT8M_DATA", default)) / "labels"
    if not labels.is_dir():
        pytest.skip(f"no published files in {labels}; set YT8M_DATA to their folder")
    return labels


def vertical_names(vocabulary):
    names = (*vocabulary.verticals, None)  # -1: none
    return [names[index] for index in vocabulary.vertical_of]


@pytest.mark.parametrize("order", [(0, 1, 2, 3), (2, 0, 3, 1)])
def test_rows_belong_to_their_index_in_any_order(write, order):
    path = write(HEADER, *(ROWS[row] for row in order))
    vocabulary = read_vocabulary(path, num_classes=4)
    assert vocabulary.names == ("Game", "", "NA", "Nicaragua")
    np.testing.assert_array_equal(vocabulary.train_counts, [900, 500, 300, 100])
    assert vocabulary.train_counts.dtype == np.int64
    assert vocabulary.verticals == ("Games", "Sports")
    np.testing.assert_array_equal(vocabulary.vertical_of, [0, 1, 0, -1])
    assert vocabulary.vertical_of.dtype == np.int32


@pytest.mark.parametrize(
    "header", [[], ["label_id,vertical"], ["label_id,vertical_id"]]
)
def test_label_verticals_as_numbers(write, header):
    vocabulary = read_vocabulary(write(*header, "2,10", "0,9", "1,2", "3,9"))
    assert vocabulary.verticals == ("2", "9", "10")  # by value, not as text
    assert vertical_names(vocabulary) == ["9", "2", "10", "9"]
    assert vocabulary.names == ("",) * 4
    np.testing.assert_array_equal(vocabulary.train_counts, [0] * 4)


def test_label_verticals_as_names(write):
    vocabulary = read_vocabulary(write("0,Games", "1, Autos & Vehicles", "2,"))
    assert vocabulary.verticals == ("Autos & Vehicles", "Games")
    assert vertical_names(vocabulary) == ["Games", "Autos & Vehicles", None]


def test_facts_are_of_each_class_or_of_the_whole(write):
    vocabulary = read_vocabulary(write("0,Games", "1,Cars", "2,Games"))
    assert vocabulary.class_fact("verticals", "v.csv") == (1, 0, 1)
    assert vocabulary.class_fact("num_verticals", "v.csv") == 2
    with pytest.raises(UserError, match="v.csv: class 0 has no training videos, nor"):
        vocabulary.class_fact("class_counts", "v.csv")
    vocabulary = read_vocabulary(write("0,Games", "1,", "2,"))
    with pytest.raises(UserError, match="class 1 has no vertical, nor have 1 others"):
        vocabulary.class_fact("verticals", "v.csv")


def test_names_of_verticals_win_over_their_numbers(write):
    path = write("label_id,vertical1_id,vertical1,vertical2", "0,9,Games,", "1,2,Cars,")
    assert vertical_names(read_vocabulary(path)) == ["Games", "Cars"]


def test_short_rows_and_byte_order_mark(write):
    path = write("Index,Name,Vertical1", "0,Game", "1,Car,Cars", encoding="utf-8-sig")
    assert vertical_names(read_vocabulary(path)) == [None, "Cars"]


@pytest.mark.parametrize(
    "lines, num_classes, found",
    [
        ([HEADER, ROWS[0], ROWS[2], ROWS[3]], None, "lacks class 1"),
        ([HEADER, *ROWS[1:]], None, "lacks class 0"),
        ([HEADER, *ROWS, ROWS[2]], None, "class 2 twice"),
        ([HEADER, *ROWS], 5, "has 4 classes; expected --num_classes=5"),
        ([HEADER, *ROWS], 3, "has 4 classes; expected --num_classes=3"),
        ([HEADER], None, "no classes"),
        ([HEADER, "zero" + ROWS[0][1:]], None, "class index 'zero'"),
        ([HEADER, ROWS[0].replace("900", "-900")], None, "count '-900'"),
        (["VideoId,LabelConfidencePairs", "abcd,3 0.5"], None, "'VideoId,Label"),
        (["0,Games,Sports"], None, "'0,Games,Sports'"),
        (["label_id,vertical", "0,Games,1,2"], None, "is not a CSV file"),
    ],
)
def test_errors_are_one_line_with_file_and_finding(write, lines, num_classes, found):
    path = write(*lines)
    with pytest.raises(UserError) as error:
        read_vocabulary(path, num_classes)
    message = str(error.value)
    assert message.startswith(f"{path}: ") and found in message
    assert "\n" not in message


def test_missing_and_empty_files(tmp_path):
    with pytest.raises(UserError, match="No such file"):
        read_vocabulary(tmp_path / "none.csv")
    for name in ("empty.csv", "empty.zip"):
        (tmp_path / name).touch()
        with pytest.raises(UserError, match="not a CSV file"):
            read_vocabulary(tmp_path / name)
    with pytest.raises(UserError, match="remote stores are not supported"):
        read_vocabulary("https://example.com/vocabulary.csv")


def test_published_vocabulary():
    labels = real_labels()
    vocabulary = read_vocabulary(labels / "vocabulary_2018.csv", num_classes=3862)
    assert vocabulary.names[:3] == ("Game", "Video game", "Vehicle")
    assert vocabulary.names.count("") == 56
    assert vocabulary.train_counts[0] == 788288
    assert len(vocabulary.verticals) == 25
    # Another file tells the same, its rows in another order.
    other = read_vocabulary(labels / "label_verticals_2018.csv", num_classes=3862)
    assert vertical_names(other) == vertical_names(vocabulary)
    assert other.names == vocabulary.names


def test_published_verticals_of_2017():
    path = real_labels() / "label_verticals_2017.csv"
    vocabulary = read_vocabulary(path, num_classes=4716)
    assert vocabulary.names[:2] == ("Games", "Vehicle")
    assert len(vocabulary.verticals) == 25
    assert vertical_names(vocabulary)[1] == "Autos & Vehicles"
    with pytest.raises(UserError, match="4716 classes"):
        read_vocabulary(path, num_classes=3862)
