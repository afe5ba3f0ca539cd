"""Evaluation and inference of one run: they agree, and tell what they should."""

import csv
import signal
import time

import numpy as np
import pandas as pd
import pytest
import tensorflow as tf

from tests.helpers.metrics import figures_within
from tests.helpers.processes import LIMIT, started
from tests.helpers.sample import SAMPLE
from tests.helpers.training_runs import DBOF, FRAMES, config
from youtube8m.config import RunConfig
from youtube8m.data.reading.pipeline import Shards
from youtube8m.errors import UserError
from youtube8m.evaluation.config import EvaluationConfig
from youtube8m.evaluation.evaluator import Evaluator
from youtube8m.prediction.config import InferenceConfig
from youtube8m.prediction.inference import Inference
from youtube8m.training.trainer import Trainer


@pytest.fixture(scope="module")
def run_directory(sample, tmp_path_factory):
    path = tmp_path_factory.mktemp("run")
    Trainer(RunConfig(FRAMES, DBOF), config(sample, path)).train()
    return path


def evaluator(run_directory, sample, **values):
    return Evaluator(
        EvaluationConfig(
            train_dir=str(run_directory),
            eval_data_pattern=sample["frame/validate"],
            **{"run_once": True, **values},
        )
    )


def predictions_of(run_directory, pattern, out, **values):
    """video id -> {class: confidence}, as inference.py writes them."""
    settings = InferenceConfig(
        train_dir=str(run_directory),
        input_data_pattern=pattern,
        output_file=str(out),
        **values,
    )
    Inference(settings).run()
    with open(out, newline="") as file:
        rows = list(csv.reader(file))[1:]
    return {name: np.array(pairs.split(), float).reshape(-1, 2) for name, pairs in rows}


def test_evaluation_and_inference_agree(run_directory, sample, tmp_path):
    """GAP and the rest, computed again from the CSV and the records' labels."""
    measured = evaluator(run_directory, sample, batch_size=7, top_k=5).run()
    predicted = predictions_of(
        run_directory, sample["frame/validate"], tmp_path / "x.csv", batch_size=16
    )
    batches = []
    shards = Shards.open(sample["frame/validate"], "--x", FRAMES)
    for batch in shards.iterate(shards.ordered_batches(32)):
        pairs = np.stack([predicted[name.decode()] for name in batch["id"].numpy()])
        predictions = np.zeros((len(pairs), SAMPLE.num_classes))
        classes = pairs[:, :, 0].astype(int)
        np.put_along_axis(predictions, classes, pairs[:, :, 1], axis=1)
        batches.append((predictions, batch["labels"].numpy()))
    # The CSV holds six digits, and the batches were others.
    low, high = figures_within(2e-6, batches, top_k=5)
    for name in ("hit_at_one", "perr", "gap", "map"):
        assert low[name] - 1e-9 <= measured[name] <= high[name] + 1e-9, name
        assert high[name] - low[name] < 0.1, name
    assert measured["num_examples"] == len(predicted) == SAMPLE.num_validate


def test_predictions_do_not_depend_on_batch_size_or_readers(
    run_directory, sample, tmp_path
):
    pattern = sample["frame/test"]
    one = predictions_of(run_directory, pattern, tmp_path / "a.csv", batch_size=3)
    two = predictions_of(run_directory, pattern, tmp_path / "b.csv", num_readers=2)
    assert one.keys() == two.keys()
    for name, pairs in one.items():
        np.testing.assert_allclose(np.sort(pairs, 0), np.sort(two[name], 0), atol=1e-5)


def test_summaries_have_the_starter_codes_tags(run_directory, sample):
    evaluator(run_directory, sample).run()
    tags = {
        value.tag
        for path in tf.io.gfile.glob(f"{run_directory}/eval/events*")
        for event in tf.compat.v1.train.summary_iterator(path)
        for value in event.summary.value
    }
    assert tags == {
        "Epoch/Eval_Avg_Hit@1",
        "Epoch/Eval_Avg_Perr",
        "Epoch/Eval_Avg_Loss",
        "Epoch/Eval_MAP",
        "Epoch/Eval_GAP",
        "GlobalStep/Eval_Hit@1",
        "GlobalStep/Eval_Perr",
        "GlobalStep/Eval_Loss",
        "GlobalStep/Eval_Example_Second",
    }


def test_figures_of_each_class(run_directory, sample, tmp_path):
    path = tmp_path / "classes.csv"
    measured = evaluator(run_directory, sample, class_metrics_file=str(path)).run()
    table = pd.read_csv(path, index_col="Index")
    assert len(table) == SAMPLE.num_classes
    seen = table[table.Videos > 0]
    assert len(seen) == measured["num_classes"]
    assert seen.AveragePrecision.mean() == pytest.approx(measured["map"])


def test_a_part_of_the_data_may_hold_no_record_but_not_the_whole(
    run_directory, sample, tmp_path
):
    parts = {"num_shards": 10_000, "metrics_file": str(tmp_path / "part.npz")}
    measured = evaluator(run_directory, sample, **parts, shard_index=9_998).run()
    assert measured["num_examples"] == 0 and (tmp_path / "part.npz").exists()
    whole = evaluator(run_directory, sample)
    whole.shards.paths = [str(tmp_path / "gone")]
    with pytest.raises(UserError, match="no video could be read"):
        whole.run()


@pytest.mark.parametrize("flag", ["class_metrics_file", "metrics_file"])
def test_a_failing_evaluation_leaves_the_files_of_the_last(
    run_directory, sample, tmp_path, flag
):
    path = tmp_path / "old"
    path.write_text("of the last")
    with pytest.raises(UserError, match="--checkpoint=model.ckpt-9"):
        evaluator(
            run_directory, sample, checkpoint="model.ckpt-9", **{flag: str(path)}
        ).run()
    assert path.read_text() == "of the last"
    missing = tmp_path / "missing" / "x"
    with pytest.raises(UserError, match=f"--{flag}={missing}: cannot be written"):
        evaluator(run_directory, sample, **{flag: str(missing)})


def test_following_passes_over_checkpoints_not_over_errors(
    run_directory, sample, tmp_path, caplog
):
    (tmp_path / "gone").mkdir()
    following = evaluator(
        run_directory,
        sample,
        run_once=False,
        class_metrics_file=str(tmp_path / "gone" / "x"),
    )
    (tmp_path / "gone").rmdir()
    directory = following.directory
    prefixes = [directory.file("model.ckpt-9"), directory.latest_checkpoint()]
    directory.new_checkpoints = lambda: iter(prefixes)
    with pytest.raises(UserError, match="--class_metrics_file=.*cannot be written"):
        following.run()
    assert "model.ckpt-9: cannot be read" in caplog.text
    assert "epoch/eval number 10 " in caplog.text


@pytest.mark.slow
def test_eval_follows_new_checkpoints_until_ctrl_c(sample, tmp_path):
    run = RunConfig(FRAMES, DBOF)
    Trainer(run, config(sample, tmp_path, max_steps=1)).train()
    data = f"--eval_data_pattern={sample['frame/validate']}"
    with started("eval.py", f"--train_dir={tmp_path}", data) as process:
        wait_for(process, "epoch/eval number 1 ")
        first = ranked(tmp_path, after=0)
        Trainer(run, config(sample, tmp_path, max_steps=2)).train()
        wait_for(process, "epoch/eval number 2 ")
        ranked(tmp_path, after=first)
        process.send_signal(signal.SIGINT)
        assert "Traceback" not in process.stderr.read()
        assert process.wait() == 130


def wait_for(process, text):
    for line in process.stderr:
        if line.startswith(text):
            return
    raise AssertionError(f"ended without {text!r}")


def ranked(train_dir, after):
    """When the GAPs were written later than `after`, eval.py's last act on each."""
    end = time.monotonic() + LIMIT
    while time.monotonic() < end:
        path = train_dir / "best" / "gaps.json"
        if path.exists() and path.stat().st_mtime_ns > after:
            return path.stat().st_mtime_ns
        time.sleep(0.05)
    raise AssertionError("no checkpoint was ranked")
