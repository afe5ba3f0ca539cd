"""The residual network of Ostyakov et al. 2018: its formula in numpy, its count."""

import numpy as np
import pytest

from tests.helpers.layers import X, check, count_built, randomized
from youtube8m import models
from youtube8m.models.samaritan2018.classifiers import (
    FullyConnectedBlock,
    ResidualBlock,
)

INPUT = X[:, 0]  # [3, 5]
SMALL = {"inner_size": 4, "av_id_block_num": 1, "concat_id_block_num": 1}


def leaky(x):
    return np.where(x > 0, x, 0.01 * x)


def block(layer, x):
    norm = layer.norm
    y = x @ layer.linear.kernel.numpy() / np.sqrt(1 + 1e-5)
    return leaky(y * norm.gamma.numpy() + norm.beta.numpy())


def dense(layer, x):
    return x @ layer.kernel.numpy() + layer.bias.numpy()


def residual(layer, x):
    return leaky(x + dense(layer.linear, block(layer.block, x)))


def test_blocks():
    layer = randomized(FullyConnectedBlock(4), (None, 5))
    check(layer(INPUT), block(layer, INPUT))
    layer = randomized(ResidualBlock(3), (None, 5))
    check(layer(INPUT), residual(layer, INPUT))


def test_without_its_second_matrix_a_residual_block_is_leaky():
    layer = randomized(ResidualBlock(3), (None, 5))
    for weight in layer.linear.weights:
        weight.assign(np.zeros(weight.shape))
    check(layer(INPUT), leaky(INPUT))


@pytest.mark.parametrize(
    "sizes, parts", [((3, 2), [3, 2]), ((5,), [5]), ((7, 2), [5]), ((), [5])]
)
def test_network(sizes, parts):
    """A descriptor that is not made of the features is one modality."""
    model = randomized(models.ResNetLike(7, sizes, **SMALL), (None, 5))
    streams, start = [], 0
    for (first, second), size in zip(model.streams, parts, strict=True):
        part = INPUT[:, start : start + size]
        streams.append(residual(second, block(first, part)))
        start += size
    joint, last = model.joint
    z = block(last, residual(joint, np.concatenate(streams, axis=1)))
    check(model(INPUT), 1 / (1 + np.exp(-dense(model.logits, z))))


def test_dropout_is_in_training_alone():
    model = randomized(models.ResNetLike(7, (3, 2), **SMALL), (None, 5))
    once = np.asarray(model(INPUT))
    check(model(INPUT), once)
    drawn = [np.asarray(model(INPUT, training=True)) for _ in range(2)]
    assert not np.allclose(*drawn)
    with pytest.raises(ValueError, match="--block_dropout=1.0: must be from 0 to 1"):
        models.ResNetLike(7, block_dropout=1.0)


def test_linear_layers_start_as_pytorchs():
    """Uniform between -1 and 1 over the root of the number of inputs."""
    model = models.ResNetLike(50, (30, 20), inner_size=64)
    model.build((None, 50))
    first, second = model.streams[0][0], model.streams[0][1].linear
    for weight, size in ((first.linear.kernel, 30), (second.kernel, 64)):
        found = np.abs(weight.numpy()).max() * size**0.5
        assert 0.95 < found <= 1.0
    assert 0.8 < np.abs(second.bias.numpy()).max() * 64**0.5 <= 1.0


def test_count():
    """With config0's sizes: four and four blocks of 2048 units."""
    first = (1024 + 128) * 2048 + 2 * 2 * 2048
    of_modality = 2 * 4 * (2048 * 2048 + 2 * 2048 + 2048 * 2048 + 2048)
    joint = 4 * (4096 * 2048 + 2 * 2048 + 2048 * 4096 + 4096)
    last = 4096 * 2048 + 2 * 2048 + 2049 * 3862
    model = models.ResNetLike(3862, (1024, 128))
    found = count_built(model, (None, 1152))
    assert found == first + of_modality + joint + last == 152_973_078
