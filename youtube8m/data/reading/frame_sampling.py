"""Which frames of a video are read: index maths only.

    (draw,) = draws(seed, [number_of_the_record]).tolist()
    chosen = sample(config, length, draw)      # in training
    chosen = sample(config, length)            # fixed: --crop_start, or the middle
    frames = rgb[as_index(chosen)]

A choice is a range, or an array [k] where it is irregular. It holds one frame at
least, and the same frames for all modalities.
"""

import functools

import numpy as np

from youtube8m.config import DataConfig
from youtube8m.util import frame_indices


def draws(seed: int, numbers) -> np.ndarray:
    """int64 [n]: 63 random bits from the seed and each of the integers `numbers` [n].

    SplitMix64 (Steele, Lea and Flood 2014); a generator per record would cost more
    than its frames.
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
      draw, limit: ints or int64 arrays.
    """
    return ((draw >> 32) * limit) >> 31


def sample(
    config: DataConfig, length: int, draw: int | None = None, start: int | None = None
) -> range | np.ndarray:
    """The frames that `config` asks for, of a video that has `length`.

    Args:
      draw: 63 random bits; None for the choice of evaluation and prediction.
      start: where a crop starts if nothing is drawn; None for --crop_start.
    """
    frames = available(length, config.skip_frames, config.max_frames)
    stride, count = config.crop_stride, config.crop_frames
    match config.frame_sampling:
        case "crop":
            start = _start(config, config.crop_range, draw, start)
            if config.released_crops:  # none at all of a video that ends before
                return frames[start::stride][:count]
            return crop(frames, start, stride, count)
        case "interval":
            start = _start(config, stride, draw, start)
            return crop(frames, start, stride, config.longest_example)
        case "windows":
            return windows(frames, stride, draw)
        case "random":
            return random(frames, count, draw)
        case "run":
            return run(frames, count, draw)
    return frames


def _start(config, limit, draw, start):
    if draw is not None:
        return below(draw, limit)
    return config.crop_start if start is None else start


def available(length: int, skip: int, most: int) -> range:
    """At most `most` frames behind the first `skip`, or the last one of all."""
    return range(length)[min(skip, length - 1) :][:most]


def crop(frames: range, start: int, stride: int, count: int) -> range:
    """Every `stride`-th of the frames from `start`, or the last one, on."""
    return frames[min(start, len(frames) - 1) :: stride][:count]


def windows(frames: range, size: int, draw: int | None = None) -> np.ndarray:
    """One of each `size` frames and of those left over; fixed: the middle ones."""
    counts = np.minimum(len(frames) - np.arange(0, len(frames), size), size)
    chosen = _middle
    if draw is not None:
        chosen = functools.partial(below, draws(draw, range(len(counts))))
    return frames.start + frame_indices.window_indices(np, chosen, counts, size)


def random(frames: range, count: int, draw: int | None = None) -> np.ndarray:
    """`count` frames with repetitions, as DbofModel's; fixed: spread evenly.

    In their order, to which DbofModel is indifferent and recurrent models are not.
    """
    if draw is None:
        return frames.start + (2 * np.arange(count) + 1) * len(frames) // (2 * count)
    return frames.start + np.sort(below(draws(draw, range(count)), len(frames)))


def run(frames: range, count: int, draw: int | None = None) -> range:
    """`count` neighbours, or all if there are fewer; fixed: those in the middle."""
    chosen = _middle if draw is None else functools.partial(below, draw)
    start = frame_indices.run_starts(np, chosen, len(frames), count)
    return frames[start : start + count]


def _middle(limit):
    """`below` where nothing is drawn: u = 1/2."""
    return limit // 2


def as_index(chosen: range | np.ndarray) -> slice | np.ndarray:
    """The index that gives a view of the rows where numpy can, else a copy."""
    if isinstance(chosen, range):
        return slice(chosen.start, chosen.stop, chosen.step)
    return chosen
