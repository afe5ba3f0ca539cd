"""Features that are scaled, not divided by their norm."""

import keras
import numpy as np
import pytest

from tests.helpers.all_models import FRAMES, NUM_CLASSES, random_batch
from tests.helpers.layers import check
from youtube8m import models
from youtube8m.config import DataConfig, ModelConfig, RunConfig
from youtube8m.errors import UserError
from youtube8m.layers.inputs import dequantize, frame_mask
from youtube8m.layers.reverse_whitening import (
    ScaledFeatures,
    rgb_eigenvalues,
    whitening,
)
from youtube8m.models import VideoModel

BYTES = np.random.default_rng(0).integers(0, 256, (2, 4, 5), dtype=np.uint8)
MASK = np.array([[True] * 4, [True, False, False, False]])


def test_eigenvalues_are_the_published_ones():
    values = rgb_eigenvalues()
    assert values.shape == (1024,) and values.dtype == np.float32
    assert (np.diff(values) <= 0).all()
    check(values[[0, 1, 2, 511, 1023]], [14.7385, 8.3404, 7.0332, 0.06278, 0.015358])


def test_reverse_whitening():
    """(x - 4 / 512) * (sqrt(e) + 1e-4) of rgb, where x are dequantised bytes."""
    scale, offset = whitening(("rgb", "audio"), (3, 2))
    check(scale, [*np.sqrt(rgb_eigenvalues()[:3]) + 1e-4, 1, 1])
    found = ScaledFeatures(scale, offset)(BYTES, MASK)
    x = np.array(dequantize(BYTES))
    x[..., :3] = (x[..., :3] - 4 / 512) * scale[:3]
    check(found, x * MASK[..., None])


def test_the_widest_and_the_narrowest_factor():
    scale, offset = whitening(("mean_audio", "mean_rgb"), (2, 1024))
    np.testing.assert_allclose(scale[[2, 1025]], [3.839, 0.124], atol=5e-4)
    check(offset, [0, 0, *[-4 / 512] * 1024])


def test_floats_are_only_scaled():
    x = np.array(dequantize(BYTES))
    check(ScaledFeatures()(x), x)
    check(ScaledFeatures()(BYTES), x)
    half = ScaledFeatures(dtype="mixed_bfloat16")(BYTES)
    assert keras.backend.standardize_dtype(half.dtype) == "bfloat16"


def model_of(transform):
    run = RunConfig(
        FRAMES,
        ModelConfig(
            "FrameLevelLogisticModel", hyperparameters={"input_transform": transform}
        ),
    )
    return models.create(run)


@pytest.mark.parametrize("transform", ["l2", "reverse_whitening", "none"])
def test_a_run_chooses_the_transform(transform, tmp_path):
    model, batch = model_of(transform), random_batch(FRAMES)
    mask = frame_mask(batch["num_frames"], batch["frames"].shape[1])
    frames = np.array(dequantize(batch["frames"])) * np.array(mask)[..., None]
    if transform == "l2":
        norms = np.linalg.norm(frames, axis=-1, keepdims=True)
        frames = frames / np.maximum(norms, 1e-6)
    elif transform == "reverse_whitening":
        scale, offset = whitening(("rgb", "audio"), (12, 4))
        frames = (frames + offset) * scale * np.array(mask)[..., None]
    means = frames.sum(axis=1) / batch["num_frames"][:, None]
    np.testing.assert_allclose(
        model.encode(batch)["descriptor"], means, rtol=1e-4, atol=1e-5
    )
    # A saved model keeps it.
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert loaded.input_transform == transform
    for one in (loaded, VideoModel.from_config(model.get_config())):
        check(one.encode(batch)["descriptor"], model.encode(batch)["descriptor"])


@pytest.mark.parametrize(
    "transform, names, sizes, message",
    [
        ("l3", ("rgb",), (5,), "--input_transform=l3: must be l2 or reverse_whi"),
        ("reverse_whitening", ("audio",), (5,), "needs a feature rgb or mean_rgb, but"),
        ("reverse_whitening", ("rgb",), (1025,), "rgb has 1025 values, but there are"),
    ],
)
def test_what_cannot_be_transformed_is_told(transform, names, sizes, message):
    data = DataConfig(names, sizes, True, num_classes=NUM_CLASSES)
    values = {"input_transform": transform}
    config = ModelConfig("FrameLevelLogisticModel", hyperparameters=values)
    with pytest.raises(UserError, match=message):
        models.create(RunConfig(data, config))
