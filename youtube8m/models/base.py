"""The contract of all models: an encoder and a classifier make a VideoModel.

    model = VideoModel(MoeModel(num_classes=3862), encoder=LstmModel(lstm_cells=512))
    outputs = model({"frames": frames, "num_frames": num_frames})
    outputs["predictions"]                                # float32 [B, C] in [0, 1]

Shapes: [B, T, D] are batch, frames, features; H the descriptor's length, C classes.
"""

from collections.abc import Sequence
from typing import Annotated

import keras
from keras import ops

from youtube8m.layers.inputs import NormalizedFeatures, frame_mask
from youtube8m.layers.pooling import masked_mean
from youtube8m.registry import PACKAGE, Configured, Registry, require_share

ENCODERS = Registry("--model")
CLASSIFIERS = Registry("--video_level_classifier_model")
LABEL_PROCESSING = Registry("--label_processing")

# slim's l2_regularizer(x) is x * sum(w^2) / 2, Keras' L2(x) is x * sum(w^2).
WEIGHT_DECAY = 1e-8 / 2


@keras.saving.register_keras_serializable(PACKAGE)
class SquarePenalty(keras.regularizers.L2):
    """keras.regularizers.L2, with fewer passes over the weights under TensorFlow."""

    def __call__(self, x):
        if keras.backend.backend() != "tensorflow":
            return super().__call__(x)
        import tensorflow as tf  # whose l2_loss has x itself for a gradient

        return 2.0 * self.l2 * tf.nn.l2_loss(x)


def weight_decay() -> keras.regularizers.Regularizer:
    """The L2 penalty that the starter code puts on fully connected weights."""
    return SquarePenalty(WEIGHT_DECAY)


def count_verticals(verticals: Sequence[int], number: int | None = None) -> int:
    """V: `number`, or without it as many as the verticals of classes reach to.

    Raises:
      ValueError: a class has a vertical beyond `number`.
    """
    least = max(verticals) + 1
    if number is not None and number < least:
        raise ValueError(f"num_verticals={number}: a class has vertical {least - 1}")
    return least if number is None else number


class Part(Configured, keras.layers.Layer):
    """What encoders and classifiers share."""

    # The preset, by name, whose row reports this class; not passed on to subclasses.
    reported_by: str = ""

    def sublayer(self, cls: type, size: int, name: str, **kwargs) -> keras.layers.Layer:
        """A layer of the part's policy, its weights made for inputs [..., size]."""
        layer = cls(name=name, **{"dtype": self.dtype_policy, **kwargs})
        layer.build((None, size))
        return layer

    def auxiliary_losses(self, outputs: dict, batch: dict) -> dict:
        """The part's own terms of the training loss, by name; none unless overridden.

        Args:
          outputs: of the whole model, with the extras that the part added.
          batch: what the model was given, with `labels` as ids [B, L] padded with -1.

        Returns:
          float32 tensors, [B] with a term per example or [] with one per batch. They
          are added to the label loss as they are, so a part applies its own factors.
        """
        return {}


class FrameEncoder(Part):
    """Frames of any number to one descriptor per video.

    Subclasses implement `call(frames, frame_mask, training)`: [B, T, D] and bool
    [B, T] to the descriptor [B, H], or to a dict of `descriptor` and named extras.
    Pads are zero on entry, and must not change the result.
    """

    # Whether exactly two modalities are needed, visual first.
    needs_two_modalities: bool = False
    # Encoders that are tied to one classifier name it here.
    fixed_classifier: str | None = None
    # Without: there is no classifier and no label loss, only auxiliary losses.
    supervised: bool = True
    # With: `call` also takes `labels`, ids [B, L] padded with -1, None where unknown.
    uses_labels: bool = False
    # With: the descriptor is [B, T, H] and comes with the extra `frame_mask` [B, T];
    # each frame's is classified, and the predictions are averaged over the mask.
    classifies_frames: bool = False

    def two_modalities(self, feature_sizes, instead: str) -> tuple[int, int]:
        """`feature_sizes` as they are. Raises ValueError unless they are two."""
        sizes = tuple(feature_sizes)
        if len(sizes) != 2:
            raise ValueError(
                f"--feature_names: {type(self).__name__} takes two modalities, visual "
                f"first, but {len(sizes)} are given (of sizes {sizes}); name two, or "
                f"choose --model={instead}"
            )
        return sizes

    def select(self, frames, frame_mask, training=False):
        """The frames that `call` is to be given, chosen while they are still bytes.

        Returns:
          frames [B, k, D] and mask [B, k]; all of them unless overridden.
        """
        return frames, frame_mask


class ReproducedEncoder(FrameEncoder):
    """An encoder whose authors released code that computes something else.

    The class's docstring says what `released_code` changes.

    Args:
      max_frames: the frames that videos are padded to with `released_code`, as the
        authors' were; None leaves them at the batch's length.
    """

    def __init__(
        self,
        released_code: Annotated[
            bool, "Compute what the authors' code does where it differs from the paper."
        ] = False,
        max_frames: int | None = None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.released_code = released_code
        self.max_frames = max_frames

    def select(self, frames, frame_mask, training=False):
        if not self.released_code or self.max_frames is None:
            return frames, frame_mask
        # A segment may be longer than what whole videos are sampled to.
        missing = ops.maximum(self.max_frames - ops.shape(frames)[1], 0)
        frames = ops.pad(frames, [[0, 0], [0, missing], [0, 0]])
        return frames, ops.pad(frame_mask, [[0, 0], [0, missing]])


class Classifier(Part):
    """A descriptor to the probabilities of all classes.

    Subclasses implement `call(descriptor, training)`: [B, H] to float32 [B, C] in
    [0, 1], or to a dict of `predictions` and named extras. They compute in the
    policy's dtype up to the logits and in float32 from there.
    """

    def __init__(self, num_classes: int, **kwargs):
        super().__init__(**kwargs)
        self.num_classes = num_classes


@keras.saving.register_keras_serializable(PACKAGE)
class VideoModel(Configured, keras.Model):
    """Bytes in, probabilities out: normalisation, encoder and classifier.

    Args:
      classifier: a Classifier; None for an encoder that trains without labels.
      encoder: a FrameEncoder, or None for video-level features.
      label_processing: a Part from predictions to predictions, or None.

    Source: dropout before the classifier: Tang et al. 2017, equation 11.

    Call with a dict: `frames` [B, T, D] (uint8, or floats already dequantised) and
    `num_frames` [B], or `features` [B, D]; other keys are ignored. Returns a dict:
    `predictions` float32 [B, C], `descriptor` [B, H] and the extras of both parts.
    """

    def __init__(
        self,
        classifier: Classifier | None,
        encoder: FrameEncoder | None = None,
        label_processing: Part | None = None,
        dropout_keep_prob: Annotated[
            float, "Share of the descriptor that dropout keeps in training."
        ] = 1.0,
        **kwargs,
    ):
        super().__init__(**kwargs)
        require_share("dropout_keep_prob", dropout_keep_prob, excluded=0.0)
        self.normalize = NormalizedFeatures(dtype=self.dtype_policy)
        self.encoder = encoder
        self.classifier = classifier
        self.label_processing = label_processing
        self.dropout_keep_prob = dropout_keep_prob
        self.dropout = keras.layers.Dropout(
            1.0 - dropout_keep_prob, dtype=self.dtype_policy, name="dropout"
        )

    def build(self, input_shape=None):
        # Weights are made by the first call; see `models.create`.
        self.built = True

    def call(self, inputs, training=False):
        outputs = self.encode(inputs, training)
        if self.classifier is not None:
            outputs.update(self._classify(outputs, training))
            predictions = ops.cast(outputs["predictions"], "float32")
            if self.label_processing is not None:
                predictions = self.label_processing(predictions)
            outputs["predictions"] = predictions
        return outputs

    def _classify(self, outputs, training):
        descriptor = keras.tree.map_structure(
            lambda x: self.dropout(x, training=training), outputs["descriptor"]
        )
        if self.encoder is None or not self.encoder.classifies_frames:
            return _named(self.classifier(descriptor, training=training), "predictions")
        frames = ops.reshape(descriptor, (-1, descriptor.shape[-1]))
        classified = self.classifier(frames, training=training)
        scores = _named(classified, "predictions")["predictions"]
        shape = (*ops.shape(descriptor)[:2], scores.shape[-1])
        scores = masked_mean(ops.reshape(scores, shape), outputs["frame_mask"])
        return {"predictions": scores}

    def encode(self, inputs, training=False) -> dict:
        """The outputs up to the `descriptor` [B, H] that the classifier is given."""
        if self.encoder is None:
            return {"descriptor": self.normalize(inputs["features"])}
        frames = inputs["frames"]
        mask = frame_mask(inputs["num_frames"], ops.shape(frames)[1])
        frames, mask = self.encoder.select(frames, mask, training=training)
        frames = self.normalize(frames, mask)
        labels = {"labels": inputs.get("labels")} if self.encoder.uses_labels else {}
        encoded = self.encoder(frames, mask, training=training, **labels)
        return _named(encoded, "descriptor")

    def auxiliary_losses(self, outputs: dict, batch: dict) -> dict:
        """The terms that the parts add to the training loss; see `Part`."""
        parts = (self.encoder, self.classifier, self.label_processing)
        parts = [part for part in parts if part is not None]
        terms = [part.auxiliary_losses(outputs, batch) for part in parts]
        return {name: term for group in terms for name, term in group.items()}

    def get_config(self):
        config = super().get_config()
        for name in _PARTS:
            config[name] = keras.saving.serialize_keras_object(config[name])
        return config

    @classmethod
    def from_config(cls, config):
        config = dict(config)
        for name in _PARTS:
            config[name] = keras.saving.deserialize_keras_object(config[name])
        return cls(**config)


_PARTS = ("classifier", "encoder", "label_processing")


def _named(output, name: str) -> dict:
    return dict(output) if isinstance(output, dict) else {name: output}
