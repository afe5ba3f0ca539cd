"""Segments are ranked by class."""

import numpy as np

from youtube8m.prediction import segment_ranking


def test_of_equal_segments_the_one_added_first_is_listed_first():
    """In one call and in several, and where the list is cut."""
    tied = [
        (["a", "b"], [1, 0, 1], [5, 0, 0], [[1], [1], [1]], [[0.5], [0.5], [0.5]]),
        (["c"], [0, 0], [0, 5], [[1], [1]], [[0.5], [0.9]]),
        (["d"], [0], [0], [[1]], [[0.5]]),
    ]
    assert ranking_of(tied) == ["1,c:5 b:5 a:0 b:0 c:0 d:0\n"]
    assert ranking_of(tied, max_per_class=3) == ["1,c:5 b:5 a:0\n"]


def ranking_of(scored, allowed=None, max_per_class=100):
    allowed = np.ones(4, bool) if allowed is None else allowed
    ranking = segment_ranking.SegmentRanking(allowed, max_per_class)
    for names, videos, starts, classes, scores in scored:
        arrays = map(np.array, (videos, starts, classes, scores))
        ranking.add(names, *arrays)
    return list(ranking.lines())


SCORED = [
    (["a", "b"], [0, 0, 1], [0, 5, 0], [[1, 2], [1, 3], [2, 1]],
     [[0.9, 0.1], [0.8, 0.7], [0.6, 0.5]]),
    (["c"], [0], [10], [[1, 0]], [[0.85, 0.2]]),
]  # fmt: skip


def test_segments_fall_by_confidence_within_each_class():
    assert ranking_of(SCORED) == [
        "0,c:10\n",
        "1,a:0 c:10 a:5 b:0\n",
        "2,b:0 a:0\n",
        "3,a:5\n",
    ]


def test_only_allowed_classes_and_the_best_segments_are_listed():
    allowed = np.array([False, True, False, True])
    assert ranking_of(SCORED, allowed, 2) == ["1,a:0 c:10\n", "3,a:5\n"]


def test_compacting_on_the_way_changes_nothing(monkeypatch):
    expected = ranking_of(SCORED, max_per_class=3)
    monkeypatch.setattr(segment_ranking, "_COMPACT_AT", 2)
    assert ranking_of(SCORED, max_per_class=3) == expected


def test_no_segment_gives_no_line():
    assert ranking_of([]) == []
