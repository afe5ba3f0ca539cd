"""The non-local NetVLAD of Tang et al. 2018 (YT8M-T), fourth in that year's challenge.

Tang, Zhang, Wang, Chen, Ma: Non-local NetVLAD Encoding for Video Classification,
arXiv:1810.00207; code: 17Skye17/2nd-YouTube8M and YongyiTang92/youtube-8m.
"""

from typing import Annotated

from youtube8m.models.base import ENCODERS
from youtube8m.models.late_fusion import (
    ClustersHalf,
    HiddenUnits,
    LateFusion,
    NormedHidden,
)
from youtube8m.models.tang2018.nonlocal_residuals import (
    NonLocalKeyedResiduals,
    NonLocalResiduals,
    NonLocalResidualsFromZero,
)


class _NonLocal(LateFusion):
    """VLAD of each modality, whose clusters look at each other."""

    def __init__(
        self,
        feature_sizes: tuple[int, ...],
        netvlad_cluster_size: ClustersHalf = 64,
        netvlad_hidden_size: HiddenUnits = 1024,
        netvlad_relu: NormedHidden = False,
        **kwargs,
    ):
        super().__init__(feature_sizes, **kwargs)

    def build(self, frames_shape, *_):
        self.build_fusion(
            self.netvlad_cluster_size, self.netvlad_hidden_size, self.netvlad_relu
        )


@ENCODERS.register
class NonLocalNetVLAD(_NonLocal):
    """NetVLAD whose clusters look at each other before they are normalised.

        V_k = (k / n) sum_t a_tk (f_t - c_k)               as in NetVLAD, [B, K, D]
        N   = softmax(tau (V A) (V B)^T)                   A, B [D, K], N [B, K, K]
        V'  = V + N V G O                                  G [D, K], O [K, D]
        v   = l2(flatten(l2(V'))) of each modality
        h   = v Wh + b, or with `netvlad_relu` relu6(BN(v Wh))
        x   = h * sigmoid(BN(h Wg))                        context gating

    There are K clusters of the first modality, K // 2 of the others, which also have
    A, B, G and O of their own.
    Training draws k frames; prediction takes each of the n frames once, and with
    `released_code` k evenly spread ones. The factor k / n, 1 in training, keeps N the
    same.
    Source: Tang et al. 2018; NetVLADModelLF with NetVLAD_NonLocal_types in the code.

    Input shape: [B, T, D]. Output shape: [B, H].
    """

    reported_by = "tang2018-nonlocal"

    def __init__(
        self,
        feature_sizes: tuple[int, ...],
        nonlocal_scale: Annotated[
            float, "Factor of the scores between clusters (tau)."
        ] = 1.0 / 64.0,
        **kwargs,
    ):
        super().__init__(feature_sizes, **kwargs)

    def make_aggregator(self, modality, clusters, **kwargs):
        return NonLocalResiduals(
            clusters, self.iterations, scale=self.nonlocal_scale, **kwargs
        )


@ENCODERS.register
class NonLocalNetRVLAD(_NonLocal):
    """NonLocalNetVLAD without centres, with larger matrices and another scale.

        V_k = (k / n) sum_t a_tk f_t
        N   = softmax((V A) (V B)^T / sqrt(D))       A, B, G [D, D / 2], O [D / 2, D]

    All else is NonLocalNetVLAD's. With `released_code` G is not used: B is there in its
    place.
    Source: the class LightNetVLAD in the released code of Tang et al. 2018.

    Input shape: [B, T, D]. Output shape: [B, H].
    """

    def make_aggregator(self, modality, clusters, **kwargs):
        units = max(self.feature_sizes[modality] // 2, 1)
        return NonLocalResidualsFromZero(clusters, self.iterations, units, **kwargs)


@ENCODERS.register
class NonLocalEarlyNetVLAD(_NonLocal):
    """NonLocalNetVLAD on all modalities as one, with another scale.

        N   = softmax((V A) (V B)^T / sqrt(D))             A, B, G [D, K], O [K, D]

    All else is NonLocalNetVLAD's. With `released_code` G is not used: B is there in its
    place.
    Source: early_NetVLAD in the released code of Tang et al. 2018.

    Input shape: [B, T, D]. Output shape: [B, H].
    """

    def __init__(self, feature_sizes: tuple[int, ...], **kwargs):
        super().__init__((sum(feature_sizes),), **kwargs)

    def make_aggregator(self, modality, clusters, **kwargs):
        return NonLocalKeyedResiduals(clusters, self.iterations, **kwargs)
