"""Short training runs on the sample data set, and what they leave behind."""

import json
import textwrap

from tests.helpers import processes
from tests.helpers.sample import SAMPLE
from youtube8m.config import DataConfig, ModelConfig, RunConfig
from youtube8m.runs.checkpoint_files import step_of
from youtube8m.runs.directory import RunDirectory
from youtube8m.training.config import TrainingConfig
from youtube8m.training.trainer import Trainer

FRAMES = DataConfig(("rgb", "audio"), (24, 8), True, num_classes=SAMPLE.num_classes)
VIDEO = DataConfig(("mean_rgb", "mean_audio"), (24, 8), num_classes=SAMPLE.num_classes)
DBOF = ModelConfig(
    "DbofModel",
    hyperparameters={
        "iterations": 4,
        "dbof_cluster_size": 16,
        "dbof_hidden_size": 8,
    },
)
# Takes the same frames whatever the random state.
FIXED_DBOF = ModelConfig(
    "DbofModel",
    hyperparameters={
        **DBOF.hyperparameters,
        "sample_random_frames": False,
        "iterations": 24,
    },
)
CENTERS = ModelConfig(
    "DbofModel",
    "LogisticModel",
    label_loss="CenterLoss",
    hyperparameters={
        **FIXED_DBOF.hyperparameters,
        "center_loss_weight": 0.5,
        "center_rate": 0.01,
    },
)
LOGISTIC = RunConfig(VIDEO, ModelConfig("LogisticModel"))


def config(sample, train_dir, level="frame", **values):
    values = {"batch_size": 32, "num_epochs": 2, "num_readers": 2, **values}
    return TrainingConfig(
        train_dir=str(train_dir), train_data_pattern=sample[f"{level}/train"], **values
    )


def train(run, settings, strategy=None):
    """All weights of the model and of the loss after training."""
    trainer = Trainer(run, settings, strategy)
    trainer.train()
    variables = [*trainer.state.model.variables, *trainer.state.loss.variables]
    return [variable.numpy() for variable in variables]


def last_step(train_dir):
    """The step that a killed run has saved, and goes on from."""
    return step_of(RunDirectory(str(train_dir)).checkpoint())


def metrics_lines(train_dir):
    with open(train_dir / "metrics.jsonl") as file:
        return [json.loads(line) for line in file]


# Begins scripts that take: replicas (1 or 2), data, output, batch size.
TWO_REPLICAS = """
import sys, tensorflow as tf
tf.config.set_logical_device_configuration(
    tf.config.list_physical_devices("CPU")[0],
    [tf.config.LogicalDeviceConfiguration()] * 2)
replicas, data, out, batch = int(sys.argv[1]), sys.argv[2], sys.argv[3], sys.argv[4]
strategy = (tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"]) if replicas == 2
            else tf.distribute.OneDeviceStrategy("CPU:0"))
"""
CLIP = 0.1


def assert_clipped(train_dir, limit, count):
    """At least one of at most `count` gradients was longer than the limit, always."""
    norms = [line["gradient_norm"] for line in metrics_lines(train_dir)]
    assert min(norms) > limit * count**0.5


def run_python(script, *arguments):
    return processes.forked("-c", textwrap.dedent(script), *arguments)
