"""Small networks in the published formats, and clips of three kinds."""

import keras
import numpy as np
import tensorflow as tf
from keras import layers

from tests.helpers.clips import write_clip
from youtube8m.extraction import Vggish

# Name -> colour and tone. Neither alone tells all three apart.
KINDS = {
    "siren": ((190, 40, 40), 2000),
    "drum": ((190, 40, 40), 250),
    "whale": ((40, 40, 190), 250),
}
NAMES_CSV = "index,name\n" + "".join(f"{n},{name}\n" for n, name in enumerate(KINDS))


def write_network(path, features=6):
    """A .keras file: images [B, 16, 16, 3] in 0..255 -> [B, features]."""
    keras.utils.set_random_seed(0)
    network = keras.Sequential(
        [
            keras.Input((16, 16, 3)),
            layers.Rescaling(1 / 255),
            layers.Conv2D(features, 3, activation="relu"),
            layers.GlobalAveragePooling2D(),
        ]
    )
    network.save(path)
    return network


def write_vggish(folder):
    """The two published files of VGGish, of a smaller network with random weights."""
    keras.utils.set_random_seed(0)
    vggish = Vggish((4, 4, 8, 8, 16, 16), (32, 32, 128))
    names, values = [], []
    vggish.build((None, 96, 64))
    for name, layer in vggish.named.items():
        for leaf, variable in (("weights", layer.kernel), ("biases", layer.bias)):
            names.append(f"vggish/{name}/{leaf}")
            values.append(tf.constant(variable.numpy()))
    path = str(folder / "vggish_model.ckpt")
    tf.raw_ops.Save(filename=path, tensor_names=names, data=values)  # of version 1
    vectors = np.linalg.qr(np.random.default_rng(0).normal(size=(128, 128)))[0]
    np.savez(
        folder / "vggish_pca_params.npz",
        pca_means=np.zeros(128),
        pca_eigen_vectors=8 * vectors,
    )


def write_kinds(folder, each, seed=0, seconds=3.0):
    """Clips of each kind; returns lines 'path,kind' of a CSV."""
    rng, lines = np.random.default_rng(seed), []
    for name, (colour, hertz) in KINDS.items():
        for number in range(each):
            path = folder / f"{name}{number}.mp4"
            shade = np.clip(np.array(colour) + rng.integers(-25, 25, 3), 0, 255)
            tone = hertz * rng.uniform(0.9, 1.1)
            write_clip(path, shade, tone, seconds)
            lines.append(f"{path},{name}\n")
    return lines
