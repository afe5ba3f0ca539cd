"""Encoders that need sums of frames alone take bytes, and give what floats give."""

import numpy as np
import pytest
import tensorflow as tf

from youtube8m import models
from youtube8m.config import DataConfig, ModelConfig, RunConfig
from youtube8m.layers.inputs import is_bytes

SIZE = 300  # enough to be worth compiling for
FRAMES = np.random.default_rng(0).integers(0, 256, (2, 7, SIZE), np.uint8)
DATA = DataConfig(("rgb",), (SIZE,), frame_features=True, num_classes=3)
CASES = [
    ("FrameLevelLogisticModel", {}),
    ("FrameLevelLogisticModel", {"input_transform": "none"}),
    ("FrameLevelLogisticModel", {"input_transform": "reverse_whitening"}),
    ("PositionEncoding", {}),
    ("PositionEncoding", {"released_code": True}),
    ("AdaptiveNoise", {}),
    ("IndirectClustering", {"clustering_alpha": 0.5}),
]


def create(name, values):
    config = ModelConfig(name, hyperparameters=values, class_counts=(1, 2, 3))
    return models.create(RunConfig(DATA, config))


@pytest.mark.parametrize("name, values", CASES)
def test_bytes_give_what_floats_give(name, values):
    model, taken = create(name, values), []
    batch = {"frames": tf.constant(FRAMES), "num_frames": tf.constant([3, 7])}
    descriptor = model.encode(batch)["descriptor"]  # eager, so by floats
    call = model.encoder.call

    def note_type(frames, *arguments, **others):
        taken.append(is_bytes(frames))
        return call(frames, *arguments, **others)

    model.encoder.call = note_type
    compiled = tf.function(lambda batch: model.encode(batch)["descriptor"])(batch)
    np.testing.assert_allclose(compiled, descriptor, rtol=1e-4, atol=1e-5)
    assert taken == [values.get("input_transform", "l2") == "l2"]


def test_a_projection_needs_floats():
    values = {"clustering_projection": True}
    assert not create("IndirectClustering", values).encoder.takes_bytes
    values["released_code"] = True
    assert create("IndirectClustering", values).encoder.takes_bytes
