"""Which checkpoints a directory has, by their names and by TensorFlow's list."""

import os
import tempfile

import pytest
import tensorflow as tf

from youtube8m.errors import UserError
from youtube8m.runs import checkpoint_files


@pytest.mark.parametrize("names", [["a/b"], ["model.ckpt-1", "model.ckpt-20"]])
def test_tensorflow_reads_the_list(names, tmp_path):
    times = [float(number) for number, _ in enumerate(names)]
    text = checkpoint_files.checkpoint_list(names, times)
    (tmp_path / "checkpoint").write_text(text)
    state = tf.train.get_checkpoint_state(str(tmp_path))
    paths = [str(tmp_path / name) for name in names]
    assert list(state.all_model_checkpoint_paths) == paths
    assert state.model_checkpoint_path == paths[-1]
    assert list(state.all_model_checkpoint_timestamps) == times
    assert checkpoint_files.listed_checkpoints(str(tmp_path)) == paths


def test_an_absent_list_is_not_a_damaged_one(tmp_path):
    assert checkpoint_files.listed_checkpoints(str(tmp_path)) == []
    for damaged in (b"", b"\x80", b"model_checkpoint_path: 7"):
        (tmp_path / "checkpoint").write_bytes(damaged)
        assert checkpoint_files.listed_checkpoints(str(tmp_path)) is None


def test_a_list_that_is_none_is_not_told_by_tensorflow(tmp_path, caplog):
    """The caller tells it, in a line; a run is not read without a word for that."""
    path = tmp_path / "checkpoint"
    path.write_text("model_checkpoint_path: 7")
    assert checkpoint_files.listed_checkpoints(str(tmp_path)) is None
    path.unlink()
    path.mkdir()
    assert checkpoint_files.listed_checkpoints(str(tmp_path)) is None
    assert not caplog.records
    tf.get_logger().warning("still heard")
    assert caplog.records


def test_names_in_the_order_of_their_steps(tmp_path):
    for name in ("model.ckpt-9", "model.ckpt-10", "model.ckpt-x", "other"):
        (tmp_path / f"{name}.index").touch()
    (tmp_path / "model.ckpt-11.data-00000-of-00001").touch()  # not complete
    found = checkpoint_files.find_checkpoints(str(tmp_path))
    assert found == [str(tmp_path / name) for name in ("model.ckpt-9", "model.ckpt-10")]
    assert [checkpoint_files.step_of(prefix) for prefix in found] == [9, 10]


def test_parts_of_our_checkpoints(tmp_path):
    variables = {"encoder/kernel": tf.Variable([[1.0, 2.0]])}
    prefix = tf.train.Checkpoint(model=variables, step=tf.Variable(3)).write(
        str(tmp_path / "last")
    )
    reader = checkpoint_files.CheckpointReader(prefix)
    assert not reader.is_starters
    assert reader.part_shapes("model") == {"encoder/kernel": [1, 2]}
    assert reader.part_shapes("average") == {}
    with pytest.raises(UserError, match="last: has no variable global_step"):
        checkpoint_files.step_of(prefix)


@pytest.mark.parametrize(
    "name", ["run[1]", "a*b", "a?", "back\\slash", os.fsdecode(b"\xff")]
)
def test_directories_whose_names_tensorflow_takes_for_something_else(name, tmp_path):
    directory = tmp_path / name
    directory.mkdir()
    tf.train.Checkpoint(model={"kernel": tf.Variable([1.0, 2.0])}).write(
        str(tmp_path / "model.ckpt-7")
    )
    for path in tmp_path.glob("model.ckpt-7.*"):
        path.rename(directory / path.name)
    (directory / "checkpoint").write_text(
        checkpoint_files.checkpoint_list(["model.ckpt-7"])
    )
    prefix = os.path.join(str(directory), "model.ckpt-7")
    assert checkpoint_files.find_checkpoints(str(directory)) == [prefix]
    assert checkpoint_files.listed_checkpoints(str(directory)) == [prefix]
    reader = checkpoint_files.CheckpointReader(prefix)
    assert reader.part_shapes("model") == {"kernel": [2]}
    link = checkpoint_files.tensorflow_directory(str(directory))
    assert os.path.samefile(link, directory) and link.isascii()
    assert checkpoint_files.tensorflow_directory(str(directory)) == link


def test_directories_that_tensorflow_reads_get_no_link(tmp_path):
    assert checkpoint_files.tensorflow_directory(str(tmp_path)) == str(tmp_path)
    assert checkpoint_files.tensorflow_prefix(
        "a\N{LATIN SMALL LETTER E WITH ACUTE}/b"
    ) == ("a\N{LATIN SMALL LETTER E WITH ACUTE}/b")


def test_a_link_that_cannot_be_made_is_told(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "none"))
    with pytest.raises(UserError, match="^/runs/9.: TensorFlow needs a link .*TMPDIR"):
        checkpoint_files.tensorflow_directory("/runs/9*")
