"""Messages read by wire format are what protobuf's own classes read."""

import time

import numpy as np
import pytest
import tensorflow as tf

from youtube8m.data.reading import frame_decoding, messages
from youtube8m.data.reading.messages import RecordError

READERS = {
    "bytes_list": messages.byte_strings,
    "float_list": messages.floats,
    "int64_list": messages.integers,
}


def varint(value):
    """The definition: groups of seven bits, the lowest first."""
    groups = []
    while True:
        groups.append(value & 0x7F)
        value >>= 7
        if not value:
            return bytes([g | 0x80 for g in groups[:-1]] + groups[-1:])


def field(number, payload):
    """A length-delimited field."""
    return varint(number << 3 | 2) + varint(len(payload)) + payload


def random_values(rng, kind):
    count = int(rng.choice([0, 1, 2, 40]))
    if kind == "bytes_list":
        return [rng.bytes(int(rng.choice([0, 1, 130, 20000]))) for _ in range(count)]
    if kind == "float_list":
        return rng.normal(size=count).astype(np.float32).tolist()
    widths = rng.integers(0, 64, count)  # so that varints of all lengths occur
    return [int(rng.choice([-1, 1])) * int(rng.integers(0, 2 ** int(w) or 1))
            for w in widths]  # fmt: skip


def random_sequence_example(rng):
    example = tf.train.SequenceExample()
    for _ in range(int(rng.integers(0, 6))):
        key = "".join(rng.choice(list("abcé"), int(rng.integers(0, 4))))
        kind = str(rng.choice([*READERS, "none"]))
        feature = example.context.feature[key]
        if kind != "none":
            feature.Clear()
            getattr(feature, kind).value.extend(random_values(rng, kind))
    for name in rng.permutation(["rgb", "audio", "other"])[: rng.integers(0, 4)]:
        rows = example.feature_lists.feature_list[name].feature
        size = int(rng.choice([1, 7, 128, 1024]))
        for _ in range(int(rng.choice([0, 1, 2, 30]))):
            uneven = rng.random() < 0.05
            rows.add().bytes_list.value.append(rng.bytes(size + uneven))
    return example


def expected_rows(feature_list, size):
    """uint8 [T, size], or None where a frame is not one string of that size."""
    frames = [list(row.bytes_list.value) for row in feature_list.feature]
    if any(len(frame) != 1 or len(frame[0]) != size for frame in frames):
        return None
    joined = b"".join(frame[0] for frame in frames)
    return np.frombuffer(joined, np.uint8).reshape(len(frames), size)


def check_rows(record, span, feature_list):
    sizes = {len(v) for f in feature_list.feature for v in f.bytes_list.value} or {8}
    for size in sizes | {3}:
        expected = expected_rows(feature_list, size)
        if expected is None:
            with pytest.raises(RecordError, match=f"where {size} belong"):
                frame_decoding.byte_rows(record, span, size)
        else:
            found = frame_decoding.byte_rows(record, span, size)
            assert found.dtype == np.uint8
            np.testing.assert_array_equal(found, expected)


def check_context(record, context, features):
    assert context.keys() == features.keys()
    for key, feature in features.items():
        kind = feature.WhichOneof("kind")
        for name, reader in READERS.items():
            if kind in (None, name):
                found = reader(record, context[key])
                assert list(found) == list(getattr(feature, name).value)
            else:
                with pytest.raises(RecordError, match=f"{kind} where a {name}"):
                    reader(record, context[key])


def test_random_sequence_examples_are_read_as_by_protobuf():
    rng = np.random.default_rng(0)
    for _ in range(150):
        example = random_sequence_example(rng)
        record = example.SerializeToString()  # map order is left to chance
        context, lists = messages.split_sequence_example(record)
        check_context(record, context, example.context.feature)
        assert lists.keys() == example.feature_lists.feature_list.keys()
        for name, feature_list in example.feature_lists.feature_list.items():
            check_rows(record, lists[name], feature_list)


def test_examples_split_into_features_alone():
    rng = np.random.default_rng(1)
    for _ in range(50):
        features = random_sequence_example(rng).context
        record = tf.train.Example(features=features).SerializeToString()
        context, lists = messages.split_sequence_example(record)
        assert lists == {}
        check_context(record, context, features.feature)


def test_an_empty_message_holds_nothing():
    assert messages.split_sequence_example(b"") == ({}, {})


def context_of(feature: bytes):
    """A record whose context maps 'x' to a serialised Feature."""
    entry = field(1, b"x") + field(2, feature)
    return field(1, field(1, entry))


@pytest.mark.parametrize("packed", [True, False])
def test_packed_and_unpacked_numbers(packed):
    values = [0, 1, 127, 128, -1, -(2**63), 2**63 - 1]
    encoded = [varint(v % 2**64) for v in values]
    floats = np.array([0.0, -1.5, 3e38, np.inf], "<f4")
    if packed:
        integer_list = field(1, b"".join(encoded))
        float_list = field(1, floats.tobytes())
    else:
        integer_list = b"".join(varint(1 << 3) + value for value in encoded)
        float_list = b"".join(varint(1 << 3 | 5) + f.tobytes() for f in floats)
    for number, payload, reader, expected in (
        (3, integer_list, messages.integers, values),
        (2, float_list, messages.floats, floats.tolist()),
    ):
        record = context_of(field(number, payload))
        parsed = tf.train.SequenceExample.FromString(record).context.feature["x"]
        kind = parsed.WhichOneof("kind")
        assert list(getattr(parsed, kind).value) == expected  # the oracle agrees
        context, _ = messages.split_sequence_example(record)
        assert list(reader(record, context["x"])) == expected


def test_integers_of_more_than_64_bits_lose_the_excess_as_in_protobuf():
    too_long = b"\xff" * 9 + b"\x7f"  # seventy bits, all set
    record = context_of(field(3, field(1, too_long)))
    parsed = tf.train.SequenceExample.FromString(record)
    assert list(parsed.context.feature["x"].int64_list.value) == [-1]
    context, _ = messages.split_sequence_example(record)
    assert messages.integers(record, context["x"]) == [-1]


def test_values_of_another_wire_type_are_refused():
    """A number where a string belongs must not be taken for its bytes."""
    as_varint, as_fixed64 = b"\x08\x05", b"\x09" + bytes(8)
    for number, reader in ((1, messages.byte_strings), (2, messages.floats)):
        for value in (as_varint, as_fixed64):
            record = context_of(field(number, value))
            context, _ = messages.split_sequence_example(record)
            with pytest.raises(RecordError, match="not a valid"):
                reader(record, context["x"])


def test_unknown_fields_are_passed_over():
    unknown = [
        varint(9 << 3) + varint(300),
        varint(10 << 3 | 1) + bytes(8),
        varint(2000 << 3 | 2) + varint(3) + b"abc",
        varint(11 << 3 | 5) + bytes(4),
    ]
    noise = b"".join(unknown)
    frame = field(1, noise + field(1, field(1, b"four")))  # one of the rows
    feature_list = field(1, b"rgb") + noise + field(2, noise + frame + frame)
    entry = noise + field(1, b"id") + field(2, noise + field(1, noise + field(1, b"v")))
    record = (
        noise + field(1, noise + field(1, entry)) + field(2, field(1, feature_list))
    )
    tf.train.SequenceExample.FromString(record)  # valid to protobuf, too
    context, lists = messages.split_sequence_example(record)
    assert messages.byte_strings(record, context["id"]) == [b"v"]
    rows = frame_decoding.byte_rows(record, lists["rgb"], 4)
    assert rows.tolist() == [list(b"four")] * 2


def test_the_last_of_two_entries_of_one_key_counts():
    entries = [
        field(1, field(1, b"x") + field(2, field(1, field(1, value))))
        for value in (b"first", b"last")
    ]
    for record in (field(1, b"".join(entries)), b"".join(field(1, e) for e in entries)):
        parsed = tf.train.SequenceExample.FromString(record).context.feature["x"]
        assert list(parsed.bytes_list.value) == [b"last"]
        context, _ = messages.split_sequence_example(record)
        assert messages.byte_strings(record, context["x"]) == [b"last"]


def test_a_frame_of_several_strings_is_refused():
    example = tf.train.SequenceExample()
    row = example.feature_lists.feature_list["rgb"].feature.add()
    row.bytes_list.value.extend([b"ab", b"cd"])
    record = example.SerializeToString()
    _, lists = messages.split_sequence_example(record)
    with pytest.raises(RecordError, match="no single value"):
        frame_decoding.byte_rows(record, lists["rgb"], 2)


def test_uniform_frames_are_views_of_the_record():
    example = tf.train.SequenceExample()
    for frame in (b"abc", b"def"):
        rows = example.feature_lists.feature_list["rgb"].feature
        rows.add().bytes_list.value.append(frame)
    record = example.SerializeToString()
    _, lists = messages.split_sequence_example(record)
    rows = frame_decoding.byte_rows(record, lists["rgb"], 3)
    assert np.shares_memory(rows, np.frombuffer(record, np.uint8))


def read_everything(record):
    context, lists = messages.split_sequence_example(record)
    for reader in READERS.values():
        for span in context.values():
            try:
                reader(record, span)
            except RecordError:
                continue
    for span in lists.values():
        frame_decoding.byte_rows(record, span, 7)


def sample_record(rng):
    example = tf.train.SequenceExample()
    feature = example.context.feature
    feature["id"].bytes_list.value.append(b"abcd")
    feature["labels"].int64_list.value.extend([3, 300, -5])
    feature["scores"].float_list.value.extend([1.0, 0.5])
    for _ in range(6):
        rows = example.feature_lists.feature_list["rgb"].feature
        rows.add().bytes_list.value.append(rng.bytes(7))
    return example.SerializeToString(deterministic=True)


def test_damaged_messages_give_a_result_or_a_record_error():
    rng = np.random.default_rng(2)
    record = sample_record(rng)
    damaged = [record[:length] for length in range(len(record))]
    for _ in range(600):
        copy = bytearray(record)
        for place in rng.integers(0, len(copy), rng.integers(1, 4)):
            copy[place] ^= 1 << rng.integers(8)
        damaged.append(bytes(copy))
    damaged += [rng.bytes(int(rng.integers(1, 60))) for _ in range(300)]
    started, refused = time.thread_time(), 0
    for message in damaged:
        try:
            read_everything(message)
        except RecordError:
            refused += 1
    assert 100 < refused < len(damaged)
    assert time.thread_time() - started < 10


@pytest.mark.parametrize("length", [2**31, 2**40, 2**63, 2**64 - 1])
def test_huge_declared_lengths_are_refused_without_being_allocated(length):
    for start in (b"\x0a", b"\x12", field(1, b"")[:1] + b"\x0a\x0a"):
        with pytest.raises(RecordError, match="cut short|not a valid"):
            messages.split_sequence_example(start + varint(length) + b"abc")
    with pytest.raises(RecordError, match="not a valid"):
        messages.split_sequence_example(b"\x0a" + b"\xff" * 11)
