"""The classes of which segments are listed: --segment_label_ids_file."""

import pathlib

import numpy as np
from absl import logging

from youtube8m import schema
from youtube8m.errors import UserError
from youtube8m.util.files import local_path
from youtube8m.util.text import shortened
from youtube8m.util.text_files import read_table

# Of --segment_label_ids_file; the ids are those of the data set's own
# segment_label_ids.csv (research.google.com/youtube8m, 2019).
CHALLENGE = "challenge"
_CHALLENGE_CLASSES = pathlib.Path(__file__).parent / "segment_label_ids.csv"


def read_segment_classes(path: str, num_classes: int) -> np.ndarray:
    """bool [C]: the classes to list.

    Args:
      path: a CSV with a column `Index`; CHALLENGE, the 1,000 classes of which the 2019
        challenge rated segments, where C is that of its data set, else all; 'all' or
        '', all.

    Raises UserError if the file cannot be read, or has anything but class ids.
    """
    allowed = np.zeros(num_classes, bool)
    if path == CHALLENGE and num_classes == schema.NUM_CLASSES_2018:
        path = str(_CHALLENGE_CLASSES)
        logging.info(
            "listing segments of the 1,000 classes of the 2019 challenge; "
            "--segment_label_ids_file=all lists all %d",
            num_classes,
        )
    elif path in ("", "all", CHALLENGE):
        return ~allowed
    flag = f"--segment_label_ids_file={path}"
    file = local_path(path, "--segment_label_ids_file")  # pandas would read the web
    rows = read_table(file)
    _, header = next(rows, (0, []))
    if "Index" not in header:
        raise UserError(
            f"{flag}: cannot be read as a CSV with a column 'Index' (its first line is "
            f"{shortened(','.join(header))!r}); give such a file, or 'all'"
        )
    column = header.index("Index")
    for number, cells in rows:
        cell = (cells[column:] or [""])[0]
        try:
            class_id = float(cell)
            allowed[_require_class(class_id, num_classes)] = True
        except ValueError:
            raise UserError(
                f"{flag}: line {number} has {cell!r}; expected a class id below "
                f"{num_classes}"
            ) from None
    return allowed


def _require_class(number: float, num_classes: int) -> int:
    """A class id, which may be written 3.0. Raises ValueError for another number."""
    if not 0 <= number < num_classes or number % 1:
        raise ValueError
    return int(number)
