"""TensorFlow 1's checkpoints as the starter code writes them, and their variables."""

import json
import os

import numpy as np
import tensorflow as tf

D, C, STEP = 6, 5, 7


def save(prefix, variables, scope="tower/", step=STEP):
    """Writes variables as a TF1 Saver does."""
    tensors = {scope + name: np.float32(value) for name, value in variables.items()}
    tensors = {**tensors, "global_step": np.int64(step)}
    os.makedirs(os.path.dirname(prefix), exist_ok=True)
    tf.raw_ops.SaveV2(
        prefix=prefix,
        tensor_names=list(tensors),
        shape_and_slices=[""] * len(tensors),
        tensors=[tf.constant(value) for value in tensors.values()],
    )


def write(path, model, variables, size=D, name=f"model.ckpt-{STEP}", **kwargs):
    """A train directory with the five keys and one checkpoint; returns its path."""
    frames = model not in ("LogisticModel", "MoeModel")
    save(str(path / name), variables, **kwargs)
    keys = {
        "model": model,
        "feature_sizes": str(size),
        "feature_names": "rgb" if frames else "mean_rgb",
        "frame_features": frames,
        "label_loss": "CrossEntropyLoss",
    }
    (path / "model_flags.json").write_text(json.dumps(keys))
    return str(path)


def name_both_features(path):
    """As the sample data set has them."""
    file = os.path.join(path, "model_flags.json")
    with open(file) as opened:
        keys = json.load(opened)
    keys |= {"feature_names": "mean_rgb,mean_audio", "feature_sizes": "24,8"}
    with open(file, "w") as opened:
        json.dump(keys, opened)


def random_variables(shapes, seed=0):
    rng = np.random.default_rng(seed)
    return {name: rng.standard_normal(shape) for name, shape in shapes.items()}


def logistic(size=D, classes=C):
    names = {"weights": (size, classes), "biases": (classes,)}
    return {f"fully_connected/{name}": shape for name, shape in names.items()}


def moe(size=D, classes=C, mixtures=4):
    return {
        "gates/weights": (size, classes * (mixtures + 1)),
        "experts/weights": (size, classes * mixtures),
        "experts/biases": (classes * mixtures,),
    }


def lstm(layers, cells=3):
    cell = "rnn/multi_rnn_cell/cell_{}/basic_lstm_cell/"
    shapes = {}
    for layer in range(layers):
        inputs = cells if layer else D
        shapes[cell.format(layer) + "kernel"] = (inputs + cells, 4 * cells)
        shapes[cell.format(layer) + "bias"] = (4 * cells,)
    return shapes


def dbof(clusters=4, hidden=3):
    return {
        "cluster_weights": (D, clusters),
        "cluster_biases": (clusters,),
        "hidden1_weights": (clusters, hidden),
        "hidden1_biases": (hidden,),
    }
