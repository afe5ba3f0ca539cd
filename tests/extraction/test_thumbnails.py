"""Small pictures of a video's segments."""

import av
import numpy as np
import pytest

from tests.helpers.clips import write_clip
from youtube8m.errors import UserError
from youtube8m.extraction.thumbnails import read_thumbnails


def pixels(data):
    codec = av.CodecContext.create("mjpeg", "r")
    (frame,) = codec.decode(av.Packet(data))
    return frame.to_ndarray(format="rgb24")


def test_one_from_the_middle_of_each_segment(tmp_path):
    """The clip's colour tells the number of the frame: 20 + number."""
    path = write_clip(
        tmp_path / "clip.avi",
        colour=(20, 20, 20),
        size=(48, 64),
        times=np.arange(0, 24, 0.5),
        codec="ffv1",
        sound=False,
    )
    pictures = read_thumbnails(path, [0, 10, 20], seconds=10)
    assert all(data.startswith(b"\xff\xd8") for data in pictures)
    shapes = {pixels(data).shape for data in pictures}
    assert shapes == {(120, 160, 3)}
    shades = [pixels(data).mean() for data in pictures]
    # At 5 and 15 seconds; the last segment ends before its middle: its start.
    np.testing.assert_allclose(shades, [20 + 10, 20 + 30, 20 + 40], atol=1.5)


def test_nothing_is_read_without_segments(tmp_path):
    assert read_thumbnails(str(tmp_path / "missing.mp4"), [], 5) == []
    with pytest.raises(UserError, match="there is no such file"):
        read_thumbnails(str(tmp_path / "missing.mp4"), [0], 5)
