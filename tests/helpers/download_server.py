"""A server of files on this machine that fails as it is told.

with DownloadServer({"/us/2/video/train/trainaa.tfrecord": b"..."}) as server:
    server.faults["/us/..."] = [cut_after(10), status(500)]   # of the next requests
    download(base_url=server.url)
    server.requests                                  # what was asked for, in order
"""

import collections
import contextlib
import hashlib
import http.server
import json
import re
import socket
import threading
from dataclasses import dataclass

from youtube8m.data.download.plan import PlannedFile


@dataclass
class Request:
    """A request, and what came of it."""

    method: str
    path: str
    start: int  # of the range that was asked for
    status: int = 0
    sent: int = 0  # bytes of the body


def status(code, **headers):
    """The answer is an error."""

    def fault(handler, request, _):
        handler.answer(request, code, b"<html>an error</html>", **headers)

    return fault


def cut_after(count):
    """The connection ends after as many bytes of the body."""

    def fault(handler, request, body):
        handler.answer(request, *handler.part_of(request, body), send=count)
        handler.cut()

    return fault


def wrong_bytes(handler, request, body):
    """As many bytes as the file has, but others."""
    code, part, headers = handler.part_of(request, body)
    handler.answer(request, code, bytes(255 - byte for byte in part), headers)


def other_file(content):
    """The server has another file by now."""

    def fault(handler, request, _):
        handler.answer(request, *handler.part_of(request, content))

    return fault


def no_ranges(handler, request, body):
    """The whole file comes, whatever was asked for."""
    handler.answer(request, 200, body)


def wrong_range(handler, request, body):
    """Bytes from another place than was asked for."""
    headers = {"Content-Range": f"bytes 1-{len(body) - 1}/{len(body)}"}
    handler.answer(request, 206, body[1:], headers)


def wrong_length(by):
    """Content-Length is not the length of what comes; the connection ends after it."""

    def fault(handler, request, body):
        handler.answer(request, 200, body, {"Content-Length": str(len(body) + by)})
        handler.cut()

    return fault


def slow(seconds, pieces=4):
    """The body comes piece by piece."""

    def fault(handler, request, body):
        handler.answer(
            request, *handler.part_of(request, body), pieces=pieces, pause=seconds
        )

    return fault


def silent(seconds):
    """No answer for a time."""

    def fault(handler, request, body):
        handler.server.owner.released.wait(seconds)
        handler.cut()

    return fault


def redirect(path):
    """The file is elsewhere."""

    def fault(handler, request, _):
        handler.answer(request, 302, b"", {"Location": handler.server.owner.url + path})

    return fault


class DownloadServer:
    """Serves `files`, {path: bytes}.

    Attributes:
      faults: path -> functions, each of which gives one answer to a GET.
      always: path -> function that gives all answers.
      pieces, pace: how many pieces a body comes in, and seconds between them.
      tells_sizes: whether a HEAD tells how long a file is.
    """

    def __init__(self, files):
        self.files = dict(files)
        self.faults = collections.defaultdict(list)
        self.always = {}
        self.pieces, self.pace = 1, 0.0
        self.tells_sizes = True
        self.requests: list[Request] = []
        self.released = threading.Event()  # ends what waits
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.owner = self
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self):
        threading.Thread(
            target=self._server.serve_forever, args=(0.02,), daemon=True
        ).start()
        return self

    def __exit__(self, *_):
        self.released.set()
        self._server.shutdown()
        self._server.server_close()

    def gets(self, path):
        """The requests for a file, without those for its size."""
        return [r for r in self.requests if r.path == path and r.method == "GET"]


class _Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 64

    def handle_error(self, *_):
        """A client that was killed is no error."""


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1

    def do_HEAD(self):
        self._serve()

    def do_GET(self):
        self._serve()

    def _serve(self):
        owner = self.server.owner
        found = re.match(r"bytes=(\d+)-", self.headers.get("Range", ""))
        request = Request(self.command, self.path, int(found[1]) if found else 0)
        owner.requests.append(request)
        body = owner.files.get(self.path)
        fault = owner.always.get(self.path)
        if self.command == "GET" and owner.faults[self.path]:
            fault = owner.faults[self.path].pop(0)
        if fault and self.command == "GET":
            fault(self, request, body)
        elif body is None:
            self.answer(request, 404, b"not found")
        elif self.command == "HEAD" and not owner.tells_sizes:
            self.answer(request, 405, b"")
        else:
            whole = self.part_of(request, body)
            self.answer(request, *whole, pieces=owner.pieces, pause=owner.pace)

    def part_of(self, request, body):
        """Status, bytes and headers of an honest answer."""
        if request.start >= len(body) and request.start:
            return 416, b"", {"Content-Range": f"bytes */{len(body)}"}
        if not request.start:
            return 200, body, {}
        found = f"bytes {request.start}-{len(body) - 1}/{len(body)}"
        return 206, body[request.start :], {"Content-Range": found}

    def answer(
        self, request, code, body, headers=(), send=None, pieces=1, pause=0.0, **more
    ):
        request.status = code
        self.send_response(code)
        headers = {"Content-Length": str(len(body)), **dict(headers), **more}
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        if request.method == "HEAD":
            return
        body = body[:send]
        size = -(-len(body) // pieces) or 1
        for first in range(0, len(body), size):
            piece = body[first : first + size]
            request.sent += len(piece)  # before the client can have it all
            self.wfile.write(piece)
            self.wfile.flush()
            if pause:
                self.server.owner.released.wait(pause)

    def cut(self):
        self.wfile.flush()
        self.close_connection = True
        with contextlib.suppress(OSError):
            self.connection.shutdown(socket.SHUT_RDWR)

    def log_message(self, *_):
        """Nothing on the console."""


def partition_files(partition, contents, mirror="us"):
    """The plan and the files of a partition, {path: bytes}; contents: {name: bytes}."""
    version, level, split = partition.split("/")
    sums = {name: hashlib.md5(body).hexdigest() for name, body in contents.items()}
    plan = json.dumps({"files": sums}).encode()
    files = {f"/{version}/download_plans/{level}_{split}.json": plan}
    for name, body in contents.items():
        files[f"/{mirror}/{partition}/{name}"] = body
    return files


def local_files(contents):
    """What a directory must hold in the end, {local name: bytes}."""
    return {PlannedFile(name, "").local_name: body for name, body in contents.items()}
