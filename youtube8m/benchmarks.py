"""How fast the parts of a run are, beside what limits them on the same machine.

    work = Workload(BenchmarkConfig(), run, directory)      # an empty directory
    report = BENCHMARKS["train"](work)
    for figure in report.figures: print(figure.name, figure.value, figure.ratio)

A figure is the median of several measurements. Those of one report are taken in
turns, so that whatever else the machine does slows all of them alike, and each is
preceded by untimed work of the same kind, so that buffers are as full and caches as
warm as in a long run. The limits: reading the same files without decoding them, and
float32 products of large square matrices.

Shapes: [B, T, D] are batch, frames, features; L labels of a video, C classes.
"""

import dataclasses
import io
import math
import os
import resource
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow.python.framework import op_callbacks

from youtube8m import models, schema, submission
from youtube8m.config import (
    EvaluationConfig,
    InferenceConfig,
    RunConfig,
    TrainingConfig,
    flag,
    require_positive,
)
from youtube8m.data import examples
from youtube8m.data.pipeline import Shards, without_position
from youtube8m.errors import UserError
from youtube8m.evaluation import Evaluator
from youtube8m.inference import Inference
from youtube8m.metrics import Metrics, top_predictions
from youtube8m.prediction import TrainedRun
from youtube8m.progress import Progress
from youtube8m.training.steps import device_inputs
from youtube8m.training.trainer import Trainer

REQUIRED_METRICS_RATE = 25_000  # videos/s of the metrics alone

_BATCH_SIZE = {True: 128, False: 1024}  # by frame_features
_NUM_VIDEOS = {True: 512, False: 4096}
_SHARDS = 4
_LABELS = 3  # per video
_ENDLESS = 1_000_000  # epochs
_READ_BUFFER = 2 << 20  # bytes
_WARM_UP = 0.5  # untimed work before a measurement, as a share of its seconds
_WHOLE_RUN = 3  # length of a measurement that includes its start, as above
_LARGEST_SIDE = 2048  # of the matrices that are multiplied for comparison
_TOP_K = 20


@dataclasses.dataclass(frozen=True)
class BenchmarkConfig:
    """What is measured with, and for how long.

    Raises:
      UserError: a value is out of range.
    """

    data_pattern: str = flag(
        "", "Glob of labelled shards to measure with; default: made-up ones."
    )
    batch_size: int | None = flag(
        None, "Videos per batch; default 128 at frame level, 1024 at video level."
    )
    num_frames: int | None = flag(
        None, "Frames of made-up videos, at most; default --max_frames."
    )
    num_videos: int | None = flag(
        None, "Made-up videos on disk; default 512 at frame level, 4096 at video level."
    )
    num_readers: int = flag(8, "Shards read side by side in training.")
    repetitions: int = flag(3, "Measurements of each figure; the median is shown.")
    seconds: float = flag(1.0, "Length of a measurement, at least one batch.")
    precision: str = flag("float32", "As of train.py, for the training step.")
    jit_compile: bool = flag(False, "As of train.py, for the training step.")
    output_file: str = flag("", "JSON file to write the figures to.")

    def __post_init__(self):
        counts = ("batch_size", "num_frames", "num_videos", "num_readers")
        require_positive(self, *counts, "repetitions", "seconds")


@dataclasses.dataclass(frozen=True)
class Figure:
    """A measured value and, where there is one, what it could be at most."""

    name: str
    value: float
    unit: str = "videos/s"
    limit: float | None = None  # in the same unit
    limit_name: str = ""

    @property
    def ratio(self) -> float | None:
        """value / limit."""
        return None if self.limit is None else self.value / self.limit


@dataclasses.dataclass(frozen=True)
class Report:
    """The figures of a benchmark, and facts that help to read them."""

    figures: list[Figure]
    facts: dict[str, Any]


# Measuring.


def rate(action: Callable[[], int], seconds: float) -> float:
    """Units per second of `action`, which returns how many units it did.

    Repeated for `seconds` after a warm-up of half of it, at least once each.
    """
    _repeat(action, seconds * _WARM_UP)
    done, elapsed = _repeat(action, seconds)
    return done / elapsed


def _repeat(action, seconds):
    start, done, elapsed = time.perf_counter(), 0, 0.0
    while not done or elapsed < seconds:
        done += action()
        elapsed = time.perf_counter() - start
    return done, elapsed


def alternate(measures: Mapping[str, Callable], repetitions: int, title: str) -> dict:
    """The median of each measure's values, all taken in turns.

    The first round is left out: it compiles, and fills buffers.
    """
    values: dict[str, list[float]] = {name: [] for name in measures}
    turns = [name for _ in range(repetitions + 1) for name in measures]
    with Progress(title, len(turns), "measurement") as progress:
        for number, name in enumerate(turns):
            progress.update(number, name)
            values[name].append(measures[name]())
    return {name: statistics.median(found[1:]) for name, found in values.items()}


class MatrixProduct:
    """About `flops` operations in float32 products of square matrices, on the device.

    Small work is one small product; more is repeated products of 2048 x 2048.
    """

    def __init__(self, flops: int):
        side = round((flops / 2) ** (1 / 3))
        side = min(max(side, 1), _LARGEST_SIDE)
        times = max(1, round(flops / (2 * side**3)))
        self.flops = 2 * side**3 * times
        values = np.random.default_rng(0).standard_normal((2, side, side), np.float32)
        # Scaled so that repeated products neither overflow nor become denormal.
        self._matrices = [tf.constant(value / side**0.5) for value in values]
        self._times = tf.constant(times)

    def __call__(self) -> int:
        """Multiplies; returns the number of operations."""
        float(self._run(self._times, *self._matrices))
        return self.flops

    @tf.function
    def _run(self, times, x, matrix):
        for _ in tf.range(times):
            x = tf.matmul(x, matrix)
        return x[0, 0]


def count_flops(function: Callable[[], Any]) -> int:
    """Operations in the matrix products that `function` runs eagerly.

    A product [m, k] [k, n] is 2 m k n operations. Counted as they are executed, so
    that loops count as often as they turn. All else, convolutions too, is left out.
    """
    total = 0

    def add(kind, inputs, attributes, outputs, op_name=None, graph=None):
        nonlocal total
        attributes = dict(zip(attributes[::2], attributes[1::2], strict=True))
        shapes = [[x.shape.as_list() for x in xs] for xs in (inputs, outputs)]
        total += operation_flops(kind, attributes, *shapes)

    op_callbacks.add_op_callback(add)
    try:
        function()
    finally:
        op_callbacks.remove_op_callback(add)
    return total


def operation_flops(kind: str, attributes: Mapping, inputs, outputs) -> int:
    """Operations of one TensorFlow operation, by the shapes of its tensors.

    Returns:
      0 for all but matrix products and cuDNN's recurrent layers (whose parameters
      [P] are used once for each video and frame of [T, B, D]).
    """
    if kind in ("MatMul", "BatchMatMul", "BatchMatMulV2", "BatchMatMulV3"):
        turned = attributes.get("transpose_a") or attributes.get("adj_x")
        return 2 * math.prod(outputs[0]) * inputs[0][-2 if turned else -1]
    if kind == "Einsum":
        equation = attributes["equation"]
        if isinstance(equation, bytes):
            equation = equation.decode()
        return 2 * math.prod(outputs[0]) * _contracted(equation, inputs)
    passes = {"CudnnRNNV3": 1, "CudnnRNNBackpropV3": 2}.get(kind, 0)
    return passes and 2 * passes * math.prod(inputs[0][:2]) * inputs[3][0]


def _contracted(equation, shapes):
    """The product of the sizes that an einsum sums over."""
    terms, result = equation.split("->")
    sizes: dict[str, int] = {}
    for term, shape in zip(terms.split(","), shapes, strict=True):
        rest = len(shape) - len(term.replace("...", ""))
        sizes.update(zip(term.replace("...", "." * rest), shape, strict=True))
    return math.prod(size for name, size in sizes.items() if name not in result + ".")


def forward_flops(model, batch: dict) -> int:
    """Operations of the predictions for a batch."""
    return count_flops(lambda: model(batch, training=False))


def training_flops(model, batch: dict) -> int:
    """Operations of the predictions and of the gradients of all weights.

    Less than three times the forward pass where a layer's input needs no gradient.
    """

    def step():
        with tf.GradientTape() as tape:
            predictions = model(batch, training=True)["predictions"]
        tape.gradient(predictions, model.trainable_variables)

    return count_flops(step)


def peak_memory() -> dict[str, float]:
    """The most memory ever held, in MiB: the process', and the first GPU's."""
    unit = 1 if sys.platform == "darwin" else 1024  # of ru_maxrss, in bytes
    used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
    peaks = {"peak memory": used / 2**20}
    if tf.config.list_logical_devices("GPU"):
        peak = tf.config.experimental.get_memory_info("GPU:0")["peak"]
        peaks["peak GPU memory"] = peak / 2**20
    return peaks


# What is measured with.


class Workload:
    """Records on disk, batches in memory and a model.

    Args:
      directory: where made-up records and the run of an untrained model go.

    Raises:
      UserError: values that do not fit together, or files that cannot be used.
    """

    def __init__(self, config: BenchmarkConfig, run: RunConfig, directory: str):
        self.config, self.run, self.directory = config, run, directory
        self.num_frames = config.num_frames or run.data.max_frames
        self._check()
        frames = run.data.frame_features
        self.batch_size = config.batch_size or _BATCH_SIZE[frames]
        self.num_videos = config.num_videos or _NUM_VIDEOS[frames]
        self.pattern = config.data_pattern or self._write_records()
        self.shards = Shards.open(self.pattern, "--data_pattern", run.data)

    def _check(self):
        if self.num_frames > self.run.data.max_frames:
            raise UserError(
                f"--num_frames={self.num_frames}: more than "
                f"--max_frames={self.run.data.max_frames}; raise that as well"
            )

        if models.parts(self.run.model).classifier is None:
            raise UserError(
                f"--model={self.run.model.model}: predicts no labels, and only models "
                "that do can be measured; name another"
            )

    def alternate(self, measures: Mapping[str, Callable]) -> dict[str, float]:
        """Medians of the measures, by the configured repetitions."""
        return alternate(measures, self.config.repetitions, "measuring")

    def rate(self, action: Callable[[], int]) -> Callable[[], float]:
        """A measure: the rate of `action`, over the configured seconds."""
        return lambda: rate(action, self.config.seconds)

    def _write_records(self):
        """Shards of random bytes; returns their glob."""
        rng = np.random.default_rng(0)
        counts = np.diff(np.linspace(0, self.num_videos, _SHARDS + 1).astype(int))
        with Progress("writing records", self.num_videos) as progress:
            for shard, count in enumerate(counts):
                path = os.path.join(self.directory, f"records{shard}.tfrecord")
                examples.write_records(path, self._examples(rng, count))
                progress.update(int(counts[: shard + 1].sum()))
        return os.path.join(self.directory, "records*.tfrecord")

    def _examples(self, rng, count):
        data = self.run.data
        sizes = dict(zip(data.feature_names, data.feature_sizes, strict=True))
        shortest = math.ceil(0.4 * self.num_frames)  # 120 of 300, as in YouTube-8M
        for number in range(count):
            labels = rng.integers(data.num_classes, size=_LABELS)
            name = f"{number:04d}"
            if data.frame_features:
                frames = rng.integers(shortest, self.num_frames + 1)
                features = {k: _bytes(rng, frames, d) for k, d in sizes.items()}
                yield examples.frame_example(name, labels, features)
            else:
                features = {k: rng.standard_normal(d) for k, d in sizes.items()}
                yield examples.video_example(name, labels, features)

    def batch(self, size: int) -> dict[str, tf.Tensor]:
        """Random videos in memory: `labels` and what the model takes."""
        rng, data = np.random.default_rng(0), self.run.data
        labels = rng.integers(data.num_classes, size=(size, _LABELS), dtype=np.int32)
        values = {"labels": labels}
        if data.frame_features:
            length = min(self.num_frames, data.longest_example)
            frames = _bytes(rng, size, length, data.feature_size)
            if data.released_crops:  # which come dequantised
                frames = frames.astype(np.float32)
            lengths = np.full(size, length, np.int32)
            values |= {"frames": frames, "num_frames": lengths}
        else:
            shape = (size, data.feature_size)
            values |= {"features": rng.standard_normal(shape, np.float32)}
        return {name: tf.constant(value) for name, value in values.items()}

    def flops(self, count: Callable, model) -> int:
        """Operations for one video by `forward_flops` or `training_flops`."""
        batch = self.batch(1)
        batch.pop("labels")
        return count(model, batch)

    def raw_reading(self, num_readers: int) -> Callable[[], float]:
        """A measure: serialised videos/s, as fast as tf.data reads them."""
        dataset = tf.data.TFRecordDataset(
            self.shards.paths,
            buffer_size=_READ_BUFFER,
            num_parallel_reads=num_readers if num_readers > 1 else None,
        )
        batches = iter(dataset.repeat().batch(self.batch_size).prefetch(2))
        return self.rate(lambda: len(next(batches)))

    def ordered_batches(self) -> Iterator[dict]:
        """Batches in the order of the files, without end."""
        many = _repeated(self.shards, -(-_ENDLESS // self.shards.estimated_records))
        while True:
            yield from many.iterate(many.ordered_batches(self.batch_size))

    def training_batches(self) -> Iterator[dict]:
        """Shuffled batches without end."""
        readers = self.config.num_readers
        return self.shards.iterate(
            self.shards.training_batches(
                self.batch_size, seed=0, num_epochs=_ENDLESS, num_readers=readers
            )
        )

    def trainer(self) -> Trainer:
        """A trainer of the model, for its step and for a checkpoint."""
        config = TrainingConfig(
            train_dir=os.path.join(self.directory, "run"),
            train_data_pattern=self.pattern,
            batch_size=self.batch_size,
            precision=self.config.precision,
            jit_compile=self.config.jit_compile,
        )
        return Trainer(self.run, config)

    def evaluator(self) -> Evaluator:
        """An evaluator of the checkpoint that a trainer saved."""
        train_dir = os.path.join(self.directory, "run")
        return Evaluator(
            EvaluationConfig(train_dir, self.pattern, batch_size=self.batch_size)
        )

    def inference(self) -> Inference:
        """Inference with that checkpoint, to a file in the directory."""
        train_dir = os.path.join(self.directory, "run")
        output = os.path.join(self.directory, "predictions.csv")
        return Inference(
            InferenceConfig(train_dir, self.pattern, output, batch_size=self.batch_size)
        )

    def whole_runs(self, command, run: Callable[[], int]) -> Callable[[], float]:
        """A measure: videos/s of `run`, which reads all of `command.shards`.

        Reads the files as often as fills three times the configured seconds, because
        the start of a run is measured too.
        """
        run()  # compiles
        _, elapsed = _repeat(run, 0)
        times = math.ceil(_WHOLE_RUN * self.config.seconds / elapsed)
        command.shards = _repeated(command.shards, times)

        def measure():
            done, elapsed = _repeat(run, 0)
            return done / elapsed

        return measure


def _bytes(rng, *shape):
    return rng.integers(0, 256, shape, np.uint8)


def _repeated(shards: Shards, times: int) -> Shards:
    """The same files, named `times` times."""
    return dataclasses.replace(
        shards, paths=shards.paths * times, file_bytes=shards.file_bytes * times
    )


# The benchmarks.


def input_benchmark(work: Workload) -> Report:
    """Decoded, batched videos/s against reading the same files raw."""
    ordered, shuffled = work.ordered_batches(), work.training_batches()
    readers = work.config.num_readers
    medians = work.alternate(
        {
            "raw": work.raw_reading(1),
            "ordered": work.rate(lambda: len(next(ordered)["id"])),
            "raw side by side": work.raw_reading(readers),
            "training": work.rate(lambda: len(next(shuffled)["id"])),
        }
    )
    figures = [
        _against(medians, "ordered batches", "ordered", "raw", "raw, 1 reader"),
        _against(
            medians,
            "training batches",
            "training",
            "raw side by side",
            f"raw, {readers} readers",
        ),
    ]
    return Report(
        figures + _memory_figures(), {"record_bytes": work.shards.record_bytes}
    )


def _against(medians, name, key, limit, limit_name):
    return Figure(name, medians[key], "videos/s", medians[limit], limit_name)


def train_benchmark(work: Workload) -> Report:
    """The training step alone and fed with records, against the matrix product."""
    trainer = work.trainer()
    batch, stream = work.batch(work.batch_size), work.training_batches()
    flops = work.flops(training_flops, trainer.state.model)

    def step_on(batch):
        _, shares = trainer.placed(device_inputs(batch))
        float(trainer.step(shares)["loss"])
        return len(batch["labels"])

    medians = work.alternate(
        {
            "product": work.rate(MatrixProduct(flops * work.batch_size)),
            "step": work.rate(lambda: step_on(batch)),
            "fed": work.rate(lambda: step_on(without_position(next(stream)))),
            "input": work.rate(lambda: len(next(stream)["id"])),
        }
    )
    return _train_report(medians, flops)


def _train_report(medians, flops):
    figures = [
        _of_product("step alone", medians["step"], medians["product"], flops),
        *_arithmetic("step", medians["step"], medians["product"], flops),
        _against(medians, "step with input", "fed", "step", "step alone"),
        Figure("input alone", medians["input"]),
        *_memory_figures(),
    ]
    bound = "input" if medians["input"] < medians["step"] else "compute"
    return Report(figures, {"flops_per_video": flops, "bound_by": bound})


def _of_product(name, value, product, flops):
    """A figure in videos/s against what the product's FLOP/s would allow."""
    return Figure(name, value, "videos/s", product / flops, "matrix product")


def _arithmetic(name, value, product, flops):
    """The same in GFLOP/s."""
    achieved = value * flops / 1e9
    return [Figure(name, achieved, "GFLOP/s", product / 1e9, "matrix product")]


def _memory_figures():
    return [Figure(name, value, "MiB") for name, value in peak_memory().items()]


def evaluate_benchmark(work: Workload) -> Report:
    """Whole evaluations, predictions with metrics in memory, and metrics alone."""
    prefix = work.trainer().saver.save()
    evaluator, stream = work.evaluator(), work.ordered_batches()
    trained, batch = evaluator.trained, work.batch(work.batch_size)
    flops = work.flops(forward_flops, trained.model)
    medians = work.alternate(
        {
            "product": work.rate(MatrixProduct(flops * work.batch_size)),
            "whole": work.whole_runs(
                evaluator, lambda: evaluator.evaluate(prefix)["num_examples"]
            ),
            "input": work.rate(lambda: len(next(stream)["id"])),
            "memory": work.rate(_predict_and_measure(work, trained, batch)),
            "metrics": work.rate(_metrics_alone()),
        }
    )
    product = medians["product"]
    figures = [
        _of_product("evaluation with input", medians["whole"], product, flops),
        _of_product("predictions + metrics", medians["memory"], product, flops),
        *_arithmetic("predictions + metrics", medians["memory"], product, flops),
        Figure(
            "metrics alone (batch 1024, 3862 classes)",
            medians["metrics"],
            limit=REQUIRED_METRICS_RATE,
            limit_name="required",
        ),
        Figure("input alone", medians["input"]),
    ]
    return Report(figures + _memory_figures(), {"flops_per_video": flops})


def _predict_and_measure(work, trained: TrainedRun, batch):
    num_classes = work.run.data.num_classes
    measure = _metrics_of(batch["labels"], num_classes)
    return lambda: measure(trained.predict(batch)["predictions"])


def _metrics_of(labels, num_classes):
    """A function of predictions [B, C] that computes their metrics; returns B."""
    top = tf.function(lambda values: top_predictions(values, labels, _TOP_K))

    def measure(predictions):
        Metrics(num_classes, _TOP_K).update(top(predictions), labels)
        return len(labels)

    return measure


def _metrics_alone():
    rng, shape = np.random.default_rng(0), (1024, schema.NUM_CLASSES_2018)
    predictions = tf.constant(rng.random(shape, np.float32))
    labels = rng.integers(shape[1], size=(shape[0], _LABELS), dtype=np.int32)
    measure = _metrics_of(tf.constant(labels), shape[1])
    return lambda: measure(predictions)


def inference_benchmark(work: Workload) -> Report:
    """Records to a CSV file, against reading them raw and the matrix product."""
    work.trainer().saver.save()
    inference, stream = work.inference(), work.ordered_batches()
    trained, batch = inference.trained, work.batch(work.batch_size)
    flops = work.flops(forward_flops, trained.model)

    def predict():
        return len(trained.predict(batch)["predictions"].numpy())

    medians = work.alternate(
        {
            "product": work.rate(MatrixProduct(flops * work.batch_size)),
            "raw": work.raw_reading(1),
            "whole": work.whole_runs(inference, inference.run),
            "input": work.rate(lambda: len(next(stream)["id"])),
            "predictions": work.rate(predict),
            "lines": work.rate(_csv_lines(work.run.data.num_classes)),
        }
    )
    product = medians["product"]
    figures = [
        _against(medians, "inference to CSV", "whole", "raw", "raw, 1 reader"),
        _of_product("inference to CSV", medians["whole"], product, flops),
        _of_product("predictions alone", medians["predictions"], product, flops),
        *_arithmetic("predictions alone", medians["predictions"], product, flops),
        Figure("input alone", medians["input"]),
        Figure("CSV lines alone", medians["lines"]),
    ]
    return Report(figures + _memory_figures(), {"flops_per_video": flops})


def _csv_lines(num_classes, count=256):
    rng = np.random.default_rng(0)
    classes = rng.integers(num_classes, size=(count, _TOP_K))
    scores = rng.random((count, _TOP_K), np.float32)

    def write():
        file = io.StringIO()
        for row in zip(classes, scores, strict=True):
            file.write(submission.video_line("aAbc", *row))
        return count

    return write


BENCHMARKS = {
    "input": input_benchmark,
    "train": train_benchmark,
    "evaluate": evaluate_benchmark,
    "inference": inference_benchmark,
}
