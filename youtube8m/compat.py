"""What this package needs of TensorFlow and Keras that their public interfaces lack.

Each entry says why it is needed; tests/test_compat.py fails where a new version of
theirs changes it. Nothing here imports TensorFlow before it is called.
"""

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

# The entry that tf.train.Checkpoint adds to a checkpoint, and TensorFlow 1 does not.
OBJECT_GRAPH_KEY = "_CHECKPOINTABLE_OBJECT_GRAPH"


def variable_name(key: str, part: str) -> str | None:
    """The name of a variable that a checkpoint holds as `key`; None in another part.

    tf.train.Checkpoint(part={name: variable}) writes the keys, and TensorFlow has no
    function that reads them.
    """
    start, end = f"{part}/", "/.ATTRIBUTES/VARIABLE_VALUE"
    if not (key.startswith(start) and key.endswith(end)):
        return None
    return key.removeprefix(start).removesuffix(end).replace(".S", "/")


def all_layers(layer) -> list:
    """A Keras layer and the layers in it, at any depth.

    keras.Model.layers has those of the first level alone, and keras.Layer none.
    """
    return layer._flatten_layers()


def variable_index(optimizer, variable) -> int:
    """The position of a variable among those that an optimizer was built with.

    `update_step` gets the variable, or a replica's copy of it, without its position.
    """
    return optimizer._get_variable_index(variable)


def allow_slow_heartbeats(workers: int) -> None:
    """Makes TensorFlow wait a minute for a sign of life of another worker.

    It waits ten seconds, and has no public setting. Local runs were seen to end by
    that with both workers alive; the reason is not known.
    """
    from tensorflow.compiler.xla.tsl.protobuf import coordination_config_pb2
    from tensorflow.python.eager import context

    job = coordination_config_pb2.CoordinatedJob(name="worker", num_tasks=workers)
    context.context().configure_coordination_service(
        service_type="standalone",
        service_leader="/job:worker/replica:0/task:0",
        heartbeat_timeout_in_ms=60_000,
        coordinated_jobs=[job],
    )


@contextlib.contextmanager
def observed_operations(callback: Callable[..., Any]) -> Iterator[None]:
    """Calls `callback(kind, inputs, attributes, outputs, ...)` after each operation.

    TensorFlow's public profiler counts the operations of a graph, but each loop once.
    """
    from tensorflow.python.framework import op_callbacks

    op_callbacks.add_op_callback(callback)
    try:
        yield
    finally:
        op_callbacks.remove_op_callback(callback)
