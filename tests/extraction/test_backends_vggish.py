"""VGGish gives the same under Keras' other backends."""

import os

import numpy as np
import pytest

from tests.helpers import golden, processes
from tests.helpers.backends import PYTHON, has
from tests.helpers.extraction import write_vggish
from youtube8m.extraction.vggish import load_vggish

SCRIPT = """
import sys, numpy as np, keras
from importlib.util import find_spec
from youtube8m.extraction import Vggish
backend, folder = sys.argv[1:]
assert keras.backend.backend() == backend
assert "tensorflow" not in sys.modules
with np.load(folder + "/arrays.npz") as arrays:
    vggish, patches = Vggish((4, 4, 8, 8, 16, 16), (32, 32, 128)), arrays["patches"]
    vggish.assign_weights(arrays.__getitem__)
found = keras.ops.convert_to_numpy(vggish(patches))
np.save(folder + "/found.npy", found)
if find_spec("tensorflow"):  # which reads the checkpoint, and computes nothing
    vggish.load_checkpoint(folder + "/vggish_model.ckpt")
    np.testing.assert_array_equal(keras.ops.convert_to_numpy(vggish(patches)), found)
    copy = Vggish.from_config(vggish.get_config())
    assert copy.channels == vggish.channels and copy.units == vggish.units
"""


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["jax", "torch"])
def test_embeddings_agree(backend, tmp_path):
    if not has(backend):
        pytest.skip(f"{backend} is not installed for {PYTHON}")
    write_vggish(tmp_path)
    vggish = load_vggish(str(tmp_path / "vggish_model.ckpt"))
    arrays = {}
    for name, layer in vggish.named.items():
        arrays[f"vggish/{name}/weights"] = layer.kernel.numpy()
        arrays[f"vggish/{name}/biases"] = layer.bias.numpy()
    patches = np.random.default_rng(0).normal(size=(3, 96, 64)).astype(np.float32)
    np.savez(tmp_path / "arrays.npz", patches=patches, **arrays)
    environment = {**os.environ, "KERAS_BACKEND": backend}
    processes.run("-c", SCRIPT, backend, tmp_path, python=PYTHON, env=environment)
    expected = np.asarray(vggish(patches))
    assert np.ptp(expected) > 0.01
    found = np.load(tmp_path / "found.npy")
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


GOLDEN = golden.FOLDER / "extraction"
OF_CHECKPOINT = """
import sys, numpy as np, keras
from youtube8m.extraction import FeatureExtractor
from youtube8m.extraction.vggish import cut_windows, load_vggish, log_mel
backend, checkpoint, folder = sys.argv[1:]
assert keras.backend.backend() == backend
vggish = load_vggish(checkpoint)
with np.load(folder + "/input.npz") as arrays:
    found = vggish(arrays["patches"])
    np.save(folder + "/found.npy", keras.ops.convert_to_numpy(found))
    wave = arrays["wave"]
image = keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Flatten()])
sound = FeatureExtractor(image, vggish).extract_sound(wave)
patches = log_mel(cut_windows(wave, [0]))
np.testing.assert_allclose(sound, keras.ops.convert_to_numpy(vggish(patches)), 1e-4)
"""


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["jax", "torch"])
def test_the_golden_embeddings(backend, tmp_path):
    """By the published form of checkpoint, which TensorFlow reads."""
    if not GOLDEN.is_dir():
        pytest.skip(f"no golden figures in {GOLDEN}: set YT8M_GOLDEN")
    if not (has(backend) and has("tensorflow")):
        pytest.skip(f"{backend} and tensorflow are not installed for {PYTHON}")
    case = golden.Case(GOLDEN / "vggish_reduced.npz")
    wave = np.sin(np.arange(20_000) / 9).astype(np.float32)
    np.savez(tmp_path / "input.npz", patches=case["input"], wave=wave)
    environment = {**os.environ, "KERAS_BACKEND": backend}
    checkpoint = GOLDEN / "vggish_reduced" / "vggish_model.ckpt"
    words = ("-c", OF_CHECKPOINT, backend, checkpoint, tmp_path)
    processes.run(*words, python=PYTHON, env=environment)
    found = np.load(tmp_path / "found.npy")
    golden.assert_close(found, case.outputs["embedding"], "embedding", 1e-4, 1e-4)
