"""Several workers, as local processes, that train one model."""

import collections
import contextlib
import itertools
import json
import os
import random
import re
import signal
import socket
import textwrap
import time

import numpy as np
import pytest
import tensorflow as tf

from tests.helpers.processes import started
from tests.helpers.sample import FRAME_FLAGS, SAMPLE, VIDEO_FLAGS
from tests.helpers.training_runs import (
    CLIP,
    TWO_REPLICAS,
    assert_clipped,
    last_step,
    metrics_lines,
    run_python,
)
from tests.helpers.workers import EPOCHS
from youtube8m.errors import UserError
from youtube8m.runs.directory import RunDirectory
from youtube8m.training.workers import Workers

CLUSTER = {"chief": ["a:1"], "worker": ["b:2", "c:3"]}


def workers_of(cluster, task):
    config = json.dumps({"cluster": cluster, "task": task})
    return Workers.from_environment({"TF_CONFIG": config})


def test_without_tf_config_there_is_one_worker():
    for environment in ({}, {"TF_CONFIG": ""}, {"TF_CONFIG": '{"cluster": {}}'}):
        workers = Workers.from_environment(environment)
        assert len(workers) == 1 and workers.is_chief


@pytest.mark.parametrize("chief", ["chief", "master"])
def test_the_chief_comes_first(chief):
    cluster = {"worker": CLUSTER["worker"], chief: CLUSTER["chief"]}
    for number, task in enumerate([(chief, 0), ("worker", 0), ("worker", 1)]):
        workers = workers_of(cluster, {"type": task[0], "index": task[1]})
        assert workers == Workers(("a:1", "b:2", "c:3"), number)
        assert workers.is_chief == (number == 0)


def test_without_a_chief_the_first_worker_is():
    cluster = {"worker": ["a:1", "b:2"]}
    assert workers_of(cluster, {"type": "worker", "index": 0}).is_chief
    assert not workers_of(cluster, {"type": "worker", "index": "1"}).is_chief


def test_a_list_that_is_empty_names_nobody():
    cluster = {"worker": ["a:1", "b:2"], "ps": [], "evaluator": ["c:3"]}
    workers = workers_of(cluster, {"type": "worker", "index": 0})
    assert workers.addresses == ("a:1", "b:2")


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_worker_that_waits_ends_by_a_signal(sample, tmp_path, number):
    config = {
        "cluster": {"worker": [f"localhost:{port}" for port in free_ports(2)]},
        "task": {"type": "worker", "index": 0},
    }
    environment = {**os.environ, "TF_CONFIG": json.dumps(config)}
    command = ["train.py", f"--train_dir={tmp_path}", *VIDEO_FLAGS]
    command.append(f"--train_data_pattern={sample['video/train']}")
    with started(*command, env=environment) as process:
        for line in process.stderr:
            if "waiting for all of" in line:
                break
        time.sleep(2)
        process.send_signal(number)
        assert process.wait(20) != 0


@pytest.mark.parametrize(
    "text, message",
    [
        ("{", "TF_CONFIG={: expected JSON such as"),
        ("[1]", "expected JSON"),
        ('{"cluster": {"worker": ["a:1"]}}', "expected JSON"),
        ('{"cluster": ["a:1"], "task": {"type": "worker", "index": 0}}', "expected"),
        (
            '{"cluster": {"worker": ["a:1"]}, "task": {"type": "worker", "index": 1}}',
            "the task names this process",
        ),
        (
            '{"cluster": {"worker": ["a:1"]}, "task": {"type": "worker", "index": -1}}',
            "the task names this process",
        ),
        (
            '{"cluster": {"worker": ["a"]}, "task": {"type": "worker", "index": 0}}',
            "host1:2222",
        ),
        (
            '{"cluster": {"ps": ["a:1"]}, "task": {"type": "worker", "index": 0}}',
            "parameter servers .ps., which are not supported",
        ),
        (
            '{"cluster": {"chief": ["a:1"]}, "task": {"type": "evaluator"}}',
            "tasks of type evaluator; expected chief",
        ),
    ],
)
def test_a_wrong_tf_config_is_told(text, message):
    with pytest.raises(UserError, match=message):
        Workers.from_environment({"TF_CONFIG": text})


def free_ports(count):
    """Ports below those of the system's choice, which others would get before use."""
    drawn = random.SystemRandom().sample(range(15000, 32000), 1000)
    return list(itertools.islice(filter(is_free, drawn), count))


def is_free(port):
    with socket.socket() as one, contextlib.suppress(OSError):
        one.bind(("localhost", port))
        return True
    return False


class Processes(contextlib.ExitStack):
    """Runs a command as two workers, which end with the block."""

    def __init__(self, directory, *command, worker=()):
        super().__init__()
        first, second = free_ports(2)
        cluster = {"chief": [f"localhost:{first}"], "worker": [f"localhost:{second}"]}
        self.paths = [directory / f"{name}.log" for name in cluster]
        self.processes = []
        for name, path, more in zip(cluster, self.paths, ((), worker), strict=True):
            config = {"cluster": cluster, "task": {"type": name, "index": 0}}
            environment = {**os.environ, "TF_CONFIG": json.dumps(config)}
            with open(path, "w") as log:
                process = started(*command, *more, env=environment, stderr=log)
                self.processes.append(self.enter_context(process))

    def wait(self):
        """The exit codes and what was written to stderr."""
        codes = [process.wait() for process in self.processes]
        return codes, [path.read_text() for path in self.paths]

    def wait_for_steps(self, count):
        """Waits until the chief has told of `count` steps."""
        told = -1
        while told < count:
            running = self.processes[0].poll() is None  # asked before the log is read
            log = self.paths[0].read_text()
            told = log.count("training step ")
            assert running or told >= count, log
            time.sleep(0.05)

    def kill(self, number):
        for process in self.processes:
            process.send_signal(number)


def run_workers(*arguments, **values):
    """The exit codes of two workers that run to their end, and what they wrote."""
    with Processes(*arguments, **values) as processes:
        return processes.wait()


def flags(sample, train_dir, *more):
    return (
        "train.py",
        f"--train_dir={train_dir}",
        f"--train_data_pattern={sample['frame/train']}",
        *FRAME_FLAGS,
        "--model=DbofModel",
        "--dbof_cluster_size=16",
        "--dbof_hidden_size=8",
        "--batch_size=16",
        *more,
    )


def weights(train_dir):
    """Everything in the newest checkpoint, by name."""
    reader = tf.train.load_checkpoint(RunDirectory(str(train_dir)).checkpoint())
    names = reader.get_variable_to_shape_map()
    return {name: reader.get_tensor(name) for name in names if "CHECKPOINT" not in name}


# Takes: replicas, data, output, batch size, FIXED_DBOF or CENTERS. Without TF_CONFIG
# it begins as the scripts of two replicas do.
SCRIPT = (
    """
import os
if "TF_CONFIG" in os.environ:
    import sys
    strategy, (data, out, batch) = None, sys.argv[2:5]
else:"""
    + textwrap.indent(TWO_REPLICAS, "    ")
    + """
import numpy as np
from tests.helpers import training_runs as t
from tests.helpers.workers import EPOCHS, Seen
from youtube8m.training.workers import Workers
workers = Workers.from_environment(os.environ)
settings = t.TrainingConfig(train_dir=out, train_data_pattern=data, num_epochs=EPOCHS,
    batch_size=int(batch), base_learning_rate=0.05, clip_gradient_norm=t.CLIP,
    optimizer="GradientDescentOptimizer", regularization_penalty=1e6)
run = t.RunConfig(t.FRAMES, getattr(t, sys.argv[5]))
trainer = t.Trainer(run, settings, strategy, workers)
seen = Seen(trainer)
trainer.train()
state = trainer.state
np.savez(out + f"/weights{workers.index}.npz",
    *[v.numpy() for v in (*state.model.weights, *state.loss.variables)])
np.savez(out + f"/seen{workers.index}.npz", ids=seen.ids, reads=seen.reads)
"""
)


@pytest.mark.slow
@pytest.mark.parametrize("model", ["FIXED_DBOF", "CENTERS"])
def test_two_workers_of_half_the_batch_give_the_same_weights(sample, tmp_path, model):
    """1 x 2B, 2 replicas x B and 2 workers x B, after 20 steps with clipping, weight
    decay, and what depends on the whole batch."""
    data, out = sample["frame/train"], tmp_path / "workers"
    for replicas, batch in ((1, 32), (2, 16)):
        run_python(SCRIPT, replicas, data, tmp_path / str(replicas), batch, model)
    codes, logs = run_workers(tmp_path, "-c", SCRIPT, 2, data, out, 16, model)
    assert codes == [0, 0], logs
    results = []
    for path in ("1/weights0", "2/weights0", "workers/weights0", "workers/weights1"):
        with np.load(tmp_path / f"{path}.npz") as file:
            results.append([file[name] for name in file.files])
    for other in results[1:]:
        for one, two in zip(results[0], other, strict=True):
            np.testing.assert_allclose(one, two, rtol=0, atol=1e-5)
    assert [line["step"] for line in metrics_lines(out)] == list(range(1, 21))
    assert_clipped(out, CLIP, len(results[0]))
    assert_read_once_per_epoch(out)


def assert_read_once_per_epoch(out):
    """By one of the two workers, half of the records by each."""
    with np.load(out / "seen0.npz") as one, np.load(out / "seen1.npz") as two:
        both = np.concatenate([one["ids"], two["ids"]], axis=1)
        reads = [map(tuple, seen["reads"].tolist()) for seen in (one, two)]
        assert one["ids"].shape == two["ids"].shape == (EPOCHS, SAMPLE.num_train // 2)
    for videos in both:
        assert len(set(videos)) == SAMPLE.num_train
        assert set(videos) == set(both[0])
    counts = [collections.Counter(found) for found in reads]
    assert [counter.total() for counter in counts] == [
        EPOCHS * SAMPLE.num_train // 2
    ] * 2
    assert set((counts[0] + counts[1]).values()) == {EPOCHS}


def assert_same_state(one, two):
    one, two = weights(one), weights(two)
    assert one.keys() == two.keys() and len(one) > 10
    for name in one:
        np.testing.assert_array_equal(one[name], two[name], name)


@pytest.mark.slow
def test_a_run_survives_losing_all_workers(sample, tmp_path):
    """Killed and started again, it ends with the state of one left alone."""
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    more = ("--num_epochs=10000", "--export_model_steps=7", "--steps_per_loop=2")
    for count in (10, 30):
        with Processes(tmp_path, *flags(sample, parts, *more)) as processes:
            processes.wait_for_steps(count)
            processes.kill(signal.SIGKILL)
            codes, logs = processes.wait()
        assert codes[0] == -signal.SIGKILL and codes[1] in (-signal.SIGKILL, 1), logs
    end = last_step(parts) + 20
    for train_dir in (whole, parts):
        run = flags(sample, train_dir, *more, f"--max_steps={end}")
        codes, logs = run_workers(tmp_path, *run)
        assert codes == [0, 0], logs
    assert "model.ckpt-" in logs[0] and "saved step" not in logs[1]
    assert_same_state(whole, parts)
    assert [line["step"] for line in metrics_lines(parts)] == list(range(1, end + 1))


@pytest.mark.slow
@pytest.mark.parametrize("index", [0, 1])
def test_a_signal_to_one_worker_stops_all_at_one_step(sample, tmp_path, index):
    run = flags(sample, tmp_path / "run", "--num_epochs=10000", "--start_new_model")
    with Processes(tmp_path, *run) as processes:
        processes.wait_for_steps(20)
        processes.processes[index].send_signal(signal.SIGTERM)
        codes, logs = processes.wait()
    assert codes == [128 + signal.SIGTERM] * 2, logs
    again = "; run the same command without --start_new_model to go on"
    assert f"stopped by SIGTERM{again}" in logs[index]
    assert f"stopped by another worker{again}" in logs[1 - index]
    steps = [re.findall(r"training step (\d+) ", log)[-1] for log in logs]
    assert steps[0] == steps[1]
    assert f"saved step {steps[0]}: " in logs[0]


@pytest.mark.slow
def test_the_loss_of_one_worker_is_told_by_the_other(sample, tmp_path):
    run = flags(sample, tmp_path / "run", "--num_epochs=10000")
    with Processes(tmp_path, *run) as processes:
        processes.wait_for_steps(20)
        processes.processes[1].kill()
        codes, logs = processes.wait()
    assert codes == [1, -signal.SIGKILL]
    assert re.search("^error: another worker is gone", logs[0], re.MULTILINE), logs[0]


@pytest.mark.slow
def test_workers_with_other_flags_are_told(sample, tmp_path):
    run = flags(sample, tmp_path / "run", "--num_epochs=1", "--start_new_model")
    codes, logs = run_workers(tmp_path, *run, worker=("--dbof_hidden_size=9",))
    assert codes == [1, 1]
    for log in logs:
        assert "error: TF_CONFIG: the workers were started with different" in log
