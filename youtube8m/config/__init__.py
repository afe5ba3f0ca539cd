"""What a run is made of: frozen dataclasses, checked when they are built.

    data = DataConfig(feature_names=("rgb", "audio"), feature_sizes=(1024, 128),
                      frame_features=True)
    run = RunConfig(data, ModelConfig(model="LstmModel"))

A field's metadata holds the help text of the flag of the same name, from which
`cli.flags` derives the command lines. The configuration of a command stands beside
it; those of the three scripts can be imported from here, too.
"""

import importlib

from youtube8m.config.data import DataConfig
from youtube8m.config.model import ModelConfig, RunConfig

_OF_COMMANDS = {
    "TrainingConfig": "youtube8m.training.config",
    "EvaluationConfig": "youtube8m.evaluation.config",
    "InferenceConfig": "youtube8m.prediction.config",
}
__all__ = ["DataConfig", "ModelConfig", "RunConfig", *_OF_COMMANDS]


def __getattr__(name: str):
    """The configurations of the scripts, whose rooms import this one."""
    if name not in _OF_COMMANDS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_OF_COMMANDS[name]), name)
