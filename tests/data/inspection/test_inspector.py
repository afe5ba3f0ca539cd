"""What an inspection finds in shards that are whole, odd or damaged."""

import gzip
import json
import random
import re
import struct
import zlib

import numpy as np
import pytest

from tests.helpers import float_records
from tests.helpers.fuzz_commands import oddities
from youtube8m.config.data import KeysConfig
from youtube8m.data.inspection.inspector import inspect
from youtube8m.data.inspection.listing import as_json, as_text
from youtube8m.data.inspection.training_flags import data_flags, notes, training_flags
from youtube8m.data.labels.vocabulary import read_vocabulary
from youtube8m.data.reading import tfrecord
from youtube8m.data.reading.damage import Damage
from youtube8m.data.writing.records import frame_example, video_example, write_records
from youtube8m.errors import UserError

SIZE = 16


def video(number, labels=(0,), **keys):
    rng = np.random.default_rng(number)
    values = rng.normal(size=SIZE).astype(np.float32)
    return video_example(f"v{number:03d}", labels, {"mean_rgb": values}, **keys)


def frames(number, labels=(0,), count=6, size=SIZE, **keys):
    rng = np.random.default_rng(number)
    rows = float_records.levels(rng, count, size)
    return frame_example(f"v{number:03d}", labels, {"rgb": rows}, **keys)


def write(path, examples):
    write_records(path, examples)
    return str(path)


def offset_of(path, index):
    return [*tfrecord.walk(path, Damage(strict=True))][index][1]


def test_what_video_level_records_hold(tmp_path):
    path = write(
        tmp_path / "a", [video(n, [n % 3, 7] if n % 3 else []) for n in range(30)]
    )
    found = inspect(path, "GLOB")
    assert (found.level, found.records, found.usable) == ("video", 30, 30)
    assert (found.labelled, found.empty_labels, found.without_labels) == (20, 10, 0)
    assert found.labels.per_class.tolist() == [0, 10, 10, 0, 0, 0, 0, 20]
    assert found.labels.per_video == {2: 20}
    (feature,) = found.features
    assert (feature.name, feature.size, feature.stored) == (
        "mean_rgb",
        SIZE,
        "float_list",
    )
    drawn = [np.random.default_rng(n).normal(size=SIZE) for n in range(30)]
    values = np.float32(drawn)
    assert feature.values.rows == 30 and not feature.values.constant
    assert feature.values.minimum == values.min()
    assert feature.values.mean == pytest.approx(values.mean())
    assert len({*found.some_ids}) == 3 and not found.doubled
    assert not found.problems.total and not found.frames
    assert training_flags(found) == [
        "--feature_names=mean_rgb",
        f"--feature_sizes={SIZE}",
        "--num_classes=8",
        f"--train_data_pattern={path}",
        "--train_dir=my_run",
    ]


def test_what_frame_level_records_hold(tmp_path):
    examples = [frames(n, [n % 2], count=3 + n % 4) for n in range(20)]
    found = inspect(write(tmp_path / "a", examples), "GLOB")
    assert (found.level, found.usable) == ("frame", 20)
    assert found.frames == {3: 5, 4: 5, 5: 5, 6: 5}
    (feature,) = found.features
    assert (feature.size, feature.stored, feature.sure) == (SIZE, "uint8", True)
    drawn = [(np.random.default_rng(n), 3 + n % 4) for n in range(20)]
    rows = [float_records.levels(rng, count, SIZE) for rng, count in drawn]
    sample = np.concatenate([one[:: -(-len(one) // 4)] for one in rows])
    expected = np.bincount(sample.ravel(), minlength=256)
    assert [*feature.values.counts] == expected.tolist()
    assert "--frame_features" in training_flags(found)
    assert "--model=FrameLevelLogisticModel" in training_flags(found)


@pytest.mark.parametrize("stored", ["float16", "bfloat16", "float32", "float_list"])
def test_types_of_frames(tmp_path, stored):
    path = float_records.write(tmp_path / "a", stored, stored, count=40)
    found = inspect(path, "GLOB")
    assert {f.name: (f.size, f.stored) for f in found.features} == {
        name: (size, stored) for name, size in float_records.SIZES.items()
    }
    assert f"--feature_dtypes={stored},{stored}" in data_flags(found)
    assert found.features[0].values.deviation == pytest.approx(30 * 4 / 255, rel=0.1)


def test_keys_of_ones_own_are_found(tmp_path):
    keys = {"id_key": "name", "labels_key": "topics"}
    path = float_records.write(tmp_path / "a", "uint8", "uint8", **keys)
    found = inspect(path, "GLOB")
    assert found.usable == found.labelled == 12
    assert {"--id_key=name", "--labels_key=topics"} <= {*training_flags(found)}
    given = inspect(path, "GLOB", KeysConfig(**keys))
    assert training_flags(given) == training_flags(found)


def test_the_layout_of_mediapipe(tmp_path):
    import tensorflow as tf

    def example(number):
        made = tf.train.SequenceExample()
        context, lists = made.context.feature, made.feature_lists.feature_list
        context["clip/media_id"].bytes_list.value.append(f"clip{number}".encode())
        context["clip/label/index"].int64_list.value.append(number % 4)
        for second in range(3):
            values = np.random.default_rng(number + second).normal(size=8)
            row = lists["RGB/feature/floats"].feature.add()
            row.float_list.value.extend(values)
            at = lists["RGB/feature/timestamp"].feature.add()
            at.int64_list.value.append(second * 1_000_000)
        return made

    found = inspect(write(tmp_path / "a", map(example, range(20))), "GLOB")
    assert (found.level, found.usable, found.labelled) == ("frame", 20, 20)
    assert found.look.found_id == "clip/media_id"
    assert found.look.found_labels == "clip/label/index"
    assert {
        "--feature_names=RGB/feature/floats",
        "--feature_sizes=8",
        "--feature_dtypes=float_list",
        "--num_classes=4",
    } <= {*training_flags(found)}


def test_rated_segments(tmp_path):
    ratings = [(0, 3, 1.0), (5, 2, 0.0), (5, 3, 1.0)]
    examples = [frames(n, [1], count=12, segments=ratings) for n in range(9)]
    examples.append(frames(9, [1], count=12, segments=[(20, 1, 1.0)]))
    path = write(tmp_path / "a", examples)
    found = inspect(path, "GLOB")
    assert (found.ratings.records, found.ratings.segments) == (10, 19)
    assert (found.ratings.ratings, found.ratings.present) == (28, 19)
    assert found.ratings.classes == {3: 18, 2: 9, 1: 1}
    assert found.ratings.beyond == 1
    (problem,) = found.problems.listed
    assert (problem.record, problem.offset) == (9, offset_of(path, 9))
    assert "rates a segment at 20 s" in problem.what
    assert any("--segment_labels" in note for note in notes(found))


def test_ratings_alone_are_trained_on_as_segments(tmp_path):
    examples = [frames(n, None, segments=[(0, 1, 1.0)]) for n in range(9)]
    found = inspect(write(tmp_path / "a", examples), "GLOB")
    assert "--segment_labels" in training_flags(found)
    assert "--num_classes=2" in training_flags(found)


def test_long_videos_with_ratings_need_more_frames(tmp_path):
    examples = [
        frames(n, [1], count=420, size=4, segments=[(400, 1, 1.0)]) for n in (0, 1)
    ]
    found = inspect(write(tmp_path / "a", examples), "GLOB")
    assert "--max_frames=420" in training_flags(found)


def odd(number, kind, level):
    """An odd record, by what tests/helpers/fuzz_commands writes."""
    rng = random.Random(number)
    return oddities.record(rng, level, number, 1.0, [kind]).data


PLAIN = 24
ODD = {  # kind -> what is said of it
    "size": r"holds|is of another kind",
    "missing": "is of another kind",
    "other level": "is of another kind",
    "empty id": "has no video id",
    "no id": "has no video id",
    "several ids": "has no video id",
    "junk": "cut short|valid protocol|no video id|another kind|is of",
    "cut": "cut short|valid protocol|no video id|another kind|has no|holds|unequal",
    "wrong label": "which is no class|entry",
}
OF_LEVEL = {
    "video": {"not finite": "not finite"},
    "frame": {"no frames": "unequal or no frames", "floats": "holds|another kind"},
}


def odd_kinds():
    for level in ("video", "frame"):
        for kind, said in (ODD | OF_LEVEL[level]).items():
            yield pytest.param(level, kind, said, id=f"{level} {kind}")


@pytest.mark.parametrize("level, kind, said", odd_kinds())
def test_each_kind_of_odd_record_is_found(tmp_path, level, kind, said):
    plain = [odd(n, "plain", level) for n in range(PLAIN)]
    path, seen = str(tmp_path / "a"), 0
    for seed in range(4):
        record = odd(100 + seed, kind, level)
        if kind == "wrong label" and record in plain:
            continue
        write_records(path, [*plain[:7], record, *plain[7:]])
        found = inspect(path, "GLOB")
        problems = found.problems.listed
        at = (7, offset_of(path, 7))
        assert found.records == PLAIN + 1
        if found.usable == PLAIN + 1:  # cut or junk that is still a record; a class
            assert kind in ("cut", "wrong label", "junk")
            continue
        seen += 1
        assert [(p.record, p.offset) for p in problems] == [at]
        assert re.search(said, problems[0].what), problems
        assert found.usable == PLAIN
    assert seen


def test_ids_that_are_doubled_are_found(tmp_path):
    one = write(tmp_path / "a", map(video, range(20)))
    other = write(tmp_path / "b", [video(20), video(3), video(21), video(3)])
    found = inspect(f"{one},{other}", "GLOB")
    assert found.doubled == 2
    (double,) = found.doubles
    assert double.id == "v003"
    assert double.places == [
        (one, offset_of(one, 3)),
        (other, offset_of(other, 1)),
        (other, offset_of(other, 3)),
    ]


def damaged(path, kind):
    """Damages a file of ten records; returns where it is to be found."""
    content = path.read_bytes()
    starts = [at for _, at, _ in tfrecord.walk(str(path), Damage(strict=True))]
    record, offset = 4, starts[4]
    flipped = bytearray(content)
    if kind == "data":
        flipped[starts[4] + 30] ^= 1
    elif kind == "data's checksum":
        flipped[starts[5] - 1] ^= 1
    elif kind == "length":
        flipped[starts[4] : starts[4] + 8] = struct.pack("<Q", 2**40)
    elif kind == "length's checksum":
        flipped[starts[4] + 9] ^= 1
    elif kind == "cut":
        flipped = content[: starts[4] + 40]
    elif kind == "tail":
        flipped, record, offset = content + b"\x01" * 30, 10, len(content)
    elif kind == "head":
        flipped, record, offset = b"\xef\xbb\xbf" + content, 0, 0
    path.write_bytes(bytes(flipped))
    return record, offset


@pytest.mark.parametrize(
    "kind, left",
    [
        ("data", 9),
        ("data's checksum", 9),
        ("length", 9),
        ("length's checksum", 9),
        ("cut", 4),
        ("tail", 10),
        ("head", 10),
    ],
)
def test_damage_is_found_with_file_and_offset(tmp_path, kind, left):
    whole = write(tmp_path / "whole", map(frames, range(30)))
    path = tmp_path / "broken"
    write_records(path, map(frames, range(30, 40)))
    place = damaged(path, kind)
    found = inspect(f"{whole},{path}", "GLOB")
    (problem,) = found.problems.listed
    assert (problem.file, problem.record, problem.offset) == (str(path), *place)
    assert "is damaged" in problem.what
    assert found.usable == 30 + left
    (line,) = [n for n in as_text(found) if n.startswith(f"  {path}: record")]
    assert f"record {place[0]} at byte {place[1]:,} is damaged" in line


FILES = {
    "empty": (lambda content: b"", "is empty"),
    "text": (lambda content: b"id,labels\na,1\n" * 3, "is text"),
    "zip": (lambda content: b"PK\x03\x04" + content, r"compressed \(zip\)"),
    "page": (lambda content: b"<html>no such file</html>", "a web page"),
    "numpy": (lambda content: b"\x93NUMPY" + b"x" * 40, "a NumPy array"),
}


@pytest.mark.parametrize("kind", FILES)
def test_files_that_are_no_shards(tmp_path, kind):
    make, said = FILES[kind]
    whole = write(tmp_path / "whole", map(video, range(20)))
    other = tmp_path / "other"
    other.write_bytes(make(open(whole, "rb").read()))
    found = inspect(f"{whole},{other}", "GLOB")
    assert found.usable == 20
    (problem,) = found.problems.listed
    assert problem.file == str(other) and re.search(said, problem.what)
    alone = inspect(str(other), "GLOB")
    assert not alone.usable and not training_flags(alone)
    assert "No record can be read." in notes(alone)
    assert as_text(alone)[-1].startswith("No flags")


@pytest.mark.parametrize("compress", [gzip.compress, zlib.compress])
def test_compressed_shards(tmp_path, compress):
    path = tmp_path / "a"
    write_records(path, map(video, range(20)))
    place = offset_of(str(path), 19)
    path.write_bytes(compress(path.read_bytes()))
    found = inspect(str(path), "GLOB")
    assert found.usable == 20 and not found.problems.total
    assert "--input_pipeline=tfrecord" in training_flags(found)
    path.write_bytes(path.read_bytes()[:-40])
    found = inspect(str(path), "GLOB")
    (problem,) = found.problems.listed
    assert found.usable == problem.record < 20 and problem.offset <= place


def test_shards_of_two_kinds(tmp_path):
    one = write(tmp_path / "a", map(video, range(20)))
    other = write(tmp_path / "b", map(frames, range(20, 50)))
    found = inspect(f"{one},{other}", "GLOB")
    assert (found.level, found.usable) == ("frame", 30)  # what most are
    (kind,) = found.other_kinds
    assert (kind.records, kind.files, kind.first) == (20, {one}, (one, 0))
    assert str(kind.kind) == "video-level, mean_rgb (16 floats)"
    assert any("give a glob of each kind" in note for note in notes(found))


def test_the_commonest_kind_counts_although_the_first_records_are_others(tmp_path):
    examples = [video(n) for n in range(20)]
    write_records(tmp_path / "a", [*examples, *map(frames, range(20, 60))])
    found = inspect(str(tmp_path / "a"), "GLOB")
    assert (found.level, found.usable) == ("frame", 40)
    assert found.other_kinds[0].records == 20


def test_dimensions_that_hardly_vary(tmp_path):
    def example(number):
        values = np.random.default_rng(number).normal(size=SIZE)
        values[3], values[5] = 7.0, 2.0 + 1e-4 * values[5]
        return video_example(f"v{number}", [0], {"mean_rgb": values})

    found = inspect(write(tmp_path / "a", map(example, range(40))), "GLOB")
    assert found.features[0].values.constant == (3, 5)
    assert any("2 of 16 dimensions of mean_rgb" in note for note in notes(found))


def test_a_feature_that_is_the_same_everywhere(tmp_path):
    examples = [
        video_example(f"v{n}", [0], {"mean_rgb": np.zeros(SIZE)}) for n in range(20)
    ]
    found = inspect(write(tmp_path / "a", examples), "GLOB")
    assert "mean_rgb is 0 everywhere." in notes(found)


@pytest.mark.parametrize("stored", ["float16", "float32", "float_list"])
def test_frames_that_are_not_finite(tmp_path, stored):
    examples = [*float_records.records(stored, stored, count=20)]
    rows = examples[7].feature_lists.feature_list["rgb"].feature
    if stored == "float_list":
        rows[-1].float_list.value[0] = np.nan
    else:
        data = np.frombuffer(rows[-1].bytes_list.value[0], stored).copy()
        data[0] = np.inf
        rows[-1].bytes_list.value[0] = data.tobytes()
    found = inspect(write(tmp_path / "a", examples), "GLOB")
    (problem,) = found.problems.listed
    assert (
        problem.record == 7 and "'rgb' holds values that are not finite" in problem.what
    )
    assert found.features[0].not_finite == 1 and found.usable == 19


def test_ids_that_a_csv_cannot_hold(tmp_path):
    examples = [video(0), video(1)]
    examples[1].features.feature["id"].bytes_list.value[0] = b"a,b"
    path = write(tmp_path / "a", examples)
    found = inspect(path, "GLOB", fit_ids=re.compile(rb"[^,]+"))
    assert found.num_unfit_ids == 1 and found.unfit_ids == ["a,b"]
    assert any("'a,b'" in note for note in notes(found))


@pytest.fixture
def vocabulary(tmp_path):
    path = tmp_path / "vocabulary.csv"
    path.write_text(
        "Index,Name,Vertical1\n0,cat,Pets\n1,dog,Pets\n2,car,Autos\n3,,Autos\n"
    )
    return read_vocabulary(path)


def test_labels_by_vertical(tmp_path, vocabulary):
    rows = [[0], [0, 1], [0, 2], [2, 3], [1, 3]]
    path = write(tmp_path / "a", [video(n, labels) for n, labels in enumerate(rows)])
    found = inspect(path, "GLOB", vocabulary=vocabulary)
    assert vocabulary.verticals == ("Autos", "Pets")
    assert found.labels.together.tolist() == [[3, 2], [2, 4]]
    assert "--num_classes=4" in training_flags(found)


def test_a_vocabulary_of_another_length_is_one_line(tmp_path, vocabulary):
    path = write(tmp_path / "a", [video(0, [4])])
    with pytest.raises(
        UserError, match="has 4 classes, but the first records have class 4"
    ):
        inspect(path, "GLOB", vocabulary=vocabulary)


def test_no_file_is_one_line(tmp_path):
    with pytest.raises(UserError, match="GLOB=.*no file matches"):
        inspect(f"{tmp_path}/*.tfrecord", "GLOB")
    with pytest.raises(UserError, match="is a directory"):
        inspect(str(tmp_path), "GLOB")


def test_json_holds_all_of_it(tmp_path):
    path = write(tmp_path / "a", [frames(n, segments=[(0, 1, 1.0)]) for n in range(5)])
    values = json.loads(json.dumps(as_json(inspect(path, "GLOB"))))
    assert values["frames_per_video"] == {"6": 5}
    assert values["videos_per_class"] == {"0": 5}
    assert values["files"] == [
        {
            "path": path,
            "bytes": (tmp_path / "a").stat().st_size,
            "compression": "",
            "records": 5,
            "usable": 5,
            "problems": 0,
        }
    ]
    assert values["features"][0]["values"]["rows"] == 5 * 3


@pytest.mark.slow
@pytest.mark.parametrize("level", ["video", "frame"])
def test_what_is_usable_is_what_the_pipeline_reads(tmp_path, level):
    """Of records of all odd kinds and files of all kinds of damage."""
    from youtube8m.data.reading.pipeline import Shards

    compared = 0
    for seed in range(60):
        folder = tmp_path / str(seed)
        folder.mkdir()
        data = oddities.shards(random.Random(seed), level, str(folder), 0.3)
        found = inspect(data.pattern, "GLOB")
        packed = [file for file in found.files if file.compression]
        known = found.num_unfit_ids, found.impossible_labels
        if packed or found.config is None or any(known) or not found.labelled:
            continue
        import dataclasses

        config = dataclasses.replace(found.config, num_classes=1000)
        try:
            shards = Shards.open(data.pattern, "--flag", config)
        except UserError:
            continue
        ids = []
        for batch in shards.iterate(shards.ordered_batches(8)):
            ids += batch["id"].numpy().tolist()
        assert len(ids) == found.usable - found.without_labels, seed
        compared += 1
    assert compared > 20
