"""The classifiers of Lin et al. 2018, which are mixed by their logits."""

from typing import Annotated

import keras
from keras import ops

from youtube8m.layers.normalization import BatchNorm, SlimBatchNorm
from youtube8m.layers.pooling import masked_softmax
from youtube8m.layers.targets import cross_entropy, multi_hot
from youtube8m.models.base import CLASSIFIERS, Classifier
from youtube8m.models.starter.classifiers import LogisticModel, MoeModel
from youtube8m.models.starter.regularization import SquarePenalty


@CLASSIFIERS.register
class PenalizedLogisticModel(LogisticModel):
    """Logistic regressions with a penalty on weights and biases: p = sigmoid(x W + b).

    Source: LogisticModel in the released code of Lin et al. 2018.

    Input shape: [B, H]. Output shape: [B, C].
    """

    reported_by = "lin2018-nextvlad"

    def __init__(
        self,
        num_classes: int,
        l2_penalty: Annotated[float, "L2 penalty of weights and biases."] = 1e-5,
        **kwargs,
    ):
        super().__init__(num_classes, **kwargs)

    def make_dense(self, units, name, input_shape, **kwargs) -> keras.layers.Dense:
        """A built layer with the penalty `l2_penalty`."""
        penalty = SquarePenalty(self.l2_penalty / 2)
        return super().make_dense(
            units,
            name,
            input_shape,
            kernel_regularizer=penalty,
            bias_regularizer=penalty,
            **kwargs,
        )

    def compute_logits(self, descriptor):
        """float32 [B, C], whose sigmoids are the predictions."""
        return ops.cast(self.logits(descriptor), "float32")


@CLASSIFIERS.register
class MoeLogitModel(MoeModel):
    """A mixture of experts that mixes logits, not probabilities.

        p_c = sigmoid(sum over m < M of g[m, c] z[m, c])
        g   as in MoeModel; z = x We + be

    The dummy expert's logit is 0, so it pulls a prediction towards 1/2.
    Source: MoeModel in the released code of Lin et al. for the challenge of 2019.

    Input shape: [B, H]. Output shape: [B, C].
    """

    def compute_logits(self, descriptor):
        """float32 [B, C], whose sigmoids are the predictions."""
        shape = (-1, self.moe_num_mixtures + self.moe_dummy_expert, self.num_classes)
        gates = masked_softmax(ops.reshape(self.gates(descriptor), shape))
        experts = ops.cast(self.experts(descriptor), "float32")
        experts = ops.reshape(experts, (-1, self.moe_num_mixtures, self.num_classes))
        return ops.sum(gates[:, : self.moe_num_mixtures] * experts, axis=1)

    def call(self, descriptor, training=False):
        return ops.sigmoid(self.compute_logits(descriptor))


def divergence(mixed, logits, temperature: float):
    """sum_i KL(softmax(z / T) || softmax(z_i / T)) of z [B, C], z_i [B, m, C]: [B].

    Gradients flow into both sides.
    """
    p = masked_softmax(mixed[:, None] / temperature, axis=2)
    q = masked_softmax(logits / temperature, axis=2)
    return ops.sum(p * (ops.log(p + 1e-8) - ops.log(q + 1e-8)), axis=(1, 2))


def require_warm(name: str, temperature: float) -> None:
    """Raises ValueError unless the temperature of this flag is above 0."""
    if not temperature > 0:
        raise ValueError(f"--{name}={temperature}: must be above 0")


class _Mixing(Classifier):
    """Classifiers whose logits are mixed.

    z = sum_i w_i z_i                   w = softmax(BN(q) Wm + bm), q [B, D]
    """

    may_classify_frames = False  # the losses are of a video's logits

    def build_weights(self, context_shape, count):
        """Makes what weighs `count` logits by q."""
        size = context_shape[-1]
        self.context_norm = self.sublayer(
            BatchNorm, size, "context_norm", slim=self.slim_batch_norm
        )
        self.weigh = self.sublayer(keras.layers.Dense, size, "weigh", units=count)

    def mix(self, logits, context, training):
        """z_i float32 [B, m, C] and q [B, D] -> z [B, C]."""
        scores = self.weigh(self.context_norm(context, training=training))
        return ops.sum(masked_softmax(scores)[..., None] * logits, axis=1)

    def branch_loss(self, logits, batch):
        """The cross entropies of logits [B, m, C], summed over m and C: [B]."""
        labels = multi_hot(batch["labels"], self.num_classes)[:, None]
        terms = cross_entropy(labels, ops.sigmoid(logits))
        if "rated" in batch:
            terms = terms * multi_hot(batch["rated"], self.num_classes)[:, None]
        return ops.sum(terms, axis=(1, 2))

    @staticmethod
    def split_context(descriptor, count, is_list):
        """`count` descriptors, and q; a single descriptor is all of them."""
        *descriptors, context = descriptor if is_list else [descriptor] * (count + 1)
        return descriptors, context


class _Mixture(_Mixing):
    """m classifiers, each on its own descriptor, whose logits are mixed."""

    def __init__(
        self,
        num_classes: int,
        mix_number: Annotated[int, "Models that are mixed (m)."] = 3,
        cl_temperature: Annotated[
            float, "What logits are divided by in the distillation's softmax (T)."
        ] = 3.0,
        cl_lambda: Annotated[
            float, "Factor of the distillation in the loss; T^2 in the paper."
        ] = 9.0,
        slim_batch_norm: SlimBatchNorm = False,
        **kwargs,
    ):
        super().__init__(num_classes, **kwargs)
        require_warm("cl_temperature", cl_temperature)

    def make_head(self, number: int) -> Classifier:
        """The classifier of one descriptor, with `compute_logits`."""
        raise NotImplementedError

    def build(self, input_shape):
        is_list = isinstance(input_shape[0], (list, tuple))
        shapes, context = self.split_context(input_shape, self.mix_number, is_list)
        self.heads = []
        for number, shape in enumerate(shapes):
            head = self.make_head(number)
            head.build(shape)
            self.heads.append(head)
        self.build_weights(context, self.mix_number)

    def call(self, descriptor, training=False):
        is_list = isinstance(descriptor, (list, tuple))
        descriptors, context = self.split_context(descriptor, self.mix_number, is_list)
        logits = [
            head.compute_logits(one)
            for head, one in zip(self.heads, descriptors, strict=True)
        ]
        logits = ops.stack(logits, axis=1)
        mixed = self.mix(logits, context, training)
        return {
            "predictions": ops.sigmoid(mixed),
            "mixed_logits": mixed,
            "branch_logits": logits,
        }

    def auxiliary_losses(self, outputs, batch):
        mixed, logits = outputs["mixed_logits"], outputs["branch_logits"]
        return {
            "distillation_loss": self.cl_lambda * self.divergence(mixed, logits),
            "branch_loss": self.branch_loss(logits, batch),
        }

    def divergence(self, mixed, logits):
        """`divergence` at this mixture's temperature: [B]."""
        return divergence(mixed, logits, self.cl_temperature)


@CLASSIFIERS.register
class MixLogisticModel(_Mixture):
    """m logistic regressions, each on its own descriptor, whose logits are mixed.

        z_i = x_i W_i + b_i                        [B, C], i = 1 .. m
        w   = softmax(BN(q) Wm + bm)               [B, m]
        p   = sigmoid(sum_i w_i z_i)
        loss += sum_i cross entropy(sigmoid(z_i))
                + cl_lambda * sum_i KL(softmax(z / T) || softmax(z_i / T))

    Gradients flow into both sides of KL. The losses of the branches are cross
    entropies whatever --label_loss is.
    Source: Lin et al. 2018, the mixture with on-the-fly distillation.

    Input shape: m tensors [B, H] and q [B, D], or one [B, H] for all.
    Output shape: [B, C].
    """

    reported_by = "lin2018-mix3"

    def __init__(
        self,
        num_classes: int,
        l2_penalty: Annotated[float, "L2 penalty of weights and biases."] = 1e-5,
        **kwargs,
    ):
        super().__init__(num_classes, **kwargs)

    def make_head(self, number):
        return PenalizedLogisticModel(
            self.num_classes,
            self.l2_penalty,
            dtype=self.dtype_policy,
            name=f"head_{number}",
        )


@CLASSIFIERS.register
class MixMoeModel(_Mixture):
    """m mixtures of experts, each on its own descriptor, whose logits are mixed.

    z_i is the logit of a MoeLogitModel; all else is MixLogisticModel's.
    Source: the released code of Lin et al. for the challenge of 2019.

    Input shape: m tensors [B, H] and q [B, D], or one [B, H] for all.
    Output shape: [B, C].
    """

    def __init__(
        self,
        num_classes: int,
        moe_num_mixtures: Annotated[
            int, "Experts per class, without the dummy expert (M)."
        ] = 2,
        **kwargs,
    ):
        super().__init__(num_classes, **kwargs)

    def make_head(self, number):
        return MoeLogitModel(
            self.num_classes,
            self.moe_num_mixtures,
            dtype=self.dtype_policy,
            name=f"head_{number}",
        )


@CLASSIFIERS.register
class OuterMixLogisticModel(_Mixing):
    """n mixtures of m logistic regressions, whose logits are mixed once more.

        z_j = the mixed logits of a MixLogisticModel, j = 1 .. n      [B, C]
        z   = sum_j w_j z_j           w = softmax(BN(q) Wm + bm)
        p   = sigmoid(z)
        loss += sum_j (cross entropy(sigmoid(z_j)) + the losses of mixture j)
                + final_lambda * sum_j KL(softmax(z / T) || softmax(z_j / T))

    T is `final_temperature`. Cross entropies are whatever --label_loss is.
    Source: the released code of Lin et al. for the challenge of 2019.

    Input shape: n m tensors [B, H] and q [B, D], or one [B, H] for all.
    Output shape: [B, C].
    """

    reported_by = "lin2018-mix12-2019"

    def __init__(
        self,
        num_classes: int,
        outer_mix_number: Annotated[int, "Mixtures that are mixed (n)."] = 4,
        mix_number: Annotated[int, "Models that are mixed (m)."] = 3,
        cl_temperature: Annotated[
            float, "What logits are divided by in the distillation's softmax (T)."
        ] = 1.0,
        cl_lambda: Annotated[
            float, "Factor of the distillation in the loss; T^2 in the paper."
        ] = 1.0,
        final_temperature: Annotated[
            float, "T of the distillation between mixtures."
        ] = 1.0,
        final_lambda: Annotated[
            float, "Factor of the distillation between mixtures."
        ] = 1.0,
        l2_penalty: Annotated[float, "L2 penalty of weights and biases."] = 1e-5,
        slim_batch_norm: SlimBatchNorm = False,
        **kwargs,
    ):
        super().__init__(num_classes, **kwargs)
        require_warm("final_temperature", final_temperature)

    def build(self, input_shape):
        is_list = isinstance(input_shape[0], (list, tuple))
        groups, context = self._by_tower(input_shape, is_list)
        self.towers = []
        for number, shapes in enumerate(groups):
            tower = MixLogisticModel(
                self.num_classes,
                self.l2_penalty,
                mix_number=self.mix_number,
                cl_temperature=self.cl_temperature,
                cl_lambda=self.cl_lambda,
                slim_batch_norm=self.slim_batch_norm,
                dtype=self.dtype_policy,
                name=f"tower_{number}",
            )
            tower.build([*shapes, context])
            self.towers.append(tower)
        self.build_weights(context, self.outer_mix_number)

    def _by_tower(self, descriptor, is_list):
        """n lists of m descriptors, and q."""
        size, count = self.mix_number, self.outer_mix_number * self.mix_number
        all_of, context = self.split_context(descriptor, count, is_list)
        return [all_of[i : i + size] for i in range(0, count, size)], context

    def call(self, descriptor, training=False):
        is_list = isinstance(descriptor, (list, tuple))
        groups, context = self._by_tower(descriptor, is_list)
        mixtures = [
            tower([*descriptors, context], training=training)
            for tower, descriptors in zip(self.towers, groups, strict=True)
        ]
        mixed = [mixture["mixed_logits"] for mixture in mixtures]
        logits = ops.stack(mixed, axis=1)
        outer = self.mix(logits, context, training)
        return {
            "predictions": ops.sigmoid(outer),
            "mixed_logits": outer,
            "tower_logits": logits,
            "branch_logits": ops.stack(
                [mixture["branch_logits"] for mixture in mixtures], axis=1
            ),
        }

    def auxiliary_losses(self, outputs, batch):
        outer, towers = outputs["mixed_logits"], outputs["tower_logits"]
        inner, across = 0.0, divergence(outer, towers, self.final_temperature)
        branches = self.branch_loss(towers, batch)
        for number in range(self.outer_mix_number):
            logits = outputs["branch_logits"][:, number]
            branches = branches + self.branch_loss(logits, batch)
            inner += divergence(towers[:, number], logits, self.cl_temperature)
        return {
            "distillation_loss": self.cl_lambda * inner + self.final_lambda * across,
            "branch_loss": branches,
        }
