"""What --help alone prints, kept in files, because TensorFlow takes seconds to load.

    python docs/write_help.py       # writes the files anew
    text = find("train", sys.argv)  # None, unless --help stands alone

With other flags beside it, which may choose a model, `help` makes the text.
"""

import pathlib
import sys
from collections.abc import Sequence

FOLDER = pathlib.Path(__file__).with_name("help_texts")

_WORDS = ("help", "helpshort", "?")


def is_help(word: str) -> bool:
    """Whether a word of a command line asks for help (--helpfull is absl's own)."""
    return word.startswith("-") and word.lstrip("-") in _WORDS


def find(tool: str, argv: Sequence[str]) -> str | None:
    """The help of a tool, if that alone is asked for and it is kept."""
    path = FOLDER / f"{tool}.txt"
    if len(argv) < 2 or not all(map(is_help, argv[1:])) or not path.exists():
        return None
    return path.read_text("utf-8")


def module_to_run() -> str:
    """The NAME of `python -m NAME`, while its package is imported; else ''."""
    if sys.argv[:1] != ["-m"]:
        return ""
    return sys.orig_argv[-len(sys.argv)].removeprefix("-m")
