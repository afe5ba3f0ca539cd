"""Building the model of a run.

model = create(RunConfig(DataConfig(...), ModelConfig(model="LstmModel")))
outputs = model(batch)
"""

import dataclasses
import typing

import keras
import numpy as np

from youtube8m.config import DataConfig, ModelConfig, RunConfig
from youtube8m.config.features import numpy_dtype
from youtube8m.config.model import DEFAULTS_VERSION
from youtube8m.errors import UserError, unknown_name
from youtube8m.models.base import CLASSIFIERS, ENCODERS, LABEL_PROCESSING, VideoModel
from youtube8m.registry import construct, defaults


class Parts(typing.NamedTuple):
    """The classes of a model's parts, None where it has no such part."""

    encoder: type | None
    classifier: type | None
    label_processing: type | None


def parts(config: ModelConfig) -> Parts:
    """The classes of the parts that `config` names.

    Raises UserError for an unknown name, or a classifier that the encoder does not go
    with.
    """
    name = config.label_processing
    processing = LABEL_PROCESSING.get(name) if name else None
    if config.model in CLASSIFIERS:
        return Parts(None, CLASSIFIERS.get(config.model), processing)
    if config.model not in ENCODERS:
        raise unknown_name("--model", config.model, {*ENCODERS, *CLASSIFIERS})
    encoder = ENCODERS.get(config.model)
    if not encoder.supervised:
        return Parts(encoder, None, None)
    classifier = CLASSIFIERS.get(_classifier(encoder, config))
    if encoder.classifies_frames and not classifier.may_classify_frames:
        raise UserError(
            f"--video_level_classifier_model={classifier.__name__}: mixes descriptors "
            f"of whole videos, but {encoder.__name__} hands on several, each of which "
            "is classified; choose another classifier or --model"
        )
    return Parts(encoder, classifier, processing)


def _classifier(encoder, config):
    """The name of the classifier; see `FrameEncoder.classifiers`."""
    name = config.video_level_classifier_model
    if not encoder.classifiers or name in encoder.classifiers:
        return name
    if config.defaults_version < DEFAULTS_VERSION:
        first = encoder.classifiers[0]
        return encoder.earlier_defaults.get("video_level_classifier_model", first)
    if name in ("", ModelConfig.video_level_classifier_model):
        return encoder.classifiers[0]
    raise unfit_classifier(encoder, name)


def unfit_classifier(encoder: type, name: str) -> UserError:
    """The error for a classifier that an encoder does not go with."""
    return UserError(
        f"--video_level_classifier_model={name}: {encoder.__name__} goes with "
        f"{' or '.join(encoder.classifiers)} alone; choose that, or another --model"
    )


def complete(run: RunConfig) -> RunConfig:
    """The run with all hyper-parameters of its model, also those that its file lacks.

    Raises UserError as `parts`.
    """
    config = run.model
    classes = parts(config)
    values = defaults(*classes, VideoModel)
    if config.defaults_version < DEFAULTS_VERSION:
        for cls in filter(None, classes):
            values |= cls.earlier_defaults
    values.pop("video_level_classifier_model", None)
    classifier = classes.classifier
    model = dataclasses.replace(
        config,
        video_level_classifier_model=classifier.__name__ if classifier else "",
        hyperparameters={**values, **config.hyperparameters},
        defaults_version=DEFAULTS_VERSION,
    )
    return dataclasses.replace(run, model=model)


def require_keras() -> None:
    """Raises UserError unless Keras computes with TensorFlow, in float32.

    Models run on each of its backends. Training and prediction need TensorFlow's.
    """
    if keras.config.backend() != "tensorflow":
        raise UserError(
            f"Keras' backend is {keras.config.backend()}, but training and prediction "
            "need tensorflow: set KERAS_BACKEND=tensorflow before Keras is imported"
        )
    if keras.config.floatx() != "float32":
        raise UserError(
            f"Keras' floatx is {keras.config.floatx()}; expected float32: call "
            "keras.config.set_floatx('float32'), or correct ~/.keras/keras.json"
        )


def create(run: RunConfig) -> VideoModel:
    """Builds the model of a run, with its weights.

    Raises UserError for an unknown name, the wrong level of features for the model, or
    a hyper-parameter's value that it refuses.
    """
    run = complete(run)
    classes = parts(run.model)
    _check_level(run, classes.encoder)
    values = run.constructor_values
    built = {
        name: cls and construct(cls, values, name=name)
        for name, cls in classes._asdict().items()
    }
    model = construct(VideoModel, values, **built, name=run.model.model)
    model(dummy_batch(run.data))
    return model


def descriptor_shape(model: VideoModel, data: DataConfig) -> tuple | None:
    """The shape of a descriptor, (1, H); None where there is one per vertical."""
    descriptor = model.encode(dummy_batch(data))["descriptor"]
    return None if isinstance(descriptor, (list, tuple)) else tuple(descriptor.shape)


def dummy_batch(data: DataConfig, batch: int = 1, frames: int = 2) -> dict:
    """A batch of zeros in the form that `data` describes."""
    if not data.frame_features:
        return {"features": np.zeros((batch, data.feature_size), np.float32)}
    arrays = {
        array.key: np.zeros(
            (batch, *[frames] * array.per_frame, array.size), numpy_dtype(array.dtype)
        )
        for array in data.frame_arrays
    }
    return {**arrays, "num_frames": np.full(batch, frames, np.int32)}


def _check_level(run, encoder_class):
    name = run.model.model
    if encoder_class is None and run.data.frame_features:
        free = (n for n in ENCODERS if not ENCODERS.get(n).classifiers)
        raise UserError(
            f"--model={name} takes video-level features, but --frame_features is set; "
            f"drop it, or choose a frame-level model ({', '.join(free)}) with "
            f"--video_level_classifier_model={name}"
        )
    if encoder_class is not None and not run.data.frame_features:
        raise UserError(
            f"--model={name} takes frame-level features; add --frame_features"
        )


def count_parameters(model: keras.Model) -> int:
    """Trainable values of a built model."""
    return sum(int(np.prod(weight.shape)) for weight in model.trainable_weights)
