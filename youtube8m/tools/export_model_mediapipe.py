"""Exports a checkpoint for MediaPipe, with the starter code's flags.

    python -m youtube8m.tools.export_model_mediapipe \\
        --checkpoint_file=model/model.ckpt-1000 --output_dir=mediapipe

The same as `python -m youtube8m.tools.export --format=mediapipe`.
"""

from youtube8m import cli

if __name__ == "__main__":
    cli.run("youtube8m.tools.export_model_mediapipe")

import dataclasses
import os

from youtube8m import flags
from youtube8m.config import flag
from youtube8m.errors import UserError
from youtube8m.export import ExportConfig, export
from youtube8m.runs import BEST


@dataclasses.dataclass(frozen=True)
class MediapipeConfig:
    """The starter code's flags."""

    checkpoint_file: str = flag(
        "", "Checkpoint in a run's directory, such as model/model.ckpt-1000."
    )
    output_dir: str = flag("", "Directory to write.")


flags.define(MediapipeConfig)


def main() -> None:
    """Reads the flags and exports."""
    config = flags.read(MediapipeConfig)
    train_dir, name = os.path.split(config.checkpoint_file)
    if os.path.basename(train_dir) in BEST:  # of the run's own
        train_dir, best = os.path.split(train_dir)
        name = os.path.join(best, name)
    if not os.path.basename(name):
        raise UserError(
            f"--checkpoint_file={config.checkpoint_file}: name a checkpoint in a run's "
            "directory, such as model/model.ckpt-1000"
        )
    export(ExportConfig(train_dir or ".", name, config.output_dir, "mediapipe"))
