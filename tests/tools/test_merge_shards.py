"""Evaluation and inference in parts, merged, are those of one process."""

import concurrent.futures

import numpy as np
import pytest

from tests.helpers.sample import SAMPLE
from tests.helpers.scripts import run
from tests.helpers.training_runs import DBOF, FRAMES, config, train
from youtube8m.config import RunConfig
from youtube8m.errors import UserError
from youtube8m.evaluation.config import EvaluationConfig
from youtube8m.evaluation.evaluator import Evaluator, merged_parts
from youtube8m.metrics import Metrics
from youtube8m.prediction.config import InferenceConfig
from youtube8m.prediction.submission import SCORED_SEGMENT_HEADER

SHARDS = 3


@pytest.fixture(scope="module")
def trained(sample, tmp_path_factory):
    path = tmp_path_factory.mktemp("run")
    train(RunConfig(FRAMES, DBOF), config(sample, path))
    return path


def merge(directory, names, *more, status=0, fresh=False):
    paths = ",".join(str(directory / name) for name in names)
    return run(
        "-m",
        "youtube8m.tools.merge_shards",
        f"--input_files={paths}",
        f"--output_file={directory}/merged.csv",
        *more,
        status=status,
        fresh=fresh,
    )


def side_by_side(*command, **each):
    """README's loop: a process of each shard, its own values formatted into flags."""

    def part(index):
        own = [f"--{flag}={value.format(index)}" for flag, value in each.items()]
        run(*command, f"--num_shards={SHARDS}", f"--shard_index={index}", *own)

    with concurrent.futures.ThreadPoolExecutor(SHARDS) as pool:
        list(pool.map(part, range(SHARDS)))


@pytest.mark.parametrize(
    "segments", [False, pytest.param(True, marks=pytest.mark.slow)]
)
def test_predictions_of_all_shards_are_those_of_one_run(
    sample, trained, tmp_path, segments
):
    command = (
        "inference.py",
        f"--train_dir={trained}",
        f"--input_data_pattern={sample['frame/test']},{sample['frame/validate']}",
        f"--segment_labels={segments}",
        "--segment_max_pred=30",
        "--batch_size=1",  # the last digit depends on what a video is computed with
    )
    run(*command, f"--output_file={tmp_path}/whole.csv")
    side_by_side(*command, output_file=f"{tmp_path}/part{{}}.csv")
    names = [f"part{index}.csv" for index in range(SHARDS)]
    log = merge(tmp_path, names, "--segment_max_pred=30")
    assert log.startswith(f"merged {SHARDS} files into")
    whole = (tmp_path / "whole.csv").read_text().splitlines()
    merged = (tmp_path / "merged.csv").read_text().splitlines()
    assert merged == whole and len(whole) > 10
    assert max(map(len, (row.split(" ") for row in whole))) == (30 if segments else 24)
    # Each shard once.
    last = merge(tmp_path, [*names, names[-1]], status=1).splitlines()[-1]
    assert "of each shard once" in last
    last = merge(tmp_path, ["whole.csv", names[0]], status=1).splitlines()[-1]
    assert ("merge the shards of one run" if segments else "lists") in last


@pytest.mark.slow
def test_figures_of_all_shards_are_those_of_one_run(sample, trained, tmp_path):
    values = {
        "train_dir": str(trained),
        "eval_data_pattern": sample["frame/validate"] + "," + sample["frame/train"],
        "batch_size": 16,
    }
    whole = Evaluator(EvaluationConfig(**values, run_once=True)).run()
    command = ["eval.py", "--run_once", *(f"--{k}={v}" for k, v in values.items())]
    side_by_side(*command, metrics_file=f"{tmp_path}/part{{}}.npz")
    paths = [str(tmp_path / f"part{index}.npz") for index in range(SHARDS)]
    metrics, step = merged_parts(paths, "--input_files")
    assert step == 10
    result = metrics.result()
    assert result["num_examples"] == SAMPLE.num_validate + SAMPLE.num_train
    for name in ("hit_at_one", "perr", "gap", "map", "loss"):
        assert result[name] == pytest.approx(whole[name], rel=1e-6), name
    log = merge(tmp_path, [f"part{index}.npz" for index in range(SHARDS)], fresh=True)
    assert log.startswith("epoch/eval number 10 | Avg_Hit@1: ")
    with pytest.raises(UserError, match="shards 2 are missing"):
        merged_parts(paths[:2], "--input_files")
    with pytest.raises(
        UserError, match="shard 0 of 3 of step 10, which is given twice"
    ):
        merged_parts([*paths, paths[0]], "--input_files")
    (tmp_path / "other.npz").write_bytes(b"PK")
    with pytest.raises(UserError, match="not written by eval.py"):
        merged_parts([str(tmp_path / "other.npz")], "--input_files")


def test_metrics_come_back_from_their_state():
    metrics = Metrics(5, top_k=2)
    top = {
        "scores": [[0.9, 0.5], [0.7, 0.2]],
        "classes": [[1, 0], [4, 3]],
        "hits": [[True, False], [False, True]],
    }
    metrics.update(top, [[1, -1], [3, -1]], [0.5, 0.25])
    again = Metrics.from_state(metrics.state())
    expected, found = metrics.result(), again.result()
    assert found.keys() == expected.keys()
    for name in expected:
        assert str(found[name]) == str(expected[name])


def test_the_loss_of_rated_classes_is_merged_too(tmp_path):
    paths = []
    for index, rated_loss in enumerate((0.5, 0.25)):
        metrics = Metrics(5, top_k=1)
        top = {"scores": [[0.9]], "classes": [[1]], "hits": [[True]]}
        metrics.update(top, [[1]], [2.0], [rated_loss])
        paths.append(tmp_path / f"{index}.npz")
        np.savez(paths[-1], step=3, part=(index, 2), **metrics.state())
    rated, line = merge(tmp_path, [path.name for path in paths]).splitlines()
    assert rated == "loss of the rated classes: 0.375000"
    assert line.startswith("epoch/eval number 3 |")


def test_a_ranking_has_a_length(tmp_path):
    (tmp_path / "part0.csv").write_text(SCORED_SEGMENT_HEADER + "3,va:0:0.5 vb:0:0.4\n")
    log = merge(tmp_path, ["part0.csv"], "--segment_max_pred=-1", status=1)
    assert log == "error: --segment_max_pred=-1: must be greater than 0\n"


@pytest.mark.parametrize(
    "config_class, values, message",
    [
        (EvaluationConfig, {"num_shards": 2}, "give --metrics_file"),
        (
            EvaluationConfig,
            {"num_shards": 2, "metrics_file": "x"},
            "--run_once or --checkpoint",
        ),
        (
            EvaluationConfig,
            {
                "num_shards": 2,
                "metrics_file": "x",
                "run_once": True,
                "class_metrics_file": "y",
            },
            "--class_metrics_file=y: .* without --num_shards=2",
        ),
        (EvaluationConfig, {"shard_index": 1}, "--shard_index=1: must be from 0 to 0"),
        (
            InferenceConfig,
            {"num_shards": 2, "shard_index": 2},
            "--shard_index=2: must be from 0 to 1, as --num_shards=2",
        ),
        (InferenceConfig, {"num_shards": 0}, "--num_shards=0: must be greater than 0"),
    ],
)
def test_shards_that_are_none_are_told(config_class, values, message):
    paths = (
        {"eval_data_pattern": "x"}
        if config_class is EvaluationConfig
        else {"input_data_pattern": "x", "output_file": "x", "train_dir": "x"}
    )
    with pytest.raises(UserError, match=message):
        config_class(**paths, **values)
