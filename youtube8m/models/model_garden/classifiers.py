"""The mixture of experts of TensorFlow's Model Garden."""

from typing import Annotated

import keras

from youtube8m.models.base import CLASSIFIERS
from youtube8m.models.model_garden.normed_gates import NormedGate
from youtube8m.models.starter.classifiers import MoeModel, NumMixtures
from youtube8m.models.starter.regularization import SquarePenalty


@CLASSIFIERS.register
class InputGatedMoeModel(MoeModel):
    """The starter code's mixture of experts on a descriptor that gates itself.

        x' = x * BN(sigmoid(x W + b))        W [H, H], with `use_input_context_gate`
        p  as in MoeModel, of x'; its gates have biases

    Source: MoeModel in official/projects/yt8m of TensorFlow's Model Garden.

    Input shape: [B, H]. Output shape: [B, C].
    """

    reported_by = "model_garden-dbof"

    def __init__(
        self,
        num_classes: int,
        moe_num_mixtures: NumMixtures = 5,
        moe_gate_bias: Annotated[bool, "Give the gates biases."] = True,
        moe_l2: Annotated[
            float, "L2 penalty of the gates' and the experts' weights."
        ] = 1e-5,
        use_input_context_gate: Annotated[
            bool, "Gate the descriptor before the mixture."
        ] = True,
        **kwargs,
    ):
        super().__init__(num_classes, **kwargs)

    def build(self, input_shape):
        self.input_gate = None
        if self.use_input_context_gate:
            self.input_gate = self.sublayer(NormedGate, input_shape[-1], "input_gate")
        super().build(input_shape)

    def make_dense(self, units, name, input_shape, **kwargs) -> keras.layers.Dense:
        """A built layer with the penalty `moe_l2`."""
        penalty = SquarePenalty(self.moe_l2 / 2)
        return super().make_dense(
            units, name, input_shape, kernel_regularizer=penalty, **kwargs
        )

    def call(self, descriptor, training=False):
        if self.input_gate is not None:
            descriptor = self.input_gate(descriptor, training=training)
        return super().call(descriptor, training=training)
