"""Videos are cut into segments as the definition says."""

import numpy as np
import pytest

from youtube8m.prediction.segmentation import split_segments


def by_definition(frames, num_frames, size):
    """Video by video, start by start: (segment, length, video, start)."""
    for video, count in enumerate(num_frames):
        for start in range(0, count, size):
            part = frames[video, start : min(start + size, count)]
            segment = np.zeros((size, frames.shape[2]), frames.dtype)
            segment[: len(part)] = part
            yield segment, len(part), video, start


def padded(rng, num_frames, length, features=3):
    """uint8 [B, length, features], zero behind each video as batches are."""
    frames = rng.integers(1, 256, (len(num_frames), length, features), np.uint8)
    for row, count in zip(frames, num_frames, strict=True):
        row[count:] = 0
    return frames


@pytest.mark.parametrize("size", [1, 4, 5])
def test_segments_are_those_of_the_definition(size):
    rng = np.random.default_rng(0)
    for _ in range(20):
        num_frames = rng.integers(1, 18, rng.integers(1, 5))
        length = int(num_frames.max() + rng.integers(0, 4))
        frames = padded(rng, num_frames, length)
        expected = [*zip(*by_definition(frames, num_frames, size), strict=True)]
        found = split_segments(frames, num_frames, size)
        for column, values in zip(found, expected, strict=True):
            np.testing.assert_array_equal(column, np.stack(values))


def test_the_last_segment_may_be_short():
    frames = np.arange(1, 8, dtype=np.uint8).reshape(1, 7, 1)
    segments, lengths, videos, starts = split_segments(frames, [7])
    assert segments[..., 0].tolist() == [[1, 2, 3, 4, 5], [6, 7, 0, 0, 0]]
    assert lengths.tolist() == [5, 2]
    assert videos.tolist() == [0, 0]
    assert starts.tolist() == [0, 5]


def test_a_video_of_whole_segments_has_no_empty_one():
    for count, expected in ((1, [1]), (5, [5]), (6, [5, 1]), (10, [5, 5])):
        frames = np.ones((1, 15, 2), np.uint8)  # longer than the video
        frames[:, count:] = 0
        segments, lengths, _, _ = split_segments(frames, [count])
        assert lengths.tolist() == expected
        assert segments.shape == (len(expected), 5, 2)
        assert segments.sum() == 2 * count


def test_short_and_long_videos_in_one_batch():
    num_frames = np.array([3, 11], np.int32)
    frames = padded(np.random.default_rng(1), num_frames, 11)
    segments, lengths, videos, starts = split_segments(frames, num_frames)
    assert videos.tolist() == [0, 1, 1, 1]
    assert starts.tolist() == [0, 0, 5, 10]
    assert lengths.tolist() == [3, 5, 5, 1]
    np.testing.assert_array_equal(segments[2], frames[1, 5:10])


def test_types_are_those_of_a_batch():
    frames = np.ones((2, 6, 3), np.uint8)
    segments, *columns = split_segments(frames, np.array([6, 6], np.int64))
    assert segments.dtype == np.uint8
    assert {column.dtype for column in columns} == {np.dtype(np.int32)}
