"""The Python that runs Keras' other backends."""

import os
import subprocess
import sys

from tests.helpers.processes import LIMIT

PYTHON = os.environ.get("YT8M_BACKEND_PYTHON", sys.executable)


def has(module):
    check = f"from importlib.util import find_spec; assert find_spec({module!r})"
    command = [PYTHON, "-c", check]
    return subprocess.run(command, capture_output=True, timeout=LIMIT).returncode == 0
