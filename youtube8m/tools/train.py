"""Trains a model; the flags are the starter code's and more (--help).

python train.py --model=LogisticModel --train_data_pattern='train*.tfrecord'
"""

from youtube8m import cli

if __name__ == "__main__":
    cli.run("youtube8m.tools.train")

import tensorflow as tf

from youtube8m import flags
from youtube8m.config import DataConfig, TrainingConfig
from youtube8m.training.distribution import allow_memory_growth
from youtube8m.training.trainer import Trainer

flags.define(TrainingConfig, DataConfig)
flags.define_model_flags()


def main() -> None:
    """Reads the flags and trains."""
    config, run = flags.read(TrainingConfig), flags.read_run()
    allow_memory_growth()
    tf.debugging.set_log_device_placement(config.log_device_placement)
    Trainer(run, config).train()
