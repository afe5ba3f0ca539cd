"""Video-level classifiers: a descriptor [B, H] to probabilities [B, C]."""

import functools

import keras
import numpy as np
from keras import ops

from youtube8m.models.base import CLASSIFIERS, Classifier, weight_decay


@CLASSIFIERS.register
class LogisticModel(Classifier):
    """Independent logistic regressions: p = sigmoid(x W + b).

    W [H, C] starts Glorot-uniform, b at 0; L2 penalty 1e-8 on W.
    Source: the starter code's LogisticModel.
    """

    def build(self, input_shape):
        self.logits = keras.layers.Dense(
            self.num_classes,
            kernel_regularizer=weight_decay(),
            dtype=self.dtype_policy,
            name="logits",
        )
        self.logits.build(input_shape)

    def call(self, descriptor, training=False):
        return ops.sigmoid(ops.cast(self.logits(descriptor), "float32"))

    def compute_output_spec(self, descriptor, training=False):
        return keras.KerasTensor((descriptor.shape[0], self.num_classes), "float32")


@CLASSIFIERS.register
class MoeModel(Classifier):
    """A mixture of M logistic experts per class, and one that always says no.

        g = softmax over M + 1 of x Wg        Wg [H, (M+1) C], no bias
        e = sigmoid(x We + be)                We [H, M C]
        p_c = sum over m < M of g[m, c] e[m, c]

    The last gate belongs to the dummy expert. Both matrices start Glorot-uniform
    over their whole shape and have an L2 penalty of 1e-8. They are laid out by
    expert, then class (the starter code: by class, then expert), which keeps each
    expert's logits together.
    Source: the starter code's MoeModel; Jordan & Jacobs 1994.

    Args:
      moe_num_mixtures: M, without the dummy.
    """

    def __init__(self, num_classes: int, moe_num_mixtures: int = 2, **kwargs):
        super().__init__(num_classes, **kwargs)
        self.moe_num_mixtures = moe_num_mixtures

    def build(self, input_shape):
        experts = self.moe_num_mixtures
        self.gates = self._dense(experts + 1, "gates", use_bias=False)
        self.experts = self._dense(experts, "experts")
        self.gates.build(input_shape)
        self.experts.build(input_shape)

    def _dense(self, experts, name, **kwargs):
        return keras.layers.Dense(
            experts * self.num_classes,
            kernel_regularizer=weight_decay(),
            dtype=self.dtype_policy,
            name=name,
            **kwargs,
        )

    def call(self, descriptor, training=False):
        gates = self._by_expert(self.gates(descriptor), self.moe_num_mixtures + 1)
        experts = self._by_expert(self.experts(descriptor), self.moe_num_mixtures)
        # Over a list: on [B, M, C] softmax and slice took a third of the step.
        highest = ops.stop_gradient(functools.reduce(ops.maximum, gates))
        gates = [ops.exp(gate - highest) for gate in gates]
        chosen = [
            gate * ops.sigmoid(expert)
            for gate, expert in zip(gates[:-1], experts, strict=True)
        ]
        return sum(chosen) / sum(gates)

    def _by_expert(self, logits, experts):
        """[B, M C] -> M times float32 [B, C]."""
        return ops.split(ops.cast(logits, "float32"), experts, axis=-1)

    def compute_output_spec(self, descriptor, training=False):
        return keras.KerasTensor((descriptor.shape[0], self.num_classes), "float32")


@CLASSIFIERS.register
class PerVerticalModel(Classifier):
    """Logistic regressions of each class on the descriptor of its vertical.

    p_c = sigmoid(x_v W_v + b_v)[c], v the vertical of class c: a matrix W_v [H_v, C_v]
    for the C_v classes of each vertical, not a descriptor gathered for each class.
    Source: Tang et al. 2017, section 2.3.4 (without b); Zou et al. 2017, section 7.1.

    Args:
      verticals: of each class, the place of its vertical: C integers in [0, V).
      vertical_bias: whether there are biases b_v.

    Input shape: V descriptors [B, H_v], or one [B, H] for all verticals.
    Output shape: [B, C].
    """

    def __init__(
        self,
        num_classes: int,
        verticals: tuple[int, ...],
        vertical_bias: bool = True,
        **kwargs,
    ):
        super().__init__(num_classes, **kwargs)
        self.verticals = tuple(verticals)
        self.vertical_bias = vertical_bias
        if len(self.verticals) != num_classes:
            raise ValueError(
                f"verticals has {len(self.verticals)} entries; expected one for each "
                f"of {num_classes} classes"
            )
        order = np.argsort(self.verticals, kind="stable")
        self._places = np.argsort(order)  # of each class in the order of verticals

    def build(self, input_shape):
        sizes = np.bincount(self.verticals)
        shared = not isinstance(input_shape[0], (tuple, list))
        shapes = [input_shape] * len(sizes) if shared else input_shape
        if len(shapes) != len(sizes):
            raise ValueError(
                f"{len(shapes)} descriptors for {len(sizes)} verticals: expected as many"
            )
        self.heads = []
        for number, (size, shape) in enumerate(zip(sizes, shapes, strict=True)):
            head = keras.layers.Dense(
                int(size),
                use_bias=self.vertical_bias,
                kernel_regularizer=weight_decay(),
                dtype=self.dtype_policy,
                name=f"vertical_{number}",
            )
            head.build(shape)
            self.heads.append(head)

    def call(self, descriptor, training=False):
        shared = not isinstance(descriptor, (tuple, list))
        descriptors = [descriptor] * len(self.heads) if shared else descriptor
        pairs = zip(self.heads, descriptors, strict=True)
        logits = ops.concatenate([head(x) for head, x in pairs], axis=-1)
        logits = ops.take(ops.cast(logits, "float32"), self._places, axis=-1)
        return ops.sigmoid(logits)
