"""Trains a model; the flags are the starter code's and more (--help).

python train.py --model=LogisticModel --train_data_pattern='train*.tfrecord'
python train.py --preset=zou2017-bilstm-moe --train_data_pattern='train*.tfrecord'
"""

import contextlib
import dataclasses
import os
import sys

import tensorflow as tf
from absl import logging

from youtube8m import cli, models
from youtube8m.cli import data_flags, flags
from youtube8m.config import DataConfig
from youtube8m.errors import UserError
from youtube8m.models.preset import find
from youtube8m.runs.directory import RunDirectory
from youtube8m.schema import CLASS_FACTS
from youtube8m.training.config import TrainingConfig
from youtube8m.training.trainer import Trainer
from youtube8m.training.workers import Workers
from youtube8m.util.json import JsonError, read_json

flags.define(TrainingConfig, DataConfig)
flags.define_model_flags()


def main() -> None:
    """Reads the flags and trains."""
    flags.apply_preset()
    goes_on = False
    with contextlib.suppress(UserError):  # the trainer tells what is wrong there
        goes_on = _keep_settings()
    config = flags.read(TrainingConfig)
    if not goes_on:
        data_flags.set_from_records(config.train_data_pattern, "--train_data_pattern")
    run = flags.make_run()
    if config.preset:
        _announce(config, run)
    workers = Workers.from_environment(os.environ)
    tf.debugging.set_log_device_placement(config.log_device_placement)
    trainer = Trainer(run, config, workers=workers)
    trainer.train()
    if trainer.stopped_by:  # so that nothing goes on as if the run were complete
        sys.exit(128 + trainer.stopped_by)


def _keep_settings():
    """Makes a run's own values the defaults; returns whether there is a run.

    That concerns how it reads the data, what its files lack, and its preset, whose
    values may be others by now. Flags that are given win.
    """
    given = flags.FLAGS
    directory = RunDirectory(given.train_dir)
    if given.start_new_model or not directory.latest_checkpoint():
        return False
    if directory.is_starters:  # the trainer says what to do with it
        return False
    began = directory.read_run()
    run = models.complete(began)
    names = {*run.model.hyperparameters} - {*began.model.hyperparameters}
    if given.model == run.model.model:  # else the trainer says that they differ
        names |= {*data_flags.KEPT}
    if getattr(models.parts(run.model).encoder, "classifiers", ()):
        names.add("video_level_classifier_model")
    if given.preset and given.preset == _preset_of(directory):
        names |= find(given.preset).flags.keys()
    kept = {**vars(run.data), **vars(run.model), **run.model.hyperparameters}
    for name in names.intersection(kept, given):
        value = kept[name]
        text = ",".join(map(str, value)) if isinstance(value, tuple) else value
        given.set_default(name, text)
    data_flags.keep(run.data)
    return True


def _preset_of(directory):
    path = directory.file("training_config.json")
    with contextlib.suppress(JsonError):
        return read_json(path, lambda values: values["preset"])


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
