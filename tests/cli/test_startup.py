"""How commands end: by SystemExit, with everything freed that would hold up the end."""

import pstats

import numpy as np
import pytest

from tests.helpers import processes
from tests.helpers.sample import FRAME_FLAGS
from youtube8m.data.writing.records import frame_example, write_records

# Runs a command twice in one process; prints how each run ended.
TWICE = """
import runpy, sys
command, statuses = sys.argv[1:], []
for number in range(2):
    sys.argv = list(command)
    try:
        runpy.run_path(command[0], run_name="__main__")
    except SystemExit as stop:
        statuses.append(stop.code)
print(*statuses)
"""

# Runs a command COUNT times, each in a fork that ends as interpreters do. Several
# batches are always in flight: each takes its time, in Python, which no thread can run
# any more once the interpreter is ending. Prints the statuses, None after two minutes.
ENDS = """
import os, runpy, sys, time
import keras, pandas, tensorflow as tf
count, *sys.argv = sys.argv[1:]
mapped, os.cpu_count = tf.numpy_function, lambda: 8

def numpy_function(function, *args, **kwargs):
    def slow(*values):
        results, end = function(*values), time.monotonic() + 0.05
        while time.monotonic() < end:
            pass
        return results
    return mapped(slow, *args, **kwargs)

tf.numpy_function = numpy_function
for number in range(int(count)):
    pid = os.fork()
    if not pid:
        runpy.run_path(sys.argv[0], run_name="__main__")
    deadline, status = time.monotonic() + 120, None
    while status is None and time.monotonic() < deadline:
        ended, code = os.waitpid(pid, os.WNOHANG)
        status = os.waitstatus_to_exitcode(code) if ended else None
        time.sleep(0.01)
    if status is None:
        os.kill(pid, 9)
    print(status, flush=True)
"""


@pytest.fixture(scope="module")
def broken(tmp_path_factory):
    """A shard in whose middle a label is out of range."""
    path = tmp_path_factory.mktemp("broken") / "a.tfrecord"
    rng = np.random.default_rng(0)
    examples = []
    for number in range(200):
        rows = rng.integers(0, 256, (24, 32), np.uint8)
        features = {"rgb": rows[:, :24], "audio": rows[:, 24:]}
        label = 99 if number == 120 else number % 12
        examples.append(frame_example(f"v{number}", [label], features))
    write_records(str(path), examples)
    return path


def command(broken, train_dir, *more):
    return (
        "train.py",
        f"--train_dir={train_dir}",
        f"--train_data_pattern={broken}",
        *FRAME_FLAGS,
        "--model=FrameLevelLogisticModel",
        "--batch_size=4",
        "--num_readers=1",
        "--shuffle_buffer=4",
        *more,
    )


@pytest.mark.parametrize("count", [3, pytest.param(40, marks=pytest.mark.slow)])
def test_no_run_that_fails_amid_an_epoch_hangs(broken, tmp_path, count):
    arguments = command(broken, tmp_path / "run", "--start_new_model")
    done = processes.run("-c", ENDS, count, *arguments)
    assert done.stdout.split() == ["1"] * count


def test_a_session_goes_on_after_each_run(broken, tmp_path):
    """As in IPython's %run: control comes back, also after an error."""
    arguments = command(broken, tmp_path / "run", "--start_new_model")
    done = processes.forked("-c", TWICE, *arguments)
    assert done.stdout.split() == ["1", "1"]
    errors = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert len(errors) == 2 and all("has labels entry 99" in line for line in errors)
    done = processes.forked("-c", TWICE, *arguments, "--max_steps=2")
    assert done.stdout.split() == ["None", "None"]


def test_inference_imports_no_more_than_tensorflow_does():
    """TensorFlow itself imports pandas, requests and pyarrow where they are there."""
    found = "print({'tensorboard', 'scipy', 'matplotlib'} & {*sys.modules})"
    code = f"import sys, youtube8m.tools.inference; {found}"
    assert processes.forked("-c", code).stdout == "set()\n"


def test_a_profiler_writes_its_profile(broken, tmp_path):
    profile = tmp_path / "profile"
    arguments = command(broken, tmp_path / "run", "--max_steps=2")
    processes.run("-m", "cProfile", "-o", profile, *arguments)
    functions = {name for *_, name in pstats.Stats(str(profile)).stats}
    assert "split_batch" in functions
