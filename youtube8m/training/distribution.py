"""The devices of a run, behind TensorFlow's strategies.

strategy = mirrored_gpus(num_gpu=8)      # one GPU, or the CPU, works the same way
shares = split_batch(strategy, batch)    # rows of a host batch to the replicas
"""

import tensorflow as tf
from absl import logging


def mirrored_gpus(num_gpu: int) -> tf.distribute.Strategy:
    """A strategy over `num_gpu` GPUs, fewer where there are fewer, or the CPU."""
    gpus = tf.config.list_logical_devices("GPU")
    if num_gpu > max(1, len(gpus)):
        logging.warning("--num_gpu=%d, but %d were found", num_gpu, len(gpus))
    used = gpus[: max(num_gpu, 0)]
    if len(used) > 1:
        return tf.distribute.MirroredStrategy([device.name for device in used])
    return tf.distribute.OneDeviceStrategy(used[0].name if used else "/cpu:0")


def allow_memory_growth() -> None:
    """Takes GPU memory as needed; must come before the GPUs are first used."""
    for device in tf.config.list_physical_devices("GPU"):
        tf.config.experimental.set_memory_growth(device, True)


def split_batch(strategy: tf.distribute.Strategy, batch: dict):
    """Deals the rows of a host batch to the replicas, as evenly as they go.

    Returns:
      The batch in per-replica form, or None if there are fewer rows than replicas.
    """
    replicas = strategy.num_replicas_in_sync
    if replicas == 1:
        return batch
    rows = int(next(iter(batch.values())).shape[0])
    if rows < replicas:
        return None

    def share(context):
        number = context.replica_id_in_sync_group
        start, end = rows * number // replicas, rows * (number + 1) // replicas
        return {name: value[start:end] for name, value in batch.items()}

    return strategy.experimental_distribute_values_from_function(share)
