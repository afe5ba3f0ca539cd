"""Settings and sample data that several test files share."""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import signal

import keras
import numpy as np
import pytest
from absl import logging

from youtube8m.data.writing import synthetic

# Under nohup and the like it is ignored, also by all processes that tests start.
signal.signal(signal.SIGINT, signal.default_int_handler)

SAMPLE = synthetic.SampleConfig(
    num_classes=12,
    feature_names=("rgb", "audio"),
    feature_sizes=(24, 8),
    num_train=160,
    num_validate=60,
    num_test=20,
    min_frames=8,
    max_frames=24,
)

FRAME_FLAGS = (
    "--frame_features",
    "--feature_names=rgb,audio",
    "--feature_sizes=24,8",
    "--num_classes=12",
)
VIDEO_FLAGS = (
    "--feature_names=mean_rgb,mean_audio",
    "--feature_sizes=24,8",
    "--num_classes=12",
)


@pytest.fixture(scope="session")
def sample(tmp_path_factory):
    """A small learnable data set; see `synthetic.write_sample` for the keys."""
    return synthetic.write_sample(str(tmp_path_factory.mktemp("sample")), SAMPLE)


@pytest.fixture(autouse=True)
def every_line():
    """Commands set how much is logged, and tests read it."""
    logging.set_verbosity(logging.INFO)


@pytest.fixture(autouse=True)
def own_draws(request, monkeypatch):
    """What is drawn does not depend on the tests before."""
    keras.utils.set_random_seed(0)
    if hasattr(request.module, "RNG"):  # 0 has been used while it was loaded
        monkeypatch.setattr(request.module, "RNG", np.random.default_rng(1))
