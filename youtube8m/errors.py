"""One exception for what a user can put right, and help in wording it."""

import difflib
from collections.abc import Iterable


class OneLineError(ValueError):
    """Its message is one line, even if names or others' messages in it have several."""

    def __init__(self, message: str):
        super().__init__(" ".join(message.splitlines()))


class UserError(OneLineError):
    """A mistake of the user's, told in one line.

    The message names the flag or file, what was found, what was expected and what
    to do. Commands print it alone, without a stack trace, and exit with status 1.
    """


def reason(error: Exception) -> str:
    """What an error says, in a line: the system's or TensorFlow's words alone."""
    words = getattr(error, "strerror", None) or getattr(error, "message", error)
    return str(words).strip().partition("\n")[0] or type(error).__name__


def unknown_name(kind: str, name: str, known: Iterable[str]) -> UserError:
    """The error for a `name` that is not among `known`, with the nearest ones."""
    known = sorted(known)
    by_folded = {candidate.lower(): candidate for candidate in known}
    near = difflib.get_close_matches(name.lower(), by_folded, n=3, cutoff=0.5)
    hint = (
        f"did you mean {' or '.join(by_folded[n] for n in near)}?"
        if near
        else f"known are {', '.join(known)}"
    )
    return UserError(f"{kind}: there is no {name!r}; {hint}")
