"""What may happen to a run: killed at any moment, full disks, damaged shards.

A run goes on as if nothing had been, files are whole or absent, and what cannot be
mended is told in one line.
"""

import os
import random
import re
import shutil
import signal
import subprocess
import time

import numpy as np
import pytest
import tensorflow as tf

from tests.helpers import processes
from tests.helpers.processes import started
from tests.helpers.sample import FRAME_FLAGS, SAMPLE, VIDEO_FLAGS
from tests.helpers.training_runs import (
    DBOF,
    FRAMES,
    config,
    last_step,
    metrics_lines,
    train,
)
from youtube8m.config import DataConfig, RunConfig
from youtube8m.data.reading import tfrecord
from youtube8m.data.reading.damage import Damage
from youtube8m.data.reading.pipeline import Shards
from youtube8m.data.writing.records import frame_example, write_records
from youtube8m.errors import UserError
from youtube8m.runs.directory import RunDirectory
from youtube8m.training import reports, saver

pytestmark = pytest.mark.slow

# Where a life that goes on is killed before its first step: it has not, or just,
# restored, or is replacing a file.
STARTING = [
    ("os", "replace", 1, "checkpoint'"),
    ("os", "replace", 1, "training_flags.json"),
    ("youtube8m.training.saver", "Saver.restore", 1, ""),
    ("os", "replace", 1, "metrics.jsonl"),
]
# And behind its last: before the save, the second one, amid it, and when it is done.
MANAGER = "tensorflow.python.checkpoint.checkpoint_management"
ENDING = [
    (MANAGER, "CheckpointManager.save", 2, ""),
    (MANAGER, "CheckpointManager._record_state", 3, ""),  # each save does so twice
    (MANAGER, "CheckpointManager._sweep", 2, ""),
]


def finish(script, *arguments, status=0):
    """Runs a script to its end; returns what it wrote to stderr."""
    return processes.forked(script, *arguments, status=status).stderr


def only_error(script, *arguments):
    """The one line that a script fails with."""
    log = finish(script, *arguments, status=1)
    (line,) = [line for line in log.splitlines() if line.startswith("error: ")]
    assert log.splitlines()[-1] == line
    return line


# Runs a script that kills itself as it calls a function: MODULE NAME NUMBER WORD
# SCRIPT ..., at the NUMBERth call with WORD among the arguments.
DYING = """
import importlib, os, runpy, signal, sys
_, module, name, number, word, *sys.argv = sys.argv
owner, calls = importlib.import_module(module), []
*classes, name = name.split(".")
for one in classes:
    owner = getattr(owner, one)
called = getattr(owner, name)

def dying(*args, **kwargs):
    if word in repr((args[-2:], kwargs)):
        calls.append(args)
    if len(calls) == int(number):
        os.kill(os.getpid(), signal.SIGKILL)
    return called(*args, **kwargs)

setattr(owner, name, dying)
runpy.run_path(sys.argv[0], run_name="__main__")
"""


def die(place, *command):
    """Runs a script that DYING kills at `place`: module, name, number, word."""
    return processes.forked("-c", DYING, *place, *command, status=-signal.SIGKILL)


def kill_at_line(process, pattern, number, delay=0):
    """Kills a process `delay` seconds after its `number`th line like `pattern`.

    Returns its exit status, which is -SIGKILL unless it had come to its end.
    """
    for line in process.stderr:
        number -= bool(re.match(pattern, line))
        if number <= 0:
            break
    time.sleep(delay)
    process.kill()
    return process.wait()


def tensors(prefix):
    """Everything that a checkpoint holds but for how often was saved."""
    reader = tf.train.load_checkpoint(prefix)
    names = {*reader.get_variable_to_shape_map()} - {
        "save_counter/.ATTRIBUTES/VARIABLE_VALUE",
        "_CHECKPOINTABLE_OBJECT_GRAPH",
    }
    return {name: reader.get_tensor(name) for name in names}


def assert_equal(found, expected):
    """Of arrays by name: bit for bit."""
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        np.testing.assert_array_equal(found[name], value, err_msg=name)


def test_a_run_killed_ten_times_ends_as_one_never_stopped(sample, tmp_path):
    """Weights, optimizer and random state bit for bit; each step told once."""

    def arguments(name, *more):
        sizes = DBOF.hyperparameters.items()
        return (
            "train.py",
            f"--train_dir={tmp_path / name}",
            f"--train_data_pattern={sample['frame/train']}",
            *FRAME_FLAGS,
            "--model=DbofModel",
            *(f"--{key}={value}" for key, value in sizes),
            "--batch_size=32",
            "--num_epochs=100000",  # of more steps than any lives have
            "--num_readers=2",
            "--export_model_steps=3",
            *more,
        )

    draw = random.Random(0)

    def killed_in_the_middle():
        number, delay = draw.randrange(5, 60), 0.1 * draw.random()
        with started(*arguments("killed")) as process:
            status = kill_at_line(process, "training step", number, delay)
        assert status == -signal.SIGKILL

    for number, place in enumerate(STARTING):
        if number != 2:  # there two lives in a row come to no step
            killed_in_the_middle()
        if place[-1] == "checkpoint'":  # which is written only if it is damaged
            (tmp_path / "killed" / "checkpoint").write_bytes(b"")
        done = last_step(tmp_path / "killed")
        log = die(place, *arguments("killed")).stderr
        assert "training step" not in log
        assert last_step(tmp_path / "killed") == done
    for place in ENDING:
        # Saved behind the third step, too.
        steps = last_step(tmp_path / "killed") // 3 * 3 + 4
        log = die(place, *arguments("killed", f"--max_steps={steps}")).stderr
        assert f"training step {steps} " in log and "saved step" not in log
    steps = last_step(tmp_path / "killed") + 20
    for name in ("whole", "killed"):
        finish(*arguments(name, f"--max_steps={steps}"))
    whole, killed = (
        tensors(RunDirectory(str(tmp_path / name)).latest_checkpoint())
        for name in ("whole", "killed")
    )
    assert_equal(killed, whole)
    once, again = (metrics_lines(tmp_path / name) for name in ("whole", "killed"))
    assert [line["step"] for line in again] == list(range(1, steps + 1))
    assert [line["loss"] for line in again] == [line["loss"] for line in once]


@pytest.fixture(scope="module")
def trained(sample, tmp_path_factory):
    """The directory of a run of five steps."""
    path = tmp_path_factory.mktemp("faults") / "run"
    finish(*training(sample, path, "--max_steps=5"))
    return path


def inference(sample, train_dir, out):
    data = ",".join(sample[f"video/{part}"] for part in ("train", "validate", "test"))
    return (
        "inference.py",
        f"--train_dir={train_dir}",
        f"--input_data_pattern={data}",
        f"--output_file={out}",
        "--batch_size=1",
    )


def test_the_csv_of_a_killed_inference_is_absent_or_whole(sample, trained, tmp_path):
    out, draw = tmp_path / "out.csv", random.Random(1)
    finish(*inference(sample, trained, tmp_path / "whole.csv"))
    whole = (tmp_path / "whole.csv").read_bytes()
    count = SAMPLE.num_train + SAMPLE.num_validate + SAMPLE.num_test
    assert whole.count(b"\n") == count + 1
    for _ in range(3):
        # A process that nobody reads stands still after 113 lines: 4 KiB lie in the
        # pipe, and as many are read at once.
        with started(*inference(sample, trained, out), pipesize=4096) as process:
            number = draw.randrange(1, count // 2)
            status = kill_at_line(process, "num examples processed", number)
        assert status == -signal.SIGKILL and not out.exists()


@pytest.mark.parametrize("call", ["chmod", "replace", "remove"])
def test_an_inference_killed_at_its_end_leaves_a_whole_csv(
    sample, trained, tmp_path, call
):
    """The older one, until the new one, which is closed by then, takes its place."""
    out, whole = tmp_path / "out.csv", tmp_path / "whole.csv"
    finish(*inference(sample, trained, whole))
    out.write_text("older\n")
    die(("os", call, 1, "out.csv"), *inference(sample, trained, out))
    (new,) = [*tmp_path.glob(".out.csv.*")] or [out]
    assert new.read_bytes() == whole.read_bytes()
    assert (new == out) == (call == "remove")
    assert new == out or out.read_text() == "older\n"


# Disks.


def mount(*arguments):
    options = {"capture_output": True, "text": True, "timeout": 60}
    subprocess.run(["mount", *arguments], check=True, **options)


@pytest.fixture
def disk(tmp_path):
    """A file system of 512 KiB of its own."""
    path = tmp_path / "disk"
    path.mkdir()
    need = "needs a small disk, which only root may mount, and few containers"
    if not shutil.which("mount") or os.geteuid() != 0:
        pytest.skip(need)
    try:
        mount("-t", "tmpfs", "-o", "size=512k", "none", path)
    except subprocess.CalledProcessError as error:
        pytest.skip(f"{need}: {error.stderr.strip()}")
    yield path
    # Lazily: something on a desktop may be looking at it.
    subprocess.run(["umount", "-l", path], check=True, timeout=60)


def fill(path, free):
    """Writes a file that leaves `free` bytes of the disk it is on."""
    state = os.statvfs(path.parent)
    path.write_bytes(bytes(state.f_bavail * state.f_frsize - free))


def training(sample, train_dir, *arguments):
    return (
        "train.py",
        f"--train_dir={train_dir}",
        f"--train_data_pattern={sample['video/train']}",
        *VIDEO_FLAGS,
        "--batch_size=32",
        "--num_readers=2",
        *arguments,
    )


@pytest.fixture(scope="module")
def ninety_steps(sample, tmp_path_factory):
    """The tensors behind as many steps that nothing disturbed."""
    path = tmp_path_factory.mktemp("ninety") / "run"
    finish(*training(sample, path, "--num_epochs=200", "--max_steps=90"))
    return tensors(str(path / "model.ckpt-90"))


@pytest.mark.parametrize("free", [0, 16 << 10, 48 << 10])
def test_a_full_disk_ends_training_but_costs_no_step(
    sample, trained, ninety_steps, disk, free
):
    """It is full at the start, in the first saves, and once metrics have grown."""
    run = disk / "run"
    shutil.copytree(trained, run)
    before = tensors(str(run / "model.ckpt-5"))
    fill(disk / "ballast", free)
    flags = ("--num_epochs=200", "--max_steps=900")
    line = only_error(*training(sample, run, *flags, "--export_model_steps=7"))
    assert "No space left on device" in line and str(run) in line
    (disk / "ballast").unlink()
    assert last_step(run) < 90, "the disk was full too late"
    if last_step(run) == 5:
        assert_equal(tensors(str(run / "model.ckpt-5")), before)
    finish(*training(sample, run, "--num_epochs=200", "--max_steps=90"))
    assert [line["step"] for line in metrics_lines(run)] == [*range(1, 91)]
    assert_equal(tensors(str(run / "model.ckpt-90")), ninety_steps)


@pytest.mark.parametrize("name", ["train.log", "metrics.jsonl"])
def test_logs_that_cannot_be_written_are_one_line(sample, tmp_path, name, monkeypatch):
    """Wherever the disk is full: /dev/full always is."""
    if not os.path.exists("/dev/full"):
        pytest.skip("there is no /dev/full")
    monkeypatch.setattr(reports, "_truncate_metrics", lambda *_: None)
    run = RunConfig(FRAMES, DBOF)
    train(run, config(sample, tmp_path, max_steps=3))
    (tmp_path / name).unlink()
    (tmp_path / name).symlink_to("/dev/full")
    with pytest.raises(UserError) as error:
        train(run, config(sample, tmp_path, max_steps=9))
    assert f"--train_dir={tmp_path}: cannot be written (No space" in str(error.value)


def test_a_full_disk_keeps_the_older_csv(sample, trained, disk):
    out = disk / "out.csv"
    out.write_text("older\n")
    fill(disk / "ballast", 4096)
    line = only_error(*inference(sample, trained, out))
    assert (
        line
        == f"error: --output_file={out}: cannot be written (No space left on device)"
    )
    assert out.read_text() == "older\n"
    assert sorted(os.listdir(disk)) == ["ballast", "out.csv"]


def test_disks_that_cannot_be_written_are_one_line(sample, trained, disk):
    run = disk / "run"
    shutil.copytree(trained, run)
    mount("-o", "remount,ro", disk)
    for train_dir in (run, disk / "new"):
        line = only_error(*training(sample, train_dir))
        assert "--train_dir" in line and "Read-only file system" in line
    line = only_error(*inference(sample, run, disk / "out.csv"))
    assert "--output_file" in line and "Read-only file system" in line
    finish("inference.py", *inference(sample, run, disk.parent / "out.csv")[1:])


def evaluation(sample, train_dir, *arguments):
    return (
        "eval.py",
        f"--train_dir={train_dir}",
        f"--eval_data_pattern={sample['video/validate']}",
        "--run_once",
        *arguments,
    )


@pytest.mark.parametrize("how", ["read-only", "full", "full since it was kept"])
def test_evaluation_tells_its_figures_whatever_the_disk(sample, trained, disk, how):
    """What cannot be written of a run is a warning each."""
    figures, run = r"epoch/eval number 5 \| .*GAP: 0\.\d{3}.*", disk / "run"
    log = finish(*evaluation(sample, trained, "--keep_best=0"))
    (expected,) = re.findall(figures, log)
    shutil.copytree(trained, run, ignore=shutil.ignore_patterns("eval"))
    if how == "full since it was kept":
        finish(*evaluation(sample, run))
    before = {path: path.read_bytes() for path in run.glob("best/*")}
    if how == "read-only":
        mount("-o", "remount,ro", disk)
    else:
        fill(disk / "ballast", 0)
    reason = "Read-only file system" if how == "read-only" else "No space left"
    log = finish(*evaluation(sample, run))
    assert re.findall(figures, log) == [expected]
    told = [line for line in log.splitlines() if line.startswith("--train_dir=")]
    assert len(told) == 2 and all(f"={run}" in t and reason in t for t in told), told
    assert any("model.ckpt-5 is not taken for --keep_best" in line for line in told)
    assert {path: path.read_bytes() for path in run.glob("best/*")} == before
    if how == "full":  # what another flag names is an error, behind the figures
        flag = f"--class_metrics_file={disk / 'classes.csv'}"
        log = finish(*evaluation(sample, run, flag), status=1)
        assert re.findall(figures, log) == [expected]
        assert log.splitlines()[-1].startswith(f"error: {flag}: cannot be written (No")


# Signals.


def test_sigterm_while_saving_ends_with_a_sound_checkpoint(
    sample, tmp_path, monkeypatch
):
    """It comes when the weights are written, and `checkpoint` does not name them."""
    save, sent = saver.save_checkpoint, []

    def interrupted(manager, directory, step):
        record = manager._record_state

        def terminated():
            if step == 4 and not sent:
                sent.append(step)
                signal.raise_signal(signal.SIGTERM)
            record()

        monkeypatch.setattr(manager, "_record_state", terminated)
        return save(manager, directory, step)

    monkeypatch.setattr(saver, "save_checkpoint", interrupted)
    run = RunConfig(FRAMES, DBOF)
    values = {"max_steps": 8, "export_model_steps": 2}
    train(run, config(sample, tmp_path / "run", **values))
    steps = [line["step"] for line in metrics_lines(tmp_path / "run")]
    assert steps == [1, 2, 3, 4]
    monkeypatch.undo()
    weights = train(run, config(sample, tmp_path / "run", **values))
    whole = train(run, config(sample, tmp_path / "whole", **values))
    for one, two in zip(weights, whole, strict=True):
        np.testing.assert_array_equal(one, two)


# Shards.

FILES, RECORDS = 20, 6
DATA = DataConfig(("rgb", "audio"), (16, 4), frame_features=True, num_classes=9)


class Copies:
    """Shards of frame-level records, which can be written anew, damaged or not."""

    def __init__(self, folder, seed=0, least=3):
        rng = np.random.default_rng(seed)
        self.paths = [str(folder / f"{n:02d}.tfrecord") for n in range(FILES)]
        self.pattern = str(folder / "*.tfrecord")
        self.frames = {}  # of each file, id -> uint8 [T, D]
        self.content, self.ends = [], []
        for number, path in enumerate(self.paths):
            names = [f"{seed}-{number:02d}-{n}" for n in range(RECORDS)]
            lengths = range(least, least + RECORDS)
            rows = [rng.integers(0, 256, (n, 20), np.uint8) for n in lengths]
            self.frames[path] = dict(zip(names, rows, strict=True))
            write_records(
                path,
                [
                    frame_example(name, [1], {"rgb": r[:, :16], "audio": r[:, 16:]})
                    for name, r in self.frames[path].items()
                ],
            )
            with open(path, "rb") as file:
                self.content.append(file.read())
            places = list(tfrecord.walk(path, Damage(strict=True)))
            self.ends.append([start + size + 16 for _, start, size in places])

    def record_at(self, file, offset):
        """Which record of a file the byte at `offset` is of."""
        return sum(offset >= end for end in self.ends[file])

    def restore(self):
        for path, content in zip(self.paths, self.content, strict=True):
            with open(path, "wb") as file:
                file.write(content)

    def expected(self, lost):
        """id -> frames of all records but those (file, number)."""
        return {
            name: frames
            for file, path in enumerate(self.paths)
            for number, (name, frames) in enumerate(self.frames[path].items())
            if (file, number) not in lost
        }


@pytest.fixture
def copies(tmp_path):
    return Copies(tmp_path)


def read(pattern, between=lambda batch: None, ordered=False, **values):
    """(id -> frames, the damage that was told), each record at most once."""
    opened = Shards.open(pattern, "--flag", DATA)
    if ordered:
        batches = opened.ordered_batches(7, **values)
    else:
        batches = opened.training_batches(7, seed=3, num_epochs=1, **values)
    found = {}
    for number, batch in enumerate(opened.iterate(batches)):
        for name, frames, length in zip(
            batch["id"].numpy(),
            batch["frames"].numpy(),
            batch["num_frames"].numpy(),
            strict=True,
        ):
            assert name.decode() not in found
            found[name.decode()] = frames[:length].copy()
        between(number)
    return found, opened.damage


def test_bytes_flipped_in_500_places_cost_a_record_each(copies):
    rng = np.random.default_rng(0)
    for _ in range(500 // FILES):
        copies.restore()
        lost = set()
        for file, path in enumerate(copies.paths):
            data = bytearray(copies.content[file])
            offset = int(rng.integers(len(data)))
            data[offset] ^= int(rng.integers(1, 256))
            lost.add((file, copies.record_at(file, offset)))
            with open(path, "wb") as out:
                out.write(data)
        found, damage = read(copies.pattern)
        assert_equal(found, copies.expected(lost))
        assert damage.lost == FILES


def test_shards_cut_at_50_offsets_give_what_is_before(copies):
    rng = np.random.default_rng(1)
    for _ in range(5):
        copies.restore()
        lost, cut = set(), 0
        for file in rng.choice(FILES, 10, replace=False):
            offset = int(rng.integers(1, len(copies.content[file])))
            os.truncate(copies.paths[file], offset)
            first = copies.record_at(file, offset)
            lost |= {(file, number) for number in range(first, RECORDS)}
            cut += offset not in copies.ends[file]
        os.truncate(copies.paths[(file + 1) % FILES], 0)  # empty ones, too
        lost |= {((file + 1) % FILES, number) for number in range(RECORDS)}
        found, damage = read(copies.pattern)
        assert_equal(found, copies.expected(lost))
        assert cut - 1 <= damage.lost <= cut


def test_one_damaged_file_alone_gives_its_other_records(copies):
    """Wherever it is damaged, its first record included."""
    for number, end in enumerate(copies.ends[0]):
        data = bytearray(copies.content[0])
        data[end - 30] ^= 1
        with open(copies.paths[0], "wb") as file:
            file.write(data)
        found, damage = read(copies.paths[0])
        kept = list(copies.frames[copies.paths[0]].items())
        del kept[number]
        assert_equal(found, dict(kept))
        assert damage.lost == 1


@pytest.mark.parametrize("ordered", [False, True])
@pytest.mark.parametrize("how", ["renamed", "in place", "longer", "removed"])
def test_shards_replaced_while_they_are_read(copies, tmp_path, how, ordered):
    """Records are the old ones or the new ones; what is neither is told, file by file.

    The new records lie elsewhere than the old ones.
    """
    (tmp_path / "others").mkdir()
    others = Copies(tmp_path / "others", seed=1, least=5)

    def replace(number):
        if number != 1:
            return
        for file, path in enumerate(copies.paths):
            if how == "renamed":
                os.replace(others.paths[file], path)
            elif how == "removed":
                os.remove(path)
            else:
                # Without a moment at which a file that grows is short.
                with open(path, "r+b" if how == "longer" else "wb") as out:
                    extra = copies.content[file] if how == "longer" else b""
                    out.write(extra + others.content[file])

    values = {"num_readers": 2} | ({} if ordered else {"shuffle_buffer": 8})
    found, damage = read(copies.pattern, replace, ordered, **values)
    old, new = copies.expected(()), others.expected(())
    known = {**old, **new}
    assert_equal(found, {name: known[name] for name in found})
    for file, path in enumerate(copies.paths):
        whole = any(
            each.keys() <= found.keys()
            for each in (copies.frames[path], others.frames[others.paths[file]])
        )
        assert whole or damage.reports[path], path
    if how == "longer":
        assert old.keys() <= found.keys() and not damage.lost
    if how == "renamed":  # whoever had opened the old file goes on in it
        assert len(found) + damage.lost == FILES * RECORDS
    if how == "removed":
        assert all("cannot be read" in t for of in damage.reports.values() for t in of)


def test_a_shard_replaced_as_it_is_opened_is_read_whole(copies, monkeypatch):
    """Not as far as the one before was long, which ended between two records."""
    path, opens = copies.paths[0], tfrecord._open

    def replaced(path):
        with open(f"{path}.new", "wb") as file:
            file.write(copies.content[0])
        os.replace(f"{path}.new", path)
        return opens(path)

    os.truncate(path, copies.ends[0][2])
    monkeypatch.setattr(tfrecord, "_open", replaced)
    damage = Damage()
    assert len([*tfrecord.read_records(path, damage)]) == RECORDS
    assert not damage.reports
