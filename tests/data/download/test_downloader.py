"""Whole downloads from a server on this machine, to the end and in pieces."""

import hashlib
import os
import pathlib
import random
import re
import shutil
import signal
import sys
import time

import pytest
from absl import logging

from tests.helpers import processes
from tests.helpers.download_server import (
    DownloadServer,
    cut_after,
    local_files,
    partition_files,
    status,
    wrong_bytes,
)
from youtube8m.data.download import downloader
from youtube8m.data.download.downloader import DownloadConfig, download
from youtube8m.data.download.verified import LIST
from youtube8m.errors import UserError

PARTITION = "2/video/validate"
PLAN = "/2/download_plans/video_validate.json"
DRAW = random.Random(5)


def made_up(count, size):
    """{remote name: content} of the first files of a split."""
    characters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
    pairs = [a + b for a in characters for b in characters][:count]
    return {f"validate{p}.tfrecord": DRAW.randbytes(size) for p in pairs}


FILES = made_up(12, 3000)
FIRST = f"/us/{PARTITION}/validateaa.tfrecord"


@pytest.fixture
def server():
    with DownloadServer(partition_files(PARTITION, FILES)) as server:
        yield server


@pytest.fixture
def fetch(server, tmp_path):
    """Downloads all files; returns the paths of the files that were asked for."""

    def fetch(**values):
        values = {"partition": PARTITION, "directory": str(tmp_path / "out"), **values}
        before = len(server.requests)
        config = DownloadConfig(base_url=server.url, **values)
        download(config, pause=0.001, timeout=5)
        new = server.requests[before:]
        return [r.path for r in new if r.method == "GET" and r.path != PLAN]

    return fetch


def found(directory):
    """The files of a directory, {name: content}, but the list of those verified."""
    return {p.name: p.read_bytes() for p in directory.iterdir() if p.name != LIST}


@pytest.fixture
def lines(monkeypatch):
    """What is logged."""
    lines = []
    for level in ("info", "warning"):
        monkeypatch.setattr(logging, level, lambda text, *v: lines.append(text % v))
    return lines


def test_everything_comes_once(fetch, tmp_path, lines):
    assert sorted(fetch()) == sorted(f"/us/{PARTITION}/{name}" for name in FILES)
    assert found(tmp_path / "out") == local_files(FILES)
    assert "12 of 12 files to fetch (36 kB) from http://127.0.0.1" in lines[0]
    assert lines[1:] == [f"{PARTITION}: all 12 files are in {tmp_path}/out"]


def test_what_is_there_is_not_fetched_nor_read_again(fetch, monkeypatch):
    fetch()
    monkeypatch.setattr(hashlib, "file_digest", None)
    assert fetch() == []


def test_only_what_is_missing_is_fetched(fetch, tmp_path):
    fetch()
    out = tmp_path / "out"
    (out / "validate0000.tfrecord").unlink()
    (out / "validate0001.tfrecord").write_bytes(b"of another size")
    changed = out / "validate0002.tfrecord"
    changed.write_bytes(b"?" * 3000)  # of the same size, but at another time
    os.utime(changed, (1, 1))
    touched = out / "validate0003.tfrecord"
    os.utime(touched, (1, 1))
    wanted = [f"/us/{PARTITION}/validatea{c}.tfrecord" for c in "abc"]
    assert sorted(fetch()) == wanted
    assert found(out) == local_files(FILES)


def test_files_that_another_program_fetched_count_under_either_name(fetch, tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    (out / "validateaa.tfrecord").write_bytes(FILES["validateaa.tfrecord"])
    (out / "validate0001.tfrecord").write_bytes(FILES["validateab.tfrecord"])
    (out / "validate0002.tfrecord").write_bytes(FILES["validateac.tfrecord"][:100])
    assert len(fetch()) == 10
    assert fetch() == []
    assert not (out / "validate0000.tfrecord").exists()


def test_a_part_of_the_files(fetch, tmp_path, lines):
    half, other = fetch(shard="1,2"), fetch(shard="2,2")
    assert half and other and sorted({*half, *other}) == sorted(half + other)
    assert found(tmp_path / "out") == local_files(FILES)
    assert f"{PARTITION}, shard 1,2: {len(half)} of {len(half)} files" in lines[0]


def test_a_part_without_a_file_is_no_error(fetch, lines):
    assert fetch(shard="3844,3844") == []
    assert lines == [f"none of the 12 files is in {PARTITION}, shard 3844,3844"]


def test_what_is_missing_is_told(fetch, server, tmp_path, lines):
    del server.files[FIRST]
    server.always[FIRST.replace("aa.", "ab.")] = wrong_bytes
    server.always[FIRST.replace("aa.", "ac.")] = status(500)
    with pytest.raises(UserError) as error:
        fetch(tries=2)
    what = f"3 of the 12 files of {PARTITION} are missing in {tmp_path}/out; the same"
    assert str(error.value).startswith(what)
    told = [line for line in lines if line.startswith("missing")]
    assert told[0] == (
        "missing: validate0000.tfrecord (validateaa.tfrecord): the server says 404 Not "
        "Found"
    )
    assert "validate0001.tfrecord (validateab.tfrecord): the server's 3,000" in told[1]
    server.files[FIRST] = FILES["validateaa.tfrecord"]
    server.always.clear()
    assert len(fetch()) == 3
    assert found(tmp_path / "out") == local_files(FILES)


def test_a_long_list_of_missing_files_is_cut(fetch, server, lines, monkeypatch):
    monkeypatch.setattr(downloader, "_LISTED", 3)
    for name in FILES:
        del server.files[f"/us/{PARTITION}/{name}"]
    with pytest.raises(UserError, match="12 of the 12 files"):
        fetch()
    assert lines[-1] == "missing: 9 more"
    assert len([line for line in lines if line.startswith("missing")]) == 4


def test_a_server_that_gives_up_ends_the_download(fetch, server, lines):
    for name in FILES:
        server.always[f"/us/{PARTITION}/{name}"] = status(503)
    with pytest.raises(UserError, match="12 of the 12 files"):
        fetch(tries=2, jobs=1)
    tried = {r.path for r in server.requests if r.method == "GET"} - {PLAN}
    assert len(tried) <= 5
    assert lines[-1].endswith("given up after 3 others that the server did not give")


def test_no_room_is_said_before_anything_is_fetched(fetch, server, monkeypatch):
    usage = shutil.disk_usage("/")._replace(free=35_999)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
    message = "36 kB are to be fetched, 36 kB are free; fetch a part"
    with pytest.raises(UserError, match=message):
        fetch()
    assert not [r for r in server.requests if r.path == FIRST and r.method == "GET"]


def test_half_files_need_no_room(fetch, tmp_path, monkeypatch):
    (tmp_path / "out").mkdir()
    part = tmp_path / "out" / "validate0000.tfrecord.part"
    part.write_bytes(FILES["validateaa.tfrecord"][:1000])
    usage = shutil.disk_usage("/")._replace(free=35_000)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
    fetch()
    assert found(tmp_path / "out") == local_files(FILES)


def test_a_server_that_tells_no_sizes(fetch, server, lines, tmp_path):
    server.tells_sizes = False
    fetch()
    assert "12 of 12 files to fetch from" in lines[0]
    assert found(tmp_path / "out") == local_files(FILES)


def test_a_disk_that_fills_up_ends_the_download(fetch, monkeypatch, tmp_path):
    def append(part, chunk):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("youtube8m.data.download.transfer._Part.append", append)
    message = f"--directory={tmp_path}/out: .*No space left on device.*goes on"
    with pytest.raises(UserError, match=message):
        fetch()


def test_a_directory_that_cannot_be_made(fetch, tmp_path):
    (tmp_path / "file").write_text("")
    message = f"--directory={tmp_path}/file/out: .*(Not a directory)"
    with pytest.raises(UserError, match=message):
        fetch(directory=f"{tmp_path}/file/out")


@pytest.mark.parametrize(
    "values, message",
    [
        ({"partition": ""}, "--partition is empty; name one of 2/frame/train"),
        ({"partition": "2/video"}, "there is no such partition; known are"),
        ({"shard": "2,1"}, "--shard=2,1: expected X,Y"),
        ({"jobs": 0}, "--jobs=0: must be greater than 0"),
        ({"base_url": "localhost:80"}, "--base_url=localhost:80: must begin with http"),
        ({"mirror": "uk"}, "--mirror=uk: must be one of us, eu, asia"),
    ],
)
def test_wrong_flags(values, message):
    with pytest.raises(UserError, match=message):
        DownloadConfig(**{"partition": PARTITION, **values})


@pytest.mark.parametrize(
    "plan, message",
    [
        (None, "cannot be fetched: the server says 404 Not Found; see whether"),
        (b"<html>log in</html>", "is no list of files .not JSON"),
    ],
)
def test_a_plan_that_is_none(fetch, server, plan, message):
    server.files[PLAN] = plan
    with pytest.raises(UserError, match=f"{server.url}{PLAN}: {message}"):
        fetch()


def test_a_plan_that_fails_at_first(fetch, server, lines):
    server.faults[PLAN] = [status(500), cut_after(10)]
    assert len(fetch()) == 12
    assert lines[:2] == [
        f"{server.url}{PLAN}: the server says 500 Internal Server Error; trying again",
        f"{server.url}{PLAN}: the connection was cut; trying again",
    ]


def test_two_partitions_do_not_share_a_directory(fetch, server):
    fetch()
    server.files |= partition_files("2/frame/validate", made_up(2, 50))
    message = "holds validate0000.tfrecord of 2/video/validate, and 2/frame/validate"
    with pytest.raises(UserError, match=message):
        fetch(partition="2/frame/validate")


def test_a_plan_that_is_published_anew_replaces_files(fetch, server, tmp_path):
    fetch()
    newer = FILES | {"validateaa.tfrecord": b"mended"}
    server.files |= partition_files(PARTITION, newer)
    assert fetch() == [FIRST]
    assert found(tmp_path / "out") == local_files(newer)


def test_a_list_that_was_cut_is_no_harm(fetch, tmp_path):
    fetch()
    path = tmp_path / "out" / LIST
    path.write_bytes(path.read_bytes()[:-40])
    assert fetch() == []
    lines = path.read_text().splitlines()
    assert len(lines) == 13 and len(lines[-1]) == len(lines[0])


def test_the_vocabulary(fetch, server, tmp_path, lines):
    address = "/csv/2/vocabulary.csv"
    server.files[address] = text = b"Index,Name\n0,Game\n1,Car\n"
    server.faults[address] = [status(503), cut_after(10)]
    assert fetch(partition="", vocabulary=True) == [address] * 3
    path = tmp_path / "out" / "vocabulary.csv"
    assert path.read_bytes() == text
    assert lines[-1] == f"wrote {path}, the names of 2 classes"
    assert fetch(partition="", vocabulary=True) == []
    path.write_text("half a")
    assert fetch(partition="", vocabulary=True) == [address]
    server.files[address] = b"<html>log in</html>"
    path.unlink()
    with pytest.raises(UserError, match="is no vocabulary: its first line is '<html>"):
        fetch(partition="", vocabulary=True)
    assert not path.exists()


# Killed and started again -------------------------------------------------------


@pytest.mark.parametrize(
    "kills, count, size",
    [(2, 40, 20_000), pytest.param(10, 300, 200_000, marks=pytest.mark.slow)],
)
def test_killed_at_random_moments(tmp_path, kills, count, size):
    files, out = made_up(count, size), tmp_path / "out"
    with DownloadServer(partition_files(PARTITION, files)) as server:
        config = DownloadConfig(
            partition=PARTITION, base_url=server.url, directory=str(out)
        )
        server.pieces, server.pace = 4, 0.02
        for _ in range(kills):
            before = len(server.requests)
            with processes.calling(download, config) as process:
                # Amid files, not before them.
                target = before + 20 + DRAW.randrange(count // (2 * kills))
                while len(server.requests) < target and process.is_alive():
                    time.sleep(0.002)
                assert process.is_alive()
                process.kill()
        halves = list(out.glob("*.part"))
        assert len(list(out.iterdir())) < count
        before = len(server.requests)
        server.pace = 0
        download(config)
        last = [r for r in server.requests[before:] if r.method == "GET"]
    assert found(out) == local_files(files)
    by_path = {path: server.gets(path) for path in server.files if path != PLAN}
    # A file that was in flight is fetched from where it was cut, no other one again.
    again = [path for path, requests in by_path.items() if len(requests) > 1]
    assert len(again) <= 4 * kills
    sent = sum(r.sent for requests in by_path.values() for r in requests)
    assert sent <= count * size + 4 * kills * size
    assert {str(p.name).removesuffix(".part") for p in halves} <= {*local_files(files)}
    resumed = [r for r in last if r.start]
    assert len(resumed) <= len(halves) and all(r.status == 206 for r in resumed)
    print(f"{kills} kills: {sent / (count * size):.4f} times the bytes")


@pytest.mark.parametrize(
    "count", [60, pytest.param(3844, marks=pytest.mark.slow, id="all")]
)
def test_a_plan_of_tiny_files(tmp_path, count):
    files, out = made_up(count, 500), tmp_path / "out"
    with DownloadServer(partition_files(PARTITION, files)) as server:
        begin = time.monotonic()
        download(
            DownloadConfig(
                partition=PARTITION, directory=str(out), base_url=server.url, jobs=4
            )
        )
        minutes = (time.monotonic() - begin) / 60
    assert found(out) == local_files(files)
    assert len(server.requests) <= count + 17  # the plan, and some for sizes
    print(f"{count / minutes:,.0f} files a minute")


@pytest.mark.slow
def test_ctrl_c_ends_at_once_in_one_line(tmp_path):
    files = made_up(20, 200_000)
    with DownloadServer(partition_files(PARTITION, files)) as server:
        server.pieces, server.pace = 100, 0.5
        command = ("-m", "youtube8m.tools.download", f"--partition={PARTITION}")
        flags = (f"--base_url={server.url}", f"--directory={tmp_path}/out")
        with processes.started(*command, *flags) as process:
            while not list(tmp_path.glob("out/*.part")):
                time.sleep(0.01)
            time.sleep(0.2)
            process.send_signal(signal.SIGINT)
            begin = time.monotonic()
            assert process.wait(processes.LIMIT) == 130
            ended = time.monotonic() - begin
            log = process.stderr.read().splitlines()
        assert re.search("20 of 20 files to fetch", log[0]) and log[1:] == ["stopped"]
        names = {p.name for p in pathlib.Path(tmp_path, "out").iterdir()} - {LIST}
        assert names and all(name.endswith(".part") for name in names)
    print(f"ended after {ended:.2f} s", file=sys.stderr)
