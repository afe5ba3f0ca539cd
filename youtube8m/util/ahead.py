"""Computing the next results while the last one is used.

for result in computed_ahead(predict, batches, 2): write(result)
"""

import collections
import itertools
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


def computed_ahead(
    function: Callable[[Item], Result], items: Iterable[Item], count: int = 1
) -> Iterator[Result]:
    """Yields the result for each item, in order.

    While a result is used, `count` items are held and computed, each in a thread. Items
    are taken in the caller's thread. An error of the function or the items ends it all.
    """
    items = iter(items)
    with ThreadPoolExecutor(count) as threads:
        start = (threads.submit(function, item) for item in items)
        running = collections.deque(itertools.islice(start, count))
        while running:
            result = running.popleft().result()
            running.extend(itertools.islice(start, 1))
            yield result
