"""Moving averages of weights in training, and means over checkpoints."""

import numpy as np
import pytest
import tensorflow as tf

from tests.helpers.training_runs import (
    DBOF,
    FRAMES,
    LOGISTIC,
    TWO_REPLICAS,
    config,
    run_python,
    train,
)
from youtube8m import models
from youtube8m.config import RunConfig
from youtube8m.errors import UserError
from youtube8m.evaluation.config import EvaluationConfig
from youtube8m.evaluation.evaluator import Evaluator
from youtube8m.prediction.config import InferenceConfig
from youtube8m.prediction.inference import Inference
from youtube8m.runs.weights import load_weights, named_variables
from youtube8m.tools import average_checkpoints as tool
from youtube8m.tools.average_checkpoints import AverageConfig
from youtube8m.training.trainer import Trainer

RUN = RunConfig(FRAMES, DBOF)
STEPS, DECAY = 6, 0.8


@pytest.fixture(scope="module")
def averaged(sample, tmp_path_factory):
    """A run with averages, every step of it kept."""
    path = tmp_path_factory.mktemp("averaged")
    train(
        RUN,
        config(
            sample,
            path,
            max_steps=STEPS,
            ema_decay=DECAY,
            export_model_steps=1,
            keep_checkpoints=STEPS,
        ),
    )
    return path


def stored(path, step, part):
    """Name -> array of a part of a checkpoint."""
    reader = tf.train.load_checkpoint(str(path / f"model.ckpt-{step}"))
    return {
        key.removeprefix(f"{part}/").split("/.ATTR")[0]: reader.get_tensor(key)
        for key in reader.get_variable_to_shape_map()
        if key.startswith(f"{part}/")
    }


def used(path, run, step):
    """Name -> array of what eval.py and inference.py take."""
    model = models.create(run)
    load_weights(model, str(path / f"model.ckpt-{step}"))
    named = named_variables(model.variables)
    return {n.replace("/", ".S"): v.numpy() for n, v in named.items()}


def test_averages_are_those_of_the_weights_after_each_step(averaged):
    weights = [stored(averaged, step, "model") for step in range(1, STEPS + 1)]
    averages = stored(averaged, STEPS, "average")
    assert averages.keys() < weights[0].keys()  # moments and seeds are not averaged
    for name, found in averages.items():
        expected = weights[0][name]
        for later in weights[1:]:
            expected = DECAY * expected + (1 - DECAY) * later[name]
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-7)


def test_averages_are_stored_once(averaged):
    reader = tf.train.load_checkpoint(str(averaged / f"model.ckpt-{STEPS}"))
    shapes = reader.get_variable_to_shape_map()
    wanted = models.count_parameters(models.create(RUN))
    for part, copies in (("average", 1), ("optimizer", 2)):
        sizes = [np.prod(s) for key, s in shapes.items() if key.startswith(f"{part}/")]
        assert copies * wanted <= sum(sizes) <= copies * wanted + 2


def test_predictions_use_averages_and_the_rest_of_the_weights(averaged):
    averages, weights = (stored(averaged, STEPS, p) for p in ("average", "model"))
    loaded = used(averaged, RUN, STEPS)
    assert loaded.keys() == weights.keys()
    for name, found in loaded.items():
        np.testing.assert_array_equal(found, {**weights, **averages}[name])


def test_evaluation_is_of_the_averages(averaged, sample):
    """eval.py's loss is that of a model with the averages put in by hand."""
    prefix = str(averaged / f"model.ckpt-{STEPS}")
    settings = EvaluationConfig(str(averaged), sample["frame/validate"])
    evaluator = Evaluator(settings)
    found = evaluator.evaluate(prefix)["loss"]
    named = named_variables(evaluator.trained.model.variables)
    evaluator.trained.load = lambda prefix: None
    losses = {}
    for parts in (("model",), ("model", "average")):
        for part in parts:
            for name, value in stored(averaged, STEPS, part).items():
                named[name.replace(".S", "/")].assign(value)
        losses[parts] = evaluator.evaluate(prefix)["loss"]
    assert found == pytest.approx(losses["model", "average"], rel=1e-6)
    assert found != pytest.approx(losses["model",], rel=1e-4)


@pytest.mark.slow
def test_resuming_gives_the_averages_of_an_undisturbed_run(averaged, sample, tmp_path):
    for steps in (2, STEPS):
        train(RUN, config(sample, tmp_path, max_steps=steps, ema_decay=DECAY))
    for part in ("model", "average", "optimizer"):
        whole, parts = (stored(p, STEPS, part) for p in (averaged, tmp_path))
        assert whole.keys() == parts.keys()
        for name, value in whole.items():
            np.testing.assert_array_equal(value, parts[name])


def test_a_run_keeps_its_decay(averaged, sample):
    trainer = Trainer(RUN, config(sample, averaged, ema_decay=0.5))
    with pytest.raises(UserError, match=r"--ema_decay=0.5: .* begun with 0.8"):
        trainer.train()


@pytest.mark.parametrize("decay", [-0.1, 1.0])
def test_impossible_decays_are_told(sample, decay):
    with pytest.raises(UserError, match=f"--ema_decay={decay}: "):
        config(sample, "/tmp/unused", ema_decay=decay)


REPLICAS_SCRIPT = (
    TWO_REPLICAS
    + """
from youtube8m.config import *
from youtube8m.training.trainer import Trainer
run = RunConfig(DataConfig(("mean_rgb", "mean_audio"), (24, 8), num_classes=12),
                ModelConfig("LogisticModel"))
config = TrainingConfig(
    train_dir=out, train_data_pattern=data, batch_size=int(batch), num_epochs=1,
    ema_decay=0.8)
Trainer(run, config, strategy).train()
"""
)


@pytest.mark.slow
def test_two_replicas_have_the_averages_of_one(sample, tmp_path):
    averages = []
    for replicas, batch in ((1, 32), (2, 16)):
        out = tmp_path / str(replicas)
        run_python(REPLICAS_SCRIPT, replicas, sample["video/train"], out, batch)
        averages.append(stored(out, 5, "average"))
    assert averages[0]
    for name, value in averages[0].items():
        np.testing.assert_allclose(value, averages[1][name], rtol=1e-5, atol=1e-6)


def average(**values):
    paths = {"train_dir", "output_dir"} & values.keys()
    tool.average(AverageConfig(**{**values, **{n: str(values[n]) for n in paths}}))


@pytest.fixture(scope="module")
def plain(sample, tmp_path_factory):
    """A run without averages."""
    path = tmp_path_factory.mktemp("plain")
    settings = {"level": "video", "max_steps": 4, "export_model_steps": 1}
    train(LOGISTIC, config(sample, path, **settings))
    return path


def test_the_mean_of_checkpoints_predicts(plain, sample, tmp_path):
    output = tmp_path / "mean"
    average(train_dir=plain, checkpoints="model.ckpt-2,model.ckpt-4", output_dir=output)
    found = used(output, LOGISTIC, 4)
    two, four = (stored(plain, step, "model") for step in (2, 4))
    for name, value in found.items():
        np.testing.assert_allclose(value, (two[name] + four[name]) / 2, rtol=1e-6)
    settings = EvaluationConfig(str(output), sample["video/validate"], run_once=True)
    assert Evaluator(settings).run()["num_examples"] == 60
    csv = tmp_path / "out.csv"
    Inference(InferenceConfig(str(output), sample["video/test"], str(csv))).run()
    assert len(csv.read_text().splitlines()) == 21


def test_the_last_checkpoints_of_a_run_with_averages(averaged, tmp_path):
    """Averages are averaged, statistics too, and random states stay the last's."""
    average(train_dir=averaged, last=3, output_dir=tmp_path / "mean")
    found = used(tmp_path / "mean", RUN, STEPS)
    each = [used(averaged, RUN, step) for step in range(STEPS - 2, STEPS + 1)]
    assert any(value.dtype.kind != "f" for value in found.values())
    for name, value in found.items():
        values = [one[name] for one in each]
        expected = np.mean(values, 0) if value.dtype.kind == "f" else values[-1]
        np.testing.assert_allclose(value, expected, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize(
    "values, message",
    [
        ({"train_dir": ""}, "--train_dir is empty"),
        ({}, "give one of them"),
        ({"checkpoints": "model.ckpt-1", "last": 2}, "give one of them"),
        ({"checkpoints": "model.ckpt-7"}, "--checkpoints=model.ckpt-7: not in"),
        ({"checkpoints": "other/model.ckpt-1"}, "--checkpoints=other/.*: not in"),
        ({"last": 9}, "--last=9: .* has 4 checkpoints"),
        ({"last": 2, "output_dir": "."}, "--output_dir=.*: not empty"),
    ],
)
def test_mistakes_are_told(plain, tmp_path, values, message):
    values = {"train_dir": plain, "output_dir": tmp_path / "mean", **values}
    with pytest.raises(UserError, match=message):
        average(**values)
