"""Train directories that the starter code wrote, with the figures it got from them.

YT8M_STARTER_RUNS names the folder (default ../shared/golden/starter_runs beside the
repository); every run in its runs/ is tested, on whichever of its data sets has the
videos that the run's predictions.csv lists. The classes of segments are those of
labels/segment_label_ids.csv in YT8M_DATA.
"""

import functools
import json
import os
import pathlib
import shutil

import numpy as np
import pytest
import tensorflow as tf

from tests import golden
from tests.test_cli import run as run_script
from tests.test_real_data import DATA
from youtube8m import submission
from youtube8m.config import EvaluationConfig, InferenceConfig, TrainingConfig
from youtube8m.evaluation import Evaluator
from youtube8m.inference import Inference
from youtube8m.losses import label_arrays
from youtube8m.metrics import Metrics, top_predictions
from youtube8m.runs import RunDirectory
from youtube8m.tools.convert_checkpoint import ConvertConfig, convert
from youtube8m.training.trainer import Trainer

FOLDER = pathlib.Path(
    os.environ.get("YT8M_STARTER_RUNS")
    or golden.ROOT.parent / "shared" / "golden" / "starter_runs"
)
SEGMENT_CLASSES = pathlib.Path(DATA) / "labels" / "segment_label_ids.csv"
FIGURES = ("hit_at_one", "perr", "map", "gap")
BATCH = 100


class Run:
    """One run of the starter code, its train directory copied."""

    def __init__(self, path, copy):
        self.path, self.train_dir = path, str(copy)
        shutil.copytree(path / "train_dir", copy, copy_function=shutil.copyfile)
        for folder, *_ in os.walk(copy):
            os.chmod(folder, 0o755)
        self.expected = json.loads((path / "expected.json").read_text())
        self.flags = self.expected.get("flags", {})
        self.model = json.loads((copy / "model_flags.json").read_text())

    def rows(self, name):
        """{what stands before the comma: the words behind it} of a CSV."""
        lines = (self.path / name).read_text().splitlines()[1:]
        return {key: row.split() for key, row in (line.split(",") for line in lines)}

    def pattern(self, segments=False):
        """The glob of the data that the run was evaluated on."""
        if segments:
            rows = self.rows("segment_predictions.csv").values()
            ids = {name.split(":")[0] for row in rows for name in row}
            glob = "segment_validate*.tfrecord"
        else:
            ids = set(self.rows("predictions.csv"))
            level = "" if self.model["frame_features"] else "video_"
            glob = f"{level}validate*.tfrecord"
        found = [f for f in FOLDER.iterdir() if ids <= video_ids(f, glob)]
        assert len(found) == 1, f"{glob}: data sets with these videos: {found}"
        return str(found[0] / glob)

    def evaluator(self, segments=False):
        return Evaluator(
            EvaluationConfig(
                train_dir=self.train_dir,
                eval_data_pattern=self.pattern(segments),
                segment_labels=segments,
                batch_size=BATCH,
                run_once=True,
                hyperparameters=self.flags,
            )
        )

    def predict(self, **flags):
        output = os.path.join(self.train_dir, "out.csv")
        Inference(
            InferenceConfig(
                train_dir=self.train_dir,
                input_data_pattern=self.pattern(flags.get("segment_labels", False)),
                output_file=output,
                hyperparameters=self.flags,
                **flags,
            )
        ).run()
        return output


@functools.cache
def video_ids(folder, glob):
    """Of all records; the id is a context feature, or one of the only features."""
    paths = sorted(map(str, folder.glob(glob)))
    kind = tf.train.Example if glob.startswith("video") else tf.train.SequenceExample
    found = set()
    for record in tf.data.TFRecordDataset(paths).as_numpy_iterator() if paths else ():
        example = kind.FromString(record)
        features = example.features if kind is tf.train.Example else example.context
        found.add(features.feature["id"].bytes_list.value[0].decode())
    return found


def runs(*files):
    """pytest parameters: every run with these files, or one that is skipped."""
    found = sorted(FOLDER.glob("runs/*/expected.json"))
    found = [path.parent for path in found]
    found = [path for path in found if all((path / name).exists() for name in files)]
    if not found:
        reason = f"no runs in YT8M_STARTER_RUNS={FOLDER}"
        return [pytest.param(None, marks=pytest.mark.skip(reason=reason))]
    return [pytest.param(path, id=path.name) for path in found]


@pytest.fixture
def starter(request, tmp_path):
    return Run(request.param, tmp_path / "train_dir")


on_runs = functools.partial(pytest.mark.parametrize, "starter", indirect=True)


# Evaluation ---------------------------------------------------------------------------


@on_runs(argvalues=runs())
def test_evaluation(starter):
    check_evaluation(starter.evaluator(), starter.expected["eval"])


@on_runs(argvalues=runs("segment_predictions.csv"))
def test_evaluation_of_segments(starter):
    check_evaluation(starter.evaluator(segments=True), starter.expected["segment_eval"])


def check_evaluation(evaluator, expected):
    prefix = evaluator.directory.checkpoint()
    result = evaluator.evaluate(prefix)
    spread = figures_under_noise(evaluator)
    for name in FIGURES:
        values = [result[name], *spread[name]]
        low, high = min(values) - 5.1e-4, max(values) + 5.1e-4
        assert low <= expected[name] <= high, (name, values, expected[name])
    assert result["loss"] == pytest.approx(expected["loss"], rel=1e-4)
    assert result["num_classes"] == expected["num_classes_with_positives"]
    assert step_in_summaries(evaluator) == expected["step"]


def figures_under_noise(evaluator, noise=3e-7, draws=3):
    """Figures for predictions that differ as those of two float32 programs do.

    Where many videos have nearly the same scores, their order, and the third decimal
    of GAP and mAP, hangs on it; elsewhere nothing does.
    """
    rng = np.random.default_rng(0)
    classes = evaluator.num_classes
    noisy = [Metrics(classes, evaluator.config.top_k) for _ in range(draws)]
    for batch in evaluator.shards.iterate(evaluator.shards.ordered_batches(BATCH)):
        predictions = evaluator.trained.predict(batch)["predictions"].numpy()
        _, rated = label_arrays(batch, classes)
        if rated is not None:
            predictions = predictions * np.asarray(rated)
        for one in noisy:
            other = predictions * (1 + noise * rng.standard_normal(predictions.shape))
            top = top_predictions(other, batch["labels"], one.top_k)
            one.update(top, batch["labels"])
    results = [one.result() for one in noisy]
    return {name: [result[name] for result in results] for name in FIGURES}


def step_in_summaries(evaluator):
    (path,) = pathlib.Path(evaluator.directory.file("eval")).iterdir()
    events = list(tf.compat.v1.train.summary_iterator(str(path)))
    return events[-1].step


@on_runs(argvalues=runs()[:1])
def test_the_scripts_print_these_figures(starter, tmp_path):
    """The first run, through eval.py and its flags."""
    flags = [f"--{name}={value}" for name, value in starter.flags.items()]
    printed = run_script(
        "eval.py",
        f"--train_dir={starter.train_dir}",
        f"--eval_data_pattern={starter.pattern()}",
        "--run_once",
        *flags,
    )
    line = (
        "epoch/eval number {step} | Avg_Hit@1: {hit_at_one:.3f} | Avg_PERR: {perr:.3f} "
        "| MAP: {map:.3f} | GAP: {gap:.3f} |"
    ).format(**starter.expected["eval"])
    assert line in printed
    assert "ignored" not in printed


# Predictions --------------------------------------------------------------------------

NEAR = 1e-5  # scores that differ by less are tied


@on_runs(argvalues=runs())
def test_predictions(starter):
    expected = starter.rows("predictions.csv")
    with open(starter.predict(top_k=10**6)) as file:  # all, for labels tied at the end
        assert file.readline() == submission.VIDEO_HEADER
        ours = dict(line.strip().split(",") for line in file)
    assert ours.keys() == expected.keys()
    for video, words in expected.items():
        pairs = ours[video].split()
        scores = dict(zip(pairs[::2], map(float, pairs[1::2]), strict=True))
        check_order(list(scores.values())[: len(words) // 2], scores, words[::2])
        confidences = [scores[label] for label in words[::2]]
        theirs = list(map(float, words[1::2]))
        np.testing.assert_allclose(confidences, theirs, rtol=0, atol=1e-4)


def check_order(best, scores, names):
    """The names are the best by our scores, and in their order, but for ties."""
    theirs = np.array([scores[name] for name in names])
    np.testing.assert_allclose(theirs, best, rtol=0, atol=NEAR)


@on_runs(argvalues=runs("segment_predictions.csv"))
@pytest.mark.skipif(not SEGMENT_CLASSES.exists(), reason=f"no {SEGMENT_CLASSES}")
def test_segment_predictions(starter, monkeypatch):
    expected = starter.rows("segment_predictions.csv")
    ours = scores_of_segments(starter, monkeypatch)
    assert ours.keys() == expected.keys()
    for label, names in expected.items():
        assert ours[label].keys() == set(names), label
        check_order(sorted(ours[label].values())[::-1], ours[label], names)


def scores_of_segments(starter, monkeypatch):
    """{class: {id:start: score}} of all lines that inference writes."""
    scores = {}
    add = submission.SegmentRanking.add

    def recording(self, video_ids, videos, starts, classes, values):
        for video, start, *row in zip(videos, starts, classes, values, strict=True):
            for label, score in zip(*row, strict=True):
                scores[str(label), f"{video_ids[video]}:{start}"] = score
        add(self, video_ids, videos, starts, classes, values)

    monkeypatch.setattr(submission.SegmentRanking, "add", recording)
    output = starter.predict(
        segment_labels=True, segment_label_ids_file=str(SEGMENT_CLASSES)
    )
    lines = pathlib.Path(output).read_text().splitlines()
    assert lines[0] == submission.SEGMENT_HEADER.strip()
    rows = (line.split(",") for line in lines[1:])
    return {label: {n: scores[label, n] for n in row.split()} for label, row in rows}


# Training on --------------------------------------------------------------------------


@on_runs(argvalues=runs())
def test_a_converted_run_trains_on(starter, tmp_path):
    if starter.model["model"] == "DbofModel":
        pytest.skip("samples and normalises otherwise in training")
    output = str(tmp_path / "converted")
    run = convert(
        ConvertConfig(train_dir=starter.train_dir, output_dir=output, batch_size=BATCH),
        starter.flags,
    )
    first = starter.expected["eval"]["step"]
    records = len(starter.rows("predictions.csv"))
    trainer = Trainer(
        run,
        TrainingConfig(
            train_dir=output,
            train_data_pattern=starter.pattern(),
            batch_size=records,  # all at once: the loss is that of the evaluation
            num_epochs=8,
            base_learning_rate=0.001,
        ),
    )
    assert trainer.train()["step"] == first + 8
    path = RunDirectory(output).file("metrics.jsonl")
    lines = [json.loads(line) for line in pathlib.Path(path).read_text().splitlines()]
    losses = [line["loss"] for line in lines if "loss" in line]
    assert len(losses) == 8
    assert losses[0] == pytest.approx(starter.expected["eval"]["loss"], rel=1e-4)
    assert losses[-1] < losses[0]
    examples = trainer.state.examples.numpy()
    assert examples == first * BATCH + 8 * records
