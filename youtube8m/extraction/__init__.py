"""Features of one's own videos.

    extractor = FeatureExtractor(image_model="yt8m", sound=True)
    extractor.extract_file("my.mp4").rgb          # float32 [T, 1024]

`tools.extract_features` writes them as records.
"""

from youtube8m.extraction.extractor import FeatureExtractor, VideoFeatures
from youtube8m.extraction.vggish import Vggish

__all__ = ["FeatureExtractor", "VideoFeatures", "Vggish"]
