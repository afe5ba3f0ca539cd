"""Shards are read in order, and outlive damage with nothing more lost."""

import bz2
import itertools
import lzma
import os
import re
import shutil
import struct
import tempfile

import numpy as np
import pytest

from youtube8m.config import DataConfig
from youtube8m.data.reading import tfrecord
from youtube8m.data.reading.damage import Damage
from youtube8m.data.reading.pipeline import Shards
from youtube8m.data.writing.records import frame_example, video_example, write_records
from youtube8m.errors import UserError

COUNT, SIZE = 40, 100  # records of a file, bytes of each
FULL = 12 + SIZE + 4  # with length and checksums


def record(file, index):
    """SIZE bytes that tell which record this is; no run of zeros like a length."""
    noise = np.random.default_rng([file, index]).integers(1, 256, SIZE, np.uint8)
    return (f"{file}:{index:03}|".encode() + noise.tobytes())[:SIZE]


@pytest.fixture
def files(tmp_path):
    """Three files, of which the last is shorter than the others."""
    paths = [str(tmp_path / f"{name}.tfrecord") for name in "abc"]
    for file, path in enumerate(paths):
        count = COUNT if file < 2 else 3
        write_records(path, [record(file, index) for index in range(count)])
    return paths


def read(paths, damage=None):
    """[((file, index), record), ...] in the order of reading."""
    damage = Damage() if damage is None else damage
    return [
        ((file, index), data)
        for file, path in enumerate(paths)
        for (_, _, _, index, _, _), data in tfrecord.read_records(path, damage)
    ]


def payloads(path, damage):
    return [data for _, data in read([path], damage)]


def reports(damage):
    return {what for found in damage.reports.values() for what in found}


def overwrite(path, offset, data):
    with open(path, "r+b") as file:
        file.seek(offset)
        file.write(data)


def flip(path, offset, bit=3):
    with open(path, "rb") as file:
        file.seek(offset)
        (byte,) = file.read(1)
    overwrite(path, offset, bytes([byte ^ 1 << bit]))


# Reading sound files.


def everything():
    lengths = (COUNT, COUNT, 3)
    return {
        (file, index): record(file, index)
        for file, length in enumerate(lengths)
        for index in range(length)
    }


def test_every_record_comes_once_in_order(files):
    damage = Damage(strict=True)
    found = read(files, damage)
    assert dict(found) == everything() and len(found) == 2 * COUNT + 3
    assert [key for key, _ in found] == list(everything())
    assert damage.lost == 0 and not reports(damage)
    damage.check()


def location(file, index):
    return tfrecord.Location(0, 0, file, index, index * FULL, SIZE)


def test_a_walk_tells_where_records_lie(files):
    found = list(tfrecord.walk(files[0], Damage(strict=True)))
    assert found == [(i, i * FULL, SIZE) for i in range(COUNT)]
    damage = Damage(strict=True)
    with tfrecord.RecordReader(files, damage) as reader:
        for file, index in ((1, 7), (0, 39), (1, 6), (2, 0)):
            data = reader.read(location(file, index))
            assert bytes(data) == record(file, index)


def test_a_file_that_changed_behind_the_walk_costs_its_records(files):
    damage = Damage()
    locations = [
        tfrecord.Location(0, 0, 0, *w) for w in tfrecord.walk(files[0], damage)
    ]
    os.truncate(files[0], 10 * FULL + 20)
    with tfrecord.RecordReader(files, damage) as reader:
        found = list(map(reader.read, locations))
        assert [data is None for data in found] == [False] * 10 + [True] * 30
    assert damage.lost == 30


def test_files_that_no_longer_open_are_told(files):
    damage = Damage()
    os.remove(files[1])
    with tfrecord.RecordReader(files, damage) as reader:
        for index in range(5):
            assert reader.read(location(1, index)) is None
    assert damage.lost == 5
    assert f"record 1 at byte {FULL} cannot be read (" in str(reports(damage))


def test_a_part_of_a_file_is_walked_and_told_alone(files):
    """Each record, and each piece of damage, is of the part in which it begins."""
    for index in (3, 10, 20, 39):
        flip(files[0], index * FULL)  # in its header
    found, told, edges = [], [], [-9, 1, 10 * FULL, 25 * FULL, 9e9]
    for start, stop in itertools.pairwise(edges):
        damage = Damage()
        walk = tfrecord.walk(files[0], damage, start, stop)
        found.append([index for index, *_ in walk])
        told.append(sorted(int(what.split()[1]) for what in reports(damage)))
    assert told == [[], [3], [10, 20], [39]]
    lost = [3, 10, 20, 39]
    assert sum(found, []) == [i for i in range(40) if i not in lost]
    assert found[0] == [0] and found[1] == [1, 2, *range(4, 10)]


def test_records_of_no_bytes_are_records(tmp_path):
    path = str(tmp_path / "x.tfrecord")
    write_records(path, [b"", b"one", b""])
    assert payloads(path, damage := Damage()) == [b"", b"one", b""]
    assert not reports(damage)


# Damage.


def test_truncation_anywhere_loses_the_cut_record_only(files):
    path, damage = files[0], None
    whole = open(path, "rb").read()
    inside = (1, 7, 8, 11, 12, 13, 12 + SIZE, FULL - 1)
    for kept, extra in [(0, n) for n in inside] + [(16, 5), (17, 60), (39, 100)]:
        with open(path, "wb") as file:
            file.write(whole[: kept * FULL + extra])
        damage = Damage()
        assert payloads(path, damage) == [record(0, i) for i in range(kept)]
        what = f"record {kept} at byte {kept * FULL} is damaged"
        (found,) = reports(damage)
        assert found == f"{what}, nothing readable in the last {extra} bytes"
        assert damage.lost == 1


def test_a_file_cut_between_records_is_shorter_not_damaged(files):
    os.truncate(files[0], 5 * FULL)
    damage = Damage(strict=True)
    assert payloads(files[0], damage) == [record(0, i) for i in range(5)]
    damage.check()


@pytest.mark.parametrize("index", [0, 15, 16, 20, COUNT - 1])
@pytest.mark.parametrize("place", [0, 3, 8, 12, 12 + SIZE // 2, 12 + SIZE, FULL - 1])
def test_a_flipped_bit_loses_one_record(files, index, place):
    """In the length, its checksum, the data or their checksum alike."""
    flip(files[0], index * FULL + place)
    damage = Damage()
    kept = [record(0, i) for i in range(COUNT) if i != index]
    assert payloads(files[0], damage) == kept
    (found,) = reports(damage)
    assert found.startswith(f"record {index} at byte {index * FULL} is damaged")
    assert damage.lost == 1


@pytest.mark.parametrize("size", [0, 1, SIZE])
@pytest.mark.parametrize("block", [5, 31, 4 << 20])
def test_the_last_record_behind_damage_is_read(tmp_path, monkeypatch, size, block):
    """Its end is that of the file, and no byte more follows its header's search."""
    monkeypatch.setattr(tfrecord, "_SEARCH_BLOCK", block)
    path, last = str(tmp_path / "x"), b"\xff" * size
    write_records(path, [b"first" * 9, b"\xff" * 21, last])
    flip(path, 16 + 45 + 2)  # the length of the second
    damage = Damage()
    assert payloads(path, damage) == [b"first" * 9, last]
    assert reports(damage) == {"record 1 at byte 61 is damaged"} and damage.lost == 1


def test_several_damaged_places_are_counted_each(files):
    for index, place in ((3, 50), (4, 2), (20, 9), (30, 60)):
        flip(files[0], index * FULL + place)
    damage = Damage()
    found = payloads(files[0], damage)
    assert found == [record(0, i) for i in range(COUNT) if i not in (3, 4, 20, 30)]
    where = {(int(what.split()[1]), int(what.split()[4])) for what in reports(damage)}
    assert where == {(i, i * FULL) for i in (3, 4, 20, 30)}
    assert damage.lost == 4


def test_random_damage_never_stops_the_reading(files):
    rng = np.random.default_rng(0)
    whole = open(files[0], "rb").read()
    sound = {record(0, i) for i in range(COUNT)}
    for _ in range(25):
        data = bytearray(whole)
        start = int(rng.integers(len(data)))
        noise = rng.bytes(int(rng.integers(1, 400)))
        data[start : start + len(noise)] = noise
        with open(files[0], "wb") as file:
            file.write(data)
        damage = Damage()
        found = payloads(files[0], damage)
        touched = -(-(len(noise) + FULL - 1) // FULL)
        assert len(found) >= COUNT - touched - 1
        assert set(found) <= sound and len(set(found)) == len(found)
        assert damage.lost > 0 or len(found) == COUNT


def test_the_search_for_the_next_record_crosses_blocks(files, monkeypatch):
    monkeypatch.setattr(tfrecord, "_SEARCH_BLOCK", 60)  # so that headers lie across two
    for index in range(2, COUNT - 2, 3):
        flip(files[0], index * FULL + 9)
    kept = [record(0, i) for i in range(COUNT) if not (2 <= i < 38 and i % 3 == 2)]
    assert payloads(files[0], Damage()) == kept


def test_a_huge_length_with_a_sound_checksum_does_not_stop_the_reading(files):
    """The length itself is wrong, as a writer that crashed might leave it."""
    length = struct.pack("<Q", 2**30)
    overwrite(files[0], 5 * FULL, length + tfrecord._masked_crc32c(length))
    kept = [record(0, i) for i in range(COUNT) if i != 5]
    assert payloads(files[0], Damage()) == kept


def test_checksums_are_those_tensorflow_writes(files):
    with open(files[0], "rb") as file:
        data = file.read(FULL)
    assert tfrecord._masked_crc32c(data[:8]) == data[8:12]
    assert tfrecord._masked_crc32c(data[12:-4]) == data[-4:]


def test_an_empty_file_is_reported_but_loses_nothing(files):
    os.truncate(files[1], 0)
    damage = Damage()
    found = read(files, damage)
    assert [o for o, _ in found] == [o for o in everything() if o[0] != 1]
    assert reports(damage) == {"is empty"} and damage.lost == 0


def test_a_file_that_vanished_is_reported_and_the_others_read(files):
    damage = Damage()
    os.remove(files[1])
    found = read(files, damage)
    assert {o for o, _ in found} == {o for o in everything() if o[0] != 1}
    ((path, (what,)),) = damage.reports.items()
    assert path == files[1] and what.startswith("cannot be read (")


def test_a_file_that_became_a_directory_is_reported(files):
    damage = Damage()
    os.remove(files[1])
    os.mkdir(files[1])
    found = read(files, damage)
    assert {o for o, _ in found} == {o for o in everything() if o[0] != 1}
    (path,) = damage.reports
    assert path == files[1]


def test_a_file_that_is_no_tfrecord_is_reported_and_the_others_read(files):
    with open(files[1], "w") as file:
        file.write("VideoId,LabelConfidencePairs\n" * 50)
    damage = Damage()
    found = read(files, damage)
    assert {o for o, _ in found} == {o for o in everything() if o[0] != 1}
    ((path, (what,)),) = damage.reports.items()
    assert path == files[1]
    assert what.startswith("record 0 at byte 0 is damaged, nothing readable")
    assert damage.amount() == "an unknown number of records in 1 file"


def test_only_what_cannot_be_counted_is_an_unknown_number(files):
    flip(files[0], 5 * FULL + 9)  # between sound records
    os.truncate(files[1], 10 * FULL + 50)  # its length is known
    damage = Damage()
    read(files, damage)
    assert damage.amount() == "2 records"
    flip(files[0], 20 * FULL)
    with open(files[0], "r+b") as file:
        file.seek(20 * FULL)
        file.write(b"x" * (20 * FULL))
    read(files, damage)
    assert damage.amount() == "2 records, and an unknown number in 1 file,"


def test_the_same_damage_is_counted_once_over_epochs(files):
    flip(files[0], 5 * FULL + 30)
    os.truncate(files[1], 10 * FULL + 5)
    damage = Damage()
    first = read(files, damage)
    assert damage.lost == 2
    again = read(files, damage)
    assert [data for _, data in again] == [data for _, data in first]
    assert damage.lost == 2 and len(reports(damage)) == 2


# Strict mode.


def open_videos(tmp_path, strict, harm):
    """Shards of 20 video-level records each; `harm` is done to the second file."""
    config = DataConfig(("mean_rgb",), (4,), num_classes=9)
    paths = [str(tmp_path / f"v{file}.tfrecord") for file in range(2)]
    for path in paths:
        features = {"mean_rgb": np.ones(4, np.float32)}
        write_records(path, [video_example(f"v{i}", [1], features) for i in range(20)])
    found = Shards.open(f"{tmp_path}/v*.tfrecord", "--f", config, strict=strict)
    harm(paths[1])
    return found, paths


HARMS = {
    "flip": lambda path: flip(path, 40),
    "cut": lambda path: os.truncate(path, 100),
    "gone": os.remove,
    "empty": lambda path: os.truncate(path, 0),
}


@pytest.mark.parametrize("harm", HARMS)
def test_strict_mode_ends_with_one_line_that_names_the_file(tmp_path, harm):
    found, paths = open_videos(tmp_path, strict=True, harm=HARMS[harm])
    with pytest.raises(UserError) as error:
        list(found.iterate(found.ordered_batches(8)))
    message = str(error.value)
    assert message.startswith(f"{paths[1]}: ") and "--strict_data" in message
    assert "\n" not in message


@pytest.mark.parametrize("harm", HARMS)
def test_without_strict_mode_the_rest_is_read(tmp_path, harm):
    found, _ = open_videos(tmp_path, strict=False, harm=HARMS[harm])
    batches = list(found.iterate(found.ordered_batches(8)))
    count = sum(len(batch["id"]) for batch in batches)
    expected = {"flip": 39, "gone": 20, "empty": 20}
    assert count == expected.get(harm, count) and count >= 20
    assert found.damage.lost == (0 if harm == "empty" else 1)


def test_a_file_of_nothing_but_damage_fills_few_lines(caplog):
    damage = Damage()
    for index in range(500):
        damage.record("bad.tfrecord", f"record {index} is cut short")
    assert damage.lost == 500
    assert len(caplog.records) == 11
    assert "only counted" in caplog.text


OTHERS = {
    "bzip2": (bz2.compress, "is compressed (bzip2)"),
    "xz": (lzma.compress, "is compressed (xz)"),
    "zip": (lambda text: archived(text, "zip"), "is compressed (zip)"),
    "tar": (lambda text: archived(text, "tar"), "is compressed (tar)"),
    "tgz": (lambda text: archived(text, "gztar"), "is compressed (gzip)"),
    "zstd": (lambda text: b"\x28\xb5\x2f\xfd" + text, "is compressed (zstd)"),
}


def archived(content, kind):
    with tempfile.TemporaryDirectory() as folder:
        os.mkdir(f"{folder}/in")
        with open(f"{folder}/in/a.tfrecord", "wb") as file:
            file.write(content)
        path = shutil.make_archive(f"{folder}/out", kind, f"{folder}/in", "a.tfrecord")
        with open(path, "rb") as file:
            return file.read()


@pytest.mark.parametrize("kind", OTHERS)
def test_packed_files_end_the_run_also_among_others(files, kind):
    """Some hold their records as they are, in pieces; none is searched for them."""
    pack, told = OTHERS[kind]
    with open(files[1], "rb") as file:
        content = pack(file.read())
    with open(files[1], "wb") as file:
        file.write(content)
    damage = Damage()
    with pytest.raises(UserError, match=f"{re.escape(files[1] + ': ' + told)}"):
        read(files, damage)
    with pytest.raises(UserError, match=re.escape(told)):
        damage.check()


KINDS = {
    b"<!DOCTYPE html>\n<html><body>403 Forbidden</body></html>": "a web page",
    b"<?xml version='1.0'?><Error><Code>AccessDenied</Code></Error>": "a web page",
    b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\n": "git lfs pull",
    b"\x93NUMPY\x01\0v\0{'descr': '<f4'}" + b"\0" * 100: "a NumPy array",
    b"\xef\xbb\xbftrain00.tfrecord\r\ntrain01.tfrecord\r\n": "begins with 'train00.t",
    frame_example(
        "v", [1], {"rgb": np.zeros((2, 4), np.uint8)}
    ).SerializeToString(): "one serialised Example",
    video_example(
        "v", [1], {"mean_rgb": np.zeros(4)}
    ).SerializeToString(): "one serialised Example",
    b"\0" * 100: "",
    np.random.default_rng(0).bytes(100): "",
}


@pytest.mark.parametrize("content", KINDS, ids=KINDS.values())
def test_other_files_are_told_for_what_they_are(files, content):
    with open(files[1], "wb") as file:
        file.write(content)
    damage = Damage()
    found = read(files, damage)
    assert {o for o, _ in found} == {o for o in everything() if o[0] != 1}
    ((path, (what,)),) = damage.reports.items()
    told = tfrecord.advice_on(path)
    assert path == files[1] and what.endswith(f"in the last {len(content)} bytes{told}")
    assert KINDS[content] in told and bool(KINDS[content]) == bool(told)
