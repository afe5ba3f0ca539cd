"""Commands in forks of a process that has loaded TensorFlow but not started it."""

import atexit
import contextlib
import dataclasses
import os
import resource
import runpy
import select
import signal
import subprocess
import sys
import time
import traceback

from tests.helpers.processes import ROOT

SECONDS = 300  # of a command; none needs one of a hundred on an idle machine


@dataclasses.dataclass
class Ended:
    """A command that ended; `status` None: it hung. The log is standard error."""

    command: list[str]
    status: int | None
    log: str


def run(
    command: list[str],
    folder: str,
    environment: dict[str, str],
    limits: dict[int, int],
    closed: tuple[int, ...] = (),
    fresh: bool = False,
) -> Ended:
    """Runs `TOOL FLAGS` in `folder`; stdout goes to stderr, which is read."""
    reading, writing = os.pipe()

    def prepare():
        os.chdir(folder)
        for number in (1, 2):
            os.dup2(writing, number)
        os.close(writing)
        os.close(reading)
        for kind, value in limits.items():
            resource.setrlimit(kind, (value, resource.getrlimit(kind)[1]))
        for number in closed:
            os.close(number)

    if fresh:
        tool, *flags = command
        values = {"PYTHONPATH": ROOT, **os.environ, **environment}
        words = [sys.executable, "-m", f"youtube8m.tools.{tool}", *flags]
        child = subprocess.Popen(words, env=values, preexec_fn=prepare).pid
    else:
        sys.stdout.flush()
        child = os.fork()
        if not child:
            _execute(command, environment, closed, prepare)
    os.close(writing)
    log, ended = _read(reading, child)
    _, status = os.waitpid(child, 0)
    status = os.waitstatus_to_exitcode(status) if ended else None
    return Ended(command, status, log)


def _read(reading, child):
    """What a process writes until it ends, and whether it did in time."""
    parts, limit = [], time.monotonic() + SECONDS
    while (left := limit - time.monotonic()) > 0:
        if not select.select([reading], [], [], left)[0]:
            break
        if not (part := os.read(reading, 1 << 16)):
            break
        parts.append(part)
    os.close(reading)
    # Without streams it cannot be heard ending.
    while time.monotonic() < limit:
        if os.waitid(os.P_PID, child, os.WEXITED | os.WNOHANG | os.WNOWAIT):
            return b"".join(parts).decode("utf-8", "replace"), True
        time.sleep(0.01)
    os.kill(child, signal.SIGKILL)
    return b"".join(parts).decode("utf-8", "replace"), False


def _execute(command, environment, closed, prepare):
    """What the interpreter does with `-m TOOL FLAGS`; never returns."""
    status = 1
    try:
        os.environ.update(environment)
        prepare()
        import tempfile

        tempfile.tempdir = None
        for number, name in ((1, "stdout"), (2, "stderr")):
            errors = ("strict", "backslashreplace")[number - 1]  # as Python's own
            is_open = number not in closed
            stream = os.fdopen(number, "w", 1, errors=errors) if is_open else None
            setattr(sys, name, stream)
        tool, *sys.argv[1:] = command
        sys.argv[0] = tool
        runpy.run_module(f"youtube8m.tools.{tool}", run_name="__main__", alter_sys=True)
        status = 0
    except SystemExit as stop:
        status = stop.code if isinstance(stop.code, int) else int(bool(stop.code))
    except BaseException:
        traceback.print_exc()
    finally:
        with contextlib.suppress(BaseException):
            atexit._run_exitfuncs()
        with contextlib.suppress(BaseException):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(status)
