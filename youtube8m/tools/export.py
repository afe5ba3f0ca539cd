"""Exports a trained run for serving: a SavedModel, MediaPipe's, or a .keras file.

    python -m youtube8m.tools.export --train_dir=model --output_dir=exported
    python -m youtube8m.tools.export --train_dir=model --output_dir=mediapipe \\
        --format=mediapipe

savedmodel: serialised records in (`example_bytes`); `video_id`, `class_indexes` and
`predictions` out, the --top_k best of each video. mediapipe: `rgb_and_audio`
[B, T, D] and `num_frames` [B, 1] in, `predictions` [B, C] out; frames are floats, not
yet normalised, and are chosen from as the run reads videos (--skip_frames ...).
keras: the file model.keras.
"""

from youtube8m import cli
from youtube8m.cli import flags
from youtube8m.config import DataConfig
from youtube8m.export import ExportConfig, export

flags.define(ExportConfig)
flags.define_run_flags(DataConfig)


def main() -> None:
    """Reads the flags and exports. The model's own come from model_flags.json."""
    flags.warn_differing(export(flags.read(ExportConfig)))


if __name__ == "__main__":
    cli.run(main)
