"""Models, layers and losses compute the same under Keras' other backends.

YT8M_BACKEND_PYTHON may name a Python that has JAX or PyTorch and Keras, and need
not have TensorFlow; by default it is the one that runs the tests.
"""

import os

import keras
import numpy as np
import pytest

from tests.helpers import processes
from tests.helpers.all_models import CASES, predict, random_batch, run_config
from tests.helpers.backends import PYTHON, has
from youtube8m import models

SCRIPT = """
import sys, numpy as np, keras
from youtube8m import models
from youtube8m.config import RunConfig
assert keras.backend.backend() == sys.argv[1]
assert "tensorflow" not in sys.modules or sys.argv[1] == "tensorflow"
for folder in sys.argv[2:]:
    model = models.create(RunConfig.from_json(open(folder + "/run.json").read()))
    with np.load(folder + "/weights.npz") as weights:
        model.set_weights([weights[name] for name in weights.files])
    with np.load(folder + "/batch.npz") as batch:
        outputs = model({name: batch[name] for name in batch.files})
    predictions = keras.ops.convert_to_numpy(outputs["predictions"])
    np.save(folder + "/predictions.npy", predictions)
"""


@pytest.mark.parametrize("backend", ["jax", "torch"])
def test_predictions_agree(backend, tmp_path):
    """One process for all models: starting a backend takes seconds."""
    if not has(backend):
        pytest.skip(f"{backend} is not installed for {PYTHON}")
    expected = {}
    for number, case in enumerate(CASES):
        folder = tmp_path / str(number)
        folder.mkdir()
        run = run_config(case)
        keras.utils.set_random_seed(number)
        model, batch = models.create(run), random_batch(run.data)
        (folder / "run.json").write_text(run.to_json())
        np.savez(folder / "weights.npz", *model.get_weights())
        np.savez(folder / "batch.npz", **batch)
        expected[folder] = predict(model, batch)
    environment = {**os.environ, "KERAS_BACKEND": backend}
    processes.run("-c", SCRIPT, backend, *expected, python=PYTHON, env=environment)
    for folder, predictions in expected.items():
        result = np.load(folder / "predictions.npy")
        np.testing.assert_allclose(result, predictions, rtol=1e-4, atol=1e-6)
