"""Presets: the rows that papers report, by name, and the flags behind each.

    PAPER = Paper("Smith et al. 2020", "Pooling", "https://arxiv.org/abs/2001.00000")
    PRESETS = [Preset("smith2020-pooling", row="Table 1, pooling", flags={...})]

A paper states its rows in the presets.py of its folder; a module of a user's own may
have the same two names. `import_source` registers them.

    find("smith2020-pooling").flags["lstm_cells"]  # train.py's flags by name
"""

import dataclasses
import importlib
import pkgutil
from collections.abc import Mapping, Sequence
from types import ModuleType
from typing import Any

from youtube8m.errors import unknown_name


@dataclasses.dataclass(frozen=True)
class Paper:
    """A source of models: where its classes and its rows come from.

    Attributes:
      name: as texts cite it, "Tang et al. 2017".
      read: the tables and sections that the rows are from.
      code: the address of the authors' code; "" where none was released.
    """

    name: str
    title: str
    url: str
    read: str = ""
    code: str = ""


@dataclasses.dataclass(frozen=True)
class Preset:
    """One reported row.

    Where a paper gives no value, the flag has the starter code's or that of the
    nearest row, and an open question says so: "Unclear in the paper: the batch size.
    We use: 128."

    Attributes:
      name: what --preset takes.
      row: where in the paper, "Table 1, LSTM".
      figure: as reported, on the paper's own split; "" where there is none.
      flags: train.py's, also those that equal a default: a later default must not
        change a row.
      open_questions: whole sentences.
      validation: whether it is trained on the validation split too.
      first_stage: the preset on whose descriptors this one is trained.
      members: presets whose predictions are averaged; such a preset is no model.
      starts: crops to predict with each member that crops (--crop_starts).
      inference: more flags of inference.py.
      merge: more flags of tools.ensemble.
      paper: its name; registering sets it.
    """

    name: str
    row: str
    figure: str = ""
    flags: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    open_questions: Sequence[str] = ()
    validation: bool = False
    first_stage: str = ""
    members: Sequence[str] = ()
    starts: Sequence[int] = ()
    inference: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    merge: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    paper: str = ""


PRESETS: dict[str, Preset] = {}
PAPERS: dict[str, Paper] = {}  # by folder, "youtube8m.models.tang2017"


def find(name: str) -> Preset:
    """The preset called `name`. Raises UserError with the nearest names."""
    if name not in PRESETS:
        raise unknown_name("--preset", name, PRESETS)
    return PRESETS[name]


def import_source(name: str) -> None:
    """Imports a module, or a package with all its modules; registers their presets."""
    module = importlib.import_module(name)
    register_presets(module)
    for inner in pkgutil.iter_modules(getattr(module, "__path__", ()), f"{name}."):
        import_source(inner.name)


def register_presets(module: ModuleType) -> None:
    """Registers the PRESETS of a module under the name of its PAPER.

    Raises ValueError for a name that another preset has; then none is registered.
    """
    folder = _folder(module.__name__)
    paper = getattr(module, "PAPER", _paper(folder))
    found: dict[str, Preset] = {}
    for preset in getattr(module, "PRESETS", ()):
        preset = dataclasses.replace(preset, paper=paper.name)
        known = PRESETS.get(preset.name, preset)
        if found.setdefault(preset.name, known) != preset:
            raise ValueError(f"{module.__name__}: a second preset {preset.name}")
    if hasattr(module, "PAPER"):
        PAPERS[folder] = paper
    PRESETS.update(found)


def find_paper(cls: type) -> Paper:
    """The paper of a model's class: that of its folder, or of its module."""
    return _paper(_folder(cls.__module__))


def find_report(cls: type) -> Preset | None:
    """The preset whose row reports a model's class; a subclass needs its own."""
    name = vars(cls).get("reported_by")
    return find(name) if name else None


def _folder(module: str) -> str:
    return module.rpartition(".")[0] or module


def _paper(folder: str) -> Paper:
    return PAPERS.get(folder) or Paper(folder.rpartition(".")[2], title="", url="")
