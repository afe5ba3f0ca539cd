"""The benchmark command on tiny sizes: its figures, its files, its errors."""

import json
import math

import pytest
import tensorflow as tf

from tests.helpers import processes
from youtube8m import benchmarks, models
from youtube8m.benchmarks import flops, measuring
from youtube8m.config import DataConfig, ModelConfig, RunConfig
from youtube8m.errors import UserError

TINY = ("--seconds=0.01", "--repetitions=1", "--num_videos=24", "--batch_size=8")
TINY += ("--num_classes=12", "--feature_sizes=24,8", "--num_frames=10")
FRAMES = ("--frame_features", "--feature_names=rgb,audio")
VIDEOS = ("--feature_names=mean_rgb,mean_audio",)
LSTM = ("--model=LstmModel", "--lstm_cells=4", "--lstm_layers=1")


def benchmark(*arguments, status=0):
    command = ("-m", "youtube8m.tools.benchmark", *arguments)
    return processes.forked(*command, status=status)


def run_config(frame_features=False, **model):
    names = ("rgb", "audio") if frame_features else ("mean_rgb", "mean_audio")
    data = DataConfig(names, (24, 8), frame_features, num_classes=12, max_frames=10)
    return RunConfig(data, ModelConfig(**model))


class TestCommand:
    @pytest.mark.parametrize(
        "arguments, figures",
        [
            (
                ("input", *FRAMES),
                {"ordered batches", "training batches", "plain tf.data"},
            ),
            pytest.param(
                ("input", *FRAMES, "--frame_sampling=crop"),
                {"ordered batches", "training batches"},
                marks=pytest.mark.slow,
            ),
            pytest.param(
                ("train", *FRAMES, *LSTM),
                {"step alone", "step with input"},
                marks=pytest.mark.slow,
            ),
            pytest.param(
                ("train", *VIDEOS, "--jit_compile", "--precision=mixed_bfloat16"),
                {"step alone", "step with input"},
                marks=pytest.mark.slow,
            ),
            pytest.param(
                ("evaluate", *VIDEOS),
                {"evaluation with input", "predictions + metrics"},
                marks=pytest.mark.slow,
            ),
            (("inference", *VIDEOS), {"inference to CSV", "predictions alone"}),
        ],
        ids=lambda value: value[0] if isinstance(value, tuple) else "",
    )
    def test_measures_and_writes_figures(self, tmp_path, arguments, figures):
        output = tmp_path / "figures.json"
        done = benchmark(*arguments, *TINY, f"--output_file={output}")
        report = json.loads(output.read_text())
        assert report["benchmark"] == arguments[0]
        assert report["settings"]["batch_size"] == 8
        check_figures(report["figures"], figures)
        for name in figures:
            assert name in done.stdout

    @pytest.mark.slow
    def test_extraction(self, tmp_path):
        output = tmp_path / "figures.json"
        sizes = ("--clip_seconds=2", "--clip_height=36", "--num_videos=10", "--noaudio")
        benchmark("extract", *TINY[:2], *sizes, f"--output_file={output}")
        report = json.loads(output.read_text())
        check_figures(report["figures"], {"memory, a tenth"})
        stages = {f["limit_name"] for f in report["figures"] if f["name"] == "whole"}
        assert stages == {
            "decoding alone",
            "resizing alone",
            "network alone",
            "record alone",
            "stages in turn",
        }
        assert report["clips"] == 10 and report["settings"]["clip_height"] == 36

    def test_unknown_sub_command_is_one_line(self):
        done = benchmark("inptu", status=1)
        assert done.stderr == (
            "error: sub-command: there is no 'inptu'; did you mean input?\n"
        )


class TestWorkload:
    def test_measures_files_of_the_user(self, sample, tmp_path):
        config = benchmarks.BenchmarkConfig(
            data_pattern=sample["video/train"],
            batch_size=8,
            repetitions=1,
            seconds=0.01,
        )
        work = benchmarks.Workload(config, run_config(), str(tmp_path))
        report = benchmarks.BENCHMARKS["train"](work)
        assert report.facts["bound_by"] in ("input", "compute")
        assert report.facts["flops_per_video"] == 2 * 2 * 32 * 12
        assert all(0 < figure.value < math.inf for figure in report.figures)
        assert not list(tmp_path.glob("*.tfrecord"))

    @pytest.mark.parametrize(
        "values, words",
        [
            ({"repetitions": 0}, "--repetitions=0: must be greater than 0"),
            ({"seconds": -1.0}, "--seconds=-1.0: must be greater than 0"),
            ({"num_frames": 11}, "--num_frames=11: more than --max_frames=10"),
            ({"data_pattern": "/no/such*"}, "--data_pattern=/no/such"),
        ],
    )
    def test_mistakes_name_the_flag(self, tmp_path, values, words):
        with pytest.raises(UserError, match=words):
            config = benchmarks.BenchmarkConfig(**values)
            benchmarks.Workload(config, run_config(), str(tmp_path))


def check_figures(figures, expected):
    by_name = {figure["name"]: figure for figure in figures}
    assert expected < by_name.keys()
    for figure in figures:
        assert 0 < figure["value"] < math.inf, figure
        assert figure["ratio"] is None or 0 < figure["ratio"] < math.inf, figure
    for name in expected:
        assert by_name[name]["ratio"] == by_name[name]["value"] / by_name[name]["limit"]


class TestFlops:
    def test_products_by_their_shapes(self):
        a, b = tf.ones((2, 3, 5)), tf.ones((2, 5, 7))
        matrix = tf.ones((5, 3))
        assert flops.count_flops(lambda: tf.matmul(a, b)) == 2 * 2 * 3 * 5 * 7
        transposed = flops.count_flops(
            lambda: tf.matmul(matrix, a[0], transpose_a=True, transpose_b=True)
        )
        assert transposed == 2 * 3 * 5 * 3

    @pytest.mark.parametrize(
        "equation, shapes, result, expected",
        [
            ("ab,bc->ac", [[3, 5], [5, 7]], [3, 7], 2 * 3 * 5 * 7),
            ("...b,bc->...c", [[2, 3, 5], [5, 7]], [2, 3, 7], 2 * 2 * 3 * 5 * 7),
            ("abc,abd->cd", [[2, 3, 5], [2, 3, 7]], [5, 7], 2 * 2 * 3 * 5 * 7),
        ],
    )
    def test_einsum(self, equation, shapes, result, expected):
        found = flops.operation_flops(
            "Einsum", {"equation": equation.encode()}, shapes, [result]
        )
        assert found == expected

    def test_cudnn_uses_each_parameter_once_per_frame(self):
        shapes = [[300, 8, 5], [1, 8, 4], [1, 8, 4], [176]]
        forward = flops.operation_flops("CudnnRNNV3", {}, shapes, [])
        backward = flops.operation_flops("CudnnRNNBackpropV3", {}, shapes, [])
        assert (forward, backward) == (2 * 300 * 8 * 176, 4 * 300 * 8 * 176)

    def test_logistic_model_needs_no_gradient_of_its_input(self):
        run = run_config(model="LogisticModel")
        model, batch = models.create(run), models.dummy_batch(run.data)
        forward = 2 * 32 * 12
        assert flops.forward_flops(model, batch) == forward
        assert flops.training_flops(model, batch) == 2 * forward

    def test_lstm_counts_every_frame(self):
        options = {"lstm_cells": 4, "lstm_layers": 1}
        run = run_config(
            True,
            model="LstmModel",
            video_level_classifier_model="LogisticModel",
            hyperparameters=options,
        )
        model = models.create(run)
        batch = models.dummy_batch(run.data, frames=10)
        frame, video = 2 * (32 + 4) * 4 * 4, 2 * 4 * 12
        assert flops.forward_flops(model, batch) >= 10 * frame + video
        assert flops.forward_flops(model, batch) <= 11 * frame + video


def test_matrix_product_does_about_the_work_asked_for():
    for count in (1, 1000, 3 * 10**9):
        product = measuring.MatrixProduct(count)
        assert product() == product.flops
        assert 0.5 < product.flops / count < 2 or count == 1


def test_alternate_takes_turns_and_drops_the_first_round():
    calls = []
    values = {"a": iter([100.0, 1.0, 5.0, 3.0]), "b": iter([100.0, 2.0, 2.0, 2.0])}

    def measure(name):
        calls.append(name)
        return next(values[name])

    measures = {"a": lambda: measure("a"), "b": lambda: measure("b")}
    assert measuring.alternate(measures, 3, "testing") == {"a": 3.0, "b": 2.0}
    assert calls == ["a", "b"] * 4
