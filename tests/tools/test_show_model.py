"""models show NAME, as it is typed."""

import re

import pytest

from tests.helpers import processes
from tests.helpers.scripts import assert_one_line

SIZES = ("--feature_sizes=12,4", "--max_frames=5", "--num_classes=9")


def show(*arguments, **values):
    command = ("-m", "youtube8m.tools.models", "show", *arguments)
    return processes.forked(*command, **values)


def test_flags_change_the_sizes_of_the_reported_row():
    text = show("LstmModel", "--lstm_cells=7", "--lstm_layers=1", *SIZES).stdout
    assert "x = h of the top layer after the last real frame" in text
    assert re.search(r"--lstm_cells=7 +Units of each LSTM layer", text)
    assert re.search(r"^  frames +\[1, 5, 16\]$", text, re.MULTILINE)
    assert re.search(r"^  descriptor +\[1, 7\]$", text, re.MULTILINE)
    each = 6 * 2 * 4 * 7 * (16 + 7)
    assert re.search(rf"encoder +LstmModel +{4 * 7 * 24:,} +{each:,}\n", text)
    assert "zou2017-prototype" in text and "--preset=" not in text


def test_a_model_that_uses_verticals_needs_no_file():
    text = show("PerVerticalModel", "--feature_sizes=12,4", "--num_classes=50").stdout
    assert re.search(r"^  predictions +\[1, 50\]$", text, re.MULTILINE)


OWN = """
import keras
from youtube8m.layers.pooling import masked_mean
from youtube8m.models.base import ENCODERS, FrameEncoder

@ENCODERS.register
class OwnPool(FrameEncoder):
    def __init__(self, own_units: int = 8, **kwargs):
        super().__init__(**kwargs)
        self.dense = keras.layers.Dense(own_units)

    def call(self, frames, frame_mask, training=False):
        return self.dense(masked_mean(frames, frame_mask))
"""


def test_a_model_of_ones_own(tmp_path):
    (tmp_path / "own.py").write_text(OWN)
    own = (f"--import={tmp_path}/own.py", "--own_units=3")
    text = show("OwnPool", *own, *SIZES).stdout
    assert re.search(r"encoder +OwnPool +51 +96\n", text)


def test_an_unknown_name_is_one_line():
    log = show("LstmModle", status=1).stderr
    assert_one_line(log, "there is no 'LstmModle'; did you mean LstmModel")
    log = processes.forked("-m", "youtube8m.tools.models", "list", status=1).stderr
    assert_one_line(log, "model: there is no 'list'")


@pytest.mark.slow
def test_the_reported_size_is_the_default():
    text = show("LstmModel").stdout
    assert re.search(r"^  descriptor +\[1, 1,024\]$", text, re.MULTILINE)
    assert re.search(r"^  frames +\[1, 300, 1,152\]$", text, re.MULTILINE)
