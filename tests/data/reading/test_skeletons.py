"""Records whose skeleton is known decode as if each were walked."""

import re

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.helpers.decoding import decode_records
from youtube8m.config import DataConfig
from youtube8m.data.reading import messages, pipeline
from youtube8m.data.reading.damage import Damage
from youtube8m.data.reading.messages import RecordError
from youtube8m.data.reading.skeletons import Skeletons
from youtube8m.errors import OneLineError, UserError

CONFIG = DataConfig(("a", "b"), (2, 1), num_classes=300)
FLOATS, INTEGERS = np.array([1.5, -2], "<f4"), [3, 299, 3]


def varint(value):
    groups = bytearray()
    while value >= 0x80:
        groups.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes((*groups, value))


def field(number, content):
    return bytes([number << 3 | 2]) + varint(len(content)) + content


def entry(key, feature):
    return field(1, field(1, key) + field(2, feature))


def texts(*values):
    return field(1, b"".join(field(1, value) for value in values))


def floats(values):
    return field(2, field(1, np.asarray(values, "<f4").tobytes()))


def integers(values):
    return field(3, field(1, b"".join(map(varint, values))))


USUAL = {
    b"id": texts(b"ab,\xff"),
    b"labels": integers(INTEGERS),
    b"a": floats(FLOATS),
    b"b": floats([3]),
}


def record(features=USUAL, keys=None):
    entries = [entry(key, features[key]) for key in keys or features]
    return field(1, b"".join(entries))


def unpacked(number, tag, values):
    return field(number, b"".join(bytes([tag]) + value for value in values))


def variant(**features):
    return record({**USUAL, **{key.encode(): value for key, value in features.items()}})


RUNS = field(2, field(1, FLOATS[:1].tobytes()) + field(1, FLOATS[1:].tobytes()))
SWAPPED = field(1, field(2, floats([3])) + field(1, b"b"))
RECORDS = {
    "usual": record(),
    "other order": record(keys=[b"b", b"labels", b"a", b"id"]),
    "repeated keys": record(keys=[*USUAL, b"a", b"id"]),
    "video_id": variant(id=texts(b""), video_id=texts(b"other")),
    "two ids": variant(video_id=texts(b"x"), clip=texts(b"y")),
    "several ids": variant(id=texts(b"x", b"y")),
    "no labels": record(keys=[b"id", b"a", b"b"]),
    "empty labels": variant(labels=integers([])),
    "MediaPipe": variant(**{"labels": integers([]), "clip/label/index": integers([2])}),
    "unpacked": variant(
        labels=unpacked(3, 8, map(varint, INTEGERS)),
        a=unpacked(2, 13, [value.tobytes() for value in FLOATS]),
    ),
    "two runs": variant(a=RUNS),
    "two lists": variant(b=floats([3]) + field(2, b"")),
    "value before key": record(keys=[b"id", b"labels", b"a"]) + field(1, SWAPPED),
    "two maps": record(keys=[b"id", b"a"]) + record(keys=[b"labels", b"b"]),
    "unknown fields": b"\x18\x07" + record() + field(5, b"xyz"),
    "long lengths": record().replace(b"\x0a\x02id", b"\x0a\x82\x00id"),
    "feature lists": record() + field(2, entry(b"rgb", b"")),
    "no value": record() + field(1, field(1, field(1, b"other"))),
}


def new_decoder(labels=True, damage=None, ids=None, config=CONFIG):
    return pipeline.decoder_for(config, labels, damage or Damage(), ids=ids)


def outcome(decoder, data):
    """The bytes of all that a record gives, or its error."""
    try:
        (example,) = decoder.parse(memoryview(data))
    except OneLineError as error:
        return type(error), str(error)
    features = example.pop("features")
    return str(features.dtype), features.tobytes(), [*example.items()]


def same(decoder, data, labels=True):
    assert outcome(decoder, data) == outcome(new_decoder(labels), data), data.hex()


@pytest.fixture
def walked(monkeypatch):
    """The records that are walked from here on."""
    found, split = [], messages.split_sequence_example

    def spy(data):
        found.append(bytes(data))
        return split(data)

    monkeypatch.setattr(messages, "split_sequence_example", spy)
    return found


def neighbours(data):
    """The record with each byte changed in some ways, left out, or doubled."""
    for at, byte in enumerate(data):
        others = {byte ^ 1 << bit for bit in range(8)} | {0, 255, byte - 1 & 255}
        for other in (*map(bytes, zip(others)), b"", bytes([byte, byte])):
            yield data[:at] + other + data[at + 1 :]


QUICK = ["usual", "repeated keys"]


@pytest.mark.parametrize("labels", [True, pytest.param(False, marks=pytest.mark.slow)])
@pytest.mark.parametrize(
    "name",
    [
        *QUICK,
        *(pytest.param(n, marks=pytest.mark.slow) for n in RECORDS if n not in QUICK),
    ],
)
def test_neighbours_of_a_known_record(name, labels):
    decoder = new_decoder(labels)
    same(decoder, RECORDS[name], labels)
    for data in neighbours(RECORDS[name]):
        same(decoder, data, labels)


NEVER_KNOWN = {
    "video_id",  # the first key is empty
    "MediaPipe",
    "empty labels",
    "several ids",
    "unpacked",
    "two runs",
    "two lists",
}


@pytest.mark.parametrize("name", RECORDS)
def test_what_is_not_walked_again(name, walked):
    """Other values are no other skeleton."""
    decoder, first = new_decoder(), RECORDS[name]
    for text, run in (
        (b"ab,", FLOATS.tobytes()),
        (b"xyz", bytes(8)),
        (b"\n\n\n", bytes(8)),
    ):
        data = text.join(first.rsplit(b"ab,", 1))  # of equal keys the last one counts
        data = run.join(data.rsplit(FLOATS.tobytes(), 1))
        outcome(decoder, data)
    refused = outcome(decoder, data)[0] is RecordError
    again = name in NEVER_KNOWN or refused
    assert len(walked) == (4 if again else 1)


@pytest.mark.parametrize("key", [b"labels", b"video_id", b"label names"])
def test_what_is_not_asked_for_may_differ(key, walked):
    decoder = new_decoder(labels=False)
    for value in (b"one", b"two"):
        assert outcome(decoder, record({**USUAL, key: texts(value)}))[0] == "float32"
    assert len(walked) == 1


def test_a_known_record_with_a_fault_is_walked(walked):
    decoder = new_decoder()
    outcome(decoder, record())
    infinite = {**USUAL, b"a": floats([1, -np.inf])}
    beyond = {**USUAL, b"labels": integers([3, 300, 3])}
    cut = {**USUAL, b"labels": field(3, field(1, b"\x03\xab\x02\xff"))}
    found = [outcome(decoder, record(each)) for each in (infinite, beyond, cut)]
    assert found[0] == (RecordError, "feature 'a' holds values that are not finite")
    assert found[1][0] is UserError and "entry 300" in found[1][1]
    assert found[2] == (
        RecordError,
        "feature 'labels' is not a valid protocol buffer",
    )
    assert len(walked) == 4


def test_a_known_record_with_an_id_that_is_refused():
    decoder = new_decoder(ids=re.compile(rb"[a-z]*"))
    outcome(decoder, variant(id=texts(b"abcd")))
    kind, message = outcome(decoder, record())
    assert kind is RecordError and r"has the id 'ab,\\xff', which" in message


lists = st.lists(st.integers(0, 310), max_size=4)
numbers = st.sampled_from([0, 1.5, -3, np.nan, np.inf])
features = st.fixed_dictionaries(
    {},
    optional={
        b"id": st.binary(max_size=3).map(texts),
        b"labels": lists.map(integers)
        | lists.map(lambda ids: texts(*map(varint, ids))),
        b"a": st.lists(numbers, min_size=2, max_size=2).map(floats),
        b"b": st.sampled_from([floats([1]), floats([2]), floats([]), RUNS]),
        b"video_id": st.binary(max_size=2).map(texts),
        b"clip/label/index": lists.map(integers),
        b"other": st.binary(max_size=4),
    },
)
keys = st.lists(st.sampled_from([*USUAL]), max_size=2)
patches = st.lists(st.tuples(st.integers(0, 99), st.binary(max_size=3)), max_size=2)


@st.composite
def records(draw):
    chosen = {**USUAL, **draw(features)}
    order = draw(st.permutations([*chosen])) if draw(st.booleans()) else [*chosen]
    data = record(chosen, [*order, *draw(keys)])
    for at, patch in draw(patches):
        data = data[:at] + patch + data[at + len(patch) * draw(st.integers(0, 1)) :]
    return data


@pytest.mark.parametrize("count", [10, pytest.param(400, marks=pytest.mark.slow)])
def test_any_records_in_any_order(count):
    @settings(
        max_examples=count,
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(st.lists(records(), min_size=1, max_size=12), st.booleans())
    def check(data, labels):
        decode_in_turn(data, labels)

    check()


def decode_in_turn(data, labels):
    decoder = new_decoder(labels)
    for each in (record(), *data, *data):
        same(decoder, each, labels)


def test_batches_and_reports_are_those_of_walking(monkeypatch):
    usable = [*RECORDS.values(), *neighbours(record())][::2]
    usable = [data for data in usable if outcome(new_decoder(), data)[0] != UserError]

    def decode():
        damage = Damage()
        batch = decode_records(new_decoder(damage=damage), usable)
        return {key: value.tolist() for key, value in batch.items()}, damage.reports

    found = decode()
    monkeypatch.setattr(Skeletons, "split", lambda *_: None)
    assert decode() == found
    assert len(found[0]["id"]) > 100 and len(found[1]["x.tfrecord"]) > 100


def test_skeletons_are_limited():
    skeletons, learned = Skeletons(), 0
    for number in range(3000):
        data = b"%08d" % (number // 20) + b"value" * 2 + b"%08d" % number
        if skeletons.wants(data):
            skeletons.learn(data, [(8, 13), (13, 18)])
            learned += 1
            assert skeletons.split(data) == (b"value", b"value")
    assert 1000 < learned < 1100
    skeletons, large = Skeletons(), bytes(5000)
    skeletons.learn(large, [(8, 13), (13, 18)])
    assert skeletons.split(large) is None
