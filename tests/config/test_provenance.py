"""How features were made: what is compared, and which commands compare it."""

import json

import numpy as np
import pytest

from tests.helpers.training_runs import LOGISTIC, VIDEO, config
from youtube8m.config import RunConfig
from youtube8m.config.provenance import (
    differences,
    file_beside,
    made_of_shards,
    to_json,
)
from youtube8m.data.writing.records import video_example, write_records
from youtube8m.errors import UserError
from youtube8m.evaluation.config import EvaluationConfig
from youtube8m.evaluation.evaluator import Evaluator
from youtube8m.prediction.config import InferenceConfig
from youtube8m.prediction.inference import Inference
from youtube8m.training.trainer import Trainer

YT8M = {"image_model": "yt8m", "frames_per_second": 1.0, "feature_dtype": "uint8"}
YT8M |= {"image_weights": "imagenet", "audio": True}
OTHER = YT8M | {"image_model": "EfficientNetV2B0", "audio": False}
FILE = YT8M | {"image_model": "/a/n.keras", "sha256": {"image_model": "1" * 64}}


@pytest.mark.parametrize(
    "one, other, names, expected",
    [
        (YT8M, YT8M, ["rgb"], []),
        (YT8M, {}, ["rgb"], []),
        (YT8M, OTHER, ["rgb"], ["image_model"]),
        (YT8M, OTHER, ["mean_audio"], ["audio"]),
        (YT8M, OTHER, ["rgb", "audio"], ["image_model", "audio"]),
        (FILE, FILE | {"image_model": "/b/m.keras"}, ["rgb"], []),
        (FILE, FILE | {"sha256": {"image_model": "2"}}, ["rgb"], ["image_model"]),
        (FILE, YT8M, ["rgb"], ["image_model"]),
        (YT8M, YT8M | {"sha256": {"pca": "1"}}, ["rgb"], ["pca"]),
        (YT8M, YT8M | {"sha256": {"vggish": "1"}}, ["audio"], []),
    ],
)
def test_what_is_compared(one, other, names, expected):
    assert [name for name, *_ in differences(one, other, names)] == expected


def write_shards(folder, made):
    folder.mkdir()
    sizes = zip(VIDEO.feature_names, VIDEO.feature_sizes, strict=True)
    features = {name: np.zeros(size, np.float32) for name, size in sizes}
    examples = [video_example(f"v{n}", [n % 3], features) for n in range(3)]
    write_records(folder / "a.tfrecord", examples)
    if made:
        folder.joinpath("features.json").write_text(to_json(made))
    return str(folder / "*.tfrecord")


def test_a_description_of_one_file_counts_for_it_alone(tmp_path):
    write_shards(tmp_path / "x", OTHER)
    path = str(tmp_path / "x" / "a.tfrecord")
    assert made_of_shards([path], ["rgb"], "--flag") == OTHER
    with open(file_beside(path), "w") as file:
        file.write(to_json(YT8M))
    assert made_of_shards([path], ["rgb"], "--flag") == YT8M
    with pytest.raises(UserError, match="--flag: .*image_model yt8m and Efficient"):
        made_of_shards([path, str(tmp_path / "x" / "b.tfrecord")], ["rgb"], "--flag")


def test_a_damaged_description_is_told(tmp_path):
    tmp_path.joinpath("features.json").write_text("{")
    with pytest.raises(UserError, match="features.json: cannot be read"):
        made_of_shards([str(tmp_path / "a.tfrecord")], ["rgb"], "--flag")


def test_a_description_with_wrong_parts_is_told(tmp_path):
    text = json.dumps(YT8M | {"sha256": "1" * 64})
    tmp_path.joinpath("features.json").write_text(text)
    with pytest.raises(UserError, match="features.json: cannot be read .sha256 is no"):
        made_of_shards([str(tmp_path / "a.tfrecord")], ["rgb"], "--flag")


@pytest.mark.parametrize("text", ['{"type": "object"}', "[1, 2]", '{"sha256": "1"}'])
def test_a_file_of_another_program_says_nothing(tmp_path, text):
    tmp_path.joinpath("features.json").write_text(text)
    assert made_of_shards([str(tmp_path / "a.tfrecord")], ["rgb"], "--flag") == {}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run that was trained on YT8M's features, and shards of three kinds."""
    folder = tmp_path_factory.mktemp("provenance")
    kinds = {"same": YT8M, "other": OTHER, "unknown": None}
    shards = {name: write_shards(folder / name, made) for name, made in kinds.items()}
    open_training(folder / "run", shards["same"]).saver.save()
    return folder / "run", shards


def open_training(train_dir, pattern):
    return Trainer(LOGISTIC, config({"video/train": pattern}, train_dir, "video"))


def test_a_run_remembers_how_its_features_were_made(run):
    values = json.loads(run[0].joinpath("model_flags.json").read_text())
    assert values["features"] == YT8M
    text = run[0].joinpath("model_flags.json").read_text()
    assert RunConfig.from_json(text).features == YT8M


def evaluate(train_dir, pattern):
    Evaluator(EvaluationConfig(str(train_dir), pattern, run_once=True))


def infer(train_dir, pattern):
    output = str(train_dir / "x.csv")
    Inference(InferenceConfig(str(train_dir), pattern, output))


@pytest.mark.parametrize("command", [evaluate, infer, open_training])
def test_features_of_another_kind_are_an_error(run, command):
    train_dir, shards = run
    for kind in ("same", "unknown"):
        command(train_dir, shards[kind])
    named = "image_model (yt8m and Efficient|EfficientNetV2B0 and yt8m)"
    with pytest.raises(UserError, match=f"made differently.*{named}"):
        command(train_dir, shards["other"])
    values = json.loads(train_dir.joinpath("model_flags.json").read_text())
    assert values["features"] == YT8M


def test_training_on_two_kinds_is_an_error(run, tmp_path):
    _, shards = run
    with pytest.raises(UserError, match="same.*and.*other.*say that"):
        open_training(tmp_path / "new", f"{shards['same']},{shards['other']}")
    open_training(tmp_path / "new", f"{shards['same']},{shards['unknown']}")


def test_models_of_an_ensemble_take_the_same_features(run, tmp_path):
    train_dir, shards = run
    open_training(tmp_path / "other", shards["other"]).saver.save()
    both = f"{train_dir},{tmp_path / 'other'}"
    with pytest.raises(UserError, match="made differently"):
        Inference(InferenceConfig(both, shards["unknown"], str(tmp_path / "x.csv")))
