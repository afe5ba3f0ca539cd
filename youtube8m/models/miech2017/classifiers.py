"""The mixture of experts of Miech et al. 2017."""

from typing import Annotated

import keras

from youtube8m.layers.gating import ContextGating
from youtube8m.layers.normalization import SlimBatchNorm
from youtube8m.models.base import CLASSIFIERS
from youtube8m.models.starter.classifiers import MoeModel
from youtube8m.models.starter.regularization import SquarePenalty
from youtube8m.registry import AtLeast, require_choice


@CLASSIFIERS.register
class GatedMoeModel(MoeModel):
    """The starter code's mixture of experts, whose probabilities can gate each other.

        p   as in MoeModel; with `moe_low_rank_gating` its gates are softmax(x G1 G2)
        p'  = p * sigmoid(BN(p W)) with `moe_prob_gating`         W [C, C]
        p'  = p * sigmoid(BN(x W)) with the input "input"         W [H, C]

    G1 [H, r], G2 [r, (M + 1) C]. No p' is above its p. W has no penalty. Where x gates,
    `gating_remove_diag` has no effect, as W then has no diagonal.
    Source: MoeModel in the released code of Miech et al. 2017.

    Input shape: [B, H]. Output shape: [B, C].
    """

    reported_by = "miech2017-gated-netvlad"

    def __init__(
        self,
        num_classes: int,
        moe_l2: Annotated[
            float, "L2 penalty of the gates' and the experts' weights."
        ] = 1e-8,
        moe_low_rank_gating: Annotated[
            int, "Rank of the gates' weights; -1: no limit.", AtLeast(-1)
        ] = -1,
        moe_prob_gating: Annotated[
            bool, "Multiply the probabilities by context gates."
        ] = False,
        moe_prob_gating_input: Annotated[
            str, "What these gates see: prob (all probabilities) or input (x)."
        ] = "prob",
        gating_remove_diag: Annotated[
            bool, "Leave a value out of its own gate in context gating."
        ] = False,
        slim_batch_norm: SlimBatchNorm = False,
        **kwargs,
    ):
        super().__init__(num_classes, **kwargs)
        require_choice("moe_prob_gating_input", moe_prob_gating_input, "prob", "input")
        if moe_low_rank_gating == 0:
            raise ValueError("--moe_low_rank_gating=0: must be at least 1, or -1")

    def build(self, input_shape):
        self.low_rank = None
        gate_shape = input_shape
        if self.moe_low_rank_gating > 0:
            self.low_rank = self.make_dense(
                self.moe_low_rank_gating, "low_rank", input_shape, use_bias=False
            )
            gate_shape = (None, self.moe_low_rank_gating)
        self.build_mixture(gate_shape, expert_shape=input_shape)
        self.prob_gate = None
        if self.moe_prob_gating:
            of_probabilities = self.moe_prob_gating_input == "prob"
            self.prob_gate = self.sublayer(
                ContextGating,
                self.num_classes if of_probabilities else input_shape[-1],
                "prob_gate",
                units=self.num_classes,
                remove_diagonal=self.gating_remove_diag and of_probabilities,
                slim=self.slim_batch_norm,
            )

    def make_dense(self, units, name, input_shape, **kwargs) -> keras.layers.Dense:
        """A built layer with the penalty `moe_l2`."""
        penalty = SquarePenalty(self.moe_l2 / 2)
        return super().make_dense(
            units, name, input_shape, kernel_regularizer=penalty, **kwargs
        )

    def call(self, descriptor, training=False):
        gated = descriptor if self.low_rank is None else self.low_rank(descriptor)
        predictions = self.mix(self.gates(gated), self.experts(descriptor))
        if self.prob_gate is None:
            return predictions
        source = predictions if self.moe_prob_gating_input == "prob" else descriptor
        return self.prob_gate(predictions, source, training=training)
