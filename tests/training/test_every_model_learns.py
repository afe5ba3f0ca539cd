"""Every model learns a few videos by heart, and evaluates as it has learnt."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.helpers.all_models import SMALL, SUPERVISED, VERTICALS
from youtube8m import losses, models, optimizers
from youtube8m.config import DataConfig, ModelConfig, RunConfig
from youtube8m.metrics import Metrics, top_predictions
from youtube8m.models.base import CLASSIFIERS
from youtube8m.registry import hyperparameters
from youtube8m.training.config import TrainingConfig
from youtube8m.training.steps import TrainingState, TrainStep
from youtube8m.training.workers import split_batch

VIDEOS, STEPS, CLASSES, SIZE, FRAMES = 64, 150, 7, 256, 12
COUNTS = (64, 40, 30, 20, 15, 10, 5)
FRAME_LEVEL = DataConfig(("rgb", "audio"), (192, 64), True, CLASSES, max_frames=FRAMES)
VIDEO_LEVEL = DataConfig(("mean_rgb",), (SIZE,), num_classes=CLASSES)
# Sizes that can learn 64 videos by heart; the others are those of SMALL.
LARGER = {name: 24 for name in SMALL if name.endswith(("cells", "size", "channels"))}
LARGER |= {"feature_bottleneck": 24, "distribution_bottleneck": 24}
LARGER |= {"dbof_cluster_size": 64, "iterations": 8}
# Of which dropout leaves half in training.
LARGER |= {"frame_mlp_size": 128, "residual_mlp_size": 128}


def videos(frame_level):
    """Videos of one or two classes, each of which has a direction."""
    rng = np.random.default_rng(0)
    directions = rng.normal(0, 1, (CLASSES, SIZE))
    labels = rng.integers(0, CLASSES, (VIDEOS, 2)).astype(np.int32)
    labels[labels[:, 0] == labels[:, 1], 1] = -1
    shown = np.where(labels[..., None] >= 0, directions[labels], 0).sum(axis=1)
    if not frame_level:
        noise = rng.normal(0, 0.5, shown.shape)
        return {"features": (shown + noise).astype(np.float32), "labels": labels}
    lengths = rng.integers(FRAMES // 2, FRAMES + 1, VIDEOS).astype(np.int32)
    frames = shown[:, None] * 30 + rng.normal(0, 15, (VIDEOS, FRAMES, SIZE)) + 128
    frames = np.clip(frames, 0, 255).astype(np.uint8)
    frames[np.arange(FRAMES) >= lengths[:, None]] = 0
    return {"frames": frames, "num_frames": lengths, "labels": labels}


def run_of(name):
    data = VIDEO_LEVEL if name in CLASSIFIERS else FRAME_LEVEL
    classifier = name if name in CLASSIFIERS else "MoeModel"
    parts = filter(None, models.parts(ModelConfig(name, classifier)))
    taken = {argument for part in parts for argument in hyperparameters(part)}
    sizes = {**SMALL, **LARGER}
    values = {argument: sizes[argument] for argument in taken & sizes.keys()}
    facts = {"verticals": VERTICALS, "class_counts": COUNTS}
    config = ModelConfig(name, classifier, hyperparameters=values, **facts)
    return RunConfig(data, config)


def gap(model, batch):
    predictions = model(batch)["predictions"]
    metrics = Metrics(CLASSES, 20)
    metrics.update(top_predictions(predictions, batch["labels"], 20), batch["labels"])
    return metrics.result()["gap"]


@pytest.mark.slow
@pytest.mark.parametrize("name", [*SUPERVISED, *CLASSIFIERS])
def test_learns(name):
    keras.utils.set_random_seed(1)
    run = run_of(name)
    batch = {k: tf.constant(v) for k, v in videos(run.data.frame_features).items()}
    state = TrainingState(
        models.create(run), optimizers.create("AdamOptimizer", 0.01), losses.create(run)
    )
    strategy = tf.distribute.OneDeviceStrategy("/cpu:0")
    config = TrainingConfig(
        train_dir="x", train_data_pattern="x", base_learning_rate=0.01
    )
    step = TrainStep(strategy, state, config, CLASSES)
    found = [step(split_batch(strategy, batch))["loss"].numpy() for _ in range(STEPS)]
    assert found[-1] < found[0] / 10, (found[0], found[-1])
    assert gap(state.model, batch) > 0.95
