"""The scripts and tools as a user runs them, each in a process of its own."""

import csv
import re

from tests.helpers import processes
from tests.helpers.sample import FRAME_FLAGS, VIDEO_FLAGS


# One process of each script, and what is told before flags are read, start from
# nothing; the others would take as long only to load the same libraries again.
def run(script, *arguments, status=0, fresh=False):
    """Runs a script from the project's root; returns what it wrote to stderr."""
    execute = processes.run if fresh else processes.forked
    return execute(script, *arguments, status=status).stderr


def train(sample, train_dir, *arguments, level="video", **values):
    return run(
        "train.py",
        f"--train_dir={train_dir}",
        f"--train_data_pattern={sample[f'{level}/train']}",
        *(FRAME_FLAGS if level == "frame" else VIDEO_FLAGS),
        "--batch_size=32",
        *arguments,
        **values,
    )


def read_csv(path):
    with open(path, newline="") as file:
        return list(csv.reader(file))


def assert_one_line(log, message):
    """The last line, and no other, is an error that says `message`."""
    *before, last = log.splitlines()
    assert last.startswith("error: ")
    assert re.search(message, last), log
    # What may precede it is the line with which training or prediction begins.
    assert all(line.startswith(("training ", "predicting ")) for line in before), log
