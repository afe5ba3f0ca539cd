"""Bounds of the metrics of predictions that rounding may move."""

import numpy as np

from tests.helpers.sample import SAMPLE
from youtube8m.layers.targets import multi_hot
from youtube8m.metrics import Metrics, top_predictions


def figures_within(noise, batches, top_k=20):
    """The lowest and highest figures of predictions that may be off by `noise`.

    Which of two near ties comes first hangs on the machine. The positives lose, or
    gain, what they can in `batches` of predictions [B, C] and labels [B, L].
    """
    results = []
    for gain in (-noise, noise):
        metrics = Metrics(SAMPLE.num_classes, top_k)
        for predictions, labels in batches:
            hits = np.asarray(multi_hot(labels, SAMPLE.num_classes))
            moved = predictions + gain * (2 * hits - 1)
            metrics.update(top_predictions(moved, labels, top_k), labels)
        results.append(metrics.result())
    return results
