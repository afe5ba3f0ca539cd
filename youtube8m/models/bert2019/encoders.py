"""Transformers over frames by the team that came ninth in the challenge of 2019.

Code: hughshaoqz/3rd-Youtube8M-TM. There is no paper. The frames stand where BERT has
the vectors of words, so D is the size of the layers.
"""

from typing import Annotated

from keras import ops

from youtube8m.layers.aggregation import split_modalities
from youtube8m.layers.frame_selection import SampleFrames
from youtube8m.layers.inputs import frame_mask as mark_frames
from youtube8m.layers.pooling import attend, masked_mean, masked_softmax
from youtube8m.layers.positions import place_frames
from youtube8m.layers.recurrent import take_last_frame
from youtube8m.models.base import ENCODERS, ReproducedEncoder
from youtube8m.models.bert2019.transformer import (
    PostNormLayer,
    initializer,
    sinusoids,
)
from youtube8m.registry import require_choice, require_share

POSITIONS = 512  # that are learned; later frames have the last one


@ENCODERS.register
class BertEncoder(ReproducedEncoder):
    """A transformer over the frames, whose outputs are pooled.

        z_0 = I, or I + u with positions            I the frames, u [T, D]
        z_l = PostNormLayer(z_{l-1})                l = 1 .. `bert_hidden_layer`
        x   = mean of z over the frames, or its last frame, or
              sum_t softmax_t(z_t . q / sqrt(D)) z_t          q [D]

    Training draws a run of k neighbouring frames (or k independent ones), or takes all
    of a video with less. Prediction takes all frames.
    With `released_code` there is no mask: padding up to `max_frames` is looked at and
    pooled, and in training the last frame of a short video is repeated.
    Source: the class Bert in the released code; Devlin et al. 2018. The code calls the
    pooling of the last frame "first".

    Input shape: [B, T, D]. Output shape: [B, D].
    """

    reported_by = "bert2019-mean"

    def __init__(
        self,
        iterations: Annotated[int, "Frames taken of each video (k)."] = 5,
        sample_random_frames: Annotated[
            bool, "Draw each frame independently; else take k neighbours."
        ] = False,
        bert_hidden_layer: Annotated[int, "Layers of the transformer."] = 2,
        bert_attention_heads: Annotated[
            int, "Heads of each attention; they divide the values of a frame."
        ] = 12,
        bert_intermediate_size: Annotated[
            int, "Units of each layer's hidden layer."
        ] = 3072,
        bert_dropout_prob: Annotated[
            float, "Share of values and attentions that dropout zeroes in training."
        ] = 0.1,
        pooling_strategy: Annotated[
            str, "How outputs become one vector: mean, last or attention."
        ] = "mean",
        bert_positions: Annotated[
            str, "What is added to frames by their position: none, learned or sines."
        ] = "none",
        **kwargs,
    ):
        super().__init__(**kwargs)
        require_share("bert_dropout_prob", bert_dropout_prob, excluded=1.0)
        require_choice(
            "pooling_strategy", pooling_strategy, "mean", "last", "attention"
        )
        require_choice("bert_positions", bert_positions, "none", "learned", "sines")
        self.sample = SampleFrames(iterations, contiguous=not sample_random_frames)

    def build(self, frames_shape, *_):
        size = frames_shape[-1]
        self.layers = self.make_layers(size, self.bert_hidden_layer, "layer")
        self.build_ends(size)

    def make_layers(self, size: int, count: int, name: str) -> list[PostNormLayer]:
        """Built layers for frames of that size."""
        return [
            self.sublayer(
                PostNormLayer,
                size,
                f"{name}_{number}",
                heads=self.bert_attention_heads,
                units=self.bert_intermediate_size,
                dropout_rate=self.bert_dropout_prob,
            )
            for number in range(count)
        ]

    def build_ends(self, size: int) -> None:
        """Makes what stands before the layers and after them."""
        self.positions = self.query = None
        if self.bert_positions == "learned":
            self.positions = self.add_weight(
                shape=(POSITIONS, size), initializer=initializer(), name="positions"
            )
        if self.pooling_strategy == "attention":
            self.query = self.add_weight(
                shape=(size, 1), initializer=initializer(), name="query"
            )

    def select(self, frames, frame_mask, training=False):
        if not training:
            return super().select(frames, frame_mask)
        lengths = ops.sum(ops.cast(frame_mask, "int32"), axis=1)
        frames = self.sample(frames, frame_mask, training=True)
        if self.released_code or self.sample_random_frames:
            return frames, ops.ones(ops.shape(frames)[:2], "bool")
        return frames, mark_frames(lengths, ops.shape(frames)[1])

    def call(self, frames, frame_mask, training=False):
        if self.released_code:
            frame_mask = ops.ones_like(frame_mask)
        z = self.transform(self._place(frames), frame_mask, training)
        return self._pool(z, frame_mask)

    def transform(self, frames, frame_mask, training):
        """z of the last layer, [B, T, D]."""
        return _apply(self.layers, frames, frame_mask, training)

    def _place(self, frames):
        """The frames with their positions added."""
        if self.bert_positions == "none":
            return frames
        steps, size = ops.shape(frames)[1:]
        if self.bert_positions == "sines":
            places = sinusoids(steps, size)
        else:
            places = place_frames(ops.cast(self.positions, frames.dtype), steps)
        return frames + ops.cast(places, frames.dtype)

    def _pool(self, z, frame_mask):
        if self.pooling_strategy == "mean":
            return masked_mean(z, frame_mask)
        if self.pooling_strategy == "last":
            return take_last_frame(z, frame_mask)
        scores = ops.matmul(z, self.query) * z.shape[-1] ** -0.5
        return ops.squeeze(attend(z, masked_softmax(scores, frame_mask)), axis=1)


@ENCODERS.register
class BertCrossEncoder(BertEncoder):
    """Transformers over each modality, then one layer over both together.

        z_i = as in BertEncoder without its last layer, of each modality's frames
        z   = PostNormLayer([z_1 ; z_2 ..])                  [B, T, D]

    All else is BertEncoder's. The heads divide the values of each modality.
    Source: the class BertCross in the released code.

    Args:
      feature_sizes: the number of values of each modality.

    Input shape: [B, T, D]. Output shape: [B, D].
    """

    reported_by = "bert2019-cross-attention"

    def __init__(
        self,
        feature_sizes: tuple[int, ...],
        bert_attention_heads: Annotated[
            int, "Heads of each attention; they divide the values of a frame."
        ] = 8,
        **kwargs,
    ):
        super().__init__(bert_attention_heads=bert_attention_heads, **kwargs)
        self.feature_sizes = tuple(feature_sizes)

    def build(self, frames_shape, *_):
        count = self.bert_hidden_layer - 1
        self.streams = [
            self.make_layers(size, count, f"stream_{modality}")
            for modality, size in enumerate(self.feature_sizes)
        ]
        self.layers = self.make_layers(frames_shape[-1], 1, "joint")
        self.build_ends(frames_shape[-1])

    def transform(self, frames, frame_mask, training):
        parts = split_modalities(frames, self.feature_sizes)
        parts = [
            _apply(layers, part, frame_mask, training)
            for layers, part in zip(self.streams, parts, strict=True)
        ]
        joined = ops.concatenate(parts, axis=-1)
        return _apply(self.layers, joined, frame_mask, training)


def _apply(layers, z, frame_mask, training):
    for layer in layers:
        z = layer(z, frame_mask, training=training)
    return z
