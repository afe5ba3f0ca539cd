"""Commands, one file each: its docstring is its help, `main` runs it.

Importing this package loads TensorFlow, whose start-up noise can only be silenced
before any tool imports it; but for `python -m youtube8m.tools.NAME --help`.
"""

from youtube8m.cli.startup import load_tensorflow, print_stored_help
from youtube8m.cli.stored_help import module_to_run

if module_to_run().startswith(f"{__name__}."):
    print_stored_help(module_to_run())
load_tensorflow()
