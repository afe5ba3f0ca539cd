"""Writes the tables of models and presets into README.md and docs/papers.

    python docs/write_docs.py    # in the root of the repository

It replaces the lines between the markers of a document, such as
`<!-- presets: begin -->` and `<!-- presets: end -->`. A new paper gets a document.
"""

import dataclasses
import textwrap
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from youtube8m import cli, tools  # noqa: F401  # tools loads TensorFlow silently
from youtube8m.config import DataConfig
from youtube8m.errors import UserError
from youtube8m.models.base import CLASSIFIERS, ENCODERS, LABEL_PROCESSING
from youtube8m.models.preset import PAPERS, PRESETS, Paper, Preset, find_paper
from youtube8m.tools.presets import format_flags, number_questions
from youtube8m.training.config import TrainingConfig
from youtube8m.util.files import replacing

_SOURCES = "youtube8m.models."
_FIELDS = (*dataclasses.fields(DataConfig), *dataclasses.fields(TrainingConfig))
_SETTINGS = {field.name for field in _FIELDS}  # flags of a row, but not of its model


def main() -> None:
    """Writes the documents that are not up to date, and prints their paths."""
    for path, text in documents(Path()).items():
        if not path.exists() or path.read_text() != text:
            with replacing(str(path)) as file:
                file.write(text)
            print(path)


def documents(root: Path) -> dict[Path, str]:
    """The paths of the documents in a repository, and the texts that they must have.

    Raises UserError for a document without markers.
    """
    papers = {  # without those of a user's own modules; the starter code first
        folder.removeprefix(_SOURCES): PAPERS[folder]
        for folder in sorted(PAPERS, key=lambda name: ("starter" not in name, name))
        if folder.startswith(_SOURCES)
    }
    readme = root / "README.md"
    texts = {readme: _fill(readme, readme.read_text(), "models", _models_table(papers))}
    for folder, paper in papers.items():
        path = root / "docs" / "papers" / f"{folder}.md"
        text = f"# {paper.name}\n\n<!-- presets: begin -->\n<!-- presets: end -->\n"
        text = path.read_text() if path.exists() else text
        texts[path] = _fill(path, text, "presets", _paper_section(paper))
    return texts


def _fill(path, text, name, lines):
    """The text with these lines between its markers of this name."""
    begin, end = (f"<!-- {name}: {edge} -->\n" for edge in ("begin", "end"))
    before, _, rest = text.partition(begin)
    _, found, after = rest.partition(end)
    if not found:
        raise UserError(f"{path}: expected the lines {begin.strip()} and {end.strip()}")
    return "".join([before, begin, *(f"{line}\n" for line in lines), end, after])


def _models_table(papers: Mapping[str, Paper]) -> list[str]:
    """The lines of the README's table: the classes of each source, by their flags."""
    registries = (ENCODERS, CLASSIFIERS, LABEL_PROCESSING)
    table = [["source", *(f"`{registry.flag}`" for registry in registries)]]
    for folder, paper in papers.items():
        row = [f"[{paper.name}](docs/papers/{folder}.md)"]
        for registry in registries:
            row.append(
                _code(n for n in registry if find_paper(registry.get(n)) == paper)
            )
        table.append(row)
    return _markdown(table)


def _paper_section(paper: Paper) -> list[str]:
    """The lines of a paper's document: where it is, its rows, its open questions."""
    where = f", {paper.read}" if paper.read else ""
    code = f"Code: <{paper.code}>." if paper.code else "No code was released."
    lines = _wrapped("", f"[{paper.title}]({paper.url}){where}. {code}")
    presets = [preset for preset in PRESETS.values() if preset.paper == paper.name]
    if not presets:
        return lines
    settings, numbers = _settings_by_input(presets), number_questions(presets)
    lines += ["", "Models have these settings, unless the table says otherwise:", ""]
    for on, flags in settings.items():
        lines += _wrapped("- ", f"on {on}: `{format_flags(flags)}`")
    table = [["`--preset`", "row", "reported", "input", "model and training", "open"]]
    table += [_row(preset, settings, numbers) for preset in presets]
    lines += ["", *_markdown(table), *(["", "Open questions:", ""] if numbers else [])]
    for question, number in numbers.items():
        lines += _wrapped(f"{number}. ", question)
    return lines


def _input(preset: Preset) -> str:
    if preset.members:
        return "predictions"
    if preset.first_stage:
        return "descriptors"
    return "frames" if preset.flags.get("frame_features") else "videos"


def _settings_by_input(presets: Iterable[Preset]) -> dict[str, dict[str, Any]]:
    """The settings that more than half of the models on an input have."""
    groups = defaultdict(list)
    for preset in presets:
        if preset.flags:
            groups[_input(preset)].append(preset.flags)
    settings = {}
    for on, group in groups.items():
        values = Counter(item for flags in group for item in flags.items())
        names = Counter(name for flags in group for name in flags if name in _SETTINGS)
        settings[on] = {
            name: value
            for (name, value), count in values.items()
            if 2 * count > names[name] == len(group)
        }
    return settings


def _row(preset, settings, numbers):
    common = settings.get(_input(preset), {}).items()
    own = [flag for flag in preset.flags.items() if flag not in common]
    own.sort(key=lambda flag: (flag[0] in _SETTINGS, flag[0] != "model"))
    flags = (dict(own), preset.inference, preset.merge)
    what = [f"`{format_flags(some)}`" for some in flags if some]
    if preset.validation:
        what.append("trained on the validation split too")
    if preset.starts:
        what.append(f"crops from the starts {', '.join(map(str, preset.starts))}")
    of = _code(preset.members or filter(None, [preset.first_stage]))
    return [
        f"`{preset.name}`",
        preset.row,
        preset.figure,
        _input(preset) + (f" of {of}" if of else ""),
        "; ".join(what),
        ", ".join(map(str, sorted(numbers[q] for q in preset.open_questions))),
    ]


def _code(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def _wrapped(mark: str, text: str) -> list[str]:
    whole_words = {"break_long_words": False, "break_on_hyphens": False}
    indent = " " * len(mark)
    return textwrap.wrap(mark + text, 100, subsequent_indent=indent, **whole_words)


def _markdown(table: Sequence[Sequence[str]]) -> list[str]:
    """The lines of a table, whose first row is its head."""
    head, *rows = table
    return [f"| {' | '.join(row)} |" for row in (head, ["---"] * len(head), *rows)]


if __name__ == "__main__":
    cli.run(main)
