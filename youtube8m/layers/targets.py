"""Labels in the form that models and losses need.

labels = multi_hot(batch["labels"], num_classes)           # ids -> float32 [B, C]
loss = ops.sum(cross_entropy(labels, predictions), axis=-1)
loss = cross_entropy_of_ids(batch["labels"], predictions)  # the same, in fewer passes
"""

from keras import ops

from youtube8m.layers.compiled import compiled

EPSILON = 10e-6  # of the starter code's cross entropy


def multi_hot(labels, num_classes: int):
    """Ids int [B, L], padded with -1, as float32 [B, C] of 0 and 1."""
    batch, width = ops.shape(labels)
    rows = ops.broadcast_to(ops.arange(batch, dtype="int32")[:, None], (batch, width))
    indices = ops.stack([rows, ops.maximum(ops.cast(labels, "int32"), 0)], axis=-1)
    present = ops.cast(labels >= 0, "float32")
    counts = ops.scatter(
        ops.reshape(indices, (-1, 2)), ops.reshape(present, (-1,)), (batch, num_classes)
    )
    return ops.minimum(counts, 1.0)


def cross_entropy(labels, predictions):
    """-[y log(p + e) + (1 - y) log(1 - p + e)] of each class, e = 1e-5: [B, C]."""
    # One logarithm instead of two: y is 0 or 1, so one of the terms is 0.
    likelihood = labels * predictions + (1.0 - labels) * (1.0 - predictions)
    return -ops.log(likelihood + EPSILON)


def cross_entropy_of_ids(labels, predictions):
    """The sum over classes of `cross_entropy`, of ids [B, L] padded with -1: [B].

    It passes over [B, C] once forward and once back, as if no class were a label, and
    then corrects the labels' values.
    """
    present = labels >= 0
    # Padding repeats another label; 0 stands in where there is none.
    labels = ops.where(present, labels, ops.max(labels, axis=1, keepdims=True))
    labels = ops.maximum(labels, 0)
    some = ops.any(present, axis=1, keepdims=True)
    batch, classes = ops.shape(predictions)
    rows = ops.broadcast_to(
        ops.arange(batch, dtype="int32")[:, None], ops.shape(labels)
    )
    counts = ops.cast(some & ~_repeated(labels), "float32")

    @ops.custom_gradient
    def loss(predictions):
        flat = ops.reshape(predictions, (-1,))
        chosen = ops.take(flat, rows * classes + labels)
        hit, miss = chosen + EPSILON, _miss(chosen)
        corrections = counts * (ops.log(miss) - ops.log(hit))
        value = _negatives(predictions) + ops.sum(corrections, axis=1)

        def gradient(*arguments, upstream=None):
            upstream = arguments[0] if upstream is None else upstream
            factor = upstream[:, None]
            own = ops.where(some, -factor / hit, factor / miss)
            indices = ops.reshape(ops.stack([rows, labels], axis=-1), (-1, 2))
            dense = _negatives_gradient(predictions, upstream)
            return ops.scatter_update(dense, indices, ops.reshape(own, (-1,)))

        return value, gradient

    return loss(predictions)


def _repeated(labels):
    """Which ids [B, L] stand earlier in their row, too: bool [B, L]."""
    width = ops.arange(ops.shape(labels)[1])
    same = labels[:, :, None] == labels[:, None, :]
    return ops.any(same & (width[None, :] < width[:, None]), axis=2)


def _miss(predictions):
    """1 - p + e."""
    # The relu keeps XLA from subtracting p from 1 + e, which has lost most of e.
    return ops.relu(1.0 - predictions) + EPSILON


@compiled
def _negatives(predictions):
    return -ops.sum(ops.log(_miss(predictions)), axis=1)


@compiled
def _negatives_gradient(predictions, upstream):
    return upstream[:, None] / _miss(predictions)
