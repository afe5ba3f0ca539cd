"""Every model by name, and how to build one from a run's configuration.

run = RunConfig(DataConfig(...), ModelConfig(model="LstmModel"))
model = models.create(run)
outputs = model(batch)
"""

import keras
import numpy as np

from youtube8m.config import DataConfig, ModelConfig, RunConfig
from youtube8m.errors import UserError, unknown_name
from youtube8m.models import (  # noqa: F401 - they fill the registry
    akopyan2017,
    na2017,
    starter,
    tang2017,
    zhao2019,
    zou2017,
)
from youtube8m.models.base import (
    CLASSIFIERS,
    ENCODERS,
    Classifier,
    FrameEncoder,
    VideoModel,
)
from youtube8m.models.classifiers import LogisticModel, MoeModel
from youtube8m.models.starter import DbofModel, FrameLevelLogisticModel, LstmModel
from youtube8m.registry import construct

__all__ = [
    "Classifier",
    "DbofModel",
    "FrameEncoder",
    "FrameLevelLogisticModel",
    "LogisticModel",
    "LstmModel",
    "MoeModel",
    "VideoModel",
    "CLASSIFIERS",
    "create",
    "ENCODERS",
    "parts",
]


def parts(config: ModelConfig) -> tuple[type | None, type | None]:
    """The encoder's class (None at video level) and the classifier's (None without).

    Raises:
      UserError: an unknown name.
    """
    if config.model in CLASSIFIERS:
        return None, CLASSIFIERS.get(config.model)
    if config.model not in ENCODERS:
        raise unknown_name("--model", config.model, {*ENCODERS, *CLASSIFIERS})
    encoder = ENCODERS.get(config.model)
    if not encoder.supervised:
        return encoder, None
    name = encoder.fixed_classifier or config.video_level_classifier_model
    return encoder, CLASSIFIERS.get(name)


def create(run: RunConfig) -> VideoModel:
    """Builds the model of a run, with its weights.

    Raises:
      UserError: an unknown name, the wrong level of features for the model, or a
        hyper-parameter's value that it refuses.
    """
    encoder_class, classifier_class = parts(run.model)
    _check_level(run, encoder_class)
    values = {**run.model.hyperparameters, **_facts(run)}
    encoder = encoder_class and construct(encoder_class, values, name="encoder")
    classifier = classifier_class and construct(
        classifier_class, values, name="classifier"
    )
    model = VideoModel(classifier, encoder, name=run.model.model)
    model(dummy_batch(run.data))
    return model


def _facts(run):
    """What constructors are told of the data; arguments that are no flags."""
    facts = {
        "num_classes": run.data.num_classes,
        "feature_sizes": run.data.feature_sizes,
        "max_frames": run.data.max_frames,
        "verticals": run.model.verticals,
        "class_counts": run.model.class_counts,
    }
    return {name: fact for name, fact in facts.items() if fact != ()}


def dummy_batch(data: DataConfig, batch: int = 1, frames: int = 2) -> dict:
    """A batch of zeros in the form that `data` describes."""
    if not data.frame_features:
        return {"features": np.zeros((batch, data.feature_size), np.float32)}
    return {
        "frames": np.zeros((batch, frames, data.feature_size), np.uint8),
        "num_frames": np.full(batch, frames, np.int32),
    }


def _check_level(run, encoder_class):
    name = run.model.model
    if encoder_class is None and run.data.frame_features:
        raise UserError(
            f"--model={name} takes video-level features, but --frame_features is set; "
            f"drop it, or choose a frame-level model ({', '.join(ENCODERS)}) with "
            f"--video_level_classifier_model={name}"
        )
    if encoder_class is not None and not run.data.frame_features:
        raise UserError(
            f"--model={name} takes frame-level features; add --frame_features"
        )


def count_parameters(model: keras.Model) -> int:
    """Trainable values of a built model."""
    return sum(int(np.prod(weight.shape)) for weight in model.trainable_weights)
