"""Counts of labels that occur together, and the matrix made of them."""

import numpy as np
import pytest

from youtube8m.data.labels.cooccurrence import (
    CooccurrenceCounts,
    correlation_matrix,
    read_counts,
)
from youtube8m.errors import UserError

LABELS = [[0, 1], [1, 0, 2], [1], [1, 1], []]
COUNTS = [[2, 2, 1, 0], [2, 4, 1, 0], [1, 1, 1, 0], [0, 0, 0, 0]]


def counted():
    counts = CooccurrenceCounts(4)
    for row in LABELS:
        counts.update(np.array([row + [-1] * (4 - len(row))]))
    return counts


def test_pairs_of_labels_are_counted_once_a_video():
    np.testing.assert_array_equal(counted().matrix, COUNTS)


def test_a_batch_counts_as_its_videos_do():
    batch = np.array([row + [-1] * (4 - len(row)) for row in LABELS])
    counts = CooccurrenceCounts(4)
    counts.update(batch)
    counts.update(np.zeros((3, 0), np.int32))
    np.testing.assert_array_equal(counts.matrix, COUNTS)


def test_counts_come_back_from_their_file(tmp_path):
    path = str(tmp_path / "counts.npy")
    counted().save(path, "--output_file")
    np.testing.assert_array_equal(read_counts(path, 4), COUNTS)


def test_correlation_matrix():
    """Term by term, as Na et al. 2017 wrote it."""
    a = np.array(COUNTS, float)
    for j in range(4):
        a[j, j] = np.mean(COUNTS[j])
    expected = np.zeros((4, 4))
    for i in range(4):
        for j in range(3):  # class 3 never occurs
            expected[i, j] = (a[i, j] - a[j].mean()) / a[j].sum()
    matrix = correlation_matrix(np.array(COUNTS))
    assert matrix.dtype == np.float32
    np.testing.assert_allclose(matrix, expected, rtol=1e-6, atol=1e-7)
    # Each class's column: how often each occurs with it, less what is even.
    np.testing.assert_allclose(matrix.sum(axis=0), 0, atol=1e-6)


def npy(dtype):
    """A file of 4 x 4 numbers, whose header spells their type so."""
    header = f"{{'descr': {dtype}, 'fortran_order': False, 'shape': (4, 4)}}\n"
    size = len(header).to_bytes(2, "little")
    return b"\x93NUMPY\x01\x00" + size + header.encode() + bytes(4 * 4 * 8)


def test_files_are_spelt_as_numpy_does(tmp_path):
    (tmp_path / "counts.npy").write_bytes(npy("'<i8'"))
    assert not read_counts(str(tmp_path / "counts.npy"), 4).any()


@pytest.mark.parametrize(
    "content, message",
    [
        (None, "cannot be read as .npy .*tools.label_correlation"),
        (b"0,1\n2,3\n", "cannot be read as .npy"),
        (npy("('<i8',)"), r"cannot be read as .npy \(tuple index out of range\)"),
        (np.zeros((4, 3)), r"has the shape \(4, 3\); expected .*--num_classes=4"),
        (np.zeros(4), r"has the shape \(4,\)"),
    ],
)
def test_other_files_are_told(tmp_path, content, message):
    path = tmp_path / "counts.npy"
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif content is not None:
        np.save(path, content)
    with pytest.raises(UserError, match=f"--label_correlation_file=.*: {message}"):
        read_counts(str(path), 4)


def test_an_archive_of_arrays_is_told(tmp_path):
    path = tmp_path / "counts.npz"
    np.savez(path, np.zeros((4, 4)))
    with pytest.raises(UserError, match="has the shape None"):
        read_counts(str(path), 4)


def test_a_file_that_cannot_be_written_is_told(tmp_path):
    with pytest.raises(UserError, match="--output_file"):
        counted().save(str(tmp_path / "missing" / "counts.npy"), "--output_file")


def test_counts_of_the_home_directory_are_read(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    CooccurrenceCounts(3).save("~/counts.npy", "--output_file")
    assert (tmp_path / "counts.npy").exists()
    assert read_counts("~/counts.npy", 3).shape == (3, 3)
