"""Odd paths, records and environments, through the commands, as people meet them."""

import csv
import gzip
import json
import os
import pathlib
import subprocess
import sys
import threading
import zlib

import keras
import numpy as np
import pytest

from tests.helpers import processes
from tests.helpers.scripts import run
from youtube8m.config import DataConfig, ModelConfig, RunConfig
from youtube8m.data.reading.damage import Damage
from youtube8m.data.reading.messages import byte_strings, split_sequence_example
from youtube8m.data.reading.tfrecord import read_records
from youtube8m.data.writing.records import (
    frame_example,
    quantize,
    video_example,
    write_records,
)
from youtube8m.errors import UserError
from youtube8m.prediction.predictor import TrainedRun
from youtube8m.training.config import TrainingConfig
from youtube8m.training.trainer import Trainer
from youtube8m.util.files import escape_commas

CLASSES, SIZE = 10, 16
RNG = np.random.default_rng(0)
VIDEO = (
    "--feature_names=mean_rgb",
    f"--feature_sizes={SIZE}",
    f"--num_classes={CLASSES}",
    "--batch_size=32",
)
FRAMES = (
    "--frame_features",
    "--feature_names=rgb",
    f"--feature_sizes={SIZE}",
    f"--num_classes={CLASSES}",
    "--batch_size=32",
    "--model=FrameLevelLogisticModel",
)


# Runs a command that may open few files.
LIMITED = """
import resource, runpy, sys
hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
resource.setrlimit(resource.RLIMIT_NOFILE, (256, hard))
del sys.argv[0]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


def quick_or_slow(values, *quick):
    """Yields pytest parameters; those that are not `quick` are slow."""
    for value in values:
        marks = [] if value in quick else [pytest.mark.slow]
        yield pytest.param(value, marks=marks)


def video(number, labels=True, name=None):
    values = RNG.normal(size=SIZE).astype(np.float32)
    values[number % CLASSES] += 3
    known = [number % CLASSES] if labels else None
    return video_example(name or f"v{number:04d}", known, {"mean_rgb": values})


def frames(number, name=None, count=8, **also):
    values = RNG.normal(size=(count, SIZE))
    values[:, number % CLASSES] += 2
    features = {"rgb": quantize(values)}
    return frame_example(name or f"v{number:04d}", [number % CLASSES], features, **also)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("odd")
    write_records(folder / "video.tfrecord", map(video, range(60)))
    write_records(folder / "frames.tfrecord", map(frames, range(60)))
    return folder


def train(path, train_dir, *flags, level=VIDEO, **values):
    given = [f"--train_data_pattern={path}", f"--train_dir={train_dir}", *flags]
    return run("train.py", *level, "--max_steps=4", *given, **values)


def evaluate(path, train_dir, *flags, **values):
    given = [f"--eval_data_pattern={path}", f"--train_dir={train_dir}", *flags]
    return run("eval.py", "--run_once", *given, **values)


def predict(path, train_dir, output, *flags, **values):
    given = [f"--input_data_pattern={path}", f"--train_dir={train_dir}", *flags]
    return run("inference.py", *given, f"--output_file={output}", **values)


def rows(path):
    with open(path, newline="", errors="surrogateescape") as file:
        return list(csv.reader(file))[1:]


@pytest.fixture(scope="module")
def trained(data, tmp_path_factory):
    """Train directories of a video-level and a frame-level run."""
    folder = tmp_path_factory.mktemp("runs")
    train(data / "video.tfrecord", folder / "video")
    train(data / "frames.tfrecord", folder / "frames", level=FRAMES)
    return folder


# Paths.

NAMES = [
    "run[lr=0.01]",
    "back\\slash",
    "star*",
    "what?",
    "a b",
    "one,two",
    "{x}",
    "\udce9t\udce9",
]


@pytest.mark.parametrize("name", quick_or_slow(NAMES, "run[lr=0.01]"))
def test_a_train_dir_of_any_name_works(data, tmp_path, name):
    path, train_dir = data / "video.tfrecord", tmp_path / name
    flags = ("--export_model_steps=1", "--keep_checkpoints=2")
    train(path, train_dir, *flags)
    kept = sorted(file.stem for file in train_dir.glob("*.index"))
    assert kept == ["model.ckpt-3", "model.ckpt-4"]
    log = evaluate(path, train_dir)
    assert "epoch/eval number 4" in log and "no summaries" not in log
    assert any((train_dir / "eval").iterdir())
    assert "saved step 6" in train(path, train_dir, *flags, "--max_steps=6")
    predict(path, escape_commas(str(train_dir)), tmp_path / "out.csv")
    assert len(rows(tmp_path / "out.csv")) == 60


@pytest.mark.parametrize("name", quick_or_slow(NAMES, "one,two"))
def test_shards_in_a_directory_of_any_name_are_found(data, trained, tmp_path, name):
    folder = tmp_path / name
    folder.mkdir()
    (folder / "a[1].tfrecord").symlink_to(data / "video.tfrecord")
    for pattern in ("a[1].tfrecord", "*.tfrecord", "a*"):
        path = escape_commas(str(folder / pattern))
        predict(path, trained / "video", tmp_path / "out.csv")
        assert len(rows(tmp_path / "out.csv")) == 60


@pytest.mark.parametrize(
    "name", quick_or_slow(["\udce9t\udce9", "run[1]", "back\\slash"], "run[1]")
)
def test_other_commands_write_into_a_directory_of_any_name(trained, tmp_path, name):
    records, path = [frames(number) for number in range(3)], tmp_path / "ids.tfrecord"
    ids = [b"caf\xe9", b"caf\xe8", b"v0002"]
    for record, own in zip(records, ids, strict=True):
        record.context.feature["id"].bytes_list.value[0] = own
    folder = tmp_path / name
    folder.mkdir()
    write_records(folder / path.name, records)
    run_dir = f"--train_dir={trained}/frames"
    export = ("-m", "youtube8m.tools.export", run_dir)
    for kind, file in (("savedmodel", "saved_model.pb"), ("keras", "model.keras")):
        run(*export, f"--output_dir={folder / kind}", f"--format={kind}")
        assert (folder / kind / file).stat().st_size
    given = (f"--input_data_pattern={folder}/ids.tfrecord", f"--output_dir={folder}/d")
    run("-m", "youtube8m.tools.extract_descriptors", run_dir, *given)
    found = read_records(str(folder / "d" / "descriptors00000.tfrecord"), Damage())
    for (_, record), own in zip(found, ids, strict=True):
        context, _ = split_sequence_example(record)
        assert byte_strings(record, context["id"]) == [own]
    flags = ("--input_pipeline=tfrecord", "--top_k=1")
    predict(folder / path.name, trained / "frames", folder / "out.csv", *flags)
    assert len(rows(folder / "out.csv")) == 3


def test_a_list_of_shards_is_no_shard(data, trained, tmp_path):
    path = tmp_path / "list.txt"
    for text in (f"\ufeff{data}/video.tfrecord\r\n", "a,b\n", "{}"):
        path.write_text(text, newline="")
        log = predict(path, trained / "video", tmp_path / "out.csv", status=1)
        assert "it is text and begins with" in log and log.count("\n") == 1
        assert "\ufeff" not in log


def test_what_names_one_file_twice_is_one_file(data, trained, tmp_path):
    (tmp_path / "link.tfrecord").symlink_to(data / "video.tfrecord")
    pattern = f"{data}/video.tfrecord,{data}/./video*,{tmp_path}/link.tfrecord"
    log = predict(pattern, trained / "video", tmp_path / "out.csv")
    assert len(rows(tmp_path / "out.csv")) == 60
    assert "another video has the id" not in log
    assert "60 records in 1 files" in train(pattern, tmp_path / "run")


def test_a_long_name_is_written(data, trained, tmp_path):
    output = tmp_path / ("x" * 251 + ".csv")
    predict(data / "video.tfrecord", trained / "video", output)
    assert len(rows(output)) == 60
    too_long = tmp_path / ("x" * 256)
    log = predict(data / "video.tfrecord", trained / "video", too_long, status=1)
    assert "--output_file=" in log.splitlines()[-1] and "processed" not in log


def test_what_is_read_is_not_overwritten(data, trained, tmp_path):
    shard, csv_file = tmp_path / "a.tfrecord", tmp_path / "a.csv"
    shard.write_bytes((data / "video.tfrecord").read_bytes())
    (tmp_path / "link").symlink_to(shard)
    csv_file.write_text("VideoId,LabelConfidencePairs\nv,1 0.5\n")
    before = shard.read_bytes(), csv_file.read_bytes()
    log = predict(shard, trained / "video", tmp_path / "link", status=1)
    count = ("-m", "youtube8m.tools.label_correlation", f"--output_file={shard}")
    log += run(*count, f"--train_data_pattern={tmp_path}/*.tfrecord", status=1)
    merge = ("-m", "youtube8m.tools.merge_shards", f"--output_file={csv_file}")
    log += run(*merge, f"--input_files={csv_file}", status=1)
    assert log.count("is read, too; name another file") == log.count("\n") == 3
    assert (shard.read_bytes(), csv_file.read_bytes()) == before


@pytest.mark.parametrize("scheme", ["s3", "https", "hdfs", "nowhere"])
def test_a_store_that_cannot_be_read_is_one_line(trained, tmp_path, scheme):
    pattern = f"{scheme}://bucket/train*.tfrecord"
    log = predict(pattern, trained / "video", tmp_path / "out.csv", status=1)
    assert log.startswith(f"error: --input_data_pattern={pattern}: ")
    assert log.count("\n") == 1


# Records.


def test_a_full_disk_is_no_trace():
    records = [frames(number, count=300) for number in range(20)]
    with pytest.raises(OSError, match="cannot be written .*No space left") as error:
        write_records("/dev/full", records)
    assert error.value.filename == "/dev/full"


def test_many_small_files_under_a_limit_of_open_files(tmp_path):
    folder = tmp_path / "many"
    folder.mkdir()
    for number in range(400):
        write_records(folder / f"v{number:04d}.tfrecord", [video(number)])

    pattern = f"{folder}/*.tfrecord"
    given = (f"--train_data_pattern={pattern}", f"--train_dir={tmp_path}/run")
    log = run(
        "-c", LIMITED, "train.py", *VIDEO, "--batch_size=400", "--num_epochs=1", *given
    )
    assert "could not be read" not in log
    output = tmp_path / "out.csv"
    given = (f"--input_data_pattern={pattern}", f"--train_dir={tmp_path}/run")
    given += (f"--output_file={output}", "--batch_size=400")
    run("-c", LIMITED, "inference.py", *given)
    assert len(rows(output)) == 400


@pytest.mark.parametrize("value", quick_or_slow([np.nan, np.inf, -np.inf], np.nan))
def test_values_that_are_not_finite_cost_their_record(data, trained, tmp_path, value):
    records = [video(number) for number in range(40)]
    records[7].features.feature["mean_rgb"].float_list.value[0] = value
    path = tmp_path / "bad.tfrecord"
    write_records(path, records)
    log = predict(path, trained / "video", tmp_path / "out.csv")
    assert (
        f"{path}: record 7 feature 'mean_rgb' holds values that are not finite" in log
    )
    assert [row[0] for row in rows(tmp_path / "out.csv")] == [
        f"v{number:04d}" for number in range(40) if number != 7
    ]
    assert "nan" not in evaluate(path, trained / "video")
    log = evaluate(path, trained / "video", "--strict_data", status=1)
    assert "record 7 feature 'mean_rgb'" in log.splitlines()[-1]
    for pipeline in ("reader", "tfrecord"):
        flags = (f"--input_pipeline={pipeline}", "--strict_data")
        log = train(path, tmp_path / pipeline, *flags, status=1)
        assert "not finite" in log.splitlines()[-1]


def test_labels_that_are_empty_are_told(data, trained, tmp_path):
    records = [video(number) for number in range(50)]
    for record in records:
        del record.features.feature["labels"].int64_list.value[:]
    path = tmp_path / "empty.tfrecord"
    write_records(path, records)
    log = evaluate(path, trained / "video")
    assert "none of the first 8 records has a label" in log
    assert "50 records have no label" in log
    both = f"{data}/video.tfrecord,{path}"
    log = train(both, tmp_path / "run", "--num_epochs=2", "--max_steps=8")
    assert "50 records have no label" in log


@pytest.mark.parametrize("kind", ["float_list", "float32_bytes"])
def test_frames_stored_as_floats_are_told(tmp_path, kind):
    records = [frames(number) for number in range(20)]
    for record in records:
        for feature in record.feature_lists.feature_list["rgb"].feature:
            values = RNG.normal(size=SIZE).astype(np.float32)
            feature.Clear()
            if kind == "float_list":
                feature.float_list.value.extend(values)
            else:
                feature.bytes_list.value.append(values.tobytes())
    path = tmp_path / "floats.tfrecord"
    write_records(path, records)
    as_bytes = "--feature_dtypes=uint8"
    log = train(path, tmp_path / "run", as_bytes, level=FRAMES, status=1)
    assert "quantize them" in log and "check --feature_sizes" not in log
    stored = f"--feature_dtypes={kind.removesuffix('_bytes')}"
    assert f"or give {stored}" in log
    if kind == "float32_bytes":
        flags = (f"--feature_sizes={4 * SIZE}",)
        log = train(path, tmp_path / "run", *flags, level=FRAMES)
        assert "feature 'rgb' looks like float32 values" in log
    log = train(path, tmp_path / "read", level=FRAMES)
    assert stored in log and "error" not in log and "looks like" not in log


@pytest.mark.parametrize(
    "compress", quick_or_slow([gzip.compress, zlib.compress], gzip.compress)
)
def test_compressed_shards_are_read_or_told(data, trained, tmp_path, compress):
    path = tmp_path / "packed.tfrecord"
    path.write_bytes(compress((data / "video.tfrecord").read_bytes()))
    for pattern in (path, f"{data}/video.tfrecord,{path}"):
        log = predict(pattern, trained / "video", tmp_path / "out.csv", status=1)
        assert "packed.tfrecord: is compressed" in log.splitlines()[-1]
    flag = "--input_pipeline=tfrecord"
    predict(path, trained / "video", tmp_path / "out.csv", flag)
    assert len(rows(tmp_path / "out.csv")) == 60


# Ids: what is written is read again.

IDS = {
    "C:\\clips\\a.mp4": True,
    "12:30:05": True,
    "https://host/a?b=c#d": True,
    "\u00e9\u4e2d\U0001f600": True,
    "-x": True,
    "my video": "videos alone",
    "talk, part 1": False,
    "a\nb": False,
    'say "a"': False,
    "": False,
    "\t": False,
}


@pytest.mark.parametrize("name", quick_or_slow(IDS, "my video", "a\nb"))
def test_ids_are_written_as_they_are_or_told(trained, tmp_path, name):
    path, output = tmp_path / "ids.tfrecord", tmp_path / "out.csv"
    write_records(path, [frames(0, "good"), frames(1), frames(2)])
    records = [frames(0, "good"), frames(1, "other"), frames(2)]
    records[1].context.feature["id"].bytes_list.value[0] = name.encode()
    write_records(path, records)
    log = predict(path, trained / "frames", output, "--top_k=2")
    found = [row[0] for row in rows(output)]
    assert found == (["good", name, "v0002"] if IDS[name] else ["good", "v0002"])
    assert ("record 1 has" in log) != bool(IDS[name])

    if IDS[name]:
        files = f"--input_files={output}"
        tool = ("-m", "youtube8m.tools.ensemble", "score", files)
        run(*tool, f"--eval_data_pattern={path}", f"--num_classes={CLASSES}")
    log = predict(path, trained / "frames", output, "--segment_labels", "--top_k=1")
    assert ("record 1 has" in log) != (IDS[name] is True)
    tool = ("-m", "youtube8m.tools.ensemble", "merge")
    run(*tool, f"--input_files={output},{output}", f"--output_file={tmp_path}/m.csv")


def test_ids_keep_their_bytes(trained, tmp_path):
    path, output = tmp_path / "ids.tfrecord", tmp_path / "out.csv"
    names = [b"caf\xe9", b"caf\xe8", b"caf\xe0"]
    records = [frames(number) for number in range(3)]
    for record, name in zip(records, names, strict=True):
        record.context.feature["id"].bytes_list.value[0] = name
    write_records(path, records)
    for flags in ((), ("--segment_labels", "--top_k=1")):
        predict(path, trained / "frames", output, *flags)
        assert all(name in output.read_bytes() for name in names)
        merged = tmp_path / "merged.csv"
        files = f"--input_files={output},{output}"
        tool = ("-m", "youtube8m.tools.ensemble", "merge", files)
        run(*tool, f"--output_file={merged}")
        assert all(name in merged.read_bytes() for name in names)


def test_files_list_ids_of_any_bytes_in_any_order(tmp_path):
    lines = [b"caf\xe9,1 0.5\n", b"caf\xe8,2 0.5\n", "\u4e2d,3 0.5\n".encode()]
    for name, own in (("a.csv", lines), ("b.csv", lines[::-1])):
        header = b"VideoId,LabelConfidencePairs\n"
        (tmp_path / name).write_bytes(header + b"".join(own))
    tool = ("-m", "youtube8m.tools.ensemble", "merge")
    files = f"--input_files={tmp_path}/a.csv,{tmp_path}/b.csv"
    run(*tool, files, f"--output_file={tmp_path}/merged.csv")
    assert (tmp_path / "merged.csv").read_bytes() == (tmp_path / "a.csv").read_bytes()


def test_an_id_that_comes_again_is_told(trained, tmp_path):
    path, output = tmp_path / "ids.tfrecord", tmp_path / "out.csv"
    write_records(path, [frames(0, "same"), frames(1), frames(2, "same")])
    for flags in ((), ("--segment_labels", "--top_k=1")):
        log = predict(path, trained / "frames", output, *flags)
        assert "another video has the id 'same'" in log
        tool = ("-m", "youtube8m.tools.ensemble", "merge")
        files = f"--input_files={output},{output}"
        run(*tool, files, f"--output_file={tmp_path}/merged.csv")


# Text that users bring.


@pytest.mark.parametrize("kind", ["bom", "blank", "blanks", "crlf", "quoted"])
def test_a_submission_that_other_programs_wrote_is_read(data, tmp_path, kind):
    header = "VideoId,LabelConfidencePairs\n"
    lines = [
        f"v{n:04d},{n % CLASSES} 0.9 {(n + 1) % CLASSES} 1E-5\n" for n in range(60)
    ]
    text = header + "".join(lines)
    text = {
        "bom": "\ufeff" + text,
        "blank": text + "\n",
        "blanks": text.replace("v0007", "\n  \nv0007"),
        "crlf": text.replace("\n", "\r\n"),
        "quoted": "".join(
            '"{}","{}"\n'.format(*line.split(",")) for line in text.splitlines()
        ),
    }[kind]
    path = tmp_path / "sub.csv"
    path.write_bytes(text.encode())
    tool = ("-m", "youtube8m.tools.ensemble", "score", f"--input_files={path}")
    pattern = f"--eval_data_pattern={data}/video.tfrecord"
    log = run(*tool, pattern, f"--num_classes={CLASSES}")
    assert "error" not in log


# Runs and environments.


def test_without_the_file_checkpoint_checkpoints_are_found(data, tmp_path):
    path = data / "video.tfrecord"
    train(path, tmp_path)
    (tmp_path / "checkpoint").unlink()
    predict(path, tmp_path, tmp_path / "out.csv")
    log = train(path, tmp_path, "--max_steps=6")
    assert "checkpoint: missing; replaced by a list" in log
    assert "model.ckpt-4" in log and "from scratch" not in log


@pytest.mark.slow
@pytest.mark.parametrize("floatx", ["float16", "float64"])
def test_the_users_keras_json_has_no_influence(data, tmp_path, floatx):
    (tmp_path / "keras.json").write_text(
        json.dumps({"floatx": floatx, "backend": "jax"})
    )
    environment = {**os.environ, "KERAS_HOME": str(tmp_path), "KERAS_BACKEND": "jax"}
    given = (
        f"--train_dir={tmp_path}/run",
        f"--train_data_pattern={data}/video.tfrecord",
    )
    processes.run("train.py", *VIDEO, *given, "--max_steps=2", env=environment)
    given = (
        f"--train_dir={tmp_path}/run",
        f"--eval_data_pattern={data}/video.tfrecord",
    )
    processes.run("eval.py", *given, "--run_once", env=environment)


@pytest.mark.slow
def test_closed_streams_and_optimised_python_have_no_influence(data, tmp_path):
    flags = " ".join([*VIDEO, f"--train_dir={tmp_path}", "--max_steps=2"])
    flags += f" --train_data_pattern={data}/video.tfrecord"
    for redirect in (">&- 2>&-", "<&- >&-", "2>&-"):
        command = f"{sys.executable} -OO train.py {flags} {redirect}"
        done = subprocess.run(["bash", "-c", command], cwd=processes.ROOT)
        assert done.returncode == 0
    assert (tmp_path / "model.ckpt-2.index").exists()


@pytest.mark.parametrize("name, value", [("backend", "jax"), ("floatx", "float16")])
def test_the_library_refuses_another_keras_in_one_line(
    data, trained, tmp_path, monkeypatch, name, value
):
    monkeypatch.setattr(keras.config, name, lambda: value)
    features = DataConfig(("mean_rgb",), (SIZE,), num_classes=CLASSES)
    paths = {"train_dir": str(tmp_path), "train_data_pattern": str(data)}
    with pytest.raises(UserError, match=f"Keras' {name} is {value}.*set"):
        Trainer(
            RunConfig(features, ModelConfig("LogisticModel")), TrainingConfig(**paths)
        )
    with pytest.raises(UserError, match=f"Keras' {name} is {value}.*set"):
        TrainedRun(str(trained / "video"), {})


def test_a_trainer_runs_in_a_thread(data, tmp_path):
    features = DataConfig(("mean_rgb",), (SIZE,), num_classes=CLASSES)
    pattern = str(data / "video.tfrecord")
    paths = {"train_dir": str(tmp_path), "train_data_pattern": pattern}
    config = TrainingConfig(**paths, batch_size=32, max_steps=2)
    found = []

    def work():
        run = RunConfig(features, ModelConfig("LogisticModel"))
        found.append(Trainer(run, config).train())

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert found[0]["step"] == 2


def test_segments_beyond_300_seconds(tmp_path):
    def long(number):
        ratings = [(10, number % CLASSES, 1.0), (400, number % CLASSES, 1.0)]
        return frames(number, count=420, segments=ratings)

    path, run_dir = tmp_path / "long.tfrecord", tmp_path / "run"
    write_records(path, map(long, range(20)))
    flags = ("--max_frames=420", "--segment_labels")
    train(path, run_dir, *flags, level=FRAMES)
    output = tmp_path / "segments.csv"
    predict(path, run_dir, output, "--segment_labels", f"--top_k={CLASSES}")
    starts = {
        int(name.rsplit(":", 1)[1])
        for _, names in rows(output)
        for name in names.split()
    }
    assert max(starts) == 415


@pytest.mark.parametrize(
    "model",
    quick_or_slow(
        ["LogisticModel", "MoeModel", "ClassifierChainModel", "MlpModel"], "MoeModel"
    ),
)
def test_one_class(tmp_path, model):
    path = tmp_path / "one.tfrecord"
    write_records(path, [video(number * CLASSES) for number in range(20)])
    assert pathlib.Path(path).exists()
    train(path, tmp_path / model, "--num_classes=1", f"--model={model}")
    evaluate(path, tmp_path / model)
