"""Vocabularies: the names, frequencies and verticals of the classes.

    vocabulary = read_vocabulary("vocabulary.csv", num_classes=3862)
    vocabulary.names[3], vocabulary.train_counts[3]
    vocabulary.verticals[vocabulary.vertical_of[3]]

Reads the official vocabulary.csv, files of labels and their verticals, and other CSV
files with the same names of columns, such as AudioSet's class names. C: classes.
"""

import dataclasses
import os

import numpy as np
import pandas as pd

from youtube8m.errors import UserError
from youtube8m.schema import CLASS_FACTS
from youtube8m.util.files import local_path
from youtube8m.util.text import shortened
from youtube8m.util.text_files import read_table

# What a column may be called, in lower case and without `_`, the best name first.
_COLUMNS = {
    "index": ("index", "labelid"),
    "name": ("name", "labelname", "displayname"),
    "count": ("trainvideocount",),
    # Names before numbers: files that have both mean the same by them.
    "vertical": ("vertical1", "verticalname", "vertical", "vertical1id", "verticalid"),
}
_EXPECTED = (
    "the official vocabulary.csv (Index, TrainVideoCount, Name, Vertical1 ...) or two "
    "columns label_id,vertical"
)


@dataclasses.dataclass(frozen=True, eq=False)
class Vocabulary:
    """The C classes of a data set, by class id.

    What a file does not have is empty: names '', counts 0, verticals -1.
    """

    names: tuple[str, ...]  # C of them; '' where the class has no name
    train_counts: np.ndarray  # int64 [C], videos of the training split
    verticals: tuple[str, ...]  # sorted, numbers by value
    vertical_of: np.ndarray  # int32 [C], the first vertical in `verticals`; -1: none

    @property
    def num_verticals(self) -> int:
        """How many verticals there are."""
        return len(self.verticals)

    def class_fact(self, name: str, path: str) -> int | tuple[int, ...]:
        """One of CLASS_FACTS, of the whole or of each class.

        Raises UserError, which names the file at `path`, if a class lacks it.
        """
        fact = CLASS_FACTS[name]
        values = np.asarray(getattr(self, fact.attribute))
        without = np.flatnonzero(values < fact.least)
        if without.size:
            raise UserError(
                f"{path}: class {without[0]} has {fact.lack}, nor have "
                f"{without.size - 1} others; give {fact.remedy}"
            )
        return tuple(values.tolist()) if values.ndim else int(values)


def read_vocabulary(path, num_classes: int | None = None) -> Vocabulary:
    """Reads a vocabulary or the verticals of labels, in any order of their rows.

    Args:
      path: a CSV file with a header; without one, of two columns label_id,vertical.
      num_classes: how many classes the file must have; None: any number.

    Raises UserError if the file cannot be read, or does not have each class once.
    """
    path = os.fspath(path)
    columns = _columns(_table(path), path)
    order = _order(_integers(columns["index"], path, "class index"), path, num_classes)
    empty = np.full(len(order), "", object)
    names, counts, verticals = (
        columns.get(name, empty)[order] for name in ("name", "count", "vertical")
    )
    counts = _integers(np.where(counts == "", "0", counts), path, "count")
    return Vocabulary(tuple(names), counts, *_verticals(verticals))


def _table(path: str) -> np.ndarray:
    """All cells as text [rows, columns], the header first; short rows are filled."""
    rows = []
    for number, cells in read_table(local_path(path, "--vocabulary_file")):
        if rows and len(cells) > len(rows[0]):
            found = f"line {number} has {len(cells)} cells, the first {len(rows[0])}"
            raise UserError(f"{path}: is not a CSV file ({found}); give {_EXPECTED}")
        rows.append(cells + [""] * (len(rows[0]) - len(cells) if rows else 0))
    if not rows:
        raise UserError(f"{path}: is not a CSV file (it is empty); give {_EXPECTED}")
    return np.array(rows, object)


def _columns(rows: np.ndarray, path: str) -> dict[str, np.ndarray]:
    """The columns of `_COLUMNS` that the table has; object arrays of text."""
    header = rows[0]
    if _is_number(header[0]) and len(header) == 2:
        return {"index": rows[:, 0], "vertical": rows[:, 1]}
    position = {cell.lower().replace("_", ""): i for i, cell in enumerate(header)}
    columns = {
        column: rows[1:, position[name]]
        for column, names in _COLUMNS.items()
        for name in reversed(names)  # the best one stays
        if name in position
    }
    if "index" not in columns or not columns.keys() & {"name", "vertical"}:
        raise UserError(
            f"{path}: its first line is {shortened(','.join(header))!r}; expected the "
            f"header of {_EXPECTED}; add it or name another file"
        )
    return columns


def _is_number(cell: str) -> bool:
    """Whether it is a number of at least 0 that fits an int64."""
    return cell.isascii() and cell.isdigit() and len(cell) <= 18


def _integers(cells: np.ndarray, path: str, what: str) -> np.ndarray:
    """Non-negative integers, as int64."""
    wrong = [cell for cell in cells if not _is_number(cell)]
    if wrong:
        raise UserError(
            f"{path}: has the {what} {shortened(wrong[0])!r}; expected a whole number "
            "of at least 0; correct the file"
        )
    return cells.astype(np.int64)


def _order(indices: np.ndarray, path: str, num_classes: int | None) -> np.ndarray:
    """Positions of the rows of classes 0, 1, ... C - 1.

    Ids of the 2017 and 2018 releases mean different classes, so even a file with more
    classes is refused.
    """
    found = len(indices)
    if num_classes is not None and found != num_classes:
        raise UserError(
            f"{path}: has {found} classes; expected --num_classes={num_classes}; give "
            "the vocabulary of the same data set, or correct --num_classes"
        )
    if not found:
        raise UserError(f"{path}: has no classes; expected one a row; fetch it anew")
    order = np.argsort(indices, kind="stable")
    for expected, index in enumerate(indices[order]):
        if index != expected:
            twice = f"has class {index} twice"
            found = twice if index < expected else f"lacks class {expected}"
            raise UserError(
                f"{path}: {found}; expected each of 0 to {len(order) - 1} once; "
                "correct the file or fetch it anew"
            )
    return order


def _verticals(cells: np.ndarray) -> tuple[tuple[str, ...], np.ndarray]:
    """The distinct verticals, and which one each class has; -1 where none."""

    def key(vertical):
        return (0, int(vertical), "") if _is_number(vertical) else (1, 0, vertical)

    verticals = sorted({*cells} - {""}, key=key)
    positions = pd.Index(verticals, dtype=object).get_indexer(cells)
    return tuple(verticals), positions.astype(np.int32)
