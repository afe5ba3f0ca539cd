"""Files over a network that fails in every way."""

import hashlib
import os

import pytest

from tests.helpers.download_server import (
    DownloadServer,
    cut_after,
    no_ranges,
    other_file,
    redirect,
    silent,
    slow,
    status,
    wrong_bytes,
    wrong_length,
    wrong_range,
)
from youtube8m.data.download import transfer as module
from youtube8m.data.download.transfer import NotFetched, Transfer

BODY = bytes(range(256)) * 1000
MD5 = hashlib.md5(BODY).hexdigest()
PATH = "/file"


@pytest.fixture
def server():
    with DownloadServer({PATH: BODY, "/elsewhere": BODY}) as server:
        yield server


@pytest.fixture
def fetch(server, tmp_path):
    """Fetches the file; returns its requests as (start, status, bytes sent)."""

    def fetch(tries=3, **options):
        options = {"pause": 0.001, "timeout": 0.5, **options}
        Transfer(tries, **options).fetch(server.url + PATH, f"{tmp_path}/out", MD5)
        assert (tmp_path / "out").read_bytes() == BODY
        assert os.listdir(tmp_path) == ["out"]
        return [(r.start, r.status, r.sent) for r in server.gets(PATH)]

    return fetch


def give_up(fetch, message, **options):
    with pytest.raises(NotFetched, match=message) as error:
        fetch(**options)
    return error.value


def test_a_file_is_one_request(fetch):
    assert fetch() == [(0, 200, len(BODY))]


def test_a_cut_connection_goes_on_where_it_ended(fetch, server):
    server.faults[PATH] = [cut_after(100_000), cut_after(50_000)]
    starts = [(0, 200, 100_000), (100_000, 206, 50_000), (150_000, 206, 106_000)]
    assert fetch() == starts


def test_progress_gives_new_tries(fetch, server):
    server.faults[PATH] = [cut_after(20_000)] * 9
    assert len(fetch(tries=2)) == 10


def test_a_server_without_ranges_that_cuts_is_given_up(fetch, server):
    def cut_whole(handler, request, body):
        handler.answer(request, 200, body, send=100_000)
        handler.cut()

    server.always[PATH] = cut_whole
    give_up(fetch, "connection was cut", tries=3)
    assert len(server.gets(PATH)) == 3


@pytest.mark.parametrize(
    "half, faults, statuses",
    [
        (BODY[:1000], [], [206]),
        (BODY[:1000], [no_ranges], [200]),
        (BODY[:1000], [wrong_range], [206, 200]),
        (b"other" + BODY[:1000], [], [206, 200]),
        (BODY + b"more", [], [416, 200]),
        (BODY, [], []),
        (b"", [], [200]),
    ],
)
def test_a_half_file_of_another_process(
    fetch, server, tmp_path, half, faults, statuses
):
    (tmp_path / "out.part").write_bytes(half)
    server.faults[PATH] = faults
    requests = fetch()
    assert [status for _, status, _ in requests] == statuses
    if statuses[:1] == [206]:
        assert requests[0][0] == len(half)


@pytest.mark.parametrize(
    "fault",
    [
        wrong_bytes,
        other_file(b"<html>please log in</html>"),
        status(500),
        status(503),
        status(429),
        wrong_length(500),
        wrong_length(-500),
        silent(5),
        cut_after(0),
        wrong_range,
    ],
)
def test_a_fault_that_passes(fetch, server, fault):
    server.faults[PATH] = [fault]
    assert len(fetch()) <= 3 and not server.faults[PATH]


def test_a_file_that_is_whole_needs_no_other_try(fetch, server):
    server.faults[PATH] = [wrong_length(500)]
    assert fetch(tries=1) == [(0, 200, len(BODY))]


def test_a_file_that_changes_between_tries_is_fetched_anew(fetch, server):
    server.faults[PATH] = [
        other_file(BODY[::-1]),
        cut_after(1000),
        other_file(b"?" * len(BODY)),
    ]
    assert fetch()[-1] == (0, 200, len(BODY))


def test_slowness_is_no_fault(fetch, server):
    server.faults[PATH] = [slow(0.1)]
    assert len(fetch()) == 1


def test_redirections_are_followed(fetch, server):
    server.faults[PATH] = [cut_after(1000), redirect("/elsewhere")]
    fetch()
    (elsewhere,) = server.gets("/elsewhere")
    assert (elsewhere.start, elsewhere.sent) == (1000, len(BODY) - 1000)


@pytest.mark.parametrize("code, tries", [(404, 1), (403, 1), (500, 3), (416, 3)])
def test_what_is_given_up(fetch, server, tmp_path, code, tries):
    server.always[PATH] = status(code)
    error = give_up(fetch, f"the server says {code}")
    assert len(server.gets(PATH)) == tries
    assert (error.status, error.is_final) == (code, tries == 1)
    assert not os.listdir(tmp_path)


def test_bytes_that_stay_wrong_are_given_up_at_the_second_time(fetch, server):
    server.always[PATH] = wrong_bytes
    error = give_up(fetch, f"256,000 bytes have the md5 .*, the plan says {MD5}")
    assert error.is_final and len(server.gets(PATH)) == 2


def test_redirections_without_end(fetch, server):
    server.always[PATH] = redirect(PATH)
    assert give_up(fetch, "no connection").is_final


def test_no_server(tmp_path):
    with DownloadServer({}) as server:
        url = server.url
    transfer = Transfer(2, pause=0.001)
    with pytest.raises(NotFetched, match=r"no connection \(Connection refused\)"):
        transfer.fetch(url, f"{tmp_path}/out", MD5)
    assert transfer.size(url) is None


class Pauses:
    """Notes the pauses instead of waiting."""

    def __init__(self):
        self.seconds = []

    def is_set(self):
        return False

    def wait(self, seconds):
        self.seconds.append(seconds)


@pytest.fixture
def pauses(monkeypatch):
    monkeypatch.setattr(module._jitter, "uniform", lambda *_: 1)
    return Pauses()


def test_pauses_grow_to_a_minute(fetch, server, pauses):
    server.always[PATH] = status(500)
    give_up(fetch, "500", tries=9, pause=1, stop=pauses)
    assert pauses.seconds == [1, 2, 4, 8, 16, 32, 60, 60]


@pytest.mark.parametrize(
    "asked, seconds",
    [
        ("30", 30),
        ("0", 1),  # our own pause is longer
        ("86400", 600),
        ("soon", 1),
        ("Wed, 21 Oct 2015 07:28:00 GMT", 1),
        ("Wed, 21 Oct 2115 07:28:00 GMT", 600),
    ],
)
def test_a_server_may_ask_for_a_longer_pause(fetch, server, pauses, asked, seconds):
    server.always[PATH] = status(429, **{"Retry-After": asked})
    give_up(fetch, "429", tries=2, pause=1, stop=pauses)
    assert pauses.seconds == [seconds]


def test_the_old_file_stays_until_the_new_one_is_whole(fetch, server, tmp_path):
    (tmp_path / "out").write_bytes(b"old")
    server.always[PATH] = cut_after(1000)
    give_up(fetch, "connection was cut", tries=1)
    assert (tmp_path / "out").read_bytes() == b"old"
    assert (tmp_path / "out.part").read_bytes() == BODY[:1000]


def test_two_do_not_fetch_one_file(fetch, server, tmp_path):
    with module._Part(f"{tmp_path}/out.part", lambda count: None) as part:
        part.append(BODY[:10])
        assert give_up(fetch, "another process is fetching it").is_final
    assert fetch()[0][0] == 10


def test_a_full_disk_is_no_fault_of_the_network(fetch, monkeypatch):
    def append(part, chunk):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(module._Part, "append", append)
    with pytest.raises(OSError, match="No space left"):
        fetch()


def test_bytes_are_counted(fetch, server):
    received, held, sizes = [], [], {}
    server.faults[PATH] = [cut_after(100_000), no_ranges]
    fetch(received=received.append, held=held.append, sized=sizes.__setitem__)
    assert sum(received) == len(BODY) + 100_000
    assert sum(held) == len(BODY)
    assert sizes == {server.url + PATH: len(BODY)}
