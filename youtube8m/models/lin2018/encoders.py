"""NeXtVLAD by Lin et al. 2018.

Lin, Xiao, Fan: NeXtVLAD: An Efficient Neural Network to Aggregate Frame-level Features
for Large-scale Video Classification, arXiv:1811.05014; code: linrongc/youtube-8m and
linrongc/solution_youtube8m_v3.

Their frames are not divided by their norm, but reverse-whitened
(--input_transform=reverse_whitening).
"""

from typing import Annotated

from keras import ops

from youtube8m.layers.normalization import SlimBatchNorm
from youtube8m.layers.pooling import masked_mean
from youtube8m.models.base import ENCODERS, ReproducedEncoder
from youtube8m.models.lin2018.branch import Branch
from youtube8m.registry import require_share


@ENCODERS.register
class NeXtVLAD(ReproducedEncoder):
    """VLAD of expanded frames in groups of features, weighed by an attention.

        y = f W0 + b0                                   [B, T, E D], f the frames
        s = sigmoid(y Wa + ba)                          [B, T, G]
        a = s_g * softmax over K of BN(y Wc)            [B, T, G, K]
        V_k = sum over t and g of a_tgk (y_tg - c_k)    y_tg [E D / G]
        v = BN(flatten(l2(V))) of each modality, then dropout
        h = BN(v Wh)                                    [B, H]
        x = h * sigmoid(relu(BN(h W1)) W2)              W1 [H, H / r], W2 [H / r, H]

    The first modality has K clusters and G groups, the others have half as many. The
    paper's assignment has a bias in place of batch normalisation.
    With `released_code`, batch normalisation of the scores counts padding in training,
    up to `max_frames`.
    Source: Lin et al. 2018, NeXtVLAD.

    Args:
      feature_sizes: the number of values of each modality.

    Input shape: [B, T, D]. Output shape: [B, H].
    """

    reported_by = "lin2018-nextvlad"
    offers_attention = True

    def __init__(
        self,
        feature_sizes: tuple[int, ...],
        nextvlad_cluster_size: Annotated[
            int, "Clusters of the first modality (K); the others have half."
        ] = 128,
        nextvlad_hidden_size: Annotated[int, "Units of the descriptor (H)."] = 2048,
        groups: Annotated[
            int, "Groups of features of the first modality (G); the others have half."
        ] = 8,
        expansion: Annotated[int, "Factor of the frames' length (E)."] = 2,
        drop_rate: Annotated[
            float, "Share of the aggregated frames that dropout zeroes in training."
        ] = 0.5,
        gating_reduction: Annotated[
            int, "The gates' hidden layer has 1 / r of the units (r)."
        ] = 8,
        slim_batch_norm: SlimBatchNorm = False,
        **kwargs,
    ):
        super().__init__(**kwargs)
        require_share("drop_rate", drop_rate, excluded=1.0)
        self.feature_sizes = tuple(feature_sizes)

    def build(self, frames_shape, *_):
        self.branch = self.make_branch(frames_shape, "branch")

    def make_branch(self, frames_shape, name) -> Branch:
        """A built NeXtVLAD with the encoder's sizes."""
        branch = Branch(
            self.feature_sizes,
            self.nextvlad_cluster_size,
            self.nextvlad_hidden_size,
            self.groups,
            self.expansion,
            self.drop_rate,
            self.gating_reduction,
            pads_count=self.released_code,
            slim=self.slim_batch_norm,
            dtype=self.dtype_policy,
            name=name,
        )
        branch.build(frames_shape)
        return branch

    def call(self, frames, frame_mask, training=False, attention=False):
        descriptor, weights = self.branch(
            frames, frame_mask, training=training, return_weights=True
        )
        if not attention:
            return descriptor
        return {"descriptor": descriptor, "attention": weights}


@ENCODERS.register
class MixNeXtVLAD(NeXtVLAD):
    """Several NeXtVLADs that learn together, for a classifier that mixes them.

        x_i = NeXtVLAD_i(frames)                  [B, H], i = 1 .. m
        q   = sum_t f_t / n                       [B, D], what the mixture looks at

    With `released_code`, q is the sum over all `max_frames` rows divided by their
    number, and NeXtVLAD is the released one.
    Source: Lin et al. 2018, the mixture of 3; MixNeXtVladModel in the released code.

    Input shape: [B, T, D]. Output shape: m tensors [B, H], and q.
    """

    reported_by = "lin2018-mix3"
    classifiers = ("MixLogisticModel", "MixMoeModel")

    def __init__(
        self,
        feature_sizes: tuple[int, ...],
        mix_number: Annotated[int, "Models that are mixed (m)."] = 3,
        **kwargs,
    ):
        super().__init__(feature_sizes, **kwargs)

    def build(self, frames_shape, *_):
        names = [f"branch_{number}" for number in range(self.count_branches())]
        self.branches = [self.make_branch(frames_shape, name) for name in names]

    def count_branches(self) -> int:
        """How many NeXtVLADs there are."""
        return self.mix_number

    def call(self, frames, frame_mask, training=False, attention=False):
        pairs = [
            branch(frames, frame_mask, training=training, return_weights=True)
            for branch in self.branches
        ]
        descriptors, weights = zip(*pairs, strict=True)
        counted = ops.ones_like(frame_mask) if self.released_code else frame_mask
        outputs = {"descriptor": [*descriptors, masked_mean(frames, counted)]}
        extras = {"attention": ops.concatenate(weights, axis=-1)} if attention else {}
        return {**outputs, **extras}


@ENCODERS.register
class OuterMixNeXtVLAD(MixNeXtVLAD):
    """Several MixNeXtVLADs that learn together, for a classifier that mixes them, too.

    x_1 .. x_nm are the descriptors of n towers of m NeXtVLADs each, tower by tower;
    all else is MixNeXtVLAD's.
    Source: the released code of Lin et al. for the challenge of 2019.

    Input shape: [B, T, D]. Output shape: n m tensors [B, H], and q.
    """

    reported_by = "lin2018-mix12-2019"
    classifiers = ("OuterMixLogisticModel",)

    def __init__(
        self,
        feature_sizes: tuple[int, ...],
        outer_mix_number: Annotated[int, "Mixtures that are mixed (n)."] = 4,
        **kwargs,
    ):
        super().__init__(feature_sizes, **kwargs)

    def count_branches(self):
        return self.outer_mix_number * self.mix_number
