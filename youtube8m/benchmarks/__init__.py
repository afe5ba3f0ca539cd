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

import numpy as np
import tensorflow as tf

from youtube8m import schema
from youtube8m.benchmarks.flops import forward_flops, training_flops
from youtube8m.benchmarks.measuring import Figure, Report, peak_memory
from youtube8m.benchmarks.workload import LABELS, BenchmarkConfig, Workload
from youtube8m.data.reading.batch import device_inputs, without_position
from youtube8m.metrics import Metrics, top_predictions
from youtube8m.prediction.video_rows import format_rows

__all__ = ["BENCHMARKS", "BenchmarkConfig", "Figure", "Report", "Workload"]

_TOP_K = 20
_METRICS_SHAPE = (1024, schema.NUM_CLASSES_2018)
_METRICS_ALONE = "metrics alone (batch 1024, 3862 classes)"
_CSV_LINES = 512  # as many as a batch has


def input_benchmark(work: Workload) -> Report:
    """Decoded, batched videos/s against reading the same files raw or by tf.data."""
    readers = work.config.num_readers
    measures = {
        "raw": work.raw_reading(1),
        "ordered": work.reading(work.ordered_batches()),
        "raw side by side": work.raw_reading(readers),
        "training": work.reading(work.training_batches()),
    }
    for measure in measures.values():
        measure()
    memory = _measure_memory(work)  # before the plain pipeline takes more
    comparable = not work.run.data.released_crops  # which tf.data does not make
    if comparable:
        measures["plain"] = work.reading(work.training_batches("tfrecord"))
    medians = work.alternate(measures)
    raw = "raw side by side", f"raw, {readers} readers"
    figures = [
        _compare(medians, "ordered batches", "ordered", "raw", "raw, 1 reader"),
        _compare(medians, "training batches", "training", *raw),
    ]
    if comparable:
        figures += [
            _compare(medians, "training batches", "training", "plain", "plain tf.data"),
            _compare(medians, "plain tf.data", "plain", *raw),
        ]
    return Report(figures + memory, {"record_bytes": work.shards.record_bytes})


def _compare(medians, name, key, limit, limit_name):
    return Figure(name, medians[key], "videos/s", medians[limit], limit_name)


def _compare_product(medians, name, key, flops, unit="videos/s"):
    """A figure against what the matrix product allows, in videos/s or GFLOP/s."""
    scale = flops / 1e9 if unit == "GFLOP/s" else 1
    limit = medians["product"] / flops
    return Figure(name, medians[key] * scale, unit, limit * scale, "matrix product")


def _measure_memory(work):
    """Peak memory, and what of it the libraries alone take: the higher, the better."""
    peaks = [Figure(name, value, "MiB") for name, value in peak_memory().items()]
    libraries, peak = work.memory_of_libraries, peaks[0].value
    return [*peaks, Figure("libraries alone", libraries, "MiB", peak, "peak memory")]


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
            "product": work.product(flops),
            "step": work.rate(lambda: step_on(batch)),
            "fed": work.rate(lambda: step_on(without_position(next(stream)))),
            "input": work.reading(stream),
        }
    )
    figures = [
        _compare_product(medians, "step alone", "step", flops),
        _compare_product(medians, "step", "step", flops, "GFLOP/s"),
        _compare(medians, "step with input", "fed", "step", "step alone"),
        Figure("input alone", medians["input"]),
        *_measure_memory(work),
    ]
    bound = "input" if medians["input"] < medians["step"] else "compute"
    return Report(figures, {"flops_per_video": flops, "bound_by": bound})


def evaluate_benchmark(work: Workload) -> Report:
    """Whole evaluations, predictions with metrics in memory, and metrics alone."""
    prefix = work.trainer().saver.save()
    evaluator = work.evaluator()
    trained, batch = evaluator.trained, work.batch(work.batch_size)
    flops = work.flops(forward_flops, trained.model)
    measure = _metrics_of(batch["labels"], work.run.data.num_classes)
    medians = work.alternate(
        {
            "product": work.product(flops),
            "whole": work.whole_runs(
                evaluator, lambda: evaluator.evaluate(prefix)["num_examples"]
            ),
            "input": work.reading(work.ordered_batches()),
            "memory": work.rate(lambda: measure(trained.predict(batch)["predictions"])),
            **_metrics_alone(work),
        }
    )
    figures = [
        _compare_product(medians, "evaluation with input", "whole", flops),
        _compare_product(medians, "predictions + metrics", "memory", flops),
        _compare_product(medians, "predictions + metrics", "memory", flops, "GFLOP/s"),
        _compare(medians, _METRICS_ALONE, "metrics", "sort", "top 20 by numpy"),
        Figure("input alone", medians["input"]),
    ]
    return Report(figures + _measure_memory(work), {"flops_per_video": flops})


def _metrics_of(labels, num_classes):
    """A function of predictions [B, C] that computes their metrics; returns B."""
    top = tf.function(lambda values: top_predictions(values, labels, _TOP_K))

    def measure(predictions):
        Metrics(num_classes, _TOP_K).update(top(predictions), labels)
        return len(labels)

    return measure


def _metrics_alone(work):
    """Measures of metrics, and of what they always need: numpy's choice of the best."""
    rng, (videos, classes) = np.random.default_rng(0), _METRICS_SHAPE
    predictions = rng.random(_METRICS_SHAPE, np.float32)
    on_device = tf.constant(predictions)
    labels = rng.integers(classes, size=(videos, LABELS), dtype=np.int32)
    measure = _metrics_of(tf.constant(labels), classes)
    return {
        "metrics": work.rate(lambda: measure(on_device)),
        "sort": work.rate(lambda: len(np.argpartition(predictions, -_TOP_K, axis=1))),
    }


def inference_benchmark(work: Workload) -> Report:
    """Records to a CSV file, against reading them raw and the matrix product."""
    work.trainer().saver.save()
    inference = work.inference()
    trained, batch = inference.trained, work.batch(work.batch_size)
    flops = work.flops(forward_flops, trained.model)
    medians = work.alternate(
        {
            "product": work.product(flops),
            "raw": work.raw_reading(1),
            "whole": work.whole_runs(inference, inference.run),
            "input": work.reading(work.ordered_batches()),
            "predictions": work.rate(
                lambda: len(trained.predict(batch)["predictions"].numpy())
            ),
            "lines": work.rate(_csv_lines(work.run.data.num_classes)),
        }
    )
    figures = [
        _compare(medians, "inference to CSV", "whole", "raw", "raw, 1 reader"),
        _compare_product(medians, "inference to CSV", "whole", flops),
        _compare_product(medians, "predictions alone", "predictions", flops),
        _compare_product(medians, "predictions alone", "predictions", flops, "GFLOP/s"),
        Figure("input alone", medians["input"]),
        Figure("CSV lines alone", medians["lines"]),
    ]
    return Report(figures + _measure_memory(work), {"flops_per_video": flops})


def _csv_lines(num_classes):
    rng = np.random.default_rng(0)
    classes = rng.integers(num_classes, size=(_CSV_LINES, _TOP_K))
    scores = rng.random((_CSV_LINES, _TOP_K), np.float32)
    ids, listed = [b"aAbc"] * _CSV_LINES, np.ones((_CSV_LINES, _TOP_K), bool)
    return lambda: format_rows(ids, classes, scores, listed).count(b"\n")


def inspection_benchmark(work: Workload) -> Report:
    """Records/s of processor time of an inspection, against reading the files raw.

    Each measurement is of all files, from their first byte to their last.
    """
    medians = work.alternate(
        {
            "raw": work.processor_rate(work.read_raw),
            "inspection": work.processor_rate(work.inspect),
        }
    )
    figure = Figure(
        "inspection, of CPU time",
        medians["inspection"],
        "records/s",
        medians["raw"],
        "raw, 1 reader",
    )
    return Report([figure], {"record_bytes": work.shards.record_bytes})


BENCHMARKS = {
    "input": input_benchmark,
    "train": train_benchmark,
    "evaluate": evaluate_benchmark,
    "inference": inference_benchmark,
    "inspect_data": inspection_benchmark,
}
