"""Measures the package's models on a GPU under Keras' PyTorch and JAX backends.

    python benchmarks/gpu/run.py --output_file=gpu.json      # 8 minutes at most
    python benchmarks/gpu/run.py --small                     # a trial on a CPU

Prints the speed of the card's matrix products, of transfers to it, and of training
steps: videos/s, the share of the products' speed in the same precision, and memory.
The Python that runs it needs Keras, the package's other libraries but for TensorFlow,
and PyTorch or JAX with CUDA; a backend that is not installed is left out.
"""

import argparse
import importlib.util
import json
import os
import pathlib
import subprocess
import sys
import threading
import time

FOLDER = pathlib.Path(__file__).resolve().parent
ROOT = FOLDER.parents[1]
BACKENDS = ("torch", "jax")
_COLUMNS = {
    "backend": "{}",
    "model": "{}",
    "batch": "{}",
    "precision": "{}",
    "mode": "{}",
    "videos_per_second": "{:,.0f}",
    "share_of_products": "{:.2f}",
    "memory_mib": "{:,.0f}",
    "first_step_seconds": "{:.1f}",
}


def main():
    """Runs each backend in a process of its own and prints what they find."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--output_file", help="JSON file to write all results to")
    parser.add_argument("--seconds", type=float, default=480.0, help="for everything")
    parser.add_argument("--small", action="store_true", help="a trial of small models")
    parser.add_argument("--model", action="append", help="one of rows.py; default: all")
    arguments = parser.parse_args()
    installed = [name for name in BACKENDS if importlib.util.find_spec(name)]
    if not installed:
        sys.exit("neither torch nor jax is installed: install one of them with CUDA")
    end, results = time.monotonic() + arguments.seconds, []
    options = ["--small"] * arguments.small
    options += [f"--model={name}" for name in arguments.model or ()]
    for number, backend in enumerate(installed):
        share = (end - time.monotonic()) / (len(installed) - number)
        for result in measure(backend, share, options):
            print(describe(result), flush=True)
            results.append(result)
    if arguments.output_file:
        text = json.dumps(results, indent=2) + "\n"
        pathlib.Path(arguments.output_file).write_text(text)
    if not all(any(r["backend"] == name for r in results) for name in installed):
        sys.exit("a backend gave no result; see its message above")


def measure(backend, seconds, options=()):
    """Yields the results of measure.py, which ends after `seconds`."""
    command = [sys.executable, str(FOLDER / "measure.py")]
    command += [f"--seconds={0.85 * seconds}", *options]  # the last row ends later
    paths = [str(ROOT), os.environ.get("PYTHONPATH", "")]
    environment = {
        **os.environ,
        "KERAS_BACKEND": backend,
        "PYTHONPATH": os.pathsep.join(filter(None, paths)),
        # Else JAX takes three quarters of the memory at once.
        "XLA_PYTHON_CLIENT_PREALLOCATE": "false",
    }
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, text=True
    ) as process:
        watch = threading.Timer(seconds, process.kill)
        watch.start()
        try:
            for line in process.stdout:
                if line.startswith("{"):
                    yield json.loads(line)
        finally:
            watch.cancel()
            process.kill()


def describe(result):
    """A line of the table."""
    if result["kind"] == "products":
        speeds = (
            f"{result[k] / 1e12:.3g} TFLOP/s {k}" for k in ("bfloat16", "float32")
        )
        head = " ".join(f"{name:>12}" for name in _COLUMNS)
        return f"{result['backend']} on {result['device']}: {', '.join(speeds)}\n{head}"
    if result["kind"] == "transfer":
        rates = {k: v for k, v in result.items() if k.startswith("videos")}
        text = ", ".join(f"{v:,.0f} as {k.split('_')[-1]}" for k, v in rates.items())
        return f"{result['backend']}: {result['batch']} videos to the device: {text}/s"
    cells = (
        "" if result.get(name) is None else form.format(result[name])
        for name, form in _COLUMNS.items()
    )
    return " ".join(f"{cell:>12}" for cell in cells) + "  " + result.get("error", "")


if __name__ == "__main__":
    main()
