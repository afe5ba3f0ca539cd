"""Finding the records of one video by its id.

for path, index, record in find_records(shards, b"aAbc"): ...
"""

import contextlib
from typing import NamedTuple

from youtube8m.config import DataConfig
from youtube8m.data.reading import layouts, messages, tfrecord
from youtube8m.data.reading.messages import RecordError
from youtube8m.data.reading.pipeline import Shards
from youtube8m.util.progress import Progress


class FoundRecord(NamedTuple):
    """A record, and where it is."""

    path: str
    index: int  # in its file
    record: bytes


def find_records(shards: Shards, video_id: bytes) -> list[FoundRecord]:
    """All records with this id; every shard is read to its end.

    Damaged records are reported to the shards' damage. Raises UserError if they end it.
    """
    found, done = [], 0
    with Progress("looking for the video", shards.estimated_records) as progress:
        for path in shards.paths:
            for location, record in tfrecord.read_records(path, shards.damage):
                progress.update(done := done + 1)
                # To look for the bytes is much faster than to read the id of each.
                if video_id in record and id_of(record, shards.config) == video_id:
                    found.append(FoundRecord(path, location.index, record))
    shards.damage.check()
    return found


def id_of(record: messages.Buffer, config: DataConfig) -> bytes:
    """The id of a record; b"" if it has none."""
    with contextlib.suppress(RecordError):
        context, _ = messages.split_sequence_example(record)
        for key in layouts.id_keys(config):
            if key in context:
                values = messages.byte_strings(record, context[key])
                if len(values) == 1 and values[0]:
                    return values[0]
    return b""
