"""Settings and fixtures of all tests."""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import signal

import keras
import numpy as np
import pytest
from absl import logging

from tests.helpers.sample import SAMPLE
from youtube8m.data.writing import synthetic

# Under nohup and the like it is ignored, also by all processes that tests start.
signal.signal(signal.SIGINT, signal.default_int_handler)


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
