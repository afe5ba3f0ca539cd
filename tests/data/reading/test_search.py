"""Finding the records of one id."""

import numpy as np
import pytest

from youtube8m.config import DataConfig
from youtube8m.data.reading.pipeline import Shards
from youtube8m.data.reading.search import find_records
from youtube8m.data.writing.records import video_example, write_records

DATA = DataConfig(("mean_rgb",), (2,), num_classes=3)


def example(video_id, **values):
    return video_example(video_id, [1], {"mean_rgb": np.zeros(2)}, **values)


@pytest.fixture
def shards(tmp_path):
    write_records(tmp_path / "a", [example("ab"), example("aa"), example("abc")])
    other = example("zz", id_key="video_id")
    other.features.feature["note"].bytes_list.value.append(b"aa")
    write_records(tmp_path / "b", [other, example("aa", id_key="video_id")])
    return Shards.open(f"{tmp_path}/a,{tmp_path}/b", "--f", DATA, labels=False)


def test_ids_are_compared_as_a_whole(shards, tmp_path):
    found = find_records(shards, b"ab")
    assert [(x.path, x.index) for x in found] == [(str(tmp_path / "a"), 0)]
    assert found[0].record == example("ab").SerializeToString(deterministic=True)


def test_all_records_of_an_id_are_found_in_their_order(shards, tmp_path):
    found = find_records(shards, b"aa")
    assert [(x.path, x.index) for x in found] == [
        (str(tmp_path / "a"), 1),
        (str(tmp_path / "b"), 1),
    ]
    assert find_records(shards, b"a") == find_records(shards, b"") == []


def test_damage_is_passed_over(shards, tmp_path):
    data = bytearray((tmp_path / "a").read_bytes())
    data[20] ^= 255
    (tmp_path / "a").write_bytes(data)
    assert len(find_records(shards, b"aa")) == 2
    assert shards.damage.lost == 1
