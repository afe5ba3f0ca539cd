"""Simulated evaluations, whose truth is known, and what reports make of them.

    python -m tests.helpers.simulated coverage --sets=500   # do intervals cover it?
    python -m tests.helpers.simulated scale                 # 100,000 videos

A video has label c with the probability p_c that the model predicts, so the model is
calibrated. Labels of a video are drawn independently.
"""

import argparse
import os
import resource
import tempfile
import time

import numpy as np

from youtube8m.metrics import Metrics
from youtube8m.reports import statistics
from youtube8m.reports.statistics import Collector


def batch(rng, num_videos, num_classes, labels_per_video=3.0, exponent=1.0):
    """Predictions float32 [B, C] and labels [B, L] of some videos."""
    frequency = np.arange(1, num_classes + 1.0) ** -exponent
    mean = np.log(labels_per_video * frequency / frequency.sum())
    noise = rng.standard_normal((num_videos, num_classes), np.float32)
    logits = np.float32(2.0) * noise + (mean - 2.0).astype(np.float32)
    predictions = 1 / (1 + np.exp(-logits))
    present = rng.random(predictions.shape, np.float32) < predictions
    count = present.sum(axis=1)
    labels = np.full((num_videos, max(1, count.max(initial=0))), -1, np.int32)
    rows, classes = np.nonzero(present)
    labels[rows, np.arange(len(rows)) - np.repeat(np.cumsum(count) - count, count)] = (
        classes
    )
    return predictions, labels


def top(predictions, labels, k):
    """`metrics.top_predictions` in numpy alone, which is quicker for small arrays."""
    k = min(predictions.shape[1], max(k, labels.shape[1]))
    best = np.argpartition(-predictions, k - 1, axis=1)[:, :k]
    scores = np.take_along_axis(predictions, best, 1)
    order = np.argsort(-scores, axis=1, kind="stable")
    classes = np.take_along_axis(best, order, 1).astype(np.int32)
    hits = (classes[:, :, None] == labels[:, None, :]).any(-1)
    scores = np.take_along_axis(scores, order, 1)
    return {"scores": scores, "classes": classes, "hits": hits}


def evaluation(rng, num_videos, num_classes, top_k=20, batch_size=4096, **options):
    """The pool and the metrics of simulated videos."""
    collector, metrics = Collector(num_classes, top_k), Metrics(num_classes, top_k)
    for start in range(0, num_videos, batch_size):
        ids = [f"v{n}".encode() for n in range(start, num_videos)[:batch_size]]
        predictions, labels = batch(rng, len(ids), num_classes, **options)
        best = top(predictions, labels, top_k)
        metrics.update(best, labels)
        collector.add(ids, best, labels)
    return collector.pool(), metrics.result()


def coverage(sets, videos=800, classes=25, replicates=400, seed=0, others=1000):
    """{metric: share of intervals that hold its mean over other sets of videos}.

    The sets have as many videos: metrics of few videos are biased, mAP upwards.
    """
    rng = np.random.default_rng(seed)
    options = {"num_videos": videos, "num_classes": classes, "top_k": 5}
    options["exponent"] = 0.5
    names = ("gap", "map", "hit_at_one", "perr", "average_precisions")
    truth = dict.fromkeys(names, 0)
    for _ in range(others):
        _, result = evaluation(rng, **options)
        truth = {name: truth[name] + result[name] / others for name in names}
    held = dict.fromkeys(names, 0)
    for _ in range(sets):
        pool, result = evaluation(rng, **options)
        found = statistics.bootstrap(pool, replicates, int(rng.integers(2**31)))
        drawn = {"gap": found.gap, "map": found.map, **found.means}
        drawn["average_precisions"] = found.average_precisions
        for name in names:
            low, high = statistics.interval(drawn[name], result[name])
            holds = (low <= truth[name]) & (truth[name] <= high)
            held[name] += np.mean(holds) / sets
    return held


def scale(videos=100_000, classes=3862):
    """Seconds of CPU and memory of a report, beyond those of the evaluation."""
    from youtube8m.config import DataConfig, ModelConfig, RunConfig
    from youtube8m.reports.evaluation_report import Classes, add_sections
    from youtube8m.reports.pages import Page

    began = time.process_time()
    pool, result = evaluation(np.random.default_rng(0), videos, classes)
    used = [("simulated evaluation", time.process_time() - began, _peak())]
    run = RunConfig(DataConfig(num_classes=classes), ModelConfig())
    with tempfile.TemporaryDirectory() as folder:
        began, wall = time.process_time(), time.monotonic()
        replicates = statistics.bootstrap(pool)
        page = Page("Simulated")
        add_sections(page, pool, replicates, result, Classes(run))
        paths = page.write(os.path.join(folder, "report.html"), "--report_dir")
        wall = time.monotonic() - wall
        used.append(("report", time.process_time() - began, _peak()))
        size = os.path.getsize(paths[0])
    for name, seconds, peak in used:
        line = f"{name}: {seconds:.1f} s of CPU, peak memory {peak / 2**30:.2f} GiB"
        print(line, flush=True)
    beyond = (used[1][2] - used[0][2]) / 2**30
    print(f"report: {wall:.1f} s, {beyond:.2f} GiB beyond, {size / 1e6:.2f} MB")


def _peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def main():
    """Runs one of the two simulations."""
    parser = argparse.ArgumentParser()
    parser.add_argument("what", choices=["coverage", "scale"])
    parser.add_argument("--sets", type=int, default=500)
    arguments = parser.parse_args()
    if arguments.what == "scale":
        scale()
    else:
        for name, share in coverage(arguments.sets).items():
            print(f"{name}: {share:.1%} of {arguments.sets} intervals hold the truth")


if __name__ == "__main__":
    main()
