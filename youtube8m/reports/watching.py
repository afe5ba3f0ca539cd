"""A page that is served to a browser on this machine, and follows what it shows.

watch(make_page, state, port=0)       # until Ctrl-C

Only 127.0.0.1 is served. The browser asks every two seconds, and draws what has changed
(watch.js); the page is made anew only where `state` has changed.
"""

import contextlib
import errno
import hashlib
import http.server
import threading
from collections.abc import Callable, Iterator
from typing import Any

from youtube8m.errors import UserError
from youtube8m.reports.pages import Page

HOST = "127.0.0.1"
_SCRIPTS = ("page.js", "watch.js")


class _Pages:
    """The page of the newest state, as the browser gets it."""

    def __init__(self, make_page, state):
        self._make_page, self._state = make_page, state
        self._made: tuple[Any, Page] | None = None
        self._lock = threading.Lock()

    def page(self) -> Page:
        with self._lock:
            state = self._state()
            if self._made is None or self._made[0] != state:
                self._made = state, self._make_page()
            return self._made[1]


class _Handler(http.server.BaseHTTPRequestHandler):
    """Answers GET / with the page and GET /content with what may change in it."""

    pages: _Pages
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        port = self.server.server_address[1]
        if self.headers.get("Host") not in (f"{HOST}:{port}", f"localhost:{port}"):
            return self._answer(403, "text/plain", "only for this machine")
        if self.path not in ("/", "/content"):
            return self._answer(404, "text/plain", "there is no such page")
        try:
            page = self.pages.page()
        except UserError as error:
            return self._answer(500, "text/plain", str(error))
        whole = self.path == "/"
        text = page.html(scripts=_SCRIPTS) if whole else page.content()
        self._answer(200, "text/html", text)

    def _answer(self, status, kind, text):
        data = text.encode()
        tag = f'"{hashlib.sha256(data).hexdigest()[:32]}"'
        if status == 200 and self.headers.get("If-None-Match") == tag:
            status, data = 304, b""
        with contextlib.suppress(ConnectionError):  # the browser was closed
            self.send_response(status)
            self.send_header("Content-Type", f"{kind}; charset=utf-8")
            self.send_header("Content-Length", str(len(data)))
            self.send_header("Cache-Control", "no-cache")
            self.send_header("ETag", tag)
            self.end_headers()
            self.wfile.write(data)

    def log_message(self, *_):
        """Says nothing: the browser asks all the time."""


@contextlib.contextmanager
def served(
    make_page: Callable[[], Page], state: Callable[[], Any], port: int = 0
) -> Iterator[http.server.ThreadingHTTPServer]:
    """A server of the page at 127.0.0.1, which `serve_forever` runs.

    Args:
      make_page: makes the page of the present state.
      state: what differs where the page must be made anew.
      port: 0 for one that is free.

    Raises UserError if the port cannot be used, or the page cannot be made.
    """
    pages = _Pages(make_page, state)
    pages.page().html(scripts=_SCRIPTS)  # an error now, not in the browser
    handler = type("_OwnHandler", (_Handler,), {"pages": pages})
    try:
        server = http.server.ThreadingHTTPServer((HOST, port), handler)
    except (OSError, OverflowError) as error:
        why = str(getattr(error, "strerror", None) or error)
        if getattr(error, "errno", None) == errno.EADDRINUSE:
            why = "another program uses it"
        raise UserError(
            f"--port={port}: cannot be served at ({why}); give another port, or none "
            "for one that is free"
        ) from None
    server.daemon_threads = True
    with server:
        yield server


def address(server: http.server.ThreadingHTTPServer) -> str:
    """Where a browser finds the page."""
    return f"http://{HOST}:{server.server_address[1]}/"
