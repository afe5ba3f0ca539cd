"""The starter code's encoders against a few lines of numpy."""

import numpy as np
import pytest

from youtube8m import models

RNG = np.random.default_rng(0)


def test_frame_mean():
    frames = RNG.normal(size=(2, 4, 3)).astype(np.float32)
    frames[0, 2:] = 0
    mask = np.array([[True, True, False, False], [True] * 4])
    expected = [frames[0, :2].mean(axis=0), frames[1].mean(axis=0)]
    result = models.FrameLevelLogisticModel()(frames, mask)
    np.testing.assert_allclose(result, expected, rtol=1e-5)


@pytest.mark.parametrize("pooling, reduce", [("max", np.max), ("average", np.mean)])
def test_dbof(pooling, reduce):
    layer = models.DbofModel(
        iterations=3,
        dbof_add_batch_norm=False,
        dbof_cluster_size=7,
        dbof_hidden_size=4,
        dbof_pooling_method=pooling,
        dbof_activation="relu6",
    )
    frames = RNG.normal(size=(2, 3, 5)).astype(np.float32)
    layer.build(frames.shape)
    weights = [w for w in layer.weights if "seed" not in w.path]
    for weight in weights:
        weight.assign(RNG.normal(size=weight.shape))
    wc, bc, wh, bh = (np.asarray(weight) for weight in weights)
    clusters = np.clip(frames @ wc + bc, 0, 6)
    expected = np.clip(reduce(clusters, axis=1) @ wh + bh, 0, 6)
    np.testing.assert_allclose(
        layer(frames, np.ones((2, 3), bool)), expected, rtol=1e-4, atol=1e-5
    )
