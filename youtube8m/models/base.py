"""The contract of all models: an encoder and a classifier make a VideoModel.

    model = VideoModel(MoeModel(num_classes=3862), encoder=LstmModel(lstm_cells=512))
    outputs = model({"frames": frames, "num_frames": num_frames})
    outputs["predictions"]                                # float32 [B, C] in [0, 1]

Shapes: [B, T, D] are batch, frames, features; H the descriptor's length, C classes.
"""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import keras
from keras import ops

from youtube8m.layers import byte_frames
from youtube8m.layers.inputs import NormalizedFeatures, frame_mask, join_frames
from youtube8m.layers.pooling import masked_mean
from youtube8m.layers.reverse_whitening import ScaledFeatures, whitening
from youtube8m.registry import (
    PACKAGE,
    Configured,
    Registry,
    arguments,
    require_choice,
    require_share,
)

ENCODERS = Registry("--model")
CLASSIFIERS = Registry("--video_level_classifier_model")
LABEL_PROCESSING = Registry("--label_processing")

ReleasedCode = Annotated[
    bool, "Compute what the authors' code does where it differs from the paper."
]


def count_verticals(verticals: Sequence[int], number: int | None = None) -> int:
    """The number of verticals V.

    Args:
      verticals: the vertical of each class.
      number: V; None counts the verticals up to the last one with a class.

    Raises ValueError if a class has a vertical that is not below `number`.
    """
    least = max(verticals) + 1
    if number is not None and number < least:
        raise ValueError(f"num_verticals={number}: a class has vertical {least - 1}")
    return least if number is None else number


class Part(Configured, keras.layers.Layer):
    """A part of a model: an encoder, a classifier or label processing."""

    # The name of the preset whose row reports this class; subclasses do not inherit it.
    reported_by: str = ""
    # Defaults that were others when earlier versions wrote their files: the values of
    # arguments that such a file lacks. For an encoder also that of the flag
    # video_level_classifier_model.
    earlier_defaults: Mapping[str, Any] = {}

    @classmethod
    def from_config(cls, config):
        taken = cls.earlier_defaults.keys() & arguments(cls).keys()
        earlier = {name: cls.earlier_defaults[name] for name in taken}
        return super().from_config({**earlier, **config})

    def sublayer(self, cls: type, size: int, name: str, **kwargs) -> keras.layers.Layer:
        """A layer with the part's dtype policy, built for inputs [..., size]."""
        layer = cls(name=name, **{"dtype": self.dtype_policy, **kwargs})
        layer.build((None, size))
        return layer

    def auxiliary_losses(self, outputs: dict, batch: dict) -> dict:
        """The part's own terms of the training loss, by name; by default none.

        Args:
          outputs: the outputs of the whole model, with the extras of its parts.
          batch: the inputs of the model, with `labels` as ids [B, L] padded with -1.

        Returns:
          float32 tensors, [B] for a term per example or [] for one per batch. The
          trainer adds them to the label loss, so a part applies its own factors.
        """
        return {}


class FrameEncoder(Part):
    """Any number of frames to one descriptor per video.

    Subclasses implement `call(frames, frame_mask, training)`: [B, T, D] and bool
    [B, T] to the descriptor [B, H], or to a dict of `descriptor` and named extras.
    Padding is zero in `frames`, and must not change the result.

    The extra `attention`, which tools.explain shows, is float32 [B, S, Q]: how much
    each of S steps of time counts for each of Q queries. A step is
    `frames_per_attention` neighbouring frames as they were read, before `select`.
    """

    # The encoder takes exactly two modalities, visual first.
    needs_two_modalities: bool = False
    # The names of the classifiers that work with this encoder, first the one that it
    # has if none is asked for; () for any.
    classifiers: tuple[str, ...] = ()
    # If False, there is no classifier and no label loss, only auxiliary losses.
    supervised: bool = True
    # `call` also takes `labels`, ids [B, L] padded with -1, None where unknown.
    uses_labels: bool = False
    # The descriptor is [B, T, H] and comes with the extra `frame_mask` [B, T]: each
    # frame is classified, and the predictions of the mask are pooled, here averaged.
    classifies_frames: bool = False
    pool_predictions = staticmethod(masked_mean)
    # `call` takes frames that are still bytes, too, by layers.byte_frames.FrameSums.
    takes_bytes: bool = False
    # `call` also takes `attention`, whether to return the extra of that name. It is
    # asked for outside training.
    offers_attention: bool = False
    # Frames that one weight of the extra `attention` stands for.
    frames_per_attention: int = 1

    def require_two_modalities(self, feature_sizes, instead: str) -> tuple[int, int]:
        """Returns `feature_sizes`. Raises ValueError unless there are two.

        Args:
          instead: another encoder, which the message proposes.
        """
        sizes = tuple(feature_sizes)
        if len(sizes) != 2:
            raise ValueError(
                f"--feature_names: {type(self).__name__} takes two modalities, visual "
                f"first, but {len(sizes)} are given (of sizes {sizes}); name two, or "
                f"choose --model={instead}"
            )
        return sizes

    def select(self, frames, frame_mask, training=False):
        """Chooses the frames for `call` as they were read; by default all.

        They are bytes, or floats that are not normalised yet.

        Returns frames [B, k, D] and mask [B, k].
        """
        return frames, frame_mask


class ReproducedEncoder(FrameEncoder):
    """An encoder whose authors released code that computes something else.

    The class's docstring says what `released_code` changes.

    Args:
      max_frames: the length that `released_code` pads videos to, as the authors did;
        None leaves them at the batch's length.
    """

    def __init__(
        self,
        released_code: ReleasedCode = False,
        max_frames: int | None = None,
        **kwargs,
    ):
        super().__init__(**kwargs)

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
    [0, 1], or to a dict of `predictions` and named extras. They compute logits in the
    policy's dtype, and everything after the logits in float32.
    """

    # `call` also takes `frame_mask` [B, T] with descriptors of frames [B, T, H], and
    # weighs the frames itself; else the predictions of frames are averaged.
    weighs_frames: bool = False
    # It may classify each frame by itself. Its extras are probabilities [B T, .] then,
    # which are pooled as the predictions are.
    may_classify_frames: bool = True

    def __init__(self, num_classes: int, **kwargs):
        super().__init__(**kwargs)


@keras.saving.register_keras_serializable(PACKAGE)
class VideoModel(Configured, keras.Model):
    """Normalisation, encoder and classifier: bytes in, probabilities out.

    Call with a dict: `frames` [B, T, D] (uint8, or floats of any type), or the parts
    that `layers.inputs.join_frames` joins, and `num_frames` [B]; or `features` [B, D];
    other keys are ignored. Returns a dict:
    `predictions` float32 [B, C], `descriptor` [B, H] and the extras of both parts, such
    as `attention` (see `FrameEncoder`).

    The dropout before the classifier is that of Tang et al. 2017, equation 11.

    Args:
      classifier: a Classifier; None for an encoder that trains without labels.
      encoder: a FrameEncoder, or None for video-level features.
      label_processing: a Part from predictions to predictions, or None.
      feature_names, feature_sizes: of the features, for reverse whitening.
    """

    def __init__(
        self,
        classifier: Classifier | None,
        encoder: FrameEncoder | None = None,
        label_processing: Part | None = None,
        dropout_keep_prob: Annotated[
            float, "Share of the descriptor that dropout keeps in training."
        ] = 1.0,
        input_transform: Annotated[
            str,
            "What happens to the features first: l2 (divide each frame by its norm), "
            "reverse_whitening (undo the whitening of rgb; Lin et al. 2018) or none.",
        ] = "l2",
        feature_names: Sequence[str] = (),
        feature_sizes: Sequence[int] = (),
        **kwargs,
    ):
        super().__init__(**kwargs)
        require_share("dropout_keep_prob", dropout_keep_prob, excluded=0.0)
        self.feature_names, self.feature_sizes = (*feature_names,), (*feature_sizes,)
        self.normalize = self._make_input_transform()
        self.encoder = encoder
        self.classifier = classifier
        self.label_processing = label_processing
        self.dropout = keras.layers.Dropout(
            1.0 - dropout_keep_prob, dtype=self.dtype_policy, name="dropout"
        )

    def _make_input_transform(self):
        name, options = self.input_transform, {"dtype": self.dtype_policy}
        require_choice("input_transform", name, "l2", "reverse_whitening", "none")
        if name == "l2":
            return NormalizedFeatures(**options)
        if name == "none":
            return ScaledFeatures(**options)
        factors = whitening(self.feature_names, self.feature_sizes)
        return ScaledFeatures(*factors, **options)

    def build(self, input_shape=None):
        # The first call makes the weights; see `models.create`.
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
            classified = self.classifier(descriptor, training=training)
            return _to_dict(classified, "predictions")
        mask = outputs["frame_mask"]
        if self.classifier.weighs_frames:
            classified = self.classifier(descriptor, mask, training=training)
            return _to_dict(classified, "predictions")
        frames = ops.reshape(descriptor, (-1, descriptor.shape[-1]))
        classified = self.classifier(frames, training=training)
        pooled = {}
        for name, scores in _to_dict(classified, "predictions").items():
            shape = (*ops.shape(descriptor)[:2], scores.shape[-1])
            scores = ops.reshape(scores, shape)
            pooled[name] = self.encoder.pool_predictions(scores, mask)
        return pooled

    def encode(self, inputs, training=False) -> dict:
        """The outputs up to the `descriptor` [B, H], the input of the classifier."""
        if self.encoder is None:
            return {"descriptor": self.normalize(inputs["features"])}
        frames = join_frames(inputs)
        mask = frame_mask(inputs["num_frames"], ops.shape(frames)[1])
        frames, mask = self.encoder.select(frames, mask, training=training)
        takes_bytes = self.encoder.takes_bytes and self.input_transform == "l2"
        if not (takes_bytes and byte_frames.compiles(frames)):
            frames = self.normalize(frames, mask)
        more = {"labels": inputs.get("labels")} if self.encoder.uses_labels else {}
        if self.encoder.offers_attention:
            more["attention"] = not training
        encoded = self.encoder(frames, mask, training=training, **more)
        return _to_dict(encoded, "descriptor")

    def auxiliary_losses(self, outputs: dict, batch: dict) -> dict:
        """The terms of all parts for the training loss; see `Part`."""
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


def _to_dict(output, name: str) -> dict:
    return dict(output) if isinstance(output, dict) else {name: output}
