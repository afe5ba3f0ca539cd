"""Fields of configurations: each is a flag, and is checked where it is built.

@dataclasses.dataclass(frozen=True)
class AverageConfig:
    last: int = flag(5, "Checkpoints to average, the newest ones.")

    def __post_init__(self):
        require_positive(self, "last")
"""

import dataclasses
from typing import Any

from youtube8m.errors import UserError


def flag(default: Any, help: str) -> Any:
    """A field that becomes a flag of the same name."""
    return dataclasses.field(default=default, metadata={"help": help})


def split_list(value: Any) -> tuple[str, ...]:
    """'rgb, audio' -> ('rgb', 'audio'); blanks after commas are accepted."""
    if isinstance(value, str):
        value = value.split(",")
    return tuple(str(item).strip() for item in value if str(item).strip())


def require(condition: bool, message: str) -> None:
    if not condition:
        raise UserError(message)


def require_given(config: Any, *names: str) -> None:
    """Raises UserError if one of these fields is empty: the flag must be given."""
    helps = {f.name: f.metadata.get("help") for f in dataclasses.fields(config)}
    for name in names:
        require(
            bool(getattr(config, name).strip(", ")),
            f"--{name} is empty, but needed: {helps[name]}",
        )


def require_not_negative(config: Any, *names: str) -> None:
    """Raises UserError if one of these fields is below 0."""
    for name in names:
        value = getattr(config, name)
        require(value >= 0, f"--{name}={value}: must not be negative")


def require_positive(config: Any, *names: str) -> None:
    """Raises UserError unless these fields are above 0, or None."""
    for name in names:
        value = getattr(config, name)
        require(
            value is None or value > 0,
            f"--{name}={value}: must be greater than 0",
        )
