"""The page that follows a run: what is served, to whom, and what a browser does."""

import contextlib
import http.client
import json
import socket
import threading

import pytest

from tests.helpers.browser import Browser
from youtube8m.errors import UserError
from youtube8m.reports import training, watching
from youtube8m.reports.pages import Page
from youtube8m.runs.directory import RunDirectory

pytest.importorskip("altair", reason="needs the extra report")
pytest.importorskip("vl_convert", reason="needs the extra report")


@contextlib.contextmanager
def running(make_page, state, port=0):
    with watching.served(make_page, state, port) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


def get(server, path="/content", host=None, tag=None):
    """Status, headers and text."""
    ip, port = server.server_address
    connection = http.client.HTTPConnection(ip, port, timeout=10)
    headers = {"Host": host or f"127.0.0.1:{port}"}
    if tag:
        headers["If-None-Match"] = tag
    connection.request("GET", path, headers=headers)
    answer = connection.getresponse()
    text = answer.read().decode()
    connection.close()
    return answer.status, answer.headers, text


def test_the_page_is_made_anew_where_the_state_has_changed():
    made, state = [], [0]

    def make_page():
        made.append(state[0])
        return Page(f"State {state[0]}")

    with running(make_page, lambda: state[0]) as server:
        assert server.server_address[0] == "127.0.0.1"
        assert watching.address(server).startswith("http://127.0.0.1:")
        status, headers, text = get(server)
        assert status == 200 and "State 0" in text
        assert get(server, tag=headers["ETag"])[0] == 304
        state[0] = 1
        status, _, text = get(server, tag=headers["ETag"])
        assert status == 200 and "State 1" in text
        assert "<html" not in text and "<html" in get(server, "/")[2]
    assert made == [0, 1]


def test_other_sites_and_other_paths_get_nothing():
    with running(lambda: Page("Mine"), lambda: 0) as server:
        assert get(server, host="evil.example")[0] == 403
        assert get(server, host=f"localhost:{server.server_address[1]}")[0] == 200
        assert get(server, "/etc/passwd")[0] == 404


def test_a_run_that_is_gone_is_told_to_the_browser():
    state = [0]

    def make_page():
        if state[0]:
            raise UserError("the run is gone")
        return Page("Mine")

    with running(make_page, lambda: state[0]) as server:
        state[0] = 1
        status, _, text = get(server)
        assert (status, text) == (500, "the run is gone")


def test_a_busy_port_is_one_line():
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        served = watching.served(lambda: Page("Mine"), lambda: 0, port)
        with pytest.raises(UserError, match=f"--port={port}: .*another program uses"):
            served.__enter__()
    served = watching.served(lambda: Page("Mine"), lambda: 0, 99999)
    with pytest.raises(UserError, match="--port=99999: cannot be served"):
        served.__enter__()


@pytest.fixture
def run(tmp_path, sample):
    """A run directory, whose metrics the test writes."""
    from tests.helpers.training_runs import LOGISTIC
    from youtube8m import models

    directory = RunDirectory(str(tmp_path))
    directory.prepare(models.complete(LOGISTIC), start_new=False)
    return directory


def write(run, steps, **more):
    rows = [
        {"step": step, "loss": 8.0 / step, "auxiliary_loss": 0.0, "epoch": 0, **more}
        for step in range(1, steps + 1)
    ]
    with open(run.file("metrics.jsonl"), "w") as file:
        file.writelines(json.dumps(row) + "\n" for row in rows)


@pytest.mark.slow
def test_a_browser_draws_only_what_has_changed(run):
    write(run, 3, learning_rate=0.1)
    make_page, state = (lambda: training.page(run)), (lambda: training.state(run))
    with running(make_page, state) as server:
        address = watching.address(server)
        with Browser(address) as browser:
            browser.open(address, width=375)
            browser.require_sound(charts=2)
            # The marks go where something is drawn anew.
            browser.run(
                """
                document.querySelectorAll("[data-chart]").forEach((place) => {
                  place.firstElementChild.dataset.old = "yes";
                });
                window.same = true;
                document.body.style.paddingBottom = "3000px";
                scrollTo(0, 400);
                """
            )
            marked = "document.querySelectorAll('[data-old]').length"
            write(run, 3, learning_rate=0.1)  # nothing but its time has changed
            asked = browser.run("return document.documentElement.dataset.answers")
            more = f"document.documentElement.dataset.answers > {asked} + 1"
            browser.wait_until(more)
            assert browser.run(f"return {marked}") == 2
            write(run, 9, learning_rate=0.1)
            browser.wait_until(
                'document.body.textContent.includes("8 at first, 0.889 at last")'
            )
            browser.wait_until(f"{marked} === 0")
            assert browser.run("return window.same") is True  # it was not loaded anew
            assert browser.run("return scrollY") == 400
            write(run, 12, learning_rate=0.1, waiting_share=0.5)  # one chart more
            browser.wait_until(
                "document.querySelectorAll('[data-chart] svg.marks').length === 3"
            )
            assert browser.run("return scrollY") == 400
            browser.require_sound(charts=3)
