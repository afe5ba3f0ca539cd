"""Which frames of a video are read: indices only.

    (draw,) = draws(seed, [number_of_the_record]).tolist()
    chosen = sample(config, length, draw)      # in training
    chosen = sample(config, length)            # fixed: --crop_start, or the middle
    frames = rgb[as_index(chosen)]

A choice is a range, or an array [k] if it is irregular. It has at least one frame. All
features of a video get the same frames.
"""

import functools

import numpy as np

from youtube8m.config import DataConfig
from youtube8m.util import frame_indices


def draws(seed: int, numbers) -> np.ndarray:
    """int64 [n]: 63 random bits from the seed and each of the integers `numbers` [n].

    SplitMix64 (Steele, Lea and Flood 2014). It defines the order of the data and the
    frames of a run: with other bits, a run that is resumed would read other data.
    """
    seed = _mixed(np.array([seed % 2**64], np.uint64))
    bits = _mixed(np.asarray(numbers).astype(np.uint64) ^ seed)
    return (bits >> np.uint64(1)).astype(np.int64)


def _mixed(x):
    x = x + np.uint64(0x9E3779B97F4A7C15)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


def below(draw, limit):
    """floor(u limit) with u = draw / 2^63: a number from 0 to limit - 1 < 2^31.

    Args:
      draw: int or int64 array; None for the middle, u = 1/2.
      limit: int or int64 array.
    """
    return limit // 2 if draw is None else ((draw >> 32) * limit) >> 31


def sample(
    config: DataConfig, length: int, draw: int | None = None, start: int | None = None
) -> range | np.ndarray:
    """The frames that `config` asks for, of a video that has `length`.

    Args:
      draw: 63 random bits; None for the choice of evaluation and prediction.
      start: where a crop starts if it is not drawn; None for --crop_start.
    """
    frames = available(length, config.skip_frames, config.max_frames)
    stride, count = config.crop_stride, config.crop_frames
    match config.frame_sampling:
        case "crop" | "interval" as way:
            if draw is not None:
                start = below(draw, config.crop_range if way == "crop" else stride)
            elif start is None:
                start = config.crop_start
            if way == "crop" and config.released_crops:
                return frames[start::stride][:count]  # none if the video ends before
            start = min(start, len(frames) - 1)
            return frames[start::stride][: config.longest_example]
        case "windows":
            counts = np.minimum(len(frames) - np.arange(0, len(frames), stride), stride)
            each = draw if draw is None else draws(draw, range(len(counts)))
            chosen = functools.partial(below, each)
            index = frame_indices.window_indices(np, chosen, counts, stride)
            return frames.start + index
        case "random" if draw is None:  # spread evenly
            index = (2 * np.arange(count) + 1) * len(frames) // (2 * count)
            return frames.start + index
        case "random":  # sorted, which matters to recurrent models
            index = below(draws(draw, range(count)), len(frames))
            return frames.start + np.sort(index)
        case "run":
            chosen = functools.partial(below, draw)
            start = frame_indices.run_starts(np, chosen, len(frames), count)
            return frames[start : start + count]
    return frames


def available(length: int, skip: int, most: int) -> range:
    """At most `most` frames after the first `skip`; of shorter videos the last one."""
    return range(length)[min(skip, length - 1) :][:most]


def as_index(chosen: range | np.ndarray) -> slice | np.ndarray:
    """What indexes the rows; of a range a slice, which gives a view without a copy."""
    if isinstance(chosen, range):
        return slice(chosen.start, chosen.stop, chosen.step)
    return chosen
