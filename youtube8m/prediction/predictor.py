"""A trained run over records: what evaluation and inference share.

    trained = TrainedRun("/tmp/yt8m_model")
    shards = trained.open_shards("test*.tfrecord", "--input_data_pattern")
    trained.load_checkpoint()                           # the newest, or one by name
    trained.predict(batch)["predictions"]               # float32 [B, C]

Both call this one function, so they agree on every prediction.
"""

from collections.abc import Mapping
from typing import Any

import tensorflow as tf

from youtube8m import models
from youtube8m.data.reading.batch import input_signature
from youtube8m.data.reading.pipeline import Shards
from youtube8m.data.reading.tensorflow_pipeline import open_shards
from youtube8m.errors import UserError
from youtube8m.layers.inputs import dequantize
from youtube8m.runs.directory import RunDirectory
from youtube8m.runs.weights import load_newest, load_weights, read_run


class TrainedRun:
    """The model of a run directory in inference mode.

    Args:
      hyperparameters: as `runs.weights.read_run` takes them.

    Raises:
      UserError: the directory holds no run.
    """

    def __init__(
        self, train_dir: str, hyperparameters: Mapping[str, Any] | None = None
    ):
        self.directory = RunDirectory(train_dir)
        self.run = read_run(self.directory, hyperparameters or {})
        if models.parts(self.run.model).classifier is None:
            raise UserError(
                f"--train_dir={self.directory.path}: holds a {self.run.model.model}, "
                "which predicts no labels; train a classifier with --warm_start_from="
                "that directory, and name the classifier's"
            )
        self.model = models.create(self.run)
        # Compiled once, for batches of any size and length.
        spec = input_signature(self.run.data)
        self._inputs = tuple(spec)
        self._call = tf.function(
            lambda inputs: self.model(inputs, training=False), input_signature=[spec]
        )

    def open_shards(
        self,
        pattern: str,
        flag: str,
        segments: bool = False,
        labels: bool = True,
        strict: bool = False,
        input_pipeline: str = "reader",
    ) -> Shards:
        """The records that the run's model takes; rated `segments` or videos.

        Raises:
          UserError: as `Shards.open`; the message adds what the run takes.
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
            return open_shards(
                input_pipeline, pattern, flag, data, labels, strict, segments
            )
        except UserError as error:
            level = "frame" if data.frame_features else "video"
            features = zip(data.feature_names, data.feature_sizes, strict=True)
            features = ", ".join(f"{name} ({size})" for name, size in features)
            raise UserError(
                f"{error} [{flag} must name records as the run was trained on: "
                f"{level}-level, {features}, {data.num_classes} classes]"
            ) from None

    def load(self, prefix: str) -> None:
        """Takes the weights of a checkpoint. Raises UserError if they do not fit."""
        load_weights(self.model, prefix)

    def load_checkpoint(self, name: str = "") -> str:
        """Takes the weights of --checkpoint, or of the newest that is sound.

        Returns:
          The checkpoint's prefix.

        Raises:
          UserError: there is none, or it cannot be restored.
        """
        prefix = self.directory.checkpoint(name)
        if name:
            self.load(prefix)
            return prefix
        return load_newest(self.directory, self.load)

    def predict(self, batch: dict) -> dict:
        """The model's outputs for a batch; keys it does not know are ignored."""
        inputs = {name: batch[name] for name in self._inputs}
        if self.run.data.released_crops and inputs["frames"].dtype == tf.uint8:
            inputs["frames"] = dequantize(inputs["frames"])  # segments, never cropped
        return self._call(inputs)


def mean_of_crops(predictions, crops: int, top_k: int | None = None):
    """The mean over the crops of each video.

    Source: Zou et al. 2017, section on ensembles, with `top_k` 20.

    Args:
      predictions: float32 [B crops, C], those of a video one after the other.
      top_k: of each crop's predictions, all but so many count 0; None: all count.

    Returns:
      float32 [B, C].
    """
    if top_k is not None:
        scores, classes = tf.math.top_k(predictions, top_k)
        rows = tf.broadcast_to(tf.range(len(classes))[:, None], tf.shape(classes))
        places = tf.stack([rows, classes], axis=-1)
        predictions = tf.scatter_nd(places, scores, tf.shape(predictions))
    by_video = tf.reshape(predictions, (-1, crops, predictions.shape[-1]))
    return tf.reduce_mean(by_video, axis=1)
