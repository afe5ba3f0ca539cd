"""Commands, one file each: its docstring is its help, `main` runs it.

Importing this package loads TensorFlow, whose start-up noise can only be silenced
before any tool imports it.
"""

from youtube8m.cli.startup import load_tensorflow

load_tensorflow()
