"""The record of a video: the format of the starter code's extractor.

Context: labels, id, and mean_rgb and mean_audio, floats of the frames before they
become bytes. Feature lists: rgb and audio, a byte string a frame.
"""

import numpy as np
import tensorflow as tf

from youtube8m.data.writing.records import frame_example, quantize
from youtube8m.extraction.config import FeatureConfig
from youtube8m.extraction.extractor import VideoFeatures
from youtube8m.extraction.vggish import EMBEDDING
from youtube8m.extraction.video_lists import Video
from youtube8m.extraction.whitening import quantize_rounding

AUDIO = "audio"


def make_record(
    video: Video, features: VideoFeatures, config: FeatureConfig
) -> tf.train.SequenceExample:
    """The record of a video whose features were extracted.

    Bytes of images are rounded, as by the starter code; those of sound are truncated,
    as by VGGish's. Floats are stored as the bytes of float16, little-endian.
    """
    floats = {config.image_feature_key: features.rgb}
    frames = {
        config.image_feature_key: _encode(features.rgb, quantize_rounding, config)
    }
    if features.audio is not None:
        floats[AUDIO] = features.audio
        frames[AUDIO] = _encode(features.audio, quantize, config)
    elif config.insert_zero_audio_features:
        floats[AUDIO] = np.zeros((len(features.rgb), EMBEDDING), np.float32)
        width = EMBEDDING if config.feature_dtype == "uint8" else 2 * EMBEDDING
        frames[AUDIO] = np.zeros((len(features.rgb), width), np.uint8)
    if config.skip_frame_level_features:
        frames = {}
    id_key = config.video_file_feature_key
    example = frame_example(video.id, None, frames, video.segments, id_key)
    context = example.context.feature
    if video.labels is not None:
        context[config.labels_feature_key].int64_list.value.extend(video.labels)
    for name, values in floats.items():
        context[f"mean_{name}"].float_list.value.extend(values.mean(axis=0))
    return example


def _encode(values, to_bytes, config):
    """float32 [T, D] -> uint8 [T, D], or [T, 2 D] of float16."""
    if config.feature_dtype == "uint8":
        return to_bytes(values)
    limit = np.finfo(np.float16).max
    return values.clip(-limit, limit).astype("<f2").view(np.uint8)
