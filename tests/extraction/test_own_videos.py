"""From videos to labels, by the commands of README and docs/own_videos.md.

Clips of three kinds, of which neither colour nor tone alone tells all apart, are told
apart by a model that was trained on their features.
"""

import os
import pathlib
import re
import shlex

import pytest

from tests.helpers import processes
from tests.helpers.documents import shell_commands
from tests.helpers.extraction import (
    KINDS,
    NAMES_CSV,
    write_kinds,
    write_network,
    write_vggish,
)
from youtube8m.extraction import FeatureExtractor

ROOT = pathlib.Path(processes.ROOT)
TEXT = (ROOT / "docs" / "own_videos.md").read_text()
_, _, README = (ROOT / "README.md").read_text().partition("## Your own videos")
README = README.partition("\n## ")[0]
# Small sizes in place of those of the documents, and what they leave to defaults.
SIZES = {"--fit_pca": "5", "--image_model": "network.keras"}
MORE = {
    "extract_features": ["--model_dir=."],
    "train.py": [
        *("--batch_size=8", "--num_epochs=60", "--base_learning_rate=0.02"),
        *("--dbof_cluster_size=16", "--dbof_hidden_size=16"),
    ],
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """What the documents' commands read, but for the run on YouTube-8M."""
    folder = tmp_path_factory.mktemp("own_videos")
    write_network(folder / "network.keras")
    write_vggish(folder)
    (folder / "classes.csv").write_text(NAMES_CSV)
    for name, each in (("train", 6), ("test", 3)):
        (folder / name).mkdir()
        lines = write_kinds(folder / name, each, seed=each)
        (folder / f"{name}.csv").write_text("".join(lines))
    (folder / "videos.csv").write_text((folder / "train.csv").read_text())
    (folder / "my.mp4").write_bytes((folder / "test" / "whale0.mp4").read_bytes())
    return folder


def execute(line, folder):
    """Runs a command of a document in the folder; returns what it prints."""
    words = []
    for word in shlex.split(line)[1:]:
        flag, _, value = word.partition("=")
        if flag in SIZES:
            word = f"{flag}={SIZES[flag]}"
        words.append(re.sub(r"^(train|eval)\.py$", rf"{ROOT}/\1.py", word))
    for name, more in MORE.items():
        words += more if name in line else ()
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return processes.run(*words, cwd=folder, env=environment).stdout


def rows(table):
    return [line.split() for line in table.splitlines()]


@pytest.mark.slow
def test_clips_of_three_kinds_are_told_apart(folder):
    predict, timeline, *training = shell_commands(TEXT)
    assert len(training) == 4
    for line in training:
        printed = execute(line, folder)
    head, *found = rows(execute(f"{predict} test/*.mp4".replace(" my.mp4", ""), folder))
    assert head == ["id", "confidence", "class", "name", "vertical"]
    best = {row[0]: row[3] for row in found if row[0].endswith(".mp4")}
    assert len(best) == 9
    assert all(video.startswith(name) for video, name in best.items()), best
    assert rows(execute(predict, folder))[1][3] == "whale"
    head, *found = rows(execute(timeline, folder))
    assert head[:2] == ["id", "second"] and len(found) == 1 + 9
    assert {row[4] for row in found} == {*KINDS}
    assert not printed


@pytest.mark.slow
def test_readmes_commands(folder):
    of_youtube8m, *own = shell_commands(README)
    assert "yt8m/lstm" in of_youtube8m and len(own) == 3
    for line in own:
        printed = execute(line, folder)
    assert rows(printed)[1][0] == "my.mp4"
    assert rows(printed)[0][1] == "second"


def test_the_code_of_the_document(folder, monkeypatch):
    (code,) = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)
    monkeypatch.chdir(folder)
    calls = []

    def small(image_model, sound, model_dir):
        calls.append((image_model, sound, model_dir))
        return FeatureExtractor("network.keras", sound, ".")

    names = {}
    monkeypatch.setattr("youtube8m.extraction.FeatureExtractor", small)
    exec(code, names)
    assert calls == [("yt8m", True, "~/yt8m")]
    assert names["video"].rgb.shape == (3, 6)
    assert names["video"].audio.shape == (3, 128)
