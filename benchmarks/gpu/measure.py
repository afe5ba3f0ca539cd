"""Measures the models under Keras' backend of this process; prints a JSON line each.

    KERAS_BACKEND=torch python benchmarks/gpu/measure.py --seconds=200

run.py starts it once for each backend.
"""

import argparse
import functools
import itertools
import json
import statistics
import time

import keras
import numpy as np
from rows import FULL, ROWS, SMALL

from youtube8m import losses, models, optimizers
from youtube8m.config import DataConfig, ModelConfig, RunConfig
from youtube8m.layers.inputs import dequantize

_PRECISIONS = {"mixed_bfloat16": "bfloat16", "float32": "float32"}
_LABELS = 4  # of a video


def run_config(row, small: bool) -> RunConfig:
    """The model of a row and the data that it takes."""
    sizes = SMALL if small else FULL
    data = DataConfig(
        ("rgb", "audio"), sizes.features, row.frames, num_classes=sizes.classes
    )
    values = row.small if small else row.values
    return RunConfig(data, ModelConfig(row.model, hyperparameters=values))


def random_batch(row, size: int, small: bool) -> dict[str, np.ndarray]:
    """Videos of all frames; bytes at frame level."""
    rng, sizes = np.random.default_rng(0), SMALL if small else FULL
    width = sum(sizes.features)
    labels = rng.integers(sizes.classes, size=(size, _LABELS), dtype=np.int32)
    if not row.frames:
        features = rng.standard_normal((size, width), np.float32)
        return {"features": features, "labels": labels}
    frames = rng.integers(0, 256, (size, sizes.frames, width), np.uint8)
    lengths = np.full(size, sizes.frames, np.int32)
    return {"frames": frames, "num_frames": lengths, "labels": labels}


def total_loss(loss, outputs, batch, num_classes, penalties):
    """The label loss, and the penalties of the weights."""
    labels, _ = losses.label_arrays(batch, num_classes)
    own = keras.ops.mean(loss.call(labels, outputs["predictions"]))
    return sum(penalties, own)


class Torch:
    """PyTorch: memory is that of its allocator."""

    modes = ("eager", "compiled")  # compiling takes a minute each

    def __init__(self):
        import torch

        self.torch, self.has_gpu = torch, torch.cuda.is_available()
        name = torch.cuda.get_device_name() if self.has_gpu else "CPU"
        self.device_name, self.device = name, "cuda" if self.has_gpu else "cpu"
        torch.set_float32_matmul_precision("high")  # TensorFloat-32, as TensorFlow's

    def place(self, batch):
        """Arrays on the device, copied by the time that this returns."""
        placed = {k: self.torch.from_numpy(v).to(self.device) for k, v in batch.items()}
        self.wait()
        return placed

    def wait(self, _=None):
        if self.has_gpu:
            self.torch.cuda.synchronize()

    def step(self, model, optimizer, loss, num_classes, mode):
        """A function of a batch on the device that trains one step."""

        def forward(batch):
            outputs = model(batch, training=True)
            return total_loss(loss, outputs, batch, num_classes, model.losses)

        if mode == "compiled":
            # On CPUs, where this is a trial, the graph is found and not compiled.
            compiler = "inductor" if self.has_gpu else "eager"
            forward = self.torch.compile(forward, backend=compiler)
        variables = model.trainable_variables

        def step(batch):
            model.zero_grad()
            result = forward(batch)
            result.backward()
            with self.torch.no_grad():
                optimizer.apply([v.value.grad for v in variables], variables)
            return result

        return step

    def product(self, x):
        return self.torch.matmul(x, x)

    def reset_peak(self):
        if self.has_gpu:
            self.torch.cuda.empty_cache()
            self.torch.cuda.reset_peak_memory_stats()

    def peak_memory(self):
        """Bytes since `reset_peak`; None on CPUs."""
        return self.torch.cuda.max_memory_allocated() if self.has_gpu else None


class Jax:
    """JAX: memory is the most that the process has held so far."""

    modes = ("compiled",)

    def __init__(self):
        import jax

        self.jax, self.device = jax, jax.devices()[0]
        self.device_name = self.device.device_kind
        # As TensorFlow's TensorFloat-32.
        jax.config.update("jax_default_matmul_precision", "tensorfloat32")

    def place(self, batch):
        return self.wait(self.jax.device_put(batch, self.device))

    def wait(self, x):
        return self.jax.block_until_ready(x)

    def step(self, model, optimizer, loss, num_classes, mode):
        jax = self.jax

        def objective(trainable, other, batch):
            outputs, other, penalties = model.stateless_call(
                trainable, other, batch, training=True, return_losses=True
            )
            return total_loss(loss, outputs, batch, num_classes, penalties), other

        @functools.partial(jax.jit, donate_argnums=0)
        def update(state, batch):
            trainable, other, slots = state
            gradient = jax.value_and_grad(objective, has_aux=True)
            (value, other), gradients = gradient(trainable, other, batch)
            trainable, slots = optimizer.stateless_apply(slots, gradients, trainable)
            return (trainable, other, slots), value

        groups = model.trainable_variables, model.non_trainable_variables
        groups = (*groups, optimizer.variables)
        # Copies, as each step takes the memory of its state.
        state = [[jax.numpy.copy(v.value) for v in group] for group in groups]

        def step(batch):
            nonlocal state
            state, value = update(tuple(state), batch)
            return value

        return step

    def product(self, x):
        return self._matmul(x, x)

    @functools.cached_property
    def _matmul(self):
        return self.jax.jit(self.jax.numpy.matmul)

    def reset_peak(self):
        pass

    def peak_memory(self):
        return (self.device.memory_stats() or {}).get("peak_bytes_in_use")


BACKENDS = {"torch": Torch, "jax": Jax}


class Session:
    """Measures until its time is over.

    Args:
      seconds: for all that is measured.
      small: whether it is a trial of small models.
      rows: what to measure.
    """

    def __init__(self, seconds: float, small: bool, rows=tuple(ROWS)):
        self.end, self.small, self.rows = time.monotonic() + seconds, small, rows
        self.backend = BACKENDS[keras.backend.backend()]()
        self.each = 0.01 if small else 0.5

    def rate(self, action) -> float:
        """Calls of `action` per second, the median of three measurements."""
        for _ in range(3):
            self.backend.wait(action())
        found = []
        for _ in range(3):
            start, calls = time.perf_counter(), 0
            while not calls or time.perf_counter() - start < self.each:
                for _ in range(4):  # side by side on the device
                    result = action()
                self.backend.wait(result)
                calls += 4
            found.append(calls / (time.perf_counter() - start))
        return statistics.median(found)

    def peak_flops(self, dtype: str) -> float:
        """FLOP/s of products of large square matrices."""
        side = 64 if self.small else 8192
        x = keras.ops.cast(keras.random.normal((side, side)), dtype)
        return 2 * side**3 * self.rate(lambda: self.backend.product(x))

    def measure_transfer(self, row, size) -> dict:
        """Batches per second to the device, as bytes and as floats."""
        batch = random_batch(row, size, self.small)
        floats = {**batch, "frames": dequantize_on_host(batch["frames"])}
        rates = {
            name: self.rate(lambda arrays=arrays: self.backend.place(arrays))
            for name, arrays in {"uint8": batch, "float32": floats}.items()
        }
        return {f"videos_per_second_{n}": size * rate for n, rate in rates.items()}

    def measure_step(self, row, size, precision, mode, peak) -> dict:
        """A training step on a batch that is on the device."""
        backend = self.backend
        backend.reset_peak()
        keras.config.set_dtype_policy(precision)
        try:
            run = run_config(row, self.small)
            model = models.create(run)
        finally:
            keras.config.set_dtype_policy("float32")
        optimizer = optimizers.create("AdamOptimizer", 1e-4)
        optimizer.build(model.trainable_variables)
        loss, classes = losses.CrossEntropyLoss(), run.data.num_classes
        batch = backend.place(random_batch(row, size, self.small))
        start = time.perf_counter()
        step = backend.step(model, optimizer, loss, classes, mode)
        backend.wait(step(batch))
        first = time.perf_counter() - start
        rate = self.rate(lambda: step(batch)) * size
        share = None if self.small else rate * row.flops / peak
        memory = backend.peak_memory()
        return {
            "videos_per_second": rate,
            "share_of_products": share,
            "memory_mib": memory and memory / 2**20,
            "first_step_seconds": first,
        }

    def run(self):
        """Yields results as dicts; the most telling ones first."""
        backend = keras.backend.backend()
        common = {"backend": backend, "device": self.backend.device_name}
        peaks = {dtype: self.peak_flops(dtype) for dtype in _PRECISIONS.values()}
        yield {**common, "kind": "products", **peaks}
        frames = next(row for row in ROWS if row.frames)
        for size in frames.batches:
            size = 4 if self.small else size
            found = self.measure_transfer(frames, size)
            yield {**common, "kind": "transfer", "batch": size, **found}
        cases = itertools.product(self.backend.modes, _PRECISIONS, range(2), self.rows)
        for mode, precision, number, row in cases:
            if number >= len(row.batches) or (self.small and number):
                continue
            size = 4 if self.small else row.batches[number]
            result = {**common, "kind": "step", "model": row.model, "batch": size}
            result |= {"precision": precision, "mode": mode}
            if time.monotonic() > self.end:
                yield {**result, "error": "left out: no time"}
                continue
            peak = peaks[_PRECISIONS[precision]]
            try:
                found = self.measure_step(row, size, precision, mode, peak)
            except Exception as error:  # a model may not fit, or not be compilable
                lines = str(error).strip().splitlines() or [""]
                found = {"error": f"{type(error).__name__}: {lines[0][:100]}"}
            yield result | found


def dequantize_on_host(frames):
    """The floats that a reader without bytes would hand over."""
    return np.array(keras.ops.convert_to_numpy(dequantize(frames)))


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=200.0)
    parser.add_argument("--small", action="store_true", help="a trial of small models")
    parser.add_argument("--model", action="append", help="one of rows.py; default: all")
    arguments = parser.parse_args()
    rows = [row for row in ROWS if row.model in (arguments.model or [row.model])]
    for result in Session(arguments.seconds, arguments.small, rows).run():
        print(json.dumps(result), flush=True)


if __name__ == "__main__":
    main()
