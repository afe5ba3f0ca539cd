"""Processes that tests start: `python COMMAND` in the project's root.

None outlives its test or runs for ever.
"""

import contextlib
import multiprocessing
import os
import pathlib
import runpy
import subprocess
import sys
import tempfile
import threading

ROOT = str(pathlib.Path(__file__).resolve().parents[2])
LIMIT = 600  # seconds; none needs nearly as many, on a slow and busy machine either

# Holds what takes seconds to load, but no thread yet.
_SERVER = multiprocessing.get_context("forkserver")
_SERVER.set_forkserver_preload(
    [
        "pytest",
        "keras",
        "pandas",
        "tensorflow",
        "youtube8m.training.trainer",
        "youtube8m.evaluation.evaluator",
        "youtube8m.prediction.inference",
    ]
)
_STARTING = threading.Lock()  # tests start processes from several threads


@contextlib.contextmanager
def started(*command, **options):
    """A process that ends with the block, or after LIMIT seconds; stderr is text."""
    options = {"stderr": subprocess.PIPE, "text": True, "cwd": ROOT, **options}
    process = subprocess.Popen([sys.executable, *map(str, command)], **options)
    watch = threading.Timer(LIMIT, process.kill)
    watch.start()
    try:
        yield process
    finally:
        watch.cancel()
        process.kill()
        process.communicate()


@contextlib.contextmanager
def calling(function, *arguments):
    """A fork, as of `forked`, that calls a function; it ends with the block."""
    process = _SERVER.Process(target=function, args=arguments)
    with _STARTING, contextlib.chdir(ROOT):
        process.start()
    try:
        yield process
    finally:
        process.kill()
        process.join()


def run(*command, status=0, python=sys.executable, **options):
    """Runs a command to its end; returns `.stdout` and `.stderr`."""
    options = {"capture_output": True, "text": True, "cwd": ROOT, **options}
    command = [python, *map(str, command)]
    return _ended(subprocess.run(command, timeout=LIMIT, **options), status)


def forked(*command, status=0):
    """As `run`, in a fork of a process that has loaded libraries and package."""
    with tempfile.TemporaryDirectory() as folder:
        paths = [os.path.join(folder, name) for name in ("stdout", "stderr")]
        process = _SERVER.Process(target=_execute, args=(paths, [*map(str, command)]))
        with _STARTING, contextlib.chdir(ROOT):  # where the server finds the package
            process.start()
        try:
            process.join(LIMIT)
        finally:
            process.kill()
            process.join()
        texts = [open(path).read() for path in paths]
    done = subprocess.CompletedProcess(command, process.exitcode, *texts)
    return _ended(done, status)


def _ended(done, status):
    assert done.returncode == status and "Traceback" not in done.stderr, done.stderr
    return done


def _execute(paths, command):
    """What the interpreter does with a command line, stdout and stderr to files."""
    for number, path in enumerate(paths, 1):
        with open(path, "w") as file:
            os.dup2(file.fileno(), number)
    os.chdir(ROOT)
    if command[0] == "-c":
        sys.argv = ["-c", *command[2:]]
        exec(command[1], {"__name__": "__main__"})
    elif command[0] == "-m":
        sys.argv = command[1:]
        runpy.run_module(command[1], run_name="__main__")
    else:
        sys.argv = command
        runpy.run_path(command[0], run_name="__main__")
