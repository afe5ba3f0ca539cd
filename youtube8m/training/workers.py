"""The devices and machines of a run, behind TensorFlow's strategies.

workers = Workers.from_environment(os.environ)      # TF_CONFIG's, or one alone
strategy = workers.strategy(num_gpu=8)   # one GPU, or the CPU, works the same way
shares = split_batch(strategy, batch)    # rows of a host batch to the replicas
"""

import dataclasses
import functools
import json
from collections.abc import Mapping

import numpy as np
import tensorflow as tf
from absl import logging

from youtube8m import compat
from youtube8m.data.reading import order
from youtube8m.errors import UserError

# What comes of JSON that is none, or of other things in it than expected.
_MISUNDERSTOOD = (
    ValueError,
    TypeError,
    LookupError,
    AttributeError,
    OverflowError,
    RecursionError,
)
_TASKS = ("chief", "master", "worker")  # the starter code's chief is called master


@dataclasses.dataclass(frozen=True)
class Workers:
    """The processes that train one model, each on a machine of its own.

    Attributes:
      addresses: `host:port` of each, the chief's first.
      index: which of them this process is.
    """

    addresses: tuple[str, ...] = ("",)
    index: int = 0

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> "Workers":
        """The workers that TF_CONFIG names; this process alone without it.

        Raises:
          UserError: it is not understood, or names parameter servers.
        """
        text = environment.get("TF_CONFIG", "").strip()
        try:
            config = json.loads(text or "{}")
            return cls(*_places(config)) if config.get("cluster") else cls()
        except UserError:
            raise
        except _MISUNDERSTOOD:
            raise UserError(
                f"TF_CONFIG={text}: expected JSON such as "
                '{"cluster": {"chief": ["host1:2222"], "worker": ["host2:2222"]}, '
                '"task": {"type": "worker", "index": 0}}, with this process\'s own '
                "place among them as the task"
            ) from None

    def __len__(self) -> int:
        return len(self.addresses)

    @property
    def is_chief(self) -> bool:
        """Whether this is the one that writes the run's files."""
        return self.index == 0

    def strategy(self, num_gpu: int) -> tf.distribute.Strategy:
        """A strategy over `num_gpu` GPUs of each worker, or its CPU.

        With several workers it must be made before TensorFlow runs anything, and
        waits until all of them are there.
        """
        if len(self) == 1:
            return mirrored_gpus(num_gpu)
        gpus = tf.config.list_physical_devices("GPU")
        tf.config.set_visible_devices(gpus[: max(num_gpu, 0)], "GPU")
        logging.info(
            "worker %d of %d; waiting for all of %s",
            self.index + 1,
            len(self),
            ", ".join(self.addresses),
        )
        compat.allow_slow_heartbeats(len(self))
        resolver = tf.distribute.cluster_resolver.SimpleClusterResolver(
            tf.train.ClusterSpec({"worker": list(self.addresses)}),
            task_type="worker",
            task_id=self.index,
            rpc_layer="grpc",
        )
        return tf.distribute.MultiWorkerMirroredStrategy(resolver)


def _places(config):
    """(addresses, index) of a TF_CONFIG; any error if it is another thing."""
    cluster, task = config["cluster"], config["task"]
    _check_tasks({*cluster, task["type"]})
    tasks = [(name, n) for name in _TASKS for n in range(len(cluster.get(name, ())))]
    addresses = tuple(cluster[name][n] for name, n in tasks)
    for address in addresses:
        _, port = address.rsplit(":", 1)
        int(port)
    return addresses, tasks.index((task["type"], int(task["index"])))


def _check_tasks(types):
    if "ps" in types:
        raise UserError(
            "TF_CONFIG has parameter servers (ps), which are not supported: name all "
            "machines as chief and worker, which then hold the weights alike"
        )
    unknown = sorted(types - set(_TASKS))
    if unknown:
        raise UserError(
            f"TF_CONFIG has tasks of type {', '.join(unknown)}; expected chief (or "
            "master) and worker; eval.py needs no TF_CONFIG"
        )


def mirrored_gpus(num_gpu: int) -> tf.distribute.Strategy:
    """A strategy over `num_gpu` GPUs, fewer where there are fewer, or the CPU."""
    gpus = tf.config.list_logical_devices("GPU")
    if num_gpu > max(1, len(gpus)):
        logging.warning("--num_gpu=%d, but %d were found", num_gpu, len(gpus))
    used = gpus[: max(num_gpu, 0)]
    if len(used) > 1:
        return tf.distribute.MirroredStrategy([device.name for device in used])
    return tf.distribute.OneDeviceStrategy(used[0].name if used else "/cpu:0")


def local_replicas(strategy: tf.distribute.Strategy) -> int:
    """How many of the replicas are this process's."""
    return len(strategy.extended.worker_devices)


def split_batch(strategy: tf.distribute.Strategy, batch: dict):
    """Deals the rows of a host batch to this process's replicas, evenly as they go.

    Each replica's rows start on their way to its device at once, while a GPU is still
    busy with the step before.

    Returns:
      The batch in per-replica form, or None if there are fewer rows than replicas.
    """
    devices = strategy.extended.worker_devices
    replicas = len(devices)
    rows = int(next(iter(batch.values())).shape[0])
    if rows < replicas:
        return None

    def share(number):
        part = order.share(rows, number, replicas)
        with tf.device(devices[number]):
            return {k: tf.identity(v[part]) for k, v in batch.items()}

    if replicas == 1:
        return share(0)
    return strategy.experimental_distribute_values_from_function(
        lambda context: share(context.replica_id_in_sync_group % replicas)
    )


def gathered(strategy: tf.distribute.Strategy, value: int) -> np.ndarray:
    """`value` of each replica; all workers wait here for one another."""
    values = _gather_function(strategy)(tf.constant([value], tf.int64))
    return strategy.experimental_local_results(values)[0].numpy()


@functools.cache  # one for all calls, or TensorFlow warns of so many tracings
def _gather_function(strategy):
    def gather(value):
        value = tf.identity(value)  # a function's argument has no device
        return tf.distribute.get_replica_context().all_gather(value, axis=0)

    return tf.function(lambda value: strategy.run(gather, args=(value,)))
