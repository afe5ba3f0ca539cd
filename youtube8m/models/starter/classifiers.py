"""The starter code's classifiers: a descriptor [B, H] to probabilities [B, C]."""

import functools
from typing import Annotated

import keras
from keras import ops

from youtube8m.layers.compiled import compiled_with_gradient, pays
from youtube8m.models.base import CLASSIFIERS, Classifier
from youtube8m.models.starter.regularization import weight_decay

NumMixtures = Annotated[int, "Experts per class, without the dummy expert (M)."]


class DenseClassifier(Classifier):
    """A classifier made of fully connected layers."""

    def make_dense(
        self, units: int, name: str, input_shape, **kwargs
    ) -> keras.layers.Dense:
        """A built layer with the starter code's weight decay."""
        kwargs.setdefault("kernel_regularizer", weight_decay())
        size = input_shape[-1]
        return self.sublayer(keras.layers.Dense, size, name, units=units, **kwargs)


@CLASSIFIERS.register
class LogisticModel(DenseClassifier):
    """Independent logistic regressions: p = sigmoid(x W + b).

    W [H, C] starts Glorot-uniform, b at 0; W has an L2 penalty of 1e-8.
    Source: the starter code's LogisticModel.

    Input shape: [B, H]. Output shape: [B, C].
    """

    reported_by = "zhao2019-lr"

    def build(self, input_shape):
        self.logits = self.make_dense(self.num_classes, "logits", input_shape)

    def call(self, descriptor, training=False):
        return ops.sigmoid(ops.cast(self.logits(descriptor), "float32"))


@CLASSIFIERS.register
class MoeModel(DenseClassifier):
    """A mixture of M logistic experts per class, and a dummy expert that predicts 0.

        g = softmax over M + 1 of x Wg        Wg [H, (M+1) C], no bias
        e = sigmoid(x We + be)                We [H, M C]
        p_c = sum over m < M of g[m, c] e[m, c]

    The last gate belongs to the dummy expert. Both matrices start Glorot-uniform
    over their whole shape and have an L2 penalty of 1e-8. Their columns are ordered by
    expert, then class (the starter code: by class, then expert), which keeps each
    expert's logits together.
    Without `moe_dummy_expert` the softmax is over the M experts, and with
    `moe_gate_bias` it is that of x Wg + bg: Na et al. 2017, equations 14 to 17.
    Source: the starter code's MoeModel; Jordan & Jacobs 1994.

    Input shape: [B, H]. Output shape: [B, C].
    """

    reported_by = "tang2017-moe"

    def __init__(
        self,
        num_classes: int,
        moe_num_mixtures: NumMixtures = 2,
        moe_gate_bias: Annotated[bool, "Give the gates biases."] = False,
        moe_dummy_expert: Annotated[
            bool, "Add an expert that predicts 0 to those of each class."
        ] = True,
        **kwargs,
    ):
        super().__init__(num_classes, **kwargs)

    def build(self, input_shape):
        self.build_mixture(gate_shape=input_shape, expert_shape=input_shape)

    def build_mixture(self, gate_shape, expert_shape):
        """Makes `gates` and `experts` for inputs of these shapes."""
        experts, classes = self.moe_num_mixtures, self.num_classes
        gates = (experts + self.moe_dummy_expert) * classes
        self.gates = self.make_dense(
            gates, "gates", gate_shape, use_bias=self.moe_gate_bias
        )
        self.experts = self.make_dense(experts * classes, "experts", expert_shape)

    def call(self, descriptor, training=False):
        return self.mix(self.gates(descriptor), self.experts(descriptor), training)

    def mix(self, gates, experts, training=False):
        """Logits [B, (M + 1) C] and [B, M C] -> probabilities float32 [B, C]."""
        if training and pays(self.num_classes):
            return compiled_with_gradient(self._mix)(gates, experts)
        return self._mix(gates, experts)

    def _mix(self, gates, experts):
        count = self.moe_num_mixtures
        gates = self._split_experts(gates, count + self.moe_dummy_expert)
        experts = self._split_experts(experts, count)
        # A list of experts: softmax and slices of [B, M, C] took a third of the step.
        highest = ops.stop_gradient(functools.reduce(ops.maximum, gates))
        gates = [ops.exp(gate - highest) for gate in gates]
        chosen = [
            gate * ops.sigmoid(expert)
            for gate, expert in zip(gates[:count], experts, strict=True)
        ]
        # The relu changes no sum of exponentials. It keeps TensorFlow from adding all
        # terms at once in a random order, which would change the last digit.
        total = functools.reduce(lambda one, other: ops.relu(one) + other, gates)
        return sum(chosen) / total

    @staticmethod
    def _split_experts(logits, experts):
        """[B, M C] -> M times float32 [B, C]."""
        return ops.split(ops.cast(logits, "float32"), experts, axis=-1)
