"""Train directories of code derived from the starter code, made of golden weights."""

import json
import logging

import numpy as np
import pytest
import tensorflow as tf
from absl import flags as absl_flags
from absl.testing import flagsaver

from tests.helpers import golden
from tests.helpers.golden import ATOL, assert_close
from tests.helpers.golden_starter import NOISE
from tests.helpers.golden_winners import frames_of
from tests.helpers.starter_checkpoints import save
from youtube8m import models, optimizers
from youtube8m.cli import flags
from youtube8m.errors import UserError
from youtube8m.evaluation.config import EvaluationConfig
from youtube8m.prediction.predictor import TrainedRun
from youtube8m.runs import lin_code, miech_code
from youtube8m.runs.derived_code import is_alias
from youtube8m.runs.directory import RunDirectory
from youtube8m.tools import eval as eval_tool  # noqa: F401  defines its flags
from youtube8m.tools.convert_checkpoint import ConvertConfig, convert
from youtube8m.training.saver import Saver
from youtube8m.training.steps import TrainingState

WILLOW = golden.cases("willow")
NEXTVLAD = golden.cases("nextvlad")
UNSAVED = {**miech_code.UNSAVED, **lin_code.UNSAVED}


def flags_of(case):
    """What a user gives, as the directory has no model_flags.json."""
    sizes, own = case.meta["sizes"], case.meta["flags"]
    given = {"model": case.meta["class"], **{n: own[n] for n in own if n in UNSAVED}}
    if case["input"].ndim == 2:
        width = case["input"].shape[-1]
        return {**given, "feature_names": "mean_rgb", "feature_sizes": str(width)}
    names, widths = "rgb,audio", f"{sizes['rgb']},{sizes['audio']}"
    return {**given, "feature_names": names, "feature_sizes": widths}


def write(path, case, rename=lambda name: name, **more):
    """A directory with one checkpoint, and no flags; returns its path."""
    variables = {rename(name): value for name, value in case.variables.items()}
    save(str(path / "model.ckpt-7"), {**variables, **more}, scope="")
    return str(path)


def trained(path, case):
    run = TrainedRun(path, flags_of(case))
    run.load(run.directory.checkpoint())
    return run


def predictions(case, model):
    inputs = tf.constant(case["input"])
    if model.encoder is None:
        return model.classifier(inputs)
    chosen = frames_of(case, model.encoder, inputs)
    if "segment_labels" in case.meta["flags"]:  # all of its rows count
        chosen = inputs, tf.ones(inputs.shape[:2], tf.bool)
    descriptor = model.encoder(*chosen)
    if isinstance(descriptor, dict):
        return model.classifier(descriptor["descriptor"])["predictions"]
    return model.classifier(descriptor)


def check(case, model):
    atol = max(ATOL, case.meta[NOISE])
    expected = case.outputs["predictions"]
    assert_close(predictions(case, model), expected, case.name, atol=atol)


@pytest.mark.parametrize("case", WILLOW + NEXTVLAD)
def test_directories_without_flags_predict_as_their_code_did(case, tmp_path):
    check(case, trained(write(tmp_path, case), case).model)


def only(name, cases):
    """The case of a name, or what stands for missing ones."""
    named = [c for c in cases if c.values[0] is None or c.id in (name, "none")]
    return pytest.mark.parametrize("case", named)


@only("NeXtVLAD_logistic", NEXTVLAD)
def test_a_directory_with_flags_needs_none(case, tmp_path, caplog):
    path = write(tmp_path, case, "tower/{}".format)
    keys = {**flags_of(case), "frame_features": True, "label_loss": "CrossEntropyLoss"}
    (tmp_path / "model_flags.json").write_text(json.dumps(keys))
    with caplog.at_level(logging.INFO):
        run = TrainedRun(path)
    run.load(run.directory.checkpoint())
    check(case, run.model)
    assert "NeXtVLAD of the code of Lin et al. 2018, which keeps no" in caplog.text
    assert "input_transform=reverse_whitening (assumed)" in caplog.text


@only("NeXtVLAD_moe", NEXTVLAD)
def test_mixtures_of_2018_mix_probabilities(case, tmp_path):
    """Those of 2019 mix logits, and do not lie in tower/."""
    names = []
    for number, scope in enumerate(("{}", "tower/{}", "tower_0/{}")):
        path = tmp_path / str(number)
        path.mkdir()
        run = trained(write(path, case, scope.format), case).run
        names.append(run.model.video_level_classifier_model)
    assert names == ["MoeLogitModel", "MoeModel", "MoeLogitModel"]


def of_towers(case, count, size):
    """Variables of the code of 2019: `count` equal towers, and what mixes them."""
    rng = np.random.default_rng(0)
    variables = {
        f"tower_{tower}/{name}": value
        for tower in range(count)
        for name, value in case.variables.items()
    }
    norm = {
        leaf: rng.uniform(0.5, 1, size)
        for leaf in ("gamma", "beta", "moving_mean", "moving_variance")
    }
    return variables | {
        **{f"ensemble/mix_weights_bn/{leaf}": value for leaf, value in norm.items()},
        "ensemble/mix_weights/weights": rng.normal(size=(size, count)),
        "ensemble/mix_weights/biases": rng.normal(size=count),
    }


@pytest.mark.slow
@pytest.mark.parametrize("count", [1, 2, 4])
@pytest.mark.parametrize(
    "case", [c for c in NEXTVLAD if "segment" not in c.id and "moe" not in c.id]
)
def test_equal_towers_predict_as_one(case, count, tmp_path):
    """Whatever weighs their logits."""
    variables = of_towers(case, count, case["input"].shape[-1])
    save(str(tmp_path / "model.ckpt-7"), variables, scope="")
    run = trained(str(tmp_path), case)
    is_mixture = case.meta["class"] == "MixNeXtVladModel"
    name = "MixNeXtVLAD" if is_mixture or count > 1 else "NeXtVLAD"
    name = "OuterMixNeXtVLAD" if is_mixture and count > 1 else name
    assert run.run.model.model == name
    check(case, run.model)


@only("LstmModel_2layer", WILLOW)
def test_their_lstm_is_told_apart_from_the_starter_codes(case, tmp_path):
    run = trained(write(tmp_path, case), case).run
    assert run.model.model == "LSTMState"
    values = run.model.hyperparameters
    assert (values["lstm_cells"], values["lstm_layers"]) == (
        case.meta["flags"]["lstm_cells"],
        case.meta["flags"]["lstm_layers"],
    )


@only("LstmModel_2layer", WILLOW)
def test_cells_of_tensorflow_1_0(case, tmp_path):
    def rename(name):
        name = name.replace("cell/kernel", "cell/weights")
        return name.replace("cell/bias", "cell/biases")

    check(case, trained(write(tmp_path, case, rename), case).model)


# Converting ---------------------------------------------------------------------------

CONVERTED = ("NetVLAD_gating_removediag", "GruModel_2layer", "MixNeXtVlad_logistic")


@pytest.mark.slow
@pytest.mark.parametrize(
    "case", [c for c in WILLOW + NEXTVLAD if c.id in (*CONVERTED, "none")]
)
def test_converted_runs_go_on_with_adams_state(case, tmp_path):
    """Slots equal to the weights, and to their squares, stay so."""
    slots, old, new = {}, tmp_path / "old", str(tmp_path / "new")
    old.mkdir()
    for name in case.meta["trainable"]:
        value = case.variables[name]
        slots |= {f"{name}/Adam": value, f"{name}/Adam_1": value**2}
    powers = {"beta1_power": 0.9**8, "beta2_power": 0.999**8}
    path = write(old, case, **slots, **powers)
    given = flags_of(case)
    run = convert(ConvertConfig(train_dir=path, output_dir=new, hyperparameters=given))
    state = TrainingState(models.create(run), optimizers.create("AdamOptimizer", 1.0))
    Saver(RunDirectory(new), state, keep=1).restore()
    assert state.steps_done == 7 and state.optimizer.iterations.numpy() == 7
    check(case, state.model)
    for weight, mean, square in zip(
        state.model.trainable_variables,
        optimizers.slot_variables(state.optimizer, "momentum"),
        optimizers.slot_variables(state.optimizer, "velocity"),
        strict=True,
    ):
        assert_close(mean.numpy(), weight.numpy(), weight.path)
        assert_close(square.numpy(), weight.numpy() ** 2, weight.path)


# Mistakes -----------------------------------------------------------------------------


@only("NetVLAD_relu", WILLOW)
def test_flags_that_are_missing_are_named(case, tmp_path):
    path = write(tmp_path, case)
    message = "no model_flags.json; give --model, --feature_names, --feature_sizes as"
    with pytest.raises(UserError, match=message):
        TrainedRun(path)
    given = {**flags_of(case), "feature_names": ""}
    with pytest.raises(UserError, match="give --feature_names as"):
        TrainedRun(path, given)
    with pytest.raises(UserError, match="names the model Other; the starter code's"):
        TrainedRun(path, {**flags_of(case), "model": "Other"})


@only("NetVLAD_relu", WILLOW)
def test_variables_that_do_not_fit_are_listed(case, tmp_path):
    more = {"extra/weights": np.zeros((3, 2))}
    path = write(tmp_path, case, lambda n: n.replace("input_bn/gamma", "x/y"), **more)
    with pytest.raises(UserError) as caught:
        trained(path, case)
    message = str(caught.value)
    assert "extra/weights [3, 2]: not this model's" in message
    width = case["input"].shape[-1]
    assert f"x/y [{width}]: not this model's" in message
    assert "encoder/input_norm/gamma: missing" in message
    sizes = case.meta["sizes"]
    given = {**flags_of(case), "feature_sizes": f"{sizes['rgb'] + 1},{sizes['audio']}"}
    with pytest.raises(UserError, match="cluster_weights .*: must be"):
        run = TrainedRun(path, given)
        run.load(run.directory.checkpoint())


@only("NeXtVLAD_logistic", NEXTVLAD)
def test_a_directory_that_predicts_nothing(case, tmp_path):
    path = write(tmp_path, case, lambda n: n.replace("fully_connected/w", "other/w"))
    with pytest.raises(UserError, match="a classifier has"):
        trained(path, case)


def test_damaged_checkpoints_without_flags_are_told(tmp_path):
    (tmp_path / "model.ckpt-7.index").write_bytes(b"no index")
    with pytest.raises(UserError, match="no model_flags.json"):
        TrainedRun(str(tmp_path), {})


# Flags --------------------------------------------------------------------------------


def test_flags_describe_a_run_to_the_commands_that_read_one():
    line = ["--train_dir=old", "--eval_data_pattern=*", "--model=NetVLADModelLF"]
    line += ["--num_shards=1"]  # which another command may have without a default
    saved = flagsaver.save_flag_values()
    try:
        absl_flags.FLAGS(["eval.py", *line, "--feature_sizes=1024,128", "--gating"])
        given = flags.read(EvaluationConfig).hyperparameters
    finally:
        flagsaver.restore_flag_values(saved)
    assert given == {
        "model": "NetVLADModelLF",
        "feature_sizes": "1024,128",
        "gating": True,
    }


def test_names_of_their_classes_are_no_contradiction():
    assert is_alias("NetVLADModelLF", "NetRVLAD")
    assert is_alias("MoeModel", "GatedMoeModel")
    assert not is_alias("NetVLADModelLF", "NeXtVLAD")
    assert not is_alias("LstmModel", "LstmModel")
