"""JSON from files and settings that people write, copy and damage.

step = parse_json('{"step": 7}', lambda row: row["step"])
values = read_json("training_flags.json")
"""

import json
from collections.abc import Callable
from typing import Any

from youtube8m.errors import UserError, reason
from youtube8m.util.text_files import read_bytes

# What Python raises where values have another type or range than a function expects.
_ERRORS = (ValueError, TypeError, LookupError, AttributeError, OverflowError)


class JsonError(ValueError):
    """The text is not JSON, or its value is not of the form that is needed."""


def parse_json(text: str | bytes, convert: Callable[[Any], Any] | None = None) -> Any:
    """The value of a JSON text, or what `convert` makes of it.

    Raises JsonError if the text is not JSON, or `convert` fails in any way because the
    value has another form than it expects. Its UserErrors are passed on.
    """
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise JsonError(f"not JSON ({reason(error)})") from None
    try:
        return convert(value) if convert else value
    except UserError:
        raise
    except _ERRORS as error:
        raise JsonError(reason(error)) from None


def read_json(path: str, convert: Callable[[Any], Any] | None = None) -> Any:
    """As `parse_json`, of a file. Raises JsonError if it cannot be read, too."""
    try:
        text = read_bytes(path)
    except OSError as error:
        raise JsonError(f"cannot be read ({reason(error)})") from None
    except UserError as error:
        raise JsonError(str(error)) from None
    return parse_json(text, convert)
