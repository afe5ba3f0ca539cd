"""CSV rows and segment rankings, and files that are whole or absent."""

import os
import stat
import threading

import numpy as np
import pytest

from youtube8m.errors import UserError
from youtube8m.prediction import submission
from youtube8m.util.files import replacing, replacing_directory, require_writable


def test_video_line():
    scores = np.float32([0.5, 0.123456789, 1e-7])
    line = submission.video_line("aAbc", np.array([3, 17, 0]), scores)
    assert line == "aAbc,3 0.5 17 0.123457 0 1e-07\n"


def test_scores_of_parts_are_read_as_they_were_written(tmp_path):
    """Nine digits tell each float32 from its neighbours; eight do not."""
    scores = [np.float32(1.0)]
    for _ in range(200):
        scores += [
            np.nextafter(scores[-1], np.float32(0)),
            scores[-1] * np.float32(0.9),
        ]
    names = [f"v{n}" for n in range(len(scores))]
    ranking = submission.SegmentRanking(np.ones(1, bool), len(scores))
    numbers, zeros = np.arange(len(scores)), np.zeros((len(scores), 1), int)
    ranking.add(names, numbers, zeros[:, 0], zeros, np.array(scores)[:, None])
    path = tmp_path / "part.csv"
    (line,) = ranking.lines(scored=True)
    assert line.startswith("0,v0:0:1 v1:0:0.99999994 ")
    assert "0.899999976" in line
    path.write_text(submission.SCORED_SEGMENT_HEADER + line)
    found, read = submission.Submission(str(path)).scored_segments(0)
    assert read.dtype == np.float32
    assert dict(zip(found, read, strict=True)) == {
        f"{name}:0": score for name, score in zip(names, scores, strict=True)
    }


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
    ranking = submission.SegmentRanking(allowed, max_per_class)
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
    monkeypatch.setattr(submission, "_COMPACT_AT", 2)
    assert ranking_of(SCORED, max_per_class=3) == expected


def test_no_segment_gives_no_line():
    assert ranking_of([]) == []


def test_segment_classes(tmp_path):
    path = tmp_path / "ids.csv"
    path.write_text("Index\n2\n0\n")
    np.testing.assert_array_equal(
        submission.read_segment_classes(str(path), 4), [True, False, True, False]
    )
    for every in ("all", "", "challenge"):
        assert submission.read_segment_classes(every, 4).all()


def test_the_challenges_classes_are_the_default_of_its_data(caplog):
    allowed = submission.read_segment_classes("challenge", 3862)
    assert allowed.sum() == 1000
    assert np.flatnonzero(allowed)[[0, 1, 2, -1]].tolist() == [3, 7, 8, 1831]
    assert submission.read_segment_classes("all", 3862).all()


@pytest.mark.parametrize("text", ["Index\n4\n", "Index\nGame\n", "Class\n1\n", ""])
def test_wrong_segment_classes_are_told(tmp_path, text):
    path = tmp_path / "ids.csv"
    path.write_text(text)
    with pytest.raises(UserError, match="--segment_label_ids_file=.*ids.csv"):
        submission.read_segment_classes(str(path), 4)


def test_segment_classes_are_not_fetched_from_the_web():
    with pytest.raises(UserError, match="file=http://x/ids.csv: remote stores are not"):
        submission.read_segment_classes("http://x/ids.csv", 4)


def test_replacing_leaves_the_old_file_until_the_end(tmp_path):
    path = tmp_path / "out.csv"
    path.write_text("old")
    with pytest.raises(FileNotFoundError), replacing(str(path)):
        open(tmp_path / "another")  # is not told as if `path` could not be written
    with (
        pytest.raises(UserError, match="--output_dir=.*cannot be written"),
        replacing_directory(str(path / "a" / "b" / "c"), "--output_dir"),
    ):
        pass
    with pytest.raises(RuntimeError), replacing(str(path)) as file:
        file.write("half")
        raise RuntimeError
    assert path.read_text() == "old"
    with replacing(str(path)) as file:
        file.write("new")
        assert path.read_text() == "old"
    assert path.read_text() == "new"
    assert [entry.name for entry in tmp_path.iterdir()] == ["out.csv"]


def test_replacing_names_the_flag(tmp_path):
    with (
        pytest.raises(UserError, match="--output_file=.*a directory"),
        replacing(str(tmp_path), "--output_file"),
    ):
        pass


def test_replacing_keeps_links_and_replaces_what_they_lead_to(tmp_path):
    (tmp_path / "data").mkdir()
    for name in ("there", "missing"):
        (tmp_path / name).symlink_to(f"data/{name}")
    (tmp_path / "data" / "there").write_text("old")
    for name in ("there", "missing"):
        with replacing(str(tmp_path / name)) as file:
            file.write("new")
        assert (tmp_path / name).is_symlink()
        assert (tmp_path / "data" / name).read_text() == "new"
    assert sorted(os.listdir(tmp_path / "data")) == ["missing", "there"]


def test_what_is_no_file_is_written_and_stays(tmp_path):
    path, read = tmp_path / "pipe", []
    os.mkfifo(path)
    reader = threading.Thread(target=lambda: read.append(path.read_text()), daemon=True)
    reader.start()
    with replacing(str(path)) as file:
        file.write("through")
    reader.join(timeout=30)
    assert read == ["through"]
    assert stat.S_ISFIFO(os.stat(path).st_mode)
    with replacing(os.devnull, binary=True) as file:
        file.write(b"gone")
    assert stat.S_ISCHR(os.stat(os.devnull).st_mode)


def test_whether_a_file_can_be_written_is_tried_without_a_trace(tmp_path):
    path = tmp_path / "out.csv"
    require_writable(str(path), "--out")
    require_writable(os.devnull, "--out")
    assert not os.listdir(tmp_path)
    path.write_text("old")
    require_writable(str(path), "--out")
    assert path.read_text() == "old" and os.listdir(tmp_path) == ["out.csv"]
    for wrong in (tmp_path, tmp_path / "missing" / "x", path / "x"):
        with pytest.raises(UserError, match=f"--out={wrong}: cannot be written"):
            require_writable(str(wrong), "--out")


@pytest.mark.parametrize("limit, opened", [(0, 3), (1 << 20, 0)])
def test_small_files_are_not_kept_open(tmp_path, monkeypatch, limit, opened):
    """So that there may be more of them than a process may open."""
    monkeypatch.setattr(submission, "_READ_WHOLE", limit)
    path = tmp_path / "x.csv"
    path.write_text(submission.VIDEO_HEADER + "a,3 0.5 1 0.25\nb,2 1\n")
    before = len(os.listdir("/proc/self/fd"))
    files = [submission.Submission(str(path)) for _ in range(3)]
    assert len(os.listdir("/proc/self/fd")) - before == opened
    for file in files:
        counts, classes, scores = file.pairs([1, 0])
        assert counts.tolist() == [1, 2] and classes.tolist() == [2, 3, 1]
        assert scores.tolist() == [1, 0.5, 0.25]
        assert [*file.lines()] == [b"a,3 0.5 1 0.25\n", b"b,2 1\n"]


def test_ids_that_no_csv_holds_are_counted(caplog):
    submission.warn_of_unfit_ids([b"a", b"my video", b"caf\xe9"])
    assert not caplog.records
    submission.warn_of_unfit_ids([b"a", b"a, b\xff", b"'", b'"'])
    (record,) = caplog.records
    assert record.getMessage().startswith("2 ids have commas, quotes")
    assert record.getMessage().endswith("first 'a, b\\\\xff'")
