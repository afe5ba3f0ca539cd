"""Trains a model; the flags are the starter code's and more (--help).

python train.py --model=LogisticModel --train_data_pattern='train*.tfrecord'
python train.py --preset=zou2017-bilstm-moe --train_data_pattern='train*.tfrecord'
"""

import dataclasses
import os
import sys

import tensorflow as tf
from absl import logging

from youtube8m import cli
from youtube8m.cli import data_flags, flags
from youtube8m.config import DataConfig
from youtube8m.models.preset import find
from youtube8m.runs.directory import RunDirectory
from youtube8m.schema import CLASS_FACTS
from youtube8m.training.config import TrainingConfig
from youtube8m.training.trainer import Trainer
from youtube8m.training.workers import Workers

flags.define(TrainingConfig, DataConfig)
flags.define_model_flags()


def main() -> None:
    """Reads the flags and trains."""
    flags.apply_preset()
    config = flags.read(TrainingConfig)
    data_flags.complete(
        config.train_data_pattern, "--train_data_pattern", _saved_data(config)
    )
    run = flags.read_run()
    if config.preset:
        _announce(config, run)
    workers = Workers.from_environment(os.environ)
    tf.debugging.set_log_device_placement(config.log_device_placement)
    trainer = Trainer(run, config, workers=workers)
    trainer.train()
    if trainer.stopped_by:  # so that nothing goes on as if the run were complete
        sys.exit(128 + trainer.stopped_by)


def _saved_data(config):
    """What the run that is to go on reads; None of a run that begins."""
    directory = RunDirectory(config.train_dir)
    if config.start_new_model or not directory.latest_checkpoint():
        return None
    return directory.read_run().data


def _announce(config, run):
    """Logs the preset, and all settings that follow from it and the flags."""
    preset = find(config.preset)
    logging.info(
        "preset %s: %s, %s, reported %s",
        config.preset,
        preset.paper,
        preset.row,
        preset.figure or "without a figure",
    )
    for title, part in (("data", run.data), ("model", run.model), ("training", config)):
        logging.info("%s: %s", title, _format_settings(part))


def _format_settings(config):
    """'name=value' of what is set; facts of each class would fill screens."""
    values, words = dataclasses.asdict(config), []
    values |= values.pop("hyperparameters", {})
    for name, value in values.items():
        if isinstance(value, tuple):
            value = ",".join(map(str, value))
        if name not in CLASS_FACTS and value not in ("", None):
            words.append(f"{name}={value}")
    return " ".join(words)


if __name__ == "__main__":
    cli.run(main)
