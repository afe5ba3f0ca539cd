"""Names that users type, and the classes behind them.

    ENCODERS = Registry("--model")

    @ENCODERS.register
    class LstmModel(FrameEncoder): ...

    ENCODERS.get("LstmModel")                  # the class, or a UserError
    hyperparameters(LstmModel)["lstm_cells"]   # inspect.Parameter

A class's hyper-parameters are its constructor's arguments that are annotated with a
plain type and have a default; flags of the same names are derived from them. Other
arguments are facts of the data (`num_classes`, `feature_sizes` ...).
"""

import inspect
import re
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


class Configured:
    """Mixin of Keras objects that keep each constructor argument under its name.

    `get_config` then holds them all.
    """

    def get_config(self):
        own = {name: getattr(self, name) for name in arguments(type(self))}
        return {**super().get_config(), **own}


def arguments(cls: type) -> dict[str, inspect.Parameter]:
    """The constructor's arguments by name, with those that **kwargs pass on to ours."""
    found: dict[str, inspect.Parameter] = {}
    for base in cls.__mro__:
        if base.__module__.split(".")[0] == "keras":
            break
        if "__init__" in vars(base):
            _, *own = inspect.signature(base.__init__).parameters.values()
            named = [p for p in own if p.kind != p.VAR_KEYWORD]
            found |= {p.name: p for p in named if p.name not in found}
            if named == own:
                break
    return found


def required(cls: type) -> set[str]:
    """The constructor's arguments that have no default."""
    return {name for name, p in arguments(cls).items() if p.default is p.empty}


def hyperparameters(cls: type) -> dict[str, inspect.Parameter]:
    """The constructor's arguments of a plain type that have a default, by name."""
    return {
        name: p
        for name, p in arguments(cls).items()
        if p.annotation in HYPERPARAMETER_TYPES and p.default is not p.empty
    }


def meanings(cls: type) -> dict[str, str]:
    """What docstrings say under `Args:` of the constructor's arguments, by name.

    The first sentence each, without a symbol before it ("H, units of each layer."); of
    a class and its base that both say something, the base's, which is of more models.
    """
    found = {}
    for base in cls.__mro__:
        if base.__module__.split(".")[0] == "keras":
            break
        section = _ARGS.search(inspect.cleandoc(vars(base).get("__doc__") or ""))
        for names, text in _ARGUMENT.findall(section[1] if section else ""):
            sentence = _SENTENCE.match(" ".join(text.split()))[1]
            sentence = _SYMBOL.sub("", sentence)
            found |= {name: sentence for name in names.split(", ") if sentence}
    return found


_ARGS = re.compile(r"^Args:\n((?: .*\n?)+)", re.MULTILINE)
_ARGUMENT = re.compile(r"^  (\w[\w, ]*): (.*\n?(?:    .*\n?)*)", re.MULTILINE)
_SENTENCE = re.compile(r"(.*?)(?<!\bal)(?:\. |\.?$)")
_SYMBOL = re.compile(r"^[A-Za-z]\w{0,3}([,;] |$)")


def defaults(*classes: type | None) -> dict[str, Any]:
    """The hyper-parameters of some classes and their defaults; None has none."""
    return {
        name: p.default
        for cls in classes
        if cls is not None
        for name, p in hyperparameters(cls).items()
    }


def construct(cls: type, values: Mapping[str, Any], **also: Any) -> Any:
    """Builds `cls` with those of `values` that its constructor takes, and `also`.

    Raises:
      UserError: a value that the constructor refuses, or a count below 1.
    """
    accepted = arguments(cls)
    chosen = {key: value for key, value in values.items() if key in accepted}
    for key, value in chosen.items():
        kind = accepted[key].annotation
        if kind in HYPERPARAMETER_TYPES and not _is_of(kind, value):
            raise UserError(f"--{key}={value!r}: must be of type {kind.__name__}")
        least = 0 if key in getattr(cls, "may_be_zero", ()) else 1
        if kind is int and value < least:
            raise UserError(f"--{key}={value}: must be at least {least}")
    if missing := sorted(required(cls) - {*chosen, *also}):
        raise UserError(
            f"{cls.__name__} needs {' and '.join(missing)} of the classes, which "
            "train.py takes from --vocabulary_file"
        )
    try:
        return cls(**chosen, **also)
    except ValueError as error:
        raise UserError(str(error)) from None


def _is_of(kind, value):
    return type(value) is kind or (kind is float and type(value) is int)


def require_choice(name: str, value: str, *choices: str) -> None:
    """Raises ValueError unless `value` is one of the flag's choices."""
    if value not in choices:
        raise ValueError(f"--{name}={value}: must be {' or '.join(choices)}")


def require_share(name: str, value: float, excluded: float) -> None:
    """Raises ValueError unless `value` is in [0, 1] and not `excluded`."""
    if not 0.0 <= value <= 1.0 or value == excluded:
        raise ValueError(f"--{name}={value}: must be from 0 to 1, but not {excluded:g}")
