"""Which parts a run's configuration means, and what it lacks."""

import dataclasses
import json

import keras
import numpy as np
import pytest

from tests.helpers.all_models import FRAMES, VERTICALS, VIDEO, build
from youtube8m import models
from youtube8m.config import ModelConfig, RunConfig
from youtube8m.errors import UserError
from youtube8m.models.base import CLASSIFIERS, ENCODERS

OWN = [name for name in ENCODERS if ENCODERS.get(name).classifiers]


def earlier(run):
    """The run as a file of an earlier version has it."""
    values = json.loads(run.to_json())
    del values["defaults_version"]
    return RunConfig.from_json(json.dumps(values))


@pytest.mark.parametrize("name", OWN)
def test_an_encoder_goes_with_its_classifiers(name):
    own = ENCODERS.get(name).classifiers
    for asked, used in {
        own[0]: own[0],
        "": own[0],
        "MoeModel": own[0],
        own[-1]: own[-1],
    }.items():
        parts = models.parts(ModelConfig(name, asked))
        assert parts.classifier.__name__ == used
    with pytest.raises(UserError) as error:
        models.parts(ModelConfig(name, "MlpModel"))
    assert str(error.value) == (
        f"--video_level_classifier_model=MlpModel: {name} goes with "
        f"{' or '.join(own)} alone; choose that, or another --model"
    )


@pytest.mark.parametrize("classifier", ["PerVerticalModel", "PerVerticalMoeModel"])
@pytest.mark.parametrize("name", ["MultiAttentionBiLSTM", "PerVerticalBiLSTM"])
def test_descriptors_of_verticals_are_classified(name, classifier):
    sizes = {"lstm_cells": 4, "min_lstm_cells": 3}
    config = ModelConfig(name, classifier, hyperparameters=sizes, verticals=VERTICALS)
    model = models.create(RunConfig(FRAMES, config))
    assert type(model.classifier).__name__ == classifier
    predictions = np.asarray(model(models.dummy_batch(FRAMES))["predictions"])
    assert predictions.shape == (1, 7) and np.all((predictions > 0) & (predictions < 1))


# Runs from before a default changed --------------------------------------------------

CHANGED = [
    ("LSTMMemory", {"lstm_sum": ("outputs", "candidates")}),
    ("LateFusionLSTM", {"bidirectional": (True, False), "layer_norm": (True, False)}),
    ("MultiAttentionBiLSTM", {"attention_score": ("tanh-dense", "diagonal-bilinear")}),
    ("HierarchicalMoeModel", {"coarse_values": ("probabilities", "logits")}),
    ("MultiLayerMoeModel", {"moe_gate_bias": (False, True)}),
    ("MultiLayerMoeModel", {"moe_dummy_expert": (True, False)}),
]


@pytest.mark.parametrize("name, values", CHANGED)
def test_what_earlier_files_lack_has_the_earlier_default(name, values):
    run = RunConfig(FRAMES if name in ENCODERS else VIDEO, ModelConfig(name))
    assert RunConfig.from_json(run.to_json()) == run
    for place, one in enumerate((earlier(run), run)):
        found = models.complete(one).model
        for key, both in values.items():
            assert found.hyperparameters[key] == both[place]
        # Which the next file says, whatever the defaults then are.
        again = RunConfig.from_json(models.complete(one).to_json())
        assert models.complete(again).model == found


def test_what_earlier_files_have_stays():
    values = {"lstm_sum": "candidates", "lstm_cells": 5}
    run = earlier(RunConfig(FRAMES, ModelConfig("LSTMMemory", hyperparameters=values)))
    found = models.complete(run).model.hyperparameters
    assert values.items() <= found.items()


def test_earlier_multi_attention_has_logistic_regressions():
    config = ModelConfig("MultiAttentionBiLSTM", verticals=VERTICALS)
    run = RunConfig(FRAMES, config)
    for one, name in ((earlier(run), "PerVerticalModel"), (run, "PerVerticalMoeModel")):
        assert models.complete(one).model.video_level_classifier_model == name


def test_earlier_keras_files_have_the_earlier_default():
    layer = models.LSTMMemory(4)
    config = keras.saving.serialize_keras_object(layer)
    assert keras.saving.deserialize_keras_object(config).lstm_sum == "candidates"
    del config["config"]["lstm_sum"]
    assert keras.saving.deserialize_keras_object(config).lstm_sum == "outputs"


def test_a_run_is_complete_as_it_was_written():
    run = models.complete(RunConfig(FRAMES, ModelConfig("LSTMMemory")))
    assert models.complete(run) == run
    values = {**run.model.hyperparameters, "of_another_class": 1}
    more = dataclasses.replace(run.model, hyperparameters=values)
    assert models.complete(RunConfig(FRAMES, more)).model == more


OF_FRAMES = [
    name
    for name in ENCODERS
    if ENCODERS.get(name).classifies_frames and not ENCODERS.get(name).classifiers
]
MIXING = ("MixLogisticModel", "MixMoeModel", "OuterMixLogisticModel")


@pytest.mark.parametrize("classifier", MIXING)
@pytest.mark.parametrize("name", OF_FRAMES)
def test_what_mixes_descriptors_classifies_no_frames(name, classifier):
    config = ModelConfig(name, classifier)
    with pytest.raises(UserError, match=f"={classifier}: mixes descriptors"):
        models.parts(config)


def losses_of(classifier, name="FrameMlp"):
    """A small model whose classifier sees frames, its outputs and its own losses."""
    built = build((name, classifier, {}))
    outputs = built.model(built.batch)
    labels = np.array([[0, 4], [1, -1], [-1, -1]], np.int32)
    batch = {**built.batch, "labels": labels}
    return built, outputs, built.model.auxiliary_losses(outputs, batch)


def test_a_classifiers_extras_are_pooled_as_its_predictions():
    """FrameMlp averages both over a video's own frames."""
    built, outputs, terms = losses_of("HierarchicalMoeModel")
    classified = built.model.classifier(np.reshape(outputs["descriptor"], (27, -1)))
    for name in ("predictions", "coarse_predictions"):
        each = np.asarray(classified[name]).reshape(3, 9, -1)
        lengths = built.batch["num_frames"]
        means = [x[:n].mean(axis=0) for x, n in zip(each, lengths, strict=True)]
        np.testing.assert_allclose(outputs[name], means, rtol=1e-5, atol=1e-6)
    assert terms["coarse_loss"].shape == (3,)


@pytest.mark.slow
@pytest.mark.parametrize("classifier", [n for n in CLASSIFIERS if n not in MIXING])
@pytest.mark.parametrize("name", OF_FRAMES)
def test_every_other_classifier_learns_from_frames(name, classifier):
    _, outputs, terms = losses_of(classifier, name)
    assert outputs["predictions"].shape == (3, FRAMES.num_classes)
    assert all(np.isfinite(term).all() for term in terms.values())
