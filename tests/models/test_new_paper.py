"""A new paper is a folder: flags, listings and documents follow from it."""

import json
import os
import shutil

import pytest

from tests.helpers import processes

ENCODERS = '''
from typing import Annotated

from youtube8m.models.base import ENCODERS, FrameEncoder


@ENCODERS.register
class SmithPooling(FrameEncoder):
    """The first frame."""

    reported_by = "smith2020-pooling"

    def __init__(self, smith_size: Annotated[int, "Units of nothing."] = 8, **kwargs):
        super().__init__(**kwargs)
        self.smith_size = smith_size

    def call(self, frames, frame_mask, training=False):
        return frames[:, 0]
'''
PRESETS = """
from youtube8m.models.preset import Paper, Preset
from youtube8m.models.starter.presets import ON_FRAMES

PAPER = Paper("Smith et al. 2020", title="Pooling", url="https://example.org")
PRESETS = [
    Preset(
        "smith2020-pooling",
        row="Table 1, pooling",
        figure="GAP 0.5",
        flags={**ON_FRAMES, "model": "SmithPooling", "smith_size": 3},
        open_questions=["Unclear in the paper: its use. We use: nothing of it."],
    ),
]
"""
SEEN = """
import json, pathlib, sys
from absl import flags
from youtube8m.models import SmithPooling
from youtube8m.tools import models, presets, train

sys.path.append("docs")
import write_docs

print(json.dumps({
    "help": flags.FLAGS["smith_size"].help,
    "row": models.row("SmithPooling"),
    "listing": presets.listing(),
    "commands": presets.commands("smith2020-pooling"),
    "documents": {str(k): v for k, v in write_docs.documents(pathlib.Path()).items()},
}))
"""


@pytest.fixture(scope="module")
def seen(tmp_path_factory):
    """What a copy of the repository makes of a new folder."""
    root = tmp_path_factory.mktemp("repository")
    ignored = shutil.ignore_patterns("__pycache__")
    for name in ("youtube8m", "docs"):
        shutil.copytree(f"{processes.ROOT}/{name}", root / name, ignore=ignored)
    shutil.copy(f"{processes.ROOT}/README.md", root)
    folder = root / "youtube8m" / "models" / "smith2020"
    folder.mkdir()
    for name, text in (("__init__", ""), ("encoders", ENCODERS), ("presets", PRESETS)):
        (folder / f"{name}.py").write_text(text)
    environment = {**os.environ, "KERAS_BACKEND": "tensorflow"}
    done = processes.run("-c", SEEN, cwd=root, env=environment)
    return json.loads(done.stdout.splitlines()[-1])


def test_a_hyperparameter_is_a_flag(seen):
    assert "Units of nothing" in seen["help"]


def test_the_model_and_its_row_are_listed(seen):
    assert seen["row"]["source"] == "Smith et al. 2020, Table 1, pooling"
    assert seen["row"]["reported"] == "GAP 0.5"
    start = seen["listing"].index("Smith et al. 2020")
    assert seen["listing"][start + 1].split()[0] == "smith2020-pooling"
    assert "--smith_size=3" in " ".join(seen["commands"])


def test_the_documents_have_them(seen):
    row = "| [Smith et al. 2020](docs/papers/smith2020.md) | `SmithPooling` |"
    assert row in seen["documents"]["README.md"]
    text = seen["documents"]["docs/papers/smith2020.md"]
    assert "`--model=SmithPooling --smith_size=3`" in text
    assert "1. Unclear in the paper: its use. We use: nothing of it." in text
