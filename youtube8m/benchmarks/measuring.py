"""Timing things in turns, and what the machine could do at most.

medians = alternate({"a": lambda: rate(action_a, 1.0), "b": ...}, 3, "measuring")
limit = rate(MatrixProduct(flops), 1.0)                      # FLOP/s
Figure("step", medians["a"], "videos/s", limit / flops, "matrix product").ratio
"""

import dataclasses
import resource
import statistics
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from youtube8m.util.progress import Progress

_LARGEST_SIDE = 2048  # of the matrices that are multiplied for comparison


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


def rate(
    action: Callable[[], int],
    seconds: float,
    clock: Callable[[], float] = time.perf_counter,
) -> float:
    """Units per second of `action`, which returns how many units it did.

    Repeated for `seconds` after a warm-up of half of it, at least once each.
    """
    repeat(action, seconds / 2, clock)
    return repeat(action, seconds, clock)


def repeat(
    action: Callable[[], int],
    seconds: float = 0.0,
    clock: Callable[[], float] = time.perf_counter,
) -> float:
    """As `rate`, without a warm-up."""
    start, done, elapsed = clock(), 0, 0.0
    while not done or elapsed < seconds:
        done += action()
        elapsed = clock() - start
    return done / elapsed


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
        side = min(max(round((flops / 2) ** (1 / 3)), 1), _LARGEST_SIDE)
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


def peak_memory() -> dict[str, float]:
    """The most memory ever held, in MiB: the process', and the first GPU's."""
    unit = 1 if sys.platform == "darwin" else 1024  # of ru_maxrss, in bytes
    used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
    peaks = {"peak memory": used / 2**20}
    if tf.config.list_logical_devices("GPU"):
        peak = tf.config.experimental.get_memory_info("GPU:0")["peak"]
        peaks["peak GPU memory"] = peak / 2**20
    return peaks
