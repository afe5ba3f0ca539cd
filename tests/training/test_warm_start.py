"""What a new run takes from a checkpoint, and what it says about the rest."""

from types import SimpleNamespace

import numpy as np
import pytest
import tensorflow as tf

from youtube8m.data.labels import cooccurrence
from youtube8m.errors import UserError
from youtube8m.runs.directory import RunDirectory
from youtube8m.training.config import TrainingConfig
from youtube8m.training.warm_start import WarmStart, initialize_weights, warm_start


def model_of(classifier=None, label_processing=None, **values):
    """What a warm start needs of a model, with weights by name."""
    weights = [
        SimpleNamespace(path=f"model/{name}", value=tf.Variable(value))
        for name, value in values.items()
    ]
    return SimpleNamespace(
        weights=weights, classifier=classifier, label_processing=label_processing
    )


def values_of(model):
    return [weight.value.numpy().tolist() for weight in model.weights]


@pytest.fixture
def first(tmp_path):
    """The directory of a run that has saved two weights."""
    values = {"kernel": [1.0, 2.0], "bias": 3.0}
    variables = {name: tf.Variable(value) for name, value in values.items()}
    checkpoint = tf.train.Checkpoint(model=variables)
    assert checkpoint.save_counter.numpy() == 0  # makes it, as saving does
    checkpoint.write(str(tmp_path / "first" / "model.ckpt-4"))
    return tmp_path / "first"


def settings(**values):
    return TrainingConfig(train_data_pattern="x", **values)


def test_weights_are_taken_by_name_and_shape(first):
    model = model_of(kernel=[0.0, 0.0], bias=[7.0], other=8.0)
    found = warm_start(model, str(first / "model.ckpt-4"))
    assert found == WarmStart(["kernel"], ["bias: [] there, [1] here"], ["other"])
    assert values_of(model) == [[1.0, 2.0], [7.0], 8.0]


def test_what_is_taken_is_said(first, tmp_path):
    directory = RunDirectory(str(tmp_path / "new"))
    prefix = f"{first}/model.ckpt-4"
    for start in (first, prefix):
        config = settings(warm_start_from=str(start))
        model = model_of(kernel=[0.0, 0.0], bias=0.0)
        lines = initialize_weights(model, config, directory)
        assert lines == [f"warm start from {prefix}: 2 of 2 weights"]
        assert values_of(model) == [[1.0, 2.0], 3.0]
    model = model_of(kernel=[0.0, 0.0], bias=[0.0], other=8.0)
    assert initialize_weights(model, config, directory) == [
        f"warm start from {prefix}: 1 of 3 weights",
        "not loaded, of another shape: bias: [] there, [1] here",
        "not in the checkpoint: other",
    ]


def test_only_a_new_run_takes_weights(first, tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "model.ckpt-9.index").touch()
    directory = RunDirectory(str(tmp_path / "run"))
    model = model_of(bias=0.0)
    config = settings(warm_start_from=str(first))
    assert initialize_weights(model, config, directory) == []
    assert values_of(model) == [0.0]
    config = settings(warm_start_from=str(first), start_new_model=True)
    assert len(initialize_weights(model, config, directory)) == 1
    assert values_of(model) == [3.0]
    assert initialize_weights(model, settings(start_new_model=True), directory) == []


def test_a_start_that_would_be_removed_is_refused(first):
    directory = RunDirectory(str(first))
    for start in (first, first / "model.ckpt-4"):
        config = settings(warm_start_from=str(start), start_new_model=True)
        with pytest.raises(UserError, match=f"={start}: --start_new_model would remov"):
            initialize_weights(model_of(bias=0.0), config, directory)


def test_a_checkpoint_without_any_of_the_weights_is_told(first):
    with pytest.raises(UserError) as error:
        warm_start(model_of(more=0.0, less=0.0), str(first / "model.ckpt-4"))
    assert str(error.value) == (
        f"--warm_start_from={first}/model.ckpt-4: has none of this model's weights; it "
        "holds bias, kernel ..., this model more, less"
    )
    with pytest.raises(UserError, match="no such checkpoint; name a run's directory"):
        warm_start(model_of(bias=0.0), str(first / "model.ckpt-5"))


class Correlated:
    """A part that starts from the counts of labels."""

    num_classes = 3

    def set_label_correlation(self, matrix):
        self.matrix = np.asarray(matrix)


def test_parts_with_label_correlation_start_from_the_file(tmp_path, caplog):
    directory = RunDirectory(str(tmp_path / "new"))
    counts = np.array([[4, 2, 0], [2, 5, 1], [0, 1, 1]])
    path = str(tmp_path / "counts.npy")
    np.save(path, counts)
    config = settings(label_correlation_file=path)
    expected = cooccurrence.correlation_matrix(counts)
    both = ("classifier", "label_processing")
    for names in (both[:1], both[1:], both):
        parts = {name: Correlated() for name in names}
        assert initialize_weights(model_of(**parts), config, directory) == []
        for part in parts.values():
            np.testing.assert_allclose(part.matrix, expected)
        with pytest.raises(
            UserError, match="^Correlated starts from counts of labels: "
        ):
            initialize_weights(model_of(**parts), settings(), directory)
    assert initialize_weights(model_of(), settings(), directory) == []
    assert caplog.messages == []
    initialize_weights(model_of(), config, directory)
    assert caplog.messages == ["--label_correlation_file: no part uses it; ignored"]
