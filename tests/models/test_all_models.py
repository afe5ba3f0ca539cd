"""The checks that every registered model must pass."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.helpers.all_models import (
    CASES,
    COSTLY,
    COUNTS,
    FRAME_CASES,
    FRAMES,
    NUM_CLASSES,
    VERTICALS,
    VIDEO,
    build,
    parameters,
    predict,
    random_batch,
    run_config,
)
from youtube8m import models
from youtube8m.config import DataConfig, ModelConfig, RunConfig
from youtube8m.errors import UserError
from youtube8m.models.base import CLASSIFIERS, ENCODERS
from youtube8m.registry import construct, hyperparameters
from youtube8m.runs.directory import RunDirectory
from youtube8m.runs.weights import load_weights
from youtube8m.training.saver import Saver
from youtube8m.training.steps import TrainingState


@pytest.fixture(params=parameters(CASES))
def any_case(request):
    return build(request.param)


@pytest.fixture(params=parameters(CASES, slow=COSTLY))
def case(request):
    """One that the test may change; a quick run leaves the costly ones out."""
    built = build(request.param)
    variables = [(v, v.numpy()) for v in built.model.variables]
    keras.utils.set_random_seed(1)
    yield built
    for variable, value in variables:
        variable.assign(value)


@pytest.fixture(params=parameters(FRAME_CASES))
def any_frame_case(request):
    return build(request.param)


@pytest.fixture(params=parameters(FRAME_CASES, slow=COSTLY))
def frame_case(request):
    return build(request.param)


def test_predictions_are_probabilities(any_case):
    assert any_case.predictions.dtype == "float32"
    assert any_case.predictions.shape == (3, NUM_CLASSES)
    assert (any_case.predictions >= 0).all() and (any_case.predictions <= 1).all()


def test_predictions_repeat_and_do_not_depend_on_the_batch(case):
    whole = case.predict(case.batch)
    rows = [
        case.predict({name: value[i : i + 1] for name, value in case.batch.items()})
        for i in range(3)
    ]
    np.testing.assert_allclose(np.concatenate(rows), whole, rtol=1e-5, atol=1e-7)
    np.testing.assert_array_equal(case.predict(case.batch), whole)


def test_padding_changes_nothing(any_frame_case):
    batch = any_frame_case.batch
    padded = {
        "frames": np.pad(batch["frames"], ((0, 0), (0, 5), (0, 0))),
        "num_frames": batch["num_frames"],
    }
    predictions = predict(any_frame_case.model, padded)
    np.testing.assert_allclose(
        predictions, any_frame_case.predictions, rtol=1e-5, atol=1e-7
    )


def test_values_at_the_padding_change_nothing(frame_case):
    batch = frame_case.batch
    dirty = dict(batch, frames=batch["frames"].copy())
    for row, length in zip(dirty["frames"], batch["num_frames"], strict=True):
        row[length:] = 201
    np.testing.assert_array_equal(frame_case.predict(dirty), frame_case.predict(batch))


def unreached_weights(model, batch, target):
    """Paths of the weights that get no gradient from a batch."""
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum((model(batch, training=True)["predictions"] - target) ** 2)
    gradients = tape.gradient(loss, model.trainable_variables)
    for variable, gradient in zip(model.trainable_variables, gradients, strict=True):
        assert gradient is not None, variable.path
        # A bias before batch normalisation, say, would get exact zeros everywhere.
        if not np.abs(gradient).max() > 0:
            yield variable.path


def test_gradients_reach_every_weight(case):
    rng = np.random.default_rng(2)
    for weight in case.model.trainable_weights:  # some start just where a relu breaks
        weight.assign_add(rng.uniform(0, 0.2, weight.shape))
    target = rng.random((3, NUM_CLASSES)).astype(np.float32)
    unreached = [*unreached_weights(case.model, case.batch, target)]
    if unreached:
        # Long enough for two steps of the topmost recurrent level, and for released
        # code that reads frame 30 of every video (SegmentAttentionBiLSTM).
        batch = random_batch(case.run.data, lengths=(30, 4, 1))
        unreached = [*unreached_weights(case.model, batch, target)]
    assert not unreached


def test_save_and_load_change_nothing(case, tmp_path):
    path = str(tmp_path / "model.keras")
    case.model.save(path)
    copy = keras.saving.load_model(path)
    np.testing.assert_array_equal(predict(copy, case.short), case.of_short)


def test_config_round_trips(case):
    model = case.model
    copy = type(model).from_config(model.get_config())
    copy(models.dummy_batch(case.run.data))
    assert copy.get_config() == model.get_config()
    copy.set_weights(model.get_weights())
    np.testing.assert_array_equal(predict(copy, case.short), case.of_short)


def test_run_config_round_trips(any_case):
    assert RunConfig.from_json(any_case.run.to_json()) == any_case.run


def test_mixed_precision_is_close_and_ends_in_float32(case):
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        half = models.create(case.run)
    finally:
        keras.config.set_dtype_policy(before)
    half.set_weights(case.model.get_weights())
    predictions = half(case.batch)["predictions"]
    assert predictions.dtype == "float32"
    # bfloat16 has 8 significant bits; the logits are of order 1.
    np.testing.assert_allclose(predictions, case.predictions, atol=0.03)
    assert all(weight.dtype == "float32" for weight in half.weights)


def test_graph_mode_with_unknown_sizes_agrees(case):
    np.testing.assert_allclose(
        case.predict(case.batch), case.predictions, rtol=1e-5, atol=1e-7
    )


def test_random_sampling_differs_in_training_only():
    model = models.create(run_config(("DbofModel", "MoeModel", {})))
    frames = np.random.default_rng(0).normal(size=(2, 50, 16)).astype(np.float32)
    mask = np.ones((2, 50), bool)
    sample = model.encoder.sample
    first, second = (sample(frames, mask, training=True) for _ in range(2))
    assert not np.array_equal(first, second)
    fixed = sample(frames, mask)
    # k = 5 frames at the middles of five equal parts of 50 frames.
    np.testing.assert_array_equal(fixed, frames[:, [5, 15, 25, 35, 45]])


def test_counts_of_the_papers():
    data = DataConfig(("rgb", "audio"), (1024, 128), True, num_classes=4716)
    lstm = models.create(RunConfig(data, ModelConfig("LstmModel")))
    assert models.count_parameters(lstm.encoder) == 17_309_696
    assert models.count_parameters(lstm.classifier) == 24_155_352


@pytest.mark.parametrize(
    "model, data, message",
    [
        ("LstmModell", FRAMES, "did you mean LstmModel"),
        ("LstmModel", VIDEO, "add --frame_features"),
        ("MoeModel", FRAMES, "drop it"),
    ],
)
def test_wrong_models_are_refused(model, data, message):
    with pytest.raises(UserError, match=message):
        models.create(RunConfig(data, ModelConfig(model)))


@pytest.mark.parametrize(
    "values", [{"lstm_layers": 0}, {"moe_num_mixtures": 0}, {"lstm_cells": -1}]
)
def test_impossible_sizes_are_refused(values):
    config = ModelConfig("LstmModel", hyperparameters=values)
    with pytest.raises(UserError, match=f"--{next(iter(values))}="):
        models.create(RunConfig(FRAMES, config))


def test_hyperparameters_of_one_name_have_one_type():
    """Flags are derived from them, and one flag has one type."""
    types = {}
    for registry in (ENCODERS, CLASSIFIERS):
        for name in registry:
            for key, parameter in hyperparameters(registry.get(name)).items():
                known = types.setdefault(key, parameter.annotation)
                assert known is parameter.annotation, (name, key)


def test_every_hyperparameter_is_in_get_config():
    facts = {
        "num_classes": NUM_CLASSES,
        "feature_sizes": FRAMES.feature_sizes,
        "verticals": VERTICALS,
        "class_counts": COUNTS,
    }
    for registry in (ENCODERS, CLASSIFIERS):
        for name in registry:
            part = construct(registry.get(name), facts)
            assert hyperparameters(type(part)).keys() <= part.get_config().keys()


def test_checkpoints_hold_every_variable(case, tmp_path):
    model = case.model
    rng = np.random.default_rng(3)
    for weight in model.weights:
        weight.assign(rng.random(weight.shape))
    state = TrainingState(model, keras.optimizers.Adam())
    directory = RunDirectory(str(tmp_path))
    prefix = Saver(directory, state, keep=1).save()
    copy = models.create(
        case.run
    )  # its layers' automatic names differ from the first's
    load_weights(copy, prefix)
    expected = predict(model, case.short)
    np.testing.assert_array_equal(predict(copy, case.short), expected)
    for ours, theirs in zip(model.variables, copy.variables, strict=True):
        np.testing.assert_array_equal(ours, theirs)
