"""How commands end: by SystemExit, with everything freed that would hold up the end."""

import os
import pstats
import runpy

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras.src.backend import config

from tests.helpers import processes
from tests.helpers.sample import FRAME_FLAGS
from youtube8m.cli import startup
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


@pytest.mark.slow
@pytest.mark.parametrize("count", [3, 40])
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
    processes.forked("-m", "cProfile", "-o", profile, *arguments)
    functions = {name for *_, name in pstats.Stats(str(profile)).stats}
    assert "split_batch" in functions


KERAS_JSON = [
    *('{"floatx": "nonsense"}', '{"epsilon": "1"}', '{"epsilon": 1}', "[1]", "null"),
    *('{"backend": 3}', '{"image_data_format": "channels_first"}', "{", "\0", ""),
    '{"floatx": "float16", "epsilon": 0.5}',
]


def keras_settings():
    """What Keras would read of its file and its variables, were it imported now."""
    found = runpy.run_path(config.__file__)
    names = ("floatx", "epsilon", "backend", "image_data_format", "keras_home")
    return [found[name]() for name in names]


@pytest.fixture
def keras_home(tmp_path, monkeypatch):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    return tmp_path / "keras.json"


def hidden_settings():
    with startup._keras_defaults():
        *settings, home = keras_settings()
    assert not os.path.exists(os.path.join(home, "keras.json"))
    return settings


@pytest.mark.parametrize("content", KERAS_JSON)
def test_no_keras_json_has_an_influence(keras_home, content):
    keras_home.write_text(content)
    assert hidden_settings() == ["float32", 1e-7, "tensorflow", "channels_last"]
    assert os.environ["KERAS_HOME"] == str(keras_home.parent)
    assert os.environ["KERAS_BACKEND"] == "tensorflow"
    assert keras_home.read_text() == content


def test_nor_has_one_that_cannot_be_read(keras_home, monkeypatch):
    keras_home.mkdir()
    monkeypatch.setenv("KERAS_MAX_EPOCHS", "x")
    with pytest.raises((OSError, ValueError)):
        keras_settings()
    assert hidden_settings() == ["float32", 1e-7, "tensorflow", "channels_last"]
    assert os.environ["KERAS_MAX_EPOCHS"] == "x"


def test_a_session_that_has_set_keras_otherwise():
    settings = keras.config.floatx, keras.config.epsilon, keras.config.image_data_format
    usual = [setting() for setting in settings]
    keras.config.set_floatx("float64")
    keras.config.set_epsilon(0.5)
    keras.config.set_image_data_format("channels_first")
    startup.load_tensorflow()
    assert [setting() for setting in settings] == usual
    assert usual == ["float32", 1e-7, "channels_last"]


OOM = (
    "Graph execution error:\n\nDetected at node dense\n\nOOM when allocating tensor "
    "with shape[9,300] and type float on CPU:0 [Op:__inference__update_561]"
)


@pytest.mark.parametrize(
    "error, told",
    [
        (MemoryError("Unable to allocate 293. MiB"), "(Unable to allocate 293. MiB)"),
        (MemoryError(), "(MemoryError)"),
        (tf.errors.ResourceExhaustedError(None, None, OOM), "with shape[9,300])"),
        (tf.errors.ResourceExhaustedError(None, None, "no room\nx"), "(no room)"),
    ],
)
def test_too_little_memory_is_one_line(capsys, error, told):
    def fail():
        raise error

    with pytest.raises(SystemExit) as stop:
        startup._guarded(fail)
    said = capsys.readouterr().err
    assert stop.value.code == 1 and said.count("\n") == 1
    assert said.startswith("error: there is too little memory (") and told in said
    assert "give a smaller --batch_size" in said


@pytest.mark.slow
def test_tensorflow_still_says_that_memory_is_missing(capsys):
    with pytest.raises(SystemExit):
        startup._guarded(lambda: tf.zeros([10**6, 10**6]) + 1)
    assert "too little memory" in capsys.readouterr().err


def test_other_errors_keep_their_traces():
    def fail():
        raise tf.errors.InternalError(None, None, "a bug")

    with pytest.raises(tf.errors.InternalError):
        startup._guarded(fail)
