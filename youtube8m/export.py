"""Exports of a trained run, which are used without its run directory.

    export(ExportConfig(train_dir="model", output_dir="exported"))

savedmodel   serialised records [B] -> video_id [B], class_indexes and predictions
             [B, k]: the starter code's signature
mediapipe    rgb_and_audio float32 [B, T, D], num_frames int32 [B, 1] -> predictions
             [B, C]: MediaPipe's signature
keras        model.keras, the whole VideoModel, for `keras.saving.load_model`
"""

import dataclasses
import os

import tensorflow as tf
from absl import logging

from youtube8m.config import RunConfig
from youtube8m.config.fields import NEEDED, flag, require
from youtube8m.config.trained_run import CHECKPOINT_HELP, TrainedRunConfig
from youtube8m.data.reading.parsing_ops import choose_frames, parse_records
from youtube8m.errors import UserError, reason
from youtube8m.layers.cells import disable_cudnn
from youtube8m.layers.compiled import portable_graphs
from youtube8m.prediction.predictor import TrainedRun
from youtube8m.runs.checkpoint_files import tensorflow_directory
from youtube8m.util.files import replacing_directory


@dataclasses.dataclass(frozen=True)
class ExportConfig(TrainedRunConfig):
    """The run that is exported, and the format."""

    train_dir: str = flag("", "Directory that train.py wrote.", NEEDED)
    checkpoint: str = flag("", CHECKPOINT_HELP)
    output_dir: str = flag(
        "", "Directory to write: a new one, an empty one or an earlier export.", NEEDED
    )
    format: str = flag(
        "savedmodel",
        "savedmodel (takes serialised records), mediapipe (takes frames as floats) or "
        "keras (a model.keras file).",
    )
    top_k: int = flag(20, "Classes that a savedmodel lists per video.")

    def __post_init__(self):
        super().__post_init__()
        if self.format not in _WRITERS:
            formats = ", ".join(_WRITERS)
            raise UserError(f"--format={self.format}: must be one of {formats}")


def export(config: ExportConfig) -> RunConfig:
    """Writes --output_dir; returns the configuration of the run.

    Raises UserError if there is no such run or checkpoint, the model has no such
    format, or the directory holds something else or cannot be written.
    """
    trained = TrainedRun(config.train_dir, config.hyperparameters)
    prefix = trained.load_checkpoint(config.checkpoint)
    try:
        with replacing_directory(config.output_dir, "--output_dir") as path:
            path = tensorflow_directory(path)
            _WRITERS[config.format](trained, path, config.top_k)
    except tf.errors.OpError as error:
        message = f"--output_dir={config.output_dir}: cannot be written"
        raise UserError(f"{message} ({reason(error)})") from None
    logging.info("exported %s to %s", prefix, config.output_dir)
    return trained.run


def _refuse_released_crops(data):
    require(
        not data.released_crops,
        f"--frame_sampling={data.frame_sampling} with --released_code: crops of the "
        "released code are not exported; predict with inference.py",
    )


def _write_saved_model(trained, path, top_k):
    data = trained.run.data
    _refuse_released_crops(data)
    top_k = min(top_k, data.num_classes)

    def serve(example_bytes):
        batch = parse_records(data, example_bytes)
        predictions = trained.model(batch, training=False)["predictions"]
        scores, classes = tf.math.top_k(predictions, top_k)
        named = {"class_indexes": classes, "predictions": scores}
        return {"video_id": batch["id"], **named}

    _save(trained, serve, path, tf.TensorSpec([None], tf.string, "example_bytes"))


def _write_mediapipe(trained, path, _):
    data = trained.run.data
    require(
        data.frame_features,
        f"--format=mediapipe takes frames, but the model in {trained.directory.path} "
        "takes video-level features; export it with --format=savedmodel",
    )
    _refuse_released_crops(data)

    def serve(rgb_and_audio, num_frames):
        lengths = tf.clip_by_value(num_frames[:, 0], 1, tf.shape(rgb_and_audio)[1])
        index, num_frames = choose_frames(data, lengths)
        frames = tf.gather(rgb_and_audio, index, batch_dims=1)
        batch = {"frames": frames, "num_frames": num_frames}
        return {"predictions": trained.model(batch, training=False)["predictions"]}

    frames = tf.TensorSpec([None, None, data.feature_size], tf.float32, "rgb_and_audio")
    lengths = tf.TensorSpec([None, 1], tf.int32, "num_frames")
    _save(trained, serve, path, frames, lengths)


def _save(trained, serve, path, *inputs):
    """Writes a SavedModel of one signature, a function of the model's outputs."""
    disable_cudnn(trained.model)
    module = tf.Module()
    # Of the model itself TensorFlow would save Keras' objects, but no layers in lists.
    module.weights = [variable.value for variable in trained.model.variables]
    function = tf.function(serve, input_signature=inputs, autograph=False)
    with portable_graphs():
        tf.saved_model.save(module, path, {"serving_default": function})


def _write_keras(trained, path, _):
    trained.model.save(os.path.join(path, "model.keras"))


_WRITERS = {
    "savedmodel": _write_saved_model,
    "mediapipe": _write_mediapipe,
    "keras": _write_keras,
}
