"""The aggregation of frames by Miech et al. 2017, who won the challenge of that year.

Miech, Laptev, Sivic: Learnable pooling with Context Gating for video classification,
arXiv:1706.06905; code: antoine77340/Youtube-8M-WILLOW.

Each modality has clusters of its own. The first one (visual) has K, the others have a
share of that.
"""

from typing import Annotated

from youtube8m.models.base import ENCODERS
from youtube8m.models.late_fusion import (
    ClustersHalf,
    HiddenUnits,
    LateFusion,
    NormedHidden,
)
from youtube8m.models.miech2017 import aggregators

ClustersEighth = Annotated[
    int, "Clusters of the first modality (K); the others have an eighth."
]


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
