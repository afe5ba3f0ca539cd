"""Which classes' segments are listed; files with others are refused."""

import numpy as np
import pytest

from youtube8m.data.labels.segment_classes import read_segment_classes
from youtube8m.errors import UserError


def test_segment_classes(tmp_path):
    path = tmp_path / "ids.csv"
    path.write_text("Index\n2\n0\n")
    np.testing.assert_array_equal(
        read_segment_classes(str(path), 4), [True, False, True, False]
    )
    for every in ("all", "", "challenge"):
        assert read_segment_classes(every, 4).all()


def test_the_challenges_classes_are_the_default_of_its_data(caplog):
    allowed = read_segment_classes("challenge", 3862)
    assert allowed.sum() == 1000
    assert np.flatnonzero(allowed)[[0, 1, 2, -1]].tolist() == [3, 7, 8, 1831]
    assert read_segment_classes("all", 3862).all()


@pytest.mark.parametrize("text", ["Index\n4\n", "Index\nGame\n", "Class\n1\n", ""])
def test_wrong_segment_classes_are_told(tmp_path, text):
    path = tmp_path / "ids.csv"
    path.write_text(text)
    with pytest.raises(UserError, match="--segment_label_ids_file=.*ids.csv"):
        read_segment_classes(str(path), 4)


def test_segment_classes_are_not_fetched_from_the_web():
    with pytest.raises(UserError, match="file=http://x/ids.csv: remote stores are not"):
        read_segment_classes("http://x/ids.csv", 4)
