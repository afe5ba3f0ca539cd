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


def test_no_more_sources_are_open_than_take_turns():
    opened = []

    def source(name, count):
        opened.append(name)
        for _ in range(count):
            yield name, len(opened)

    counts = {"a": 1, "b": 4, "c": 1, "d": 1, "e": 3}
    sources = (source(name, count) for name, count in counts.items())
    found = list(order.in_turns(sources, 2))
    assert "".join(name for name, _ in found) == "abbcbbdeee"
    assert [count for _, count in found] == [1, 2, 2, 3, 3, 3, 4, 5, 5, 5]


# A run that is resumed reads on where it stopped only if these never change.


def test_permutations_of_a_seed():
    assert order.permutation(8, 0) == [1, 4, 5, 7, 6, 0, 3, 2]
    assert order.permutation(8, 1) == [6, 0, 7, 3, 5, 2, 4, 1]
    assert order.permutation(8, -1) == [4, 3, 7, 5, 2, 0, 1, 6]


def test_shuffled_items_of_a_seed():
    first, second = (list(order.shuffled(range(12), 4, seed)) for seed in (0, 7))
    assert first == [3, 4, 0, 6, 2, 8, 5, 10, 9, 1, 7, 11]
    assert second == [2, 3, 4, 6, 1, 5, 7, 0, 10, 8, 11, 9]
    long = list(order.shuffled(range(2100), 3, seed=5))
    behind_the_first_block_of_draws = long[1020:1030]
    assert behind_the_first_block_of_draws == [
        *(1022, 1018, 1023, 1025, 1020, 1026, 1028, 1024, 1029, 1030)
    ]
    assert long[-6:] == [2096, 2097, 2098, 2099, 2095, 2092]


def test_draws_do_not_depend_on_how_many_are_computed_at_once(monkeypatch):
    expected = list(order.shuffled(range(60), 5, seed=2))
    monkeypatch.setattr(order, "_DRAWS", 7)
    assert list(order.shuffled(range(60), 5, seed=2)) == expected
