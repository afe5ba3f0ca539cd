"""Labels, ids and ratings under other keys."""

import re

import pytest

from tests.helpers import float_records
from youtube8m.config.data import KeysConfig
from youtube8m.data.labels.ratings import read_ratings
from youtube8m.data.labels.video_labels import read_labels
from youtube8m.errors import UserError

KEYS = {"id_key": "name", "labels_key": "topics"}
CLASSES = float_records.NUM_CLASSES


@pytest.fixture
def paths(tmp_path):
    """Records with their own keys, and with the usual ones."""
    kinds = ("uint8", "float16")
    own = float_records.write(tmp_path / "own", *kinds, rated=True, **KEYS)
    return own, float_records.write(tmp_path / "usual", *kinds, rated=True)


def test_labels(paths):
    own, usual = paths
    labels = read_labels(own, "--flag", CLASSES, KeysConfig(**KEYS))
    expected = read_labels(usual, "--flag", CLASSES)
    assert {k: v.tolist() for k, v in labels.items()} == {
        k: v.tolist() for k, v in expected.items()
    }
    for keys in (None, KeysConfig(id_key="name"), KeysConfig(labels_key="topics")):
        with pytest.raises(UserError, match="no record with an id and labels"):
            read_labels(own, "--flag", CLASSES, keys)


def test_ratings(paths, tmp_path):
    own, usual = paths
    cache = str(tmp_path / "cache")
    expected = read_ratings(usual, "--flag", CLASSES)
    ratings = read_ratings(own, "--flag", CLASSES, cache, "name")
    assert ratings == expected
    assert read_ratings(own, "--flag", CLASSES, cache, "name") == expected
    with pytest.raises(UserError, match=re.escape(cache)):
        read_ratings(own, "--flag", CLASSES, cache, "topics")
    with pytest.raises(UserError, match="no record with rated segments"):
        read_ratings(own, "--flag", CLASSES)
