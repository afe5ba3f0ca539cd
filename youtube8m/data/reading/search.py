"""Finding the records of one video by its id.

for path, index, record in find_records(shards, b"aAbc"): ...
"""

from typing import NamedTuple

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
    keys, found, done = layouts.id_keys(shards.config), [], 0
    with Progress("looking for the video", shards.estimated_records) as progress:
        for path in shards.paths:
            for location, record in tfrecord.read_records(path, shards.damage):
                progress.update(done := done + 1)
                # To look for the bytes is much faster than to read the id of each.
                if video_id in record and _id(record, keys) == video_id:
                    found.append(FoundRecord(path, location.index, record))
    shards.damage.check()
    return found


def _id(record, keys):
    """The id of a record; None if it has none."""
    try:
        context, _ = messages.split_sequence_example(record)
        spans = [context[key] for key in keys if key in context]
        values = [messages.byte_strings(record, span) for span in spans]
    except RecordError:
        return None
    return next((value[0] for value in values if len(value) == 1 and value[0]), None)
