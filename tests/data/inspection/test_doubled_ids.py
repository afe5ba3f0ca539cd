"""Which ids are doubled, and where, against a dict."""

import collections
import random

from youtube8m.data.inspection.doubled_ids import DoubledIds


def test_doubled_ids_are_those_that_a_dict_finds():
    draw, ids = random.Random(0), DoubledIds()
    places, count = collections.defaultdict(list), 0
    for file in range(5):
        ids.begin_file()
        for offset in range(0, 3000, 100):
            name = str(draw.randrange(120)).encode()
            ids.add(name, offset)
            places[name].append((file, offset))
            count += 1
    several = sorted(found for found in places.values() if len(found) > 1)
    assert len(several) > 20
    doubled, found = ids.find(10)
    assert doubled == count - len(places)
    assert found == several[:10]


def test_files_without_records_have_no_place():
    ids = DoubledIds()
    for own in ([], [b"a"], [], [b"a", b"b"], []):
        ids.begin_file()
        for number, name in enumerate(own):
            ids.add(name, number)
    assert ids.find(5) == (1, [[(1, 0), (3, 0)]])


def test_none_of_none():
    assert DoubledIds().find(5) == (0, [])
