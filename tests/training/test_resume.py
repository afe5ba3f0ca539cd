"""training_flags.json: what a run keeps, and what it refuses."""

import dataclasses
import json

import pytest

from youtube8m.errors import UserError
from youtube8m.runs.directory import RunDirectory
from youtube8m.training.resume import TrainingFlags, fix_optimizer, resume_flags

FLAGS = TrainingFlags("AdamOptimizer", 7, 2, 3, "digest")
VALUES = {
    "optimizer": "AdamOptimizer",
    "seed": 7,
    "num_readers": 2,
    "shuffle_buffer": 3,
    "files": "digest",
    "ema_decay": 0.0,
    "segment_labels": False,
    "precision": "float32",
    "input_pipeline": "reader",
}


@pytest.fixture
def begun(tmp_path):
    """Makes the directory of a run with a checkpoint, begun with these flags."""

    def begin(values):
        (tmp_path / "model.ckpt-1.index").touch()
        (tmp_path / "training_flags.json").write_text(json.dumps(values))
        return RunDirectory(str(tmp_path))

    return begin


def written(directory):
    return json.loads(open(directory.file("training_flags.json")).read())


def replaced(**values):
    return dataclasses.replace(FLAGS, **values)


@pytest.mark.parametrize("earlier", [None, {"seed": 5}, "{"])
def test_a_run_begins_with_its_own_flags(tmp_path, earlier):
    """Whatever lies there from a run that never saved."""
    directory = RunDirectory(str(tmp_path))
    if earlier:
        (tmp_path / "training_flags.json").write_text(str(earlier))
    assert resume_flags(directory, FLAGS) == FLAGS
    assert written(directory) == VALUES


def test_a_run_with_a_checkpoint_but_without_the_file_takes_the_flags(begun, tmp_path):
    directory = begun(VALUES)
    (tmp_path / "training_flags.json").unlink()
    assert resume_flags(directory, FLAGS) == FLAGS
    assert written(directory) == VALUES


def test_a_run_goes_on_in_its_own_order(begun, caplog):
    directory = begun(VALUES)
    assert resume_flags(directory, FLAGS) == FLAGS
    assert caplog.messages == []
    given = replaced(seed=8, num_readers=9, shuffle_buffer=10)
    assert resume_flags(directory, given, derived=["num_readers"]) == FLAGS
    assert caplog.messages == [
        f"--{name}={now}: the run goes on with {was}, in the order it was begun"
        for name, now, was in (("seed", 8, 7), ("shuffle_buffer", 10, 3))
    ]
    assert written(directory) == VALUES


@pytest.mark.parametrize(
    "values, message",
    [
        ({"optimizer": "SGD"}, "^--optimizer=SGD: the run in .* with AdamOptimizer; "),
        ({"ema_decay": 0.5}, "^--ema_decay=0.5: the run in .* was begun with 0.0; "),
        ({"segment_labels": True}, "^--segment_labels=True: .* begun with False; "),
        ({"precision": "mixed_float16"}, "^--precision=mixed_.* with float32; "),
        ({"input_pipeline": "tfrecord"}, "^--input_pipeline=tfr.* with reader; "),
        ({"files": "others"}, "^--train_dir=.*: the run there was begun on other sha"),
    ],
)
def test_what_a_run_cannot_change_is_told(begun, values, message):
    directory = begun(VALUES)
    with pytest.raises(UserError, match=message):
        resume_flags(directory, replaced(seed=1, **values))
    assert written(directory) == VALUES


@pytest.mark.parametrize(
    "values",
    [
        *({"seed": 0}, {"seed": 1}, {"seed": 2**31}, {"seed": 2**32 - 1}),
        *({"num_readers": 1}, {"shuffle_buffer": 1}),
        {"ema_decay": 0},  # as other programs write 0.0
    ],
)
def test_values_at_the_limits_are_read(begun, values):
    assert resume_flags(begun(VALUES | values), replaced(**values)) == replaced(
        **values
    )


@pytest.mark.parametrize(
    "values",
    [
        *({"seed": -1}, {"seed": 2**32}, {"seed": 7.0}, {"seed": "7"}, {"seed": True}),
        *({"num_readers": 0}, {"shuffle_buffer": 0}, {"num_readers": None}),
        *({"ema_decay": "0"}, {"segment_labels": 0}, {"optimizer": 3}, {"more": 1}),
    ],
)
def test_a_damaged_file_is_told(begun, values):
    directory = begun(VALUES | values)
    with pytest.raises(UserError, match="training_flags.json: damaged; restore it, or"):
        resume_flags(directory, FLAGS)


def test_files_of_earlier_versions_lack_flags(begun):
    """Those had no averages, float32 alone, and the one input pipeline."""
    earlier = {k: v for k, v in VALUES.items() if k not in ("ema_decay", "precision")}
    assert resume_flags(begun(earlier), FLAGS) == FLAGS
    for flag, value in (("ema_decay", 0.5), ("precision", "mixed_float16")):
        with pytest.raises(UserError, match=f"^--{flag}={value}: "):
            resume_flags(begun(earlier), replaced(**{flag: value}))
    del earlier["input_pipeline"]
    with pytest.raises(UserError, match="^--input_pipeline=tfrecord: "):
        resume_flags(begun(earlier), replaced(input_pipeline="tfrecord"))


def test_a_converted_run_is_tied_to_its_optimizer_alone(begun):
    directory = begun({})
    fix_optimizer(directory, "SGD")
    assert written(directory) == {"optimizer": "SGD"}
    given = replaced(optimizer="SGD", seed=9, input_pipeline="tfrecord", files="x")
    assert resume_flags(directory, given) == given
    fix_optimizer(directory, "SGD")
    with pytest.raises(UserError, match="^--optimizer=AdamOptimizer: "):
        resume_flags(directory, FLAGS)
