"""What models consist of and cost, against products that numpy multiplies."""

import numpy as np
import pytest

from tests.helpers.all_models import SMALL
from youtube8m.benchmarks.architecture import describe_model
from youtube8m.config import DataConfig, ModelConfig, RunConfig
from youtube8m.models.base import CLASSIFIERS, ENCODERS
from youtube8m.registry import hyperparameters

D, C, T, H = 16, 7, 9, 6  # values of a frame, classes, frames, units
FRAMES = DataConfig(("rgb", "audio"), (12, 4), True, C, max_frames=T)
VIDEOS = DataConfig(("mean_rgb", "mean_audio"), (12, 4), num_classes=C)


def describe(name, data=FRAMES, classifier="LogisticModel", **values):
    facts = {"verticals": tuple(n % 3 for n in range(C)), "class_counts": (1,) * C}
    config = ModelConfig(name, classifier, hyperparameters=values, **facts)
    return describe_model(RunConfig(data, config))


def multiplied(*shapes):
    """Operations of products [m, k] [k, n], of which numpy does each: 2 per term."""
    total = 0
    for (rows, inner), (same, columns) in shapes:
        product = np.ones((rows, inner)) @ np.ones((same, columns))
        total += 2 * int(product.sum())  # each entry is the number of its terms
    return total


def test_classifiers_are_products_of_the_descriptor():
    found = describe("LogisticModel", VIDEOS)
    assert found.flops == {"classifier": multiplied(((1, D), (D, C)))}
    assert found.parameters == {"classifier": D * C + C}
    found = describe("MoeModel", VIDEOS, moe_num_mixtures=3)
    gates, experts = ((1, D), (D, 4 * C)), ((1, D), (D, 3 * C))
    assert found.flops["classifier"] == multiplied(gates, experts)
    assert found.parameters["classifier"] == 4 * C * D + 3 * C * (D + 1)
    assert found.shapes["predictions"] == (1, C) and not found.frames


def test_a_bag_of_frames():
    sizes = {"iterations": 5, "dbof_cluster_size": 11, "dbof_hidden_size": H}
    found = describe("DbofModel", **sizes)
    products = ((5, D), (D, 11)), ((1, 11), (11, H))
    assert found.flops["encoder"] == multiplied(*products)
    assert found.flops["classifier"] == multiplied(((1, H), (H, C)))
    assert found.shapes["frames"] == (1, T, D)
    assert found.shapes["descriptor"] == (1, H)
    norms = [weight for weight in found.weights if "norm" in weight.name]
    assert any(not weight.trainable for weight in norms)
    trained = sum(weight.count for weight in found.weights if weight.trainable)
    assert trained == sum(found.parameters.values())


def test_an_lstm_multiplies_each_frame():
    found = describe("LstmModel", lstm_cells=H, lstm_layers=2)
    frame = ((1, D), (D, 4 * H)), ((1, H), (H, 4 * H)), *[((1, H), (H, 4 * H))] * 2
    # Keras runs the first step once more, to learn the shape of its result.
    assert found.flops["encoder"] == (T + 1) * multiplied(*frame)
    assert found.frames == T
    assert found.parameters["encoder"] == 4 * H * (D + H + 1) + 4 * H * (2 * H + 1)


def test_a_convolution_is_the_product_of_its_windows():
    found = describe("TemporalCNN", num_channels=H, kernel_height=3)
    assert found.flops["encoder"] == multiplied(((T, 3 * D), (3 * D, H)))


def test_a_mean_of_frames_multiplies_nothing():
    assert describe("FrameLevelLogisticModel").flops["encoder"] == 0


def small(name, registry):
    known = hyperparameters(registry.get(name))
    return {key: value for key, value in SMALL.items() if key in known}


@pytest.mark.slow
@pytest.mark.parametrize("name", [*ENCODERS, *CLASSIFIERS])
def test_every_model_is_described(name):
    registry = ENCODERS if name in ENCODERS else CLASSIFIERS
    data = FRAMES if name in ENCODERS else VIDEOS
    found = describe(name, data, "MoeModel", **small(name, registry))
    part = "encoder" if name in ENCODERS else "classifier"
    assert found.flops[part] >= 0 and found.shapes
    assert all(weight.part or weight.count for weight in found.weights)
