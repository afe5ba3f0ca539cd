"""Plays examples and reports those that end with a fault; see the package."""

import argparse
import collections
import os
import random
import shlex
import shutil
import sys
import tempfile
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")

import keras  # noqa: F401
import pandas  # noqa: F401
import tensorflow  # noqa: F401

from tests.helpers.fuzz_commands import oddities
from tests.helpers.fuzz_commands.examples import (
    CLASSES,
    DTYPES,
    FEATURE,
    MODEL,
    SIZE,
    Example,
    Fault,
)
from youtube8m.config import DataConfig, ModelConfig, RunConfig
from youtube8m.evaluation import evaluator  # noqa: F401
from youtube8m.prediction import inference  # noqa: F401
from youtube8m.training import trainer
from youtube8m.training.config import TrainingConfig


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--examples", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0, help="of the first example")
    parser.add_argument("--fresh_share", type=float, default=0.03)
    parser.add_argument("--seconds", type=float, default=float("inf"))
    options = parser.parse_args()
    began, faults, ends = time.monotonic(), 0, collections.Counter()
    top = tempfile.mkdtemp()  # a TemporaryDirectory would end with the first fork
    try:
        runs = os.path.join(top, "runs")
        _in_a_fork(lambda: write_runs(runs))
        for seed in range(options.seed, options.seed + options.examples):
            if time.monotonic() - began > options.seconds:
                break
            folder = os.path.join(top, "example")
            example = Example(seed, folder, runs, options.fresh_share)
            try:
                example.play()
            except Fault as fault:
                faults += 1
                print(described(seed, example, fault), flush=True)
            if options.examples == 1:
                print(described(seed, example, "played"))
            ends.update(ended.status for ended in example.ended)
            ends["examples"] += 1
            shutil.rmtree(folder, ignore_errors=True)
    finally:
        shutil.rmtree(top, ignore_errors=True)
    said = ", ".join(f"status {s}: {n}" for s, n in ends.items() if s != "examples")
    print(
        f"{ends['examples']} examples from seed {options.seed}, {faults} faults; "
        f"commands with {said}; {time.monotonic() - began:.0f} s"
    )
    return min(faults, 1)


def described(seed, example, fault) -> str:
    """A fault with the commands that led to it."""
    lines = [f"--- seed {seed}: {fault}", f"cd {shlex.quote(example.folder)}"]
    lines.append(f"{example.environment} {example.limits} closed {example.closed}")
    for ended in example.ended:
        lines.append(f"$ {shlex.join(ended.command)}  # status {ended.status}")
        lines += [f"    {line[:300]}" for line in ended.log.splitlines()[-25:]]
    return "\n".join(lines).encode("utf-8", "backslashreplace").decode()


def write_runs(folder: str) -> None:
    """A run of each kind of records after two steps, with a checkpoint of each."""
    for level, feature in FEATURE.items():
        os.makedirs(os.path.join(folder, "data", level))
        odd = random.Random(0)
        shards = oddities.shards(odd, level, os.path.join(folder, "data", level), 0)
        data = DataConfig(
            (feature,),
            (SIZE,),
            level != "video",
            num_classes=CLASSES,
            feature_dtypes=DTYPES[level],
        )
        config = TrainingConfig(
            train_dir=os.path.join(folder, level),
            train_data_pattern=shards.pattern,
            batch_size=8,
            max_steps=2,
            export_model_steps=1,
        )
        run = RunConfig(data, ModelConfig(MODEL[level]))
        trainer.Trainer(run, config).train()


def _in_a_fork(work):
    """Does what starts TensorFlow, which must not run here."""
    child = os.fork()
    if not child:
        status = 1
        try:
            work()
            status = 0
        finally:
            os._exit(status)
    if os.waitpid(child, 0)[1]:
        sys.exit("the runs could not be made")


if __name__ == "__main__":
    sys.exit(main())
