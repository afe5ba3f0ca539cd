"""Flags are derived from the configuration and the models' constructors."""

import dataclasses
import json
import re

import pytest
from absl import flags as absl_flags
from absl.testing import flagsaver

from tests.helpers import processes
from youtube8m.cli import flags
from youtube8m.config import DataConfig, ModelConfig, RunConfig
from youtube8m.config.data import CROPS
from youtube8m.errors import UserError
from youtube8m.evaluation.config import EvaluationConfig
from youtube8m.prediction.config import InferenceConfig
from youtube8m.runs.directory import RunDirectory
from youtube8m.training.config import TrainingConfig

flags.define(TrainingConfig, DataConfig)
flags.define_model_flags()

STARTER_DEFAULTS = {
    TrainingConfig: {
        "train_dir": "/tmp/yt8m_model/",
        "train_data_pattern": "",
        "segment_labels": False,
        "start_new_model": False,
        "num_gpu": 1,
        "batch_size": 1024,
        "regularization_penalty": 1.0,
        "base_learning_rate": 0.01,
        "learning_rate_decay": 0.95,
        "learning_rate_decay_examples": 4000000,
        "num_epochs": 5,
        "max_steps": None,
        "export_model_steps": 1000,
        "num_readers": 8,
        "optimizer": "AdamOptimizer",
        "clip_gradient_norm": 1.0,
        "log_device_placement": False,
    },
    DataConfig: {
        "feature_names": ("mean_rgb",),
        "feature_sizes": (1024,),
        "frame_features": False,
    },
    ModelConfig: {
        "model": "LogisticModel",
        "label_loss": "CrossEntropyLoss",
        "video_level_classifier_model": "MoeModel",
    },
    EvaluationConfig: {
        "train_dir": "/tmp/yt8m_model/",
        "eval_data_pattern": "",
        "segment_labels": False,
        "batch_size": 1024,
        "num_readers": 8,
        "run_once": False,
        "top_k": 20,
    },
    InferenceConfig: {
        "train_dir": "",
        "input_data_pattern": "",
        "input_model_tgz": "",
        "untar_model_dir": "/tmp/yt8m-model",
        "output_model_tgz": "",
        "segment_labels": False,
        "segment_max_pred": 100000,
        "output_file": "",
        "top_k": 20,
        "batch_size": 512,
        "num_readers": 1,
    },
}
STARTER_HYPERPARAMETERS = {
    "iterations": 30,
    "dbof_add_batch_norm": True,
    "sample_random_frames": True,
    "dbof_cluster_size": 8192,
    "dbof_hidden_size": 1024,
    "dbof_pooling_method": "max",
    "dbof_activation": "sigmoid",
    "lstm_cells": 1024,
    "lstm_layers": 2,
    "moe_num_mixtures": 2,
}


STARTER_MODEL_FLAGS = {*STARTER_HYPERPARAMETERS, "video_level_classifier_model"}
STARTER_TOOLS = {
    "train": {
        *STARTER_DEFAULTS[TrainingConfig],
        *STARTER_DEFAULTS[DataConfig],
        *STARTER_DEFAULTS[ModelConfig],
        *STARTER_MODEL_FLAGS,
    },
    "eval": {*STARTER_DEFAULTS[EvaluationConfig], *STARTER_MODEL_FLAGS},
    "inference": {*STARTER_DEFAULTS[InferenceConfig], "segment_label_ids_file"},
    "segment_eval_inference": {
        "eval_data_pattern",
        "label_cache",
        "submission_file",
        "top_n",
    },
    "convert_prediction_from_json_to_csv": {
        "json_prediction_files_pattern",
        "csv_output_file",
    },
    "export_model_mediapipe": {"checkpoint_file", "output_dir"},
}


@pytest.mark.parametrize("tool", STARTER_TOOLS)
def test_the_starter_codes_scripts_are_modules_with_its_flags(tool):
    done = processes.forked("-m", f"youtube8m.tools.{tool}", "--helpfull", status=1)
    listed = set(re.findall(r"^ +--(?:\[no\])?(\w+):", done.stdout, re.MULTILINE))
    assert STARTER_TOOLS[tool] <= listed


@pytest.mark.parametrize("config", STARTER_DEFAULTS, ids=lambda c: c.__name__)
def test_names_and_defaults_are_the_starter_codes(config):
    defaults = {field.name: field.default for field in dataclasses.fields(config)}
    for name, value in STARTER_DEFAULTS[config].items():
        assert defaults[name] == value, name


def test_hyperparameters_are_the_starter_codes():
    found = flags.all_hyperparameters()
    for name, value in STARTER_HYPERPARAMETERS.items():
        owners = found[name]
        starter = {"LstmModel", "DbofModel", "MoeModel"} & owners.keys()
        assert {owners[owner].default for owner in starter} == {value}
        assert absl_flags.FLAGS[name].default is None


def test_every_flag_has_help():
    for name in (*flags.all_hyperparameters(), "batch_size", "feature_names"):
        assert absl_flags.FLAGS[name].help


def help_of(name):
    return absl_flags.FLAGS[name].help


def test_help_says_what_hyperparameters_mean():
    for name in flags.all_hyperparameters():
        meaning, _, defaults = help_of(name).partition(" By default ")
        assert re.match(r"[A-Z'\"].{9}", meaning) and defaults, name
        assert meaning.endswith("."), name
    assert help_of("mlp_size") == (
        "Units of each hidden layer. By default MlpModel 4096."
    )
    assert help_of("top_lstm_cells").startswith(
        "Units of the top LSTM layer, per direction (H). By"
    )
    assert help_of("released_code").startswith("Compute what the authors' code does")


def parsed(*arguments):
    """The run that a command line spells."""
    saved = flagsaver.save_flag_values()
    try:
        absl_flags.FLAGS(["train.py", *arguments])
        return flags.make_run()
    finally:
        flagsaver.restore_flag_values(saved)


def test_flags_reach_the_model_by_its_arguments():
    run = parsed(
        "--frame_features",
        "--feature_names=rgb, audio",
        "--feature_sizes=1024, 128",
        "--model=DbofModel",
        "--nodbof_add_batch_norm",
        "--sample_random_frames=False",
        "--moe_num_mixtures=4",
    )
    assert run.data == DataConfig(("rgb", "audio"), (1024, 128), True)
    # What was not given is kept too, so that no later default changes the run.
    assert run.model.hyperparameters == {
        "iterations": 30,
        "dbof_cluster_size": 8192,
        "dbof_hidden_size": 1024,
        "dbof_pooling_method": "max",
        "dbof_activation": "sigmoid",
        "dbof_add_batch_norm": False,
        "sample_random_frames": False,
        "slim_batch_norm": False,
        "moe_num_mixtures": 4,
        "moe_gate_bias": False,
        "moe_dummy_expert": True,
        "dropout_keep_prob": 1.0,
        "input_transform": "l2",
    }


def test_released_crops_are_a_matter_of_the_data():
    """LstmModel has no released_code of its own: its crops may be the released ones."""
    frames = ("--frame_features", "--model=LstmModel", "--released_code")
    cropped = parsed(*frames, "--frame_sampling=interval")
    assert cropped.data.released_crops
    assert "released_code" not in cropped.model.hyperparameters
    assert not parsed(*frames).data.released_crops
    biased = parsed("--frame_features", "--model=LSTMMemory", "--released_code")
    assert biased.model.hyperparameters["released_code"]
    assert not biased.data.released_crops


def test_released_crops_have_a_flag_of_their_own():
    frames = ("--frame_features", "--model=LSTMMemory", "--frame_sampling=crop")
    run = parsed(*frames, "--released_crops")
    assert run.data.released_crops
    assert not run.model.hyperparameters["released_code"]


@pytest.mark.parametrize("model", ["LstmModel", "LSTMMemory"])
def test_released_crops_of_an_earlier_version_are_read(model):
    frames = ("--frame_features", f"--model={model}", "--frame_sampling=crop")
    run = parsed(*frames, "--released_code")
    values = json.loads(run.to_json())
    assert values["released_code"]  # for an earlier version to read
    assert values.pop("released_crops")
    assert RunConfig.from_json(json.dumps(values)) == run
    values["released_code"] = False
    assert not RunConfig.from_json(json.dumps(values)).data.released_crops


def test_runs_whose_data_kept_released_code_without_crops_go_on(tmp_path):
    arguments = ("--frame_features", "--model=LSTMMemory", "--released_code")
    run = parsed(*arguments)
    RunDirectory(str(tmp_path)).prepare(run, start_new=False)
    path = tmp_path / "model_flags.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"released_code": True}))
    listed = 'model_checkpoint_path: "x"\nall_model_checkpoint_paths: "x"\n'
    (tmp_path / "checkpoint").write_text(listed)
    (tmp_path / "x.index").write_text("")
    directory = RunDirectory(str(tmp_path))
    assert directory.latest_checkpoint()
    directory.prepare(run, start_new=False)
    assert directory.read_run().data.as_predicted() == run.data.as_predicted()


def reading(frame_sampling, **fields):
    return DataConfig(
        frame_features=True, frame_sampling=frame_sampling, **fields
    ).as_predicted()


def test_reading_is_compared_by_what_prediction_uses():
    for used, names in {
        "all": "max_frames skip_frames",
        "crop": "max_frames skip_frames crop_frames crop_stride crop_start",
        "interval": "max_frames skip_frames crop_stride crop_start",
        "windows": "max_frames skip_frames crop_stride",
        "random": "max_frames skip_frames crop_frames",
        "run": "max_frames skip_frames crop_frames",
    }.items():
        for field in dataclasses.fields(DataConfig):
            if field.name.startswith(("crop_", "skip_", "max_")):
                differs = reading(used, **{field.name: 7}) != reading(used)
                assert differs == (field.name in names.split()), (used, field.name)
        if used in CROPS:
            assert reading(used, released_crops=True) != reading(used)
        else:
            with pytest.raises(UserError, match="--released_crops needs --frame_samp"):
                reading(used, released_crops=True)
    assert DataConfig(max_frames=7).as_predicted() == DataConfig()


def test_a_fixed_classifier_is_saved_as_what_it_is():
    run = parsed("--frame_features", "--model=FrameLevelLogisticModel")
    assert run.model.video_level_classifier_model == "LogisticModel"


OWN = ("--frame_features", "--model=FrameLevelLogisticModel")


def test_a_classifier_that_is_asked_for_is_used_or_told():
    name = "--video_level_classifier_model"
    assert parsed(*OWN, f"{name}=LogisticModel") == parsed(*OWN)
    for asked in ("MoeModel", "MlpModel"):  # also where it is the default
        with pytest.raises(UserError) as error:
            parsed(*OWN, f"{name}={asked}")
        assert str(error.value) == (
            f"{name}={asked}: FrameLevelLogisticModel goes with LogisticModel alone; "
            "choose that, or another --model"
        )


def test_run_config_reads_the_starter_codes_five_keys():
    text = (
        '{"model": "LstmModel", "feature_sizes": "64,16", "feature_names": '
        '"rgb,audio", "frame_features": true, "label_loss": "CrossEntropyLoss"}'
    )
    run = RunConfig.from_json(text)
    assert run.data == DataConfig(("rgb", "audio"), (64, 16), True)
    assert run.model == ModelConfig("LstmModel")
    assert RunConfig.from_json(run.to_json()) == run


def test_the_number_of_verticals_is_kept_and_may_be_missing():
    known = ModelConfig("HierarchicalMoeModel", verticals=(0, 2, 1))
    run = RunConfig(DataConfig(num_classes=3), known)
    values = json.loads(run.to_json())
    assert values.pop("num_verticals") == 3 == run.constructor_values["num_verticals"]
    assert RunConfig.from_json(json.dumps(values)) == run  # of an earlier version
    more = dataclasses.replace(run, model=dataclasses.replace(known, num_verticals=5))
    assert RunConfig.from_json(more.to_json()) == more
    for number in (2, "3", True, 3.0):
        text = json.dumps(values | {"num_verticals": number})
        with pytest.raises(UserError, match="num_verticals is .* at least 3"):
            RunConfig.from_json(text)


def test_files_have_no_keys_that_say_nothing():
    kept = json.loads(RunConfig(DataConfig(), ModelConfig()).to_json())
    assert not kept.keys() & {"import", "imports", "num_verticals"}


@pytest.mark.parametrize(
    "text, message",
    [
        ("{", "not JSON"),
        ("[]", "expected a JSON object"),
        ('{"model": "LstmModel"}', "lacks the keys feature_names"),
        (
            '{"model": "M", "feature_names": "rgb", "feature_sizes": "x", '
            '"frame_features": true}',
            "--feature_sizes=x",
        ),
        (
            '{"model": "M", "feature_names": "rgb", "feature_sizes": "1", '
            '"frame_features": "False"}',
            "frame_features is 'False', not of type",
        ),
    ],
)
def test_damaged_model_flags_are_told(text, message):
    with pytest.raises(UserError, match=f"flags.json: .*{message}"):
        RunConfig.from_json(text, "flags.json")


@pytest.mark.parametrize(
    "values, message",
    [
        ({"feature_names": ""}, "--feature_names is empty"),
        ({"feature_sizes": "1,2"}, "1 entries .* has 2"),
        ({"feature_sizes": "0"}, "positive integer"),
        ({"feature_names": "a,a", "feature_sizes": "1,1"}, "given twice"),
        ({"num_classes": 0}, "--num_classes=0"),
        ({"skip_frames": 1}, "add --frame_features"),
    ],
)
def test_impossible_data_is_told(values, message):
    with pytest.raises(UserError, match=message):
        DataConfig(**values)


def test_records_of_video_level_have_no_segments():
    with pytest.raises(UserError, match="--segment_labels .*add --frame_features"):
        DataConfig().of_segments()
