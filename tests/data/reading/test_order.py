"""Orders are functions of their arguments: complete, random, and the same again."""

import collections

import pytest

from youtube8m.data.reading import order


@pytest.mark.parametrize("count", [0, 1, 2, 50])
def test_permutations_hold_each_number_once(count):
    found = order.permutation(count, 3)
    assert sorted(found) == list(range(count))
    assert found == order.permutation(count, 3)
    assert count < 50 or found != order.permutation(count, 4)


def test_sources_take_turns_and_make_room():
    sources = [iter("aaa"), iter("b"), iter(""), iter("cc"), iter("d")]
    assert "".join(order.in_turns(sources, 2)) == "abaacdc"
    assert "".join(order.in_turns([iter("ab"), iter("cd")], 1)) == "abcd"
    assert list(order.in_turns([], 3)) == []


@pytest.mark.parametrize("buffer", [1, 7, 100, 1000])
def test_shuffled_items_come_once_from_within_the_buffer(buffer):
    found = list(order.shuffled(range(100), buffer, seed=5))
    assert sorted(found) == list(range(100))
    assert all(item < place + buffer for place, item in enumerate(found))
    assert found == list(order.shuffled(range(100), buffer, seed=5))
    assert (buffer == 1) == (found == list(range(100)))


def test_every_place_is_as_likely():
    """Where item 0 of 4 comes, over 4000 seeds: 1000 +- 27 times at each place."""
    places = collections.Counter(
        list(order.shuffled(range(4), 4, seed)).index(0) for seed in range(4000)
    )
    assert all(abs(places[place] - 1000) < 6 * 27 for place in range(4))


def test_batches_and_shares():
    assert list(order.batched(range(7), 3)) == [[0, 1, 2], [3, 4, 5], [6]]
    for count in (0, 1, 5, 8):
        parts = [range(count)[order.share(count, i, 3)] for i in range(3)]
        assert [x for part in parts for x in part] == list(range(count))
        assert max(map(len, parts)) - min(map(len, parts)) <= 1
