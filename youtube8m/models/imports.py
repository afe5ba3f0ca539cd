"""Modules of a user's own, which register models, losses and presets.

    import_module("my_models")                 # or the path of a .py file
    import_classes(run.model, "/tmp/run")      # those of a run, if they are missing

model_flags.json names the modules of a run. It may be another person's, and imported
code can do anything, so this is the rule:

- A directory that was unpacked from an archive starts no code at all, also later.
- No file inside the run's directory is imported: it may have come with the directory.
- Otherwise a module's name is looked up where Python finds it, and a file where its
  absolute path says. Both are what --import named on this machine when it trained.
- What --import names now is imported in any case: the user has chosen it.
"""

import importlib.util
import os
import sys
import traceback

from youtube8m.config import ModelConfig
from youtube8m.errors import UserError, reason
from youtube8m.losses import LOSSES
from youtube8m.models.base import CLASSIFIERS, ENCODERS, LABEL_PROCESSING
from youtube8m.models.preset import import_source, register_presets
from youtube8m.util.files import is_replaced_directory, local_path

# Whose lines are not the user's.
_OTHERS = ("<frozen", importlib.__path__[0], os.path.dirname(os.path.dirname(__file__)))
_imported: set[str] = set()  # paths of files


def import_module(name: str) -> str:
    """Imports a module, or a package with all its modules, if it is not yet.

    Args:
      name: as Python's import takes it, or the path of a .py file.

    Returns the name; of a file its absolute path.
    Raises UserError if it cannot be imported; the message has the file and the line.
    """
    try:
        if not _is_file(name):
            import_source(name)
            return name
        path = local_path(name, "--import")
        if path not in _imported:
            _import_file(path)
        return path
    except UserError:
        raise
    except (Exception, SystemExit) as error:  # whatever the module's code raises
        raise UserError(f"--import={name}: {_reason(error)}") from None


def _is_file(name):
    return name.endswith(".py") or os.sep in name


def _import_file(path):
    """Imports a file under its own name, or a longer one where that is taken."""
    name, _ = os.path.splitext(os.path.basename(path))
    while name in sys.modules:
        name += "_"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None:
        raise UserError(f"--import={path}: not a .py file; name one, or a module")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
        register_presets(module)
    except BaseException:
        del sys.modules[name]
        raise
    _imported.add(path)


def _reason(error):
    """What is wrong, and in which line of the user's code."""
    if isinstance(error, SyntaxError):
        return f"{error.filename}, line {error.lineno}: {error.msg}"
    frames = traceback.extract_tb(error.__traceback__)
    frames = [f for f in frames if not f.filename.startswith(_OTHERS)]
    if not frames and isinstance(error, ModuleNotFoundError):
        return f"{error}; give the path of its file, or add its folder to PYTHONPATH"
    if not frames:
        return reason(error)
    folder = os.path.dirname(frames[0].filename)
    *_, last = (f for f in frames if os.path.dirname(f.filename) == folder)
    return f"{last.filename}, line {last.lineno}: {type(error).__name__}: {error}"


def import_classes(config: ModelConfig, directory: str) -> None:
    """Imports the modules that a run names, unless its classes are registered by now.

    Args:
      directory: the run's, which decides what is imported; see above.

    Raises UserError if a module is not imported; the message says what to give.
    """
    used = {config.model, config.video_level_classifier_model}
    used |= {config.label_processing, config.label_loss}
    if used <= {"", *ENCODERS, *CLASSIFIERS, *LABEL_PROCESSING, *LOSSES}:
        return
    for name in config.imports:
        source = os.path.join(directory, "model_flags.json")
        if is_replaced_directory(directory) or _may_be_from(directory, name):
            raise UserError(
                f"{source}: the run needs --import={name}; code that may have come "
                "with the directory is not run unasked: look at it, and give that flag"
            )
        try:
            import_module(name)
        except UserError as error:
            message = f"{source}: {error}; if it has moved, give --import"
            raise UserError(message) from None


def _may_be_from(directory, name):
    """Whether importing `name` could run a file inside the directory."""
    paths = [name]
    if not _is_file(name):
        try:
            spec = importlib.util.find_spec(name.partition(".")[0])
        except (ImportError, ValueError):
            return True
        paths = [spec.origin, *(spec.submodule_search_locations or ())] if spec else []
    elif not os.path.isabs(name):
        return True
    inside = os.path.join(os.path.realpath(directory), "")
    paths = map(os.path.realpath, filter(None, paths))
    return any(path.startswith(inside) for path in paths)
