"""Ids that several records have, among millions, in 16 bytes a record.

ids = DoubledIds()
ids.add(b"aAbc", offset)                    # in the order of the records
ids.begin_file()                            # before those of the next file
for places in ids.find(): ...               # [(file, offset), ...] of one id
"""

import array
import bisect
from collections.abc import Iterable, Sequence

import numpy as np


class DoubledIds:
    """The hashes of ids, and where their records are.

    Two ids of n have one hash by chance with a probability of n^2 / 2^65.
    """

    def __init__(self):
        self._hashes = array.array("q")
        self._offsets = array.array("q")
        self._starts: list[int] = []  # of each file, the number of its first record

    def begin_file(self) -> None:
        """What is added from now on is of the next file."""
        self._starts.append(len(self._hashes))

    def add(self, video_id: bytes, offset: int) -> None:
        """Adds the id of one more record of the file."""
        self._hashes.append(hash(video_id))
        self._offsets.append(offset)

    def add_many(self, ids: Sequence[bytes], offsets: Iterable[int]) -> None:
        """Adds the ids of some more records of the file."""
        self._hashes.extend(map(hash, ids))
        self._offsets.extend(offsets)

    def find(self, most: int) -> tuple[int, list[list[tuple[int, int]]]]:
        """How many records have an id that an earlier one has, and where some are.

        Returns:
          their number, and for `most` ids the (file, offset) of each of their records,
          those that occur first.
        """
        hashes = np.frombuffer(self._hashes, np.int64)
        if not len(hashes):
            return 0, []
        order = np.argsort(hashes, kind="stable")
        ordered = hashes[order]
        starts = np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]])
        sizes = np.diff(np.r_[starts, len(ordered)])
        several = sizes > 1
        groups = sorted(
            order[start : start + size].tolist()
            for start, size in zip(
                starts[several][: 100 * most], sizes[several], strict=False
            )
        )
        groups = groups[:most]
        places = [sorted(self._place(number) for number in one) for one in groups]
        return len(hashes) - len(starts), places

    def _place(self, number):
        return bisect.bisect(self._starts, number) - 1, self._offsets[number]
