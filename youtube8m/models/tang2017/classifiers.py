"""The classifiers of Tang et al. 2017, which use facts of the classes.

These are the vertical of each class and how frequent it is.
"""

from typing import Annotated

import keras
import numpy as np
from keras import ops

from youtube8m.layers.normalization import BatchNorm, SlimBatchNorm
from youtube8m.layers.targets import cross_entropy, multi_hot
from youtube8m.models.base import CLASSIFIERS, ReleasedCode, count_verticals
from youtube8m.models.starter.classifiers import DenseClassifier, MoeModel, NumMixtures
from youtube8m.registry import AtLeast, require_choice, require_share

_EPSILON = 1e-5  # of the logarithms, as in the cross entropy


class _PerVertical(DenseClassifier):
    """A classifier of its own, a head, for the classes of each vertical.

    No descriptor is copied for each class.
    """

    def __init__(
        self,
        num_classes: int,
        verticals: tuple[int, ...],
        num_verticals: int | None = None,
        **kwargs,
    ):
        super().__init__(num_classes, **kwargs)
        self.verticals = _require_one_per_class("verticals", verticals, num_classes)
        self.num_verticals = count_verticals(self.verticals, num_verticals)
        order = np.argsort(self.verticals, kind="stable")
        self._position_of_class = np.argsort(order)  # in the order of the verticals

    def build(self, input_shape):
        sizes = np.bincount(self.verticals, minlength=self.num_verticals)
        self._used = np.flatnonzero(sizes)  # verticals that have classes
        shared = not isinstance(input_shape[0], (tuple, list))
        shapes = [input_shape] * len(sizes) if shared else input_shape
        if len(shapes) != len(sizes):
            raise ValueError(
                f"{len(shapes)} descriptors: expected {len(sizes)}, one per vertical"
            )
        self.heads = [
            self._make_head(int(size), f"vertical_{number}", shape)
            for number, (size, shape) in enumerate(zip(sizes, shapes, strict=True))
            if size
        ]

    def _make_head(self, classes, name, shape):
        """A built layer [B, H_v] -> [B, C_v]."""
        raise NotImplementedError

    def call(self, descriptor, training=False):
        """The outputs of the heads in the order of the classes: float32 [B, C]."""
        shared = not isinstance(descriptor, (tuple, list))
        used = [descriptor if shared else descriptor[number] for number in self._used]
        pairs = zip(self.heads, used, strict=True)
        outputs = ops.concatenate([head(x) for head, x in pairs], axis=-1)
        return ops.take(ops.cast(outputs, "float32"), self._position_of_class, axis=-1)


@CLASSIFIERS.register
class PerVerticalModel(_PerVertical):
    """A logistic regression of each class on the descriptor of its vertical.

        p_c = sigmoid(x_v W_v + b_v)[c]       v the vertical of class c; W_v [H_v, C_v]

    There is one matrix W_v for the C_v classes of each vertical, with an L2 penalty of
    1e-8.
    Source: the released code of Tang et al. 2017 (without b); Zou et al. 2017, section
    7.1.

    Args:
      verticals: the vertical of each class, C integers in [0, V).
      num_verticals: V, if the last verticals have no class; None counts the verticals
        up to the last one with a class.

    Input shape: V tensors [B, H_v], or one [B, H] for all verticals.
    Output shape: [B, C].
    """

    reported_by = "zou2017-25-tasks"

    def __init__(
        self,
        num_classes: int,
        verticals: tuple[int, ...],
        vertical_bias: Annotated[bool, "Give the logistic regressions a bias."] = True,
        **kwargs,
    ):
        super().__init__(num_classes, verticals, **kwargs)

    def _make_head(self, classes, name, shape):
        return self.make_dense(classes, name, shape, use_bias=self.vertical_bias)

    def call(self, descriptor, training=False):
        return ops.sigmoid(super().call(descriptor))


@CLASSIFIERS.register
class PerVerticalMoeModel(_PerVertical):
    """A mixture of experts for each class, on the descriptor of its vertical.

        p_c = MoE_v(x_v)[c]                   v the vertical of class c

    There is one MoeModel for the C_v classes of each vertical.
    Source: Tang et al. 2017, Table 2, Multi-ATT+BiLSTM; their code has the logistic
    regressions of PerVerticalModel.

    Args:
      verticals: the vertical of each class, C integers in [0, V).
      num_verticals: V; see PerVerticalModel.

    Input shape: V tensors [B, H_v], or one [B, H] for all verticals.
    Output shape: [B, C].
    """

    reported_by = "tang2017-multi-att"

    def __init__(
        self,
        num_classes: int,
        verticals: tuple[int, ...],
        moe_num_mixtures: NumMixtures = 2,
        **kwargs,
    ):
        super().__init__(num_classes, verticals, **kwargs)

    def _make_head(self, classes, name, shape):
        return _make_mixture(self, shape[-1], name, classes, self.moe_num_mixtures)


@CLASSIFIERS.register
class HierarchicalMoeModel(DenseClassifier):
    """A mixture of experts for the verticals, then one for the classes.

        q = MoE_V(x)                          [B, V], trained on the labels' verticals
        z = log(q + e) - log(1 - q + e)       e = 1e-5
        p = MoE_C(concat(x, z))               [B, C]
        loss += w * cross entropy(q, verticals of the labels)

    The paper joins the values before the coarse classifier's softmax. A mixture of
    experts ends in no softmax, so z are the logits of q: q = sigmoid(z), but for e.
    With `released_code`, as in the code, p = MoE_C(concat(x, q)).
    Gradients flow from p into q. In rated segments, verticals without a rated class do
    not count.
    Source: Tang et al. 2017, Table 4, HMoE; their class HMoeModel.

    Args:
      verticals: the vertical of each class, C integers in [0, V).
      num_verticals: V; see PerVerticalModel.

    Input shape: [B, H]. Output: `predictions` [B, C], `coarse_predictions` [B, V].
    """

    reported_by = "tang2017-hmoe"
    earlier_defaults = {"coarse_values": "probabilities"}

    def __init__(
        self,
        num_classes: int,
        verticals: tuple[int, ...],
        coarse_num_mixtures: Annotated[int, "Experts per vertical."] = 8,
        label_num_mixtures: Annotated[int, "Experts per class."] = 8,
        coarse_loss_weight: Annotated[
            float, "Factor of the verticals' cross entropy in the loss (w)."
        ] = 1.0,
        released_code: ReleasedCode = False,
        coarse_values: Annotated[
            str,
            "What the classes get of the verticals: logits (the paper) or "
            "probabilities (the code, and always with released_code).",
        ] = "logits",
        num_verticals: int | None = None,
        **kwargs,
    ):
        super().__init__(num_classes, **kwargs)
        require_choice("coarse_values", coarse_values, "logits", "probabilities")
        self.verticals = _require_one_per_class("verticals", verticals, num_classes)
        self.num_verticals = count_verticals(self.verticals, num_verticals)

    def build(self, input_shape):
        size, verticals = input_shape[-1], self.num_verticals
        experts, fine_experts = self.coarse_num_mixtures, self.label_num_mixtures
        self.coarse = _make_mixture(self, size, "coarse", verticals, experts)
        size += verticals
        self.fine = _make_mixture(self, size, "fine", self.num_classes, fine_experts)

    def call(self, descriptor, training=False):
        coarse = self.coarse(descriptor)
        known = coarse
        if self.coarse_values == "logits" and not self.released_code:
            known = ops.log(coarse + _EPSILON) - ops.log(1.0 - coarse + _EPSILON)
        known = ops.cast(known, descriptor.dtype)
        fine = self.fine(ops.concatenate([descriptor, known], axis=-1))
        return {"predictions": fine, "coarse_predictions": coarse}

    def auxiliary_losses(self, outputs, batch):
        truth = self._mark_verticals(batch["labels"])
        terms = cross_entropy(truth, outputs["coarse_predictions"])
        if "rated" in batch:
            terms = terms * self._mark_verticals(batch["rated"])
        return {"coarse_loss": self.coarse_loss_weight * ops.sum(terms, axis=-1)}

    def _mark_verticals(self, classes):
        """Class ids [B, L], padded with -1 -> float32 [B, V]: 1 for their verticals."""
        classes = ops.cast(classes, "int32")
        table = np.array(self.verticals, np.int32)
        verticals = ops.take(table, ops.maximum(classes, 0))
        verticals = ops.where(classes >= 0, verticals, -1)
        return multi_hot(verticals, self.num_verticals)


@CLASSIFIERS.register
class ClassifierChainModel(DenseClassifier):
    """Groups of classes in a chain: each gets the predictions of the groups before it.

        f   = relu(BN(x Wr))                  Wr [H, F]; f = x if F is 0
        b_g = relu(BN_g(d_g Wd))              Wd [C, K], the same for all groups;
                                              b_g = d_g if K is 0
        p_g = MoE_g(dropout(concat(b_g, f)))  [B, C / G]
        d_g : [B, C], p_0 ... p_{g-1}, then zeros

    The groups have equal sizes, up to a remainder, in the order of falling frequency;
    without counts this is the order of the ids. A group adds the product with its own
    slice of Wd to d_g Wd, so the whole chain costs one product with Wd. There are no
    biases before batch normalisation, which would cancel them. The groups get
    predictions, not labels, in training too.
    Source: Tang et al. 2017, Table 4, CC; their class CCMoeModel, with F = 0
    CCDistrMoeModel, with F = K = 0 CCOrigMoeModel.

    Args:
      class_counts: training videos of each class; None if the ids are sorted by
        frequency.

    Input shape: [B, H]. Output shape: [B, C].
    """

    reported_by = "tang2017-cc"

    def __init__(
        self,
        num_classes: int,
        class_counts: tuple[int, ...] | None = None,
        chain_groups: Annotated[int, "Number of groups of classes (G)."] = 12,
        moe_num_mixtures: NumMixtures = 8,
        feature_bottleneck: Annotated[
            int,
            "Units between the descriptor and the groups (F); 0 for no such layer.",
            AtLeast(0),
        ] = 512,
        distribution_bottleneck: Annotated[
            int,
            "Units between earlier predictions and a group (K); 0 for no such layer.",
            AtLeast(0),
        ] = 1024,
        chain_dropout: Annotated[
            float, "Share of each group's inputs that dropout zeroes in training."
        ] = 0.5,
        slim_batch_norm: SlimBatchNorm = False,
        **kwargs,
    ):
        super().__init__(num_classes, **kwargs)
        require_share("chain_dropout", chain_dropout, excluded=1.0)
        self.class_counts = class_counts and tuple(class_counts)
        order = np.arange(num_classes)
        if class_counts is not None:
            counts = _require_one_per_class("class_counts", class_counts, num_classes)
            order = np.argsort(-np.array(counts), kind="stable")
        self._position_of_class = np.argsort(order)  # in the chain
        groups = np.array_split(order, min(chain_groups, num_classes))
        sizes = [len(group) for group in groups]
        self._ends = [int(end) for end in np.cumsum(sizes)]
        self._sizes = sizes

    def build(self, input_shape):
        size = input_shape[-1]
        self.reduce = self.reduce_norm = self.bottleneck = None
        if self.feature_bottleneck:
            self.reduce, self.reduce_norm = self._make_bottleneck(
                "reduce", size, self.feature_bottleneck
            )
            size = self.feature_bottleneck
        known = self._known_size()
        if self.distribution_bottleneck:
            self.bottleneck = self.add_weight(
                shape=(self.num_classes, known),
                initializer=keras.initializers.RandomNormal(stddev=1.0),
                name="distribution",
            )
        self.dropout = keras.layers.Dropout(
            self.chain_dropout, dtype=self.dtype_policy, name="dropout"
        )
        self.norms, self.groups = [], []
        for number, classes in enumerate(self._sizes):
            if self.distribution_bottleneck:
                self.norms.append(self._make_norm(known, f"norm_{number}"))
            name, experts = f"group_{number}", self.moe_num_mixtures
            group = _make_mixture(self, known + size, name, classes, experts)
            self.groups.append(group)

    def _make_bottleneck(self, name, size, units):
        layer = self.make_dense(units, name, (None, size), use_bias=False)
        return layer, self._make_norm(units, f"{name}_norm")

    def _make_norm(self, size, name):
        slim = {"scale": False, "slim": self.slim_batch_norm}
        return self.sublayer(BatchNorm, size, name, **slim)

    def call(self, descriptor, training=False):
        features = descriptor
        if self.reduce is not None:
            features = self.reduce_norm(self.reduce(features), training=training)
            features = ops.relu(features)
        batch, size = ops.shape(descriptor)[0], self._known_size()
        projected = ops.zeros((batch, size), descriptor.dtype)
        scores = []
        for number, group in enumerate(self.groups):
            known = projected
            if self.norms:
                known = ops.relu(self.norms[number](projected, training=training))
            inputs = ops.concatenate([known, features], axis=-1)
            scores.append(group(self.dropout(inputs, training=training)))
            projected = projected + self._project(number, scores[-1])
        scores = ops.concatenate(scores, axis=-1)
        return ops.take(scores, self._position_of_class, axis=-1)

    def _known_size(self):
        return self.distribution_bottleneck or self.num_classes

    def _project(self, number, scores):
        """The part of d Wd, or of d itself, that comes from group `number`."""
        end = self._ends[number]
        start = end - self._sizes[number]
        scores = ops.cast(scores, self.compute_dtype)
        if self.bottleneck is not None:
            return ops.matmul(scores, self.bottleneck[start:end])
        return ops.pad(scores, [[0, 0], [start, self.num_classes - end]])


def _make_mixture(part, size, name, classes, experts):
    """A built MoeModel [B, size] -> [B, classes], a layer of `part`."""
    sizes = {"num_classes": classes, "moe_num_mixtures": experts}
    return part.sublayer(MoeModel, size, name, **sizes)


def _require_one_per_class(name, values, num_classes):
    if len(values) != num_classes:
        raise ValueError(
            f"{name} has {len(values)} entries: expected one for each of "
            f"{num_classes} classes"
        )
    return tuple(values)
