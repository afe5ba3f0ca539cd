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


class _Mixture(Classifier):
    """m classifiers, each on its own descriptor, whose logits are mixed.

    z = sum_i w_i z_i                   w = softmax(BN(q) Wm + bm), q [B, D]
    """

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
        if not cl_temperature > 0:
            raise ValueError(f"--cl_temperature={cl_temperature}: must be above 0")

    def make_head(self, number: int) -> Classifier:
        """The classifier of one descriptor, with `compute_logits`."""
        raise NotImplementedError

    def build(self, input_shape):
        is_list = isinstance(input_shape[0], (list, tuple))
        *shapes, context = self._per_branch(input_shape, is_list)
        self.heads = []
        for number, shape in enumerate(shapes):
            head = self.make_head(number)
            head.build(shape)
            self.heads.append(head)
        size = context[-1]
        self.context_norm = self.sublayer(
            BatchNorm, size, "context_norm", slim=self.slim_batch_norm
        )
        self.weigh = self.sublayer(
            keras.layers.Dense, size, "weigh", units=self.mix_number
        )

    def _per_branch(self, descriptor, is_list):
        """m descriptors and q; a single descriptor is all of them."""
        return descriptor if is_list else [descriptor] * (self.mix_number + 1)

    def call(self, descriptor, training=False):
        is_list = isinstance(descriptor, (list, tuple))
        *descriptors, context = self._per_branch(descriptor, is_list)
        logits = [
            head.compute_logits(one)
            for head, one in zip(self.heads, descriptors, strict=True)
        ]
        logits = ops.stack(logits, axis=1)
        scores = self.weigh(self.context_norm(context, training=training))
        weights = masked_softmax(scores)
        mixed = ops.sum(weights[..., None] * logits, axis=1)
        return {
            "predictions": ops.sigmoid(mixed),
            "mixed_logits": mixed,
            "branch_logits": logits,
        }

    def auxiliary_losses(self, outputs, batch):
        mixed, logits = outputs["mixed_logits"], outputs["branch_logits"]
        distillation = self.cl_lambda * self.divergence(mixed, logits)
        labels = multi_hot(batch["labels"], self.num_classes)[:, None]
        terms = cross_entropy(labels, ops.sigmoid(logits))
        if "rated" in batch:
            terms = terms * multi_hot(batch["rated"], self.num_classes)[:, None]
        return {
            "distillation_loss": distillation,
            "branch_loss": ops.sum(terms, axis=(1, 2)),
        }

    def divergence(self, mixed, logits):
        """sum_i KL(softmax(z / T) || softmax(z_i / T)) of z [B, C], z_i [B, m, C]: [B].

        Gradients flow into both sides.
        """
        p = masked_softmax(mixed[:, None] / self.cl_temperature, axis=2)
        q = masked_softmax(logits / self.cl_temperature, axis=2)
        return ops.sum(p * (ops.log(p + 1e-8) - ops.log(q + 1e-8)), axis=(1, 2))


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
