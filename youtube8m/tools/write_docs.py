"""Writes the tables of models and presets into README.md and docs/papers.

    python -m youtube8m.tools.write_docs    # in the root of the repository

It replaces what stands between the markers of a document, such as
`<!-- presets: begin -->` and `<!-- presets: end -->`. A new paper gets a document.
"""

import collections
import dataclasses
import os
import textwrap
from collections.abc import Sequence
from typing import Any

from youtube8m import cli
from youtube8m.config import DataConfig
from youtube8m.errors import UserError
from youtube8m.models.base import CLASSIFIERS, ENCODERS, LABEL_PROCESSING
from youtube8m.models.preset import PAPERS, PRESETS, Paper, Preset, paper_of
from youtube8m.tools.presets import format_flags, number_questions
from youtube8m.training.config import TrainingConfig
from youtube8m.util.files import replacing

_SOURCES = "youtube8m.models."
_STARTER = "youtube8m.models.starter"
# The flags of a row that are no part of its model.
_SETTINGS = {
    field.name
    for config_class in (DataConfig, TrainingConfig)
    for field in dataclasses.fields(config_class)
}


def main() -> None:
    """Writes the documents that are not up to date, and prints their paths."""
    for path, text in documents(".").items():
        if not os.path.exists(path) or _read(path) != text:
            with replacing(path) as file:
                file.write(text)
            print(path)


def documents(root: str) -> dict[str, str]:
    """The paths of the documents in a repository, and the texts that they must have.

    Raises:
      UserError: a document without markers.
    """
    papers = {  # without those of a user's own modules; the starter code first
        folder.removeprefix(_SOURCES): PAPERS[folder]
        for folder in sorted(PAPERS, key=lambda name: (name != _STARTER, name))
        if folder.startswith(_SOURCES)
    }
    readme = os.path.join(root, "README.md")
    texts = {readme: _fill(readme, _read(readme), "models", _models_table(papers))}
    for folder, paper in papers.items():
        path = os.path.join(root, "docs", "papers", f"{folder}.md")
        text = f"# {paper.name}\n\n<!-- presets: begin -->\n<!-- presets: end -->\n"
        text = _read(path) if os.path.exists(path) else text
        texts[path] = _fill(path, text, "presets", _paper_section(paper))
    return texts


def _read(path):
    with open(path, encoding="utf-8") as file:
        return file.read()


def _fill(path, text, name, lines):
    """The text with these lines between its markers of this name."""
    begin, end = (f"<!-- {name}: {edge} -->\n" for edge in ("begin", "end"))
    before, _, rest = text.partition(begin)
    _, found, after = rest.partition(end)
    if not found:
        raise UserError(f"{path}: expected the lines {begin.strip()} and {end.strip()}")
    return "".join([before, begin, *(f"{line}\n" for line in lines), end, after])


def _models_table(papers):
    """The lines of the README's table: the classes of each source, by their flags."""
    registries = (ENCODERS, CLASSIFIERS, LABEL_PROCESSING)
    table = [["source", *(f"`{registry.flag}`" for registry in registries)]]
    for folder, paper in papers.items():
        cells = [
            ", ".join(f"`{n}`" for n in registry if paper_of(registry.get(n)) == paper)
            for registry in registries
        ]
        table.append([f"[{paper.name}](docs/papers/{folder}.md)", *cells])
    return _markdown(table)


def _paper_section(paper: Paper) -> list[str]:
    """The lines of a paper's document: where it is, its rows, its open questions."""
    where = f", {paper.read}" if paper.read else ""
    code = f"Code: <{paper.code}>." if paper.code else "No code was released."
    lines = _wrapped(f"[{paper.title}]({paper.url}){where}. {code}")
    presets = [preset for preset in PRESETS.values() if preset.paper == paper.name]
    if not presets:
        return lines
    numbers = number_questions(presets)
    settings = _settings_by_input(presets)
    lines += ["", "Models have these settings, unless the table says otherwise:", ""]
    for on, flags in settings.items():
        lines += _wrapped(f"- on {on}: `{format_flags(flags)}`", indent=2)
    table = [["`--preset`", "row", "reported", "input", "model and training", "open"]]
    table += [_row(preset, settings, numbers) for preset in presets]
    lines += ["", *_markdown(table)]
    if numbers:
        lines += ["", "Open questions:", ""]
    for question, number in numbers.items():
        lines += _wrapped(f"{number}. {question}", indent=3)
    return lines


def _input(preset: Preset) -> str:
    if preset.first_stage:
        return "descriptors"
    return "frames" if preset.flags.get("frame_features") else "videos"


def _settings_by_input(presets: Sequence[Preset]) -> dict[str, dict[str, Any]]:
    """The settings that more than half of the models on an input have."""
    models = [preset for preset in presets if not preset.members]
    settings = {}
    for on in dict.fromkeys(map(_input, models)):
        flags = [preset.flags for preset in models if _input(preset) == on]
        shared = [name for name in flags[0] if all(name in f for f in flags)]
        settings[on] = {}
        for name in (name for name in shared if name in _SETTINGS):
            counts = collections.Counter(f[name] for f in flags)
            value, count = counts.most_common(1)[0]
            if 2 * count > len(flags):
                settings[on][name] = value
    return settings


def _row(preset, settings, numbers):
    """The cells of a preset's row."""
    on, what = "", []
    if preset.members:
        what.append("the mean of " + ", ".join(f"`{m}`" for m in preset.members))
    else:
        on = _input(preset)
        common = settings[on].items()
        own = [flag for flag in preset.flags.items() if flag not in common]
        own.sort(key=lambda flag: (flag[0] in _SETTINGS, flag[0] != "model"))
        what.append(f"`{format_flags(dict(own))}`")
    if preset.first_stage:
        on += f" of `{preset.first_stage}`"
    if preset.validation:
        what.append("trained on the validation split too")
    if preset.starts:
        what.append(f"from the starts {', '.join(map(str, preset.starts))}")
    what += [f"`{format_flags(x)}`" for x in (preset.inference, preset.merge) if x]
    questions = sorted(numbers[question] for question in preset.open_questions)
    return [
        f"`{preset.name}`",
        preset.row,
        preset.figure,
        on,
        "; ".join(what),
        ", ".join(map(str, questions)),
    ]


def _wrapped(text: str, indent: int = 0) -> list[str]:
    options = {"break_long_words": False, "break_on_hyphens": False}
    return textwrap.wrap(text, 100, subsequent_indent=indent * " ", **options)


def _markdown(table: Sequence[Sequence[str]]) -> list[str]:
    """The lines of a table, whose first row is its head."""
    head, *rows = table
    return [f"| {' | '.join(row)} |" for row in (head, ["---"] * len(head), *rows)]


if __name__ == "__main__":
    cli.run(main)
