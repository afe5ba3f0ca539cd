"""The contract of all models: an encoder and a classifier make a VideoModel.

    model = VideoModel(MoeModel(num_classes=3862), encoder=LstmModel(lstm_cells=512))
    outputs = model({"frames": frames, "num_frames": num_frames})
    outputs["predictions"]                                # float32 [B, C] in [0, 1]

Shapes: [B, T, D] are batch, frames, features; H the descriptor's length, C classes.
"""

import keras
from keras import ops

from youtube8m.layers.inputs import NormalizedFeatures, frame_mask
from youtube8m.registry import PACKAGE, Registry

ENCODERS = Registry("--model")
CLASSIFIERS = Registry("--video_level_classifier_model")

# slim's l2_regularizer(x) is x * sum(w^2) / 2, Keras' L2(x) is x * sum(w^2).
WEIGHT_DECAY = 1e-8 / 2


def weight_decay() -> keras.regularizers.Regularizer:
    """The L2 penalty that the starter code puts on fully connected weights."""
    return keras.regularizers.L2(WEIGHT_DECAY)


class FrameEncoder(keras.layers.Layer):
    """Frames of any number to one descriptor per video.

    Subclasses implement `call(frames, frame_mask, training)`: [B, T, D] and bool
    [B, T] to the descriptor [B, H], or to a dict of `descriptor` and named extras.
    Pads are zero on entry, and must not change the result.
    """

    # Encoders that the starter code ties to one classifier name it here.
    fixed_classifier: str | None = None

    def select(self, frames, frame_mask, training=False):
        """The frames that `call` is to be given, chosen while they are still bytes.

        Returns:
          frames [B, k, D] and mask [B, k]; all of them unless overridden.
        """
        return frames, frame_mask


class Classifier(keras.layers.Layer):
    """A descriptor to the probabilities of all classes.

    Subclasses implement `call(descriptor, training)`: [B, H] to float32 [B, C] in
    [0, 1], or to a dict of `predictions` and named extras. They compute in the
    policy's dtype up to the logits and in float32 from there.
    """

    def __init__(self, num_classes: int, **kwargs):
        super().__init__(**kwargs)
        self.num_classes = num_classes

    def get_config(self):
        return {**super().get_config(), "num_classes": self.num_classes}


@keras.saving.register_keras_serializable(PACKAGE)
class VideoModel(keras.Model):
    """Bytes in, probabilities out: normalisation, encoder and classifier.

    Args:
      classifier: a Classifier.
      encoder: a FrameEncoder, or None for video-level features.

    Call with a dict: `frames` [B, T, D] (uint8, or floats already dequantised) and
    `num_frames` [B], or `features` [B, D]; other keys are ignored. Returns a dict:
    `predictions` float32 [B, C], `descriptor` [B, H] and the extras of both parts.
    """

    def __init__(
        self, classifier: Classifier, encoder: FrameEncoder | None = None, **kw
    ):
        super().__init__(**kw)
        self.normalize = NormalizedFeatures(dtype=self.dtype_policy)
        self.encoder = encoder
        self.classifier = classifier

    def build(self, input_shape=None):
        # Weights are made by the first call; see `models.create`.
        self.built = True

    def call(self, inputs, training=False):
        outputs = self.encode(inputs, training)
        classified = self.classifier(outputs["descriptor"], training=training)
        outputs.update(_named(classified, "predictions"))
        outputs["predictions"] = ops.cast(outputs["predictions"], "float32")
        return outputs

    def encode(self, inputs, training=False) -> dict:
        """The outputs up to the `descriptor` [B, H] that the classifier is given."""
        if self.encoder is None:
            return {"descriptor": self.normalize(inputs["features"])}
        frames = inputs["frames"]
        mask = frame_mask(inputs["num_frames"], ops.shape(frames)[1])
        frames, mask = self.encoder.select(frames, mask, training=training)
        frames = self.normalize(frames, mask)
        return _named(self.encoder(frames, mask, training=training), "descriptor")

    def get_config(self):
        parts = {"classifier": self.classifier, "encoder": self.encoder}
        serialized = {
            k: keras.saving.serialize_keras_object(v) for k, v in parts.items()
        }
        return {**super().get_config(), **serialized}

    @classmethod
    def from_config(cls, config):
        config = dict(config)
        for name in ("classifier", "encoder"):
            config[name] = keras.saving.deserialize_keras_object(config[name])
        return cls(**config)


def _named(output, name: str) -> dict:
    return dict(output) if isinstance(output, dict) else {name: output}
