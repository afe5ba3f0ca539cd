"""Features of one's own videos.

    extractor = FeatureExtractor(image_model="yt8m", sound=True)
    extractor.extract_file("my.mp4").rgb          # float32 [T, 1024]

`tools.extract_features` writes them as records. `Vggish` needs no TensorFlow.
"""

import importlib

_MODULES = {
    "FeatureExtractor": "youtube8m.extraction.extractor",
    "VideoFeatures": "youtube8m.extraction.extractor",
    "Vggish": "youtube8m.extraction.vggish",
}
__all__ = [*_MODULES]


def __getattr__(name: str):
    """The classes, whose modules import TensorFlow or not."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_MODULES[name]), name)
