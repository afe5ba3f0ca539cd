"""Train directories that the starter code wrote, with the figures it got from them.

YT8M_STARTER_RUNS names the folder (default: starter_runs in the folder of golden
figures, YT8M_GOLDEN); every run in its runs/ is tested, on whichever of its data sets
has the videos that the run's predictions.csv lists. The classes of segments are those
of labels/segment_label_ids.csv in YT8M_DATA, or without it those that are listed.
"""

import functools
import json
import os
import pathlib
import re
import shutil

import numpy as np
import pytest
import tensorflow as tf

from tests.helpers import golden, processes
from tests.helpers.exports import assert_same, serve
from tests.helpers.real_data import DATA
from youtube8m import optimizers
from youtube8m.evaluation.config import EvaluationConfig
from youtube8m.evaluation.evaluator import Evaluator
from youtube8m.layers.inputs import dequantize
from youtube8m.losses import label_arrays
from youtube8m.metrics import Metrics, top_predictions
from youtube8m.prediction import submission
from youtube8m.prediction.config import InferenceConfig
from youtube8m.prediction.inference import Inference
from youtube8m.prediction.predictor import TrainedRun
from youtube8m.prediction.segment_ranking import SegmentRanking
from youtube8m.runs.directory import RunDirectory
from youtube8m.tools.convert_checkpoint import ConvertConfig, convert
from youtube8m.training.config import TrainingConfig
from youtube8m.training.steps import TrainingState, TrainStep
from youtube8m.training.trainer import Trainer
from youtube8m.training.workers import split_batch

VARIABLE = "YT8M_STARTER_RUNS"
FOLDER = pathlib.Path(os.environ.get(VARIABLE) or golden.FOLDER / "starter_runs")
SEGMENT_CLASSES = pathlib.Path(DATA) / "labels" / "segment_label_ids.csv"
FIGURES = ("hit_at_one", "perr", "map", "gap")
BATCH = 100


def model_flags(path):
    return json.loads((path / "train_dir" / "model_flags.json").read_text())


class Run:
    """One run of the starter code, its train directory copied."""

    def __init__(self, path, copy):
        self.path, self.train_dir = path, str(copy)
        shutil.copytree(path / "train_dir", copy, copy_function=shutil.copyfile)
        for folder, *_ in os.walk(copy):
            os.chmod(folder, 0o755)
        self.expected = json.loads((path / "expected.json").read_text())
        self.flags = self.expected.get("flags", {})
        self.model = model_flags(path)

    def run(self, command, *arguments, **flags):
        """What a script or tool, given the train directory and its flags, says."""
        flags = flags or {"train_dir": self.train_dir}
        flags = [f"--{name}={value}" for name, value in {**flags, **self.flags}.items()]
        command = [command] if command.endswith(".py") else ["-m", command]
        log = processes.forked(*command, *arguments, *flags).stderr
        assert "ignored" not in log
        return log

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

    def evaluator(self, segments=False, train_dir=None):
        return Evaluator(
            EvaluationConfig(
                train_dir=train_dir or self.train_dir,
                eval_data_pattern=self.pattern(segments),
                segment_labels=segments,
                batch_size=BATCH,
                run_once=True,
                hyperparameters=self.flags,
            )
        )


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


def runs(*files, model=""):
    """pytest parameters: every run with these files, or `golden.nothing`.

    Args:
      model: only runs of it.
    """
    found = sorted(FOLDER.glob("runs/*/expected.json"))
    found = [path.parent for path in found]
    found = [path for path in found if all((path / name).exists() for name in files)]
    found = [path for path in found if model in ("", model_flags(path)["model"])]
    if not found:
        reason = f"no such runs in {FOLDER}: see {VARIABLE}"
        return [golden.nothing(reason, VARIABLE, golden.VARIABLE)]
    return [pytest.param(path, id=path.name) for path in found]


@pytest.fixture
def starter(request, tmp_path):
    return Run(request.param, tmp_path / "train_dir")


on_runs = functools.partial(pytest.mark.parametrize, "starter", indirect=True)


# Evaluation ---------------------------------------------------------------------------

LINE = re.compile(
    r"epoch/eval number (?P<step>\d+) \| Avg_Hit@1: (?P<hit_at_one>[\d.]+) "
    r"\| Avg_PERR: (?P<perr>[\d.]+) \| MAP: (?P<map>[\d.]+) \| GAP: (?P<gap>[\d.]+) "
    r"\| Avg_Loss: (?P<loss>[\d.]+) \| num_classes: (?P<num_classes>\d+)"
)


@on_runs(argvalues=runs())
def test_evaluation(starter):
    check_evaluation(starter, starter.expected["eval"])


@on_runs(argvalues=runs("segment_predictions.csv"))
def test_evaluation_of_segments(starter):
    check_evaluation(starter, starter.expected["segment_eval"], segments=True)


@on_runs(argvalues=runs("segment_predictions.csv", model="FrameLevelLogisticModel"))
def test_the_loss_of_segments_counts_unrated_classes_on_request(starter):
    """That of training, which is the starter code's of evaluation."""
    evaluator = starter.evaluator(segments=True)
    evaluator.trained.load_checkpoint()
    config = TrainingConfig(
        train_dir="unused",
        train_data_pattern="unused",
        segment_labels=True,
        unrated_as_negative=True,
    )
    optimizer = optimizers.create("GradientDescentOptimizer", 0.0)
    state = TrainingState(evaluator.trained.model, optimizer, evaluator.loss)
    strategy = tf.distribute.OneDeviceStrategy("/cpu:0")
    step = TrainStep(strategy, state, config, evaluator.num_classes)
    dataset = evaluator.shards.ordered_batches(10_000)  # all in one batch
    (batch,) = evaluator.shards.iterate(dataset)
    batch = {name: batch[name] for name in batch if name not in ("id", "segment_start")}
    loss = step(split_batch(strategy, batch))["loss"]
    expected = starter.expected["segment_eval"]["loss"]
    assert float(loss) == pytest.approx(expected, rel=1e-4)


def check_evaluation(starter, expected, segments=False):
    """What eval.py prints: the very digits, where float32 can tell them."""
    log = starter.run(
        "eval.py",
        f"--eval_data_pattern={starter.pattern(segments)}",
        f"--segment_labels={segments}",
        "--run_once",
    )
    (printed,) = (match.groupdict() for match in LINE.finditer(log))
    for name, digits in digits_under_noise(starter.evaluator(segments)).items():
        low, high = min(digits), max(digits)  # the same, but for near ties
        assert low <= printed[name] <= high, (name, printed, digits)
        assert low <= f"{expected[name]:.3f}" <= high, (name, expected, digits)
    assert float(printed["loss"]) == pytest.approx(expected["loss"], rel=1e-4)
    assert int(printed["num_classes"]) == expected["num_classes_with_positives"]
    assert int(printed["step"]) == expected["step"] == step_in_summaries(starter)


def digits_under_noise(evaluator, noise=3e-7, draws=5):
    """The printed figures of predictions that differ as two float32 programs' do.

    Where most videos have nearly the same scores, their order, and the third decimal
    of GAP and mAP, hangs on it; elsewhere all draws print the same.
    """
    rng = np.random.default_rng(0)
    classes = evaluator.num_classes
    evaluator.trained.load_checkpoint()
    noisy = [Metrics(classes, evaluator.config.top_k) for _ in range(draws)]
    for batch in evaluator.shards.iterate(evaluator.shards.ordered_batches(BATCH)):
        predictions = evaluator.trained.predict(batch)["predictions"].numpy()
        _, rated = label_arrays(batch, classes)
        if rated is not None:
            predictions = predictions * np.asarray(rated)
        for number, one in enumerate(noisy):  # the first without
            drift = bool(number) * rng.standard_normal(predictions.shape, np.float32)
            other = predictions * (1 + np.float32(noise) * drift)
            top = top_predictions(other, batch["labels"], one.top_k)
            one.update(top, batch["labels"])
    results = [one.result() for one in noisy]
    return {name: {f"{result[name]:.3f}" for result in results} for name in FIGURES}


def step_in_summaries(starter):
    (path,) = pathlib.Path(starter.train_dir, "eval").iterdir()
    events = list(tf.compat.v1.train.summary_iterator(str(path)))
    return events[-1].step


# Predictions --------------------------------------------------------------------------

NEAR = 1e-5  # scores that differ by less are tied


@on_runs(argvalues=runs())
def test_predictions(starter, tmp_path):
    """What inference.py writes by default: 20 labels a video."""
    expected = starter.rows("predictions.csv")
    path = tmp_path / "out.csv"
    starter.run(
        "inference.py",
        f"--input_data_pattern={starter.pattern()}",
        f"--output_file={path}",
    )
    header, *lines = path.read_text().splitlines(keepends=True)
    assert header == submission.VIDEO_HEADER
    ours = dict(line.split(",") for line in lines)
    assert ours.keys() == expected.keys()
    for video, words in expected.items():
        pairs = ours[video].split()
        scores = dict(zip(pairs[::2], map(float, pairs[1::2]), strict=True))
        best = list(scores.values())
        # A label that ours end before must be tied with our last.
        scores = {name: scores.get(name, best[-1]) for name in words[::2]}
        check_order(best, scores, words[::2])
        theirs = list(map(float, words[1::2]))
        np.testing.assert_allclose([*scores.values()], theirs, rtol=0, atol=1e-4)


def check_order(best, scores, names):
    """The names are the best by our scores, and in their order, but for ties."""
    theirs = np.array([scores[name] for name in names])
    np.testing.assert_allclose(theirs, best, rtol=0, atol=NEAR)


@on_runs(argvalues=runs("segment_predictions.csv"))
def test_segment_predictions(starter, tmp_path, monkeypatch):
    """The CSV that inference writes, and its mAP beside that of the original's CSV."""
    expected = starter.rows("segment_predictions.csv")
    path = tmp_path / "out.csv"
    ours = scores_of_segments(starter, path, monkeypatch)
    assert expected and ours.keys() == expected.keys()
    for label, names in expected.items():
        assert ours[label].keys() == set(names), label
        check_order(sorted(ours[label].values())[::-1], ours[label], names)
    count = starter.expected["segment_num_classes"]
    figure = starter.expected["segment_map_at_100000"]
    theirs = segment_evaluation(starter, starter.path / "segment_predictions.csv")
    assert theirs == (str(count), f"{figure:.6f}")
    found, value = segment_evaluation(starter, path)
    assert found == str(count)
    assert float(value) == pytest.approx(figure, abs=2e-5)  # ties change places


def scores_of_segments(starter, path, monkeypatch):
    """{class: {id:start: score}} of all lines that inference writes."""
    scores = {}
    add = SegmentRanking.add

    def recording(self, video_ids, videos, starts, classes, values):
        for video, start, *row in zip(videos, starts, classes, values, strict=True):
            for label, score in zip(*row, strict=True):
                scores[str(label), f"{video_ids[video]}:{start}"] = score
        add(self, video_ids, videos, starts, classes, values)

    monkeypatch.setattr(SegmentRanking, "add", recording)
    Inference(
        InferenceConfig(
            train_dir=starter.train_dir,
            input_data_pattern=starter.pattern(segments=True),
            output_file=str(path),
            segment_labels=True,
            segment_label_ids_file=segment_classes(starter, path.with_suffix(".ids")),
            hyperparameters=starter.flags,
        )
    ).run()
    lines = path.read_text().splitlines()
    assert lines[0] == submission.SEGMENT_HEADER.strip()
    rows = (line.split(",") for line in lines[1:])
    return {label: {n: scores[label, n] for n in row.split()} for label, row in rows}


def segment_classes(starter, path):
    """The whitelist; without it those of its classes that came into the lists.

    The others are among the 20 best of no segment, so that their absence moves none.
    """
    if SEGMENT_CLASSES.exists():
        return str(SEGMENT_CLASSES)
    path.write_text("\n".join(["Index", *starter.rows("segment_predictions.csv")]))
    return str(path)


def segment_evaluation(starter, path):
    """What the command prints of a CSV: the number of classes, and mAP."""
    done = processes.forked(
        "-m",
        "youtube8m.tools.segment_eval_inference",
        f"--eval_data_pattern={starter.pattern(segments=True)}",
        f"--submission_file={path}",
        "--top_n=100000",
    )
    line = r"Num classes: (\d+) \| mAP@100000: ([\d.]+)\n"
    return re.fullmatch(line, done.stdout).groups()


# Training on --------------------------------------------------------------------------


@on_runs(argvalues=runs())
def test_a_converted_run_trains_on(starter, tmp_path):
    """From where the original stood: the loss is its own, and falls."""
    output = str(tmp_path / "converted")
    convert(
        ConvertConfig(
            train_dir=starter.train_dir,
            output_dir=output,
            batch_size=BATCH,
            hyperparameters=starter.flags,
        )
    )
    expected = starter.expected["eval"]
    converted = starter.evaluator(train_dir=output)
    loss = converted.evaluate(converted.directory.checkpoint())["loss"]
    assert loss == pytest.approx(expected["loss"], rel=1e-4)
    records = len(starter.rows("predictions.csv"))
    trainer = Trainer(
        converted.trained.run,
        TrainingConfig(
            train_dir=output,
            train_data_pattern=starter.pattern(),
            batch_size=records,  # all at once: the loss is that of the evaluation
            num_epochs=8,
            base_learning_rate=0.001,
        ),
    )
    assert trainer.train()["step"] == expected["step"] + 8
    path = RunDirectory(output).file("metrics.jsonl")
    lines = [json.loads(line) for line in pathlib.Path(path).read_text().splitlines()]
    losses = [line["loss"] for line in lines if "loss" in line]
    assert len(losses) == 8
    if starter.model["model"] != "DbofModel":  # normalises by the batch in training
        assert losses[0] == pytest.approx(expected["loss"], rel=1e-4)
    assert losses[-1] < 0.995 * losses[0]  # more than rounding does
    examples = trainer.state.examples.numpy()
    assert examples == expected["step"] * BATCH + 8 * records


# Other tools --------------------------------------------------------------------------


@on_runs(argvalues=runs(model="DbofModel"))
def test_other_tools_are_told_what_the_directory_does_not_tell(starter, tmp_path):
    """By the flags that inference.py takes."""
    starter.flags |= {"iterations": 7, "sample_random_frames": False}
    batch, outputs = inferred(starter.train_dir, starter.pattern(), starter.flags)
    predictions = outputs["predictions"].numpy()

    starter.run("youtube8m.tools.export", f"--output_dir={tmp_path}/saved")
    serialized = tf.constant(records(starter.pattern()))
    served = serve(tmp_path / "saved", example_bytes=serialized)
    assert_same(served, batch["id"].numpy().tolist(), predictions)

    starter.run(
        "youtube8m.tools.export_model_mediapipe",
        f"--output_dir={tmp_path}/mediapipe",
        checkpoint_file=RunDirectory(starter.train_dir).checkpoint(),
    )
    served = serve(
        tmp_path / "mediapipe",
        rgb_and_audio=dequantize(batch["frames"]),
        num_frames=batch["num_frames"][:, None],
    )
    assert_near(served["predictions"], predictions)

    starter.run(
        "youtube8m.tools.average_checkpoints",
        f"--output_dir={tmp_path}/mean",
        "--last=1",
    )
    _, averaged = inferred(tmp_path / "mean", starter.pattern())
    assert_near(averaged["predictions"], predictions)

    starter.run(
        "youtube8m.tools.extract_descriptors",
        f"--output_dir={tmp_path}/descriptors",
        f"--input_data_pattern={starter.pattern()}",
    )
    examples = map(tf.train.Example.FromString, records(f"{tmp_path}/descriptors/*"))
    found = [x.features.feature["descriptor"].float_list.value for x in examples]
    assert_near(found, outputs["descriptor"])


def inferred(train_dir, pattern, flags=None):
    """All records as one batch, and what the model makes of them."""
    trained = TrainedRun(str(train_dir), flags)
    trained.load_checkpoint()
    shards = trained.open_shards(pattern, "--pattern")
    (batch,) = shards.iterate(shards.ordered_batches(1000))
    return batch, trained.predict(batch)


def records(pattern):
    """The serialised records of all files, in their order."""
    files = tf.data.TFRecordDataset(sorted(tf.io.gfile.glob(pattern)))
    return list(files.as_numpy_iterator())


def assert_near(ours, theirs):
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-6)
