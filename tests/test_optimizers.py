"""The optimizers that differ from Keras' in form do not differ in what they do."""

import keras
import numpy as np
import pytest
import tensorflow as tf

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
