"""Writes what --help alone prints into youtube8m/cli/help_texts.

    python docs/write_help.py    # in the root of the repository

Commands print these files without loading TensorFlow.
"""

import importlib
import os
import pkgutil

from youtube8m import cli, tools
from youtube8m.cli import help, stored_help
from youtube8m.util.files import replacing


def main() -> None:
    """Writes the files that are not up to date, and prints their paths."""
    stored_help.FOLDER.mkdir(exist_ok=True)
    names = [module.name for module in pkgutil.iter_modules(tools.__path__)]
    for path in stored_help.FOLDER.glob("*.txt"):
        if path.stem not in names:
            path.unlink()
    for name in names:
        # Each in a process of its own, because all flags are defined in one place.
        if not os.fork():
            _write(name)
            os._exit(0)
        os.wait()


def _write(name):
    path = stored_help.FOLDER / f"{name}.txt"
    purpose = importlib.import_module(f"{tools.__name__}.{name}").__doc__
    text = help.text(purpose, [name]) + "\n"
    if not path.exists() or path.read_text("utf-8") != text:
        with replacing(str(path)) as file:
            file.write(text)
        print(path, flush=True)


if __name__ == "__main__":
    cli.run(main)
