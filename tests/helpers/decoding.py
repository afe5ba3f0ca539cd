"""Decoding records that lie in no file."""

import numpy as np

from youtube8m.data.reading.decoding import Decoder
from youtube8m.data.reading.tfrecord import Location


def decode_records(
    decoder: Decoder,
    records: list[bytes],
    draws: np.ndarray | None = None,
    path: str = "x.tfrecord",
) -> dict[str, np.ndarray]:
    """One batch of the records, as if they were all that `path` holds."""
    locations = [Location(0, 0, 0, i, 0, len(data)) for i, data in enumerate(records)]
    return decoder.decode([path], locations, records, draws)
