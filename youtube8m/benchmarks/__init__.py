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

import io

import numpy as np
import tensorflow as tf

from youtube8m import schema
from youtube8m.benchmarks.flops import forward_flops, training_flops
from youtube8m.benchmarks.measuring import Figure, MatrixProduct, Report, peak_memory
from youtube8m.benchmarks.workload import LABELS, BenchmarkConfig, Workload
from youtube8m.data.reading.batch import device_inputs, without_position
from youtube8m.metrics import Metrics, top_predictions
from youtube8m.prediction import submission
from youtube8m.prediction.predictor import TrainedRun

__all__ = ["BENCHMARKS", "BenchmarkConfig", "Figure", "Report", "Workload"]

_TOP_K = 20
_METRICS_SHAPE = (1024, schema.NUM_CLASSES_2018)
_METRICS_ALONE = "metrics alone (batch 1024, 3862 classes)"


def input_benchmark(work: Workload) -> Report:
    """Decoded, batched videos/s against reading the same files raw or by tf.data."""
    ordered, shuffled = work.ordered_batches(), work.training_batches()
    readers = work.config.num_readers
    measures = {
        "raw": work.raw_reading(1),
        "ordered": work.rate(lambda: len(next(ordered)["id"])),
        "raw side by side": work.raw_reading(readers),
        "training": work.rate(lambda: len(next(shuffled)["id"])),
    }
    for measure in measures.values():
        measure()
    memory = _memory_figures(work)  # before the plain pipeline takes more
    comparable = not work.run.data.released_crops  # which tf.data does not make
    if comparable:
        plain = work.training_batches("tfrecord")
        measures["plain"] = work.rate(lambda: len(next(plain)["id"]))
    medians = work.alternate(measures)
    raw = "raw side by side", f"raw, {readers} readers"
    figures = [
        _against(medians, "ordered batches", "ordered", "raw", "raw, 1 reader"),
        _against(medians, "training batches", "training", *raw),
    ]
    if comparable:
        figures += [
            _against(medians, "training batches", "training", "plain", "plain tf.data"),
            _against(medians, "plain tf.data", "plain", *raw),
        ]
    return Report(figures + memory, {"record_bytes": work.shards.record_bytes})


def _against(medians, name, key, limit, limit_name):
    return Figure(name, medians[key], "videos/s", medians[limit], limit_name)


def train_benchmark(work: Workload) -> Report:
    """The training step alone and fed with records, against the matrix product."""
    trainer = work.trainer()
    batch, stream = work.batch(work.batch_size), work.training_batches()
    flops = work.flops(training_flops, trainer.state.model)

    def step_on(batch):
        _, shares = trainer.distribute(device_inputs(batch))
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
    return _train_report(work, medians, flops)


def _train_report(work, medians, flops):
    figures = [
        _of_product("step alone", medians["step"], medians["product"], flops),
        *_arithmetic("step", medians["step"], medians["product"], flops),
        _against(medians, "step with input", "fed", "step", "step alone"),
        Figure("input alone", medians["input"]),
        *_memory_figures(work),
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


def _memory_figures(work):
    """Peak memory, and what of it the libraries alone take: the higher, the better."""
    peaks = [Figure(name, value, "MiB") for name, value in peak_memory().items()]
    libraries = work.memory_of_libraries
    return [
        *peaks,
        Figure("libraries alone", libraries, "MiB", peaks[0].value, "peak memory"),
    ]


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
            "sort": work.rate(_numpy_top()),
        }
    )
    product = medians["product"]
    figures = [
        _of_product("evaluation with input", medians["whole"], product, flops),
        _of_product("predictions + metrics", medians["memory"], product, flops),
        *_arithmetic("predictions + metrics", medians["memory"], product, flops),
        _against(medians, _METRICS_ALONE, "metrics", "sort", "top 20 by numpy"),
        Figure("input alone", medians["input"]),
    ]
    return Report(figures + _memory_figures(work), {"flops_per_video": flops})


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


def _numpy_top():
    """numpy's choice of the highest predictions, which metrics cannot do without."""
    predictions = np.random.default_rng(0).random(_METRICS_SHAPE, np.float32)
    return lambda: len(np.argpartition(predictions, -_TOP_K, axis=1))


def _metrics_alone():
    rng, shape = np.random.default_rng(0), _METRICS_SHAPE
    predictions = tf.constant(rng.random(shape, np.float32))
    labels = rng.integers(shape[1], size=(shape[0], LABELS), dtype=np.int32)
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
    return Report(figures + _memory_figures(work), {"flops_per_video": flops})


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
