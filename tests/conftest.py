"""Settings and sample data that several test files share."""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import pytest
from absl import logging

from youtube8m.data import synthetic

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
