"""TensorFlow 1's checkpoints, written here as the starter code writes them."""

import json
import logging

import numpy as np
import pytest
import tensorflow as tf

from tests.helpers import golden, reference
from tests.helpers.golden import ATOL, assert_close
from tests.helpers.golden_starter import NOISE, descriptor, train_step
from tests.helpers.starter_checkpoints import (
    STEP,
    C,
    D,
    dbof,
    logistic,
    lstm,
    moe,
    name_both_features,
    random_variables,
    save,
    write,
)
from tests.helpers.training_runs import VIDEO, config
from youtube8m import models, optimizers
from youtube8m.config import ModelConfig, RunConfig
from youtube8m.errors import UserError
from youtube8m.evaluation.config import EvaluationConfig
from youtube8m.evaluation.evaluator import Evaluator
from youtube8m.prediction.predictor import TrainedRun
from youtube8m.runs.checkpoint_files import find_checkpoints, step_of
from youtube8m.runs.directory import RunDirectory
from youtube8m.runs.starter_code import MODELS, UNSAVED
from youtube8m.tools.convert_checkpoint import ConvertConfig, convert
from youtube8m.training.saver import Saver
from youtube8m.training.steps import TrainingState
from youtube8m.training.trainer import Trainer
from youtube8m.training.workers import split_batch


def trained(path, **hyperparameters):
    run = TrainedRun(path, hyperparameters)
    run.load(run.directory.checkpoint())
    return run


# Weights ------------------------------------------------------------------------------


def of_evaluation(parameter):
    """Whether a case (or none) is neither of training nor of its batch norm."""
    (case,) = parameter.values
    return case is None or not ("optimizer" in case.meta or case.group("after_update"))


@pytest.mark.parametrize(
    "case", filter(of_evaluation, golden.cases("starter", classes=MODELS))
)
def test_models_predict_what_the_starter_code_did(case, tmp_path):
    """From a train directory alone, but for what leaves no trace in variables."""
    path = write(
        tmp_path,
        case.meta["class"],
        {name.removeprefix("tower/"): v for name, v in case.variables.items()},
        size=case["input"].shape[-1],
    )
    flags = {n: v for n, v in case.meta["flags"].items() if n in UNSAVED}
    model = trained(path, **flags).model
    pooled = descriptor(case, model, training=False)
    predictions = model.classifier(pooled)
    assert_close(pooled, case.outputs["pooled"], "pooled")
    atol = max(ATOL, case.meta.get(NOISE, 0.0))
    assert_close(predictions, case.outputs["predictions"], "predictions", atol=atol)


def by_hand_logistic(variables, x):
    w, b = (variables[f"fully_connected/{name}"] for name in ("weights", "biases"))
    return reference.sigmoid(x @ w + b)


def by_hand_moe(variables, x, mixtures):
    """Class-major columns, the dummy's gate last."""
    gates = (x @ variables["gates/weights"]).reshape(len(x), C, mixtures + 1)
    experts = x @ variables["experts/weights"] + variables["experts/biases"]
    experts = reference.sigmoid(experts.reshape(len(x), C, mixtures))
    return (reference.softmax(gates, axis=-1)[..., :-1] * experts).sum(axis=-1)


def by_hand_lstm(variables, frames, layers, cells=3):
    """h of the top layer after all frames [T, D]; gates i, j, f, o, 1 added to f."""
    for layer in range(layers):
        cell = f"rnn/multi_rnn_cell/cell_{layer}/basic_lstm_cell/"
        c, h, outputs = np.zeros(cells), np.zeros(cells), []
        for x in frames:
            z = np.concatenate([x, h]) @ variables[cell + "kernel"]
            i, j, f, o = np.split(z + variables[cell + "bias"], 4)
            c = c * reference.sigmoid(f + 1) + reference.sigmoid(i) * np.tanh(j)
            h = np.tanh(c) * reference.sigmoid(o)
            outputs.append(h)
        frames = outputs
    return h


def test_moe_of_four_mixtures(tmp_path):
    variables = random_variables(moe(mixtures=4))
    run = trained(write(tmp_path, "MoeModel", variables))
    assert run.run.data.num_classes == C
    assert run.run.model.hyperparameters["moe_num_mixtures"] == 4
    x = np.random.default_rng(1).standard_normal((3, D)).astype(np.float32)
    normal = reference.normalized(x)
    predictions = run.predict({"features": tf.constant(x)})["predictions"]
    assert_close(predictions, by_hand_moe(variables, normal, 4), "p", 1e-5, 1e-6)


@pytest.mark.parametrize("layers", [1, 3])
def test_lstm_with_logistic_regressions(layers, tmp_path):
    variables = random_variables({**lstm(layers), **logistic(size=3)})
    run = trained(write(tmp_path, "LstmModel", variables, scope=""))
    assert run.run.model.video_level_classifier_model == "LogisticModel"
    assert run.run.model.hyperparameters["lstm_layers"] == layers
    assert run.run.model.hyperparameters["lstm_cells"] == 3
    frames = np.random.default_rng(1).standard_normal((1, 5, D)).astype(np.float32)
    descriptor = run.model.encoder(frames, np.ones((1, 5), bool))
    expected = by_hand_lstm(variables, frames[0], layers)
    assert_close(descriptor, expected[None], "descriptor", 1e-4, 1e-6)
    assert_close(
        run.model.classifier(descriptor),
        by_hand_logistic(variables, expected[None]),
        "predictions",
        1e-5,
    )


@pytest.mark.parametrize("pooling", ["max", "average"])
def test_dbof_without_batch_norm(pooling, tmp_path, caplog):
    variables = random_variables({**dbof(), **logistic(size=3)})
    path = write(tmp_path, "DbofModel", variables)
    with caplog.at_level(logging.INFO):
        run = trained(path, dbof_pooling_method=pooling, dbof_cluster_size=99)
    assert f"dbof_pooling_method={pooling} (given)" in caplog.text
    assert "iterations=30 (assumed)" in caplog.text
    assert "dbof_cluster_size" not in caplog.text
    values = run.run.model.hyperparameters
    assert (values["dbof_cluster_size"], values["dbof_hidden_size"]) == (4, 3)
    assert not values["dbof_add_batch_norm"]
    frames = np.random.default_rng(1).standard_normal((1, 9, D)).astype(np.float32)
    descriptor = run.model.encoder(frames, np.ones((1, 9), bool))
    clusters = frames[0] @ variables["cluster_weights"] + variables["cluster_biases"]
    clusters = reference.sigmoid(clusters)
    pooled = clusters.max(axis=0) if pooling == "max" else clusters.mean(axis=0)
    hidden = pooled @ variables["hidden1_weights"] + variables["hidden1_biases"]
    assert_close(descriptor[0], reference.sigmoid(hidden), "descriptor", 1e-5)


# Finding checkpoints ------------------------------------------------------------------


def test_checkpoints_are_found_wherever_the_directory_has_come_to(tmp_path):
    variables = random_variables(logistic())
    path = write(tmp_path, "LogisticModel", variables, name="model.ckpt-90", step=90)
    save(f"{path}/model.ckpt-110", variables, step=110)
    save(f"{path}/inference_model/inference_model", variables, step=110)
    (tmp_path / "checkpoint").write_text(
        'model_checkpoint_path: "/elsewhere/model.ckpt-110"\n'
        'all_model_checkpoint_paths: "/elsewhere/model.ckpt-90"\n'
        'all_model_checkpoint_paths: "/elsewhere/model.ckpt-110"\n'
    )
    names = ["inference_model/inference_model", "model.ckpt-90", "model.ckpt-110"]
    directory = RunDirectory(path)
    assert directory.checkpoints() == [f"{path}/{name}" for name in names]
    assert next(directory.new_checkpoints()) == f"{path}/model.ckpt-110"
    assert directory.checkpoint("model.ckpt-90") == f"{path}/model.ckpt-90"
    assert directory.checkpoint("inference_model") == f"{path}/{names[0]}"
    assert step_of(f"{path}/{names[0]}") == 110
    with pytest.raises(UserError, match="there are: inference_model, model.ckpt-110"):
        directory.checkpoint("model.ckpt-1")


@pytest.mark.parametrize("folder", ["inference_model/", ""])
def test_of_copies_for_inference_the_newest_counts(folder, tmp_path):
    variables = random_variables(logistic())
    first, second = (
        str(tmp_path / folder / name)
        for name in ("segment_inference_model", "inference_model")
    )
    write(tmp_path, "LogisticModel", variables, name=first, step=20)
    save(second, variables, step=20)
    assert find_checkpoints(str(tmp_path)) == [first, second]
    save(first, variables, step=21)
    assert find_checkpoints(str(tmp_path)) == [second, first]
    assert trained(str(tmp_path)).directory.checkpoint() == first


def test_a_directory_without_checkpoints(tmp_path):
    path = write(tmp_path, "LogisticModel", random_variables(logistic()), name="other")
    with pytest.raises(UserError, match="no checkpoint"):
        TrainedRun(path)


# Mistakes -----------------------------------------------------------------------------


def test_all_variables_that_do_not_fit_are_listed(tmp_path):
    variables = random_variables({**lstm(2), **moe(size=3)})
    kernel = "rnn/multi_rnn_cell/cell_{}/basic_lstm_cell/kernel"
    del variables["rnn/multi_rnn_cell/cell_0/basic_lstm_cell/bias"]
    variables[kernel.format(1)] = np.zeros((9, 12))
    variables["experts/weights/Adam"] = variables["experts/weights"]  # a slot: fits
    variables["attention/weights"] = np.zeros((3, 2))
    path = write(tmp_path, "LstmModel", variables)
    with pytest.raises(UserError) as caught:
        trained(path)
    message = str(caught.value)
    assert message.split("names: ")[1].split("; ") == [
        "rnn/multi_rnn_cell/cell_0/basic_lstm_cell/bias [12]: missing",
        f"{kernel.format(1)} [9, 12]: must be [6, 12]",
        "attention/weights [3, 2]: not this model's",
    ]
    assert message.startswith(f"{path}/model.ckpt-{STEP}: ") and "\n" not in message


def test_other_feature_sizes_than_the_variables_have(tmp_path):
    path = write(tmp_path, "MoeModel", random_variables(moe()), size=D + 1)
    with pytest.raises(UserError, match=r"gates/weights \[6, 25\]: must be \[7, 25\]"):
        trained(path)


@pytest.mark.parametrize(
    ("model", "shapes", "message"),
    [
        ("LstmModel", lstm(1), r"a classifier has .* but .*/kernel \[9, 12\]"),
        ("MoeModel", {"gates/weights": (6, 7)}, r"but gates/weights \[6, 7\], global"),
        (
            "MoeModel",
            {"gates/weights": (6, 7), "experts/weights": (6, 5)},
            "classifier",
        ),
        ("MyModel", logistic(), "names the model MyModel; the starter code's are Log"),
        ("MoeModel", logistic(), r"gates/weights \[6, 15\]: missing"),
    ],
)
def test_what_is_no_model_of_the_starter_codes(model, shapes, message, tmp_path):
    path = write(tmp_path, model, random_variables(shapes))
    with pytest.raises(UserError, match=message):
        trained(path)


@pytest.mark.parametrize("part", ["index", "data-00000-of-00001"])
def test_damaged_files(part, tmp_path):
    path = write(tmp_path, "MoeModel", random_variables(moe(size=D)))
    file = tmp_path / f"model.ckpt-{STEP}.{part}"
    file.write_bytes(file.read_bytes()[:-40])
    with pytest.raises(UserError, match=f"ckpt-{STEP}: cannot be read"):
        trained(path)


def test_train_and_warm_start_name_the_tool(sample, tmp_path):
    path = write(tmp_path, "LogisticModel", random_variables(logistic()))
    run = RunConfig(VIDEO, ModelConfig("LogisticModel"))
    with pytest.raises(UserError, match="tools.convert_checkpoint"):
        Trainer(run, config(sample, path, "video"))
    other = config(sample, tmp_path / "new", "video", warm_start_from=path)
    with pytest.raises(UserError, match="tools.convert_checkpoint"):
        Trainer(run, other).train()


def test_start_new_model_replaces_such_a_run(sample, tmp_path):
    path = write(tmp_path, "LogisticModel", random_variables(logistic()))
    save(f"{path}/inference_model/inference_model", random_variables(logistic()))
    run = RunConfig(VIDEO, ModelConfig("LogisticModel"))
    flags = {"start_new_model": True, "max_steps": 1}
    Trainer(run, config(sample, path, "video", **flags)).train()
    directory = RunDirectory(path)
    assert not directory.is_starters and directory.read_run() == run
    assert directory.checkpoints() == [f"{path}/model.ckpt-1"]


def test_summaries_that_cannot_be_written_are_no_error(sample, tmp_path, caplog):
    variables = random_variables(logistic(VIDEO.feature_size, VIDEO.num_classes))
    path = write(tmp_path, "LogisticModel", variables, VIDEO.feature_size)
    name_both_features(path)
    (tmp_path / "eval").write_text("in the way, as a directory that is read-only")
    flags = {"train_dir": path, "eval_data_pattern": sample["video/validate"]}
    result = Evaluator(EvaluationConfig(**flags, run_once=True)).run()
    assert result["num_examples"] == 60
    assert "no summaries for TensorBoard" in caplog.text


# Converting ---------------------------------------------------------------------------


def adam_slots(variables, seed=1):
    rng = np.random.default_rng(seed)
    return {
        f"{name}/{slot}": rng.random(np.shape(value))
        for name, value in variables.items()
        for slot in ("Adam", "Adam_1")
    }


def trains_with_adam(parameter):
    """At a constant learning rate; so does a case that is none."""
    (case,) = parameter.values
    return case is None or case.name == "train_MoeModel_Adam"


@pytest.mark.parametrize(
    "case", filter(trains_with_adam, golden.cases("starter", classes=["MoeModel"]))
)
@pytest.mark.parametrize("scope", ["", "train/"])
def test_adam_goes_on_as_the_starter_code_did(case, scope, tmp_path):
    """After its first step, known from the gradient; then its second step is ours."""
    weights = {n.removeprefix("tower/"): v for n, v in case.group("step1").items()}
    variables = {f"tower/{name}": value for name, value in weights.items()}
    for name, g in case.group("grad_step0_unclipped").items():
        clip = case.meta["clip_gradient_norm"]
        g = g * min(1.0, clip / np.linalg.norm(g)) if clip > 0 else g
        variables |= {f"{name}/Adam": 0.1 * g, f"{name}/Adam_1": 0.001 * g * g}
    variables |= {f"{scope}beta1_power": 0.9**2, f"{scope}beta2_power": 0.999**2}
    size = case["input_raw"].shape[-1]
    path = write(
        tmp_path / "old", "MoeModel", variables, size, "model.ckpt-1", scope="", step=1
    )
    new = str(tmp_path / "new")
    batch = case.meta["batch_size"]
    convert(ConvertConfig(train_dir=path, output_dir=new, batch_size=batch))

    step = train_step(case)
    Saver(RunDirectory(new), step.state, keep=1).restore()
    assert step.state.optimizer.iterations.numpy() == step.state.steps_done == 1
    assert step.state.examples.numpy() == batch
    inputs = {
        "features": tf.constant(case["input_raw"]),
        "labels": tf.constant(golden.label_ids(case["labels"])),
    }
    results = step(split_batch(step.strategy, inputs))
    assert_close(results["loss"], case.outputs["label_loss"][1], "loss", atol=0)
    after = {n.removeprefix("tower/"): v for n, v in case.group("step2").items()}
    expected = write(tmp_path / "expected", "MoeModel", after, size, "model.ckpt-2")
    for ours, theirs in zip(
        step.state.model.weights, trained(expected).model.weights, strict=True
    ):
        assert_close(ours.numpy(), theirs.numpy(), ours.path)


def test_slots_of_an_lstm_lie_as_its_weights_do(tmp_path):
    """Slots equal to the weights, and to their squares, stay so, less the 1 added."""
    variables = random_variables({**lstm(2), **logistic(size=3)})
    slots = {f"{name}/Adam": value for name, value in variables.items()}
    slots |= {f"{name}/Adam_1": value**2 for name, value in variables.items()}
    path = write(tmp_path / "old", "LstmModel", {**variables, **slots}, scope="")
    save(f"{path}/model.ckpt-8", {**variables, **slots, **POWERS}, scope="", step=8)
    state = converted(path, str(tmp_path / "new"))
    assert state.steps_done == state.optimizer.iterations.numpy() == 8
    for weight, mean, square in zip(
        state.model.trainable_variables,
        optimizers.slot_variables(state.optimizer, "momentum"),
        optimizers.slot_variables(state.optimizer, "velocity"),
        strict=True,
    ):
        expected = weight.numpy()
        if weight.path.endswith("lstm_cell/bias"):
            expected[3:6] -= 1.0
        assert_close(mean.numpy(), expected, weight.path)
        assert_close(square.numpy(), expected**2, weight.path)


POWERS = {"beta1_power": 0.9**9, "beta2_power": 0.999**9}


def converted(path, output, **flags):
    """The state of training that train.py would go on with."""
    flags = {"optimizer": "AdamOptimizer", "batch_size": 16, **flags}
    run = convert(ConvertConfig(train_dir=path, output_dir=output, **flags))
    state = TrainingState(
        models.create(run), optimizers.create(flags["optimizer"], 1.0)
    )
    Saver(RunDirectory(output), state, keep=1).restore()
    assert state.examples.numpy() == 16 * state.steps_done
    return state


@pytest.mark.parametrize(
    ("power", "updates"),
    [
        (0.999 ** (STEP + 1), STEP),
        (0.999**1001, 1000),  # Adam began anew at some step
        (0.0, STEP),  # too many steps to tell
        (None, STEP),
    ],
)
def test_the_updates_that_adam_counts(power, updates, tmp_path):
    variables = random_variables(logistic())
    variables |= adam_slots(variables)
    variables |= {} if power is None else {"beta1_power": 0.5, "beta2_power": power}
    path = write(tmp_path / "old", "LogisticModel", variables)
    state = converted(path, str(tmp_path / "new"))
    assert state.optimizer.iterations.numpy() == updates


@pytest.mark.parametrize(
    "optimizer, slots, found",
    [
        ("AdamOptimizer", (), "no state"),
        ("AdamOptimizer", ("Momentum",), "Momentum"),
        ("RMSPropOptimizer", ("Adam", "Adam_1"), "Adam, Adam_1"),
    ],
)
def test_an_optimizer_without_its_state_there_begins_anew(
    optimizer, slots, found, tmp_path, caplog
):
    variables = random_variables(logistic())
    variables |= {f"{n}/{slot}": v for slot in slots for n, v in variables.items()}
    path = write(tmp_path / "old", "LogisticModel", variables)
    state = converted(path, str(tmp_path / "new"), optimizer=optimizer)
    assert state.steps_done == STEP
    assert state.optimizer.iterations.numpy() == 0
    assert f"keeps {found}, so {optimizer} begins anew" in caplog.text


def test_moving_statistics_have_no_slots(tmp_path):
    shapes = {name: shape for name, shape in dbof().items() if "biases" not in name}
    trained, moving = random_variables({**shapes, **logistic(size=3)}), {}
    for scope, size in {"input_bn": D, "cluster_bn": 4, "hidden1_bn": 3}.items():
        trained |= random_variables({f"{scope}/gamma": size, f"{scope}/beta": size})
        moving |= random_variables(
            {f"{scope}/moving_mean": size, f"{scope}/moving_variance": size}
        )
    variables = {**trained, **moving, **adam_slots(trained)}
    path = write(tmp_path / "old", "DbofModel", {**variables, **POWERS}, step=8)
    state = converted(path, str(tmp_path / "new"))
    norm = state.model.encoder.cluster_norm
    names = {"gamma": norm.gamma, "moving_variance": norm.moving_variance}
    for leaf, variable in names.items():
        assert_close(variable.numpy(), variables[f"cluster_bn/{leaf}"], leaf)
    paths = [variable.path for variable in state.model.trainable_variables]
    mean = optimizers.slot_variables(state.optimizer, "momentum")[
        paths.index(norm.beta.path)
    ]
    assert_close(mean.numpy(), variables["cluster_bn/beta/Adam"], "beta/Adam")


def test_slots_that_are_missing_are_listed(tmp_path):
    variables = random_variables(logistic())
    slots = adam_slots(variables)
    del slots["fully_connected/biases/Adam_1"]
    path = write(tmp_path / "old", "LogisticModel", {**variables, **slots, **POWERS})
    with pytest.raises(UserError, match=r"biases/Adam_1 \[5\]: missing$"):
        converted(path, str(tmp_path / "new"))
    assert not (tmp_path / "new").exists()


def test_converted_runs_are_tied_to_their_optimizer(sample, tmp_path):
    size, classes = VIDEO.feature_size, VIDEO.num_classes
    path = write(
        tmp_path / "old", "LogisticModel", random_variables(logistic(size, classes))
    )
    name_both_features(path)
    output = str(tmp_path / "new")
    converted(path, output)
    run = RunDirectory(output).read_run()
    flags = {"max_steps": STEP + 1, "level": "video"}
    with pytest.raises(UserError, match="was begun with AdamOptimizer"):
        settings = config(sample, output, optimizer="RMSPropOptimizer", **flags)
        Trainer(run, settings).train()
    assert Trainer(run, config(sample, output, **flags)).train()["step"] == STEP + 1
    tied = json.loads((tmp_path / "new" / "training_flags.json").read_text())
    assert tied["optimizer"] == "AdamOptimizer" and tied["num_readers"] == 2


def test_convert_refuses(tmp_path):
    path = write(tmp_path / "old", "LogisticModel", random_variables(logistic()))
    with pytest.raises(UserError, match="--output_dir=.*not empty"):
        convert(ConvertConfig(train_dir=path, output_dir=path))
    output = str(tmp_path / "new")
    convert(ConvertConfig(train_dir=path, output_dir=output))
    with pytest.raises(UserError, match="not written by the starter code"):
        convert(ConvertConfig(train_dir=output, output_dir=str(tmp_path / "newer")))
    with pytest.raises(UserError, match="--batch_size=0"):
        ConvertConfig(train_dir=path, output_dir=output, batch_size=0)
    with pytest.raises(UserError, match="--output_dir is empty"):
        ConvertConfig(train_dir=path)
