"""The folder of real records."""

import os

from tests.helpers.processes import ROOT

DATA = os.environ.get("YT8M_DATA", os.path.join(ROOT, "..", "shared", "data"))

if os.environ.get("YT8M_DATA") and not os.path.isdir(DATA):
    raise NotADirectoryError(f"YT8M_DATA={DATA}: holds no real records")
