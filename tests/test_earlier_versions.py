"""Files that an earlier version wrote are read, and give the figures recorded then.

tests/data/earlier_versions/README.md says what each file is and what wrote it.
"""

import csv
import json
import pathlib
import re
import shutil
import zipfile
import zlib

import h5py
import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.helpers import processes
from tests.helpers.all_models import COSTLY
from youtube8m import models
from youtube8m.config import RunConfig
from youtube8m.runs.weights import load_weights

DATA = pathlib.Path(processes.ROOT, "tests", "data", "earlier_versions")
SAMPLE = DATA / "sample"
EXPECTED = json.loads((DATA / "expected.json").read_text())
RUNS = EXPECTED["runs"]
NUM_CLASSES = 12
CASES = [json.loads(line) for line in (DATA / "models.jsonl").read_text().splitlines()]


def quick_or_slow(names, *quick):
    """Yields pytest parameters; those that are not `quick` are slow."""
    for name in names:
        marks = [] if name in quick else [pytest.mark.slow]
        yield pytest.param(name, marks=marks)


def run(*command, status=0):
    """Runs a command; returns its output, stdout before stderr."""
    done = processes.forked(*command, status=status)
    return done.stdout + done.stderr


def shards(level, split):
    return str(SAMPLE / level / f"{split}*.tfrecord")


@pytest.fixture
def copy(tmp_path):
    """Copies a run, as commands write into its directory; returns the new one."""

    def make(name):
        path = tmp_path / "runs" / name
        shutil.copytree(DATA / "runs" / name, path)
        return path

    return make


def train(train_dir, name, *more, status=0, split="train"):
    """Runs train.py with the flags of an earlier run."""
    values = RUNS[name]
    flags = [flag.format(data=DATA) for flag in values["flags"]]
    pattern = shards(values["level"], split)
    return run(
        "train.py",
        f"--train_dir={train_dir}",
        f"--train_data_pattern={pattern}",
        *flags,
        *more,
        status=status,
    )


def evaluate(train_dir, name, *more):
    values = RUNS[name]
    segments = {"--segment_labels"}.intersection(values["flags"])
    return run(
        "eval.py",
        f"--train_dir={train_dir}",
        f"--eval_data_pattern={shards(values['level'], 'validate')}",
        "--run_once",
        *segments,
        *more,
    )


def predict(output_file, name, *flags):
    return run(
        "inference.py",
        f"--input_data_pattern={shards(RUNS[name]['level'], 'validate')}",
        f"--output_file={output_file}",
        *flags,
    )


def read_predictions(path):
    """Video id -> the confidence of each class, float [C], in the order of the file."""
    with open(path, newline="") as file:
        header, *rows = csv.reader(file)
    assert header == ["VideoId", "LabelConfidencePairs"]
    found = {}
    for video, pairs in rows:
        values = pairs.split(" ")
        found[video] = np.zeros(NUM_CLASSES)
        found[video][np.array(values[::2], int)] = np.array(values[1::2], float)
    return found


def assert_same_predictions(actual, expected):
    """Compares two files, or predictions [V, C] with a file."""
    expected = read_predictions(DATA / "csv" / expected)
    if not isinstance(actual, np.ndarray):
        actual = read_predictions(actual)
        assert [*actual] == [*expected]
        actual = np.stack([*actual.values()])
    expected = np.stack([*expected.values()])
    assert len({*map(tuple, expected)}) > 1  # or any order of videos would do
    np.testing.assert_allclose(actual, expected, rtol=0, atol=1e-6)


LOSS = re.compile(r"(?<=Avg_Loss: )[\d.]+|(?<=rated classes: )[\d.]+")


def assert_same_figures(log, expected):
    """Compares the lines of the log that `expected` has; losses to five digits."""
    start = ("epoch/eval number", "loss of the rated classes")
    lines = [line for line in log.splitlines() if line.startswith(start)]
    assert [LOSS.sub("?", line) for line in lines] == [
        LOSS.sub("?", line) for line in expected
    ]
    losses = [
        [float(loss) for line in part for loss in LOSS.findall(line)]
        for part in (lines, expected)
    ]
    np.testing.assert_allclose(*losses, rtol=1e-5)


@pytest.mark.parametrize("name", RUNS)
def test_a_run_predicts_the_recorded_values(name, tmp_path):
    out = tmp_path / "out.csv"
    predict(out, name, f"--train_dir={DATA / 'runs' / name}")
    assert_same_predictions(out, f"{name}.csv")


@pytest.mark.parametrize(
    "name", quick_or_slow(RUNS, "moe_average", "hierarchy_segments")
)
def test_evaluation_prints_the_recorded_figures(name, copy):
    log = evaluate(copy(name), name)
    assert_same_figures(log, RUNS[name]["evaluation"])


@pytest.mark.parametrize("name", quick_or_slow(RUNS, "correlation"))
def test_a_resumed_run_has_the_recorded_losses(name, copy):
    """The same flags are accepted, and all of the state is restored."""
    train_dir, last = copy(name), RUNS[name]["resumed_to"]
    before = (train_dir / "metrics.jsonl").read_text()
    log = train(train_dir, name, f"--max_steps={last}")
    assert f"from {train_dir}/model.ckpt-{RUNS[name]['steps']}: about" in log
    text = (train_dir / "metrics.jsonl").read_text()
    assert text.startswith(before)
    rows = [json.loads(line) for line in text.removeprefix(before).splitlines()]
    expected = RUNS[name]["resumed"]
    for key in ("step", "epoch", "record", "examples"):
        assert [row[key] for row in rows] == [row[key] for row in expected]
    for key in ("loss", "auxiliary_loss", "regularization_loss", "learning_rate"):
        np.testing.assert_allclose(
            [row[key] for row in rows], [row[key] for row in expected], rtol=1e-5
        )
    config = json.loads((train_dir / "training_config.json").read_text())
    earlier = DATA / "runs" / name / "training_config.json"
    assert config["preset"] == json.loads(earlier.read_text())["preset"]
    assert (train_dir / f"model.ckpt-{last}.index").exists()


MISTAKES = {
    "model": ("moe_average", ["--moe_num_mixtures=3"], "train"),
    "released_code": ("attention_crop", ["--noreleased_code"], "train"),
    "optimizer": ("moe_average", ["--optimizer=GradientDescentOptimizer"], "train"),
    "ema_decay": ("moe_average", ["--ema_decay=0"], "train"),
    "shards": ("correlation", [], ""),
    "segment_labels": ("hierarchy_segments", ["--nosegment_labels"], "train"),
}


@pytest.mark.parametrize(
    "mistake", quick_or_slow(MISTAKES, "model", "optimizer", "shards")
)
def test_other_flags_give_the_recorded_error(mistake, copy):
    name, flags, split = MISTAKES[mistake]
    train_dir = copy(name)
    log = train(train_dir, name, *flags, status=1, split=split)
    expected = EXPECTED["errors"][mistake].format(train_dir=train_dir)
    assert log.splitlines()[-1] == expected


def test_the_best_checkpoint_is_found(tmp_path, copy):
    out, train_dir = tmp_path / "out.csv", copy("moe_average")
    log = predict(out, "moe_average", f"--train_dir={train_dir}", "--checkpoint=best")
    assert f"predicting with {train_dir}/best/model.ckpt-4\n" in log
    assert_same_predictions(out, "moe_average_best.csv")


def test_a_later_checkpoint_is_ranked_among_the_best(copy):
    """Its GAP is compared with the recorded one."""
    train_dir = copy("moe_average")
    evaluate(train_dir, "moe_average", "--keep_best=2")
    found = json.loads((train_dir / "best" / "gaps.json").read_text())
    earlier = json.loads((DATA / "runs/moe_average/best/gaps.json").read_text())
    assert found["measured_on"] == earlier["measured_on"]
    assert found["gaps"].keys() == {"model.ckpt-4", "model.ckpt-8"}
    assert found["gaps"]["model.ckpt-4"] == earlier["gaps"]["model.ckpt-4"]


def test_an_archive_predicts_the_recorded_values(tmp_path):
    out = tmp_path / "out.csv"
    predict(
        out,
        "moe_average",
        f"--input_model_tgz={DATA / 'exports' / 'moe_average.tgz'}",
        f"--untar_model_dir={tmp_path / 'model'}",
    )
    assert_same_predictions(out, "moe_average.csv")


def test_a_new_run_starts_from_earlier_counts(tmp_path):
    train(tmp_path, "correlation", "--max_steps=1")
    name = "model/label_processing.Sfixed/.ATTRIBUTES/VARIABLE_VALUE"
    new, old = (
        tf.train.load_variable(str(path), name)
        for path in (tmp_path, DATA / "runs" / "correlation")
    )
    assert np.any(old)
    np.testing.assert_array_equal(new, old)


@pytest.mark.slow
def test_a_new_run_starts_from_earlier_weights(tmp_path):
    log = train(
        tmp_path,
        "attention_crop",
        f"--warm_start_from={DATA / 'runs' / 'attention_crop'}",
        "--max_steps=1",
    )
    assert re.search(r"warm start from \S+/model.ckpt-7: (\d+) of \1 weights\n", log)


def test_counts_of_labels_equal_the_recorded_ones(tmp_path):
    out = tmp_path / "counts.npy"
    run(
        "-m",
        "youtube8m.tools.label_correlation",
        f"--train_data_pattern={shards('video', 'train')}",
        f"--num_classes={NUM_CLASSES}",
        f"--output_file={out}",
    )
    assert out.read_bytes() == (DATA / "label_counts.npy").read_bytes()


# Exports ------------------------------------------------------------------------


def read_records(level):
    """The serialised records of the validation videos."""
    paths = sorted(map(str, (SAMPLE / level).glob("validate*")))
    return [record.numpy() for record in tf.data.TFRecordDataset(paths)]


def frames_of(record):
    """The frames of a record, uint8 [T, D]."""
    lists = tf.train.SequenceExample.FromString(record).feature_lists.feature_list
    features = [
        [
            np.frombuffer(row.bytes_list.value[0], np.uint8)
            for row in lists[name].feature
        ]
        for name in ("rgb", "audio")
    ]
    return np.concatenate(features, axis=1)


def test_a_keras_export_predicts_the_recorded_values():
    """Given the frames that the run reads, its crops from the first frame on."""
    crops = [frames[::3][:6] for frames in map(frames_of, read_records("segment"))]
    lengths = np.array([len(crop) for crop in crops], np.int32)
    frames = np.zeros((len(crops), 6, 32), np.uint8)
    for row, crop in zip(frames, crops, strict=True):
        row[: len(crop)] = crop
    model = keras.saving.load_model(DATA / "exports" / "keras" / "model.keras")
    outputs = model({"frames": frames, "num_frames": lengths})
    assert_same_predictions(outputs["predictions"].numpy(), "preset.csv")


def test_a_saved_model_predicts_the_recorded_values():
    """It holds all that it needs: operations, no classes."""
    loaded = tf.saved_model.load(str(DATA / "exports" / "savedmodel"))
    serve = loaded.signatures["serving_default"]
    outputs = serve(example_bytes=tf.constant(read_records("video")))
    predictions = np.zeros((20, NUM_CLASSES))
    np.put_along_axis(
        predictions, outputs["class_indexes"].numpy(), outputs["predictions"], axis=1
    )
    assert_same_predictions(predictions, "moe_average.csv")


# Files of predictions and metrics -------------------------------------------------


def files(*names):
    return ",".join(str(DATA / name) for name in names)


@pytest.mark.parametrize("name", ["segments", "preset"])
def test_parts_of_predictions_merge_into_the_recorded_file(name, tmp_path):
    out = tmp_path / "merged.csv"
    run(
        "-m",
        "youtube8m.tools.merge_shards",
        f"--input_files={files(f'csv/{name}_part0.csv', f'csv/{name}_part1.csv')}",
        f"--output_file={out}",
        "--segment_max_pred=40",
    )
    assert out.read_bytes() == (DATA / "csv" / f"{name}.csv").read_bytes()


def test_parts_of_metrics_merge_into_the_recorded_figures():
    log = run(
        "-m",
        "youtube8m.tools.merge_shards",
        f"--input_files={files('metrics_part0.npz', 'metrics_part1.npz')}",
    )
    assert_same_figures(log, RUNS["preset"]["evaluation"])


ENSEMBLES = {
    "ensemble.csv": ("attention_crop.csv", "preset.csv", "--weights=2,1"),
    "ensemble_segments.csv": ("segments.csv", "segments_of_preset.csv"),
}


@pytest.mark.parametrize("merged", ENSEMBLES)
def test_an_ensemble_of_files_equals_the_recorded_one(merged, tmp_path):
    first, second, *flags = ENSEMBLES[merged]
    out = tmp_path / "merged.csv"
    run(
        "-m",
        "youtube8m.tools.ensemble",
        "merge",
        f"--input_files={files(f'csv/{first}', f'csv/{second}')}",
        f"--output_file={out}",
        *flags,
    )
    assert out.read_bytes() == (DATA / "csv" / merged).read_bytes()


def test_scores_of_files_equal_the_recorded_ones():
    log = run(
        "-m",
        "youtube8m.tools.ensemble",
        "score",
        f"--input_files={files('csv/attention_crop.csv', 'csv/preset.csv')}",
        f"--eval_data_pattern={shards('segment', 'validate')}",
        f"--num_classes={NUM_CLASSES}",
    )
    lines = [line.replace(f"{DATA}/", "") for line in log.splitlines()]
    assert lines == EXPECTED["scores"]


def test_segments_have_the_recorded_scores(tmp_path):
    """Compared in a part of the data, as the CSV of the whole holds ranks alone."""
    out = tmp_path / "part.csv"
    predict(
        out,
        "hierarchy_segments",
        f"--train_dir={DATA / 'runs' / 'hierarchy_segments'}",
        "--segment_labels",
        "--segment_max_pred=40",
        "--num_shards=2",
        "--shard_index=0",
    )
    actual, expected = map(read_scores, (out, DATA / "csv" / "segments_part0.csv"))
    assert actual.keys() == expected.keys()
    np.testing.assert_allclose(
        [actual[key] for key in expected], [*expected.values()], rtol=0, atol=1e-6
    )


def read_scores(path):
    """(class, segment) -> score."""
    with open(path, newline="") as file:
        header, *rows = csv.reader(file)
    assert header == ["Class", "ScoredSegments"]
    return {
        (class_id, segment): float(score)
        for class_id, row in rows
        for segment, _, score in (item.rpartition(":") for item in row.split(" "))
    }


@pytest.mark.parametrize("pattern", ["", shards("segment", "validate")])
def test_the_cache_of_ratings_is_read(pattern, tmp_path):
    cache = tmp_path / "ratings.txt"
    shutil.copy(DATA / "ratings.txt", cache)
    log = run(
        "-m",
        "youtube8m.tools.segment_eval_inference",
        f"--submission_file={DATA / 'csv' / 'segments.csv'}",
        f"--eval_data_pattern={pattern}",
        f"--label_cache={cache}",
        f"--num_classes={NUM_CLASSES}",
        "--top_n=30",
    )
    assert log.splitlines() == EXPECTED["segment_evaluation"]
    assert cache.read_bytes() == (DATA / "ratings.txt").read_bytes()


# Every model ----------------------------------------------------------------------


def label(case):
    flags = case["model_flags"]
    parts = (flags["model"], flags["video_level_classifier_model"])
    return "-".join(filter(None, (*parts, flags["label_processing"])))


def cases(quick=True):
    """Yields a parameter for each case; costly models and variants are slow.

    All are if not `quick`.
    """
    seen = {*COSTLY}
    for case in CASES:
        name = case["model_flags"]["model"]
        marks = [] if quick and name not in seen else [pytest.mark.slow]
        seen.add(name)
        yield pytest.param(case, id=label(case), marks=marks)


def filled(name, shape, centre=0.0, spread=0.4):
    """The values that a weight had when the outputs were computed."""
    if "seed_generator" in name:
        return np.zeros(shape, np.int64)
    if "variance" in name:
        centre = 1.2
    waves = np.sin(np.arange(np.prod(shape)) + zlib.crc32(name.encode()) % 1000)
    return (centre + spread * waves).reshape(shape).astype(np.float32)


def batch_of(data):
    """The batch that they were computed of."""
    if not data.frame_features:
        return {"features": np.sin(np.arange(48.0)).reshape(3, 16).astype(np.float32)}
    lengths = np.array([9, 4, 1], np.int32)
    frames = (np.arange(3 * 9 * 16) * 7919 % 256).astype(np.uint8).reshape(3, 9, 16)
    frames[np.arange(9) >= lengths[:, None]] = 0
    return {"frames": frames, "num_frames": lengths}


def assert_same_output(case, model, name):
    batch = batch_of(run_of(case).data)
    outputs = model(batch, training=False)
    output = "predictions" if "predictions" in outputs else "descriptor"
    np.testing.assert_allclose(outputs[output], case[name], rtol=1e-5, atol=1e-6)


def run_of(case):
    return RunConfig.from_json(json.dumps(case["model_flags"]))


@pytest.mark.parametrize("case", cases())
def test_every_model_reads_its_checkpoint(case, tmp_path):
    weights = {
        name: tf.Variable(filled(name, shape))
        for name, shape in case["weights"].items()
    }
    prefix = tf.train.Checkpoint(model=weights).save(str(tmp_path / "model.ckpt"))
    model = models.create(run_of(case))
    load_weights(model, prefix)
    assert_same_output(case, model, "output")


@pytest.mark.parametrize("case", cases(quick=False))
def test_every_model_reads_its_keras_export(case, tmp_path):
    weights, path = tmp_path / "model.weights.h5", tmp_path / "model.keras"
    with h5py.File(weights, "w") as file:
        for name, shape in case["keras_weights"].items():
            file[name] = filled(name, shape, centre=0.2, spread=0.15)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("metadata.json", json.dumps({"keras_version": "3.15.1"}))
        archive.writestr("config.json", json.dumps(case["keras_config"]))
        archive.write(weights, weights.name)
    assert_same_output(case, keras.saving.load_model(path), "keras_output")
