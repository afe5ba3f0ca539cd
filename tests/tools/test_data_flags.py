"""train.py with the model and the records alone, as people type it."""

import json
import pathlib

import numpy as np
import pytest

from tests.helpers import real_data
from tests.helpers.scripts import assert_one_line, run
from youtube8m.data.writing.records import frame_example, write_records


def needs(folder):
    missing = not pathlib.Path(real_data.DATA, folder).exists()
    return pytest.mark.skipif(missing, reason="no real records")


FRAMES = "--frame_features --feature_names=rgb,audio --feature_sizes=24,8"


def train(train_dir, pattern, *arguments, status=0):
    return run(
        "train.py",
        f"--train_dir={train_dir}",
        f"--train_data_pattern={pattern}",
        "--max_steps=1",
        "--batch_size=8",
        *arguments,
        status=status,
    )


def described(train_dir):
    values = json.loads(pathlib.Path(train_dir, "model_flags.json").read_text())
    return (values["frame_features"], values["feature_names"], values["feature_sizes"])


def test_frame_level_records(sample, tmp_path):
    model = ("--model=BiLSTMAttention", "--lstm_cells=4", "--num_classes=12")
    log = train(tmp_path, sample["frame/train"], *model)
    assert f"read off the records: {FRAMES}\n" in log
    assert described(tmp_path) == (True, "rgb,audio", "24,8")


def test_segment_records(sample, tmp_path):
    log = train(
        tmp_path,
        sample["segment/validate"],
        "--model=FrameLevelLogisticModel",
        "--segment_labels",
        "--num_classes=12",
    )
    assert f"read off the records: {FRAMES}\n" in log


def test_video_level_records_are_read_as_the_starter_code_reads_them(sample, tmp_path):
    log = train(tmp_path, sample["video/train"], "--num_classes=12")
    assert "--feature_names=mean_rgb --feature_sizes=24" in log
    assert described(tmp_path) == (False, "mean_rgb", "24")


@needs("yt8m_2018_video")
def test_the_starter_codes_default_stays_and_the_rest_is_told(tmp_path):
    pattern = f"{real_data.DATA}/yt8m_2018_video/validate/*"
    log = train(tmp_path, pattern)
    assert (
        "using --feature_names=mean_rgb --feature_sizes=1024; the records also" in log
    )
    assert "--feature_names=mean_rgb,mean_audio --feature_sizes=1024,128 reads" in log
    assert described(tmp_path) == (False, "mean_rgb", "1024")


@needs("audioset_frame")
def test_audioset(tmp_path):
    pattern = f"{real_data.DATA}/audioset_frame/eval/*"
    model = ("--model=FrameLevelLogisticModel", "--num_classes=527")
    log = train(tmp_path, pattern, *model)
    assert "--feature_names=audio_embedding --feature_sizes=128\n" in log
    assert described(tmp_path) == (True, "audio_embedding", "128")


def test_what_is_given_stays(sample, tmp_path):
    model = ("--model=FrameLevelLogisticModel", "--num_classes=12")
    log = train(tmp_path, sample["frame/train"], *model, "--feature_names=audio")
    assert "--frame_features --feature_names=audio --feature_sizes=8\n" in log
    assert described(tmp_path) == (True, "audio", "8")


def test_a_run_keeps_what_it_reads(sample, tmp_path):
    model = ("--model=FrameLevelLogisticModel", "--num_classes=12")
    train(tmp_path, sample["frame/train"], *model, "--feature_names=audio")
    log = train(tmp_path, sample["frame/train"], *model, "--max_steps=2")
    assert "read off" not in log and "saved step 2" in log
    assert described(tmp_path) == (True, "audio", "8")


@pytest.mark.slow
def test_a_presets_features_give_way_to_those_of_the_records(sample, tmp_path):
    log = train(
        tmp_path,
        sample["frame/train"],
        "--preset=zhao2019-lstm",
        "--lstm_cells=4",
        "--num_classes=12",
    )
    assert f"read off the records: {FRAMES}\n" in log


MISTAKES = {
    "frame-level records, video-level model": (
        "frame/train",
        ["--model=MoeModel"],
        r"frame-level, .*choose a frame-level model \(.*LstmModel.*=MoeModel",
    ),
    "frame-level records, default model": ("frame/train", [], "LstmModel"),
    "video-level records, frame-level model": (
        "video/train",
        ["--model=LstmModel"],
        r"video-level, but --model=LstmModel takes frames; .*LogisticModel",
    ),
    "a name that is not there": (
        "frame/train",
        ["--model=LstmModel", "--feature_names=rgb,sound"],
        r"no frame-level feature 'sound'; they have rgb \(24\), audio \(8\)",
    ),
    "labels beyond the classes": (
        "frame/train",
        ["--model=FrameLevelLogisticModel", "--num_classes=3"],
        "--num_classes=3 allows 0 to 2",
    ),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_mistakes_are_one_line(sample, tmp_path, name):
    level, arguments, message = MISTAKES[name]
    log = train(tmp_path, sample[level], *arguments, status=1)
    read = [line for line in log.splitlines() if "read off the records" in line]
    assert_one_line(log.replace("".join(f"{line}\n" for line in read), ""), message)


@pytest.mark.slow
def test_benchmark_reads_the_records_too(sample):
    done = run(
        "-m",
        "youtube8m.tools.benchmark",
        "input",
        f"--data_pattern={sample['frame/train']}",
        "--seconds=0.1",
        "--repetitions=1",
        "--batch_size=8",
    )
    assert "Traceback" not in done


@pytest.mark.slow
def test_a_guess_at_the_type_is_told(tmp_path):
    frames = np.ones((6, 8), np.float16)
    examples = [frame_example(f"v{n}", [n % 3], {"clip": frames}) for n in range(20)]
    write_records(tmp_path / "a", examples)
    model = ("--model=FrameLevelLogisticModel", "--num_classes=3")
    log = train(tmp_path / "run", tmp_path / "a", *model)
    (line,) = (n for n in log.splitlines() if "give --feature_dtypes" in n)
    assert "'clip'" in line and "read as float16" in line
    log = train(tmp_path / "b", tmp_path / "a", *model, "--feature_dtypes=float16")
    assert (
        "give --feature_dtypes" not in log
        and "--feature_sizes=8 --feature_dtypes=float16" in log
    )
