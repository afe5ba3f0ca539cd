"""docs/differences.md does what it says: its example of a model is taken and run."""

import pathlib
import re

import pytest

from tests.helpers import processes

DOCUMENT = pathlib.Path(processes.ROOT) / "docs" / "differences.md"


def test_every_command_of_the_starter_code_is_installed():
    setup = pathlib.Path(processes.ROOT, "setup.py").read_text()
    tools = pathlib.Path(processes.ROOT, "youtube8m", "tools")
    named = re.findall(r"`youtube8m-(\w+)`", DOCUMENT.read_text())
    assert len(named) == 7  # NAME, and six of the starter code's
    assert all((tools / f"{name}.py").exists() for name in named if name != "NAME")
    assert '"youtube8m-{name} = {_MAIN}"' in setup


@pytest.mark.slow
def test_the_example_trains(sample, tmp_path):
    (code,) = re.findall(r"```python\n(.*?)```", DOCUMENT.read_text(), re.DOTALL)
    path = tmp_path / "mean_max.py"
    path.write_text(code)
    log = processes.run(
        "train.py",
        f"--import={path}",
        "--model=MeanMaxModel",
        "--mean_max_size=5",
        f"--train_data_pattern={sample['frame/train']}",
        "--num_classes=12",
        "--max_steps=1",
        f"--train_dir={tmp_path / 'run'}",
    ).stderr
    assert "training MeanMaxModel (" in log and "saved step 1" in log
