"""Losses of labels, as Keras losses.

    loss = CrossEntropyLoss()
    per_example = loss.call(labels, predictions)        # [B]
    loss(labels, predictions)                           # their mean

Labels are multi-hot float32 [B, C]. Each loss sums over classes, and the trainer takes
the mean over the global batch. (Keras' own losses average over classes too, so they
need other learning rates.) `label_weights` [B, C] are factors of the terms.
"""

from typing import Annotated

import keras
import numpy as np
from keras import ops

from youtube8m.config import RunConfig
from youtube8m.errors import UserError
from youtube8m.layers.compiled import pays
from youtube8m.layers.replicas import sum_over_replicas
from youtube8m.layers.targets import cross_entropy, cross_entropy_of_ids, multi_hot
from youtube8m.registry import Configured, Registry, construct, require_share

LOSSES = Registry("--label_loss")


def create(run: RunConfig) -> "LabelLoss":
    """The label loss of a run. Raises UserError as `registry.construct`."""
    return construct(LOSSES.get(run.model.label_loss), run.constructor_values)


def label_arrays(batch: dict, num_classes: int):
    """(multi-hot labels [B, C], label weights [B, C] or None) of a batch."""
    labels = multi_hot(batch["labels"], num_classes)
    rated = multi_hot(batch["rated"], num_classes) if "rated" in batch else None
    return labels, rated


def rated_predictions(predictions, batch: dict):
    """Predictions [B, C] for the metrics: 0 for the unrated classes of segments."""
    if "rated" not in batch:
        return predictions
    return predictions * multi_hot(batch["rated"], predictions.shape[-1])


class LabelLoss(Configured, keras.losses.Loss):
    """The base of all label losses. Subclasses define the terms of each class."""

    variables: tuple = ()  # the state of a loss, which changes from step to step

    def build(self, num_classes: int, descriptor_shape: tuple | None) -> None:
        """Makes `variables`, if the loss has any.

        Raises UserError if the loss needs a descriptor [B, H] and the model has none,
        or several, for which `descriptor_shape` is None.
        """

    def terms(self, labels, predictions):
        """The loss of each example and class, [B, C]."""
        raise NotImplementedError

    def auxiliary_losses(self, outputs: dict, batch: dict) -> dict:
        """Terms that need more than predictions; see `models.base.Part`."""
        return {}

    def of_batch(self, batch: dict, predictions, num_classes: int):
        """The loss of each example of a batch, from the ids of its labels: [B]."""
        labels, rated = label_arrays(batch, num_classes)
        return self.call(labels, predictions, rated)

    def call(self, labels, predictions, label_weights=None):
        terms = self.terms(ops.cast(labels, predictions.dtype), predictions)
        if label_weights is not None:
            terms = terms * ops.cast(label_weights, terms.dtype)
        return ops.sum(terms, axis=-1)


@LOSSES.register
class CrossEntropyLoss(LabelLoss):
    """Cross entropy: sum_c -[y log(p + e) + (1 - y) log(1 - p + e)], e = 1e-5."""

    def of_batch(self, batch, predictions, num_classes):
        cls = type(self)
        own = cls.terms is CrossEntropyLoss.terms and cls.call is LabelLoss.call
        if own and "rated" not in batch and pays(num_classes):
            return cross_entropy_of_ids(batch["labels"], predictions)
        return super().of_batch(batch, predictions, num_classes)

    def terms(self, labels, predictions):
        return cross_entropy(labels, predictions)


@LOSSES.register
class HingeLoss(LabelLoss):
    """Hinge loss: sum_c max(0, b - s p), s = 2y - 1, with margin b."""

    def __init__(
        self, hinge_margin: Annotated[float, "Margin of the hinge (b)."] = 1.0, **kwargs
    ):
        super().__init__(**kwargs)

    def terms(self, labels, predictions):
        signs = 2.0 * labels - 1.0
        return ops.maximum(0.0, self.hinge_margin - signs * predictions)


@LOSSES.register
class SoftmaxLoss(LabelLoss):
    """Cross entropy of softmax(p) against the labels, normalised to sum to 1.

    The starter code applies the softmax to probabilities, the model's output. In
    segments it is over the rated classes only, so a segment with a single rated class
    has no gradient.
    """

    def call(self, labels, predictions, label_weights=None):
        if label_weights is not None:  # the softmax is over the rated classes
            counts = ops.cast(label_weights, predictions.dtype) > 0
            # The exp of -1e4 is 0 beside that of any probability.
            predictions = ops.where(counts, predictions, -1e4)
        return super().call(labels, predictions, label_weights)

    def terms(self, labels, predictions):
        total = ops.maximum(ops.sum(ops.abs(labels), axis=-1, keepdims=True), 1e-12)
        log_softmax = predictions - ops.logsumexp(predictions, axis=-1, keepdims=True)
        return -(labels / total) * log_softmax


@LOSSES.register
class PseudoHuberLoss(LabelLoss):
    """Pseudo-Huber loss of the cross entropy ce_c of each class.

        sum_c d^2 (sqrt(1 + (ce_c / d)^2) - 1)

    This is about ce^2 / 2 for small ce, and about d ce for large ce.
    Source: Na et al. 2017, Table 4, Pseudo-Huber.
    """

    def __init__(
        self,
        huber_delta: Annotated[
            float,
            "Cross entropy at which the loss turns from a square into a line (d).",
        ] = 0.5,
        **kwargs,
    ):
        super().__init__(**kwargs)
        if not huber_delta > 0:
            raise ValueError(f"--huber_delta={huber_delta}: must be greater than 0")

    def terms(self, labels, predictions):
        square = ops.square(cross_entropy(labels, predictions) / self.huber_delta)
        # sqrt(1 + s) - 1, without the cancellation for small s.
        return self.huber_delta**2 * square / (ops.sqrt(1.0 + square) + 1.0)


@LOSSES.register
class WeightedCrossEntropyLoss(LabelLoss):
    """Cross entropy with larger weights for the labels of rare classes.

        sum_c -[w_c y log(p + e) + (1 - y) log(1 - p + e)]
        w_c = min(cap, (n_1 / n_c)^k)

    n_c (`class_counts`) are the training videos of class c, and n_1 those of the most
    frequent class. Source: Akopyan & Khashba 2017, Table 3. They give no constant; with
    k = 1 and their counts, weights reach 8,600.
    """

    def __init__(
        self,
        class_counts: tuple[int, ...],
        miss_power: Annotated[
            float,
            "How much the weight of a label grows with its rarity (k); 0 for "
            "equal weights.",
        ] = 1.0,
        miss_cap: Annotated[float, "Largest weight of a label (cap)."] = 10000.0,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.class_counts = tuple(class_counts)
        counts = np.array(class_counts, np.float64)
        weights = np.minimum((counts.max() / counts) ** miss_power, miss_cap)
        self._weights = weights.astype(np.float32)

    def terms(self, labels, predictions):
        weights = 1.0 + labels * (self._weights - 1.0)
        return weights * cross_entropy(labels, predictions)


@LOSSES.register
class NegativeMaskedCrossEntropyLoss(LabelLoss):
    """Cross entropy without the negatives whose probability is below a threshold.

    Their p is replaced by 0, so they have almost no loss and no gradient.
    Source: Zou et al. 2017, section 7.2. Their CrossEntropyLossSample counts negatives
    with p >= 0.15; their CrossEntropyLossMat those with p > 0.2.
    """

    def __init__(
        self,
        negative_threshold: Annotated[
            float, "Probability below which a negative class does not count."
        ] = 0.15,
        negative_threshold_counts: Annotated[
            bool, "Count a negative class exactly at negative_threshold."
        ] = True,
        **kwargs,
    ):
        super().__init__(**kwargs)

    def terms(self, labels, predictions):
        exceeds = ops.greater_equal if self.negative_threshold_counts else ops.greater
        counts = (labels > 0) | exceeds(predictions, self.negative_threshold)
        kept = ops.where(counts, predictions, ops.zeros_like(predictions))
        return cross_entropy(labels, kept)


@LOSSES.register
class MultiTaskCrossEntropyLoss(CrossEntropyLoss):
    """Cross entropy of the predictions p and of all predictions before them.

        (1 - s) ce(p) + s sum_l ce(p_l)

    p_l are a model's support predictions, [B, n C] side by side. They are summed, so n
    of them weigh n times as much as one. The loss that is told and evaluated is ce(p);
    the rest, s (sum_l ce(p_l) - ce(p)), is the auxiliary loss.
    Source: MultiTaskCrossEntropyLoss in the released code of Wang et al. 2017.
    """

    def __init__(
        self,
        support_loss_percent: Annotated[
            float, "Weight of the support predictions in the loss, from 0 to 1 (s)."
        ] = 0.1,
        **kwargs,
    ):
        super().__init__(**kwargs)
        require_share("support_loss_percent", support_loss_percent)

    def auxiliary_losses(self, outputs, batch):
        if "support_predictions" not in outputs:
            raise UserError(
                "--label_loss=MultiTaskCrossEntropyLoss needs support predictions, "
                "which this model does not make; choose another loss, or "
                "--video_level_classifier_model=DeepCombineChainModel"
            )
        predictions, supports = (
            ops.cast(outputs[name], "float32")
            for name in ("predictions", "support_predictions")
        )
        arrays = label_arrays(batch, predictions.shape[-1])
        count = supports.shape[-1] // predictions.shape[-1]
        repeated = [x if x is None else ops.tile(x, (1, count)) for x in arrays]
        terms = self.call(repeated[0], supports, repeated[1])
        own = self.call(arrays[0], predictions, arrays[1])
        return {"support_loss": self.support_loss_percent * (terms - own)}


@LOSSES.register
class CenterLoss(CrossEntropyLoss):
    """Cross entropy, and the distance of descriptors to the centers of their labels.

        loss = ce + w * sum over labels k of |x - m_k|^2 / n
        m_k <- m_k - r * sum over the n_k videos with label k of (m_k - x) / (1 + n_k)

    x [H] is the descriptor, n the number of labels of the video. The centers m [C, H]
    start at 0, get no gradient, and move after the loss is computed.
    The code of Na et al. never runs its update. That update lacks the division, so it
    diverges where a label has more than 2 / r videos in a batch. `center_mean` gives
    that update and the code's loss, a mean over the batch's pairs (video, label) and H.
    Source: Na et al. 2017, Table 4, center loss; Wen et al. 2016, equation 4.
    """

    def __init__(
        self,
        center_loss_weight: Annotated[float, "Factor of the distance (w)."] = 0.001,
        center_rate: Annotated[float, "Step of the centers (r)."] = 0.05,
        center_mean: Annotated[
            bool, "Average the distance and move the centers as the released code does."
        ] = False,
        **kwargs,
    ):
        super().__init__(**kwargs)

    def build(self, num_classes, descriptor_shape):
        if descriptor_shape is None or len(descriptor_shape) != 2:
            raise UserError(
                "--label_loss=CenterLoss needs one descriptor per video, which this "
                "--model does not have; choose another loss or model"
            )
        self.centers = keras.Variable(
            "zeros",
            shape=(num_classes, descriptor_shape[-1]),
            trainable=False,
            aggregation="mean",
            name="centers",
        )
        self.variables = (self.centers,)

    def auxiliary_losses(self, outputs, batch):
        descriptor = ops.cast(outputs["descriptor"], "float32")
        labels = multi_hot(batch["labels"], self.centers.shape[0])
        distances = self._distances(descriptor, labels)  # summed over pairs
        pairs = ops.sum(labels, axis=-1)
        if self.center_mean:
            terms = sum_over_replicas(ops.sum(pairs)) * self.centers.shape[-1]
            term = sum_over_replicas(ops.sum(distances)) / ops.maximum(terms, 1.0)
        else:
            term = distances / ops.maximum(pairs, 1.0)
        self._move_centers(descriptor, labels)
        return {"center_loss": self.center_loss_weight * term}

    def _distances(self, x, labels):
        """sum over labels k of |x - m_k|^2: [B], without a tensor [B, C, H]."""
        centers = ops.stop_gradient(ops.convert_to_tensor(self.centers))
        count = ops.sum(labels, axis=-1)
        squares = ops.matmul(labels, ops.sum(ops.square(centers), axis=-1)[:, None])
        towards = ops.sum(x * ops.matmul(labels, centers), axis=-1)
        return count * ops.sum(ops.square(x), axis=-1) - 2 * towards + squares[:, 0]

    def _move_centers(self, x, labels):
        x = ops.stop_gradient(x)
        count = sum_over_replicas(ops.sum(labels, axis=0))[:, None]
        total = sum_over_replicas(ops.matmul(ops.transpose(labels), x))
        centers = ops.convert_to_tensor(self.centers)
        rate = self.center_rate
        if not self.center_mean:
            rate = rate / (1.0 + count)
        self.centers.assign(centers - rate * (count * centers - total))
