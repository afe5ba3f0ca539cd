"""model_flags.json as text: versions read each other's."""

import json

import pytest

from youtube8m.config import DataConfig, ModelConfig, RunConfig
from youtube8m.config.model import DEFAULTS_VERSION
from youtube8m.errors import UserError

RUN = RunConfig(
    DataConfig(("rgb", "audio"), (4, 2), True, num_classes=2),
    ModelConfig("LstmModel", verticals=(0, 1), class_counts=(7, 5)),
)


def test_lists_are_written_as_flags_are_typed():
    values = json.loads(RUN.to_json())
    assert values["feature_names"] == "rgb,audio"
    assert (values["feature_sizes"], values["verticals"]) == ("4,2", "0,1")
    assert values["class_counts"] == "7,5" and values["num_verticals"] == 2
    assert RUN.to_json().startswith('{\n  "model": "LstmModel",\n')


def test_a_file_without_a_version_has_the_first_defaults():
    """But one of the starter code, which has no hyper-parameters, has today's."""
    assert DEFAULTS_VERSION == 2
    values = json.loads(RUN.to_json())
    assert values.pop("defaults_version") == 2
    assert RunConfig.from_json(json.dumps(values)).model.defaults_version == 1
    del values["hyperparameters"]
    assert RunConfig.from_json(json.dumps(values)).model.defaults_version == 2


def test_the_number_of_verticals():
    """One more than the highest, unless it is given; None without verticals."""
    assert ModelConfig().num_verticals is None
    assert ModelConfig(verticals=(0, 3)).num_verticals == 4
    for number in (4, 9):
        assert ModelConfig(verticals=(0, 3), num_verticals=number).num_verticals == (
            number
        )
    assert ModelConfig(num_verticals=0).num_verticals == 0
    for number in (3, -1, 4.0, True):
        with pytest.raises(
            UserError, match=f"^num_verticals is {number}; expected a n"
        ):
            ModelConfig(verticals=(0, 3), num_verticals=number)
    with pytest.raises(UserError, match="^num_verticals is -1; .* of at least 0$"):
        ModelConfig(num_verticals=-1)


def test_what_is_not_there_is_not_written():
    values = json.loads(RunConfig(DataConfig(), ModelConfig()).to_json())
    assert not {"num_verticals", "import", "imports"} & values.keys()
    assert values["segment_labels"] is False
    imported = ModelConfig(imports="a.b, c", num_verticals=3)
    text = RunConfig(DataConfig(), imported).to_json()
    assert json.loads(text)["import"] == "a.b,c"
    assert json.loads(text)["num_verticals"] == 3
    assert RunConfig.from_json(text).model == imported


def test_released_code_of_files_without_released_crops_means_both():
    """In a file that has both, each counts for itself."""
    values = json.loads(RUN.to_json()) | {"frame_sampling": "crop"}
    for code, crops, expected in (
        (True, None, True),
        (False, None, False),
        (1, None, False),
        (None, None, False),
        (True, False, False),
        (False, True, True),
    ):
        given = values | {"released_code": code, "released_crops": crops}
        given = {name: value for name, value in given.items() if value is not None}
        assert RunConfig.from_json(json.dumps(given)).data.released_crops is expected


@pytest.mark.parametrize(
    "change, message",
    [
        ({"num_classes": "3"}, "f: num_classes is '3', not of type <class 'int'>"),
        ({"frame_features": 1}, "f: frame_features is 1, not of type <class 'bool'>"),
        ({"model": None}, "f: model is None, not of type <class 'str'>"),
        ({"num_classes": 0}, "f: --num_classes=0: must be greater than 0"),
        (
            {"hyperparameters": []},
            r"f: hyperparameters are \[\]; expected names and val",
        ),
    ],
)
def test_a_value_of_another_form_is_told_with_its_file(change, message):
    values = json.loads(RUN.to_json()) | change
    with pytest.raises(UserError, match=f"^{message}"):
        RunConfig.from_json(json.dumps(values), "f")


def test_the_keys_that_are_missing_are_told_in_order():
    values = json.loads(RUN.to_json())
    del values["model"], values["feature_sizes"]
    with pytest.raises(UserError, match="^f: lacks the keys feature_sizes, model$"):
        RunConfig.from_json(json.dumps(values), "f")
    with pytest.raises(UserError, match="^f: expected a JSON object$"):
        RunConfig.from_json("[]", "f")
    with pytest.raises(UserError, match="^f: damaged .not JSON .*; restore it$"):
        RunConfig.from_json("{", "f")


def test_constructors_may_ask_for_the_facts_that_are_known():
    assert RUN.constructor_values == {
        "num_classes": 2,
        "feature_names": ("rgb", "audio"),
        "feature_sizes": (4, 2),
        "max_frames": 300,
        "verticals": (0, 1),
        "class_counts": (7, 5),
        "num_verticals": 2,
    }
    model = ModelConfig(hyperparameters={"lstm_cells": 3, "max_frames": 7})
    assert RunConfig(DataConfig(), model).constructor_values == {
        "lstm_cells": 3,
        "num_classes": 3862,
        "feature_names": ("mean_rgb",),
        "feature_sizes": (1024,),
        "max_frames": 300,
    }
