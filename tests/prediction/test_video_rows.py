"""Rows that numpy formats have the bytes of the plain formatting."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as of_numpy

from youtube8m.prediction.submission import video_line
from youtube8m.prediction.video_rows import format_rows


def plain_rows(ids, classes, scores, listed):
    columns = zip(ids, classes, scores, listed, strict=True)
    lines = [video_line(name.decode(), c[on], s[on]) for name, c, s, on in columns]
    return "".join(lines).encode()


def check(classes, scores, listed=None):
    listed = np.ones(classes.shape, bool) if listed is None else listed
    rows = [b"v%d" % number for number in range(len(classes))], classes, scores, listed
    assert format_rows(*rows) == plain_rows(*rows)


def check_scores(scores):
    scores = np.float32(scores).reshape(-1, 1)
    check(np.arange(len(scores))[:, None] % 3862, scores)


AROUND = [10.0**-n * m for n in range(9) for m in (1, 0.9999995, 0.99999949, 1.0000005)]
SPECIAL = [0.0, -0.0, 1.0, 1e-45, 1.17e-38, 1e-8, 0.5, 0.25, 0.1, 1 / 3, 2.5, 1e9]


def test_special_scores():
    scores = np.float32(AROUND + SPECIAL)
    lower, higher = (np.nextafter(scores, np.float32(end)) for end in (0, 2))
    check_scores([*scores, *lower, *higher, np.nan, np.inf, -np.inf])


def test_scores_in_the_middle_of_two_texts():
    """Six digits and a five behind them, which float32 holds exactly."""
    check_scores(np.arange(1, 2**13, 2) / 2**13)
    check_scores(np.arange(1, 2**20, 2 * 37) / 2**20)


@pytest.mark.parametrize("power", [0, 1, 4, 12])
def test_random_scores(power):
    check_scores(np.random.default_rng(power).random(20_000, np.float32) ** power)


@settings(max_examples=50, deadline=None)
@given(
    of_numpy.arrays(np.uint32, 24, elements=st.integers(0, 2**32 - 1)),
    of_numpy.arrays(np.int32, 24, elements=st.integers(0, 4095)),
    of_numpy.arrays(np.bool_, 24),
    st.sampled_from([1, 2, 8, 24]),
)
def test_any_bits_and_any_lists(bits, classes, listed, width):
    scores = bits.view(np.float32)
    check(*(column.reshape(-1, width) for column in (classes, scores, listed)))


def test_no_rows_and_rows_without_classes():
    none = np.zeros((0, 20))
    check(none.astype(int), none)
    assert format_rows([], none.astype(int), none, none.astype(bool)) == b""
    listed = np.array([[False, False], [True, False], [False, False]])
    check(np.ones((3, 2), int), np.full((3, 2), 0.5), listed)
    check(np.array([[9, 10], [99_999, 100_000]]), np.full((2, 2), 0.5))


def test_ids_keep_their_bytes():
    ids, one = [b"b\xff", "日本".encode()], np.ones((2, 1), int)
    found = format_rows(ids, one, np.float32(one), one == 1)
    assert found == b"b\xff,1 1\n" + "日本,1 1\n".encode()
