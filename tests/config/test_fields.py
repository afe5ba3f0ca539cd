"""Every flag has the default and takes the values that flags.txt states."""

import contextlib
import dataclasses
import math
import re

import pytest

from tests.helpers import pinned
from tests.helpers.pinned import CONFIGS
from youtube8m.config import DataConfig, ModelConfig, RunConfig
from youtube8m.config.fields import Config, flag, require_unread
from youtube8m.errors import UserError
from youtube8m.evaluation.config import EvaluationConfig
from youtube8m.export import ExportConfig
from youtube8m.models.preset import Paper, Preset
from youtube8m.prediction.config import InferenceConfig
from youtube8m.training.config import TrainingConfig

PINNED = pinned.FLAGS_FILE.read_text().splitlines()


def test_defaults_and_rules_are_pinned():
    """Changed on purpose? Then `python -m tests.helpers.pinned` writes them anew."""
    assert pinned.flag_lines() == PINNED


@dataclasses.dataclass(frozen=True)
class Written(Config):
    """Files that are written and read."""

    table: str = flag("", "Written.")
    other: str = flag("", "Written, too.")
    data: str = flag("", "Read: globs.")


@pytest.mark.parametrize(
    "values, wrong",
    [
        ({"table": "a1"}, "--table=a1: is read, too"),
        ({"table": "./link"}, "--table=./link: is read, too"),
        ({"other": "~/b"}, "--other=~/b: is read, too"),
        ({"table": "c"}, "--table=c: is read, too"),
        ({"table": "new", "other": "./new"}, "--other=./new: is --table, too"),
        ({"table": "new", "other": "newer"}, None),
        ({"table": "/dev/null", "other": "/dev/null"}, None),
        ({}, None),
    ],
)
def test_what_is_read_is_not_written(tmp_path, monkeypatch, values, wrong):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("a1", "a2", "b", "c"):
        (tmp_path / name).touch()
    (tmp_path / "link").symlink_to("a2")
    config = Written(data="a*, b", **values)
    told = contextlib.nullcontext()
    if wrong:
        told = pytest.raises(UserError, match=f"^{re.escape(wrong)}")
    with told:
        require_unread(config, ("table", "other"), ["data"], ["c", "gs://b/c"])


# What a valid configuration needs besides; few frames where any number is taken.
NEEDED = {
    "data": {"frame_features": True},
    "inference": {"train_dir": "run"},
    "sample_data": {"min_frames": 1},
    "average_checkpoints": {"last": 1},
    "segment_eval_inference": {"eval_data_pattern": "x"},
    "extract_features": {
        "input_videos": "x",
        "output_dir": "x",
        "feature_dtype": "float16",
        "image_model": "ResNet50",
    },
}
# Ranges that no rule says: the outermost values inside, and the nearest outside.
RANGES = {
    ("train", "seed"): ((0, 2**32 - 1), (-1, 2**32)),
    ("train", "ema_decay"): ((0.0, math.nextafter(1, 0)), (-1e-9, 1.0)),
    ("eval", "shard_index"): ((0,), (-1, 1)),
    ("inference", "shard_index"): ((0,), (-1, 1)),
    ("inference", "output_format"): (("csv", "jsonl", "parquet"), ("CSV",)),
    ("sample_data", "min_frames"): ((1, 300), (0, 301)),
    ("sample_data", "one_frame_share"): ((0.0, 1.0), (-1e-9, 1 + 1e-9)),
    ("extract_features", "image_range"): (("0,255", "0,1", "-1,1"), ("", "1,0")),
    ("extract_features", "feature_dtype"): (("float16",), ("FLOAT16",)),
    ("sample_data", "mean_labels"): ((1.0,), (math.nextafter(1, 0),)),
}
OF_RULES = {
    "positive": ((1, 1e-300), (0, -1)),
    "not negative": ((0,), (-1,)),
    "any": ((-1, 0, 1), ()),
    "needed": (("x",), ("", " , ")),
}


def limits():
    """(command, flag, values inside, values outside) of every flag with a rule."""
    for line in PINNED:
        command, flag, rest = line.split(" ", 2)
        if command == "hyperparameter" or rest.endswith(" -") or command == "model":
            continue
        rule = next((rule for rule in OF_RULES if rest.endswith(f" {rule}")), None)
        rule = "not negative" if rest.endswith(" not negative") else rule
        choices = rest.rpartition(" ")[2].split("|")
        inside, outside = OF_RULES.get(rule, (choices, ("", choices[0].upper())))
        inside, outside = RANGES.get((command, flag), (inside, outside))
        if "." not in rest:  # no fractions
            inside = [value for value in inside if value != 1e-300]
        yield pytest.param(command, flag, inside, outside, id=f"{command}-{flag}")


@pytest.mark.parametrize("command, flag, inside, outside", limits())
def test_values_just_inside_a_limit_pass_and_just_outside_are_told(
    command, flag, inside, outside
):
    config = CONFIGS[command]
    for value in inside:
        assert getattr(build(config, command, flag, value), flag) == value
    for value in outside:
        with pytest.raises(UserError, match=f"^--{flag}( is empty|={value})"):
            build(config, command, flag, value)


def build(config, command, flag, value):
    names = {
        field.name: field.metadata.get("rule") for field in dataclasses.fields(config)
    }
    texts = {name: "x" for name, rule in names.items() if rule == "needed"}
    return config(**{**texts, **NEEDED.get(command, {}), flag: value})


@pytest.mark.parametrize("rule", ["positive", "not negative", "any"])
def test_what_is_no_number_passes_no_rule(rule):
    field = flag(1.0, "A number.", rule)
    made = dataclasses.make_dataclass("Made", [("rate", float, field)], bases=(Config,))
    assert made(rate=math.inf).rate == math.inf
    with pytest.raises(UserError, match="^--rate=nan: is no number$"):
        made(rate=math.nan)


def test_every_rule_is_tried():
    tried = [case.values[:2] for case in limits()]
    assert {*RANGES} <= {*tried} and len(tried) == len({*tried}) > 80
    assert ("train", "batch_size") in tried and ("eval", "keep_best") in tried


def evaluated(**values):
    return EvaluationConfig(eval_data_pattern="x", **values)


def test_part_of_the_data():
    several = {"num_shards": 3, "metrics_file": "m", "run_once": True}
    for index in (0, 2):
        assert evaluated(**several, shard_index=index).shard_index == index
    for index in (-1, 3):
        wrong = f"^--shard_index={index}: must be from 0 to 2, as --num_shards=3$"
        with pytest.raises(UserError, match=wrong):
            evaluated(**several, shard_index=index)


@pytest.mark.parametrize(
    "values, message",
    [
        ({"num_shards": 2}, "--num_shards=2: give --metrics_file"),
        ({"num_shards": 2, "metrics_file": "m"}, "--run_once or --checkpoint"),
        ({"num_shards": 2, "run_once": True}, "give --metrics_file"),
        (
            {
                "num_shards": 2,
                "metrics_file": "m",
                "run_once": True,
                "class_metrics_file": "c",
            },
            "--class_metrics_file=c: needs all data",
        ),
        ({"num_shards": 2, "metrics_file": "m", "run_once": True}, None),
        ({"num_shards": 2, "metrics_file": "m", "checkpoint": "best"}, None),
        ({"num_shards": 1, "class_metrics_file": "c"}, None),
    ],
)
def test_evaluations_of_parts_say_where_they_write(values, message):
    check(lambda: evaluated(**values), message)


def check(action, message):
    if message is None:
        action()
    else:
        with pytest.raises(UserError, match=message):
            action()


TWO = {"train_dir": "a,b"}


@pytest.mark.parametrize(
    "values, message",
    [
        ({"crop_starts": "0,7"}, None),
        ({"crop_starts": "-1"}, "--crop_starts=-1: each must be a number from 0 on"),
        ({"crop_starts": "1.5"}, "--crop_starts=1.5: "),
        ({"crop_starts": "1", "segment_labels": True}, "segments are predicted whole"),
        ({"segment_labels": True}, None),
        ({"ensemble_average": "full"}, None),
        ({"ensemble_average": "mean"}, "--ensemble_average=mean: must be top_k or fu"),
        ({**TWO, "ensemble_weights": "0,1"}, None),
        ({**TWO, "ensemble_weights": "0,0"}, "not all of them 0"),
        ({**TWO, "ensemble_weights": "1"}, "one for each of the 2 directories"),
        ({**TWO, "ensemble_weights": "1,-0.1"}, "each must be a number from 0 on"),
        ({**TWO, "ensemble_weights": "1,inf"}, "each must be a number from 0 on"),
        ({**TWO, "ensemble_weights": "1,nan"}, "each must be a number from 0 on"),
        ({**TWO, "ensemble_weights": "1,x"}, "each must be a number from 0 on"),
        ({"train_dir": ""}, "--train_dir is empty"),
        ({"train_dir": "", "input_model_tgz": "a"}, None),
        ({"train_dir": "run", "input_model_tgz": "a"}, "give one of them"),
        ({**TWO, "output_model_tgz": "a"}, "an archive holds one model"),
        ({"output_model_tgz": "a"}, None),
    ],
)
def test_inference_takes_what_goes_together(values, message):
    needed = {"train_dir": "run", "input_data_pattern": "x", "output_file": "x"}
    check(lambda: InferenceConfig(**{**needed, **values}), message)


def test_lists_become_numbers():
    config = InferenceConfig(
        "a,b", "x", "x", crop_starts="0, 7", ensemble_weights="1, 0.5"
    )
    assert config.crop_starts == (0, 7) and config.ensemble_weights == (1.0, 0.5)


@pytest.mark.parametrize(
    "values, message",
    [
        ({"frame_sampling": "none"}, "--frame_sampling=none: there is no such way; ch"),
        (
            {"frame_features": False, "skip_frames": 1},
            "--skip_frames needs frame-level",
        ),
        ({"frame_features": False, "frame_sampling": "run"}, "--frame_sampling needs"),
        ({"frame_features": False}, None),
        ({"feature_sizes": "1024,"}, None),
        ({"feature_sizes": "x"}, "--feature_sizes=x: each must be a positive integer"),
        ({"feature_sizes": "-1"}, "--feature_sizes=-1: each must be a positive integ"),
        ({"feature_sizes": "0"}, "--feature_sizes=0: each must be a positive integer"),
        ({"feature_sizes": "1"}, None),
    ],
)
def test_data_takes_what_goes_together(values, message):
    check(lambda: DataConfig(**{"frame_features": True, **values}), message)


@pytest.mark.parametrize(
    "values, longest",
    [
        ({}, 300),
        ({"frame_sampling": "crop"}, 45),
        ({"frame_sampling": "random"}, 45),
        ({"frame_sampling": "run", "crop_frames": 7}, 7),
        ({"frame_sampling": "interval", "max_frames": 29}, 5),
        ({"frame_sampling": "interval", "max_frames": 30}, 6),
        ({"frame_sampling": "interval", "max_frames": 4}, 1),
        ({"frame_sampling": "windows", "max_frames": 30}, 6),
        ({"frame_sampling": "windows", "max_frames": 31}, 7),
    ],
)
def test_the_longest_example(values, longest):
    assert DataConfig(frame_features=True, **values).longest_example == longest


def test_segments_are_cut_from_all_frames():
    crop = {"frame_features": True, "frame_sampling": "crop", "released_crops": True}
    for frames, kept in ((1, 300), (300, 300), (420, 420)):
        data = DataConfig(**crop, skip_frames=3, max_frames=frames).of_segments()
        assert data == DataConfig(frame_features=True, max_frames=kept)


def test_released_code_is_of_crops_alone():
    for way, released in (("crop", True), ("interval", True), ("run", False)):
        data = DataConfig(frame_features=True, frame_sampling=way)
        assert data.with_released_code(True).released_crops is released
        assert data.with_released_code(False) == data


@pytest.mark.parametrize(
    "config",
    [
        *(DataConfig(), ModelConfig(), RunConfig(DataConfig(), ModelConfig())),
        *(EvaluationConfig(eval_data_pattern="x"), InferenceConfig("a", "b", "c")),
        *(
            TrainingConfig(train_data_pattern="x"),
            ExportConfig(train_dir="a", output_dir="b"),
        ),
        *(Preset("a", "b"), Paper("a", "b", "c")),
    ],
    ids=lambda config: type(config).__name__,
)
def test_what_a_run_is_made_of_does_not_change(config):
    name = dataclasses.fields(config)[0].name
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(config, name, None)
