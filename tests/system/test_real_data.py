"""The original's figures on real records, reached again through the scripts.

Reads the folder that YT8M_DATA names (default ../shared/data); see its README for
what the original code reaches, which stands below as `original`.
"""

import os
import re

import pytest

from tests.helpers.real_data import DATA
from tests.helpers.scripts import read_csv, run

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not os.path.isdir(DATA), reason=f"no real records in YT8M_DATA={DATA}"
    ),
]

YT8M_2018 = (
    "yt8m_2018_video/train/*.tfrecord",
    "yt8m_2018_video/validate/*.tfrecord",
    ["--feature_names=mean_rgb,mean_audio", "--feature_sizes=1024,128"],
)
AUDIOSET = (
    "audioset_frame/train/*.tfrecord",
    "audioset_frame/eval/*.tfrecord",
    [
        "--frame_features",
        "--feature_names=audio_embedding",
        "--feature_sizes=128",
        "--num_classes=527",
    ],
)

# name: (data, flags, the original's GAP, allowed shortfall)
RUNS = {
    "logistic": (
        YT8M_2018,
        "--model=LogisticModel --batch_size=1024 --num_epochs=10",
        0.516,
        0.005,
    ),
    "moe": (
        YT8M_2018,
        "--model=MoeModel --batch_size=1024 --num_epochs=10",
        0.558,
        0.005,
    ),
    "logistic, small batches": (
        YT8M_2018,
        "--model=LogisticModel --batch_size=128 --base_learning_rate=0.003 "
        "--num_epochs=20",
        0.600,
        0.0,
    ),
    "frame-level logistic": (
        AUDIOSET,
        "--model=FrameLevelLogisticModel --batch_size=256 --num_epochs=15",
        0.327,
        0.005,
    ),
    "dbof": (
        AUDIOSET,
        "--model=DbofModel --dbof_cluster_size=1024 --dbof_hidden_size=512 "
        "--iterations=10 --batch_size=256 --base_learning_rate=0.001 --num_epochs=5 "
        "--slim_batch_norm",
        0.116,
        0.005,
    ),
    "lstm": (
        AUDIOSET,
        "--model=LstmModel --lstm_layers=1 --lstm_cells=256 --batch_size=256 "
        "--base_learning_rate=0.001 --num_epochs=8",
        0.227,
        0.005,
    ),
}


@pytest.mark.parametrize("name", RUNS)
def test_gap_of_the_original(tmp_path, name):
    (train_glob, eval_glob, flags), arguments, original, shortfall = RUNS[name]
    run(
        "train.py",
        f"--train_dir={tmp_path}",
        f"--train_data_pattern={DATA}/{train_glob}",
        *flags,
        *arguments.split(),
    )
    log = run(
        "eval.py",
        f"--train_dir={tmp_path}",
        f"--eval_data_pattern={DATA}/{eval_glob}",
        "--run_once",
    )
    print(log.splitlines()[-1])
    gap = float(re.search(r"GAP: ([\d.]+)", log.splitlines()[-1])[1])
    assert gap >= original - shortfall


def test_2017_records_train_and_predict_without_labels(tmp_path):
    """Their id key is `video_id`, and the test split has no `labels`."""
    train_dir, out = tmp_path / "run", tmp_path / "solution.csv"
    run(
        "train.py",
        f"--train_dir={train_dir}",
        f"--train_data_pattern={DATA}/yt8m_2017_video/validate/*.tfrecord",
        "--feature_names=mean_rgb, mean_audio",
        "--feature_sizes=1024, 128",
        "--num_classes=4716",
        "--batch_size=256",
        "--num_epochs=2",
    )
    run(
        "inference.py",
        f"--train_dir={train_dir}",
        f"--input_data_pattern={DATA}/yt8m_2017_video/test/*.tfrecord",
        f"--output_file={out}",
    )
    rows = read_csv(out)
    assert len(rows) == 1 + 512
    assert len({row[0] for row in rows}) == len(rows)
