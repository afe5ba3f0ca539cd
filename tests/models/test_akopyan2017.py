"""The models of Akopyan and Khashba against numpy, video by video."""

import numpy as np
import pytest

from tests.helpers import layers, processes, reference
from tests.helpers.layers import LENGTHS, MASK, X, check_recurrent
from tests.helpers.reference import expert
from youtube8m import models
from youtube8m.layers.normalization import BatchNorm
from youtube8m.models.akopyan2017.encoders import BagOfFrames, LSTMMoE, WeightedLSTM

RNG = np.random.default_rng(0)


def randomized(encoder):
    encoder(X, MASK)
    for weight in encoder.weights:
        if weight.dtype == "float32":  # no random state
            weight.assign(RNG.uniform(0.1, 1, weight.shape))
    return layers.randomized(encoder)


def norm(x, layer):
    gamma, beta, mean, variance, *_ = layer.get_weights()
    return (x - mean) / np.sqrt(variance + 1e-3) * gamma + beta


def weighted_sum(x, frames):
    return ((np.arange(len(x)) + 1) / frames) @ x


def test_bag_of_frames():
    encoder = randomized(BagOfFrames(hidden_size=6))
    result = encoder(X, MASK)
    for b, n in enumerate(LENGTHS):
        x = norm(X[b, :n], encoder.input_norm).max(axis=0)
        x = np.maximum(norm(x @ encoder.hidden_1.get_weights()[0], encoder.norm_1), 0)
        x = np.maximum(norm(x @ encoder.hidden_2.get_weights()[0], encoder.norm_2), 0)
        check_recurrent(result[b], x)


@pytest.mark.parametrize("cls", [BagOfFrames, WeightedLSTM, LSTMMoE])
def test_training_normalises_real_frames_alone(cls):
    """What lies behind a video's end changes no moment of the first batch norm."""
    encoder = cls(4)
    encoder(X + 7.0 * ~MASK[..., None], MASK, training=True)
    rows, kept = X[MASK], 0.1  # (1 + 0) / (10 + 0), the share of the first step
    norm = encoder.input_norm
    expected = (1 - kept) * rows.mean(axis=0)
    np.testing.assert_allclose(norm.moving_mean, expected, rtol=1e-4, atol=1e-6)
    expected = kept + (1 - kept) * rows.var(axis=0, ddof=1)
    np.testing.assert_allclose(norm.moving_variance, expected, rtol=1e-4)


@pytest.mark.parametrize("residual", [False, True])
@pytest.mark.parametrize("projection", [False, True])
def test_weighted_lstm(residual, projection):
    if projection and not residual:
        with pytest.raises(ValueError, match="add --residual"):
            WeightedLSTM(residual_projection=True)
        return
    encoder = randomized(WeightedLSTM(4, 3, residual, projection, max_frames=7))
    result = encoder(X, MASK)
    for b, n in enumerate(LENGTHS):
        x = norm(X[b, :n], encoder.input_norm)
        for number, (layer, _) in enumerate(encoder.layers):
            y, *_ = reference.lstm(x, layer)
            if residual and number > 0:
                y = y + x
            elif projection:
                y = y + x @ encoder.projection.get_weights()[0]
            x = y
        check_recurrent(result[b], weighted_sum(x, 7))


def test_weights_of_the_sum():
    """The first frame counts 1/90, the 90th 1, whatever the batch's length."""
    encoder = WeightedLSTM(2)
    x = np.zeros((2, 95, 1), np.float32)
    x[0, 0] = x[1, 89] = 1
    result = encoder._sum_frames(x, np.ones((2, 95), bool))
    np.testing.assert_allclose(result[:, 0], [1 / 90, 1], rtol=1e-6)


def test_lstm_moe():
    encoder = randomized(LSTMMoE(4, 6, 2, 7))
    result = encoder(X, MASK)["descriptor"]
    weights = {w.name: np.asarray(w) for w in encoder.experts.trainable_weights}
    for b, n in enumerate(LENGTHS):
        x = norm(X[b, :n], encoder.input_norm)
        x, *_ = reference.lstm(x, encoder.first[0])
        mixed = []
        for row in x:
            scores = row @ weights["gate"]
            best = np.argsort(-scores)[:2]
            gates = reference.softmax(scores[best])
            mixed.append(gates @ [expert(row, i, weights) for i in best])
        x, *_ = reference.lstm(np.array(mixed), encoder.second[0])
        check_recurrent(result[b], weighted_sum(x, 90))


def test_losses_of_the_experts():
    encoder = LSTMMoE(4, 6, 2, 7, importance_weight=0.2, load_weight=0.3)
    sums = {name: RNG.random(6).astype(np.float32) for name in ("importance", "load")}
    result = encoder.auxiliary_losses(sums, {})
    for name, factor in (("importance", 0.2), ("load", 0.3)):
        expected = factor * (sums[name].std() / sums[name].mean()) ** 2
        np.testing.assert_allclose(result[name], expected, rtol=1e-4)


@pytest.mark.parametrize("cls", [BagOfFrames, WeightedLSTM, LSTMMoE])
def test_dropout_is_for_training(cls):
    encoder = cls(8)
    first, second = (encoder(X, MASK, training=True) for _ in range(2))
    if isinstance(first, dict):
        first, second = first["descriptor"], second["descriptor"]
    assert not np.array_equal(first, second)


def test_masked_batch_norm():
    layer = BatchNorm(momentum=0.9, slim=True)
    layer.build(X.shape)
    x = X + 7.0 * ~MASK[..., None]
    result = layer(x, MASK, training=True)
    rows = x[MASK]
    expected = (x - rows.mean(axis=0)) / np.sqrt(rows.var(axis=0) + 1e-3)
    np.testing.assert_allclose(result, expected, rtol=1e-4, atol=1e-5)
    moving = 0.9 + 0.1 * rows.var(axis=0, ddof=1)
    np.testing.assert_allclose(layer.moving_mean, 0.1 * rows.mean(axis=0), rtol=1e-4)
    np.testing.assert_allclose(layer.moving_variance, moving, rtol=1e-4)


REPLICAS = """
import sys, tensorflow as tf
tf.config.set_logical_device_configuration(
    tf.config.list_physical_devices("CPU")[0],
    [tf.config.LogicalDeviceConfiguration()] * 2)
import keras, numpy as np
from tests.helpers.layers import MASK, X
from youtube8m.layers.normalization import BatchNorm
from youtube8m.models.akopyan2017.encoders import LSTMMoE
keras.utils.set_random_seed(0)
strategy = (tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
            if sys.argv[1] == "2" else tf.distribute.OneDeviceStrategy("CPU:0"))
with strategy.scope():
    norm, encoder = BatchNorm(momentum=0.0), LSTMMoE(4, 6, 2, 7)
    norm.build(X.shape)
    encoder(X, MASK)
rng = np.random.default_rng(0)
for weight in encoder.trainable_weights:
    weight.assign(rng.normal(size=weight.shape))
gate = encoder.experts.gate

def share(context):
    if context.num_replicas_in_sync == 1:
        return X, MASK
    if context.replica_id_in_sync_group == 0:
        return X[:1], MASK[:1]
    return X[1:, :4], MASK[1:, :4]

def step(x, mask):
    context = tf.distribute.get_replica_context()
    norm(x, mask, training=True)
    with tf.GradientTape() as tape:
        losses = encoder.auxiliary_losses(encoder(x, mask), {})
        loss = tf.add_n(list(losses.values())) / context.num_replicas_in_sync
    gradient = context.all_reduce("sum", tape.gradient(loss, gate.value))
    return gradient, loss * context.num_replicas_in_sync

shares = strategy.experimental_distribute_values_from_function(share)
gradient, loss = tf.function(lambda x: strategy.run(step, x))(shares)
first = lambda v: strategy.experimental_local_results(v)[0].numpy()
np.savez(sys.argv[2], first(gradient), first(loss), norm.moving_mean.numpy(),
         norm.moving_variance.numpy())
"""


@pytest.mark.slow
def test_moments_and_losses_are_those_of_all_replicas(tmp_path):
    """One replica with three videos; two, with one of 9 and two of up to 4 frames."""
    results = []
    for replicas in ("1", "2"):
        path = tmp_path / f"{replicas}.npz"
        processes.forked("-c", REPLICAS, replicas, path)
        with np.load(path) as arrays:
            results.append([arrays[name] for name in arrays.files])
    assert np.abs(results[0][0]).max() > 0
    for one, two in zip(*results, strict=True):
        np.testing.assert_allclose(one, two, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(
    "encoder, count",
    [
        # BN 2 x 1152, FC 1152 x 4096, BN, FC 4096 x 4096, BN 2 x 4096 each.
        (BagOfFrames(), 2304 + 1152 * 4096 + 4096**2 + 2 * 8192),
        (WeightedLSTM(1024, 2), 2304 + 17_309_696),
        # LSTMs 1152 -> 512 -> 512; gate and noise; experts 512 -> 1024 -> 512.
        (
            LSTMMoE(),
            2304
            + 4 * 512 * (1152 + 512 + 1 + 512 + 512 + 1)
            + 2 * 512 * 64
            + 64 * (512 * 1024 + 1024 + 1024 * 512 + 512),
        ),
    ],
)
def test_counts(encoder, count):
    encoder.build((None, None, 1152))
    assert models.count_parameters(encoder) == count
