"""docs/output.md and README do what they say: their commands are taken and run."""

import pathlib
import re
import shlex

import pytest

from tests.helpers import processes
from tests.helpers.documents import shell_commands
from youtube8m.prediction import formats

ROOT = pathlib.Path(processes.ROOT)
DATA = ROOT / "tests" / "data" / "earlier_versions"
TEXT = (ROOT / "docs" / "output.md").read_text()
_, _, README = (ROOT / "README.md").read_text().partition("## What the numbers mean")
README = README.partition("## In Python")[0]
# What the documents name, and what stands for it here.
FILES = {
    "--train_dir": DATA / "runs" / "preset",
    "--input_data_pattern": DATA / "sample" / "segment" / "validate*.tfrecord",
    "--vocabulary_file": DATA / "sample" / "vocabulary.csv",
}


def execute(line, folder):
    """Runs a command in which the files of the document are those of FILES."""

    def translated(word):
        flag, _, value = word.partition("=")
        if flag in FILES:
            return f"{flag}={FILES[flag]}"
        if flag in ("--output_file", "--input_files"):
            return f"{flag}={','.join(str(folder / name) for name in value.split(','))}"
        return word

    return processes.forked(*map(translated, shlex.split(line)[1:]))


@pytest.mark.slow
def test_every_command_of_the_documents_runs(tmp_path, monkeypatch, capsys):
    found = shell_commands(README) + shell_commands(TEXT)
    assert len(found) == 7
    first, *others = (execute(line, tmp_path).stdout for line in found)
    head = first.split("\n", 1)[0].split()
    assert head == ["id", "confidence", "class", "name", "vertical"]
    lines = (tmp_path / "predictions.jsonl").read_text().splitlines()
    assert len(lines) == 20
    parts = [(tmp_path / f"part{n}.jsonl").read_text().splitlines() for n in (0, 1)]
    assert lines == [*parts[0], *parts[1]] and all(parts)
    assert '"segment_start": 5, ' in (tmp_path / "timeline.jsonl").read_text()
    assert (tmp_path / "kaggle_solution.csv").read_text().startswith("VideoId,")
    (code,) = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)
    monkeypatch.chdir(tmp_path)
    exec(code, names := {})
    assert len(names["labels"]) == 20 * 12
    assert "Sample class" in capsys.readouterr().out


def test_the_columns_are_those_of_the_document():
    rows = re.findall(r"^\| (`.*?) \|", TEXT, re.MULTILINE)
    named = [name for row in rows for name in re.findall(r"`(\w+)`", row)]
    columns = [formats.ID, formats.SEGMENT_START, formats.LABELS]
    columns += [formats.NAMES, formats.VERTICALS, formats.CONFIDENCES]
    assert named == [*formats.FORMATS, *columns]
