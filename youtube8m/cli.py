"""Starting a command: quiet libraries, plain log lines, errors without a trace.

    if __name__ == "__main__":
        cli.run("youtube8m.commands.train")

Imports nothing heavy itself, because it must act before TensorFlow is loaded.
"""

import contextlib
import importlib
import os
import sys


def run(module_name: str) -> None:
    """Imports a module that defines flags and `main()`, and runs it."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    os.environ["KERAS_BACKEND"] = "tensorflow"
    with _silenced_stderr():  # these lines heed no setting
        import tensorflow as tf

        tf.config.list_physical_devices()
    tf.get_logger().setLevel("WARNING")
    from absl import app, logging

    module = importlib.import_module(module_name)
    logging.use_absl_handler()
    logging.set_verbosity(logging.INFO)
    logging.get_absl_handler().setFormatter(None)
    app.run(lambda argv: _guarded(module.main, argv))


def _guarded(main, argv):
    from youtube8m.errors import UserError

    if len(argv) > 1:
        print(
            f"error: {argv[1]!r} is no flag; quote globs, and write --flag=value",
            file=sys.stderr,
        )
        sys.exit(1)
    try:
        main()
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        sys.exit(130)


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
