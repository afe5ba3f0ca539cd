"""The starter code's models, built from its golden cases with their weights."""

import tensorflow as tf

from tests.helpers.golden import assert_equal, assert_known
from youtube8m import models, optimizers
from youtube8m.config import DataConfig, ModelConfig, RunConfig
from youtube8m.layers.inputs import frame_mask
from youtube8m.models.base import CLASSIFIERS, ENCODERS
from youtube8m.registry import hyperparameters
from youtube8m.runs.starter_code import our_layout, starter_name
from youtube8m.runs.weights import named_variables
from youtube8m.training.config import TrainingConfig
from youtube8m.training.steps import TrainingState, TrainStep


def matched(model, tf1, complete=True):
    """(name, our variable, TF1's values in our layout) of all TF1 variables.

    Fails if a variable of ours is left over, unless `complete` is False.
    """
    values = {name.removeprefix("tower/"): name for name in tf1}
    matches, used = [], set()
    names = named_variables(model.weights)
    for ours, variable in zip(names, model.weights, strict=True):
        name = values.get(starter_name(ours))
        if name is None:
            assert not complete, f"{ours} is left over"
            continue
        value = our_layout(ours, tf1[name], model.classifier.num_classes)
        matches.append((name, variable, value))
        used.add(name)
    assert used == set(tf1)
    return matches


def load(model, tf1):
    for _, variable, value in matched(model, tf1):
        variable.assign(value)


def build(case, inputs, num_classes, tf1):
    """Our model of a case, with its flags, sizes and weights."""
    frame_features = inputs.ndim == 3
    flags = dict(case.meta["flags"])
    assert_known(flags, *known_flags())
    classifier = flags.pop("video_level_classifier_model", "MoeModel")
    size = inputs.shape[-1]
    data = DataConfig(("x",), (size,), frame_features, num_classes=num_classes)
    # The starter code's batch norm keeps 0.999 of its statistics from the first step.
    values = {**flags, **sizes(tf1, num_classes), "slim_batch_norm": True}
    config = ModelConfig(case.meta["class"], classifier, hyperparameters=values)
    model = models.create(RunConfig(data, config))
    load(model, tf1)
    return model


def known_flags():
    classes = [*map(ENCODERS.get, ENCODERS), *map(CLASSIFIERS.get, CLASSIFIERS)]
    names = {name for cls in classes for name in hyperparameters(cls)}
    return names | {"video_level_classifier_model"}


def sizes(tf1, num_classes):
    """The hyper-parameters that follow from the shapes of weights."""
    shapes = {name.removeprefix("tower/"): value.shape for name, value in tf1.items()}
    found = {}
    if "experts/biases" in shapes:
        found["moe_num_mixtures"] = shapes["experts/biases"][0] // num_classes
    cells = [shape for name, shape in shapes.items() if name.endswith("cell/bias")]
    if cells:
        found |= {"lstm_layers": len(cells), "lstm_cells": cells[0][0] // 4}
    if "cluster_weights" in shapes:
        found["dbof_cluster_size"] = shapes["cluster_weights"][1]
        found["dbof_hidden_size"] = shapes["hidden1_weights"][1]
    return found


# How much 10 ulps of noise on the input move the case's predictions, in TF1 itself.
NOISE = "max_abs_change_of_predictions_for_1e6_relative_input_noise"


def descriptor(case, model, training):
    """What our classifier is given for the input, which is normalised already."""
    inputs = tf.constant(case["input"])
    if model.encoder is None:
        return model.encode({"features": inputs})["descriptor"]
    mask = frame_mask(case["num_frames"], inputs.shape[1])
    if "uniform" not in case:
        return model.encoder(inputs, mask, training=training)
    return pooled_samples(case, model.encoder, inputs, training)


def pooled_samples(case, encoder, inputs, training):
    """DBoF's descriptor, for the frames that the stored random numbers choose."""
    indices = encoder.sample.indices(case["uniform"], case["num_frames"])
    assert_equal(indices, case["sampled_index"], "sampled_index")
    if "gather_index" in case.outputs:  # pairs (row, frame)
        gathered = case.outputs["gather_index"]
        assert_equal(indices, gathered[..., 1], "gather_index")
    chosen = tf.gather(inputs, indices, batch_dims=1)
    return encoder(chosen, tf.ones(tf.shape(chosen)[:2], tf.bool), training=training)


def train_step(case):
    """The trainer's step with the case's flags and first weights."""
    meta = case.meta
    names = (
        "base_learning_rate",
        "learning_rate_decay",
        "learning_rate_decay_examples",
        "regularization_penalty",
        "clip_gradient_norm",
        "optimizer",
        "batch_size",
    )
    flags = {name: meta[name] for name in names}
    config = TrainingConfig(train_data_pattern="none", **flags)
    num_classes = case["labels"].shape[-1]
    strategy = tf.distribute.OneDeviceStrategy("/cpu:0")
    with strategy.scope():
        model = build(case, case["input_raw"], num_classes, case.group("step0"))
        optimizer = optimizers.create(config.optimizer, config.base_learning_rate)
        state = TrainingState(model, optimizer)
    return TrainStep(strategy, state, config, num_classes)
