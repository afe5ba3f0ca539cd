"""Which frames are chosen, against cases written by hand."""

import numpy as np
import pytest

from youtube8m.config import DataConfig
from youtube8m.data.reading import frame_sampling
from youtube8m.errors import UserError

LENGTHS = (1, 19, 20, 21, 45, 224, 225, 226, 299, 300, 301)
RANDOM = frame_sampling.draws(0, range(200)).tolist()


def config(scheme="all", **values):
    return DataConfig(
        ("rgb",), (4,), frame_features=True, frame_sampling=scheme, **values
    )


def frames(chosen):
    return np.asarray(chosen).tolist()


def sample(scheme, length, draw=None, start=None, **values):
    return frames(frame_sampling.sample(config(scheme, **values), length, draw, start))


def first_last_count(scheme, **values):
    chosen = [sample(scheme, length, **values) for length in LENGTHS]
    return [(c[0], c[-1], len(c)) for c in chosen]


# Each scheme, where nothing is drawn: (first, last, number) for each of LENGTHS.


def test_all():
    assert first_last_count("all") == [
        *((0, length - 1, length) for length in LENGTHS[:-1]),
        (0, 299, 300),
    ]


def test_skipping_leaves_the_last_frame_of_a_short_video():
    """Akopyan and Khashba: frames 20 to 109."""
    assert first_last_count("all", skip_frames=20, max_frames=90) == [
        (0, 0, 1),
        (18, 18, 1),
        (19, 19, 1),
        (20, 20, 1),
        (20, 44, 25),
        *[(20, 109, 90)] * 6,
    ]


def test_crop():
    """45 frames of the first 225, every fifth; start 9 reaches frame 229."""
    assert first_last_count("crop") == [
        (0, 0, 1),
        (0, 15, 4),
        (0, 15, 4),
        (0, 20, 5),
        (0, 40, 9),
        *[(0, 220, 45)] * 6,
    ]
    assert first_last_count("crop", crop_start=9) == [
        (0, 0, 1),  # its last frame
        (9, 14, 2),
        (9, 19, 3),
        (9, 19, 3),
        (9, 44, 8),
        (9, 219, 43),
        (9, 224, 44),
        (9, 224, 44),
        *[(9, 229, 45)] * 3,
    ]
    assert sample("crop", 45, start=3) == [3, 8, 13, 18, 23, 28, 33, 38, 43]


def test_crop_behind_skipped_frames():
    assert sample("crop", 45, start=2, skip_frames=20) == [22, 27, 32, 37, 42]
    assert sample("crop", 21, start=2, skip_frames=20) == [20]
    assert sample("crop", 20, start=2, skip_frames=20) == [19]


@pytest.mark.parametrize("scheme", ["crop", "interval"])
def test_a_start_beyond_the_end_is_the_last_frame(scheme):
    assert sample(scheme, 3, start=2) == [2]
    assert sample(scheme, 3, start=3) == [2]
    assert sample(scheme, 9, start=8) == [8]


def test_a_released_crop_beyond_the_end_is_empty_and_an_interval_is_not():
    assert sample("crop", 9, start=8, released_crops=True) == [8]
    assert sample("crop", 9, start=9, released_crops=True) == []
    assert sample("interval", 9, start=9, released_crops=True) == [8]


def test_interval():
    """Every fifth to the end: at most 300 / 5."""
    assert first_last_count("interval", crop_start=4) == [
        (0, 0, 1),
        (4, 14, 3),
        (4, 19, 4),
        (4, 19, 4),
        (4, 44, 9),
        (4, 219, 44),
        (4, 224, 45),
        (4, 224, 45),
        (4, 294, 59),
        (4, 299, 60),
        (4, 299, 60),
    ]
    assert sample("interval", 301) == list(range(0, 300, 5))
    assert len(sample("interval", 301, crop_stride=7)) == 300 // 7
    assert sample("interval", 3, crop_stride=10, max_frames=5) == [0]


def test_windows():
    assert first_last_count("windows") == [
        (0, 0, 1),
        (2, 17, 4),
        (2, 17, 4),
        (2, 20, 5),
        (2, 42, 9),
        (2, 222, 45),
        (2, 222, 45),
        (2, 225, 46),
        (2, 297, 60),
        (2, 297, 60),
        (2, 297, 60),
    ]
    assert sample("windows", 13) == [2, 7, 11]


def test_random_is_spread_evenly_if_nothing_is_drawn():
    assert first_last_count("random", crop_frames=10) == [
        (0, 0, 10),
        (0, 18, 10),
        (1, 19, 10),
        (1, 19, 10),
        (2, 42, 10),
        (11, 212, 10),
        (11, 213, 10),
        (11, 214, 10),
        (14, 284, 10),
        (15, 285, 10),
        (15, 285, 10),
    ]


def test_run_lies_in_the_middle():
    assert first_last_count("run", crop_frames=20) == [
        (0, 0, 1),
        (0, 18, 19),
        (0, 19, 20),
        (1, 20, 20),
        (13, 32, 20),
        (102, 121, 20),
        (103, 122, 20),
        (103, 122, 20),
        (140, 159, 20),
        (140, 159, 20),
        (140, 159, 20),
    ]


# Drawn frames.


@pytest.mark.parametrize("scheme", ["crop", "interval"])
def test_drawn_starts(scheme):
    starts = {sample(scheme, 300, draw)[0] for draw in RANDOM}
    assert starts == set(range(10 if scheme == "crop" else 5))
    for draw in RANDOM:
        start = sample(scheme, 300, draw)[0]
        for length in LENGTHS:
            assert sample(scheme, length, draw) == sample(scheme, length, start=start)


def test_drawn_windows_hold_each_real_frame_alike():
    chosen = np.array([sample("windows", 13, draw) for draw in RANDOM])
    assert (chosen // 5 == [0, 1, 2]).all()
    assert [np.unique(column).tolist() for column in chosen.T] == [
        [0, 1, 2, 3, 4],
        [5, 6, 7, 8, 9],
        [10, 11, 12],
    ]
    assert len(np.unique(chosen % 5, axis=0)) > 50  # windows are independent


def test_drawn_random_frames_are_independent_and_in_order():
    chosen = np.array([sample("random", 10, d, crop_frames=30) for d in RANDOM])
    assert (np.diff(chosen, axis=1) >= 0).all()
    share = np.bincount(chosen.ravel(), minlength=10) / chosen.size
    np.testing.assert_allclose(share, 0.1, atol=0.02)


def test_drawn_runs():
    chosen = [sample("run", 21, draw, crop_frames=19) for draw in RANDOM]
    assert {c[0] for c in chosen} == {0, 1, 2}
    assert all(c == list(range(c[0], c[0] + 19)) for c in chosen)


SCHEMES = ("all", "crop", "interval", "windows", "random", "run")


@pytest.mark.parametrize("scheme", SCHEMES)
def test_choices_are_frames_of_the_video_no_more_than_promised(scheme):
    values = {"skip_frames": 20, "max_frames": 90}
    wanted = config(scheme, **values)
    for length in LENGTHS:
        for draw in (None, *RANDOM[:20]):
            chosen = sample(scheme, length, draw, **values)
            assert 1 <= len(chosen) <= wanted.longest_example
            assert min(20, length - 1) <= min(chosen)
            assert max(chosen) < min(110, length)
            rows = np.arange(length)[frame_sampling.as_index(np.asarray(chosen))]
            assert rows.tolist() == chosen


# Random bits.


def test_draws_are_a_function_of_seed_and_number():
    first = frame_sampling.draws(7, range(1000))
    assert first.dtype == np.int64 and (first >= 0).all()
    assert len(set(first.tolist())) == 1000
    np.testing.assert_array_equal(
        first[500:], frame_sampling.draws(7, range(500, 1000))
    )
    for seed in (-1, 8, 2**40):
        assert not np.isin(frame_sampling.draws(seed, range(1000)), first).any()


def test_draws_are_those_of_splitmix64():
    """The first outputs of the published generator from seed 0: mix(0), mix(gamma)."""
    gamma = 0x9E3779B97F4A7C15
    zero = np.array([0], np.uint64)
    assert frame_sampling._mixed(zero)[0] == 0xE220A8397B1DCDAF
    assert frame_sampling._mixed(zero + np.uint64(gamma))[0] == 0x6E789E6AA1B965F4


def test_draws_of_a_seed():
    """A run that is resumed draws the same frames only if these never change."""
    found = frame_sampling.draws(0, [0, 1, 2**40]).tolist()
    assert found == [6017775124710473527, 313702574736366215, 7242947649757245207]
    assert frame_sampling.draws(-1, [0]).tolist() == [3377987053190985883]
    assert frame_sampling.draws(7, [3]).tolist() == [3879072848308665546]


@pytest.mark.parametrize(
    "scheme, values, expected",
    [
        ("crop", {}, [[*range(7, 40, 5)], [*range(9, 40, 5)], [*range(1, 40, 5)]]),
        ("interval", {}, [[*range(3, 40, 5)], [*range(4, 40, 5)], [*range(0, 40, 5)]]),
        (
            "windows",
            {},
            [
                [0, 9, 11, 18, 20, 27, 30, 37],
                [2, 7, 11, 17, 20, 29, 30, 35],
                [1, 5, 10, 18, 20, 29, 32, 38],
            ],
        ),
        (
            "random",
            {"crop_frames": 9},
            [
                [0, 0, 3, 12, 12, 18, 22, 29, 34],
                [0, 2, 7, 9, 16, 22, 22, 33, 33],
                [0, 0, 5, 9, 20, 27, 30, 31, 39],
            ],
        ),
        (
            "run",
            {"crop_frames": 9},
            [[*range(23, 32)], [*range(29, 38)], [*range(4, 13)]],
        ),
    ],
)
def test_frames_of_a_seed(scheme, values, expected):
    draws = frame_sampling.draws(3, range(3)).tolist()
    assert [sample(scheme, 40, draw, **values) for draw in draws] == expected


def test_below_is_uniform():
    draws = frame_sampling.draws(1, range(20000))
    counts = np.bincount(frame_sampling.below(draws, 7), minlength=7)
    np.testing.assert_allclose(counts / len(draws), 1 / 7, atol=0.01)
    assert (
        frame_sampling.below(2**63 - 1, 300) == 299
        and frame_sampling.below(0, 300) == 0
    )


# Flags.


@pytest.mark.parametrize(
    "values, words",
    [
        ({"frame_sampling": "croop"}, "--frame_sampling=croop: .* choose all, crop"),
        ({"skip_frames": -1}, "--skip_frames=-1: must not be negative"),
        ({"crop_start": -1}, "--crop_start=-1: must not be negative"),
        ({"crop_stride": 0}, "--crop_stride=0: must be greater than 0"),
        ({"frame_features": False, "skip_frames": 1}, "--skip_frames needs frame-l"),
        (
            {"frame_features": False, "frame_sampling": "run"},
            "--frame_sampling needs frame-level records: add --frame_features",
        ),
    ],
)
def test_mistakes_name_the_flag(values, words):
    with pytest.raises(UserError, match=words):
        DataConfig(("rgb",), (4,), **{"frame_features": True, **values})
