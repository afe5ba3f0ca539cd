"""Merging, measuring and choosing submissions, against plain Python."""

import collections
import pathlib
import shlex

import numpy as np
import pytest
from absl.testing import flagsaver

from youtube8m import metrics
from youtube8m.cli import flags
from youtube8m.data.labels.video_labels import read_labels
from youtube8m.data.reading.batch import pad_ids
from youtube8m.data.writing.records import frame_example, video_example, write_records
from youtube8m.errors import UserError
from youtube8m.prediction import ensemble
from youtube8m.prediction.submission import SEGMENT_HEADER, VIDEO_HEADER, Submission
from youtube8m.tools import ensemble as tool
from youtube8m.util.files import escape_commas, split_paths

C, V = 30, 40


@pytest.fixture
def write(tmp_path):
    """Writes a CSV of the given rows under a name of its own; returns the path."""

    def write(*rows, header=VIDEO_HEADER):
        path = tmp_path / f"{len(list(tmp_path.iterdir()))}.csv"
        path.write_text(header + "".join(f"{row}\n" for row in rows))
        return str(path)

    return write


def random_lists(seed, num_videos=V, least=1, most=8):
    """{id: {class: confidence}}, of `least` to `most` classes each."""
    rng = np.random.default_rng(seed)
    return {
        f"v{i}": {
            int(c): float(rng.integers(1, 50)) / 50  # coarse: there are ties
            for c in rng.choice(C, rng.integers(least, most + 1), replace=False)
        }
        for i in range(num_videos)
    }


def rows(lists):
    for name, pairs in lists.items():
        yield f"{name}," + " ".join(f"{c} {score:g}" for c, score in pairs.items())


def naive_merge(models, weights, top_k):
    """The rows of the merged CSV."""
    for name in models[0]:
        sums = collections.defaultdict(float)
        for lists, weight in zip(models, weights, strict=True):
            for class_id, score in lists[name].items():
                sums[class_id] += weight * score
        best = sorted((-np.float32(s), c) for c, s in sums.items())[:top_k]
        yield f"{name}," + " ".join(f"{c} {-s:g}" for s, c in best)


def run(command, **values):
    values = {name: value for name, value in values.items() if value is not None}
    if not flags.FLAGS.is_parsed():
        flags.FLAGS(["test"])
    with flagsaver.flagsaver():
        for name, value in values.items():
            flags.FLAGS[name].parse(value)
            flags.FLAGS[name].present = 1
        tool.main(command)


@pytest.fixture
def merge(tmp_path):
    """Runs `merge` on files; returns the rows written, below the header."""

    def merge(*paths, **flags):
        out = tmp_path / "out.csv"
        run("merge", input_files=",".join(paths), output_file=str(out), **flags)
        return out.read_text().splitlines()[1:]

    return merge


@pytest.mark.parametrize(
    ("flags", "weights"),
    [
        ({}, [1 / 3] * 3),
        ({"weights": "2, 1,1"}, [0.5, 0.25, 0.25]),
        ({"gaps": "0.8,0.6,0.2"}, [0.5, 0.375, 0.125]),
    ],
)
def test_merged_is_the_weighted_sum_of_the_lists(write, merge, flags, weights):
    models = [random_lists(seed) for seed in range(3)]
    paths = [write(*rows(lists)) for lists in models]
    merged = merge(*paths, top_k=5, **flags)
    assert merged == list(naive_merge(models, weights, 5))


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ([1, 1, 2], [0.25, 0.25, 0.5]),
        ([0.25], [1.0]),
        ([0, 3], [0.0, 1.0]),
        (["0.1", 0.3], [0.25, 0.75]),
    ],
)
def test_weights_sum_to_one(given, expected):
    found = ensemble.normalized(given)
    assert found.dtype == np.float64
    np.testing.assert_allclose(found, expected, rtol=1e-15)
    for wrong in ([0, 0], [-1, 2], [1, np.inf], [np.nan, 1]):
        with pytest.raises(ValueError, match="finite numbers from 0 up"):
            ensemble.normalized(wrong)


def test_each_member_counts(write, merge):
    """Also the last one, and one that alone lists a class."""
    paths = write("a,1 1", "b,2 1"), write("b,3 1", "a,1 0.5"), write("a,4 1", "b,2 1")
    assert merge(*paths) == ["a,1 0.5 4 0.333333", "b,2 0.666667 3 0.333333"]
    assert merge(*paths, weights="0,0,5") == ["a,4 1 1 0", "b,2 1 3 0"]


def test_sums_of_many_members_are_exact(write, merge):
    """A hundred times 0.1 are ten in float64, to six digits in float32 they are not."""
    many = [write(f"a,1 {0.7 + 1e-9 * n:.9f} 2 0.7") for n in range(100)]
    assert merge(*many) == ["a,1 0.7 2 0.7"]
    reverse = [write(f"a,1 0.7 2 {0.7 + 1e-5 * (n == 99):.6f}") for n in range(100)]
    assert merge(*reverse) == ["a,2 0.7 1 0.7"]  # by 1e-7, two steps of float32


def test_ids_that_differ_in_a_byte_stay_apart(tmp_path, merge):
    """Also where they are no text; blanks within an id are part of it."""
    ids = [b"\xff", b"\xfe", "\N{REPLACEMENT CHARACTER}".encode(), b"a b", b"ab", b"A"]
    paths = []
    for name, order in (("x", 1), ("y", -1)):
        rows = [b"%s,%d 0.5\n" % (video, n) for n, video in enumerate(ids)]
        paths.append(tmp_path / f"{name}.csv")
        paths[-1].write_bytes(VIDEO_HEADER.encode() + b"".join(rows[::order]))
    submissions = [Submission(str(path)) for path in paths]
    assert len(submissions[0].keys) == len(ids)
    assert [r.tolist() for r in ensemble.align(submissions)] == [
        [0, 1, 2, 3, 4, 5],
        [5, 4, 3, 2, 1, 0],
    ]
    run("merge", input_files=",".join(map(str, paths)), output_file=str(tmp_path / "z"))
    lines = (tmp_path / "z").read_bytes().splitlines()[1:]
    assert lines == [b"%s,%d 0.5" % (video, n) for n, video in enumerate(ids)]


def test_names_of_segments_that_differ_in_a_byte_stay_apart():
    names = ["\udcff:0", "\udcfe:0", "\ufffd:0"]
    assert ensemble.fuse([(names, 0.5), (names, 0.5)]) == names


def test_ties_go_to_the_lower_class_and_absent_labels_count_zero(write, merge):
    paths = write("a,7 0.5 3 0.5"), write("a,9 1 3 0.1")
    assert merge(*paths, top_k=3) == ["a,9 0.5 3 0.3 7 0.25"]
    assert merge(write("a,7 0.5 3 0.5 5 0")) == ["a,3 0.5 7 0.5 5 0"]


def test_rows_in_another_order_are_joined_by_id(write, merge):
    models = [random_lists(seed) for seed in range(2)]
    mixed = dict(sorted(models[1].items(), reverse=True))
    paths = write(*rows(models[0])), write(*rows(mixed))
    assert merge(*paths) == list(naive_merge(models, [0.5, 0.5], 20))


def test_blocks_do_not_change_the_result(write, merge, monkeypatch):
    models = [random_lists(seed) for seed in range(2)]
    paths = [write(*rows(lists)) for lists in models]
    whole = merge(*paths)
    monkeypatch.setattr(ensemble, "_BLOCK_BYTES", 500)
    assert merge(*paths) == whole


def test_windows_line_ends_and_a_last_line_without_any(tmp_path):
    path = tmp_path / "a.csv"
    path.write_bytes(VIDEO_HEADER.strip().encode() + b"\r\na,1 0.5\r\nb,2 1e-3 4 0.1")
    counts, classes, scores = Submission(str(path)).pairs([1, 0])
    assert counts.tolist() == [2, 1] and classes.tolist() == [2, 4, 1]
    assert scores.tolist() == [1e-3, 0.1, 0.5]


def test_segments_are_fused_by_reciprocal_rank(write, merge):
    a = write("3,x:0 x:5 y:0", "4,z:10", header=SEGMENT_HEADER)
    b = write("3,y:0 x:0", "1,w:5", header="")  # a missing header is made up for
    scores = {
        "x:0": 2 / 61 + 1 / 62,
        "x:5": 2 / 62,
        "y:0": 2 / 63 + 1 / 61,
    }
    ranked = " ".join(sorted(scores, key=scores.get, reverse=True))
    assert merge(a, b, weights="2,1") == ["1,w:5", f"3,{ranked}", "4,z:10"]
    assert merge(a, b, segment_max_pred=1) == ["1,w:5", "3,x:0", "4,z:10"]


def test_of_equal_ranks_the_earlier_files_segment_is_first():
    assert ensemble.fuse([(["x:0", "y:0"], 0.5), (["y:0", "x:0"], 0.5)]) == [
        "x:0",
        "y:0",
    ]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("b,3 0.5 4", "line 3 has an odd number of entries"),
        ("b,3 x", "line 3 has 'x' where a number belongs"),
        ("b,3 nan", "line 3 has 'nan' where a number belongs"),
        ("b,3 inf", "line 3 has 'inf' where a number belongs"),
        ("b,3 1e999", "line 3 has the confidence inf; expected one from 0 up"),
        ("b,3 -0.5", "line 3 has the confidence -0.5; expected one from 0 up"),
        ("b,-3 0.5", "line 3 has -3 for a class; expected a class id"),
        ("b,3.5 0.5", "line 3 has 3.5 for a class"),
        ("b,3 0.5 3 0.4", "line 3 lists class 3 twice"),
        ("b,3  0.5", "line 3 has two blanks in a row"),
        ("b,3 0.5.1", "line 3 has an entry that is not a number"),
        ("b,3 0.5.1 4 e", "line 3 has an entry that is not a number"),
        ("b,", "line 3 lists no class"),
        ("b", "line 3 is 'b'; expected VideoId,LabelConfidencePairs"),
        (",3 0.5", "line 3 is ',3 0.5'; expected VideoId,"),
        ("a,3 0.5", "line 3 has 'a' again, after line 2"),
    ],
)
def test_damaged_rows_are_named(write, merge, row, message):
    path = write("a,3 0.5 9 0.1", row)
    with pytest.raises(UserError) as error:
        merge(path)
    assert str(error.value).startswith(f"{path}: {message}")


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("3,x:0 y", "line 1 has 'y' where a segment (id:start) belongs"),
        ("3,x:0 x:0", "line 1 lists a segment twice"),
        ("3,x", "line 1 is '3,x'; expected the header VideoId,LabelConfidencePairs or"),
        ("99,x:0", "line 1 has '99' for a class; expected a class id below --num_cl"),
    ],
)
def test_damaged_segment_rows_are_named(write, merge, row, message):
    path = write(row, header="")
    with pytest.raises(UserError) as error:
        merge(path, num_classes=C)
    assert str(error.value).startswith(f"{path}: {message}")


def test_classes_are_checked_against_num_classes_where_it_is_given(write, merge):
    path = write(f"a,{C} 0.5")
    assert merge(path) == [f"a,{C} 0.5"]
    with pytest.raises(UserError, match=f"line 2 has {C} for a class; .* below --num"):
        merge(path, num_classes=C)


def test_ids_that_differ_are_counted(write, merge):
    two, three = write("a,1 1", "b,1 1"), write("b,1 1", "a,1 1", "c,1 1")
    for pair in ((two, three), (three, two)):
        with pytest.raises(UserError, match="lacks 1 of the 3 videos of .* 'c'"):
            merge(*pair)


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ({"weights": "1,2,3"}, "--weights=1,2,3: 3 for 2 files"),
        ({"weights": "1,x"}, "--weights=1,x: could not convert"),
        ({"gaps": "0.5,-1"}, "--gaps=0.5,-1: expected finite numbers from 0 up"),
        ({"weights": "0,0"}, "not all of them 0"),
        ({"weights": "1,1", "gaps": "1,1"}, "--weights and --gaps are both given"),
        ({"top_k": 0}, "--top_k=0: must be greater than 0"),
        ({"segment_max_pred": -1}, "--segment_max_pred=-1: must be greater than 0"),
    ],
)
def test_wrong_flags_are_named(write, merge, flags, message):
    with pytest.raises(UserError, match=message):
        merge(write("a,1 1"), write("a,1 1"), **flags)


def test_wrong_files_are_named(write, merge, tmp_path):
    empty = tmp_path / "empty.csv"
    empty.touch()
    bare, segments = write(), write("3,x:0", header=SEGMENT_HEADER)
    for path, message in (
        (str(empty), "is empty"),
        (str(tmp_path / "none.csv"), "cannot be read .No such file"),
        (str(tmp_path), "cannot be read .Is a directory"),
        (bare, "has a header but no rows"),
        (write("a,1 1", header="id,pairs\n"), "line 1 is 'id,pairs'; expected the hea"),
        (segments, "has the form Class,Segments, but .* VideoId"),
    ):
        with pytest.raises(UserError, match=message):
            merge(write("a,1 1"), path)
    with pytest.raises(UserError, match="--input_files is empty"):
        merge("")
    with pytest.raises(UserError, match="lists segments; expected a CSV of videos"):
        run("score", input_files=segments, eval_data_pattern="unused")


@pytest.fixture
def labelled(tmp_path):
    """Labels of the videos, and the glob of their records, in two files."""
    rng = np.random.default_rng(9)
    labels = {f"v{i}": np.unique(rng.integers(0, C, 3)) for i in range(V)}
    features = {"mean_rgb": np.zeros(2)}
    examples = [video_example(n, ids, features) for n, ids in labels.items()]
    write_records(tmp_path / "validate0.tfrecord", examples[: V // 2])
    write_records(tmp_path / "validate1.tfrecord", examples[V // 2 :])
    return labels, str(tmp_path / "validate*.tfrecord")


def noisy_lists(labels, seed):
    """At least six classes each, tending to be the video's labels."""
    lists = random_lists(seed, least=6)
    rng = np.random.default_rng(seed)
    for name, ids in labels.items():
        for class_id in ids[rng.random(len(ids)) < 0.5].tolist():
            lists[name][class_id] = float(rng.integers(25, 51)) / 50
    return lists


def dense_metrics(models, weights, labels, top_k):
    """Of the merged confidences as a matrix [V, C]."""
    predictions = np.zeros((V, C))
    for lists, weight in zip(models, weights, strict=True):
        for row, name in enumerate(labels):
            for class_id, score in lists[name].items():
                predictions[row, class_id] += weight * score
    counted = metrics.Metrics(C, top_k)
    ids = pad_ids(list(labels.values()))
    counted.update(metrics.top_predictions(predictions, ids, top_k), ids)
    return counted.result()


def test_score_is_that_of_the_dense_predictions(write, labelled, capsys):
    labels, pattern = labelled
    models = [noisy_lists(labels, seed) for seed in range(2)]
    models[1] |= {"unlabelled": {3: 0.5}}
    paths = [write(*rows(lists)) for lists in models]
    run(
        "score",
        input_files=",".join(paths),
        eval_data_pattern=pattern,
        num_classes=C,
        gaps="3,1",
        top_k=6,
    )
    printed = capsys.readouterr().out.splitlines()
    parts = [([models[0]], [1]), ([models[1]], [1]), (models, [0.75, 0.25])]
    for line, name, part in zip(printed, [*paths, "merged"], parts, strict=True):
        result = dense_metrics(*part, labels, 6)
        assert line == (
            f"{name}: videos: {V} | Hit@1: {result['hit_at_one']:.5f} | "
            f"PERR: {result['perr']:.5f} | MAP: {result['map']:.5f} | "
            f"GAP: {result['gap']:.5f}"
        )


def test_validation_files_give_the_weights(write, labelled, merge):
    """Each model's GAP on labelled videos weighs its predictions of others."""
    labels, pattern = labelled
    validation = [noisy_lists(labels, seed) for seed in range(2)]
    gaps = [dense_metrics([lists], [1], labels, 6)["gap"] for lists in validation]
    models = [random_lists(seed) for seed in range(2)]
    paths = [write(*rows(lists)) for lists in models]
    flags = {"eval_data_pattern": pattern, "num_classes": C, "top_k": 6}
    validation = [write(*rows(lists)) for lists in validation]
    merged = merge(*paths, validation_files=",".join(validation), **flags)
    assert merged == list(naive_merge(models, np.array(gaps) / sum(gaps), 6))
    with pytest.raises(UserError, match="--validation_files=.*: 1 for 2 files"):
        merge(*paths, validation_files=validation[0], **flags)
    with pytest.raises(UserError, match="--eval_data_pattern is empty"):
        merge(*paths, validation_files=",".join(validation))


def test_top_k_below_a_videos_labels_leaves_the_rest_unpredicted(write):
    submission = Submission(write("a,1 0.9 2 0.8 3 0.7"))
    blocks = ensemble.merged_videos([submission], [np.array([0])], [1.0], top_k=1)
    result = ensemble.evaluate(blocks, np.array([[1, 2, 3]]), C, top_k=1)
    assert result["perr"] == pytest.approx(1 / 3)
    assert result["gap"] == pytest.approx(1 / 3)


def test_a_labelled_video_without_a_row_is_told(write, labelled):
    _, pattern = labelled
    with pytest.raises(UserError, match=f"lacks {V - 1} of the {V} videos of --eval_d"):
        run("score", input_files=write("v0,1 1"), eval_data_pattern=pattern)


def test_selection_takes_the_best_pick_until_none_helps(
    write, labelled, capsys, tmp_path
):
    labels, pattern = labelled
    models = [noisy_lists(labels, seed) for seed in range(3)]
    expected, highest = [], 0.0
    while True:
        gaps = []
        for added in range(3):
            picks = [*expected, added]
            weights = [picks.count(m) / len(picks) for m in range(3)]
            gaps.append(dense_metrics(models, weights, labels, 6)["gap"])
        if max(gaps) <= highest:
            break
        highest = max(gaps)
        expected.append(gaps.index(highest))
    assert len(set(expected)) > 1  # a test of something

    paths = [write(*rows(lists)) for lists in models]
    flags = {"eval_data_pattern": pattern, "num_classes": C, "top_k": 6}
    run("select", input_files=",".join(paths), **flags)
    *picks, command = capsys.readouterr().out.splitlines()
    assert [line.split()[2] for line in picks] == [paths[m] for m in expected]
    assert picks[-1].endswith(f"GAP: {highest:.5f}")

    # The printed command gives the GAP that was promised.
    given = dict(f.removeprefix("--").split("=") for f in shlex.split(command)[4:])
    given["output_file"] = str(tmp_path / "merged.csv")
    run("merge", **given)
    run("score", input_files=given["output_file"], **flags)
    assert capsys.readouterr().out.endswith(f"GAP: {highest:.5f}\n")


def test_nothing_is_selected_where_no_label_is_listed(write):
    submissions = [Submission(write("a,1 0.9")), Submission(write("a,2 0.9"))]
    rows = [np.array([0])] * 2
    assert list(ensemble.select(submissions, rows, np.array([[3]]), top_k=5)) == []
    picks = list(ensemble.select(submissions, rows, np.array([[2]]), top_k=5))
    assert picks == [(1, 1.0)]


def test_classes_that_are_not_listed_are_no_hits(write):
    """Where a row is shorter than top_k, its rest is class -1 of confidence -inf."""
    submission = Submission(write("a,2 0.5"))
    ((part, classes, scores),) = ensemble.merged_videos(
        [submission], [np.array([0])], [1.0], top_k=3
    )
    assert part == slice(0, 1)
    assert classes.tolist() == [[2, -1, -1]]
    assert scores.tolist() == [[0.5, -np.inf, -np.inf]]


def test_labels_are_read_from_records_of_any_level(tmp_path):
    write_records(
        tmp_path / "a.tfrecord",
        [
            frame_example("a", [5, 3, 3], {"rgb": np.zeros((2, 4), np.uint8)}),
            video_example("b", [], {"mean_rgb": np.zeros(2)}, id_key="video_id"),
        ],
    )
    labels = read_labels(str(tmp_path / "*.tfrecord"), "--flag", num_classes=6)
    assert {name: ids.tolist() for name, ids in labels.items()} == {
        "a": [3, 5],
        "b": [],
    }
    with pytest.raises(UserError, match="labels entry 5, but --num_classes=5"):
        read_labels(str(tmp_path / "*.tfrecord"), "--flag", num_classes=5)


def test_records_without_labels_are_told(tmp_path):
    example = video_example("a", None, {"mean_rgb": np.zeros(2)})
    write_records(tmp_path / "a.tfrecord", [example])
    with pytest.raises(UserError, match="no record with an id and labels"):
        read_labels(str(tmp_path / "a.tfrecord"), "--flag", num_classes=6)


@pytest.mark.slow
def test_labels_that_do_not_count_are_counted(tmp_path, caplog):
    """Of records that are lost, have no label, or have the id of another."""
    path, features = tmp_path / "x.tfrecord", {"x": np.zeros(1)}
    labels = {"a": [1], "b": None, "c": []}
    videos = [video_example(name, own, features) for name, own in labels.items()]
    write_records(path, [*videos, video_example("a", [2], features)])
    found = read_labels(str(path), "--flag", C)
    assert {name: own.tolist() for name, own in found.items()} == {"a": [2], "c": []}
    assert "1 records could not be read and do not count" in caplog.text
    assert "1 records have no label" in caplog.text
    assert "1 records have ids of others; the last one of each counts" in caplog.text


def test_ten_files_of_many_videos(write, merge):
    models = [random_lists(seed, num_videos=20_000, most=20) for seed in range(10)]
    paths = [write(*rows(lists)) for lists in models]
    assert merge(*paths) == list(naive_merge(models, [0.1] * 10, 20))


def test_the_printed_merge_can_be_typed(tmp_path, capsys):
    """Also where a path has what means something in a list, or to a shell."""
    (tmp_path / "data").mkdir()
    videos = [video_example("a", [1], {"x": np.zeros(1)})]
    write_records(tmp_path / "data" / "a.tfrecord", videos)
    paths = []
    for name in ("one,two.csv", "it's.csv"):
        paths.append(tmp_path / name)
        paths[-1].write_text(f"{VIDEO_HEADER}a,{len(paths)} 1\n")
    given = ",".join(escape_commas(str(path)) for path in paths)
    run("select", input_files=given, eval_data_pattern=f"{tmp_path}/data/*.tfrecord")
    *_, command = capsys.readouterr().out.splitlines()
    words = shlex.split(command)
    (files,) = (word for word in words if word.startswith("--input_files="))
    assert split_paths(files.partition("=")[2]) == [str(paths[0])]


@pytest.mark.parametrize("flag", ["input_files", "validation_files"])
def test_an_input_is_not_overwritten(write, flag):
    files = {"input_files": write("a,1 1"), "validation_files": write("b,1 1")}
    before = pathlib.Path(files[flag]).read_bytes()
    with pytest.raises(UserError, match="^--output_file=.*: is read, too"):
        run("merge", output_file=files[flag], **files)
    assert pathlib.Path(files[flag]).read_bytes() == before
