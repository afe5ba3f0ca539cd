"""What makes training faster leaves what it learns as it is, or close to it."""

import re

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.helpers import all_models
from tests.helpers.all_models import SUPERVISED
from tests.helpers.sample import SAMPLE
from tests.helpers.training_runs import (
    DBOF,
    FIXED_DBOF,
    FRAMES,
    LOGISTIC,
    TWO_REPLICAS,
    config,
    metrics_lines,
    run_python,
    train,
)
from youtube8m import losses, models, optimizers
from youtube8m.config import RunConfig
from youtube8m.errors import UserError
from youtube8m.evaluation.config import EvaluationConfig
from youtube8m.evaluation.evaluator import Evaluator
from youtube8m.models.base import CLASSIFIERS
from youtube8m.runs.directory import RunDirectory
from youtube8m.training.config import PRECISIONS, TrainingConfig
from youtube8m.training.steps import TrainingState, TrainStep, pad_batch
from youtube8m.training.trainer import dtype_policy


def train_step(run, **values):
    values = {"optimizer": "AdamOptimizer", "base_learning_rate": 0.01, **values}
    settings = TrainingConfig(train_data_pattern="x", **values)
    keras.utils.set_random_seed(1)
    strategy = tf.distribute.OneDeviceStrategy("/cpu:0")
    with strategy.scope(), dtype_policy(settings.precision):
        optimizer = optimizers.create(
            settings.optimizer,
            settings.base_learning_rate,
            scales_loss=settings.precision == "mixed_float16",
        )
        state = TrainingState(models.create(run), optimizer, losses.create(run))
    return TrainStep(strategy, state, settings, run.data.num_classes)


def labelled_batch(run):
    batch = all_models.random_batch(run.data)
    labels = np.array([[1, 2], [3, -1], [0, 5]], np.int32)
    return {k: tf.constant(v) for k, v in {**batch, "labels": labels}.items()}


# Losses within these of float32's. What draws at random draws other numbers.
TOLERANCES = {"float32": 0, "mixed_bfloat16": 0.01, "mixed_float16": 0.01, "xla": 1e-4}
DRAWING = {
    "AdaptiveNoise": 0.02,
    "BagOfFrames": 0.3,
    "BertCrossEncoder": 0.05,
    "BertEncoder": 0.05,
    "ClassifierChainModel": 0.3,
    "DbofModel": 0.05,
    "GatedDBoF": 0.05,
    "GatedVLAD": 0.05,
    "LSTMMoE": 0.02,
    "LateFusionDBoF": 0.05,
    "NetFV": 0.05,
    "NetRVLAD": 0.05,
    "NetVLAD": 0.05,
    "NonLocalEarlyNetVLAD": 0.2,
    "NonLocalNetRVLAD": 0.2,
    "NonLocalNetVLAD": 0.2,
    "RandomBiLSTMAttention": 0.02,
    "SoftDBoF": 0.05,
    "WeightedLSTM": 0.02,
}
# Dropout draws in the type that it computes in.
DROPPING = ("FrameMlp", "MixNeXtVLAD", "NeXtVLAD", "OuterMixNeXtVLAD")
WITHOUT_DROPOUT = {
    **dict.fromkeys(DROPPING, {"drop_rate": 0.0}),
    **dict.fromkeys(["BertEncoder", "BertCrossEncoder"], {"bert_dropout_prob": 0.0}),
    "FrameTransformer": {"drop_rate": 0.0, "stochastic_depth": 0.0},
    "ResNetLike": {"block_dropout": 0.0},
    "ResidualMlpModel": {"residual_mlp_dropout": 0.0},
}


@pytest.mark.parametrize("name", [*SUPERVISED, *CLASSIFIERS])
@pytest.mark.slow
def test_models_train_in_half_precision_and_compiled(name):
    classifier = name if name in CLASSIFIERS else "MoeModel"
    values = WITHOUT_DROPOUT.get(name, {})
    run = all_models.run_config((name, classifier, values))
    found = {}
    for way in TOLERANCES:
        values = {"jit_compile": True} if way == "xla" else {"precision": way}
        step = train_step(run, **values)
        batch = pad_batch(labelled_batch(run), run.data.longest_example)
        results = [step(batch) for _ in range(2)]
        found[way] = [float(result["loss"]) for result in results]
        if not results[0]["gradient_norm"]:  # float16 has skipped the first update
            assert way == "mixed_float16"
            del found[way][1]
        assert step.jit_compile == (way == "xla")
        assert {v.dtype for v in step.state.model.trainable_variables} == {"float32"}
    for way, losses_found in found.items():
        expected = found["float32"][: len(losses_found)]
        rtol = DRAWING.get(name, TOLERANCES[way])
        np.testing.assert_allclose(losses_found, expected, rtol, err_msg=way)


@pytest.mark.parametrize("precision", PRECISIONS)
def test_gradients_are_clipped_as_they_are_without_a_scaled_loss(precision):
    """SGD with rate 1 moves each weight by the clipped gradient."""
    step = train_step(
        LOGISTIC_7,
        precision=precision,
        optimizer="GradientDescentOptimizer",
        base_learning_rate=1.0,
        clip_gradient_norm=0.25,
        regularization_penalty=0.0,
    )
    before = [v.numpy() for v in step.state.model.trainable_variables]
    norm = float(step(labelled_batch(LOGISTIC_7))["gradient_norm"])
    after = [v.numpy() for v in step.state.model.trainable_variables]
    moved = [np.linalg.norm(a - b) for a, b in zip(after, before, strict=True)]
    assert norm > 0.25
    np.testing.assert_allclose(max(moved), 0.25, rtol=1e-3)
    assert all(v.dtype == np.float32 for v in after)


LOGISTIC_7 = all_models.run_config(("LogisticModel", "LogisticModel", {}))


def test_float16_skips_a_step_whose_gradients_overflow():
    step = train_step(LOGISTIC_7, precision="mixed_float16")
    optimizer, batch = step.state.optimizer, labelled_batch(LOGISTIC_7)
    optimizer.dynamic_scale.assign(3e38)
    before = [v.numpy() for v in step.state.model.variables]
    results = step(batch)
    for one, two in zip(before, step.state.model.variables, strict=True):
        np.testing.assert_array_equal(one, two.numpy())
    assert float(optimizer.dynamic_scale) == pytest.approx(1.5e38)
    assert results["gradient_norm"] == 0 and np.isfinite(results["loss"])
    assert step.state.steps_done == 1


@pytest.mark.slow
@pytest.mark.parametrize("precision", PRECISIONS[1:])
def test_half_precision_runs_resume_exactly(sample, tmp_path, precision):
    run = RunConfig(FRAMES, DBOF)
    values = {"precision": precision, "ema_decay": 0.5, "max_steps": 6}
    whole = train(run, config(sample, tmp_path / "whole", **values))
    train(run, config(sample, tmp_path / "parts", **{**values, "max_steps": 3}))
    parts = train(run, config(sample, tmp_path / "parts", **values))
    for one, two in zip(whole, parts, strict=True):
        np.testing.assert_array_equal(one, two)
    with pytest.raises(UserError, match=f"--precision=float32: .* with {precision}"):
        train(run, config(sample, tmp_path / "parts", ema_decay=0.5))
    names = dict(
        tf.train.list_variables(RunDirectory(str(tmp_path / "parts")).checkpoint())
    )
    assert any(name.startswith("average/") for name in names)


def test_evaluation_is_in_float32(sample, tmp_path):
    train(LOGISTIC, config(sample, tmp_path, "video", precision="mixed_float16"))
    values = {"run_once": True, "eval_data_pattern": sample["video/validate"]}
    evaluator = Evaluator(EvaluationConfig(train_dir=str(tmp_path), **values))
    assert evaluator.trained.model.dtype_policy.name == "float32"
    assert evaluator.run()["num_examples"] == SAMPLE.num_validate


def test_an_unknown_precision_is_told():
    with pytest.raises(UserError, match="--precision=float16: must be one of float32,"):
        TrainingConfig(train_data_pattern="x", precision="float16")


def test_padding_for_the_compiler_keeps_what_is_there():
    frames = tf.ones((2, 5, 3), tf.uint8)
    labels = tf.constant([[1, 2], [3, -1]])
    batch = pad_batch(
        {"frames": frames, "labels": labels, "num_frames": 5}, 9, labels=4
    )
    assert batch["num_frames"] == 5
    np.testing.assert_array_equal(batch["frames"][:, :5], frames)
    assert not np.any(batch["frames"][:, 5:]) and batch["frames"].shape == (2, 9, 3)
    np.testing.assert_array_equal(batch["labels"], [[1, 2, -1, -1], [3, -1, -1, -1]])


@pytest.mark.slow
def test_a_compiled_run_learns_the_same(sample, tmp_path):
    """But for rounding; DBoF here takes its frames in a fixed order."""
    run = RunConfig(FRAMES, FIXED_DBOF)
    values = {"max_steps": 4, "optimizer": "GradientDescentOptimizer"}
    plain = train(run, config(sample, tmp_path / "plain", **values))
    values["jit_compile"] = True
    compiled = train(run, config(sample, tmp_path / "compiled", **values))
    for one, two in zip(plain, compiled, strict=True):
        np.testing.assert_allclose(one, two, rtol=1e-4, atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("jit_compile", [False, True])
def test_steps_in_a_loop_are_the_same_steps(sample, tmp_path, jit_compile):
    """Bit for bit, saved at the same steps, whatever the loop and the start.

    A compiled loop is another program than a compiled step: there, but for rounding.
    """
    rtol, atol = (1e-5, 1e-6) if jit_compile else (0, 0)
    run = RunConfig(FRAMES, DBOF)
    values = {"export_model_steps": 4, "jit_compile": jit_compile}
    whole = train(run, config(sample, tmp_path / "one", **values))
    loop = {**values, "steps_per_loop": 3}
    train(run, config(sample, tmp_path / "loop", max_steps=5, **loop))
    parts = train(run, config(sample, tmp_path / "loop", **loop))
    for one, two in zip(whole, parts, strict=True):
        np.testing.assert_allclose(one, two, rtol, atol)
    assert (tmp_path / "loop" / "model.ckpt-4.index").exists()
    one, two = (metrics_lines(tmp_path / name) for name in ("one", "loop"))
    for ours, theirs in zip(one, two, strict=True):
        for name in ("step", "examples", "epoch", "record"):
            assert ours[name] == theirs[name], name
        for name in ("loss", "gradient_norm"):
            assert ours[name] == pytest.approx(theirs[name], rel=rtol, abs=0), name
    log = (tmp_path / "loop" / "train.log").read_text()
    assert re.search(r"training step 10 \| .* GAP: [\d.]+\n", log)


LOOP_SCRIPT = (
    TWO_REPLICAS
    + """
import keras
import numpy as np
from tests.helpers import training_runs as t
for loop in (1, 3):
    settings = t.config({"frame/train": data}, f"{out}/{loop}", batch_size=int(batch),
                        steps_per_loop=loop)
    trainer = t.Trainer(t.RunConfig(t.FRAMES, t.DBOF), settings, strategy)
    trainer.train()
    np.savez(f"{out}/{loop}.npz", *[v.numpy() for v in trainer.state.model.weights])
"""
)


@pytest.mark.slow
def test_two_replicas_loop_too(sample, tmp_path):
    run_python(LOOP_SCRIPT, 2, sample["frame/train"], tmp_path, 16)
    one, three = (np.load(tmp_path / f"{loop}.npz") for loop in (1, 3))
    for name in one.files:
        np.testing.assert_allclose(one[name], three[name], rtol=1e-5, atol=1e-6)
    assert len(metrics_lines(tmp_path / "3")) == 10
