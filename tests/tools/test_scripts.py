"""The scripts as a user runs them: whole runs, and one line for each mistake."""

import os
import re
import signal

import numpy as np
import pytest

from tests.helpers import processes
from tests.helpers.sample import FRAME_FLAGS, SAMPLE
from tests.helpers.scripts import assert_one_line, read_csv, run, train
from youtube8m.cli import startup
from youtube8m.data.writing.records import frame_example, write_records


@pytest.fixture(scope="module")
def trained(sample, tmp_path_factory):
    """A run directory of a frame-level model, and what training wrote."""
    path = tmp_path_factory.mktemp("runs") / "frame"
    log = train(
        sample,
        path,
        "--model=LstmModel",
        "--lstm_cells=8",
        "--lstm_layers=1",
        "--video_level_classifier_model=LogisticModel",
        "--num_epochs=2",
        level="frame",
        fresh=True,
    )
    return path, log


def test_training_says_what_it_does_and_nothing_else(trained):
    """No line comes from a library: warnings and banners would drown ours."""
    lines = trained[1].splitlines()
    assert lines[0].startswith("training LstmModel (")
    assert lines[-1].startswith("saved step 10:")
    pattern = r"training step \d+ \| Loss: [\d.]+ Examples/sec: [\d.]+"
    assert len(lines) > 2 and all(re.match(pattern, line) for line in lines[1:-1])


@pytest.mark.slow
def test_nothing_stays_in_the_directory_for_temporary_files(
    trained, sample, tmp_path, monkeypatch
):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    arguments = ("--model=MoeModel", "--max_steps=2", "--start_new_model")
    train(sample, trained[0] / "other", *arguments, fresh=True)
    assert not list(tmp_path.iterdir())


def test_eval_prints_the_starter_codes_lines(trained, sample):
    log = run(
        "eval.py",
        f"--train_dir={trained[0]}",
        f"--eval_data_pattern={sample['frame/validate']}",
        "--run_once",
        "--batch_size=50",
        fresh=True,
    )
    batch, *_, last = log.splitlines()
    value = r"[\d.]+"
    assert re.fullmatch(
        rf"examples_processed: 50 \| global_step 10 \| Batch Hit@1: {value} \| "
        rf"Batch PERR: {value} \| Batch Loss: {value} \| Examples_per_sec: {value}",
        batch,
    )
    assert re.fullmatch(
        rf"epoch/eval number 10 \| Avg_Hit@1: {value} \| Avg_PERR: {value} \| MAP: "
        rf"{value} \| GAP: {value} \| Avg_Loss: {value} \| num_classes: \d+",
        last,
    )


def test_inference_writes_every_video_in_order(trained, sample, tmp_path):
    out = tmp_path / "out.csv"
    run(
        "inference.py",
        f"--train_dir={trained[0]}",
        f"--input_data_pattern={sample['frame/test']}",
        f"--output_file={out}",
        "--top_k=5",
        fresh=True,
    )
    header, *rows = read_csv(out)
    assert header == ["VideoId", "LabelConfidencePairs"]
    assert len({row[0] for row in rows}) == SAMPLE.num_test == len(rows)
    for _, pairs in rows:
        values = pairs.split(" ")
        confidences = np.array(values[1::2], float)
        assert len(values) == 10
        assert (np.diff(confidences) <= 0).all()
    assert [path.name for path in tmp_path.iterdir()] == ["out.csv"]


def test_segments_are_evaluated_and_predicted(trained, sample, tmp_path):
    log = run(
        "eval.py",
        f"--train_dir={trained[0]}",
        f"--eval_data_pattern={sample['segment/validate']}",
        "--segment_labels",
        "--run_once",
    )
    assert "epoch/eval number 10 |" in log
    allowed = tmp_path / "ids.csv"
    allowed.write_text("Index\n3\n7\n")
    out = tmp_path / "segments.csv"
    run(
        "inference.py",
        f"--train_dir={trained[0]}",
        f"--input_data_pattern={sample['frame/test']}",
        f"--output_file={out}",
        f"--segment_label_ids={allowed}",  # as --segment_label_ids_file
        "--segment_labels",
        "--segment_max_pred=6",
    )
    header, *rows = read_csv(out)
    assert header == ["Class", "Segments"]
    assert [row[0] for row in rows] == ["3", "7"]
    for _, segments in rows:
        starts = [int(segment.split(":")[1]) for segment in segments.split(" ")]
        assert len(starts) == 6 and all(start % 5 == 0 for start in starts)


def test_running_again_goes_on_and_then_has_nothing_to_do(sample, tmp_path):
    first = train(sample, tmp_path, "--max_steps=3", "--num_epochs=1")
    second = train(sample, tmp_path, "--num_epochs=1")
    third = train(sample, tmp_path, "--num_epochs=1")
    assert "from scratch" in first and "saved step 3" in first
    assert "model.ckpt-3" in second and "saved step 5" in second
    assert "nothing left to do" in third


def test_flags_that_a_model_does_not_take_are_a_warning(sample, tmp_path):
    log = train(sample, tmp_path, "--max_steps=1", "--lstm_cells=8")
    assert "--lstm_cells: LogisticModel does not take it; ignored" in log


def test_blanks_after_commas_are_accepted(sample, tmp_path):
    log = train(
        sample,
        tmp_path,
        "--feature_names=mean_rgb, mean_audio",
        "--feature_sizes=24, 8",
        "--max_steps=1",
    )
    assert "saved step 1" in log


MISTAKES = {
    "empty glob": (
        ["--train_data_pattern=/nowhere/*.tfrecord"],
        r"--train_data_pattern=/nowhere/\*\.tfrecord: no file matches",
    ),
    "segments of video-level records": (
        ["--segment_labels"],
        "--segment_labels needs frame-level records: add --frame_features",
    ),
    "no pattern": (["--train_data_pattern="], "--train_data_pattern is empty"),
    "no tfrecord": (["--train_data_pattern={csv}"], "not a TFRecord file"),
    "feature name": (
        ["--feature_names=rgb,mean_audio"],
        "no video-level feature 'rgb'",
    ),
    "feature size": (["--feature_sizes=128,8"], "holds 24 values where 128 belong"),
    "sizes and names": (["--feature_sizes=24"], "2 entries .* has 1"),
    "frame flag on video records": (
        ["--frame_features", "--model=LstmModel"],
        "video-level, not frame-level; drop --frame_features",
    ),
    "video flag on frame records": (
        ["--train_data_pattern={frames}"],
        "frame-level, not video-level; add --frame_features",
    ),
    "label beyond classes": (["--num_classes=3"], "--num_classes=3 allows 0 to 2"),
    "model": (["--model=LogisticModle"], "--model: .* did you mean LogisticModel"),
    "loss": (["--label_loss=CrossEntropy"], "--label_loss: .* CrossEntropyLoss"),
    "optimizer": (["--optimizer=AdamOptimiser"], "--optimizer: .* AdamOptimizer"),
    "classifier": (
        [
            "--train_data_pattern={frames}",
            *FRAME_FLAGS,
            "--model=LstmModel",
            "--video_level_classifier_model=Moe",
        ],
        "--video_level_classifier_model: .* MoeModel",
    ),
    "batch size": (["--batch_size=0"], "--batch_size=0: must be greater than 0"),
    "train_dir is a file": (["--train_dir={csv}"], "--train_dir=.*cannot be made"),
    "unquoted glob": (["stray.tfrecord"], "'stray.tfrecord' is no flag; quote globs"),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_mistakes_in_training_are_one_line(sample, tmp_path, name):
    arguments, message = MISTAKES[name]
    table = tmp_path / "table.csv"
    table.write_text("Index,Name\n0,Game\n")
    values = {"csv": table, "frames": sample["frame/train"]}
    arguments = [argument.format(**values) for argument in arguments]
    log = train(sample, tmp_path / "run", *arguments, status=1)
    assert_one_line(log, message)


def test_another_models_directory_is_one_line(trained, sample):
    log = train(sample, trained[0], "--model=MoeModel", status=1)
    assert_one_line(log, "model_flags.json there says .*model=LstmModel.*start_new")


LATER_MISTAKES = {
    "other level": ("{video}", [], "video-level, .* rgb .24., audio .8., 12 classes"),
    "no file": ("/nowhere/x*", [], "no file matches"),
    "no such checkpoint": ("{frames}", ["--checkpoint=model.ckpt-3"], "model.ckpt-10"),
    "top_k": ("{frames}", ["--top_k=0"], "--top_k=0: must be greater than 0"),
    "remote": ("{frames}", ["--train_dir=gs://bucket/run"], "remote stores are not"),
    "unknown flag": ("{frames}", ["--top=3"], "Unknown command line flag 'top'"),
}


@pytest.mark.parametrize(
    "script", ["eval.py", pytest.param("inference.py", marks=pytest.mark.slow)]
)
@pytest.mark.parametrize("name", LATER_MISTAKES)
def test_mistakes_in_evaluation_and_inference(trained, sample, tmp_path, script, name):
    pattern, arguments, message = LATER_MISTAKES[name]
    pattern = pattern.format(
        video=sample["video/validate"], frames=sample["frame/validate"]
    )
    own = (
        [f"--eval_data_pattern={pattern}", "--run_once"]
        if script == "eval.py"
        else [f"--input_data_pattern={pattern}", f"--output_file={tmp_path}/x.csv"]
    )
    arguments = [f"--train_dir={trained[0]}", *own, *arguments]
    log = run(script, *arguments, status=1, fresh=name == "unknown flag")
    assert re.search(message, log), log
    assert name == "unknown flag" or len(log.splitlines()) == 1
    assert not list(tmp_path.iterdir())


def test_model_flags_given_to_eval_are_checked_against_the_run(trained, sample):
    log = run(
        "eval.py",
        f"--train_dir={trained[0]}",
        f"--eval_data_pattern={sample['segment/validate']}",
        "--run_once",
        "--segment_labels",
        "--frame_features",
        "--feature_names=rgb, audio",
        "--feature_sizes=24,",
        "--lstm_cells=8",
        "--lstm_layers=5",
    )
    warnings = [line for line in log.splitlines() if "ignored" in line]
    assert len(warnings) == 2
    assert warnings[0].startswith("--feature_sizes=24,: ignored, the run has")
    assert warnings[1].startswith("--lstm_layers=5: ignored, the run has 1")


@pytest.mark.slow
def test_segments_are_cut_from_all_frames_of_a_run_with_few(sample, tmp_path):
    arguments = ("--model=FrameLevelLogisticModel", "--max_frames=5", "--max_steps=1")
    train(sample, tmp_path, *arguments, level="frame")
    log = run(
        "eval.py",
        f"--train_dir={tmp_path}",
        f"--eval_data_pattern={sample['segment/validate']}",
        "--segment_labels",
        "--run_once",
    )
    assert "lost" not in log
    counts = re.findall(r"examples_processed: (\d+)", log)
    assert int(counts[-1]) > SAMPLE.num_validate  # several segments of each video


@pytest.mark.parametrize("script", ["train.py", "eval.py", "inference.py"])
def test_help_lists_the_flags(script):
    done = processes.forked(script, "--help", status=1)
    assert "--train_dir" in done.stdout
    assert "tensorflow" not in done.stdout.split("--train_dir")[0].lower()
    done = processes.forked(script, "--helpfull", status=1)
    assert "--lstm_cells" in done.stdout and "--train_dir" in done.stdout


@pytest.mark.parametrize(
    "script, arguments, message",
    [
        (
            "eval.py",
            ["--eval_data_pattern={data}", "--run_once"],
            "no checkpoint; train",
        ),
        (
            "inference.py",
            ["--input_data_pattern={data}", "--output_file={out}"],
            "no checkpoint; train",
        ),
    ],
)
def test_a_missing_checkpoint_is_one_line(
    trained, sample, tmp_path, script, arguments, message
):
    flags = (trained[0] / "model_flags.json").read_text()
    (tmp_path / "model_flags.json").write_text(flags)
    values = {"data": sample["frame/validate"], "out": tmp_path / "x.csv"}
    arguments = [argument.format(**values) for argument in arguments]
    log = run(script, f"--train_dir={tmp_path}", *arguments, status=1)
    assert_one_line(log, message)


def test_a_hyperparameter_of_another_type_is_one_line(trained, sample, tmp_path):
    flags = (trained[0] / "model_flags.json").read_text()
    flags = flags.replace('"lstm_cells": 8', '"lstm_cells": "8"')
    (tmp_path / "model_flags.json").write_text(flags)
    arguments = (f"--eval_data_pattern={sample['frame/validate']}", "--run_once")
    log = run("eval.py", f"--train_dir={tmp_path}", *arguments, status=1)
    assert_one_line(log, "--lstm_cells='8': must be of type int")


def test_a_directory_that_is_no_run_is_one_line(sample, tmp_path):
    log = run(
        "inference.py",
        f"--train_dir={tmp_path}",
        f"--input_data_pattern={sample['frame/test']}",
        f"--output_file={tmp_path}/x.csv",
        status=1,
    )
    assert_one_line(log, "no model_flags.json")


def test_unwritable_output_is_one_line(trained, sample, tmp_path):
    log = run(
        "inference.py",
        f"--train_dir={trained[0]}",
        f"--input_data_pattern={sample['frame/test']}",
        f"--output_file={tmp_path}/missing/x.csv",
        status=1,
    )
    assert_one_line(log, "--output_file=.*cannot be written")


@pytest.fixture
def damaged(tmp_path):
    """Two shards of 20 frame-level videos; the second is cut in its 11th record."""
    rng = np.random.default_rng(0)
    for shard in ("a", "b"):
        examples = []
        for number in range(20):
            features = {
                "rgb": rng.integers(0, 256, (9, 24), dtype=np.uint8),
                "audio": rng.integers(0, 256, (9, 8), dtype=np.uint8),
            }
            examples.append(frame_example(f"{shard}{number}", [number % 12], features))
        write_records(str(tmp_path / f"{shard}.tfrecord"), examples)
    path = tmp_path / "b.tfrecord"
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) * 21 // 40])
    (tmp_path / "c.tfrecord").symlink_to("nowhere")
    return tmp_path


def test_a_truncated_shard_costs_its_last_records_only(damaged, tmp_path):
    arguments = (
        f"--train_data_pattern={damaged}/*.tfrecord",
        *FRAME_FLAGS,
        "--model=FrameLevelLogisticModel",
        "--batch_size=10",
        "--num_epochs=2",
        f"--train_dir={tmp_path}/run",
    )
    log = run("train.py", *arguments)
    assert re.search(r"b\.tfrecord: record 10 at byte \d+ is damaged", log)
    assert re.search(r"c\.tfrecord: cannot be read", log)
    assert "saved step 6" in log  # 20 + 10 videos, twice, in batches of 10
    (damaged / "c.tfrecord").unlink()  # else either is the first to be found
    strict = run("train.py", *arguments, "--strict_data", "--start_new_model", status=1)
    last = strict.splitlines()[-1]
    assert last.startswith("error: ") and "b.tfrecord: record 10" in last


@pytest.mark.parametrize(
    "verbosity, shown",
    [(0, False), pytest.param(1, True, marks=pytest.mark.slow)],
)
def test_a_path_that_cannot_be_used_is_one_line(tmp_path, verbosity, shown):
    (tmp_path / "file").write_text("")
    command = ("-m", "youtube8m.tools.sample_data", f"--directory={tmp_path}/file/x")
    with processes.started(*command, f"--verbosity={verbosity}") as process:
        log, status = process.stderr.read(), process.wait()
    assert status == 1
    *trace, last = log.splitlines()
    assert last == f"error: {tmp_path}/file/x: Not a directory"
    assert ("Traceback (most recent call last):" in trace) == bool(trace) == shown


def test_a_reader_that_has_seen_enough_is_no_error():
    reading, writing = os.pipe()
    os.close(reading)
    command = ("-m", "youtube8m.tools.presets")
    with processes.started(*command, stdout=writing) as process:
        os.close(writing)
        log, status = process.stderr.read(), process.wait()
    assert (status, log) == (128 + signal.SIGPIPE, "")


def test_what_no_user_can_put_right_keeps_its_trace(capsys):
    def main():
        raise OSError(5, "Input/output error")  # and no file

    with pytest.raises(OSError):
        startup._guarded(main)
    assert not capsys.readouterr().err
