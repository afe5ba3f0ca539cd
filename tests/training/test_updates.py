"""One update by hand: clipping, replicas, the terms that are logged."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.helpers.training_runs import run_python
from tests.helpers.updates import labelled, make_step
from youtube8m import losses
from youtube8m.config import DataConfig, ModelConfig, RunConfig
from youtube8m.training.config import TrainingConfig
from youtube8m.training.steps import decayed_learning_rate, pad_batch


class Recorder(keras.optimizers.SGD):
    """Keeps the gradients that it is given."""

    def apply(self, gradients, variables=None):
        self.given = [gradient.numpy() for gradient in gradients]


GRADIENTS = [tf.constant([[3.0, 4.0]]), tf.constant([0.6, 0.8]), tf.constant([0.0])]


@pytest.mark.parametrize("replicas", [1, 2])
@pytest.mark.parametrize(
    "limit, lengths",
    [
        (0.0, (5, 1, 0)),
        (-1.0, (5, 1, 0)),
        (9.0, (5, 1, 0)),
        (5.0, (5, 1, 0)),  # exactly as long
        (1.0, (1, 1, 0)),
        (0.5, (0.5, 0.5, 0)),
    ],
)
def test_gradients_are_clipped_one_by_one_and_shared_by_replicas(
    limit, lengths, replicas
):
    """Keras adds up what each replica gives, so each gives its share."""
    recorder = Recorder()
    step = make_step(optimizer=recorder, clip_gradient_norm=limit)
    norm = step._apply(GRADIENTS, [None] * 3, replicas)
    for gradient, length, given in zip(GRADIENTS, lengths, recorder.given, strict=True):
        unit = gradient / max(np.linalg.norm(gradient), 1e-9)
        np.testing.assert_allclose(given, length * unit / replicas, rtol=1e-6)
    np.testing.assert_allclose(norm, np.sqrt(26), rtol=1e-6)  # before clipping


REPLICAS_SCRIPT = """
import sys, tensorflow as tf
devices = [tf.config.LogicalDeviceConfiguration()] * 2
tf.config.set_logical_device_configuration(
    tf.config.list_physical_devices("CPU")[0], devices)
from youtube8m.training.workers import split_batch
from tests.helpers.updates import *
for replicas in 1, 2:
    strategy = (tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"]) if replicas == 2
                else tf.distribute.OneDeviceStrategy("CPU:0"))
    with strategy.scope():
        optimizer = optimizers.create("GradientDescentOptimizer", 0.5)
        model, loss = models.create(LOGISTIC), losses.create(LOGISTIC)
        state = TrainingState(model, optimizer, loss)
    for variable in model.trainable_variables:
        variable.assign(tf.zeros_like(variable))
    settings = TrainingConfig(train_data_pattern="x", clip_gradient_norm=0.0,
                              base_learning_rate=0.5, regularization_penalty=1e5)
    step = TrainStep(strategy, state, settings, 12)
    for _ in range(2):
        results = step(split_batch(strategy, labelled(5)))
    scalars = [float(results[n]) for n in sorted(results) if n != "predictions"]
    weights = [variable.numpy() for variable in model.trainable_variables]
    np.savez(f"{sys.argv[1]}/{replicas}.npz", *weights, np.array(scalars))
"""


def test_two_replicas_update_as_one_where_nothing_is_clipped(tmp_path):
    """Of five videos, three and two; the figures that are logged, too."""
    run_python(REPLICAS_SCRIPT, tmp_path)
    found = []
    for replicas in (1, 2):
        with np.load(tmp_path / f"{replicas}.npz") as arrays:
            found.append([arrays[name] for name in arrays.files])
    assert max(np.abs(array).max() for array in found[0][:-1]) > 0.01
    for one, two in zip(*found, strict=True):
        np.testing.assert_allclose(one, two, rtol=1e-5, atol=1e-7)


class Parts(losses.CrossEntropyLoss):
    """With a term of the batch [B] and one of the weights []."""

    def auxiliary_losses(self, outputs, batch):
        return {
            "each": 0 * outputs["predictions"][:, 0] + 3.0,
            "whole": tf.constant(4.0),
        }


@pytest.mark.parametrize("rows", [1, 4])
def test_what_is_logged_does_not_depend_on_the_batch_size(rows):
    """The same video once and four times."""
    step = make_step(clip_gradient_norm=0.0, base_learning_rate=0.5)
    step.state.loss = Parts()
    weights = step.state.model.trainable_variables
    for weight in weights:
        weight.assign(tf.ones_like(weight) / 8)
    batch = {
        name: tf.repeat(value, rows, axis=0) for name, value in labelled(1).items()
    }
    features = keras.ops.normalize(batch["features"])[0].numpy()
    results = {name: value.numpy() for name, value in step(batch).items()}
    kernel, bias = np.ones((32, 12)) / 8, 1 / 8
    p = 1 / (1 + np.exp(-(features @ kernel + bias)))
    y = np.zeros(12)
    y[batch["labels"][0].numpy()] = 1
    expected = -np.sum(y * np.log(p + 1e-5) + (1 - y) * np.log(1 - p + 1e-5))
    np.testing.assert_allclose(results["loss"], expected, rtol=1e-5)
    np.testing.assert_allclose(results["auxiliary_loss"], 7.0, rtol=1e-6)
    decay = 0.5e-8 * np.sum(kernel**2)  # 1e-8 * sum(w^2) / 2
    np.testing.assert_allclose(results["regularization_loss"], decay, rtol=1e-4)
    derivative = p - y
    norm = np.sqrt(np.sum(np.outer(features, derivative) ** 2) + np.sum(derivative**2))
    np.testing.assert_allclose(results["gradient_norm"], norm, rtol=1e-3)
    assert (results["examples"], results["learning_rate"]) == (rows, 0.5)
    assert results["stopping"] == 0
    assert step.state.steps_done == 1 and step.state.examples.numpy() == rows
    # Gradient descent, at the rate of the flag.
    step = make_step(
        optimizer=keras.optimizers.SGD(9.0),
        clip_gradient_norm=0.0,
        base_learning_rate=2.0,
    )
    kernel, bias = step.state.model.trainable_variables
    before = bias.numpy()
    p = keras.ops.sigmoid(features @ kernel.numpy() + before)
    step(batch)
    np.testing.assert_allclose(bias.numpy(), before - 2 * (p - y), rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("penalty", [0.0, 1e6])
def test_the_penalty_scales_the_regularisation_in_the_update_alone(penalty):
    step = make_step(
        optimizer=keras.optimizers.SGD(),
        clip_gradient_norm=0.0,
        base_learning_rate=1.0,
        regularization_penalty=penalty,
    )
    kernel, bias = step.state.model.trainable_variables
    kernel.assign(tf.ones_like(kernel))
    bias.assign(tf.fill(bias.shape, -50.0))  # predicts nothing, which is right
    batch = labelled(3) | {"labels": tf.constant([[-1, -1]] * 3)}
    results = step(batch)
    np.testing.assert_allclose(results["regularization_loss"], 0.5e-8 * 384, rtol=1e-4)
    np.testing.assert_allclose(kernel, 1 - penalty * 1e-8, rtol=1e-5)


def test_a_loop_gives_the_results_of_each_step():
    """Of three batches of unlike sizes, in their order."""
    batches = [labelled(rows) for rows in (2, 5, 3)]
    found = []
    for together in (True, False):
        keras.utils.set_random_seed(3)
        step = make_step(optimizer=keras.optimizers.SGD(), base_learning_rate=0.1)
        if together:
            results = step.loop(batches)
            assert results.pop("predictions").shape == (3, 12)
            found.append({name: value.numpy() for name, value in results.items()})
        else:
            each = [step(batch) for batch in batches]
            names = found[0]
            found.append({n: np.array([one[n] for one in each]) for n in names})
        assert step.state.steps_done == 3 and step.state.examples.numpy() == 10
    assert found[0]["examples"].tolist() == [2, 5, 3]
    assert found[0]["examples"].dtype == np.int64
    for name, value in found[0].items():
        np.testing.assert_allclose(value, found[1][name], rtol=1e-5, err_msg=name)


@pytest.mark.parametrize("unrated", [False, True])
def test_unrated_classes_count_on_request(unrated):
    """A rating of one class: the loss is of it alone, or of all."""
    frames = DataConfig(("rgb",), (4,), True, num_classes=3)
    run = RunConfig(frames, ModelConfig("FrameLevelLogisticModel"))
    step = make_step(run, unrated_as_negative=unrated)
    for weight in step.state.model.trainable_variables:
        weight.assign(tf.zeros_like(weight))
    batch = {
        "frames": tf.ones((1, 5, 4), tf.uint8),
        "num_frames": tf.constant([5]),
        "labels": tf.constant([[2]]),
        "rated": tf.constant([[2]]),
    }
    counted = 3 if unrated else 1  # each of them predicted at 0.5
    expected = -counted * np.log(0.5 + 1e-5)
    np.testing.assert_allclose(step(batch)["loss"], expected, rtol=1e-5)


def test_the_rate_falls_at_the_example_that_completes_a_period():
    settings = TrainingConfig(train_data_pattern="x")
    million = 10**6
    for examples, decays in (
        *((0, 0), (4 * million - 1, 0), (4 * million, 1)),
        *((8 * million - 1, 1), (8 * million, 2), (400 * million, 100)),
    ):
        found = decayed_learning_rate(settings, tf.constant(examples, tf.int64))
        assert found.dtype == tf.float32
        np.testing.assert_allclose(found, 0.01 * 0.95**decays, rtol=1e-6)


def test_each_step_takes_the_rate_of_the_examples_before_it():
    values = {"learning_rate_decay": 0.5, "learning_rate_decay_examples": 6}
    step = make_step(optimizer=keras.optimizers.SGD(), base_learning_rate=1.0, **values)
    rates = [float(step(labelled(3))["learning_rate"]) for _ in range(5)]
    assert rates == [1.0, 1.0, 0.5, 0.5, 0.25]
    assert float(step.state.optimizer.learning_rate) == 0.25


def test_labels_and_ratings_are_padded_alike():
    batch = {"labels": tf.ones((2, 33), tf.int32), "rated": tf.ones((2, 32), tf.int32)}
    padded = pad_batch(batch, frames=9)
    assert padded["labels"].shape == (2, 64) and padded["rated"].shape == (2, 32)
    assert np.all(padded["labels"][:, 33:] == -1)
    frames = {"frames": tf.ones((2, 9, 3))}
    assert pad_batch(frames, frames=9)["frames"].shape == (2, 9, 3)
    assert pad_batch(frames, frames=4)["frames"].shape == (2, 9, 3)


def test_terms_that_reach_no_weight_are_named():
    class Idle(losses.CrossEntropyLoss):
        def auxiliary_losses(self, outputs, batch):
            reaches = tf.reduce_sum(outputs["predictions"])
            return {"idle": tf.constant(1.0), "reaches": reaches}

    step, batch = make_step(), labelled(1)
    assert step.idle_terms(batch) == []
    step.state.loss = Idle()
    assert step.idle_terms(batch) == ["idle"]
    assert step.state.steps_done == 0


XLA_SCRIPT = """
import tensorflow as tf
tf.config.set_logical_device_configuration(
    tf.config.list_physical_devices("CPU")[0],
    [tf.config.LogicalDeviceConfiguration()] * 2)
from absl import logging
from tests.helpers.updates import make_step
logging.set_verbosity(logging.INFO)
step = make_step(strategy=tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"]),
                 jit_compile=True)
print(step.strategy.num_replicas_in_sync, step.jit_compile)
"""


def test_xla_is_not_used_on_several_replicas(caplog):
    caplog.set_level("INFO")
    assert make_step(jit_compile=True).jit_compile is True
    assert make_step().jit_compile is False
    assert "--jit_compile" not in caplog.text
    done = run_python(XLA_SCRIPT)
    assert done.stdout.strip() == "2 False"
    assert "--jit_compile: not used, as XLA cannot compile sums over" in done.stderr
