"""What .keras files call the layers."""

import keras
import pytest

from youtube8m import models  # noqa: F401 - its modules register them


@pytest.mark.parametrize(
    "name",
    [
        *("AttentionPooling", "BatchNorm", "BidirectionalStack", "ContextGating"),
        *("LayerNormLSTM", "LayerNormLSTMCell", "NormalizedFeatures", "SampleFrames"),
        "Stack",
    ],
)
def test_saved_files_name_layers_whatever_module_they_are_in(name):
    cls = keras.saving.get_registered_object(f"youtube8m>{name}")
    assert cls.__name__ == name
    assert keras.saving.get_registered_name(cls) == f"youtube8m>{name}"
