"""Starting a command: quiet libraries, plain log lines, errors without a trace.

cli.run("youtube8m.tools.train")       # of a script: imports the tool
cli.run(main)                          # the last line of a tool
main()                                 # `youtube8m train ...`
"""

import ast
import atexit
import contextlib
import importlib
import logging
import os
import pathlib
import pkgutil
import re
import signal
import sys
import threading
from collections.abc import Callable

from youtube8m.cli import stored_help
from youtube8m.errors import UserError, reason, unknown_name

_PACKAGE = pathlib.Path(os.path.abspath(__file__)).parents[1]
_status: int | None = None  # of the command that ended last


def run(command: str | Callable[..., None]) -> None:
    """Runs a tool: a module's name, or the `main` of the module that is started.

    The module defines flags, and has a docstring, which --help prints. If it has
    `COMMANDS`, the first argument must be one of them, and goes to `main`;
    `COMMANDS = None` leaves all arguments to `main`.
    """
    atexit.register(_end_process, sys.modules["__main__"])  # so that it runs last
    if isinstance(command, str):
        print_stored_help(command)
    load_tensorflow()
    _prepare_streams()
    from absl import app
    from absl import logging as absl_logging

    if isinstance(command, str):
        command = importlib.import_module(command).main
    tool = command.__globals__
    absl_logging.use_absl_handler()
    absl_logging.set_verbosity(absl_logging.INFO)
    handler = absl_logging.get_absl_handler()
    handler.setFormatter(None)
    handler.addFilter(_is_ours_or_serious)
    logging.getLogger("tensorflow").handlers.clear()  # it would say things twice
    purpose = sys.modules["__main__"].__doc__ = tool["__doc__"]  # for --helpfull
    in_main_thread = threading.current_thread() is threading.main_thread()
    if in_main_thread:
        before = signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    commands, status = tool.get("COMMANDS", ()), 0

    def execute(argv):
        check_arguments(argv[1:], commands)
        command(*argv[1:])

    try:
        app.run(
            lambda argv: _guarded(execute, argv),
            flags_parser=lambda argv: _guarded(_parse, argv, purpose),
        )
    except SystemExit as stop:
        status = stop.code
    except BaseException:
        sys.excepthook(*sys.exc_info())
        status = 1
    if in_main_thread:
        signal.signal(signal.SIGTERM, before)
    _leave(status)


def main() -> None:
    """The console commands: `youtube8m NAME --flags`, or `youtube8m-NAME --flags`."""
    folder = _PACKAGE / "tools"
    names = [module.name for module in pkgutil.iter_modules([str(folder)])]
    program, *arguments = sys.argv
    start, _, command = pathlib.Path(program).stem.partition("-")
    if start != "youtube8m" or not command:
        command, *arguments = arguments or ["--help"]
    name = command.replace("-", "_")
    if name in names:
        sys.argv = [f"youtube8m {name}", *arguments]
        run(f"youtube8m.tools.{name}")
    elif not command.startswith("-"):
        sys.exit(f"error: {unknown_name('command', command, names)}")
    else:
        for name in names:
            source = (folder / f"{name}.py").read_text("utf-8")
            purpose = ast.get_docstring(ast.parse(source))
            print(f"youtube8m {name}\n    {purpose.partition(chr(10))[0]}")
        sys.exit(1)


def print_stored_help(module: str) -> None:
    """Ends a command that was asked for --help alone, without loading TensorFlow.

    Args:
      module: of the tool, "youtube8m.tools.train".
    """
    text = stored_help.find(module.rpartition(".")[2], sys.argv)
    if text is not None:
        _prepare_streams()
        try:
            _guarded(lambda: print(text, end=""))
        except SystemExit as stop:  # of a closed pipe
            _leave(stop.code)
        _leave(1)


def load_tensorflow() -> None:
    """Imports TensorFlow, Keras' backend here, without its lines about processors."""
    # Errors that matter come as exceptions; the rest is about processor features.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    with _silenced_stderr(), _keras_defaults():  # these lines heed no setting
        import tensorflow as tf
        from keras import config

        # A session may have imported Keras before, with the settings of keras.json.
        config.set_floatx("float32")
        config.set_epsilon(1e-7)
        config.set_image_data_format("channels_last")
        with contextlib.suppress(RuntimeError):  # they are in use already
            for device in tf.config.list_physical_devices("GPU"):
                # Only as it is needed, so that commands run beside one another.
                tf.config.experimental.set_memory_growth(device, True)


def _parse(argv, purpose):
    """As absl parses flags, behind --import, whose classes define some, and --help."""
    from absl import app

    from youtube8m.cli import flags, help

    flags.import_modules(argv)
    if any(map(stored_help.is_help, argv[1:])):
        print(help.text(purpose, argv))
        sys.exit(1)
    return app.parse_flags_with_usage(argv)


def _leave(status):
    """Raises SystemExit, after which the interpreter ends, or a session goes on."""
    global _status
    _status = int(bool(status)) if isinstance(status, str) else status or 0
    for number in (signal.SIGINT, signal.SIGTERM):
        # TensorFlow's exit functions, which remove files in /tmp, run to their end.
        atexit.register(signal.signal, number, signal.SIG_IGN)
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:  # the reader of a pipe has gone: nothing more is written
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
    sys.exit(status)


def _end_process(main_module):
    """Ends a process that only ran a command, as the last exit function.

    To free the interpreter beside TensorFlow's threads may take for ever. A session, or
    a user's script that ran a command, ends as it likes.
    """
    path = pathlib.Path(os.path.abspath(getattr(main_module, "__file__", "")))
    is_script = path.parent in (_PACKAGE.parent, _PACKAGE / "tools")
    is_command = is_script or path.stem.partition("-")[0] == "youtube8m"
    same = sys.modules["__main__"] is main_module
    if is_command and same and _status is not None:
        with contextlib.suppress(OSError, ValueError):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(_status)


def _is_ours_or_serious(record):
    """Keeps TensorFlow's chatter, logged through absl too, out of our lines."""
    return record.levelno > logging.INFO or record.pathname.startswith(str(_PACKAGE))


def _guarded(call, *arguments):
    """Calls a function; a mistake of the user ends the process in one line."""
    try:
        return call(*arguments)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(1)
    except BrokenPipeError:  # `| head` has seen enough
        sys.exit(128 + signal.SIGPIPE)
    except OSError as error:
        if error.filename is None:  # which tells a user nothing: a bug, for all we know
            raise
        logging.getLogger("absl").debug("", exc_info=True)  # with --verbosity=1
        print(f"error: {error.filename}: {error.strerror}", file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        sys.exit(130)
    except Exception as error:
        if not (what := _missing_memory(error)):
            raise
        logging.getLogger("absl").debug("", exc_info=True)
        advice = "give a smaller --batch_size, or a smaller model"
        print(f"error: there is too little memory ({what}); {advice}", file=sys.stderr)
        sys.exit(1)


def _missing_memory(error):
    """What an error says of the memory that is missing; "" of other errors."""
    if isinstance(error, MemoryError):
        return reason(error)
    import tensorflow as tf

    if not isinstance(error, tf.errors.ResourceExhaustedError):
        return ""
    wanted = re.search(r"OOM when allocating tensor with shape\[.*?\]", error.message)
    return wanted[0] if wanted else reason(error)


def check_arguments(arguments, commands) -> None:
    """Raises UserError unless they are one of `commands`: () allows none, None any."""
    if commands is None:
        return
    extra = arguments[1:] if commands else arguments
    if commands and not arguments:
        raise UserError(f"name a sub-command: {', '.join(commands)}")
    if commands and arguments[0] not in commands:
        raise unknown_name("sub-command", arguments[0], commands)
    if extra:
        raise UserError(f"{extra[0]!r} is no flag; quote globs, and write --flag=value")


def _prepare_streams():
    """Makes standard output and error take any text."""
    _open_streams()
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(AttributeError):  # a notebook's own
            stream.reconfigure(errors="backslashreplace")  # names may not be UTF-8


def _open_streams():
    """Opens standard output and error where the caller has closed them."""
    for descriptor, name in ((1, "stdout"), (2, "stderr")):
        if getattr(sys, name) is None:
            nowhere = os.open(os.devnull, os.O_WRONLY)
            if nowhere != descriptor:
                os.dup2(nowhere, descriptor)
                os.close(nowhere)
            setattr(sys, name, os.fdopen(descriptor, "w"))


@contextlib.contextmanager
def _keras_defaults():
    """Hides the user's settings of Keras, which would change a command or stop it.

    They are in variables, and in keras.json of a directory that is none here.
    """
    names = [name for name in os.environ if name.startswith("KERAS_")]
    given = {name: os.environ.pop(name) for name in names}
    os.environ["KERAS_HOME"] = os.devnull
    os.environ["KERAS_BACKEND"] = "tensorflow"
    try:
        yield
    finally:
        del os.environ["KERAS_HOME"]
        os.environ.update({**given, "KERAS_BACKEND": "tensorflow"})


@contextlib.contextmanager
def _silenced_stderr():
    """Sends what C++ writes to standard error to nowhere."""
    _open_streams()
    sys.stderr.flush()
    saved = os.dup(2)
    with open(os.devnull, "wb") as nowhere:
        os.dup2(nowhere.fileno(), 2)
    try:
        yield
    finally:
        os.dup2(saved, 2)
        os.close(saved)
