"""The aggregation of frames by Miech et al. 2017, who won the challenge of that year.

Miech, Laptev, Sivic: Learnable pooling with Context Gating for video classification,
arXiv:1706.06905; code: antoine77340/Youtube-8M-WILLOW.

Each modality has clusters of its own. The first one (visual) has K, the others have a
share of that.
"""

from typing import Annotated

import keras
from keras import ops

from youtube8m.layers.aggregation import split_modalities
from youtube8m.layers.frame_selection import SampleFrames
from youtube8m.layers.gating import ContextGating
from youtube8m.layers.normalization import BatchNorm, SlimBatchNorm
from youtube8m.models.base import ENCODERS, ReproducedEncoder
from youtube8m.models.miech2017 import aggregators
from youtube8m.models.miech2017.aggregators import normal

FEWEST_CLUSTERS = 2  # of a modality; one alone would say nothing of its frames


# Arguments that several encoders declare.
ClustersHalf = Annotated[
    int, "Clusters of the first modality (K); the others have half."
]
ClustersEighth = Annotated[
    int, "Clusters of the first modality (K); the others have an eighth."
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


@ENCODERS.register
class NetVLAD(LateFusion):
    """Differences of frames from the centres of soft clusters, with context gating.

        f = BN(frames)                                       [B, k, D]
        a = softmax over K of BN(f Wc)                       Wc [D, K]
        V_k = sum_t a_tk (f_t - c_k)                         c [K, D]
        v = l2(flatten(l2(V))) of each modality              K clusters, K // 2 of audio
        h = v Wh + b, or with `netvlad_relu` relu6(BN(v Wh)) [B, H]
        x = h * sigmoid(BN(h Wg))                            context gating

    Training draws k frames; prediction takes each frame once, and with `released_code`
    k evenly spread ones.
    Source: Miech et al. 2017, NetVLAD; Arandjelovic et al. 2016.

    Input shape: [B, T, D]. Output shape: [B, H].
    """

    reported_by = "miech2017-gated-netvlad"
    aggregator = aggregators.Residuals

    def __init__(
        self,
        feature_sizes: tuple[int, ...],
        netvlad_cluster_size: ClustersHalf = 256,
        netvlad_hidden_size: HiddenUnits = 1024,
        netvlad_relu: NormedHidden = False,
        **kwargs,
    ):
        super().__init__(feature_sizes, **kwargs)

    def build(self, frames_shape, *_):
        self.build_fusion(
            self.netvlad_cluster_size, self.netvlad_hidden_size, self.netvlad_relu
        )

    def make_aggregator(self, modality, clusters, **kwargs):
        return self.aggregator(clusters, **kwargs)


@ENCODERS.register
class NetRVLAD(NetVLAD):
    """NetVLAD without centres: sums of frames over soft clusters, V_k = sum_t a_tk f_t.

    All else is NetVLAD's.
    Source: Miech et al. 2017, NetRVLAD; `lightvlad` in the released code.

    Input shape: [B, T, D]. Output shape: [B, H].
    """

    reported_by = "miech2017-gated-netrvlad"
    aggregator = aggregators.ResidualsFromZero


@ENCODERS.register
class GatedVLAD(NetVLAD):
    """NetRVLAD with a learned gate on each sum, V_k = sigmoid(g_k) * sum_t a_tk f_t.

    g [K, D]. All else is NetVLAD's.
    Source: `vlagd` in the released code of Miech et al. 2017.

    Input shape: [B, T, D]. Output shape: [B, H].
    """

    reported_by = ""
    aggregator = aggregators.GatedSums


@ENCODERS.register
class NetFV(LateFusion):
    """Fisher vectors: first and second order differences from soft clusters.

        a    as in NetVLAD; s = v^2 + 1e-6                    v [K, D], around 1
        f1_k = sum_t a_tk (f_t - c_k) / s_k                   c [K, D]
        f2_k = sum_t a_tk ((f_t - c_k)^2 / s_k^2 - 1)
        v    = [l2(flatten(l2(f1))), l2(flatten(l2(f2)))]     of each modality
        x    = as in NetVLAD                                  [B, H]

    With `released_code`, f2 is not normalised for each cluster, `gating_remove_diag`
    has no effect, and prediction takes k evenly spread frames.
    Source: Miech et al. 2017, NetFV.

    Input shape: [B, T, D]. Output shape: [B, H].
    """

    reported_by = "miech2017-gated-netfv"

    def __init__(
        self,
        feature_sizes: tuple[int, ...],
        fv_cluster_size: ClustersHalf = 128,
        fv_hidden_size: HiddenUnits = 1024,
        fv_relu: NormedHidden = False,
        fv_couple_weights: Annotated[
            bool, "Take the centres from the assignment's weights."
        ] = False,
        fv_coupling_factor: Annotated[
            float, "Centres over the assignment's weights, if they are coupled."
        ] = 0.01,
        **kwargs,
    ):
        super().__init__(feature_sizes, **kwargs)

    def build(self, frames_shape, *_):
        self.build_fusion(self.fv_cluster_size, self.fv_hidden_size, self.fv_relu)

    def removes_diagonal(self):
        return self.gating_remove_diag and not self.released_code

    def make_aggregator(self, modality, clusters, **kwargs):
        coupling = self.fv_coupling_factor if self.fv_couple_weights else None
        return aggregators.FisherVectors(clusters, coupling, **kwargs)


class _BagOfFrames(LateFusion):
    """Counts of frames in K clusters; K // 8 for each modality but the first."""

    visual_share = 8

    def __init__(
        self,
        feature_sizes: tuple[int, ...],
        dbof_cluster_size: ClustersEighth = 4096,
        dbof_hidden_size: Annotated[int, "Units after the pooled clusters (H)."] = 1024,
        dbof_relu: NormedHidden = False,
        fc_dimred: Annotated[
            bool, "Have a hidden layer; else the counts are the descriptor."
        ] = True,
        gating: Annotated[bool, "Gate the hidden layer (context gating)."] = False,
        **kwargs,
    ):
        super().__init__(feature_sizes, gating=gating, **kwargs)
        if gating and not fc_dimred:
            raise ValueError(
                "--gating: gates the hidden layer, which --nofc_dimred leaves out; "
                "choose one of them"
            )

    def build(self, frames_shape, *_):
        units = self.dbof_hidden_size if self.fc_dimred else 0
        self.build_fusion(self.dbof_cluster_size, units, self.dbof_relu)


@ENCODERS.register
class SoftDBoF(_BagOfFrames):
    """A soft bag of frames: how much of the video each cluster has.

        a = as in NetVLAD
        v = l2(sum_t a_t) of each modality, with `softdbof_maxpool` also l2(max_t a_t)
        x = v Wh + b, or with `dbof_relu` relu6(BN(v Wh))         [B, H]

    K clusters, and K // 8 for audio. Without `fc_dimred`, x = v.
    Source: Miech et al. 2017, Soft-DBoW.

    Input shape: [B, T, D]. Output shape: [B, H].
    """

    reported_by = "miech2017-soft-dbow"

    def __init__(
        self,
        feature_sizes: tuple[int, ...],
        dbof_cluster_size: ClustersEighth = 8000,
        softdbof_maxpool: Annotated[
            bool, "Add the highest weight of each cluster to its count."
        ] = False,
        **kwargs,
    ):
        super().__init__(feature_sizes, dbof_cluster_size, **kwargs)

    def make_aggregator(self, modality, clusters, **kwargs):
        return aggregators.SoftCounts(clusters, self.softdbof_maxpool, **kwargs)


@ENCODERS.register
class GatedDBoF(SoftDBoF):
    """SoftDBoF with gates on the counts of the first modality.

        m = l2(max_t a_t)                                    [B, K]
        v = l2(sigmoid(BN(m R W)) * sum_t a_t)               R [K, D], W [D, K]

    The other modalities are SoftDBoF's, as in the released code. With `released_code`,
    `softdbof_maxpool` has no effect on the first one.
    Source: Miech et al. 2017, Gated-DBoW.

    Input shape: [B, T, D]. Output shape: [B, H].
    """

    reported_by = "miech2017-gated-dbow"

    def __init__(
        self,
        feature_sizes: tuple[int, ...],
        dbof_cluster_size: ClustersEighth = 4096,
        **kwargs,
    ):
        super().__init__(feature_sizes, dbof_cluster_size, **kwargs)

    def make_aggregator(self, modality, clusters, **kwargs):
        if modality:
            return aggregators.SoftCounts(clusters, self.softdbof_maxpool, **kwargs)
        max_pool = self.softdbof_maxpool and not self.released_code
        return aggregators.GatedCounts(clusters, max_pool, **kwargs)


@ENCODERS.register
class LateFusionDBoF(_BagOfFrames):
    """The starter code's bag of frames for each modality, pooled by mean and maximum.

        a = relu6(BN(f Wc))
        v = [l2(mean_t a_t), l2(max_t a_t)] of each modality
        x = relu6(BN(v Wh)), or v Wh + b without `dbof_relu`      [B, H]

    With `released_code` a has no activation.
    Source: DbofModelLF in the released code of Miech et al. 2017.

    Input shape: [B, T, D]. Output shape: [B, H].
    """

    def __init__(
        self,
        feature_sizes: tuple[int, ...],
        dbof_relu: NormedHidden = True,
        **kwargs,
    ):
        super().__init__(feature_sizes, dbof_relu=dbof_relu, **kwargs)

    def make_aggregator(self, modality, clusters, **kwargs):
        return aggregators.MeanAndMax(clusters, **kwargs)
