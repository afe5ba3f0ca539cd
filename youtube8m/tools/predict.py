"""Prints the labels of videos: extracts their features, and predicts with a run.

    python -m youtube8m.tools.predict --train_dir=run my.mp4 \\
        --vocabulary_file=vocabulary.csv
    python -m youtube8m.tools.predict --train_dir=run --timeline my.mp4 other.tfrecord

Takes videos, and files of records. --vocabulary_file=FILE is a CSV of the classes, for
their names: the data set's vocabulary.csv, or one with a header index,name. Features
are extracted as those that the run was trained on: a run on features of
tools.extract_features remembers how, and one on YouTube-8M's needs the published
networks in ~/yt8m. For files with predictions give records to inference.py. Needs PyAV:
pip install 'youtube8m[video]'
"""

from youtube8m import cli
from youtube8m.cli import flags
from youtube8m.config import DataConfig
from youtube8m.errors import UserError
from youtube8m.extraction.video_predictions import PredictConfig, VideoPredictor

COMMANDS = None  # the videos

flags.define(PredictConfig)
flags.define_run_flags(DataConfig)


def main(*videos: str) -> None:
    """Predicts the videos that are named, and prints a table."""
    config = flags.read(PredictConfig)
    if not videos:
        raise UserError("no video is named; give their paths behind the flags")
    predictor = VideoPredictor(config)
    flags.warn_differing(predictor.trained.run)
    table = predictor.predict(videos).table()
    if table.count("\n"):
        print(table)
    if predictor.failed:
        raise UserError(
            f"{predictor.failed} of the videos could not be used, for the reasons above"
        )


if __name__ == "__main__":
    cli.run(main)
