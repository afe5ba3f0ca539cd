"""Frames with padding, arbitrary weights, and comparisons for tests of layers."""

import numpy as np
import tensorflow as tf

from youtube8m import models

LENGTHS = (9, 4, 1)
MASK = np.arange(9)[None, :] < np.array(LENGTHS)[:, None]
X = np.random.default_rng(0).normal(size=(3, 9, 5)) * MASK[..., None]
X = X.astype(np.float32)  # [B, T, D]; padding is 0


def randomized(layer, shape=X.shape, scale=0.5):
    """The layer, built, its trainable weights drawn from N(0, scale)."""
    rng = np.random.default_rng(1)
    if not layer.built:
        layer.build(shape)
    for weight in layer.trainable_weights:
        weight.assign(rng.normal(0, scale, weight.shape))
    return layer


def count_built(layer, shape):
    """How many parameters a layer has for inputs of a shape."""
    with tf.Graph().as_default():  # makes variables without their values
        layer.build(shape)
    return models.count_parameters(layer)


def check(actual, expected):
    np.testing.assert_allclose(actual, expected, rtol=1e-5, atol=1e-6)


def check_recurrent(actual, expected):
    """For what rounding moves further: sums over many steps."""
    np.testing.assert_allclose(actual, expected, rtol=2e-4, atol=2e-5)


def largest_tensor(encoder, batch: int, steps: int, size: int) -> int:
    """The most values of a tensor of any step of a training pass, gradients too."""

    @tf.function
    def train(frames, mask):
        with tf.GradientTape() as tape:
            descriptor = encoder(frames, mask, training=True)
        return tape.gradient(descriptor, [w.value for w in encoder.trainable_weights])

    encoder(tf.zeros([1, 2, size]), tf.ones([1, 2], tf.bool))  # makes the weights
    shapes = tf.TensorSpec([batch, steps, size]), tf.TensorSpec([batch, steps], tf.bool)
    graph = train.get_concrete_function(*shapes).graph
    outputs = [x for operation in graph.get_operations() for x in operation.outputs]
    return max(x.shape.num_elements() or 0 for x in outputs if x.shape.rank is not None)
