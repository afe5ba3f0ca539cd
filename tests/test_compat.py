"""TensorFlow and Keras still do what compat.py relies on."""

import importlib.metadata
import pathlib
import re

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.helpers import processes
from youtube8m import compat

SETUP = pathlib.Path(__file__).parents[1] / "setup.py"


def test_it_loads_without_tensorflow():
    code = "import sys, youtube8m.compat; print(*sys.modules)"
    loaded = processes.run("-c", code).stdout.split()
    assert "youtube8m.compat" in loaded and "tensorflow" not in loaded


@pytest.mark.parametrize("name", ["tensorflow", "keras"])
def test_setup_asks_for_the_minor_version_that_is_tested(name):
    major, minor, *_ = importlib.metadata.version(name).split(".")
    bounds = re.findall(rf'"{name}(?:\[.*\])?(>=.*)"', SETUP.read_text())
    assert bounds
    for bound in bounds:
        assert bound == f">={major}.{minor},<{major}.{int(minor) + 1}"


def test_keys_of_checkpoints(tmp_path):
    """Names with slashes come back; TensorFlow 1 saves no graph of objects."""
    variables = {"encoder/kernel": tf.Variable([1.0]), "bias#1": tf.Variable(2.0)}
    prefix = tf.train.Checkpoint(model=variables, loss=[tf.Variable(3.0)]).save(
        str(tmp_path / "new")
    )
    keys = tf.train.load_checkpoint(prefix).get_variable_to_shape_map()
    names = {compat.variable_name(key, "model") for key in keys} - {None}
    assert names == variables.keys()
    assert {compat.variable_name(key, "loss") for key in keys} == {None, "0"}
    assert compat.OBJECT_GRAPH_KEY in keys


class Nested(keras.layers.Layer):
    def __init__(self, cell):
        super().__init__()
        self.parts = [{"cell": cell}]


def test_layers_at_any_depth():
    cell = keras.layers.LSTMCell(2)
    inner = Nested(keras.layers.Bidirectional(keras.layers.RNN(cell)))
    model = keras.Sequential([keras.layers.Dense(1), inner])
    found = compat.all_layers(model)
    assert model in found and inner in found
    assert any(isinstance(layer, keras.layers.LSTMCell) for layer in found)
    assert cell not in model.layers  # else the public attribute would do


def test_variables_of_an_optimizer_by_position():
    variables = [keras.Variable(np.zeros(size, np.float32)) for size in (1, 2, 3)]
    optimizer = keras.optimizers.Adam()
    optimizer.build(variables)
    found = [compat.variable_index(optimizer, variable) for variable in variables]
    assert found == [0, 1, 2]
    assert [compat.variable_index(optimizer, v.value) for v in variables] == found


def test_heartbeats_of_workers():
    """In a process of its own: it must be set before TensorFlow runs anything."""
    code = """
from youtube8m import compat
compat.allow_slow_heartbeats(2)
from tensorflow.python.eager import context
config = context.context().coordination_service
assert config.heartbeat_timeout_in_ms == 60_000, config
assert config.service_leader == "/job:worker/replica:0/task:0", config
assert [job.num_tasks for job in config.coordinated_job_list] == [2], config
"""
    processes.forked("-c", code)


def test_operations_are_observed_as_they_run():
    kinds = []

    def callback(kind, inputs, attributes, outputs, op_name=None, graph=None):
        kinds.append((kind, inputs[0].shape.as_list(), outputs[0].shape.as_list()))

    with compat.observed_operations(callback):
        for _ in tf.range(2):
            tf.matmul(tf.ones([2, 3]), tf.ones([3, 4]), transpose_b=False)
    products = [found for found in kinds if found[0] == "MatMul"]
    assert products == [("MatMul", [2, 3], [2, 4])] * 2
    tf.matmul(tf.ones([2, 3]), tf.ones([3, 4]))
    assert [found for found in kinds if found[0] == "MatMul"] == products
