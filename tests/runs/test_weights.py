"""Names of weights, and what is loaded from which checkpoint."""

from types import SimpleNamespace

import numpy as np
import pytest
import tensorflow as tf

from youtube8m.errors import UserError
from youtube8m.runs import weights
from youtube8m.runs.directory import RunDirectory


def variable(path, value=0.0):
    return SimpleNamespace(path=path, value=tf.Variable(value))


def model_of(values):
    """What `load_weights` needs of a model, with variables by name."""
    variables = [variable(f"model/{name}", value) for name, value in values.items()]
    return SimpleNamespace(variables=variables)


def values_of(model):
    return [v.value.numpy().tolist() for v in model.variables]


def write(path, **parts):
    """A checkpoint of {name: value} for each of its parts; returns the prefix."""
    parts = {
        part: {name: tf.Variable(value) for name, value in values.items()}
        for part, values in parts.items()
    }
    checkpoint = tf.train.Checkpoint(**parts)
    assert checkpoint.save_counter.numpy() == 0  # makes it, as saving does
    return checkpoint.write(str(path))


def test_names_are_the_same_in_every_process():
    paths = ("m_3/cell_1/kernel", "m_3/cell_2/kernel", "m_3/cell/bias_12", "m_3/cell_7")
    paths += ("m_3/cell_3/kernel",)
    variables = [variable(path) for path in paths]
    named = weights.named_variables(variables)
    assert list(named) == [
        *("cell/kernel", "cell/kernel#1", "cell/bias", "cell", "cell/kernel#2")
    ]
    for one, two in zip(named.values(), variables, strict=True):
        assert one is two.value
    assert weights.shapes_of({"a": tf.Variable([[1.0, 2.0]])}) == {"a": [1, 2]}


@pytest.mark.parametrize(
    "name, known, expected",
    [
        ("norm/updates", None, True),
        ("a/b/updates#2", None, True),
        ("norm/updates_per_day", None, False),
        ("updates/kernel", None, False),
        ("norm/moving_mean", None, False),
        # Of a checkpoint that has the statistics and not the count.
        ("norm/updates", {"norm/moving_mean"}, True),
        ("norm/updates#1", {"norm/moving_mean#1"}, True),
        ("norm/updates#1", {"norm/moving_mean"}, False),
        ("norm/updates", {"norm/moving_mean", "norm/updates"}, False),
        ("norm/updates", {"other/moving_mean"}, False),
        ("norm/moving_mean", {"norm/moving_mean"}, False),
    ],
)
def test_counts_of_updates(name, known, expected):
    assert weights.is_count(name, known) is expected


def test_the_newest_checkpoint_that_can_be_loaded_is(caplog):
    directory = SimpleNamespace(checkpoints=lambda: ["1", "2", "3"])
    tried = []

    def load_up_to(newest):
        def load(prefix):
            tried.append(prefix)
            if int(prefix) > newest:
                raise UserError(f"{prefix} is damaged")

        return load

    assert weights.load_newest(directory, load_up_to(3)) == "3"
    assert caplog.messages == []
    assert weights.load_newest(directory, load_up_to(1)) == "1"
    assert caplog.messages == [f"{n} is damaged; 1 is used instead" for n in (3, 2)]
    with pytest.raises(UserError, match="^3 is damaged$"):
        weights.load_newest(directory, load_up_to(0))
    assert tried == ["3", "3", "2", "1", "3", "2", "1"]
    nothing = SimpleNamespace(checkpoints=lambda: [])
    assert weights.load_newest(nothing, load_up_to(0)) is None


def test_averages_take_the_place_of_the_weights_they_are_of(tmp_path):
    prefix = write(
        tmp_path / "model.ckpt-1",
        model={"kernel": 1.0, "bias": 2.0, "moving_mean": 3.0},
        average={"kernel": 10.0, "bias": 20.0},
    )
    model = model_of({"kernel": 0.0, "bias": 0.0, "moving_mean": 0.0})
    weights.load_weights(model, prefix)
    assert values_of(model) == [10.0, 20.0, 3.0]
    prefix = write(tmp_path / "model.ckpt-2", model={"kernel": 1.5, "bias": 2.5})
    model = model_of({"kernel": 0.0, "bias": 0.0})
    weights.load_weights(model, prefix)
    assert values_of(model) == [1.5, 2.5]


@pytest.mark.parametrize("has_count", [True, False])
def test_statistics_without_their_count_are_settled(tmp_path, has_count):
    values = {"norm/moving_mean": 3.0, "norm/updates": 7.0}
    if not has_count:
        del values["norm/updates"]
    prefix = write(tmp_path / "model.ckpt-1", model=values)
    model = model_of({"norm/updates": 0.0, "norm/moving_mean": 0.0})
    weights.load_weights(model, prefix)
    assert values_of(model) == [7.0 if has_count else 10000.0, 3.0]


@pytest.mark.parametrize("values", [{"kernel": [0.0]}, {"bias": 0.0}])
def test_weights_that_do_not_fit_are_told(tmp_path, values):
    prefix = write(tmp_path / "model.ckpt-1", model={"kernel": 1.0})
    with pytest.raises(UserError, match=f"^{prefix}: cannot be restored .*another mod"):
        weights.load_weights(model_of(values), prefix)


def test_a_checkpoint_that_is_gone_is_told(tmp_path):
    prefix = str(tmp_path / "model.ckpt-1")
    with pytest.raises(UserError, match=f"^{prefix}: cannot be restored "):
        weights.restore_checkpoint({"model": {"kernel": tf.Variable(0.0)}}, prefix)


def test_saved_weights_are_the_only_checkpoint(tmp_path):
    directory = RunDirectory(str(tmp_path))
    for step in (5, 6):
        prefix = weights.save_weights(
            model_of({"a/kernel": 1.0 * step}), directory, step
        )
        assert prefix == str(tmp_path / f"model.ckpt-{step}")
        model = model_of({"a/kernel": 0.0})
        weights.load_weights(model, prefix)
        assert values_of(model) == [step]
    assert directory.checkpoints() == [str(tmp_path / "model.ckpt-6")]
    checkpoint = tf.train.Checkpoint(model={"kernel": tf.Variable(np.float32(1))})
    manager = weights.checkpoint_manager(checkpoint, RunDirectory(f"{tmp_path}/b"), 2)
    for step in (1, 2, 3):
        weights.save_checkpoint(manager, RunDirectory(f"{tmp_path}/b"), step)
    assert RunDirectory(f"{tmp_path}/b").checkpoints() == [
        f"{tmp_path}/b/model.ckpt-{step}" for step in (2, 3)
    ]


def test_a_whole_checkpoint_learns_how_often_it_was_saved(tmp_path):
    saved = tf.train.Checkpoint(model={"kernel": tf.Variable(2.0)})
    saved.save_counter.assign(5)
    prefix = saved.write(str(tmp_path / "model.ckpt-1"))
    parts = {"model": {"kernel": tf.Variable(0.0)}}
    whole = tf.train.Checkpoint(**parts)
    weights.restore_checkpoint(parts, prefix, whole)
    assert parts["model"]["kernel"].numpy() == 2.0
    assert whole.save_counter.numpy() == 5


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_weights_that_are_not_finite_are_not_loaded(tmp_path, value):
    """Each of them counts; whole numbers and flags have no such values."""
    prefix = write(tmp_path / "x", model={"a": [1.0, 2.0], "b": [0.0, value], "n": 7})
    model = model_of({"a": [0.0, 0.0], "b": [0.0, 0.0], "n": 0})
    with pytest.raises(UserError, match="x: the weights b are not finite"):
        weights.load_weights(model, prefix)
