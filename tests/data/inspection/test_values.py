"""Samples of rows, and what their values look like."""

import numpy as np
import pytest

from youtube8m.data.inspection.values import RowSample, describe_values


def test_a_small_sample_has_all_rows():
    rng = np.random.default_rng(0)
    parts = [rng.integers(0, 256, (n, 3), np.uint8) for n in (1, 4, 3)]
    sample = RowSample(3)
    for part in parts:
        sample.add(part)
    np.testing.assert_array_equal(sample.rows(), np.concatenate(parts))


def test_a_large_one_has_rows_from_the_first_record_to_the_last():
    sample = RowSample(4)
    for number in range(100_000):
        sample.add(np.array([[number]], "<u4").view(np.uint8))
    numbers = sample.rows().view("<u4").ravel().astype(int)
    assert len(numbers) <= 4097
    steps = {*np.diff(numbers).tolist()}
    assert (
        numbers[0] == 0 and len(steps) == 1 and numbers[-1] > 100_000 - 2 * max(steps)
    )


def test_of_a_long_video_few_rows_are_taken():
    sample = RowSample(2)
    sample.add(np.arange(600, dtype="<u2").reshape(-1, 1).view(np.uint8))
    assert sample.rows().view("<u2").ravel().tolist() == [*range(0, 600, 150)]


def test_no_rows_are_no_sample():
    assert RowSample(4).rows() is None


def test_facts_are_those_of_numpy():
    rows = np.random.default_rng(0).normal(3, 2, (50, 6)).astype(np.float32)
    rows[:, 2] = 1.5
    found = describe_values(rows.view(np.uint8), "float32")
    assert found.rows == 50 and found.constant == (2,)
    assert found.mean == pytest.approx(rows.mean(dtype=np.float64))
    assert found.deviation == pytest.approx(rows.std(dtype=np.float64))
    assert (found.minimum, found.maximum) == (rows.min(), rows.max())
    assert sum(found.counts) == 300 and len(found.edges) == len(found.counts) + 1


def test_values_that_are_not_finite_are_left_out():
    rows = np.ones((20, 2), np.float16)
    rows[3, 0], rows[4, 1] = np.nan, np.inf
    found = describe_values(rows.view(np.uint8), "float16")
    assert found.rows == 18 and not found.varies
    assert describe_values((rows * np.nan).view(np.uint8), "float16") is None


def test_few_rows_say_nothing_of_dimensions():
    rows = np.random.default_rng(0).integers(0, 256, (4, 8), np.uint8)
    rows[:, 1] = 9
    assert describe_values(rows, "uint8").constant == ()
    assert describe_values(np.tile(rows, (4, 1)), "uint8").constant == (1,)
