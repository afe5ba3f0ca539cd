"""Frames and sound of clips that PyAV wrote, sound ones and damaged ones."""

import gzip

import numpy as np
import pytest

from tests.helpers.clips import write_clip
from youtube8m.extraction import media
from youtube8m.extraction.media import (
    Sound,
    VideoError,
    open_media,
    open_sound,
    read_sound,
)
from youtube8m.extraction.vggish import WINDOW, cut_windows, nearest_starts


def read(path, *args):
    with open_media(str(path)) as media:
        return list(media.read_images(*args)), media


def test_frames_are_taken_by_time_stamps(tmp_path):
    times = [0, 0.3, 1.2, 1.9, 2.3, 5.0]
    path = write_clip(tmp_path / "a.mkv", times=times, codec="ffv1", seconds=5)
    images, media = read(path)
    assert media.times == [0, 1.2, 2.3, 5.0]
    # Each frame is brighter by 1.
    assert [image[0, 0, 1] for image in images] == [30, 32, 34, 35]
    assert not media.notes


def test_two_frames_a_second_and_at_most_max_frames(tmp_path):
    path = write_clip(tmp_path / "a.mkv", frames_per_second=10, codec="ffv1")
    images, media = read(path, 2, 4)
    assert media.times == [0, 0.5, 1.0, 1.5]
    assert [image[0, 0, 1] for image in images] == [30, 35, 40, 45]


def test_rotation_is_applied(tmp_path):
    path = write_clip(tmp_path / "a.mp4", size=(32, 64), rotation=90, seconds=1)
    assert read(path)[0][0].shape == (64, 32, 3)


@pytest.mark.parametrize("hertz", [440, 1000])
def test_sound_is_the_tone(hertz, tmp_path):
    waveform, notes = read_sound(write_clip(tmp_path / "a.mp4", hertz=hertz), 2)
    assert len(waveform) == 32_000 and not notes
    spectrum = np.abs(np.fft.rfft(waveform))
    assert abs(spectrum.argmax() / 2 - hertz) < 2  # bins of half a hertz
    assert 0.4 < np.abs(waveform).max() < 0.6


def test_no_sound_is_none(tmp_path):
    assert read_sound(write_clip(tmp_path / "a.mp4", sound=False), 2) == (None, [])


def test_windows_of_sound_begin_with_the_frames(tmp_path):
    path = write_clip(tmp_path / "a.mkv", times=[1.5, 2, 2.5], codec="ffv1", hertz=20)
    media = read(path)[1]
    assert (media.start, media.times) == (1.5, [0, 1.0])
    whole, _ = read_sound(path, 9)
    with open_sound(path, media.start) as sound:
        windows = list(sound.read_windows([0, 16_000], WINDOW))
    start = 24_000
    np.testing.assert_allclose(windows[0], whole[start : start + WINDOW], atol=0.02)
    rest = whole[start + 16_000 :]
    np.testing.assert_allclose(windows[1][: len(rest)], rest, atol=0.02)
    assert not windows[1][len(rest) :].any() and len(rest) < WINDOW


@pytest.mark.parametrize(
    "parts",
    [
        [(0, 50)],
        [(-20, 10), (-10, 30), (20, 30)],
        [(3, 5), (8, 1), (20, 9)],  # gaps
        [(60, 5)],
        [(0, 7), (5 * 10**12, 9)],
    ],
)
def test_windows_of_sound_that_comes_in_parts(parts, monkeypatch):
    heard = np.zeros(100, np.float32)

    def read(self, end):
        for position, length in parts:
            samples = np.arange(position, position + length, dtype=np.float32) + 1
            inside = slice(max(position, 0), max(position + length, 0))
            heard[inside] = samples[max(-position, 0) :][: len(heard[inside])]
            yield position, samples

    monkeypatch.setattr(Sound, "read", read)
    starts = [0, 4, 9, 30, 10**12]
    windows = list(Sound(None, None, 0.0).read_windows(starts, 10))
    assert len(windows) == len(starts) and not windows.pop().any()
    np.testing.assert_array_equal(windows, cut_windows(heard, starts[:-1])[:, :10])


def test_streams_without_time_stamps_go_by_their_rate(tmp_path, monkeypatch):
    def decode(*args, decode=media._decode):  # as raw H.264 comes
        for number, frame in enumerate(decode(*args)):
            frame.pts = frame.pts if number == 0 else None
            yield frame

    path = write_clip(tmp_path / "a.mkv", codec="ffv1", sound=False)
    monkeypatch.setattr(media, "_decode", decode)
    images, found = read(path)
    assert found.times == [0, 1, 2]
    assert [image[0, 0, 1] for image in images] == [30, 35, 40]


def test_windows_begin_with_frames_and_end_in_silence():
    waveform = np.arange(1, 30_001)
    windows = cut_windows(waveform, nearest_starts([0, 1.001, 1.5]))
    assert windows.shape == (3, WINDOW)
    assert windows[:, 0].tolist() == [1, 16_001, 24_001]
    assert windows[2, 5_999:6_002].tolist() == [30_000, 0, 0]


def test_a_file_that_ends_early_is_told(tmp_path):
    whole = tmp_path / "a.mkv"
    write_clip(whole, seconds=20, size=(240, 320))
    cut = tmp_path / "cut.mkv"
    data = whole.read_bytes()
    cut.write_bytes(data[: len(data) // 2])
    images, media = read(cut)
    assert 5 < len(images) < 15
    assert len(media.notes) == 1 and "of 20.1 seconds" in media.notes[0]
    assert not read(whole)[1].notes


def test_damaged_packets_are_counted(tmp_path):
    path = tmp_path / "a.mkv"
    write_clip(path, size=(240, 320), sound=False, codec="mjpeg")
    assert len(read(path)[0]) == 3
    mark = b"\xff\xd8\xff"  # of the start of a JPEG image
    parts = path.read_bytes().split(mark)
    image, header = parts[6][:-64], parts[6][-64:]  # at 1.0; of the next one
    parts[6] = bytes(len(image)) + header
    path.write_bytes(mark.join(parts))
    images, media = read(path)
    assert media.times == [0, 1.2, 2.2]
    assert len(media.notes) == 1 and "1 damaged packets of video" in media.notes[0]


@pytest.mark.parametrize(
    "name, data, message",
    [
        ("text.mp4", b"hello", "no video that FFmpeg can read"),
        ("empty.mp4", b"", "no video that FFmpeg can read"),
        ("missing.mp4", None, "no such file"),
        (
            "packed.mp4",
            gzip.compress(bytes(range(256)) * 40),
            "it is compressed .gzip.: unpack it",
        ),
        ("page.mp4", b"\n<!DOCTYPE html><p>404", "it is a web page, perhaps an error"),
        ("lfs.mp4", b"version https://git-lfs.github.com/spec/v1", "git lfs pull"),
    ],
)
def test_what_is_no_video(name, data, message, tmp_path):
    if data is not None:
        tmp_path.joinpath(name).write_bytes(data)
    with pytest.raises(VideoError, match=f"{name}.*{message}"):
        read(tmp_path / name)


def test_no_video_stream(tmp_path):
    path = write_clip(tmp_path / "a.mp4", video=False)
    with pytest.raises(VideoError, match="no video stream, only audio"):
        read(path)
