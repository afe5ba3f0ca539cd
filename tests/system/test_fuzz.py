"""Whatever a file holds, its reader gives a result or an error of ours, of one line."""

import contextlib
import csv
import dataclasses
import functools
import gzip
import io
import json
import os
import signal
import tarfile
import tempfile

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from tests.helpers import parsing, training_runs
from tests.helpers.decoding import decode_records
from tests.helpers.starter_checkpoints import logistic, random_variables, save
from youtube8m.config import DataConfig, ModelConfig, RunConfig
from youtube8m.data.labels import ratings
from youtube8m.data.labels.cooccurrence import CooccurrenceCounts, read_counts
from youtube8m.data.labels.segment_classes import read_segment_classes
from youtube8m.data.labels.vocabulary import read_vocabulary
from youtube8m.data.reading import pipeline, tfrecord
from youtube8m.data.reading.damage import Damage
from youtube8m.data.reading.messages import RecordError
from youtube8m.data.writing.records import frame_example, video_example, write_records
from youtube8m.errors import UserError
from youtube8m.evaluation import evaluator
from youtube8m.metrics import Metrics
from youtube8m.prediction.submission import (
    SCORED_SEGMENT_HEADER,
    SEGMENT_HEADER,
    VIDEO_HEADER,
    Submission,
)
from youtube8m.runs import archive, weights
from youtube8m.runs.best import BestCheckpoints
from youtube8m.runs.directory import RunDirectory
from youtube8m.runs.starter_code import StarterCheckpoint
from youtube8m.tools import convert_prediction_from_json_to_csv as convert
from youtube8m.training import reports, saver, warm_start
from youtube8m.training.resume import TrainingFlags, resume_flags
from youtube8m.training.trainer import Trainer
from youtube8m.training.workers import Workers
from youtube8m.util import files
from youtube8m.util.text import decode_id, encode_id

C = 9  # classes


LONGEST = 60  # seconds of an example; none needs one of them


class Hung(BaseException):  # no reader takes it for damage
    pass


def fuzzed(count=100):
    """The same examples in every run, however slow the machine is; none may hang."""
    decorate = settings(
        max_examples=count,
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=list(HealthCheck),
    )

    def decorated(test):
        test.hypothesis.inner_test = ending(test.hypothesis.inner_test)
        return decorate(test)

    return decorated


def ending(test):
    """The test, failing where an example takes longer than LONGEST."""

    @functools.wraps(test)
    def run(*args, **values):
        def on_alarm(*_):
            raise Hung(f"{test.__name__} with {args} {values}")

        previous = signal.signal(signal.SIGALRM, on_alarm)
        signal.setitimer(signal.ITIMER_REAL, LONGEST)
        try:
            test(*args, **values)
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, previous)

    return run


@contextlib.contextmanager
def an_error_of_ours(*kinds):
    """Lets one line of ours pass, and nothing else."""
    try:
        yield
    except (UserError, *kinds) as error:
        assert str(error) and len(str(error).splitlines()) == 1


@contextlib.contextmanager
def file_of(content, name="file"):
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, name)
        with open(path, "wb") as file:
            file.write(content)
        yield path


@st.composite
def mutated(draw, *sound):
    """Sound bytes with pieces cut out, put in, overwritten or doubled; or any bytes."""
    data = bytearray(draw(st.sampled_from([*sound, b""])))
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(data)))
        end = min(len(data), start + draw(st.integers(0, 20)))
        piece = draw(st.one_of(st.binary(max_size=12), st.just(bytes(data[start:end]))))
        data[start : draw(st.sampled_from([start, end]))] = piece
    return bytes(data)


def texts(*sound):
    """Mutated text, much of it of the characters that files of text are made of."""
    pieces = ["\n", ",", ":", " ", '"', "-1", "1e999", "nan", "é", "\0", "9" * 30, "\r"]
    return st.one_of(
        mutated(*(text.encode() for text in sound)),
        st.builds(
            lambda text, at, piece: (text[:at] + piece + text[at:]).encode(),
            st.sampled_from(sound),
            st.integers(0, 200),
            st.sampled_from(pieces),
        ),
    )


# Records.

FRAMES = DataConfig(("rgb", "audio"), (4, 2), frame_features=True, num_classes=C)
CROPS = {"frame_sampling": "crop", "crop_frames": 3, "released_crops": True}
LEVELS = {
    "video": DataConfig(("mean_rgb", "mean_audio"), (4, 2), num_classes=C),
    "frame": FRAMES,
    "segment": FRAMES,
    "released crops": dataclasses.replace(FRAMES, **CROPS),
}


def sound_records():
    rows = {"rgb": np.full((6, 4), 7, np.uint8), "audio": np.full((6, 2), 9, np.uint8)}
    means = {"mean_rgb": np.ones(4), "mean_audio": np.zeros(2)}
    rated = frame_example("abcd", [1, 8], rows, [(0, 1, 1.0), (5, 8, 0.0)])
    examples = (
        rated,
        frame_example("abcd", [300], rows),
        video_example("v", [2], means),
    )
    return [e.SerializeToString(deterministic=True) for e in examples]


RECORDS = sound_records()
LISTED = RECORDS[2].replace(b"mean_rgb", b"mean\nrgb")  # named in the error


@pytest.mark.parametrize("level", LEVELS)
@fuzzed(250)
@given(record=mutated(*RECORDS), draw=st.none() | st.integers(0, 2**63))
@example(LISTED, None)
def test_records(level, record, draw):
    segments = level == "segment"
    decoder = pipeline.decoder_for(LEVELS[level], True, Damage(), segments=segments)
    with an_error_of_ours(RecordError):
        same_as_protobuf(level, record, decoder.parse(record, draw))
    with an_error_of_ours():
        damage = Damage()
        decoder = pipeline.decoder_for(LEVELS[level], True, damage, segments=segments)
        batch = decode_records(decoder, [record])
        damage.check()
        if level in ("video", "frame", "released crops"):
            assert len(batch["id"]) + damage.lost == 1


def same_as_protobuf(level, record, found):
    """Checks what was parsed against protobuf's parser, where that takes the record."""
    expected = parsing.example_of(record)
    if expected is None:
        return
    context, ids = expected["context"], parsing.video_id(expected)
    assert all(example["id"] == ids for example in found)
    if level == "video":
        names = LEVELS[level].feature_names
        values = np.concatenate([np.float32(context[name]) for name in names])
        np.testing.assert_array_equal(found[0]["features"], values)
    if level in ("frame", "segment"):
        frames = parsing.frames_of(expected, FRAMES.feature_names)
    if level == "segment":
        segments = parsing.segments_of(expected)
        assert [example["segment_start"] for example in found] == list(segments)
        for example, (start, rated) in zip(found, segments.items(), strict=True):
            joined = np.concatenate(example["frames"], axis=1)
            np.testing.assert_array_equal(joined, frames[start : start + 5])
            assert example["rated"].tolist() == sorted(rated)
            present = [label for label in sorted(rated) if rated[label]]
            assert example["labels"].tolist() == present
        return
    assert len(found) == 1
    assert found[0]["labels"] == sorted(set(context["labels"]))
    if level == "frame":
        joined = np.concatenate(found[0]["frames"], axis=1)
        np.testing.assert_array_equal(joined, frames[:300])


@pytest.mark.parametrize("level, record", [("frame", 1), ("segment", 0), ("video", 2)])
def test_the_parsers_of_records_know_sound_ones(level, record):
    """Else a comparison of what both parse would compare nothing."""
    decoder = pipeline.decoder_for(
        dataclasses.replace(LEVELS[level], num_classes=400),
        True,
        Damage(),
        segments=level == "segment",
    )
    found = decoder.parse(RECORDS[record])
    assert parsing.example_of(RECORDS[record]) is not None and found
    same_as_protobuf(level, RECORDS[record], found)


@fuzzed(150)
@given(
    record=mutated(*RECORDS),
    kind=st.sampled_from(["video", "frame", "segment"]),
)
@example(RECORDS[0], "segment")
def test_ratings_of_records(record, kind):
    decoder = ratings.RatingDecoder(LEVELS[kind], False, Damage())
    with an_error_of_ours(RecordError):
        found = decoder.parse(record)
        if expected := parsing.example_of(record):
            context = expected["context"]
            columns = ("segment_start_times", "segment_labels", "segment_scores")
            *rated, scores = (context[name] for name in columns)
            present = [score > 0 for score in scores]
            rows = list(zip(*rated, present, strict=True))
            assert [example["rating"] for example in found] == rows
            assert {e["id"] for e in found} <= {parsing.video_id(expected)}


@functools.cache
def sound_shard():
    with file_of(b"") as path:
        write_records(path, [*RECORDS, b"", *RECORDS])
        with open(path, "rb") as file:
            return file.read()


@fuzzed(150)
@given(content=mutated(sound_shard()))
@example(sound_shard())
def test_shards(content):
    with file_of(content) as path:
        damage = Damage()
        found = [data for _, data in tfrecord.read_records(path, damage)]
        assert found == parsing.records_of(content)
        assert set(found) <= {*RECORDS, b""}
        for _, offset, length in tfrecord.walk(path, Damage()):
            assert offset + length + 16 <= len(content)


# Files of text.

VIDEOS = VIDEO_HEADER + "aAbc,3 0.99 1 0.45\nbBcd,1 1e-05\n"
SEGMENTS = SEGMENT_HEADER + "1,aAbc:5 aAbd:40\n3,aAbc:5\n"
SCORED = SCORED_SEGMENT_HEADER + "1,aAbc:5:0.75 aAbd:40:1e-05\n3,aAbc:5:0.5\n"


@fuzzed(400)
@given(content=texts(VIDEOS, SEGMENTS, SCORED), classes=st.sampled_from([None, C]))
@example(VIDEOS.encode(), None)
@example(SEGMENTS.encode(), None)
@example(SCORED.encode(), C)
@example(SCORED_SEGMENT_HEADER.encode() + b"1,a:5:1e-e\n", None)
@example(SEGMENT_HEADER.encode() + b"1,\xff:5\n", None)
@example(SEGMENT_HEADER.encode() + b"9" * 5000 + b",a:5\n", None)
@example(SEGMENT_HEADER.encode() + "²,a:5\n".encode(), None)
def test_submissions(content, classes):
    with file_of(content) as path, an_error_of_ours():
        found = Submission(path, classes)
        expected = parsing.rows_of(content)
        if expected[0][0] in (b"VideoId", b"Class"):
            expected = expected[1:]
        lines = list(found.lines())
        assert len(found.keys) == len(lines) == len(expected)
        for row, (key, words) in enumerate(expected):
            own = found.keys[row]
            assert own == int(key) if isinstance(own, int) else encode_id(own) == key
            with an_error_of_ours():
                if found.header == VIDEO_HEADER:
                    counts, listed, scores = found.pairs([row])
                    assert counts.tolist() == [len(words) / 2]
                    assert listed.tolist() == [float(word) for word in words[::2]]
                    assert scores.tolist() == [float(word) for word in words[1::2]]
                elif found.header == SEGMENT_HEADER:
                    assert list(map(encode_id, found.segments(row))) == words
                else:
                    names, scores = found.scored_segments(row)
                    split = [word.rpartition(b":") for word in words]
                    assert list(map(encode_id, names)) == [name for name, *_ in split]
                    values = [float(score) for *_, score in split]
                    np.testing.assert_array_equal(scores, np.float32(values))


@fuzzed(200)
@given(content=texts("Index,Name\n3,Game\n1,Car\n", "Index\n1\n2\n"))
def test_segment_classes(content):
    with file_of(content) as path, an_error_of_ours():
        assert read_segment_classes(path, C).shape == (C,)


VOCABULARY = "Index,TrainVideoCount,Name,Vertical1\n0,788,Game,Games\n1,53,Car,Autos\n"


@fuzzed(250)
@given(content=texts(VOCABULARY, "0,Games\n1,Autos\n"))
@example(b"\n")
@example(b"0,a\n" + b"9" * 30 + b",b\n")
@example(VOCABULARY.encode())
def test_vocabularies(content):
    with file_of(content) as path, an_error_of_ours():
        found = read_vocabulary(path)
        assert len(found.names) == len(found.train_counts) == len(found.vertical_of)
        try:
            rows = list(csv.reader(io.StringIO(content.decode("utf-8-sig"))))
        except (UnicodeError, csv.Error):
            return
        rows = [[cell.strip() for cell in row] for row in rows]
        rows = [row for row in rows if any(row)]
        if rows[0] == VOCABULARY.split("\n")[0].split(",") and '"' not in str(rows):
            rows = {int(row[0]): (*row, "", "", "")[1:4] for row in rows[1:]}
            rows = [rows[index] for index in range(len(rows))]
            assert list(found.names) == [name for _, name, _ in rows]
            assert found.train_counts.tolist() == [int(n or 0) for n, *_ in rows]
            of_classes = [
                found.verticals[v] if v >= 0 else "" for v in found.vertical_of
            ]
            assert of_classes == [vertical for *_, vertical in rows]


CACHE = "youtube8m ratings: 3 of shards -\n1,1,a:5\n1,0,a:10\n8,1,b:5\n"


@fuzzed(200)
@given(content=texts(CACHE))
@example(CACHE.encode())
def test_rating_caches(content):
    with file_of(content) as path, an_error_of_ours():
        found = ratings.read_ratings("", "--eval_data_pattern", C, path)
        expected = {}
        lines = decode_id(content).split("\n")
        for line in [line for line in lines if line.strip()][1:]:
            label, present, segment = line.rstrip("\r").split(",", 2)
            rated = expected.setdefault(int(label), {})
            rated[segment] = rated.get(segment, False) or present == "1"
        assert found == expected


PREDICTION = '{"video_id": "a", "class_indexes": [1, 2], "predictions": [0.5, 1e-3]}'


@fuzzed(250)
@given(line=texts(PREDICTION, PREDICTION.replace('"a"', '["a"]')))
@example(b"[" * 100_000)
@example(PREDICTION.replace("0.5", "9" * 400).encode())
@example(f"{PREDICTION}\n\n{PREDICTION}".encode())
def test_json_predictions(line):
    with file_of(line) as path, an_error_of_ours():
        lines = [text for text in line.split(b"\n") if text.strip()]
        rows = list(convert._rows(path))
        for text, row in zip(lines, rows, strict=True):
            assert row.count("\n") == 1 and row.endswith("\n")
            given = json.loads(text)
            given = [given[k] for k in ("video_id", "class_indexes", "predictions")]
            name, classes, scores = (
                given if isinstance(given[0], str) else (value[0] for value in given)
            )
            pairs = zip(classes, scores, strict=True)
            pairs = " ".join(f"{label} {score:.6f}" for label, score in pairs)
            assert row == f"{name},{pairs}\n"


# Flags of runs.


def values():
    """Any JSON, numbers that are none and deep nesting included."""
    one = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)
    return st.recursive(
        one,
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(st.text(max_size=8), inner, max_size=3)
        ),
        max_leaves=6,
    )


def json_texts(text):
    """A JSON object's text, damaged, or with a value exchanged for another."""
    keys = sorted(json.loads(text))
    exchanged = st.builds(
        lambda key, value: json.dumps({**json.loads(text), key: value}).encode(),
        st.sampled_from(keys),
        values() | st.sampled_from(["1,a", ",", "a\nb", "1" * 5000, 0, -1, "²", 1e400]),
    )
    deep = st.just(b"[" * 100_000)
    return st.one_of(
        exchanged, texts(text), deep, values().map(json.dumps).map(str.encode)
    )


RUN = RunConfig(FRAMES, ModelConfig("DbofModel", hyperparameters={"iterations": 3}))


@fuzzed(400)
@given(content=json_texts(RUN.to_json()))
@example(
    RUN.to_json().replace('"verticals": ""', '"verticals": 9' + "9" * 5000).encode()
)
def test_model_flags(content):
    with file_of(content, "model_flags.json") as path, an_error_of_ours():
        run = RunDirectory(os.path.dirname(path)).read_run()
        assert run.constructor_values["num_classes"] > 0
        assert RunConfig.from_json(run.to_json()) == run


FLAGS = TrainingFlags("AdamOptimizer", 0, 8, 100, "0" * 64)


@fuzzed(200)
@given(content=json_texts(json.dumps(dataclasses.asdict(FLAGS))))
def test_training_flags(content):
    with file_of(content, "training_flags.json") as path, an_error_of_ours():
        directory = RunDirectory(os.path.dirname(path))
        for name in ("model.ckpt-1.index", "model.ckpt-1.data-00000-of-00001"):
            open(directory.file(name), "wb").close()
        with open(directory.file("checkpoint"), "w") as file:
            file.write('model_checkpoint_path: "model.ckpt-1"\n')
            file.write('all_model_checkpoint_paths: "model.ckpt-1"\n')
        found = resume_flags(directory, FLAGS)
        assert {type(v) for v in dataclasses.astuple(found)} <= {str, int, float, bool}
        assert isinstance(found.optimizer, str) and isinstance(found.files, str)
        assert 0 <= found.seed < 2**32 and found.num_readers * found.shuffle_buffer > 0


STATE = """model_checkpoint_path: "model.ckpt-2"
all_model_checkpoint_paths: "model.ckpt-2"
"""


@fuzzed(150)
@given(content=texts(STATE))
def test_checkpoint_files(content):
    """Whatever it holds, a run is taken up from one of the checkpoints there."""
    with file_of(content, "checkpoint") as path, an_error_of_ours():
        directory = RunDirectory(os.path.dirname(path))
        for step in (2, 10):
            open(directory.file(f"model.ckpt-{step}.index"), "wb").close()
        known = directory.checkpoints()
        assert {os.path.basename(prefix) for prefix in known} <= {
            "model.ckpt-2",
            "model.ckpt-10",
        }
        with open(directory.file("model_flags.json"), "w") as file:
            file.write(RUN.to_json())
        directory.prepare(RUN, start_new=False)
        assert directory.checkpoints() == known
        tf.train.get_checkpoint_state(directory.path)  # as its manager calls it


CLUSTER = {
    "cluster": {"chief": ["host1:2222"], "worker": ["host2:2222"]},
    "task": {"type": "worker", "index": 0},
}


@fuzzed(300)
@given(
    text=json_texts(json.dumps(CLUSTER))
    | values().map(lambda v: json.dumps({**CLUSTER, "cluster": v}).encode())
    | values().map(lambda v: json.dumps({**CLUSTER, "task": v}).encode())
    | values().map(lambda v: json.dumps({**CLUSTER, "cluster": {"worker": v}}).encode())
)
@example(json.dumps({**CLUSTER, "task": {"type": "worker", "index": 1e999}}).encode())
@example(json.dumps({**CLUSTER, "task": {"type": "\n", "index": 0}}).encode())
def test_clusters(text):
    with an_error_of_ours():
        found = Workers.from_environment({"TF_CONFIG": text.decode("utf-8", "replace")})
        assert 0 <= found.index < len(found)
        assert all(isinstance(address, str) for address in found.addresses)


# Files of arrays, archives, checkpoints.


@functools.cache
def saved(write):
    with file_of(b"") as path:
        write(path)
        with open(path, "rb") as file:
            return file.read()


def counts(path):
    CooccurrenceCounts(C).save(path, "--output_file")


def other_counts(path):
    with open(path, "wb") as file:
        np.save(file, np.full((C, C), "text"))


@fuzzed(200)
@given(content=mutated(saved(counts), saved(other_counts)))
@example(saved(other_counts))
def test_counts_of_labels(content):
    with file_of(content, "counts.npy") as path, an_error_of_ours():
        found = read_counts(path, C)
        assert found.shape == (C, C) and np.isfinite(found.astype(float)).all()


def part(path):
    with open(path, "wb") as file:
        state = Metrics(C, 5).state()
        np.savez(file, step=7, part=np.array([0, 1]), **state)


@fuzzed(200)
@given(content=mutated(saved(part)))
def test_parts_of_evaluations(content):
    with file_of(content) as path, an_error_of_ours():
        metrics, step = evaluator.merged_parts([path], "--metrics_files")
        assert metrics.result()["num_examples"] >= 0 and isinstance(step, int)


def model_archive(path):
    with tarfile.open(path, "w:gz") as tar:
        for name, content in (
            ("model_flags.json", RUN.to_json().encode()),
            ("model.ckpt-1.index", b"index"),
        ):
            header = tarfile.TarInfo(name)
            header.size = len(content)
            tar.addfile(header, io.BytesIO(content))


@fuzzed(250)
@given(
    content=mutated(saved(model_archive))
    | mutated(gzip.decompress(saved(model_archive))).map(gzip.compress)
)
def test_archives(content):
    with file_of(content, "model.tgz") as path:
        target = os.path.join(os.path.dirname(path), "model")
        with an_error_of_ours():
            archive.unpack(path, target)
            assert os.path.isfile(os.path.join(target, "model_flags.json"))
        assert {"model.tgz", "model"} >= {*os.listdir(os.path.dirname(path))}


@functools.cache
def starters_files():
    with tempfile.TemporaryDirectory() as folder:
        save(os.path.join(folder, "model.ckpt-7"), random_variables(logistic()))
        names = ("index", "data-00000-of-00001")
        return {
            name: open(os.path.join(folder, f"model.ckpt-7.{name}"), "rb").read()
            for name in names
        }


@fuzzed(200)
@given(index=mutated(starters_files()["index"]))
def test_checkpoints_of_the_starter_code(index):
    with file_of(index, "model.ckpt-7.index") as path, an_error_of_ours():
        prefix = path.removesuffix(".index")
        with open(f"{prefix}.data-00000-of-00001", "wb") as file:
            file.write(starters_files()["data-00000-of-00001"])
        checkpoint = StarterCheckpoint(prefix)
        assert checkpoint.step >= 0 or checkpoint.is_starters
        assert isinstance(checkpoint.adam_updates, int)
        shapes = {"classifier/logits/kernel": [6, 5], "classifier/logits/bias": [5]}
        checkpoint.values(shapes, 5)


LOGISTIC = RunConfig(training_runs.VIDEO, ModelConfig("LogisticModel"))
PARTS = ("index", "data-00000-of-00001")
OURS = ("checkpoint", *(f"model.ckpt-1.{part}" for part in PARTS))


@pytest.fixture(scope="module")
def trained(sample, tmp_path_factory):
    """A trainer behind its first step, and the files of its checkpoint."""
    path = tmp_path_factory.mktemp("trained")
    settings = training_runs.config(sample, path, "video", max_steps=1)
    trainer = Trainer(LOGISTIC, settings)
    trainer.train()
    names = (*OURS, "model_flags.json")
    return trainer, {name: (path / name).read_bytes() for name in names}


@st.composite
def bytes_changed(draw):
    """A function that cuts bytes, or changes some of them, at places anywhere."""
    places = draw(st.lists(st.floats(0, 1, exclude_max=True), min_size=1, max_size=3))
    values, cut = draw(st.binary(min_size=3, max_size=3)), draw(st.booleans())

    def changed(data):
        data = bytearray(data)
        for place, value in zip(places, values, strict=False):
            data[int(place * len(data))] ^= value
        return bytes(data[: int(places[0] * len(data))] if cut else data)

    return changed


def restored(how, trainer, directory):
    """Whether there is a checkpoint, which is read in one of the ways there are."""
    model, prefix = trainer.state.model, directory.file("model.ckpt-1")
    if how == "restore":
        directory.prepare(LOGISTIC, start_new=False)  # as trainers do before
        return bool(saver.Saver(directory, trainer.state, 1).restore())
    if how == "load":
        weights.load_weights(model, prefix)
    else:
        warm_start.warm_start(model, prefix)
    return True


@pytest.mark.parametrize("how", ["restore", "load", "warm start"])
@fuzzed(60)
@given(change=bytes_changed(), name=st.sampled_from(OURS))
def test_our_checkpoints(trained, how, change, name):
    """Damage is told, or it was none: weights are never any other."""
    trainer, sound = trained
    kernel, *_ = trainer.state.model.trainable_variables
    before = kernel.numpy()
    with tempfile.TemporaryDirectory() as folder:
        for file, content in {**sound, name: change(sound[name])}.items():
            with open(os.path.join(folder, file), "wb") as out:
                out.write(content)
        kernel.assign(np.zeros_like(before))
        try:
            with an_error_of_ours():
                found = restored(how, trainer, RunDirectory(folder))
                assert found or name == "checkpoint"
                assert not found or np.array_equal(kernel.numpy(), before)
        finally:
            kernel.assign(before)


# Other files of a run.

METRICS = "".join(json.dumps({"step": n, "loss": 0.5}) + "\n" for n in (1, 2, 3))


@fuzzed(150)
@given(content=texts(METRICS))
@example(b'{"step": ' + b"9" * 5000 + b"}\n" + b"[" * 100_000 + b"\n")
@example(b'{"step": "1"}\n[]\n{}\n7\n{"step": NaN}\n\xff\n')
def test_metrics_of_a_run_that_goes_on(content):
    with file_of(content, "metrics.jsonl") as path:
        reports._truncate_metrics(path, 2)
        with open(path, "rb") as file:
            kept = file.read().splitlines()
    assert all(json.loads(line)["step"] <= 2 for line in kept)
    sound = METRICS.encode().splitlines()[:2]
    assert [n for n in content.splitlines() if n in sound] == [
        n for n in kept if n in sound
    ]


GAPS = json.dumps(
    {"measured_on": "a", "gaps": {"model.ckpt-1": 0.25, "model.ckpt-2": 0.5}}
)


@fuzzed(150)
@given(content=json_texts(GAPS))
@example(GAPS.replace("0.5", "9" * 400).encode())
@example(GAPS.replace("0.5", "1e999").encode())
@example(GAPS.replace("0.5", "NaN").encode())
def test_gaps_of_the_best_checkpoints(content):
    """The next is kept if it is better than any is, unless they are of other data."""
    with tempfile.TemporaryDirectory() as folder:
        directory = RunDirectory(folder)
        best = BestCheckpoints(directory, keep=1, measured_on="a")
        os.mkdir(best.directory.path)
        with open(best.directory.file("gaps.json"), "wb") as file:
            file.write(content)
        paths = [best.directory.file(f"model.ckpt-{n}") for n in (1, 2)]
        for prefix in (*paths, directory.file("model.ckpt-3")):
            for part in PARTS:
                open(f"{prefix}.{part}", "wb").close()
        best.copy(directory.file("model.ckpt-3"))
        try:
            best.rank(directory.file("model.ckpt-3"), 1.0)
        except UserError as error:
            assert "ranks checkpoints by other shards" in str(error)
            return
        best.remove_others()
        assert directory.checkpoint("best") == best.directory.file("model.ckpt-3")
        assert best.gaps() == {"model.ckpt-3": 1.0}


@fuzzed(150)
@given(content=texts("a\nb/c\n", "a\n"))
@example(b"a\nb/c\n")
def test_contents_of_directories_that_are_replaced(content):
    """Only what an earlier run left, and nothing else, is replaced."""
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "out")
        os.makedirs(os.path.join(path, "b"))
        for name in ("a", "b/c"):
            open(os.path.join(path, name), "wb").close()
        with open(os.path.join(path, ".contents"), "wb") as file:
            file.write(content)
        with an_error_of_ours(), files.replacing_directory(path, "--out") as new:
            open(os.path.join(new, "d"), "wb").close()
        is_ours = content.split() == [b"a", b"b/c"]
        replaced = sorted(os.listdir(path)) == [".contents", "d"]
        assert replaced or sorted(os.listdir(path)) == [".contents", "a", "b"]
        assert not replaced or is_ours


@pytest.mark.slow
@pytest.mark.parametrize("content", [b"", b"\x80", b"model_checkpoint_path: 7"])
def test_a_damaged_checkpoint_file_costs_no_checkpoint(sample, tmp_path, content):
    """It lists them; without it they are found by their names, and it is mended."""
    run = RunConfig(training_runs.FRAMES, training_runs.DBOF)
    values = {"max_steps": 4, "export_model_steps": 1}
    training_runs.train(run, training_runs.config(sample, tmp_path, **values))
    (tmp_path / "checkpoint").write_bytes(content)
    directory = RunDirectory(str(tmp_path))
    names = [os.path.basename(prefix) for prefix in directory.checkpoints()]
    assert names == [f"model.ckpt-{step}" for step in range(1, 5)]
    training_runs.train(
        run, training_runs.config(sample, tmp_path, **{**values, "max_steps": 6})
    )
    state = tf.train.get_checkpoint_state(directory.path)
    kept = [path[-1] for path in state.all_model_checkpoint_paths]
    assert kept == ["2", "3", "4", "5", "6"]
