"""Whole commands in odd situations; see tests/helpers/fuzz_commands."""

import re

import pytest

from tests.helpers import processes


def play(examples, seed):
    """Plays examples in a fork; faults end it with status 1."""
    words = (f"--examples={examples}", f"--seed={seed}", "--fresh_share=0")
    done = processes.forked("-m", "tests.helpers.fuzz_commands", *words)
    count, seen, faults = re.search(
        r"(\d+) examples from seed (\d+), (\d+) faults", done.stdout
    ).groups()
    assert (int(count), int(seen), int(faults)) == (examples, seed, 0), done.stdout
    assert "status 0: " in done.stdout and "status 1: " in done.stdout


def test_twenty_examples():
    play(20, seed=0)


@pytest.mark.slow
def test_two_hundred_examples():
    """In four parts, because no process of a test may run for over ten minutes."""
    for seed in range(100, 300, 50):
        play(50, seed)
