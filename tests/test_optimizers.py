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


@pytest.mark.parametrize("name", optimizers.list_names())
def test_every_optimizer_makes_steps_that_help(name):
    try:
        optimizer = optimizers.create(name, learning_rate=0.01)
    except UserError as error:
        pytest.skip(str(error))
    weight = keras.Variable(np.float32([3.0]))
    optimizer.build([weight])
    for _ in range(5):
        optimizer.apply([2 * weight.value], [weight])  # of w^2
    assert float(weight[0]) < 3.0


@pytest.mark.parametrize(
    "name, expected",
    [
        # lr * g / sqrt(rho + (1 - rho) g^2 + 1e-10), the accumulator starting at 1.
        ("RMSPropOptimizer", 0.1 * 0.5 / np.sqrt(0.9 + 0.1 * 0.25)),
        ("AdamOptimizer", 0.1),
        ("GradientDescentOptimizer", 0.05),
        ("AdagradOptimizer", 0.1 * 0.5 / np.sqrt(0.1 + 0.25)),
    ],
)
def test_first_step_of_tf1(name, expected):
    optimizer = optimizers.create(name, learning_rate=0.1)
    weight = keras.Variable(np.float32([3.0]))
    optimizer.build([weight])
    optimizer.apply([np.float32([0.5])], [weight])
    np.testing.assert_allclose(3.0 - float(weight[0]), expected, rtol=1e-4)
