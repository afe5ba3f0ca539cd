"""How often classes are labels of the same video, and what follows from it.

counts = CooccurrenceCounts(num_classes)
for batch in ...: counts.update(batch["labels"])
counts.save("label_counts.npy", "--output_file")
matrix = correlation_matrix(read_counts("label_counts.npy", num_classes))
"""

from collections.abc import Iterable

import numpy as np

from youtube8m.errors import UserError
from youtube8m.util.files import ARRAY_ERRORS, local_path, replacing


class CooccurrenceCounts:
    """int32 [C, C]: videos that have both labels; on the diagonal, that have one."""

    def __init__(self, num_classes: int):
        self.matrix = np.zeros((num_classes, num_classes), np.int32)

    def update(self, labels: Iterable[np.ndarray]) -> None:
        """Counts videos, each with its ids [L], padded with -1."""
        for row in labels:
            ids = np.unique(row[row >= 0])
            self.matrix[np.ix_(ids, ids)] += 1

    def save(self, path: str, flag: str) -> None:
        """Writes an .npy file. Raises UserError, naming `flag`, if that fails."""
        with replacing(path, flag, binary=True) as file:
            np.save(file, self.matrix)


def read_counts(path: str, num_classes: int) -> np.ndarray:
    """The matrix [C, C] that `CooccurrenceCounts.save` wrote.

    Raises UserError if the file cannot be read or is of another size.
    """
    tool = "python -m youtube8m.tools.label_correlation"
    file = local_path(path, "--label_correlation_file")
    try:
        counts = np.load(file, allow_pickle=False)
        shape = getattr(counts, "shape", None)  # an .npz file has none
    except ARRAY_ERRORS as error:
        wrong = f"cannot be read as .npy ({error}); write it with {tool}"
    else:
        if shape != (num_classes, num_classes):
            expected = f"[C, C] for --num_classes={num_classes}"
            wrong = f"has the shape {shape}; expected {expected}"
        elif counts.dtype.kind not in "iuf" or not np.isfinite(counts).all():
            expected = f"finite numbers, as {tool} writes them"
            wrong = f"holds {counts.dtype}; expected {expected}"
        else:
            return counts
    raise UserError(f"--label_correlation_file={path}: {wrong}")


def correlation_matrix(counts: np.ndarray) -> np.ndarray:
    """float32 [C, C]: M[i, j] = (A[i, j] - mean_k A[j, k]) / sum_k A[j, k].

    A are the counts, each diagonal element replaced by its row's mean. A class j that
    never occurs has a column of zeros. Source: Na et al. 2017's released code.
    """
    a = counts.astype(np.float64)
    np.fill_diagonal(a, a.mean(axis=1))
    total = a.sum(axis=1)
    matrix = np.zeros_like(a)
    np.divide(a - a.mean(axis=1), total, out=matrix, where=total > 0)
    return matrix.astype(np.float32)
