"""Optimizers against their formulas in numpy."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from youtube8m import optimizers
from youtube8m.errors import UserError
from youtube8m.optimizers import FusedAdam


@pytest.mark.parametrize("jit_compile", [False, True])
def test_fused_adam_is_adam(jit_compile):
    """Five steps by tensors, by Keras' optimizer and by the formulas in numpy."""
    rng = np.random.default_rng(0)
    start = rng.standard_normal((4, 3)).astype(np.float32)
    gradients = rng.standard_normal((5, 4, 3)).astype(np.float32)

    def trained(kind):
        variable = keras.Variable(start)
        optimizer = kind(0.1, epsilon=1e-8)
        optimizer.build([variable])

        @tf.function(jit_compile=jit_compile)
        def step(gradient):
            optimizer.apply([gradient], [variable])

        for gradient in gradients:
            step(tf.constant(gradient))
        assert int(optimizer.iterations) == 5
        return keras.ops.convert_to_numpy(variable)

    m = v = 0.0
    expected = start.astype(np.float64)
    for t, gradient in enumerate(gradients.astype(np.float64), 1):
        m, v = 0.9 * m + 0.1 * gradient, 0.999 * v + 0.001 * gradient**2
        rate = 0.1 * np.sqrt(1 - 0.999**t) / (1 - 0.9**t)
        expected -= rate * m / (np.sqrt(v) + 1e-8)
    # In float32, 1 - 0.999 is off by 1e-5 of itself, as in TF1 and in Keras.
    np.testing.assert_allclose(trained(FusedAdam), expected, atol=1e-5)
    np.testing.assert_allclose(
        trained(FusedAdam), trained(keras.optimizers.Adam), atol=1e-5
    )


TF1 = {
    *("AdadeltaOptimizer", "AdagradOptimizer", "AdamOptimizer", "FtrlOptimizer"),
    *("GradientDescentOptimizer", "MomentumOptimizer", "RMSPropOptimizer"),
}
KERAS = {
    *("Adadelta", "Adafactor", "Adagrad", "Adam", "AdamW", "Adamax", "Ftrl", "Lamb"),
    *("Lion", "Nadam", "RMSprop", "SGD"),
}
NOT_ALONE = {"MultiOptimizer"}  # takes other optimizers


def test_names():
    """A Keras release may add some."""
    assert {*optimizers.list_names()} >= TF1 | KERAS
    assert {"Optimizer", "LossScaleOptimizer"}.isdisjoint(optimizers.list_names())


@pytest.mark.parametrize("name", optimizers.list_names())
def test_every_optimizer_makes_steps_that_help(name):
    if name in NOT_ALONE:
        with pytest.raises(UserError, match=f"--optimizer={name}: cannot be used alo"):
            optimizers.create(name, learning_rate=0.01)
        return
    optimizer = optimizers.create(name, learning_rate=0.01)
    weight = keras.Variable(np.float32([3.0]))
    optimizer.build([weight])
    for _ in range(5):
        optimizer.apply([2 * weight.value], [weight])  # of w^2
    assert float(weight[0]) < 3.0


# Name -> what TensorFlow 1 has by default, and the starter code left as it was.
HYPERPARAMETERS = {
    "AdadeltaOptimizer": {"rho": 0.95, "epsilon": 1e-8},
    "AdagradOptimizer": {"initial_accumulator_value": 0.1, "epsilon": 0.0},
    "AdamOptimizer": {"beta_1": 0.9, "beta_2": 0.999, "epsilon": 1e-8},
    "FtrlOptimizer": {
        "learning_rate_power": -0.5,
        "initial_accumulator_value": 0.1,
        "l1_regularization_strength": 0.0,
        "l2_regularization_strength": 0.0,
    },
    "GradientDescentOptimizer": {"momentum": 0.0, "nesterov": False},
    "MomentumOptimizer": {"momentum": 0.9, "nesterov": False},
    "RMSPropOptimizer": {
        "rho": 0.9,
        "momentum": 0.0,
        "epsilon": 1e-10,
        "centered": False,
    },
    "Adam": {"beta_1": 0.9, "beta_2": 0.999, "epsilon": 1e-7},
}


@pytest.mark.parametrize("name", HYPERPARAMETERS)
@pytest.mark.parametrize("decay", [0.0, 0.8])
def test_hyperparameters_arrive(name, decay):
    optimizer = optimizers.create(name, 0.0625, ema_decay=decay)
    assert float(optimizer.learning_rate) == 0.0625
    found = {key: getattr(optimizer, key) for key in HYPERPARAMETERS[name]}
    assert found == HYPERPARAMETERS[name]
    assert optimizer.use_ema is bool(decay)
    if decay:
        assert optimizer.ema_momentum == decay
    assert optimizer.weight_decay is None and optimizer.global_clipnorm is None
    assert optimizer.clipnorm is None and optimizer.clipvalue is None


def test_a_scaled_loss_wraps_the_optimizer_that_is_asked_for():
    scaled = optimizers.create("MomentumOptimizer", 0.25, 0.8, scales_loss=True)
    inner = scaled.inner_optimizer
    assert isinstance(scaled, keras.optimizers.LossScaleOptimizer)
    assert isinstance(inner, keras.optimizers.SGD) and inner.momentum == 0.9
    assert inner.ema_momentum == 0.8 and float(inner.learning_rate) == 0.25


def test_an_unknown_optimizer_is_told():
    with pytest.raises(UserError, match="--optimizer: .*AdamOptimizr.* did you mean"):
        optimizers.create("AdamOptimizr", 0.1)
    for name in ("Optimizer", "LossScaleOptimizer"):
        with pytest.raises(UserError, match="--optimizer"):
            optimizers.create(name, 0.1)


def test_an_optimizer_that_needs_more_is_told(monkeypatch):
    def needy(learning_rate, groups):
        raise AssertionError

    monkeypatch.setattr(optimizers, "list_names", lambda: ["Needy"])
    monkeypatch.setattr(keras.optimizers, "Needy", needy, raising=False)
    with pytest.raises(UserError, match="--optimizer=Needy: cannot be used alone"):
        optimizers.create("Needy", 0.1)


@pytest.mark.parametrize(
    "name, expected",
    [
        # lr * g / sqrt(rho + (1 - rho) g^2 + 1e-10), the accumulator starting at 1.
        ("RMSPropOptimizer", 0.1 * 0.5 / np.sqrt(0.9 + 0.1 * 0.25)),
        ("AdamOptimizer", 0.1),
        ("GradientDescentOptimizer", 0.05),
        ("AdagradOptimizer", 0.1 * 0.5 / np.sqrt(0.1 + 0.25)),
        ("MomentumOptimizer", 0.05),
    ],
)
def test_first_step_of_tf1(name, expected):
    optimizer = optimizers.create(name, learning_rate=0.1)
    weight = keras.Variable(np.float32([3.0]))
    optimizer.build([weight])
    optimizer.apply([np.float32([0.5])], [weight])
    np.testing.assert_allclose(3.0 - float(weight[0]), expected, rtol=1e-4)


def test_what_is_not_asked_for_is_not_there():
    optimizer = optimizers.create("AdamOptimizer", 0.1)
    assert type(optimizer) is FusedAdam and optimizer.use_ema is False


def test_fused_adam_is_one_operation_of_tensorflow():
    variables = [keras.Variable(np.ones(3, np.float32)) for _ in range(2)]
    optimizer = FusedAdam(0.1)
    optimizer.build(variables)
    gradients = [tf.ones(3)] * 2
    step = tf.function(lambda: optimizer.apply(gradients, variables))
    kinds = [op.type for op in step.get_concrete_function().graph.get_operations()]
    assert kinds.count("ResourceApplyAdam") == 2


def test_gradients_of_some_rows_move_these_rows():
    found = []
    for kind in (FusedAdam, keras.optimizers.Adam):
        variable = keras.Variable(np.ones((3, 2), np.float32))
        optimizer = kind(0.1)
        optimizer.build([variable])
        gradient = tf.IndexedSlices(tf.ones((1, 2)), tf.constant([1]), (3, 2))
        optimizer.apply([gradient], [variable])
        found.append(keras.ops.convert_to_numpy(variable))
    for rows in found:
        np.testing.assert_allclose(rows, [[1, 1], [0.9, 0.9], [1, 1]], rtol=1e-5)


def test_names_in_saved_files():
    for cls in (FusedAdam, optimizers.RMSPropFromOnes):
        name = f"youtube8m>{cls.__name__}"
        assert keras.saving.get_registered_name(cls) == name
        assert keras.saving.get_registered_object(name) is cls
