"""Where the values of a record are, known from a record like it.

    skeletons = Skeletons()
    if skeletons.wants(record):
        skeletons.learn(record, spans)   # of its values, found by walking
    skeletons.split(another)             # the bytes of each, or None: it must be walked

The skeleton of a record is what lies outside of its values: keys, types and lengths. To
walk a record is to read its skeleton alone, so where two records have the same, values
are at the same places. A shard has some dozens of skeletons, as videos differ in their
number of labels, and keys in their order.
"""

import itertools
import operator
import struct
from collections.abc import Callable, Iterable
from typing import NamedTuple

from youtube8m.data.reading.messages import Buffer, Span

_START = 8  # bytes that tell the first key; no value begins in them
# To learn one takes as long as to walk a record: where all differ, it must end.
_MOST = 1024  # skeletons
_ALIKE = 8  # of one length and start
_LARGEST = 1024  # bytes of one


class Skeletons:
    """Those of the records that were walked; several threads may share them."""

    def __init__(self):
        self._known: dict[tuple[int, bytes], list[_Skeleton]] = {}
        self._room = _MOST

    def split(self, record: Buffer) -> tuple[bytes, ...] | None:
        """The values of a record, in the order of `learn`, if its skeleton is known."""
        for known in self._known.get(_key(record), ()):
            parts = known.unpack(record)
            if parts[::2] == known.between:
                return known.choose(parts)
        return None

    def wants(self, record: Buffer) -> bool:
        """Whether there is room for the skeleton of a record that was not known."""
        return self._room > 0 and len(self._known.get(_key(record), ())) < _ALIKE

    def learn(
        self, record: Buffer, values: list[Span], unread: Iterable[Span] = ()
    ) -> None:
        """Remembers the skeleton of a record.

        Args:
          values: two spans or more, of bytes that do not say where others are.
          unread: more such spans, whose bytes do not matter.
        """
        spans = sorted({*values, *unread})
        offsets = [0, *itertools.chain(*spans), len(record)]
        sizes = [end - start for start, end in itertools.pairwise(offsets)]
        self._room -= 1
        if sum(sizes[::2]) > _LARGEST:
            return
        unpack = struct.Struct("".join(map("{}s".format, sizes))).unpack
        choose = operator.itemgetter(*(2 * spans.index(span) + 1 for span in values))
        found = _Skeleton(unpack, unpack(record)[::2], choose)
        self._known.setdefault(_key(record), []).append(found)


class _Skeleton(NamedTuple):
    unpack: Callable  # parts of a record: what is between values, and these, in turns
    between: tuple[bytes, ...]
    choose: Callable  # the values, of all parts


def _key(record):
    return len(record), bytes(record[:_START])
