"""Averages the weights of several checkpoints into a run directory of its own.

    python -m youtube8m.tools.average_checkpoints --train_dir=model --last=5 \\
        --output_dir=averaged
    python eval.py --train_dir=averaged --run_once --eval_data_pattern=...

It averages the weights that eval.py would use of each checkpoint: the moving averages
of a run with --ema_decay, else the weights. The output has neither an optimizer nor a
position in the data: it predicts, and --warm_start_from reads it, but its training
cannot resume.
"""

import dataclasses

import numpy as np
import tensorflow as tf
from absl import logging

from youtube8m import cli, models
from youtube8m.cli import flags
from youtube8m.config import DataConfig, RunConfig
from youtube8m.config.fields import ANY, NEEDED, flag, split_list
from youtube8m.config.trained_run import TrainedRunConfig
from youtube8m.errors import UserError
from youtube8m.prediction.predictor import load_run
from youtube8m.runs.checkpoint_files import step_of
from youtube8m.runs.directory import RunDirectory
from youtube8m.runs.weights import load_weights, named_variables, save_weights
from youtube8m.util.progress import Progress


@dataclasses.dataclass(frozen=True)
class AverageConfig(TrainedRunConfig):
    """What is averaged, and where it goes."""

    train_dir: str = flag("", "Directory that train.py wrote.", NEEDED)
    checkpoints: str = flag(
        "", "Checkpoints to average (model.ckpt-STEP), comma-separated."
    )
    last: int | None = flag(
        None, "Instead of --checkpoints: how many of the newest.", ANY
    )
    output_dir: str = flag("", "Directory to write, of the averaged model.", NEEDED)

    def __post_init__(self):
        super().__post_init__()
        if bool(self.checkpoints) == (self.last is not None):
            raise UserError(
                "--checkpoints and --last: give one of them, the names of checkpoints "
                "or how many of the newest"
            )


flags.define(AverageConfig)
flags.define_run_flags(DataConfig)


def main() -> None:
    """Reads the flags and averages. Those of the model come from model_flags.json."""
    flags.warn_differing(average(flags.read(AverageConfig)))


def average(config: AverageConfig) -> RunConfig:
    """Writes the averaged model; returns the configuration of its run.

    Raises UserError if there are no such checkpoints, or --output_dir is not empty.
    """
    directory = RunDirectory(config.train_dir)
    run = load_run(directory, config.hyperparameters)
    prefixes = _find_checkpoints(directory, config)
    output = RunDirectory(config.output_dir, "--output_dir")
    output.require_empty()
    model = models.create(run)
    _average(model, prefixes)
    output.prepare(run, start_new=False)
    written = save_weights(model, output, max(map(step_of, prefixes)))
    logging.info("wrote the mean of %d checkpoints: %s", len(prefixes), written)
    return run


def _find_checkpoints(directory, config):
    if config.last is None:
        names = split_list(config.checkpoints)
        return [directory.checkpoint(name, "--checkpoints") for name in names]
    found = directory.checkpoints()
    if not 1 <= config.last <= len(found):
        raise UserError(
            f"--last={config.last}: {directory.path} has {len(found)} checkpoints; "
            "give a number from 1 to that"
        )
    return found[-config.last :]


def _average(model, prefixes):
    """Gives the model the mean of the checkpoints' weights.

    Variables of whole numbers (random state) keep the values of the last.
    """
    variables = named_variables(model.variables).values()
    floats = [variable for variable in variables if variable.dtype.is_floating]
    sums = [np.zeros(variable.shape, np.float64) for variable in floats]
    with Progress("averaging", len(prefixes), "checkpoint") as progress:
        for done, prefix in enumerate(prefixes, 1):
            load_weights(model, prefix)
            for total, variable in zip(sums, floats, strict=True):
                total += variable.numpy()
            progress.update(done)
    for total, variable in zip(sums, floats, strict=True):
        variable.assign(tf.cast(total / len(prefixes), variable.dtype))


if __name__ == "__main__":
    cli.run(main)
