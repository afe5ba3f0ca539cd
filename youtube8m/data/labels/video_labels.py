"""Ids and labels of records of any level, without their features.

labels = read_labels("validate*.tfrecord", "--eval_data_pattern", num_classes=3862)
"""

from collections.abc import Iterator

import numpy as np
from absl import logging

from youtube8m.config import DataConfig
from youtube8m.config.data import KeysConfig
from youtube8m.data.reading import decoding, messages, order, shard_files, tfrecord
from youtube8m.data.reading.damage import Damage
from youtube8m.errors import UserError
from youtube8m.util.progress import Progress
from youtube8m.util.text import decode_id


class LabelDecoder(decoding.Decoder):
    """Decodes `id` and `labels`."""

    def parse(self, record, draw=None):
        context, _ = messages.split_sequence_example(record)
        return [self._read_context(record, context)]


def read_labels(
    pattern: str, flag: str, num_classes: int, keys: KeysConfig | None = None
) -> dict[str, np.ndarray]:
    """Video id -> class ids [L], in the order of the files.

    Args:
      keys: where records have both; default: as YouTube-8M or MediaPipe.

    Raises UserError if no file matches, no record has labels, or a label is too high.
    """
    paths = shard_files.find_shards(pattern, flag)
    keys = keys or KeysConfig()
    data = DataConfig(
        num_classes=num_classes, labels_key=keys.labels_key, id_key=keys.id_key
    )
    decoder = LabelDecoder(data, True, Damage())
    found, count = {}, 0
    for batch in decoded(paths, decoder):
        for name, labels in zip(batch["id"], batch["labels"], strict=True):
            found[decode_id(name)] = labels[labels >= 0]
            count += 1
    if not found:
        raise UserError(f"{flag}={pattern}: no record with an id and labels was read")
    decoder.damage.warn_of_lost("and do not count")
    if doubled := count - len(found):
        message = "%s: %d records have ids of others; the last one of each counts"
        logging.warning(message, pattern, doubled)
    return found


def decoded(paths: list[str], decoder: decoding.Decoder) -> Iterator[dict]:
    """Batches of all records, in the order of the files; frames are not decoded."""
    with Progress("reading labels", len(paths), "file") as progress:
        for done, path in enumerate(paths, 1):
            records = tfrecord.read_records(path, decoder.damage)
            for batch in order.batched(records, 1024):
                yield decoder.decode([path], *zip(*batch, strict=True))
            progress.update(done)
