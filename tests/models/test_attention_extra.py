"""The extra `attention` of models: [B, S, Q] beside the descriptor."""

import numpy as np
import pytest

from tests.helpers.all_models import FRAMES, NUM_CLASSES, SMALL, VERTICALS
from tests.helpers.layers import randomized
from youtube8m.models import MoeModel, VideoModel
from youtube8m.models.base import ENCODERS
from youtube8m.registry import construct

LENGTHS = (28, 9, 1)
RNG = np.random.default_rng(0)
# Name -> frames that a weight stands for, queries, and whether weights sum to 1.
CASES = {
    "BiLSTMAttention": (1, 1, True),
    "SplitBiLSTMAttention": (1, 2, True),
    "MultiAttentionBiLSTM": (1, 3, True),
    "MaxPoolBiLSTMAttention": (3, 1, True),
    "RandomBiLSTMAttention": (5, 1, True),
    "HierarchicalBiLSTMAttention": (25, 1, True),
    "BiGRUAttention": (1, 1, True),
    "NeXtVLAD": (1, 12, False),
    "MixNeXtVLAD": (1, 24, False),
}
QUICK = ("BiLSTMAttention", "RandomBiLSTMAttention", "BiGRUAttention", "NeXtVLAD")


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=[] if name in QUICK else pytest.mark.slow)
        for name in CASES
    ],
)
def test_weights_are_of_real_steps(name):
    per_weight, queries, sums_to_one = CASES[name]
    values = {"verticals": VERTICALS, "feature_sizes": FRAMES.feature_sizes} | SMALL
    encoder = construct(ENCODERS.get(name), values)
    model = VideoModel(None, encoder=encoder)
    frames = RNG.integers(0, 256, (3, max(LENGTHS), 16), dtype=np.uint8)
    batch = {"frames": frames, "num_frames": np.array(LENGTHS, np.int32)}
    model(batch)  # makes the weights
    randomized(encoder)
    outputs = model(batch)
    weights = np.asarray(outputs["attention"])
    steps = [-(-length // per_weight) for length in LENGTHS]
    assert encoder.frames_per_attention == per_weight
    assert weights.shape == (3, steps[0], queries) and weights.dtype == np.float32
    for row, count in zip(weights, steps, strict=True):
        assert (row[:count] > 0).all() and (row[count:] == 0).all()
        if sums_to_one:
            np.testing.assert_allclose(row.sum(axis=0), 1.0, rtol=1e-5)
    assert len(np.unique(weights[0])) > queries  # they are not all alike


def test_training_does_not_ask_for_them():
    encoder = construct(ENCODERS.get("BiLSTMAttention"), SMALL)
    model = VideoModel(MoeModel(num_classes=NUM_CLASSES), encoder=encoder)
    frames = RNG.integers(0, 256, (2, 4, 16), dtype=np.uint8)
    batch = {"frames": frames, "num_frames": np.array([4, 2], np.int32)}
    assert "attention" not in model(batch, training=True)
    assert "attention" in model(batch)
