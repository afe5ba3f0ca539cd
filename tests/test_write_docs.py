"""The tables in the documents are those of the registries and presets."""

import pathlib
import shutil

import pytest
import write_docs

from tests.helpers import processes
from youtube8m.errors import UserError
from youtube8m.models import preset as registered
from youtube8m.models.base import CLASSIFIERS, ENCODERS, LABEL_PROCESSING
from youtube8m.models.preset import PAPERS, PRESETS, Paper, Preset

COMMAND = "run: python docs/write_docs.py"
ROOT = pathlib.Path(processes.ROOT)
DOCUMENTS = write_docs.documents(ROOT)


@pytest.mark.parametrize("name", [str(path.relative_to(ROOT)) for path in DOCUMENTS])
def test_documents_are_up_to_date(name):
    path = ROOT / name
    assert path.exists(), COMMAND
    assert path.read_text() == DOCUMENTS[path], COMMAND


def test_every_model_is_in_the_readme():
    _, table = DOCUMENTS[ROOT / "README.md"].split("<!-- models: begin -->")
    table, _ = table.split("<!-- models: end -->")
    for name in (*ENCODERS, *CLASSIFIERS, *LABEL_PROCESSING):
        assert f"`{name}`" in table, f"{name}: its folder has no PAPER"


def test_every_preset_and_open_question_is_in_a_document():
    text = " ".join(" ".join(DOCUMENTS.values()).split())
    for preset in PRESETS.values():
        row = f"| `{preset.name}` | {preset.row} | {preset.figure} |"
        assert " ".join(row.split()) in text
        assert all(question in text for question in preset.open_questions)


def test_settings_and_row_together_are_the_flags():
    name = "tang2017-ensemble-11"
    text = DOCUMENTS[ROOT / "docs" / "papers" / "tang2017.md"]
    settings = text.split("- on frames: `")[1].split("`")[0]
    row = text.split(f"| `{name}` |")[1].split("`")[1]
    words = [*settings.split(), *row.split()]
    given = {word[2:].split("=")[0]: word.split("=")[-1] for word in words}
    assert given.keys() == PRESETS[name].flags.keys()
    assert given["learning_rate_decay"] == "0.5" and given["batch_size"] == "128"


@pytest.fixture
def repository(tmp_path, monkeypatch):
    """A copy of the documents, in the current directory."""
    shutil.copy(ROOT / "README.md", tmp_path)
    shutil.copytree(ROOT / "docs" / "papers", tmp_path / "docs" / "papers")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_new_paper_gets_a_document(repository, monkeypatch, capsys):
    paper = Paper("Smith et al. 2020", "Pooling", "https://example.org", "Table 1")
    preset = Preset("smith2020-pooling", "Table 1, pooling", flags={"batch_size": 8})
    monkeypatch.setitem(PAPERS, "youtube8m.models.smith2020", paper)
    monkeypatch.setitem(registered.PRESETS, preset.name, preset)
    write_docs.main()
    written = capsys.readouterr().out.split()
    assert written == ["README.md", "docs/papers/smith2020.md"]
    text = (repository / "docs" / "papers" / "smith2020.md").read_text()
    assert text.startswith("# Smith et al. 2020\n\n<!-- presets: begin -->\n[Pooling]")
    assert "docs/papers/smith2020.md" in (repository / "README.md").read_text()
    write_docs.main()
    assert not capsys.readouterr().out


def test_what_stands_outside_the_markers_stays(repository):
    path = repository / "docs" / "papers" / "tang2017.md"
    begin, end = "<!-- presets: begin -->\n", "<!-- presets: end -->\n"
    path.write_text(f"before\n{begin}old\n{end}after\n")
    write_docs.main()
    text = path.read_text()
    assert text.startswith(f"before\n{begin}[Hierarchical") and "old" not in text
    assert text.endswith(f"{end}after\n")


def test_a_document_without_markers_is_one_line(repository):
    (repository / "README.md").write_text("<!-- models: begin -->\nno end\n")
    with pytest.raises(UserError, match="README.md: expected the lines <!-- models: "):
        write_docs.main()
