"""Cutting whole videos into five-second segments.

segments, lengths, videos, starts = split_segments(batch["frames"], batch["num_frames"])
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
    frames, num_frames = np.asarray(frames), np.asarray(num_frames, np.int32)
    batch, length, features = frames.shape
    frames = np.pad(frames, ((0, 0), (0, -length % size), (0, 0)))
    segments = frames.reshape(batch, -1, size, features)
    starts = np.arange(0, frames.shape[1], size, dtype=np.int32)
    videos, numbers = np.nonzero(starts < num_frames[:, None])
    lengths = np.minimum(num_frames[videos] - starts[numbers], size)
    return segments[videos, numbers], lengths, videos.astype(np.int32), starts[numbers]


def split_videos(batch: dict, size: int = SEGMENT_FRAMES):
    """All segments of a batch of videos.

    Returns:
      the batch of segments: arrays of frames as `split_segments`, vectors of a video
      for each of its segments, `num_frames`; and video and first frame of each segment,
      int32 [S].
    """
    arrays = {k: np.asarray(v) for k, v in batch.items() if k.startswith("frames")}
    segments = {}
    for name, frames in arrays.items():
        if frames.ndim == 3:
            found = split_segments(frames, batch["num_frames"], size)
            segments[name], lengths, videos, starts = found
    for name, vectors in arrays.items():
        if vectors.ndim == 2:
            segments[name] = vectors[videos]
    return {**segments, "num_frames": lengths}, videos, starts
