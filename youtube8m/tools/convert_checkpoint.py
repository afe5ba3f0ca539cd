"""Makes a run that train.py continues of a directory that the starter code wrote.

    python -m youtube8m.tools.convert_checkpoint --train_dir=theirs --output_dir=ours \\
        --batch_size=1024
    python train.py --train_dir=ours ...

The weights, the step and Adam's state come along; the place in the data does not, so
the next step reads the first batch of the first epoch. eval.py and inference.py take
the starter code's directories as they are.
"""

import dataclasses

from absl import logging

from youtube8m import cli, models, optimizers
from youtube8m.cli import flags
from youtube8m.config import DataConfig, RunConfig
from youtube8m.config.fields import NEEDED, flag
from youtube8m.config.trained_run import TrainedRunConfig
from youtube8m.errors import UserError
from youtube8m.optimizers import slot_variables
from youtube8m.prediction.predictor import load_run
from youtube8m.runs.derived_code import weight_values
from youtube8m.runs.directory import RunDirectory
from youtube8m.runs.starter_code import StarterCheckpoint
from youtube8m.runs.weights import load_weights, named_variables
from youtube8m.training.resume import fix_optimizer
from youtube8m.training.saver import Saver
from youtube8m.training.steps import TrainingState

_ADAM = "AdamOptimizer"


@dataclasses.dataclass(frozen=True)
class ConvertConfig(TrainedRunConfig):
    """What is converted, and where it goes."""

    train_dir: str = flag("", "Directory that the starter code wrote.", NEEDED)
    output_dir: str = flag("", "Directory to write.", NEEDED)
    checkpoint: str = flag("", "Checkpoint to use (model.ckpt-STEP); else the newest.")
    batch_size: int = flag(
        1024,
        "Examples of each of its steps, on all GPUs together: the learning rate decays "
        "by the examples seen.",
    )
    optimizer: str = flag(
        _ADAM, "Optimizer to continue with; any but Adam begins without a state."
    )


flags.define(ConvertConfig)
flags.define_run_flags(DataConfig)


def main() -> None:
    """Reads the flags and converts. The model's own come from model_flags.json."""
    flags.warn_differing(convert(flags.read(ConvertConfig)))


def convert(config: ConvertConfig) -> RunConfig:
    """Writes --output_dir; returns what the run is.

    Raises UserError if --train_dir is not the starter code's, its variables do not fit,
    or --output_dir is not empty.
    """
    directory = RunDirectory(config.train_dir)
    run = load_run(directory, config.hyperparameters)
    if not directory.is_starters:
        raise UserError(
            f"--train_dir={directory.path}: not written by the starter code; train.py "
            "continues from it as it is"
        )
    output = RunDirectory(config.output_dir, "--output_dir")
    output.require_empty()
    prefix = directory.checkpoint(config.checkpoint)
    state = _restore_state(models.create(run), prefix, config)
    output.prepare(run, start_new=False)
    fix_optimizer(output, config.optimizer)
    written = Saver(output, state, keep=1).save()
    logging.info("wrote %s, %d examples", written, state.examples.numpy())
    return run


def _restore_state(model, prefix, config):
    """The state of training that a checkpoint of the starter code holds."""
    load_weights(model, prefix)
    state = TrainingState(model, optimizers.create(config.optimizer, 0.01))
    checkpoint = StarterCheckpoint(prefix)
    state.step.assign(checkpoint.step)
    state.examples.assign(checkpoint.step * config.batch_size)
    slots = checkpoint.slots
    if config.optimizer == _ADAM and "Adam" in slots:
        _load_adam(state, checkpoint)
    else:
        found = f"keeps {', '.join(sorted(slots))}" if slots else "keeps no state"
        logging.warning(
            "%s: the optimizer there %s, so %s begins anew; only Adam's state comes "
            "along, for --optimizer=%s",
            prefix,
            found,
            config.optimizer,
            _ADAM,
        )
    return state


def _load_adam(state, checkpoint):
    """TF1's Adam keeps the means in Adam, the means of squares in Adam_1."""
    optimizer = state.optimizer
    trained = named_variables(state.model.trainable_variables)
    for theirs, ours in (("Adam", "momentum"), ("Adam_1", "velocity")):
        values = weight_values(state.model, trained, checkpoint, theirs)
        slots = slot_variables(optimizer, ours)
        for name, variable in zip(trained, slots, strict=True):
            variable.assign(values[name])
    optimizer.iterations.assign(checkpoint.adam_updates)


if __name__ == "__main__":
    cli.run(main)
