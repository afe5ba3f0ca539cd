"""Names that users type, and the classes behind them.

    ENCODERS = Registry("--model")

    @ENCODERS.register
    class LstmModel(FrameEncoder): ...

    ENCODERS.get("LstmModel")                  # the class, or a UserError
    hyperparameters(LstmModel)["lstm_cells"]   # Argument

A class's hyper-parameters are its constructor's arguments that are annotated with a
plain type and have a default; flags of the same names are derived from them. Other
arguments are facts of the data (`num_classes`, `feature_sizes` ...).
"""

import contextlib
import inspect
import math
import typing
from collections.abc import Iterable, Iterator, Mapping
from typing import Annotated, Any, NamedTuple

import keras

from youtube8m.errors import UserError, unknown_name
from youtube8m.schema import CLASS_FACTS

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
    """Mixin of Keras objects that have each constructor argument as an attribute.

    `get_config` returns all of them.
    """

    def __new__(cls, *args, **kwargs):
        new = super().__new__  # a loss has object's, which takes no arguments
        self = new(cls) if new is object.__new__ else new(cls, *args, **kwargs)
        given = inspect.signature(cls.__init__).bind_partial(self, *args).arguments
        for name, argument in arguments(cls).items():
            value = {**given, **kwargs}.get(name, argument.default)
            with contextlib.suppress(AttributeError):  # Keras' own, such as dtype
                object.__setattr__(self, name, value)  # before Keras tracks attributes
        return self

    def get_config(self):
        own = {name: getattr(self, name) for name in arguments(type(self))}
        return {**super().get_config(), **own}


class AtLeast(NamedTuple):
    """The least value of an int, in an annotation; without it, it is 1."""

    value: int


class Argument(NamedTuple):
    """A constructor's argument, as its annotation and default declare it.

    lstm_cells: Annotated[int, "Units of each layer."] = 1024
    pool_size: Annotated[int, "Frames of a window; 0: none.", AtLeast(0)] = 3
    """

    name: str
    annotation: Any  # the type, without what Annotated adds
    default: Any  # inspect.Parameter.empty if there is none
    help: str = ""  # one sentence
    minimum: int = 1  # the least value of an int

    @classmethod
    def of(cls, parameter: inspect.Parameter, names: Mapping[str, Any]) -> "Argument":
        """Of a parameter, whose annotation may be text that `names` resolve."""
        annotation, extras = parameter.annotation, ()
        if isinstance(annotation, str):  # from __future__ import annotations
            with contextlib.suppress(Exception):  # then it is no plain type
                annotation = eval(annotation, dict(names))
        if typing.get_origin(annotation) is Annotated:
            annotation, *extras = typing.get_args(annotation)
        help = next((extra for extra in extras if isinstance(extra, str)), "")
        least = [extra.value for extra in extras if isinstance(extra, AtLeast)]
        return cls(parameter.name, annotation, parameter.default, help, *least)

    @property
    def is_required(self) -> bool:
        """Whether it has no default."""
        return self.default is inspect.Parameter.empty


def arguments(cls: type) -> dict[str, Argument]:
    """The constructor's arguments by name, and those of our bases behind **kwargs."""
    found: dict[str, Argument] = {}
    for base in cls.__mro__:
        if base.__module__.split(".")[0] == "keras":
            break
        if "__init__" in vars(base):
            _, *own = inspect.signature(base.__init__).parameters.values()
            named = [p for p in own if p.kind != p.VAR_KEYWORD]
            for parameter in named:
                argument = Argument.of(parameter, base.__init__.__globals__)
                found.setdefault(parameter.name, argument)
            if named == own:
                break
    return found


def required(cls: type) -> set[str]:
    """The constructor's arguments that have no default."""
    return {name for name, argument in arguments(cls).items() if argument.is_required}


def hyperparameters(cls: type) -> dict[str, Argument]:
    """The constructor's arguments of a plain type that have a default, by name."""
    return {
        name: argument
        for name, argument in arguments(cls).items()
        if argument.annotation in HYPERPARAMETER_TYPES and not argument.is_required
    }


def has_users_code(*parts: Any) -> bool:
    """Whether the class of one of these is not this package's.

    Python's `if` and `for` on tensors may stand there, outside of Keras layers' calls.
    They need AutoGraph, which makes a trace twice as long.
    """
    return any(type(part).__module__.split(".")[0] != PACKAGE for part in parts)


def summary(cls: type) -> str:
    """The first line of its docstring; "" if there is none."""
    return (cls.__doc__ or "").strip().partition("\n")[0]


def defaults(*classes: type | None) -> dict[str, Any]:
    """The hyper-parameters of some classes and their defaults; None has none."""
    return {
        name: argument.default
        for cls in filter(None, classes)
        for name, argument in hyperparameters(cls).items()
    }


def require_class_facts(cls: type, known: Iterable[str] = ()) -> None:
    """Raises UserError if a constructor needs a class fact that is not `known`."""
    for name in sorted(required(cls).intersection(CLASS_FACTS).difference(known)):
        raise UserError(
            f"{cls.__name__} needs {CLASS_FACTS[name].meaning}: give "
            "--vocabulary_file, the vocabulary.csv of the data set or a CSV file with "
            "the same columns"
        )


def construct(cls: type, values: Mapping[str, Any], **also: Any) -> Any:
    """Builds `cls` with those of `values` that its constructor takes, and `also`.

    Raises UserError if a value has another type, is too low or is refused.
    """
    accepted = arguments(cls)
    chosen = {key: value for key, value in values.items() if key in accepted}
    for key, value in chosen.items():
        kind = accepted[key].annotation
        fits = type(value) is kind or (kind is float and type(value) is int)
        if kind in HYPERPARAMETER_TYPES and not fits:
            raise UserError(f"--{key}={value!r}: must be of type {kind.__name__}")
        if kind is float and math.isnan(value):
            raise UserError(f"--{key}={value}: is no number")
        least = accepted[key].minimum
        if kind is int and value < least:
            raise UserError(f"--{key}={value}: must be at least {least}")
    require_class_facts(cls, values)
    if missing := sorted(required(cls) - {*chosen, *also}):
        raise UserError(
            f"{cls.__name__} needs {' and '.join(missing)}, which no run has; give "
            "the argument a default"
        )
    try:
        return cls(**chosen, **also)
    except ValueError as error:
        raise UserError(str(error)) from None


def require_choice(name: str, value: str, *choices: str) -> None:
    """Raises ValueError unless `value` is one of the flag's choices."""
    if value not in choices:
        raise ValueError(f"--{name}={value}: must be {' or '.join(choices)}")


def require_share(name: str, value: float, excluded: float | None = None) -> None:
    """Raises ValueError unless `value` is in [0, 1] and not `excluded`."""
    if not 0.0 <= value <= 1.0 or value == excluded:
        rest = "" if excluded is None else f", but not {excluded:g}"
        raise ValueError(f"--{name}={value}: must be from 0 to 1{rest}")
