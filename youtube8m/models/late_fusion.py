"""Encoders that aggregate each modality by itself, and join the results.

The base of VLAD, Fisher vectors and bags of frames since Miech et al. 2017, who won the
challenge of that year.
"""

from typing import Annotated

import keras
from keras import ops

from youtube8m.layers.aggregation import split_modalities
from youtube8m.layers.frame_selection import SampleFrames
from youtube8m.layers.gating import ContextGating
from youtube8m.layers.normalization import BatchNorm, SlimBatchNorm
from youtube8m.layers.residuals import normal
from youtube8m.models.base import ReproducedEncoder

FEWEST_CLUSTERS = 2  # of a modality; one alone would say nothing of its frames


# Arguments that several encoders declare.
ClustersHalf = Annotated[
    int, "Clusters of the first modality (K); the others have half."
]
HiddenUnits = Annotated[
    int, "Units of the layer on the descriptors of all modalities (H)."
]
NormedHidden = Annotated[
    bool, "Batch normalisation and relu6 in that layer, in place of a bias."
]


class LateFusion(ReproducedEncoder):
    """Frames aggregated for each modality, then a hidden layer over all of them.

        f = BN(frames), split into modalities     [B, k, D_i]
        v = [y_1 ; y_2 ..]                        y_i of the subclass's aggregator
        h = v Wh + b, or relu6(BN(v Wh))          Wh [., H]
        x = h * sigmoid(BN(h Wg)) with `gating`   Wg [H, H]

    Training draws k = `iterations` frames. Prediction takes every frame once, which the
    aggregates' norms allow; with `released_code` it takes k evenly spread ones, as the
    authors' code draws frames there too.

    Args:
      feature_sizes: D_i of each modality.
    """

    # The clusters of the first modality over those of each other one.
    visual_share: int = 2

    def __init__(
        self,
        feature_sizes: tuple[int, ...],
        iterations: Annotated[int, "Frames taken of each video (k)."] = 300,
        sample_random_frames: Annotated[
            bool, "Draw each frame independently; else take k neighbours."
        ] = True,
        gating: Annotated[bool, "Gate the hidden layer (context gating)."] = True,
        gating_remove_diag: Annotated[
            bool, "Leave a value out of its own gate in context gating."
        ] = False,
        slim_batch_norm: SlimBatchNorm = False,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.feature_sizes = tuple(feature_sizes)
        self.sample = SampleFrames(iterations, contiguous=not sample_random_frames)

    def make_aggregator(self, modality: int, clusters: int, **kwargs):
        """The layer that aggregates the frames of one modality."""
        raise NotImplementedError

    def build_fusion(self, clusters: int, hidden_size: int, relu: bool) -> None:
        """Makes all layers; without units there is no hidden layer."""
        sizes = self.feature_sizes
        fewest = 1 if self.released_code else FEWEST_CLUSTERS
        fewer = max(clusters // self.visual_share, fewest)
        self.input_norm = self._make_norm(sum(sizes), "input_norm")
        self.streams = []
        for modality, size in enumerate(sizes):
            stream = self.make_aggregator(
                modality,
                fewer if modality else clusters,
                slim=self.slim_batch_norm,
                released_code=self.released_code,
                dtype=self.dtype_policy,
                name=f"stream_{modality}",
            )
            stream.build((None, None, size))
            self.streams.append(stream)
        self.hidden = self.hidden_norm = self.gate = None
        if hidden_size:
            self._build_hidden(clusters, hidden_size, relu)

    def _build_hidden(self, clusters, units, relu):
        pairs = zip(self.streams, self.feature_sizes, strict=True)
        self.hidden = self.sublayer(
            keras.layers.Dense,
            sum(stream.output_size(size) for stream, size in pairs),
            "hidden",
            units=units,
            use_bias=not relu,
            kernel_initializer=normal(0.0, clusters**-0.5),
            bias_initializer=normal(0.0, 0.01),
        )
        if relu:
            self.hidden_norm = self._make_norm(units, "hidden_norm")
        if self.gating:
            options = {
                "remove_diagonal": self.removes_diagonal(),
                "slim": self.slim_batch_norm,
            }
            self.gate = self.sublayer(
                ContextGating, units, "gate", units=units, **options
            )

    def removes_diagonal(self) -> bool:
        """Whether context gating leaves a value out of its own gate."""
        return self.gating_remove_diag

    def _make_norm(self, size, name):
        return self.sublayer(BatchNorm, size, name, slim=self.slim_batch_norm)

    def select(self, frames, frame_mask, training=False):
        if not training and not self.released_code:
            return frames, frame_mask
        frames = self.sample(frames, frame_mask, training=training)
        return frames, ops.ones(ops.shape(frames)[:2], "bool")

    def call(self, frames, frame_mask, training=False):
        hidden = self.aggregate(frames, frame_mask, training)
        if self.hidden is not None:
            hidden = self.hidden(hidden)
        if self.hidden_norm is not None:
            hidden = ops.relu6(self.hidden_norm(hidden, training=training))
        if self.gate is not None:
            hidden = self.gate(hidden, training=training)
        return hidden

    def aggregate(self, frames, frame_mask, training=False):
        """v [B, .], the parts of all modalities."""
        frames = self.input_norm(frames, frame_mask, training=training)
        parts = split_modalities(frames, self.feature_sizes)
        parts = [
            stream(part, frame_mask, training=training)
            for stream, part in zip(self.streams, parts, strict=True)
        ]
        return ops.concatenate(parts, axis=-1)
