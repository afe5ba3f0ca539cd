"""Segment CSVs against ratings: by the definition, and by real files."""

import os
import re

import numpy as np
import pytest

from tests.helpers import processes
from tests.helpers.real_data import DATA
from youtube8m.data.labels.ratings import read_ratings
from youtube8m.data.writing.records import frame_example, write_records
from youtube8m.errors import UserError
from youtube8m.evaluation import segments
from youtube8m.prediction.submission import (
    SCORED_SEGMENT_HEADER,
    SEGMENT_HEADER,
    VIDEO_HEADER,
    Submission,
)

C = 10
FLAG = "--eval_data_pattern"


def naive_map(lists, ratings, top_n):
    """(mean over listed classes with a positive, mean over all with one)."""
    precisions = []
    for class_id, names in lists.items():
        rated = ratings.get(class_id, {})
        kept = [n for n in (names[:top_n] if top_n else names) if n in rated]
        hits, total = 0, 0.0
        for rank, name in enumerate(kept, 1):
            hits += rated[name]
            total += rated[name] * hits / rank
        if sum(rated.values()):
            precisions.append(total / sum(rated.values()))
    present = sum(any(rated.values()) for rated in ratings.values())
    return np.mean(precisions), sum(precisions) / present


def write_csv(path, lists, header=SEGMENT_HEADER):
    rows = (f"{class_id},{' '.join(names)}\n" for class_id, names in lists.items())
    path.write_text(header + "".join(rows))
    return str(path)


@pytest.fixture
def shard(tmp_path):
    """Writes a shard of (video, [(start, class, score)]); returns its path."""

    def write(*videos, name="validate0.tfrecord"):
        frames = {"rgb": np.zeros((60, 4), np.uint8)}
        examples = [frame_example(v, [], frames, rated) for v, rated in videos]
        write_records(tmp_path / name, examples)
        return str(tmp_path / name)

    return write


TWO = ("va", [(0, 1, 1.0), (5, 1, 0.0), (0, 2, 1.0)]), ("vb", [(10, 1, 1.0)])


@pytest.mark.parametrize("top_n", [None, 1, 7, 30])
def test_map_is_that_of_the_definition(tmp_path, top_n):
    rng = np.random.default_rng(0)
    names = [f"v{i}:{5 * i}" for i in range(40)]
    ratings = {
        c: {str(n): bool(rng.random() < 0.4) for n in rng.permutation(names)[:15]}
        for c in range(1, C)
    }
    ratings[3] = dict.fromkeys(ratings[3], False)  # has no positive
    lists = {c: rng.permutation(names)[:30].tolist() for c in range(C) if c != 5}
    submission = Submission(write_csv(tmp_path / "s.csv", lists), C)
    score = segments.evaluate(submission, ratings, top_n)
    expected = naive_map(lists, ratings, top_n)
    np.testing.assert_allclose((score.map, score.map_of_all), expected, rtol=1e-12)
    assert (score.num_listed, score.num_missing) == (9, 1)


def test_the_cap_comes_before_unrated_segments_are_dropped(tmp_path):
    submission = Submission(write_csv(tmp_path / "s.csv", {1: ["x:0", "va:0"]}), C)
    ratings = {1: {"va:0": True, "vb:5": True}}
    for top_n, expected in ((None, 0.5), (2, 0.5), (1, 0.0)):
        score = segments.evaluate(submission, ratings, top_n)
        assert score.map == expected


def test_nothing_listed_with_a_positive_is_zero(tmp_path):
    submission = Submission(write_csv(tmp_path / "s.csv", {4: ["x:0"]}), C)
    score = segments.evaluate(submission, {1: {"va:0": True}})
    assert score == (0.0, 0.0, 1, 1)


def test_a_single_class_is_its_own_mean(tmp_path):
    submission = Submission(write_csv(tmp_path / "s.csv", {1: ["x:0", "va:0"]}), C)
    score = segments.evaluate(submission, {1: {"x:0": False, "va:0": True}})
    assert score == (0.5, 0.5, 1, 0)


def test_ratings_without_a_positive_are_zero(tmp_path):
    submission = Submission(write_csv(tmp_path / "s.csv", {1: ["va:0"]}), C)
    assert segments.evaluate(submission, {1: {"va:0": False}}) == (0.0, 0.0, 1, 0)


def test_ratings_are_read_from_shards_and_then_from_the_cache(shard, tmp_path):
    path, cache = shard(*TWO), tmp_path / "cache.csv"
    expected = {1: {"va:0": True, "va:5": False, "vb:10": True}, 2: {"va:0": True}}
    assert read_ratings(path, FLAG, C, str(cache)) == expected
    assert read_ratings(path, FLAG, C, str(cache)) == expected
    os.remove(path)
    assert read_ratings("", FLAG, C, str(cache)) == expected
    with pytest.raises(UserError, match="no file matches"):
        read_ratings(path, FLAG, C, str(cache))


def test_one_of_two_ratings_is_enough(shard):
    path = shard(("va", [(0, 1, 0.0), (0, 1, 1.0), (0, 1, 0.0)]))
    assert read_ratings(path, FLAG, C) == {1: {"va:0": True}}


def test_only_ratings_above_zero_say_that_a_class_is_present(shard):
    rated = [(0, 1, -1.0), (5, 1, 0.0), (10, 1, 0.25), (15, 1, -1.0), (15, 1, 1.0)]
    ratings = {"va:0": False, "va:5": False, "va:10": True, "va:15": True}
    assert read_ratings(shard(("va", rated)), FLAG, C) == {1: ratings}


def test_the_last_listed_segment_counts_and_ratings_that_are_equal(tmp_path):
    """The order of the file ranks, and P has present segments that are not listed."""
    names = ["a:0", "a:5", "b:0", "b:5"]
    submission = Submission(write_csv(tmp_path / "s.csv", {1: names, 2: names[:2]}), C)
    ratings = {
        1: {"a:0": False, "b:5": True, "c:0": True},
        2: {"a:0": False, "a:5": False},
        3: {"a:0": True},
    }
    for top_n, expected in ((3, 0.0), (4, 1 / 4), (None, 1 / 4)):
        score = segments.evaluate(submission, ratings, top_n)
        assert score == (expected, expected / 2, 2, 1)


def test_a_cache_of_other_shards_is_refused(shard, tmp_path):
    cache = str(tmp_path / "cache.csv")
    read_ratings(shard(*TWO), FLAG, C, cache)
    other = shard(("other", [(0, 1, 1.0)]))  # of the same name, but another size
    with pytest.raises(UserError, match=f"label_cache={cache}: belongs to other shar"):
        read_ratings(other, FLAG, C, cache)


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: "",
        lambda text: text[:-3],
        lambda text: text[: text.rindex("\n", 0, -1) + 1],
        lambda text: text.split("\n")[0] + "\n",
        lambda text: re.sub(r"ratings: \d+", "ratings: 0", text.split("\n")[0]),
        lambda text: text.replace(",1,", ",2,", 1),
        lambda text: "{}",
    ],
)
def test_a_damaged_cache_is_told(shard, tmp_path, damage):
    path, cache = shard(*TWO), tmp_path / "cache.csv"
    read_ratings(path, FLAG, C, str(cache))
    damaged = damage(cache.read_text())
    cache.write_bytes(damaged.encode("utf-8", "surrogateescape"))
    with pytest.raises(UserError, match=f"--label_cache={cache}: is damaged"):
        read_ratings(path, FLAG, C, str(cache))


def test_a_cache_that_is_no_text_is_told(shard, tmp_path):
    cache = tmp_path / "cache.csv"
    for content, words in (
        (b"\x1f\x8b\x08\0", "is compressed .gzip.; decompress it; remove it to have"),
        (b"a\0b\n", "line 1 holds zero bytes; expected text; remove it to have"),
    ):
        cache.write_bytes(content)
        with pytest.raises(UserError, match=f"^--label_cache={cache}: {words}"):
            read_ratings(shard(*TWO), FLAG, C, str(cache))


def test_class_ids_must_lie_below_num_classes(shard, tmp_path):
    path, cache = shard(*TWO), str(tmp_path / "cache.csv")
    with pytest.raises(UserError, match=rf"{path}: record 0 has segment_labels entry"):
        read_ratings(path, FLAG, 2)
    read_ratings(path, FLAG, C, cache)
    with pytest.raises(UserError, match="has class 2, beyond --num_classes"):
        read_ratings(path, FLAG, 2, cache)


def test_records_without_ratings_are_no_segment_data(tmp_path):
    path = str(tmp_path / "frames.tfrecord")
    frames = {"rgb": np.zeros((6, 4), np.uint8)}
    write_records(path, [frame_example("va", [1], frames)])
    with pytest.raises(UserError, match="no record with rated segments"):
        read_ratings(path, FLAG, C, str(tmp_path / "cache.csv"))
    assert not (tmp_path / "cache.csv").exists()


def test_a_cache_that_would_lack_records_is_not_written(shard, tmp_path):
    path, cache = shard(*TWO), tmp_path / "cache.csv"
    data = bytearray((tmp_path / "validate0.tfrecord").read_bytes())
    data[-10] ^= 255
    (tmp_path / "validate0.tfrecord").write_bytes(data)
    assert read_ratings(path, FLAG, C, str(cache)).keys() == {1, 2}
    assert not cache.exists()


def run_tool(*flags, status=0):
    module = "youtube8m.tools.segment_eval_inference"
    done = processes.forked("-m", module, *flags, status=status)
    return done.stdout if status == 0 else done.stderr


@pytest.mark.skipif(
    not os.path.isdir(DATA), reason=f"no real files in YT8M_DATA={DATA}"
)
def test_a_real_file_without_a_header(shard, tmp_path):
    path = f"{DATA}/submissions/segment_2019_no_header.csv"
    submission = Submission(path, 3862)
    assert len(submission.keys) == 930
    best = submission.segments(0)[0]
    video, start = best.split(":")
    rated = shard((video, [(int(start), submission.keys[0], 1.0)]))
    printed = run_tool(f"--eval_data_pattern={rated}", f"--submission_file={path}")
    assert printed == "Num classes: 930 | mAP@0: 1.000000\n"


def test_mistakes_are_told_in_a_line(tmp_path):
    videos = write_csv(tmp_path / "v.csv", {"va": ["1 0.5"]}, VIDEO_HEADER)
    scored = {3: ["va:0:0.5"]}
    part = write_csv(tmp_path / "p.csv", scored, SCORED_SEGMENT_HEADER)
    for flags, message in (
        ([], "--submission_file is empty"),
        ([f"--submission_file={videos}"], "--eval_data_pattern is empty"),
        ([f"--submission_file={videos}", "--label_cache=x"], "lists videos"),
        ([f"--submission_file={part}", "--label_cache=x"], "merge the shards first"),
    ):
        assert message in run_tool(*flags, status=1)
