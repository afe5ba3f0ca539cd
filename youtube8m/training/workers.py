"""The devices and machines that train a run, as TensorFlow's strategies.

workers = Workers.from_environment(os.environ)         # by TF_CONFIG
strategy = workers.strategy(num_gpu=8)
shares = split_batch(strategy, batch)
"""

import contextlib
import dataclasses
import functools
import socket
import time
from collections.abc import Mapping

import tensorflow as tf
from absl import logging

from youtube8m import compat
from youtube8m.data.reading import order
from youtube8m.errors import UserError
from youtube8m.util.json import JsonError, parse_json

_TASKS = ("chief", "master", "worker")  # the starter code's chief is called master
_REMINDER_SECONDS = 30.0


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

        Raises UserError if it has another form, or names parameter servers.
        """
        text = environment.get("TF_CONFIG", "").strip()
        try:
            return parse_json(text or "{}", cls._from_config)
        except JsonError:
            raise UserError(
                f"TF_CONFIG={text}: expected JSON such as "
                '{"cluster": {"chief": ["host1:2222"], "worker": ["host2:2222"]}, '
                '"task": {"type": "worker", "index": 0}}, in which the task names '
                "this process"
            ) from None

    @classmethod
    def _from_config(cls, config):
        """The workers of a TF_CONFIG; any error if it has another form."""
        cluster, task = config.get("cluster") or {}, config.get("task") or {}
        if task.get("type") == "evaluator":
            raise UserError(
                "TF_CONFIG has tasks of type evaluator; expected chief (or master) and "
                "worker: start eval.py with the same --train_dir in its place"
            )
        cluster = {name: cluster[name] for name in cluster if cluster[name]}
        cluster.pop("evaluator", None)  # a process that trains waits for none
        if not cluster:
            return cls()
        types = {*cluster, task["type"]}
        if "ps" in types:
            raise UserError(
                "TF_CONFIG has parameter servers (ps), which are not supported: name "
                "all machines as chief and worker, each of which then holds all weights"
            )
        if unknown := sorted(types - {*_TASKS}):
            raise UserError(
                f"TF_CONFIG has tasks of type {', '.join(unknown)}; expected chief (or "
                "master) and worker; eval.py needs no TF_CONFIG"
            )
        tasks = [(t, n) for t in _TASKS for n in range(len(cluster.get(t, ())))]
        addresses = tuple(cluster[name][n] for name, n in tasks)
        for address in addresses:
            _port(address)
        return cls(addresses, tasks.index((task["type"], int(task["index"]))))

    def __len__(self) -> int:
        return len(self.addresses)

    @property
    def is_chief(self) -> bool:
        """Whether this worker writes the run's files."""
        return self.index == 0

    def all_gather(self, strategy: tf.distribute.Strategy, value: int) -> list[int]:
        """The `value` of each worker's replicas. All workers wait for one another."""
        if len(self) == 1:
            return [value]
        values = _gather_function(strategy)(tf.constant([value], tf.int64))
        return strategy.experimental_local_results(values)[0].numpy().tolist()

    def strategy(self, num_gpu: int) -> tf.distribute.Strategy:
        """A strategy over `num_gpu` GPUs of each worker, or its CPU.

        With several workers it must be made before TensorFlow runs anything, and waits
        until all of them have connected.
        """
        if len(self) == 1:
            return _mirror_gpus(num_gpu)
        gpus = tf.config.list_physical_devices("GPU")
        tf.config.set_visible_devices(gpus[: max(num_gpu, 0)], "GPU")
        message = "worker %d of %d; waiting for all of %s"
        logging.info(message, self.index + 1, len(self), ", ".join(self.addresses))
        _wait_for_all(self.addresses, self.index)
        compat.allow_slow_heartbeats(len(self))
        resolver = tf.distribute.cluster_resolver.SimpleClusterResolver(
            tf.train.ClusterSpec({"worker": list(self.addresses)}),
            task_type="worker",
            task_id=self.index,
            rpc_layer="grpc",
        )
        return tf.distribute.MultiWorkerMirroredStrategy(resolver)


def _mirror_gpus(num_gpu):
    """A strategy over `num_gpu` GPUs, fewer where there are fewer, or the CPU."""
    gpus = tf.config.list_logical_devices("GPU")
    if num_gpu > max(1, len(gpus)):
        logging.warning("--num_gpu=%d, but %d were found", num_gpu, len(gpus))
    used = gpus[: max(num_gpu, 0)]
    if len(used) > 1:
        return tf.distribute.MirroredStrategy([device.name for device in used])
    return tf.distribute.OneDeviceStrategy(used[0].name if used else "/cpu:0")


def _wait_for_all(addresses, index):
    """Waits until each worker has been there, in Python, where signals end the wait.

    TensorFlow's own wait holds Python's lock and handles SIGTERM without ending, so it
    must be short. Until all are there, each listens at its address, as TensorFlow does
    afterwards. Where that is impossible, TensorFlow says why.
    """
    try:
        listener = socket.create_server(("", _port(addresses[index])))
    except OSError:
        return
    missing, reminded = {*addresses} - {addresses[index]}, time.monotonic()
    with listener:
        while missing := {address for address in missing if not _answers(address)}:
            if time.monotonic() - reminded >= _REMINDER_SECONDS:
                logging.info("still waiting for %s", ", ".join(sorted(missing)))
                reminded = time.monotonic()
            time.sleep(0.2)


def _answers(address):
    """Whether somebody listens at `host:port`."""
    host, _ = address.rsplit(":", 1)
    with contextlib.suppress(OSError):
        socket.create_connection((host.strip("[]"), _port(address)), 2).close()
        return True
    return False


def _port(address):
    return int(address.rsplit(":", 1)[1])


def split_batch(strategy: tf.distribute.Strategy, batch: dict):
    """Splits the rows of a host batch evenly among this process's replicas.

    The copies to the devices start at once, while these still run the step before.

    Returns it in per-replica form, or None if there are fewer rows than replicas.
    """
    devices = strategy.extended.worker_devices
    rows, replicas = len(next(iter(batch.values()))), len(devices)
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


@functools.cache  # TensorFlow warns if a function is traced in each call
def _gather_function(strategy):
    def gather(value):
        value = tf.identity(value)  # a function's argument has no device
        return tf.distribute.get_replica_context().all_gather(value, axis=0)

    return tf.function(
        lambda value: strategy.run(gather, args=(value,)), autograph=False
    )
