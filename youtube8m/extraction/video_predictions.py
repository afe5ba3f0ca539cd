"""What a run says of videos, from the files to a table of labels.

    predictor = VideoPredictor(PredictConfig(train_dir="run"))
    print(predictor.predict(["my.mp4", "other.tfrecord"]).table())

Features are extracted as the run's own were, into a temporary file of records, which is
then read as any other: so frames are chosen, and features joined, as in training.

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
from absl import logging

from youtube8m.config import provenance
from youtube8m.config.fields import NEEDED, flag
from youtube8m.config.trained_run import CHECKPOINT_HELP, TrainedRunConfig
from youtube8m.data.labels.vocabulary import Vocabulary, read_vocabulary
from youtube8m.data.reading.tfrecord import HEADER, sound_length
from youtube8m.data.writing.records import record_file
from youtube8m.errors import UserError
from youtube8m.extraction import description
from youtube8m.extraction.config import FeatureConfig
from youtube8m.extraction.image_networks import STARTER
from youtube8m.extraction.many_videos import Extraction, feature_sizes, make_extractor
from youtube8m.extraction.media import import_av
from youtube8m.extraction.video_lists import Video
from youtube8m.extraction.video_records import make_record
from youtube8m.prediction.names import Preview
from youtube8m.prediction.predictor import TrainedRun, not_finite
from youtube8m.prediction.segmentation import split_batch
from youtube8m.prediction.writer import Predictions
from youtube8m.util.files import escape_commas, find_files
from youtube8m.util.progress import Progress
from youtube8m.util.text import decode_id

_SECONDS = 5  # of a row of the timeline
_SEGMENTS = 1024  # predicted at once
_BATCH = 64  # videos predicted at once
_YT8M_SIZES = {"rgb": 1024, "mean_rgb": 1024, "audio": 128, "mean_audio": 128}


@dataclasses.dataclass(frozen=True, kw_only=True)
class PredictConfig(TrainedRunConfig):
    """Which run predicts, and what is printed."""

    train_dir: str = flag("", "Directory that train.py wrote.", NEEDED)
    timeline: bool = flag(False, "Print the best labels of each five seconds.")
    top_k: int = flag(5, "Labels printed of each video, or of each five seconds.")
    checkpoint: str = flag("", CHECKPOINT_HELP)
    image_model: str = flag(
        "",
        "The network for images, where the run does not say which, or where its file "
        "is by now; as of tools.extract_features.",
    )
    model_dir: str = flag(
        "", "Directory of the published models; default: the run's, or ~/yt8m."
    )
    pca_dir: str = flag("", "Directory of the images' PCA; default: the run's.")
    insert_zero_audio_features: bool = flag(
        False, "Whether videos without sound get audio of 0; else they are an error."
    )
    batch_size: int = flag(32, "Frames at once.")
    num_workers: int = flag(4, "Videos that are decoded side by side.")
    vocabulary_file: str = ""  # the data set's vocabulary.csv, for names of classes


class VideoPredictor:
    """A trained run, the networks its features need, and the names of its classes.

    Raises UserError if the run or the vocabulary cannot be used.
    """

    def __init__(self, config: PredictConfig):
        self.config = config
        self.trained = TrainedRun(config.train_dir, config.hyperparameters)
        self.data = self.trained.run.data
        self.vocabulary = _read_names(config.vocabulary_file, self.data.num_classes)
        self.trained.load_checkpoint(config.checkpoint)
        self.failed = 0  # videos that could not be used

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
        preview = Preview(self.vocabulary, math.inf, self.config.top_k)
        if videos:
            with tempfile.TemporaryDirectory() as directory:
                path = os.path.join(directory, "videos.tfrecord")
                made, done = self._extract(videos, path)
                if done:
                    self._predict([path], made, preview)
        if records:
            self._predict(records, None, preview)
        return preview

    def _extract(self, paths, output):
        """Writes the videos' records; returns how they were made, and how many."""
        import_av()
        config = self._features()
        extractor = make_extractor(config)
        made = description.describe(config, feature_sizes(extractor, config))
        self.trained.require_features(made, "--image_model, --pca_dir or --model_dir")
        names = [os.path.basename(path) for path in paths]
        unique = len({*names}) == len(names)
        titles = names if unique else paths
        videos = [
            Video(path, title, None, None)
            for path, title in zip(paths, titles, strict=True)
        ]
        work = Extraction(extractor, config)
        with (
            Progress("extracting", len(videos)) as progress,
            record_file(output) as write,
        ):
            for video, features in work.run(videos, progress):
                write(make_record(video, features, config))
        if work.stopped:
            raise work.stopped
        self.failed = work.failed
        return made, work.done

    def _features(self) -> FeatureConfig:
        """How the run's features are made: as it says, or as YouTube-8M's."""
        config, made = self.config, self.trained.run.features
        given = {
            name: value
            for name in ("image_model", "model_dir", "pca_dir")
            if (value := getattr(config, name))
        }
        given |= {"batch_size": config.batch_size, "num_workers": config.num_workers}
        if not made and not config.image_model:
            self._require_yt8m()
            given["image_model"] = STARTER
        if not made:
            given["image_feature_key"] = self._image_key()
        if config.insert_zero_audio_features:
            given["insert_zero_audio_features"] = True
        heard = {*self.data.feature_names} & {*provenance.AUDIO}
        if not heard:
            given |= {"audio": False, "insert_zero_audio_features": False}
        return description.feature_config(
            made, **given, skip_frame_level_features=not self.data.frame_features
        )

    def _image_key(self):
        names = [n for n in self.data.feature_names if n not in provenance.AUDIO]
        return names[0].removeprefix("mean_") if names else "rgb"

    def _require_yt8m(self):
        sizes = zip(self.data.feature_names, self.data.feature_sizes, strict=True)
        directory = self.trained.directory.path
        if not all(_YT8M_SIZES.get(name) == size for name, size in sizes):
            raise UserError(
                f"--train_dir={directory}: does not say how its features were made, "
                "and they are not YouTube-8M's; give --image_model and --pca_dir, or "
                "records"
            )
        logging.info(
            "%s does not say how its features were made; taken for YouTube-8M's "
            "(--image_model=%s)",
            directory,
            STARTER,
        )

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
        segments, videos, starts = split_batch(batch, size)
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


def _read_names(path, num_classes):
    """The vocabulary, or one without names."""
    if path:
        return read_vocabulary(path, num_classes)
    zeros = np.zeros(num_classes, np.int64)
    return Vocabulary(("",) * num_classes, zeros, (), zeros - 1)


def _may_exist(path):
    return "://" in path or os.path.exists(os.path.expanduser(path))


def is_records(path: str) -> bool:
    """Whether it is a file of records: by its first bytes, or its name."""
    if path.endswith(".tfrecord"):
        return True
    try:
        with open(path, "rb") as file:
            return sound_length(file.read(HEADER)) >= 0
    except OSError:
        return False
