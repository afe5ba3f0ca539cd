"""Fields of configurations: each is a flag, and is checked where it is built.

@dataclasses.dataclass(frozen=True)
class AverageConfig(Config):
    train_dir: str = flag("", "Directory that train.py wrote.", NEEDED)
    last: int = flag(5, "Checkpoints to average, the newest ones.")
"""

import dataclasses
import numbers
import os
from collections.abc import Iterable
from typing import Any

from youtube8m.errors import UserError
from youtube8m.util.files import find_files, require_other_file, split_paths

# Rules of fields; see `flag`.
NEEDED, POSITIVE, NOT_NEGATIVE, ANY = "needed", "positive", "not negative", "any"


def flag(default: Any, help: str, rule: str | tuple[str, ...] = POSITIVE) -> Any:
    """A field that becomes a flag of the same name.

    Args:
      rule: what a `Config` requires. Of a text: that it is NEEDED, or the choices. Of a
        number: POSITIVE, NOT_NEGATIVE or ANY. None, where it may be given, passes.
    """
    return dataclasses.field(default=default, metadata={"help": help, "rule": rule})


class Config:
    """Base of dataclasses that check their fields; UserErrors name the flag."""

    def __post_init__(self):
        for field in dataclasses.fields(self):
            value, rule = getattr(self, field.name), field.metadata.get("rule")
            given = f"--{field.name}={value}"
            if rule == NEEDED:
                require_given(self, field.name)
            elif isinstance(rule, tuple):
                require(value in rule, f"{given}: must be one of {', '.join(rule)}")
            elif isinstance(value, numbers.Real) and not isinstance(value, bool):
                require(value == value, f"{given}: is no number")
                if rule == POSITIVE:
                    require(value > 0, f"{given}: must be greater than 0")
                elif rule == NOT_NEGATIVE:
                    require(value >= 0, f"{given}: must not be negative")


def split_list(value: Any) -> tuple[str, ...]:
    """'rgb, audio' -> ('rgb', 'audio'); blanks after commas are accepted."""
    if isinstance(value, str):
        value = value.split(",")
    return tuple(str(item).strip() for item in value if str(item).strip())


def require(condition: bool, message: str) -> None:
    """Raises UserError with the message unless the condition holds."""
    if not condition:
        raise UserError(message)


def require_given(config: Any, *names: str) -> None:
    """Raises UserError if one of these fields is empty: the flag must be given."""
    helps = {f.name: f.metadata.get("help") for f in dataclasses.fields(config)}
    for name in names:
        given = bool(getattr(config, name).strip(", "))
        require(given, f"--{name} is empty, but needed: {helps[name]}")


def require_unread(
    config: Any, outputs: Iterable[str], inputs: Iterable[str], read: Iterable[str] = ()
) -> None:
    """Raises UserError if a file to be written is read, too, or written twice.

    Args:
      outputs: fields of the files to be written, which may be empty.
      inputs: fields of paths and globs, alone or comma-separated.
      read: further paths that are read.
    """
    globs = [glob for name in inputs for glob in split_paths(getattr(config, name))]
    known = {*read}.union(*map(find_files, globs))
    written: dict[str, str] = {}
    for name in outputs:
        if path := getattr(config, name):
            require_other_file(path, f"--{name}", known)
            target = os.path.realpath(os.path.expanduser(path))
            other = written.setdefault(target, name)
            is_file = os.path.isfile(target) or not os.path.exists(target)
            wrong = f"--{name}={path}: is --{other}, too; name another file"
            require(other == name or not is_file, wrong)  # /dev/null takes both
