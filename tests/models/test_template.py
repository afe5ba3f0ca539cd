"""A template: the test of a new paper, here of a made-up encoder.

Copy this file to tests/models/test_<paper>.py and import the paper's encoder instead of
defining one. Once its class is registered, tests/models/test_all_models.py also checks
it by itself: padding, saving, checkpoints, mixed precision, graph mode. So the formula
in numpy (the first test) is what only the paper's own test can check.
"""

from typing import Annotated

import keras
import numpy as np
import pytest
from keras import ops

from tests.helpers.layers import LENGTHS, MASK, X, check, randomized
from youtube8m.models import LogisticModel, VideoModel
from youtube8m.models.base import FrameEncoder
from youtube8m.registry import hyperparameters


# In a paper's folder this is @ENCODERS.register. The template must not be registered
# there: it would become a flag, a row of the listings and a case of other tests.
@keras.saving.register_keras_serializable("template")
class RecentFrames(FrameEncoder):
    """The mean of projected frames, with weights that grow over the video.

        h_t = relu(I_t W + b)                    W [D, H], b [H]
        x   = sum_t t h_t / sum_t t              over the real frames t = 1 ... n

    Input shape: [B, T, D]. Output shape: [B, H].
    """

    def __init__(self, units: Annotated[int, "Units per frame (H)."] = 8, **kwargs):
        super().__init__(**kwargs)  # each argument is an attribute already: self.units

    def build(self, frames_shape, *_):
        size = frames_shape[-1]
        dense = keras.layers.Dense
        self.project = self.sublayer(dense, size, "project", units=self.units)

    def call(self, frames, frame_mask, training=False):
        steps = ops.arange(1, ops.shape(frames)[1] + 1, dtype="float32")
        weights = steps * ops.cast(frame_mask, "float32")  # [B, T], 0 at the padding
        weights = weights / ops.sum(weights, axis=1, keepdims=True)
        return ops.sum(weights[..., None] * ops.relu(self.project(frames)), axis=1)


def test_formula():
    """One video at a time, with its real frames only, in a few lines of numpy."""
    encoder = randomized(RecentFrames(4))
    kernel, bias = encoder.get_weights()
    result = encoder(X, MASK)
    for b, n in enumerate(LENGTHS):
        hidden = np.maximum(X[b, :n] @ kernel + bias, 0)
        t = np.arange(1, n + 1)
        check(result[b], t @ hidden / t.sum())


@pytest.fixture
def model():
    """The encoder with a classifier, its weights drawn at random."""
    model = VideoModel(LogisticModel(num_classes=3), RecentFrames(4))
    model({"frames": X, "num_frames": np.array(LENGTHS)})  # makes the weights
    for weight in model.trainable_weights:
        weight.assign(np.random.default_rng(2).normal(size=weight.shape))
    return model


def predict(model, padding=0):
    frames = np.pad(X, [(0, 0), (0, padding), (0, 0)])
    batch = {"frames": frames, "num_frames": np.array(LENGTHS)}
    return np.asarray(model(batch)["predictions"])


def test_padding_changes_nothing(model):
    check(predict(model, padding=5), predict(model))


def test_a_saved_model_predicts_the_same(model, tmp_path):
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(predict(loaded), predict(model))


def test_the_configuration_holds_every_argument(model):
    copy = VideoModel.from_config(model.get_config())
    assert copy.encoder.units == 4
    assert copy.get_config() == model.get_config()


def test_hyperparameters_have_a_help_sentence():
    (argument,) = hyperparameters(RecentFrames).values()
    assert argument.name == "units" and argument.help == "Units per frame (H)."
