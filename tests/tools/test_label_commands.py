"""Commands that need facts of the labels, and those that prepare for them."""

import glob
import os
import shutil

import numpy as np
import pytest

from tests.helpers import processes
from tests.helpers.sample import SAMPLE
from tests.helpers.scripts import assert_one_line, read_csv, run, train
from youtube8m.config import DataConfig
from youtube8m.data.reading.pipeline import Shards
from youtube8m.prediction.predictor import TrainedRun


def tool(name, *arguments, status=0):
    """Runs one of the tools; returns what it wrote to stderr."""
    module = f"youtube8m.tools.{name}"
    return processes.forked("-m", module, *arguments, status=status).stderr


@pytest.fixture(scope="module")
def files(sample, tmp_path_factory):
    """Files that are right, and that are wrong, by name."""
    path = tmp_path_factory.mktemp("files")
    lines = open(sample["vocabulary"]).read().splitlines()
    (path / "short.csv").write_text("\n".join(lines[:-1]))
    rows = [f"{number},vertical {number % 3}" for number in range(SAMPLE.num_classes)]
    (path / "verticals.csv").write_text("\n".join(rows))
    rows[4] = "4,"
    (path / "gap.csv").write_text("\n".join(rows))
    np.save(path / "small.npy", np.ones((3, 3), np.int32))
    return {"dir": path, "vocabulary": sample["vocabulary"]}


# Dozens of processes that each start TensorFlow.
pytestmark = pytest.mark.slow

MISTAKES = {
    "no verticals": (
        ["--model=HierarchicalMoeModel"],
        "HierarchicalMoeModel needs the vertical .*: give --vocabulary_file",
    ),
    "no counts": (
        ["--label_loss=WeightedCrossEntropyLoss"],
        "WeightedCrossEntropyLoss needs how many .*: give --vocabulary_file",
    ),
    "missing vocabulary": (
        ["--model=HierarchicalMoeModel", "--vocabulary_file={dir}/none.csv"],
        r"none\.csv: cannot be read \(No such file",
    ),
    "a class too few": (
        ["--model=HierarchicalMoeModel", "--vocabulary_file={dir}/short.csv"],
        r"short\.csv: has 11 classes; expected --num_classes=12",
    ),
    "a class without a vertical": (
        ["--model=HierarchicalMoeModel", "--vocabulary_file={dir}/gap.csv"],
        r"gap\.csv: class 4 has no vertical",
    ),
    "verticals where counts belong": (
        ["--model=ClassifierChainModel", "--vocabulary_file={dir}/verticals.csv"],
        r"verticals\.csv: class 0 has no training videos",
    ),
    "no counts of pairs": (
        ["--label_processing=LabelCorrelation"],
        "LabelCorrelation starts from counts of labels: give --label_correlation_file",
    ),
    "counts of pairs of other classes": (
        [
            "--label_processing=LabelCorrelation",
            "--label_correlation_file={dir}/small.npy",
        ],
        r"--label_correlation_file=.*: has the shape \(3, 3\); .*--num_classes=12",
    ),
    "no such processing": (
        ["--label_processing=LabelCorelation"],
        "--label_processing: .*did you mean LabelCorrelation",
    ),
    "share that nothing passes": (
        ["--dropout_keep_prob=0"],
        "--dropout_keep_prob=0.0: must be from 0 to 1, but not 0",
    ),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_mistakes_in_training_are_one_line(sample, files, tmp_path, name):
    arguments, message = MISTAKES[name]
    arguments = [argument.format(**files) for argument in arguments]
    log = train(sample, tmp_path / "run", *arguments, status=1)
    assert_one_line(log, message)


@pytest.mark.parametrize(
    "arguments",
    [
        ["--model=HierarchicalMoeModel", "--vocabulary_file={dir}/verticals.csv"],
        [
            "--model=ClassifierChainModel",
            "--feature_bottleneck=0",
            "--distribution_bottleneck=0",
            "--label_loss=WeightedCrossEntropyLoss",
            "--vocabulary_file={vocabulary}",
        ],
    ],
    ids=["verticals", "counts"],
)
def test_facts_of_the_labels_stay_with_the_run(sample, files, tmp_path, arguments):
    """eval.py needs no --vocabulary_file."""
    arguments = [argument.format(**files) for argument in arguments]
    train(sample, tmp_path, *arguments, "--max_steps=2")
    log = evaluate(sample, tmp_path)
    assert "epoch/eval number 2 |" in log


def evaluate(sample, train_dir):
    return run(
        "eval.py",
        f"--train_dir={train_dir}",
        f"--eval_data_pattern={sample['video/validate']}",
        "--run_once",
    )


def test_label_correlation_from_counts_to_predictions(sample, tmp_path):
    counts = tmp_path / "counts.npy"
    log = tool(
        "label_correlation",
        f"--train_data_pattern={sample['video/train']}",
        f"--num_classes={SAMPLE.num_classes}",
        f"--output_file={counts}",
    )
    assert f"counted the labels of {SAMPLE.num_train} videos: {counts}" in log
    matrix = np.load(counts)
    expected = np.zeros_like(matrix)
    for labels in read_labels(sample["video/train"], VIDEO).values():
        expected[np.ix_(labels, labels)] += 1
    np.testing.assert_array_equal(matrix, expected)

    train_dir = tmp_path / "run"
    train(
        sample,
        train_dir,
        "--label_processing=LabelCorrelation",
        f"--label_correlation_file={counts}",
        "--correlation_beta=0.1",
        "--max_steps=3",
    )
    counts.unlink()  # the run holds what was made of it
    assert "epoch/eval number 3 |" in evaluate(sample, train_dir)
    train(  # goes on without it
        sample, train_dir, "--label_processing=LabelCorrelation",
        "--correlation_beta=0.1", "--max_steps=4", "--label_correlation_file=gone.npy",
    )  # fmt: skip
    out = tmp_path / "out.csv"
    run(
        "inference.py",
        f"--train_dir={train_dir}",
        f"--input_data_pattern={sample['video/test']}",
        f"--output_file={out}",
    )
    assert len(read_csv(out)) == 1 + SAMPLE.num_test


VIDEO = DataConfig(("mean_rgb", "mean_audio"), (24, 8), num_classes=12)


def read(pattern, data):
    shards = Shards.open(pattern, "--pattern", data)
    return list(shards.iterate(shards.ordered_batches(1000)))


def read_labels(pattern, data):
    """Sorted labels by id."""
    return {
        name: sorted(row[row >= 0].tolist())
        for batch in read(pattern, data)
        for name, row in zip(batch["id"].numpy(), batch["labels"].numpy(), strict=True)
    }


@pytest.fixture(scope="module")
def lstm(sample, tmp_path_factory):
    path = tmp_path_factory.mktemp("lstm")
    train(
        sample,
        path,
        "--model=LstmModel",
        "--lstm_cells=8",
        "--video_level_classifier_model=LogisticModel",
        "--dropout_keep_prob=0.5",
        "--max_steps=3",
        level="frame",
    )
    return path


def extract(lstm, pattern, directory, *arguments, status=0):
    return tool(
        "extract_descriptors",
        f"--train_dir={lstm}",
        f"--input_data_pattern={pattern}",
        f"--output_dir={directory}",
        *arguments,
        status=status,
    )


def test_descriptors_are_those_that_the_classifier_is_given(sample, lstm, tmp_path):
    log = extract(
        lstm, sample["frame/train"], tmp_path / "d", "--shard_size=70", "--batch_size=9"
    )
    assert "--feature_sizes=8" in log
    assert f"wrote the descriptors of {SAMPLE.num_train} videos to {tmp_path}/d" in log
    names = sorted(path.name for path in (tmp_path / "d").iterdir())
    assert names == [f"descriptors0000{number}.tfrecord" for number in range(3)]

    pattern, data = f"{tmp_path}/d/*", DataConfig(("descriptor",), (8,), num_classes=12)
    trained = TrainedRun(str(lstm))
    trained.load(trained.directory.checkpoint())
    expected = {}
    for batch in read(sample["frame/train"], trained.run.data):
        rows = trained.predict(batch)["descriptor"].numpy()
        expected |= dict(zip(batch["id"].numpy(), rows, strict=True))
    found = {}
    for batch in read(pattern, data):
        rows = batch["features"].numpy()
        found |= dict(zip(batch["id"].numpy(), rows, strict=True))
    assert found.keys() == expected.keys() and len(found) == SAMPLE.num_train
    for name, values in expected.items():
        np.testing.assert_allclose(found[name], values, rtol=1e-5, atol=1e-6)
    frames = read_labels(sample["frame/train"], trained.run.data)
    assert read_labels(pattern, data) == frames

    log = run(
        "train.py",
        f"--train_dir={tmp_path}/second",
        f"--train_data_pattern={pattern}",
        "--feature_names=descriptor",
        "--feature_sizes=8",
        "--num_classes=12",
        "--batch_size=32",
        "--num_epochs=1",
    )
    assert "saved step 5" in log


def test_descriptors_of_test_records_have_no_labels(sample, lstm, tmp_path):
    log = extract(lstm, sample["frame/test"], tmp_path, "--nolabels")
    assert f"wrote the descriptors of {SAMPLE.num_test} videos" in log
    (path,) = tmp_path.iterdir()
    assert b"labels" not in path.read_bytes()
    again = extract(lstm, sample["frame/test"], tmp_path, "--nolabels", status=1)
    assert_one_line(again, "--output_dir=.*: holds descriptors already")


def test_descriptors_of_a_model_without_labels(sample, tmp_path):
    cells = ("--lstm_cells=5", "--top_lstm_cells=4", "--decoder_lstm_cells=3")
    model = ("--model=CrossModalAutoencoder", *cells, "--max_steps=2")
    train(sample, tmp_path / "run", *model, level="frame")
    extract(tmp_path / "run", sample["frame/train"], tmp_path / "d")
    trained = TrainedRun(str(tmp_path / "run"), predicts=False)
    trained.load_checkpoint()
    expected = {}
    for batch in read(sample["frame/train"], trained.run.data):
        rows = trained.predict(batch)["descriptor"].numpy()
        expected |= dict(zip(batch["id"].numpy(), rows, strict=True))
    data = DataConfig(("descriptor",), (8,), num_classes=12)
    (batch,) = read(f"{tmp_path}/d/*", data)
    assert expected.keys() == {*batch["id"].numpy()}
    for name, found in zip(batch["id"].numpy(), batch["features"].numpy(), strict=True):
        np.testing.assert_allclose(found, expected[name], rtol=1e-5, atol=1e-6)
    labels = read_labels(sample["frame/train"], trained.run.data)
    assert read_labels(f"{tmp_path}/d/*", data) == labels


def test_descriptors_outlive_damage(sample, lstm, tmp_path):
    """Of the newest checkpoint, and of a record, whose loss is told."""
    shutil.copytree(lstm, tmp_path / "run")
    for path in lstm.glob("model.ckpt-3.*"):
        shutil.copy(path, tmp_path / "run" / path.name.replace("ckpt-3.", "ckpt-9."))
    os.truncate(tmp_path / "run" / "model.ckpt-9.data-00000-of-00001", 9)
    os.truncate(tmp_path / "run" / "checkpoint", 0)
    (shard, *_) = sorted(glob.glob(sample["frame/test"]))
    shutil.copy(shard, tmp_path / "x.tfrecord")
    os.truncate(tmp_path / "x.tfrecord", os.path.getsize(shard) - 9)
    log = extract(
        tmp_path / "run", tmp_path / "x.tfrecord", tmp_path / "d", "--nolabels"
    )
    assert "model.ckpt-3 is used instead" in log
    assert "1 records could not be read and have no descriptors" in log


EXTRACTION_MISTAKES = {
    "no input": (["--input_data_pattern="], "--input_data_pattern is empty"),
    "no run": (["--train_dir=/nowhere"], "--train_dir=/nowhere: no model_flags.json"),
    "no file": (["--input_data_pattern=/nowhere/*"], "no file matches"),
    "not a directory": (["--output_dir={vocabulary}"], "--output_dir=.*cannot be made"),
    "shards of nothing": (["--shard_size=0"], "--shard_size=0: must be greater than 0"),
    "checkpoint": (["--checkpoint=model.ckpt-77"], "there are: model.ckpt-3"),
    "no labels": (["--input_data_pattern={test}"], "labels"),
}


@pytest.mark.parametrize("name", EXTRACTION_MISTAKES)
def test_mistakes_in_extraction_are_one_line(sample, lstm, tmp_path, name):
    arguments, message = EXTRACTION_MISTAKES[name]
    values = {"vocabulary": sample["vocabulary"], "test": sample["frame/test"]}
    arguments = [argument.format(**values) for argument in arguments]
    pattern = sample["frame/train"]
    log = extract(lstm, pattern, tmp_path / "d", *arguments, status=1)
    assert_one_line(log, message)
    assert not list(tmp_path.glob("d/*"))


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["--output_file=/nowhere/x.npy"], "--output_file=/nowhere/x.npy: cannot be"),
        (["--output_file="], "--output_file is empty"),
        (["--num_classes=3"], "--num_classes=3 allows 0 to 2"),
    ],
)
def test_mistakes_in_counting_are_one_line(sample, tmp_path, arguments, message):
    log = tool(
        "label_correlation",
        f"--train_data_pattern={sample['video/train']}",
        f"--num_classes={SAMPLE.num_classes}",
        f"--output_file={tmp_path}/x.npy",
        *arguments,
        status=1,
    )
    assert_one_line(log, message)
    assert not list(tmp_path.iterdir())
