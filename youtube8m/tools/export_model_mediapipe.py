"""Exports a checkpoint for MediaPipe, with the starter code's flags.

    python -m youtube8m.tools.export_model_mediapipe \\
        --checkpoint_file=model/model.ckpt-1000 --output_dir=mediapipe

The same as `python -m youtube8m.tools.export --format=mediapipe`.
"""

import dataclasses
import os

from youtube8m import cli
from youtube8m.cli import flags
from youtube8m.config import DataConfig
from youtube8m.config.fields import flag
from youtube8m.config.trained_run import TrainedRunConfig
from youtube8m.errors import UserError
from youtube8m.export import ExportConfig, export
from youtube8m.runs.checkpoint_files import EXPORTS, is_complete
from youtube8m.runs.directory import BEST
from youtube8m.util.files import local_path


@dataclasses.dataclass(frozen=True)
class MediapipeConfig(TrainedRunConfig):
    """The starter code's flags."""

    checkpoint_file: str = flag(
        "", "Checkpoint in a run's directory, such as model/model.ckpt-1000."
    )
    output_dir: str = flag("", "Directory to write.")


flags.define(MediapipeConfig)
flags.define_run_flags(DataConfig)


def main() -> None:
    """Reads the flags and exports. The model's own come from model_flags.json."""
    config = flags.read(MediapipeConfig)
    path = local_path(config.checkpoint_file, "--checkpoint_file")
    if not os.path.basename(config.checkpoint_file):
        raise UserError(
            f"--checkpoint_file={config.checkpoint_file}: name a checkpoint in a run's "
            "directory, such as model/model.ckpt-1000"
        )
    train_dir, checkpoint = os.path.split(path)
    parent, folder = os.path.split(train_dir)
    has_flags = os.path.exists(os.path.join(train_dir, "model_flags.json"))
    # The starter code's eval.py copies the newest checkpoint there, and its users name
    # the copy; ours does not.
    is_copy = folder == "inference_model" and checkpoint in EXPORTS
    if is_copy and not is_complete(path):
        train_dir, checkpoint = parent, ""
    elif folder in ("inference_model", *BEST) and not has_flags:
        train_dir, checkpoint = parent, os.path.join(folder, checkpoint)
    exported = ExportConfig(
        train_dir=train_dir,
        checkpoint=checkpoint,
        output_dir=config.output_dir,
        format="mediapipe",
        hyperparameters=config.hyperparameters,
    )
    flags.warn_differing(export(exported))


if __name__ == "__main__":
    cli.run(main)
