"""Losses of the starter code, as Keras losses.

    loss = CrossEntropyLoss()
    per_example = loss.call(labels, predictions)        # [B]
    loss(labels, predictions)                           # their mean

Labels are multi-hot float32 [B, C]; each loss sums over classes, and the trainer
takes the mean over the global batch (Keras' own losses average over classes too, so
learning rates do not carry over). `label_weights` [B, C] weighs each term.
"""

import keras
from keras import ops

from youtube8m.registry import Registry

LOSSES = Registry("--label_loss")


def multi_hot(labels, num_classes: int):
    """Ids int [B, L], padded with -1 and without doubles, as float32 [B, C]."""
    batch, width = ops.shape(labels)
    rows = ops.broadcast_to(ops.arange(batch, dtype="int32")[:, None], (batch, width))
    places = ops.stack([rows, ops.maximum(ops.cast(labels, "int32"), 0)], axis=-1)
    present = ops.cast(labels >= 0, "float32")
    return ops.scatter(
        ops.reshape(places, (-1, 2)), ops.reshape(present, (-1,)), (batch, num_classes)
    )


def label_arrays(batch: dict, num_classes: int):
    """(multi-hot labels [B, C], label weights [B, C] or None) of a batch."""
    labels = multi_hot(batch["labels"], num_classes)
    rated = multi_hot(batch["rated"], num_classes) if "rated" in batch else None
    return labels, rated


class LabelLoss(keras.losses.Loss):
    """Base: subclasses give the terms [B, C] of each class."""

    def terms(self, labels, predictions):
        """The loss of each example and class, [B, C]."""
        raise NotImplementedError

    def call(self, labels, predictions, label_weights=None):
        terms = self.terms(ops.cast(labels, predictions.dtype), predictions)
        if label_weights is not None:
            terms = terms * ops.cast(label_weights, terms.dtype)
        return ops.sum(terms, axis=-1)


@LOSSES.register
class CrossEntropyLoss(LabelLoss):
    """sum_c -[y log(p + e) + (1 - y) log(1 - p + e)] on probabilities, e = 1e-5."""

    epsilon = 10e-6

    def terms(self, labels, predictions):
        # One logarithm per term: y is 0 or 1, and p + e or 1 - p + e its argument.
        likelihood = labels * predictions + (1.0 - labels) * (1.0 - predictions)
        return -ops.log(likelihood + self.epsilon)


@LOSSES.register
class HingeLoss(LabelLoss):
    """sum_c max(0, b - s p), s = 2y - 1, with margin b.

    Args:
      hinge_margin: b.
    """

    def __init__(self, hinge_margin: float = 1.0, **kwargs):
        super().__init__(**kwargs)
        self.hinge_margin = hinge_margin

    def terms(self, labels, predictions):
        signs = 2.0 * labels - 1.0
        return ops.maximum(0.0, self.hinge_margin - signs * predictions)

    def get_config(self):
        return {**super().get_config(), "hinge_margin": self.hinge_margin}


@LOSSES.register
class SoftmaxLoss(LabelLoss):
    """Cross entropy of softmax(p) against the labels, normalised to sum to 1.

    The starter code applies it to what the model returns, so to probabilities.
    """

    def terms(self, labels, predictions):
        total = ops.maximum(ops.sum(ops.abs(labels), axis=-1, keepdims=True), 1e-12)
        log_softmax = predictions - ops.logsumexp(predictions, axis=-1, keepdims=True)
        return -(labels / total) * log_softmax
