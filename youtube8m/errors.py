"""The exception for mistakes that a user can correct, and its wording."""

import difflib
import re
from collections.abc import Iterable

# What TensorFlow says besides: which of its operations failed, and where it ran.
_OF_TENSORFLOW = re.compile(r"\{\{\w+ [^}]*\}\}:? ?| \[Op:\w+\].*")


class OneLineError(ValueError):
    """An error of one line: line breaks in its message become blanks."""

    def __init__(self, message: str):
        super().__init__(" ".join(message.splitlines()))


class UserError(OneLineError):
    """A mistake of the user, described in one line.

    The message names the flag or file, what was found, what was expected and what
    to do. Commands print it alone, without a stack trace, and exit with status 1.
    """


def reason(error: Exception) -> str:
    """The first line of an error's message, without codes and stack traces."""
    words = getattr(error, "strerror", None) or getattr(error, "message", error)
    first = str(words).strip().partition("\n")[0]
    return _OF_TENSORFLOW.sub("", first).strip() or type(error).__name__


def unknown_name(kind: str, name: str, known: Iterable[str]) -> UserError:
    """The error for a `name` that is not among `known`; it names similar ones."""
    known = sorted(known)
    by_folded = {candidate.lower(): candidate for candidate in known}
    near = difflib.get_close_matches(name.lower(), by_folded, n=3, cutoff=0.5)
    hint = f"known are {', '.join(known)}"
    if near:
        hint = f"did you mean {' or '.join(by_folded[n] for n in near)}?"
    return UserError(f"{kind}: there is no {name!r}; {hint}")
