"""CSV rows, and files that are whole or absent."""

import os
import stat
import threading

import numpy as np
import pytest

from youtube8m.errors import UserError
from youtube8m.prediction import submission
from youtube8m.prediction.segment_ranking import SegmentRanking
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
    ranking = SegmentRanking(np.ones(1, bool), len(scores))
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
