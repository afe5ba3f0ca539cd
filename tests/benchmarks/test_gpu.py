"""The measurements for GPUs, tried on a CPU with small models.

YT8M_BACKEND_PYTHON may name a Python that has JAX or PyTorch, as for the backends.
"""

import json
import pathlib
import runpy
import sys

import pytest

from tests.helpers import processes
from tests.helpers.backends import PYTHON, has
from youtube8m import models
from youtube8m.benchmarks.flops import training_flops

FOLDER = pathlib.Path(processes.ROOT, "benchmarks", "gpu")
MODELS = ("FrameLevelLogisticModel",)


@pytest.mark.slow
def test_small_models(tmp_path):
    """Each backend that is installed measures each model in each of its modes."""
    backends = [name for name in ("torch", "jax") if has(name)]
    if not backends:
        pytest.skip(f"neither torch nor jax is installed for {PYTHON}")
    output = tmp_path / "gpu.json"
    arguments = ["--small", f"--output_file={output}"]
    arguments += [f"--model={name}" for name in MODELS]
    done = processes.run(FOLDER / "run.py", *arguments, python=PYTHON)
    found = json.loads(output.read_text())
    for backend in backends:
        results = [result for result in found if result["backend"] == backend]
        steps = [result for result in results if result["kind"] == "step"]
        kinds = {result["kind"] for result in results}
        assert kinds == {"products", "transfer", "step"}
        assert {step["model"] for step in steps} == set(MODELS)
        assert {step["precision"] for step in steps} == {"mixed_bfloat16", "float32"}
        assert not [step["error"] for step in steps if "error" in step]
        assert all(step["videos_per_second"] > 0 for step in steps)
        assert f"{backend} on " in done.stdout


def rows(monkeypatch):
    monkeypatch.setattr(sys, "path", [str(FOLDER), *sys.path])
    return runpy.run_path(str(FOLDER / "measure.py"))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["LogisticModel", "MoeModel", "DbofModel"])
def test_operations_are_those_that_tensorflow_counts(name, monkeypatch):
    script = rows(monkeypatch)
    (row,) = [row for row in script["ROWS"] if row.model == name]
    run = script["run_config"](row, small=False)
    batch = models.dummy_batch(run.data, frames=script["FULL"].frames)
    assert training_flops(models.create(run), batch) == row.flops
