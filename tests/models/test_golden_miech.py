"""The models of Miech et al. 2017 against what the released code computes."""

import pytest
import tensorflow as tf

from tests.helpers import golden
from tests.helpers.golden import ATOL, assert_close, assert_known
from tests.helpers.golden_starter import NOISE
from tests.helpers.golden_winners import frames_of
from youtube8m import models
from youtube8m.config import DataConfig, ModelConfig, RunConfig
from youtube8m.models.base import ENCODERS
from youtube8m.registry import hyperparameters
from youtube8m.runs import miech_code

# The released class -> ours, and the values of its flags that differ from our defaults.
CLASSES = {
    "NetVLADModelLF": ("NetVLAD", {"netvlad_relu": True, "gating": False}),
    "NetFVModelLF": (
        "NetFV",
        {"fv_relu": True, "fv_couple_weights": True, "gating": False},
    ),
    "SoftDbofModelLF": ("SoftDBoF", {"dbof_relu": True}),
    "GatedDbofModelLF": ("GatedDBoF", {"dbof_relu": True}),
    "DbofModelLF": ("LateFusionDBoF", {}),
    "LstmModel": ("LSTMState", {}),
    "GruModel": ("GRUState", {}),
    "MoeModel": ("GatedMoeModel", {}),
}
# Flags that choose another class of ours.
VARIANTS = {"lightvlad": "NetRVLAD", "vlagd": "GatedVLAD"}


@pytest.mark.parametrize("case", golden.cases("willow"))
def test_miech(case):
    outputs = case.outputs
    known = ("predictions", "pooled", "descriptor_before_hidden1", "gather_index")
    assert_known(outputs, *known)
    model = build(case)
    golden.load(model, golden.known_pairs(miech_code.match(model, case.variables)))
    inputs = tf.constant(case["input"])
    if model.encoder is None:
        pooled = inputs
    else:
        chosen = frames_of(case, model.encoder, inputs)
        pooled = model.encoder(*chosen)
        if "descriptor_before_hidden1" in outputs:
            parts = model.encoder.aggregate(*chosen)
            order = miech_code.descriptor_order(model.encoder)
            expected = outputs["descriptor_before_hidden1"][:, order]
            assert_close(parts, expected, "descriptor_before_hidden1")
    assert_close(pooled, outputs["pooled"], "pooled")
    predictions = model.classifier(pooled)
    atol = max(ATOL, case.meta[NOISE])
    assert_close(predictions, outputs["predictions"], "predictions", atol=atol)


def build(case):
    """Our model of a case, with its flags and sizes."""
    kind, sizes = case.meta["class"], case.meta["sizes"]
    assert kind in CLASSES, f"no test for cases of class {kind!r}"
    name, values = CLASSES[kind]
    flags = {**values, **case.meta["flags"]}
    # With it the case is run without its training argument, and no activation applies.
    flags.pop("video_level_classifier_model", None)
    if kind == "DbofModelLF":
        flags.pop("dbof_activation")
    for flag, variant in VARIANTS.items():
        name = variant if flags.pop(flag, False) else name
    is_encoder = name in ENCODERS
    classes = [models.GatedMoeModel, *([ENCODERS.get(name)] if is_encoder else [])]
    taken = {flag for cls in classes for flag in hyperparameters(cls)}
    assert_known(flags, *taken, "iterations")
    if is_encoder:
        names, widths = ("rgb", "audio"), (sizes["rgb"], sizes["audio"])
    else:
        names, widths = ("x",), case["input"].shape[-1:]
    data = DataConfig(names, widths, is_encoder, num_classes=sizes["classes"])
    # The authors' batch norm keeps 0.999 of its statistics from the first step.
    values = {**flags, "released_code": True, "slim_batch_norm": True}
    config = ModelConfig(name, "GatedMoeModel", hyperparameters=values)
    return models.create(RunConfig(data, config))
