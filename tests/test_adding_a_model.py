"""docs/adding_a_model.md does what it says: its example is taken from it and run."""

import json
import pathlib
import re
import shlex

import pytest

from tests.helpers import processes

pytestmark = pytest.mark.slow

DOCUMENT = pathlib.Path(processes.ROOT) / "docs" / "adding_a_model.md"
# The example's data set, smaller than its default.
SMALL = "--num_train=64 --num_validate=16 --num_test=4 --min_frames=5 --max_frames=20"


def blocks(language):
    return re.findall(rf"```{language}\n(.*?)```", DOCUMENT.read_text(), re.DOTALL)


def test_the_example_trains_evaluates_and_is_exported(tmp_path, monkeypatch):
    (tmp_path / "my_models.py").write_text(blocks("python")[0])
    monkeypatch.setattr(processes, "ROOT", str(tmp_path))  # where commands run
    monkeypatch.setenv("PYTHONPATH", str(DOCUMENT.parents[1]))
    lines = blocks("sh")[0].replace("\\\n", " ").splitlines()
    commands = [shlex.split(line)[1:] for line in lines]
    assert [command[1].rpartition(".")[2] for command in commands] == [
        "sample_data",
        "train",
        "eval",
        "export",
    ]
    commands[0] += SMALL.split()
    done = [processes.run(*command) for command in commands]
    assert "epoch/eval number 3 |" in done[2].stderr
    assert (tmp_path / "exported" / "saved_model.pb").exists()
    kept = json.loads((tmp_path / "run" / "model_flags.json").read_text())
    assert kept["hyperparameters"]["pooled_size"] == 64
    assert kept["hyperparameters"]["score_scale"] == 1.0
