"""The small commands that list things."""

import pytest

from youtube8m import models
from youtube8m.errors import UserError
from youtube8m.models.base import CLASSIFIERS, ENCODERS, LABEL_PROCESSING
from youtube8m.tools import models as tool


def every_model():
    """All have the papers' sizes here, so three are quick."""
    for name in (*ENCODERS, *CLASSIFIERS):
        quick = name in ("LstmModel", "LogisticModel", "MlpModel")
        yield pytest.param(name, marks=[] if quick else [pytest.mark.slow])


@pytest.mark.parametrize("name", every_model())
def test_every_model_is_listed_with_its_source_and_size(name):
    row = tool.row(name)
    assert row["source"] and row["what it is"]
    assert int(row["parameters"].replace(",", "")) > 0


def test_what_a_model_needs_is_said():
    assert tool.row("LogisticModel")["input"] == "a vector per video"
    assert tool.row("SplitBiLSTMAttention")["input"] == "frames, two modalities"
    assert "--vocabulary_file" in tool.row("MultiAttentionBiLSTM")["input"]
    assert tool.row("CrossModalAutoencoder")["input"] == "frames, no labels"


def test_every_model_can_be_imported_from_the_package():
    assert {*ENCODERS, *CLASSIFIERS, *LABEL_PROCESSING} <= set(models.__all__)


def test_the_rows_of_named_models_are_listed(capsys):
    tool.main("LogisticModel", "MoeModel")
    header, *rows = capsys.readouterr().out.partition("\n\n")[0].splitlines()
    assert header.startswith("--model")
    assert [row.split()[0] for row in rows] == ["LogisticModel", "MoeModel"]
    with pytest.raises(UserError, match="model: .*did you mean LstmModel"):
        tool.main("LstmModell")
