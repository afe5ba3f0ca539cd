"""A trained run as a predictor, which evaluation, inference and export share.

trained = TrainedRun("/tmp/yt8m_model")
shards = trained.open_shards("test*.tfrecord", "--input_data_pattern")
trained.load_checkpoint()                           # the newest, or one by name
trained.predict(batch)["predictions"]               # float32 [B, C]
"""

import re
from collections.abc import Mapping
from typing import Any

import tensorflow as tf

from youtube8m import models
from youtube8m.config import RunConfig
from youtube8m.config.provenance import (
    Made,
    differences,
    different_values,
    made_of_shards,
)
from youtube8m.data.reading.batch import input_signature
from youtube8m.data.reading.first_records import UnfitRecords
from youtube8m.data.reading.pipeline import Shards
from youtube8m.data.reading.tensorflow_pipeline import open_shards
from youtube8m.errors import UserError
from youtube8m.layers.inputs import as_floats, join_frames
from youtube8m.runs import derived_code
from youtube8m.runs.directory import RunDirectory
from youtube8m.runs.starter_code import StarterCheckpoint
from youtube8m.runs.weights import load_newest, load_weights

_ADVICE = re.compile(r"; (drop|add|check|see|set) --.*")  # on a flag of train.py


def load_run(directory: RunDirectory, given: Mapping[str, Any]) -> RunConfig:
    """The configuration of a run, whose classes are imported.

    Args:
      given: hyper-parameters, for a directory of the starter code or of code derived
        from it, which does not hold all of them; and the flags that `describe` takes,
        if it has no model_flags.json.

    Raises UserError if the directory holds no run.
    """
    is_starters = directory.is_starters
    if is_starters and not directory.has_flags:
        run = derived_code.describe(directory.path, given)
    else:
        run = directory.read_run()
    models.import_classes(run.model, directory.path)
    if not is_starters:
        return run
    checkpoint = StarterCheckpoint(directory.checkpoint())
    return derived_code.infer_run(checkpoint, run, given)


class TrainedRun:
    """The model of a run directory in inference mode.

    Args:
      given: hyper-parameters; see `load_run`.
      predicts: whether the model must predict labels; else a descriptor is enough.

    Raises UserError if the directory holds no run.
    """

    def __init__(
        self,
        train_dir: str,
        given: Mapping[str, Any] | None = None,
        predicts: bool = True,
    ):
        models.require_keras()
        self.directory = RunDirectory(train_dir)
        self.run = load_run(self.directory, given or {})
        if predicts and models.parts(self.run.model).classifier is None:
            raise UserError(
                f"--train_dir={self.directory.path}: holds a {self.run.model.model}, "
                "which predicts no labels; train a classifier with --warm_start_from="
                "that directory, and give the classifier's directory"
            )
        self.model = models.create(self.run)
        # One graph serves batches of any size and length.
        data = self.run.data
        spec = input_signature(data)
        if data.released_crops:  # segments are never cropped, and of other types
            frames = tf.TensorSpec([None, None, data.feature_size], tf.float32)
            spec = {"frames": frames, "num_frames": spec["num_frames"]}
        self._inputs = tuple(spec)
        self._call = tf.function(
            lambda inputs: self.model(inputs, training=False),
            input_signature=[spec],
            autograph=False,
        )

    def open_shards(
        self,
        pattern: str,
        flag: str,
        segments: bool = False,
        labels: bool = True,
        strict: bool = False,
        input_pipeline: str = "reader",
        ids: re.Pattern[bytes] | None = None,
    ) -> Shards:
        """Opens records for the run's model, as videos or as `segments`.

        Args: as `Shards.open`.

        Raises UserError if the records do not fit; the message adds what the run reads.
        """
        data = self.run.data
        if segments and not data.frame_features:
            raise UserError(
                f"--segment_labels: the model in {self.directory.path} takes "
                "video-level features; only frame-level models know segments"
            )
        if segments and not labels:  # nothing says which: they are cut from videos
            data, segments = data.of_segments(), False
        try:
            shards = open_shards(
                input_pipeline, pattern, flag, data, labels, strict, segments, ids
            )
        except UnfitRecords as error:
            level = "frame" if data.frame_features else "video"
            features = zip(data.feature_names, data.feature_sizes, strict=True)
            features = ", ".join(f"{name} ({size})" for name, size in features)
            what = _ADVICE.sub("", str(error))
            raise UserError(
                f"{what} [{flag} must name records as the run was trained on: "
                f"{level}-level, {features}, {data.num_classes} classes]"
            ) from None
        names = self.run.data.feature_names
        self.require_features(made_of_shards(shards.paths, names, flag), flag)
        return shards

    def require_features(self, made: Made, flag: str) -> None:
        """Raises UserError if features of `flag` were made otherwise than the run's."""
        names = self.run.data.feature_names
        if different := differences(made, self.run.features, names):
            raise UserError(
                f"{flag}: these features and those that the run in "
                f"{self.directory.path} was trained on were made differently "
                f"({different_values(different)}); extract them as the run's were"
            )

    def load(self, prefix: str) -> None:
        """Loads the weights of a checkpoint. Raises UserError if they do not fit."""
        load_weights(self.model, prefix)

    def load_checkpoint(self, name: str = "") -> str:
        """Loads --checkpoint, or the newest one that is sound; returns its prefix.

        Raises UserError if there is none, or it cannot be restored.
        """
        prefix = self.directory.checkpoint(name)
        if not name:
            return load_newest(self.directory, self.load)
        self.load(prefix)
        return prefix

    def predict(self, batch: dict) -> dict:
        """The model's outputs for a batch, of which it may not need all keys."""
        if self.run.data.released_crops:
            batch = {**batch, "frames": as_floats(join_frames(batch))}
        return self._call({name: batch[name] for name in self._inputs})


def not_finite(train_dir: str) -> UserError:
    """The error for confidences that are none, which no file of predictions holds."""
    return UserError(
        f"--train_dir={train_dir}: the model predicts values that are not finite for "
        "some videos; another checkpoint or model is needed"
    )


def mean_of_crops(predictions, crops: int, top_k: int | None = None):
    """The mean over the crops of each video, float32 [B, C].

    Source: Zou et al. 2017, section on ensembles, with `top_k` 20.

    Args:
      predictions: float32 [B crops, C], the crops of a video in neighbouring rows.
      top_k: of each crop only so many predictions count, and the others are 0; None:
        all count.
    """
    if top_k is not None:
        scores, classes = tf.math.top_k(predictions, top_k)
        rows = tf.range(tf.shape(classes)[0])[:, None]
        rows = tf.broadcast_to(rows, tf.shape(classes))
        indices = tf.stack([rows, classes], axis=-1)
        predictions = tf.scatter_nd(indices, scores, tf.shape(predictions))
    by_video = tf.reshape(predictions, (-1, crops, predictions.shape[-1]))
    return tf.reduce_mean(by_video, axis=1)
