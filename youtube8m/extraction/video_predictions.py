"""What a run says of videos, from the files to a table of labels.

    predictor = VideoPredictor(PredictConfig(train_dir="run"))
    print(predictor.predict(["my.mp4", "other.tfrecord"]).table())

Of a user's videos the features are extracted first (`own_videos`).

Shapes: V videos, N rows (videos, or five seconds of them), k classes.
"""

import dataclasses
import math
import os
import tempfile
from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np

from youtube8m.config import provenance
from youtube8m.config.fields import flag
from youtube8m.data.labels.vocabulary import Vocabulary, read_vocabulary
from youtube8m.data.reading.tfrecord import HEADER, sound_length
from youtube8m.errors import UserError
from youtube8m.extraction.own_videos import OwnVideos, OwnVideosConfig
from youtube8m.prediction.names import Preview
from youtube8m.prediction.predictions import Predictions
from youtube8m.prediction.predictor import TrainedRun, not_finite
from youtube8m.prediction.segmentation import split_videos
from youtube8m.util.files import escape_commas, find_files
from youtube8m.util.progress import Progress
from youtube8m.util.text import decode_id

_SECONDS = 5  # of a row of the timeline
_SEGMENTS = 1024  # predicted at once
_BATCH = 64  # videos predicted at once
# Endings of files that are often named in place of videos.
_NO_VIDEO = {
    ".csv": "a table",
    ".json": "JSON",
    ".jsonl": "JSON",
    ".parquet": "a table",
    ".txt": "text",
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class PredictConfig(OwnVideosConfig):
    """Which run predicts, and what is printed."""

    timeline: bool = flag(False, "Print the best labels of each five seconds.")
    top_k: int = flag(5, "Labels printed of each video, or of each five seconds.")


class VideoPredictor:
    """A trained run, the networks its features need, and the names of its classes.

    Raises UserError if the run or the vocabulary cannot be used.
    """

    def __init__(self, config: PredictConfig):
        self.config = config
        self.trained = TrainedRun(config.train_dir, config.hyperparameters)
        self.data = self.trained.run.data
        self.vocabulary = read_names(config.vocabulary_file, self.data.num_classes)
        self.trained.load_checkpoint(config.checkpoint)
        self.own = OwnVideos(self.trained, config)

    @property
    def failed(self) -> int:
        """Videos that could not be used so far."""
        return self.own.failed

    def predict(self, names: Sequence[str]) -> Preview:
        """The labels of videos, and of the videos in files of records.

        Args:
          names: paths or globs. Videos that cannot be used are told, and left out.

        Raises UserError if a model is missing, or records do not fit the run.
        """
        paths = [path for name in names for path in find_files(name) or [name]]
        paths = list(dict.fromkeys(paths))
        records = [path for path in paths if is_records(path)]
        videos = [path for path in paths if path not in records]
        if not any(map(_may_exist, paths)):
            raise UserError(f"{paths[0]}: there is no such file")
        if videos and all(map(_other_file, videos)):  # before a network is asked for
            raise UserError(
                f"{videos[0]}: is {_other_file(videos[0])}; name videos, files of "
                "records, or globs of them"
            )
        preview = Preview(self.vocabulary, math.inf, self.config.top_k)
        if videos:
            with tempfile.TemporaryDirectory() as directory:
                path = os.path.join(directory, "videos.tfrecord")
                made, done = self.own.extract(videos, path)
                if done:
                    self._predict([path], made, preview)
        if records:
            self._predict(records, None, preview)
        return preview

    def _predict(self, paths, made: Mapping[str, Any] | None, preview):
        """Adds the predictions of records to the preview."""
        pattern = ",".join(map(escape_commas, paths))
        timeline = self.config.timeline
        shards = self.trained.open_shards(pattern, "videos", timeline, labels=False)
        if made is None:
            names = self.data.feature_names
            made = provenance.made_of_shards(paths, names, "videos")
        rate = (made or self.trained.run.features).get("frames_per_second", 1)
        add = self._timeline if timeline else self._whole
        with Progress("predicting", shards.estimated_records) as progress:
            done = 0
            for batch in shards.iterate(shards.ordered_batches(_BATCH)):
                ids = [decode_id(name) for name in batch["id"].numpy()]
                preview.add(add(ids, batch, rate))
                progress.update(done := done + len(ids))
        shards.damage.warn_of_lost("and have no prediction")

    def _whole(self, ids, batch, _):
        classes, scores = self._best(batch)
        listed = np.ones(classes.shape, bool)
        return Predictions(ids, np.arange(len(ids)), None, classes, scores, listed)

    def _timeline(self, ids, batch, rate):
        size = max(1, round(_SECONDS * rate))
        segments, videos, starts = split_videos(batch, size)
        parts = []
        for first in range(0, len(starts), _SEGMENTS):
            cut = slice(first, first + _SEGMENTS)
            part = {name: values[cut] for name, values in segments.items()}
            parts.append(self._best(part))
        classes, scores = map(np.concatenate, zip(*parts, strict=True))
        seconds = np.rint(starts / rate).astype(int)
        listed = np.ones(classes.shape, bool)
        return Predictions(ids, videos, seconds, classes, scores, listed)

    def _best(self, batch):
        """Classes and confidences [N, k] of the best k."""
        predictions = self.trained.predict(batch)["predictions"]
        top_k = min(self.config.top_k, self.data.num_classes)
        scores, classes = keras.ops.top_k(predictions, top_k)
        if not np.isfinite(scores).all():
            raise not_finite(self.config.train_dir)
        return np.asarray(classes), np.asarray(scores)


def read_names(path: str, num_classes: int) -> Vocabulary:
    """The vocabulary, or one without names. Raises UserError if it is not the run's."""
    if path:
        return read_vocabulary(path, num_classes)
    zeros = np.zeros(num_classes, np.int64)
    return Vocabulary(("",) * num_classes, zeros, (), zeros - 1)


def _may_exist(path):
    return "://" in path or os.path.exists(os.path.expanduser(path))


def _other_file(path):
    """What a file is that can be no video, by its name; or ""."""
    ending = os.path.splitext(path)[1].lower()
    return _NO_VIDEO.get(ending, "") if "://" not in path else ""


def is_records(path: str) -> bool:
    """Whether it is a file of records: by its first bytes, or its name."""
    if path.endswith(".tfrecord"):
        return True
    try:
        with open(path, "rb") as file:
            return sound_length(file.read(HEADER)) >= 0
    except OSError:
        return False
