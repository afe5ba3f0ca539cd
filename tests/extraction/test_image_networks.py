"""Networks of keras.applications, with random weights."""

import numpy as np
import pytest

from youtube8m.errors import UserError
from youtube8m.extraction.image_networks import load_network

RNG = np.random.default_rng(0)


@pytest.mark.slow
@pytest.mark.parametrize(
    "name, side, features, wants",
    [
        ("InceptionV3", 299, 2048, (-1, 1)),
        ("EfficientNetV2B0", 224, 1280, (0, 255)),
        ("ConvNeXtTiny", 224, 768, (0, 255)),
        ("MobileNetV3Small", 224, 576, (0, 255)),
    ],
)
def test_applications(name, side, features, wants):
    network = load_network(name, weights="random")
    assert network.size == (side, side)
    prepared = network.prepare(RNG.integers(0, 256, (50, 80, 3), np.uint8))
    assert prepared.shape == (side, side, 3)
    seen = []
    model = network.model
    original = model.predict_on_batch
    model.predict_on_batch = lambda x: seen.append(x) or original(x)
    images = np.stack([np.zeros_like(prepared), np.full_like(prepared, 255)])
    assert network(images).shape == (2, features)
    assert (seen[0].min(), seen[0].max()) == wants


def test_unknown_name():
    with pytest.raises(UserError, match="did you mean MobileNetV3"):
        load_network("MobilNetV3Small")


def test_missing_file():
    with pytest.raises(UserError, match="no such file"):
        load_network("nowhere/my.keras")
