"""Look-ups of YouTube's ids: each once, at a polite rate, deleted videos told."""

import time

import pytest
from absl import logging

from tests.helpers.download_server import DownloadServer, cut_after, status
from youtube8m.data.download.youtube_ids import LookUpConfig, YoutubeIds, resolve
from youtube8m.errors import UserError

VIDEOS = {"AbCd": "dQw4w9WgXcQ", "Zz09": "-_3456789ab"}


def address(name):
    return f"/2/j/i/{name[:2]}/{name}.js"


@pytest.fixture
def server():
    answers = {address(n): f'i("{n}","{v}");'.encode() for n, v in VIDEOS.items()}
    with DownloadServer(answers) as server:
        yield server


@pytest.fixture
def config(server, tmp_path):
    cache = tmp_path / "cache" / "ids.csv"
    return LookUpConfig(base_url=server.url, youtube_ids_cache=str(cache))


def look_up(config, *ids, **options):
    options = {"rate": 1000, "tries": 2, "pause": 0.001, **options}
    return YoutubeIds(config, **options).resolve(ids)


def asked(server):
    return [request.path for request in server.requests]


def test_ids_are_looked_up_once(server, config):
    found = look_up(config, "AbCd", "gone", "Zz09", "AbCd")
    assert found == {**VIDEOS, "gone": None}
    assert asked(server) == [address("AbCd"), address("gone"), address("Zz09")]
    assert look_up(config, "gone", "AbCd") == {"gone": None, "AbCd": VIDEOS["AbCd"]}
    assert len(server.requests) == 3  # deleted ones are kept, too
    assert resolve(["Zz09"], config) == {"Zz09": VIDEOS["Zz09"]}


def test_ids_of_other_forms_are_not_looked_up(server, config):
    found = look_up(config, "dQw4w9WgXcQ", "id-of-mine", "Ab d", "AbC\udcff", "")
    assert found.pop("dQw4w9WgXcQ") == "dQw4w9WgXcQ"
    assert set(found.values()) == {None} and not server.requests


def test_the_rate_is_polite(server, config, monkeypatch):
    waits = []
    monkeypatch.setattr(time, "monotonic", lambda: 100.0)
    monkeypatch.setattr(time, "sleep", waits.append)
    look_up(config, "AbCd", "Zz09", "gone", rate=4)
    assert waits == [0, 0.25, 0.25]


@pytest.mark.parametrize("code", [403, 404, 410])
def test_videos_that_are_gone_are_told(server, config, code, monkeypatch):
    lines = []
    monkeypatch.setattr(logging, "warning", lambda text, *v: lines.append(text % v))
    server.always[address("Zz09")] = status(code)
    ids = YoutubeIds(config, rate=1000)
    ids.resolve(["AbCd"])
    ids.warn_of_missing()
    assert not lines
    ids.resolve(["AbCd", "Zz09"])
    ids.resolve(["Zz09"])
    ids.warn_of_missing()
    (line,) = lines
    assert line.startswith("no video on YouTube for 1 ids, such as Zz09")


def test_a_server_that_is_out_of_order_tells_nothing_of_videos(server, config):
    server.faults[address("AbCd")] = [status(500)]
    server.always[address("Zz09")] = status(500)
    with pytest.raises(UserError, match="Zz09.js: cannot be looked up: .* 500"):
        look_up(config, "AbCd", "Zz09")
    server.always.clear()
    before = len(server.requests)
    assert look_up(config, "AbCd", "Zz09") == VIDEOS
    assert len(server.requests) == before + 1  # the other one was kept


@pytest.mark.parametrize(
    "answer",
    [b"<html>log in</html>", b'i("Abce","dQw4w9WgXcQ");', b'i("AbCd","short")'],
)
def test_an_answer_that_is_none(server, config, answer):
    server.files[address("AbCd")] = answer
    with pytest.raises(
        UserError, match="AbCd.js: answers '.*; expected i.* --base_url"
    ):
        look_up(config, "AbCd")


def test_a_connection_that_is_cut(server, config):
    server.faults[address("AbCd")] = [cut_after(8)]
    assert look_up(config, "AbCd") == {"AbCd": VIDEOS["AbCd"]}


def test_a_cache_that_was_cut(server, config, tmp_path):
    look_up(config, "AbCd", "Zz09")
    cache = tmp_path / "cache" / "ids.csv"
    cache.write_bytes(cache.read_bytes()[:-5])
    assert look_up(config, "Zz09", "gone") == {"Zz09": VIDEOS["Zz09"], "gone": None}
    assert len(server.requests) == 4
    assert cache.read_text().endswith("\nZz09,-_3456789ab\ngone,\n")
    assert look_up(config, "AbCd", "Zz09") == VIDEOS
    assert len(server.requests) == 4


def test_a_cache_that_cannot_be_used(config, tmp_path):
    (tmp_path / "cache").write_text("a file")
    message = "--youtube_ids_cache=.*ids.csv: cannot be used"
    with pytest.raises(UserError, match=message):
        look_up(config, "AbCd")


@pytest.mark.parametrize("text", ["AbCd\nEfGh\n", "\0", "AbCd,x,y\n", "a b"])
def test_a_file_that_is_no_cache_is_not_added_to(config, tmp_path, text):
    path = tmp_path / "cache" / "ids.csv"
    path.parent.mkdir()
    path.write_text(text)
    with pytest.raises(UserError, match="--youtube_ids_cache=.*expected a file that"):
        look_up(config, "AbCd")
    assert path.read_text() == text


def test_the_cache_is_in_the_users_folder(monkeypatch, tmp_path, server):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    look_up(LookUpConfig(base_url=server.url), "AbCd")
    path = tmp_path / "youtube8m" / "youtube_ids.csv"
    assert path.read_text() == "AbCd,dQw4w9WgXcQ\n"
