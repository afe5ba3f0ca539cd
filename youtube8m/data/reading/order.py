"""The order of the records of several files, and even parts of them.

    files = permutation(len(paths), seed)
    turns = in_turns((walk(file) for file in files), width=8)
    for location in shuffled(turns, buffer=640, seed=seed): ...
    rows = batch[share(len(batch), index=0, shares=2)]

Results depend on the arguments alone, on every machine and in every version.
"""

import collections
import itertools
from collections.abc import Iterable, Iterator

import numpy as np

from youtube8m.data.reading import frame_sampling

_DRAWS = 1024  # computed at once


def permutation(count: int, seed: int) -> list[int]:
    """0 .. count - 1 in random order."""
    return np.argsort(frame_sampling.draws(seed, range(count)), kind="stable").tolist()


def in_turns(sources: Iterable[Iterator], width: int) -> Iterator:
    """The items of all sources; `width` at a time take turns.

    The next source takes the turns of one that ends.
    """
    waiting = iter(sources)
    active = collections.deque(itertools.islice(waiting, width))
    while active:
        source = active.popleft()
        for item in source:
            yield item
            active.append(source)
            break
        else:
            active.extend(itertools.islice(waiting, 1))


def shuffled(items: Iterable, buffer: int, seed: int) -> Iterator:
    """The items in random order, each drawn from the next `buffer` items."""
    draws, waiting = _endless_draws(seed), []
    for item in items:
        if len(waiting) < buffer:
            waiting.append(item)
            continue
        chosen = next(draws) % buffer
        yield waiting[chosen]
        waiting[chosen] = item
    while waiting:
        chosen = next(draws) % len(waiting)
        waiting[chosen], waiting[-1] = waiting[-1], waiting[chosen]
        yield waiting.pop()


def _endless_draws(seed):
    for start in itertools.count(0, _DRAWS):
        yield from frame_sampling.draws(seed, range(start, start + _DRAWS)).tolist()


def batched(items: Iterable, size: int) -> Iterator[list]:
    """Lists of `size` items; the last one may be shorter."""
    items = iter(items)
    while batch := list(itertools.islice(items, size)):
        yield batch


def share(count: int, index: int, shares: int) -> slice:
    """The `index`-th of `shares` even, contiguous parts of `count` things."""
    return slice(count * index // shares, count * (index + 1) // shares)
