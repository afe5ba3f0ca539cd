"""model_flags.json as text: versions read each other's."""

import json

from youtube8m.config import DataConfig, ModelConfig, RunConfig
from youtube8m.config.model import DEFAULTS_VERSION

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
