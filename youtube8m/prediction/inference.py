"""Writes a run's predictions: a Kaggle CSV, JSON lines or Parquet.

Inference(InferenceConfig(...)).run()
"""

import dataclasses
import functools
import time

import keras
import numpy as np
import tensorflow as tf
from absl import logging

from youtube8m.config.data import CROPS
from youtube8m.config.fields import require_unread
from youtube8m.data.download.youtube_ids import YoutubeIds
from youtube8m.data.labels.segment_classes import read_segment_classes
from youtube8m.data.labels.vocabulary import read_vocabulary
from youtube8m.data.reading.batch import device_inputs, of_any_size
from youtube8m.errors import UserError
from youtube8m.prediction import formats
from youtube8m.prediction.config import InferenceConfig
from youtube8m.prediction.names import Preview
from youtube8m.prediction.predictions import Predictions
from youtube8m.prediction.predictor import TrainedRun, mean_of_crops, not_finite
from youtube8m.prediction.segment_ranking import SegmentRanking
from youtube8m.prediction.segmentation import split_videos
from youtube8m.prediction.submission import IDS
from youtube8m.prediction.writer import open_writer
from youtube8m.runs import archive
from youtube8m.util.ahead import computed_ahead
from youtube8m.util.files import replacing, split_paths
from youtube8m.util.progress import Progress
from youtube8m.util.text import decode_id

_SEGMENT_BATCH = 4096  # segments predicted at once
_PROGRESS = "num examples processed: %d elapsed seconds: %.2f examples/sec: %.2f"


class Inference:
    """Predicts videos, or all five-second segments of them.

    Raises UserError if a flag or the data is wrong.
    """

    def __init__(self, config: InferenceConfig):
        given = config
        if config.input_model_tgz:
            path = archive.unpack(config.input_model_tgz, config.untar_model_dir)
            config = dataclasses.replace(config, train_dir=path, input_model_tgz="")
        self.config = config
        if config.output_format == formats.PARQUET:
            formats.load_pyarrow("--output_format=parquet")
        paths = split_paths(config.train_dir)
        self.members = [TrainedRun(path, config.hyperparameters) for path in paths]
        self.trained = self.members[0]
        self.crops = max(1, len(config.crop_starts))
        self.youtube_ids = YoutubeIds(config) if config.youtube_ids else None
        self._check_same_reading()
        for member in self.members:  # an error now, before the data is opened
            member.directory.checkpoint(config.checkpoint)
        self.shards = self.trained.open_shards(
            config.input_data_pattern,
            "--input_data_pattern",
            segments=config.segment_labels,
            labels=False,
            ids=IDS[config.segment_labels],
            strict=config.strict_data,
            input_pipeline=config.input_pipeline,
        )
        self._require_unread(given)
        self._require_features()
        self.num_classes = self.trained.run.data.num_classes
        self.vocabulary = None
        if config.vocabulary_file:
            path = config.vocabulary_file
            self.vocabulary = read_vocabulary(path, self.num_classes)
        sampling = self.trained.run.data.frame_sampling
        if config.crop_starts and sampling not in CROPS:
            raise UserError(
                f"--crop_starts: the run in {config.train_dir} reads "
                f"--frame_sampling={sampling}, which has no start to choose; drop it, "
                f"or train with --frame_sampling={' or '.join(CROPS)}"
            )
        self.checkpoints = [m.load_checkpoint(config.checkpoint) for m in self.members]

    def _require_unread(self, given):
        """Raises UserError if the flags would have a file overwritten that is read."""
        inputs = ("vocabulary_file", "segment_label_ids_file", "input_model_tgz")
        runs = (path for m in self.members for path in m.directory.files())
        outputs = ("output_file", "output_model_tgz")
        require_unread(given, outputs, inputs, [*self.shards.paths, *runs])

    def _check_same_reading(self):
        """Raises UserError unless all models read the same from the records."""
        first = self._reading(self.trained)
        for member in self.members[1:]:
            other = self._reading(member)
            found = [(name, first[name], other[name]) for name in first]
            different = [f"{n} {one} and {two}" for n, one, two in found if one != two]
            if different:
                raise UserError(
                    f"--train_dir: {self.trained.directory.path} and "
                    f"{member.directory.path} read records differently "
                    f"({', '.join(different)}); predict with each, and merge the files "
                    "with python -m youtube8m.tools.ensemble"
                )

    def _require_features(self):
        """Raises UserError unless all models take features that were made alike."""
        for member in self.members[1:]:
            member.require_features(self.trained.run.features, "--train_dir")

    def _reading(self, member):
        """The fields of DataConfig that decide how a model reads records here."""
        data = member.run.data
        if self.config.segment_labels and data.frame_features:
            data = data.of_segments()
        if self.config.crop_starts:
            data = dataclasses.replace(data, crop_start=0)
        return dataclasses.asdict(data.as_predicted())

    def run(self) -> int:
        """Writes --output_file; returns the number of videos predicted."""
        logging.info("predicting with %s", ", ".join(self.checkpoints))
        if self.config.output_model_tgz:
            (prefix,), path = self.checkpoints, self.config.output_model_tgz
            archive.pack(path, self.trained.directory, prefix)
            logging.info("packed the model: %s", path)
        self._names: set[str] = set()
        preview = Preview(self.vocabulary) if self.config.names else None
        with (
            replacing(self.config.output_file, "--output_file", binary=True) as file,
            self._open_writer(file) as writer,
        ):
            segments = self.config.segment_labels
            for found in self._find_segments() if segments else self._find_videos():
                writer.add(found)
                if preview:
                    preview.add(found)
        logging.info("wrote %s", self.config.output_file)
        self.shards.damage.warn_of_lost("and have no prediction")
        if self.youtube_ids:
            self.youtube_ids.warn_of_missing()
        if preview:
            print(preview.table())
        return self._done

    def _open_writer(self, file):
        ranking = None
        if self.config.segment_labels:
            limit = self.config.segment_max_pred
            ranking = SegmentRanking(self._listed_classes, limit)
        is_part = self.config.num_shards > 1
        form = self.config.output_format
        return open_writer(form, file, ranking, is_part, self.vocabulary)

    @functools.cached_property
    def _listed_classes(self):
        """bool [C]: the classes of which segments are listed."""
        path = self.config.segment_label_ids_file
        return read_segment_classes(path, self.num_classes)

    def _find_videos(self):
        """Yields the Predictions of each batch of videos."""
        for names, classes, scores in self._computed(self._predict_videos):
            new = np.array([self._is_new(name) for name in names], bool)
            classes, scores = classes[new], scores[new]
            listed = np.ones(classes.shape, bool)
            yield Predictions(names, np.flatnonzero(new), None, classes, scores, listed)

    def _predict_videos(self, batch):
        """The V ids of a batch; of the videos: classes and confidences [V, k]."""
        return _decode_ids(batch)[:: self.crops], *self._find_top(batch)

    def _find_segments(self):
        """Yields the Predictions of the segments of each batch of videos."""
        for names, *columns in self._computed(self._predict_segments):
            new = np.array([self._is_new(name) for name in names])[columns[0]]
            videos, starts, classes, scores = (column[new] for column in columns)
            listed = self._listed_classes[classes]
            yield Predictions(names, videos, starts, classes, scores, listed)

    def _predict_segments(self, batch):
        """The V ids of a batch; of S segments: videos, starts, classes, confidences."""
        segments, videos, starts = split_videos(batch)
        parts = []
        for first in range(0, len(videos), _SEGMENT_BATCH):
            cut = slice(first, first + _SEGMENT_BATCH)
            part = {name: values[cut] for name, values in segments.items()}
            parts.append(self._find_top(part, self._listed_classes))
        classes, scores = map(np.concatenate, zip(*parts, strict=True))
        return _decode_ids(batch), videos, starts, classes, scores

    def _is_new(self, name):
        """Whether no video with this id was predicted before; else that is logged."""
        count = len(self._names)
        self._names.add(name)
        if len(self._names) == count:
            logging.warning("another video has the id %r, too; left out", name)
        return len(self._names) > count

    def _find_top(self, batch, allowed=None):
        """Classes and confidences [B, k], the highest (of allowed classes)."""
        inputs = device_inputs(batch)
        if allowed is not None:
            inputs["allowed"] = allowed
        classes, scores = (column.numpy() for column in self._compiled(inputs))
        if not np.isfinite(scores).all():
            raise not_finite(self.config.train_dir)
        return classes, scores

    @functools.cached_property
    def _compiled(self):
        return of_any_size(self._top)

    def _top(self, inputs):
        """As `_find_top`, of tensors.

        A prediction is the weighted mean over models of the mean over crops.
        """
        top_k = min(self.config.top_k, self.num_classes)
        cut = top_k if self.config.ensemble_average == "top_k" else None
        weights = self.config.ensemble_weights or (1.0,) * len(self.members)
        total = 0.0
        for member, weight in zip(self.members, weights, strict=True):
            predictions = member.predict(inputs)["predictions"]
            if "allowed" in inputs:
                predictions *= tf.cast(inputs["allowed"], tf.float32)
            if self.crops > 1 or len(weights) > 1:
                mean = mean_of_crops(predictions, self.crops, cut)
                predictions = total = total + weight / sum(weights) * mean
        scores, classes = keras.ops.top_k(predictions, top_k)
        return classes, scores

    def _computed(self, predict):
        """Yields what `predict` makes of each batch, the ids of its videos first."""
        # Batches of frames are large, and one of them keeps the device busy as well.
        count = 1 if self.trained.run.data.frame_features else 2
        start, self._done = time.monotonic(), 0
        total = self.shards.estimated_records // self.config.num_shards
        with Progress("predicting", total) as progress:
            for found in computed_ahead(predict, self._batches(), count):
                yield found
                self._done += len(found[0])
                progress.update(self._done)
                if not progress.visible:
                    seconds = time.monotonic() - start
                    rate = self._done / seconds
                    logging.info(_PROGRESS, self._done, seconds, rate)

    def _batches(self):
        dataset = self.shards.ordered_batches(
            self.config.batch_size,
            self.config.num_readers,
            self.config.crop_starts,
            part=(self.config.shard_index, self.config.num_shards),
        )
        for batch in self.shards.iterate(dataset):
            if self.youtube_ids:
                names = self.youtube_ids.replace(batch["id"].numpy())
                batch = {**batch, "id": tf.constant(names)}
            yield batch


def _decode_ids(batch):
    """The ids as text, whose bytes stay the same when it is written."""
    return [decode_id(name) for name in batch["id"].numpy()]
