"""Starting a command: quiet libraries, plain log lines, errors without a trace.

    from youtube8m import cli

    if __name__ == "__main__":
        cli.run("youtube8m.tools.train")  # imports this module again, by its name

    import tensorflow as tf ...

A tool's first lines: what loads TensorFlow comes behind them, because its start-up
noise can only be silenced from outside.
"""

import atexit
import contextlib
import importlib
import logging
import os
import signal
import sys


def run(module_name: str) -> None:
    """Imports a module that defines flags and `main()`, and runs it.

    If it has `COMMANDS`, the first argument must be one of them, and goes to `main`;
    `COMMANDS = None` leaves all arguments to `main`.
    """
    # Errors that matter come as exceptions; the rest is about processor features.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ["KERAS_BACKEND"] = "tensorflow"
    with _silenced_stderr():  # these lines heed no setting
        import tensorflow as tf

        for device in tf.config.list_physical_devices("GPU"):
            # Only as it is needed, so that commands run beside one another.
            tf.config.experimental.set_memory_growth(device, True)
    from absl import app
    from absl import logging as absl_logging

    module = importlib.import_module(module_name)
    absl_logging.use_absl_handler()
    absl_logging.set_verbosity(absl_logging.INFO)
    handler = absl_logging.get_absl_handler()
    handler.setFormatter(None)
    handler.addFilter(_is_ours_or_serious)
    logging.getLogger("tensorflow").handlers.clear()  # it would say things twice
    _list_our_flags(module)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    commands = getattr(module, "COMMANDS", ())
    status = 0
    try:
        app.run(lambda argv: _guarded(module.main, argv[1:], commands))
    except SystemExit as stop:
        status = stop.code
    except BaseException:
        sys.excepthook(*sys.exc_info())
        status = 1
    _leave(status)


def _leave(status):
    """Ends the process without tearing the interpreter down.

    A tf.data pipeline that is still running then waits for ever: its Python functions
    for the interpreter, which frees the iterator, which waits for the functions.
    """
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)  # it is ending
    if isinstance(status, str):
        print(status, file=sys.stderr)
        status = 1
    atexit._run_exitfuncs()  # which remove TensorFlow's files in /tmp
    with contextlib.suppress(OSError):  # the reader of a pipe has gone
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(status or 0)


def _list_our_flags(module):
    """Makes --help list the flags of the whole package, under the tool's docstring."""
    from absl import flags

    sys.modules["__main__"].__doc__ = module.__doc__
    for name, defined in flags.FLAGS.flags_by_module_dict().items():
        if name.startswith("youtube8m"):
            for flag in defined:
                flags.FLAGS.register_key_flag_for_module(sys.argv[0], flag)


def _is_ours_or_serious(record):
    """Keeps TensorFlow's chatter, logged through absl too, out of our lines."""
    ours = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))  # youtube8m/
    return record.levelno > logging.INFO or record.pathname.startswith(ours)


def _guarded(main, arguments, commands):
    from youtube8m.errors import UserError

    try:
        _check(arguments, commands)
        main(*arguments)
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


def _check(arguments, commands):
    """Raises UserError unless the arguments are one of `commands`, if there are any."""
    if commands is None:
        return
    from youtube8m.errors import UserError, unknown_name

    extra = arguments[1:] if commands else arguments
    if commands and not arguments:
        raise UserError(f"name a sub-command: {', '.join(commands)}")
    if commands and arguments[0] not in commands:
        raise unknown_name("sub-command", arguments[0], commands)
    if extra:
        raise UserError(f"{extra[0]!r} is no flag; quote globs, and write --flag=value")


@contextlib.contextmanager
def _silenced_stderr():
    """Sends what C++ writes to standard error to nowhere."""
    sys.stderr.flush()
    saved = os.dup(2)
    with open(os.devnull, "wb") as nowhere:
        os.dup2(nowhere.fileno(), 2)
    try:
        yield
    finally:
        os.dup2(saved, 2)
        os.close(saved)
