"""Explains what a run says of one video: its labels over time, and what they rest on.

    python -m youtube8m.tools.explain --train_dir=run --video_id=aAbc \\
        --input_data_pattern='validate*.tfrecord' --report_dir=explained
    python -m youtube8m.tools.explain --train_dir=run my.mp4 --report_dir=explained

Prints the labels of each five seconds alone, how much each label loses when these
seconds are left out, and the attention of models that have one; --report_dir draws
them. Takes a record by its id, or a video, whose features are extracted as those that
the run was trained on (pip install 'youtube8m[video]').
"""

import dataclasses
import os
import tempfile
from collections.abc import Sequence

from absl import logging

from youtube8m import cli
from youtube8m.cli import flags
from youtube8m.config import DataConfig
from youtube8m.config.fields import flag, require
from youtube8m.data.reading.damage import Damage
from youtube8m.data.reading.search import find_records
from youtube8m.data.reading.tfrecord import read_records
from youtube8m.errors import UserError
from youtube8m.extraction.own_videos import OwnVideos, OwnVideosConfig
from youtube8m.extraction.thumbnails import read_thumbnails
from youtube8m.extraction.video_predictions import read_names
from youtube8m.prediction.occlusion import SECONDS, explain_record
from youtube8m.prediction.predictor import TrainedRun
from youtube8m.reports import explanation
from youtube8m.reports.pages import require_report
from youtube8m.runs.checkpoint_files import step_of
from youtube8m.util.text import encode_id

COMMANDS = None  # a video


@dataclasses.dataclass(frozen=True, kw_only=True)
class ExplainConfig(OwnVideosConfig):
    """Which video is explained, by which run."""

    input_data_pattern: str = flag(
        "", "Glob of the shards, 'val*.tfrecord', or several, comma-separated."
    )
    video_id: str = flag("", "Id of the video's record in --input_data_pattern.")
    top_k: int = flag(10, "Labels that are explained, the highest ones.")
    report_dir: str = flag("", "Directory to write report.html and its tables to.")


flags.define(ExplainConfig)
flags.define_run_flags(DataConfig)


def main(*videos: str) -> None:
    """Explains the record that the flags name, or the video."""
    print(explain(flags.read(ExplainConfig), videos))


def explain(config: ExplainConfig, videos: Sequence[str] = ()) -> str:
    """What is printed of a record, or of a video; writes --report_dir if it is given.

    Raises UserError if the run, the record or the video cannot be used.
    """
    _check_arguments(config, videos)
    path = ""
    if config.report_dir:  # an error now, not after the work
        path = require_report(config.report_dir, "report.html", "--report_dir")
    trained = TrainedRun(config.train_dir, config.hyperparameters)
    flags.warn_differing(trained.run)
    vocabulary = read_names(config.vocabulary_file, trained.run.data.num_classes)
    prefix = trained.load_checkpoint(config.checkpoint)
    read = _of_video if videos else _of_record
    where, record, rate = read(trained, config, *videos)
    explained = explain_record(trained, record, config.top_k, rate)
    if not explained.has_frames:
        logging.warning("%s", explanation.NO_FRAMES)
    elif len(explained.starts) == 1:
        logging.warning("%s", explanation.ONE_SEGMENT)
    if path:
        pictures = []
        if videos:
            pictures = read_thumbnails(videos[0], explained.starts, SECONDS)
        facts = {
            "Run": trained.directory.path,
            "Model": trained.run.model.model,
            "Checkpoint": f"step {step_of(prefix):,}",
            "Video": where,
        }
        page = explanation.page(explained, vocabulary, facts, pictures)
        logging.info("wrote %s", page.write(path, "--report_dir")[0])
    return explanation.as_lines(explained, vocabulary)


def _check_arguments(config, videos):
    """Raises UserError unless one video, or one record, is named."""
    named = bool(config.input_data_pattern or config.video_id)
    require(
        len(videos) == (0 if named else 1),
        f"{len(videos)} videos are named behind the flags"
        + (", and a record by its id" if named else "")
        + "; expected one video, or --input_data_pattern and --video_id",
    )
    require(
        not named or bool(config.input_data_pattern and config.video_id),
        "give both --input_data_pattern and --video_id",
    )


def _of_record(trained, config):
    """Where a record is, its data, and its frames in a second."""
    name, shown = "--input_data_pattern", config.video_id
    shards = trained.open_shards(config.input_data_pattern, name, labels=False)
    found = find_records(shards, encode_id(shown))
    if not found:
        raise UserError(
            f"--video_id={shown}: no record of the {len(shards.paths)} files of "
            f"{name}={config.input_data_pattern} has this id; inference.py writes the "
            "ids of all records"
        )
    path, index, record = found[0]
    where = f"{path}, record {index}"
    if len(found) > 1:
        message = "--video_id=%s: %d records have this id; the first is explained (%s)"
        logging.warning(message, shown, len(found), where)
    return where, record, trained.run.features.get("frames_per_second", 1)


def _of_video(trained, config, video):
    """As `_of_record`, of the record that is made of a video."""
    with tempfile.TemporaryDirectory() as directory:
        path = os.path.join(directory, "video.tfrecord")
        made, done = OwnVideos(trained, config).extract([video], path)
        if not done:
            raise UserError(f"{video}: cannot be used, for the reason above")
        _, record = next(read_records(path, Damage(strict=True)))
    return video, record, made.get("frames_per_second", 1)


if __name__ == "__main__":
    cli.run(main)
