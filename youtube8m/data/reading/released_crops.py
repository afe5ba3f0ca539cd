"""Crops of frames as the released code of Zou et al. 2017 makes them."""

import numpy as np

from youtube8m import schema
from youtube8m.data.reading import dtypes, frame_sampling
from youtube8m.data.reading.frame_decoding import FrameDecoder
from youtube8m.data.writing.records import dequantize


class ReleasedCropDecoder(FrameDecoder):
    """Crops as the released code of Zou et al. 2017 makes them, which differ:

    - in training the start is drawn for each feature, so that they are some seconds
      apart;
    - --frame_sampling=crop: all videos have --crop_frames frames, zeros after the end;
    - --frame_sampling=interval: a video has as many frames as its first feature; other
      features are cut or filled with zeros.

    No byte stands for zero, so `frames` are float32, bytes dequantised.
    """

    def _sample(self, rows, draw, start):
        """The crops of each feature, dequantised: the bytes of float32 [T, d]."""
        draws = [None] * len(rows)
        if draw is not None:
            draws = frame_sampling.draws(draw, range(len(rows))).tolist()
        parts = zip(rows, draws, strict=True)
        sample = super()._sample
        parts = [part for row, own in parts for part in sample([row], own, start)]
        is_crop = self.config.frame_sampling == "crop"
        length = self.config.crop_frames if is_crop else len(parts[0])
        crops = []
        for feature, part in zip(self._features, parts, strict=False):
            crop = np.zeros((length, feature.size), np.float32)
            values = dtypes.as_values(part[:length], feature.dtype)
            is_bytes = feature.stored == schema.BYTES
            crop[: len(part)] = dequantize(values) if is_bytes else values
            crops.append(crop.view(np.uint8))
        return crops
