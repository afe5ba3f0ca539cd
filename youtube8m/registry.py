"""Names that users type, and the classes behind them.

    ENCODERS = Registry("--model")

    @ENCODERS.register
    class LstmModel(FrameEncoder): ...

    ENCODERS.get("LstmModel")                  # the class, or a UserError
    hyperparameters(LstmModel)["lstm_cells"]   # inspect.Parameter

A class's hyper-parameters are its constructor's arguments that are annotated with a
plain type and have a default; flags of the same names are derived from them.
"""

import inspect
from collections.abc import Iterator, Mapping
from typing import Any

import keras

from youtube8m.errors import UserError, unknown_name

PACKAGE = "youtube8m"

HYPERPARAMETER_TYPES = (bool, int, float, str)


class Registry:
    """A mapping from class names to classes, for one flag."""

    def __init__(self, flag: str):
        self.flag = flag
        self._classes: dict[str, type] = {}

    def register(self, cls: type) -> type:
        """Class decorator: adds `cls` under its own name, serialisable by Keras."""
        if cls.__name__ in self._classes:
            raise ValueError(f"{cls.__name__} is registered twice for {self.flag}")
        self._classes[cls.__name__] = cls
        return keras.saving.register_keras_serializable(PACKAGE)(cls)

    def get(self, name: str) -> type:
        """The class called `name`. Raises UserError with the nearest names."""
        if name not in self._classes:
            raise unknown_name(self.flag, name, self._classes)
        return self._classes[name]

    def __contains__(self, name: str) -> bool:
        return name in self._classes

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(self._classes))


def hyperparameters(cls: type) -> dict[str, inspect.Parameter]:
    """The constructor's arguments of a plain type that have a default, by name."""
    return {
        p.name: p
        for p in inspect.signature(cls.__init__).parameters.values()
        if p.annotation in HYPERPARAMETER_TYPES and p.default is not p.empty
    }


def construct(cls: type, values: Mapping[str, Any]) -> Any:
    """Builds `cls` with those of `values` that its constructor takes.

    Raises:
      UserError: a value that the constructor refuses, or a count below 1.
    """
    accepted = inspect.signature(cls.__init__).parameters
    chosen = {key: value for key, value in values.items() if key in accepted}
    for key, value in chosen.items():
        if accepted[key].annotation is int and value < 1:
            raise UserError(f"--{key}={value}: must be at least 1")
    try:
        return cls(**chosen)
    except ValueError as error:
        raise UserError(str(error)) from None
