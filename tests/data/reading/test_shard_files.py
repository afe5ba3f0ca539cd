"""Shards are found by globs, each once, and what names none is told."""

import pytest

from youtube8m.data.reading import shard_files
from youtube8m.errors import UserError


@pytest.fixture
def files(tmp_path):
    """Three files."""
    paths = [tmp_path / f"{name}.tfrecord" for name in "abc"]
    for path in paths:
        path.touch()
    return list(map(str, paths))


def test_globs_are_sorted_each_and_kept_in_the_order_given(files, tmp_path):
    a, b, c = files
    assert shard_files.find_shards(f"{tmp_path}/*.tfrecord", "--flag") == [a, b, c]
    assert shard_files.find_shards(f" {b} , {tmp_path}/[ac]*,, ", "--flag") == [b, a, c]


def test_a_file_that_two_globs_match_is_read_once(files, tmp_path):
    a, b, c = files
    assert shard_files.find_shards(f"{c},{tmp_path}/*.tfrecord,{a}", "--f") == [c, a, b]


def test_directories_are_no_shards(files, tmp_path):
    (tmp_path / "d.tfrecord").mkdir()
    assert shard_files.find_shards(f"{tmp_path}/*", "--flag") == files
    with pytest.raises(UserError, match="no file matches"):
        shard_files.find_shards(f"{tmp_path}/d.tfrecord", "--flag")


def test_a_directory_is_told_as_one(files, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path.parent)
    for name in (str(tmp_path), f"{tmp_path}/", tmp_path.name, f"./{tmp_path.name}/"):
        with pytest.raises(UserError, match="directory; give a glob") as error:
            shard_files.find_shards(f"{files[0]},{name}", "--flag")
        wanted = str(error.value).rpartition("such as ")[2].strip("'")
        assert shard_files.find_shards(wanted, "--flag")


@pytest.mark.parametrize("pattern", ["", " ", ",", " , "])
def test_no_glob_at_all_is_told(pattern):
    with pytest.raises(UserError, match=f"^--flag={pattern}: names no file; give a"):
        shard_files.find_shards(pattern, "--flag")


def test_a_glob_without_a_match_is_named(files, tmp_path):
    missing = f"{tmp_path}/none*.tfrecord"
    with pytest.raises(UserError) as error:
        shard_files.find_shards(f"{files[0]},{missing}", "--train_data_pattern")
    message = str(error.value)
    assert message.startswith(f"--train_data_pattern={missing}: no file matches")
    assert "\n" not in message
