"""Cutting whole videos into five-second segments.

frames, lengths, videos, starts = split_segments(frames, num_frames)
"""

import numpy as np

from youtube8m.schema import SEGMENT_FRAMES


def split_segments(frames, num_frames, size: int = SEGMENT_FRAMES):
    """Every run of `size` frames that starts at 0, size, 2 size, ...

    The last segment of a video may be shorter; it keeps its true length and is
    padded with zeros.

    Args:
      frames: [B, T, D]; num_frames: int [B].
    Returns:
      segments [S, size, D], lengths int32 [S], and for each segment its video (row
      of `frames`) and first frame, int32 [S] each.
    """
    frames, num_frames = np.asarray(frames), np.asarray(num_frames)
    batch, length, features = frames.shape
    padding = -length % size
    frames = np.pad(frames, ((0, 0), (0, padding), (0, 0)))
    grid = frames.reshape(batch, -1, size, features)
    starts = np.arange(grid.shape[1]) * size
    videos, places = np.nonzero(starts[None, :] < num_frames[:, None])
    starts = starts[places]
    lengths = np.minimum(num_frames[videos] - starts, size)
    to_int32 = (lengths, videos, starts)
    return grid[videos, places], *(column.astype(np.int32) for column in to_int32)
