"""Runs of untrained models, and exported models as TensorFlow serves them."""

import keras
import numpy as np
import tensorflow as tf

from youtube8m import models
from youtube8m.runs.directory import RunDirectory
from youtube8m.runs.weights import save_weights


def make_run(path, run, seed=0):
    """A run directory with random weights, none of them zero."""
    keras.utils.set_random_seed(seed)
    model = models.create(run)
    rng = np.random.default_rng(seed)
    for weight in model.trainable_weights:
        weight.assign_add(rng.normal(0, 0.2, weight.shape))
    directory = RunDirectory(str(path))
    directory.prepare(run, start_new=False)
    save_weights(model, directory, step=1)
    return str(path)


def serve(path, **inputs):
    loaded = tf.saved_model.load(str(path))
    assert list(loaded.signatures) == ["serving_default"]
    outputs = loaded.signatures["serving_default"](**inputs)
    return {name: value.numpy() for name, value in outputs.items()}


def assert_same(served, ids, predictions, top_k=20):
    """The confidences of the best, by plain sorting, and classes that have them.

    Which of two classes comes first may hang on the last digit, and thus on the graph.
    """
    top_k = min(top_k, predictions.shape[1])
    assert served["video_id"].tolist() == ids
    best = -np.sort(-predictions, axis=1)[:, :top_k]
    np.testing.assert_allclose(served["predictions"], best, atol=1e-6, rtol=0)
    classes = served["class_indexes"]
    assert classes.dtype == np.int32
    assert all(len({*row}) == top_k for row in classes.tolist())
    chosen = np.take_along_axis(predictions, classes, axis=1)
    np.testing.assert_allclose(chosen, best, atol=1e-6, rtol=0)
