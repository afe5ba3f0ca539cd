"""A step of the logistic model, and batches of labelled videos for it."""

import numpy as np
import tensorflow as tf

from tests.helpers.training_runs import LOGISTIC
from youtube8m import losses, models, optimizers
from youtube8m.training.config import TrainingConfig
from youtube8m.training.steps import TrainingState, TrainStep


def make_step(run=LOGISTIC, optimizer=None, strategy=None, **values):
    settings = TrainingConfig(train_data_pattern="x", **values)
    optimizer = optimizer or optimizers.create(
        settings.optimizer, settings.base_learning_rate
    )
    state = TrainingState(models.create(run), optimizer, losses.create(run))
    strategy = strategy or tf.distribute.OneDeviceStrategy("/cpu:0")
    return TrainStep(strategy, state, settings, run.data.num_classes)


def labelled(rows):
    rng = np.random.default_rng(0)
    features = rng.normal(size=(rows, 32)).astype(np.float32)
    labels = rng.integers(0, 12, (rows, 2)).astype(np.int32)
    return {"features": tf.constant(features), "labels": tf.constant(labels)}
