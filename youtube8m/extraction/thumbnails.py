"""Small pictures of a video, one for each of its segments, as JPEG.

pictures = read_thumbnails("my.mp4", starts=[0, 5, 10], seconds=5)
"""

import fractions
from collections.abc import Sequence

import numpy as np

from youtube8m.extraction.media import import_av, open_media

_WIDTH = 160  # pixels


def read_thumbnails(path: str, starts: Sequence[float], seconds: float) -> list[bytes]:
    """A frame from the middle of each segment, or the last one before that.

    Args:
      starts: when segments begin, in seconds, `seconds` apart.

    Raises VideoError if the file cannot be read.
    """
    if not len(starts):
        return []
    pictures, times = [], []
    with open_media(path) as media:
        # Two of each segment: at its start and in the middle.
        images = media.read_images(2 / seconds, 2 * len(starts))
        for number, image in enumerate(images):
            pictures.append(_encode(image))
            times.append(media.times[number])
    middles = np.asarray(starts) + seconds / 2
    chosen = np.searchsorted(times, middles + 1e-3, side="right") - 1
    return [pictures[max(0, number)] for number in chosen]


def _encode(image: np.ndarray) -> bytes:
    """uint8 [height, width, 3] as a small JPEG."""
    av = import_av()
    height, width = image.shape[:2]
    size = (_WIDTH, max(2, round(height * _WIDTH / width / 2) * 2))
    frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format="rgb24")
    frame = frame.reformat(*size, format="yuvj420p")
    codec = av.CodecContext.create("mjpeg", "w")
    codec.width, codec.height = size
    codec.pix_fmt, codec.time_base = "yuvj420p", fractions.Fraction(1, 25)
    packets = [*codec.encode(frame), *codec.encode(None)]
    return b"".join(map(bytes, packets))
