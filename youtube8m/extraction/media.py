"""Frames and sound of a video file, decoded by PyAV at their true time stamps.

    with open_media("my.mp4") as media:
        for image in media.read_images(frames_per_second=1, max_frames=300): ...
    with open_sound("my.mp4", media.start) as sound:
        for window in sound.read_windows(starts, length=15_600): ...

Both decode from the start, as seeking pays only where keyframes are close together,
and stop at what is wanted. So a file of ten hours costs as much as its first minutes.
"""

import collections
import contextlib
import fractions
import itertools
import os
from collections.abc import Iterator, Sequence

import numpy as np

from youtube8m.data.reading.other_files import known_kind
from youtube8m.errors import UserError, reason
from youtube8m.util.files import PACKED_START, packed_as

SAMPLE_RATE = 16_000  # samples/s of the sound that is returned

# How much earlier than the file says a stream may end, in seconds.
_MISSING_END = 2.0
# Samples that the time stamps of sound may be off before they mean a gap: 50 ms.
_JITTER = SAMPLE_RATE // 20


class VideoError(UserError):
    """A video that cannot be used; others can."""


def import_av():
    """The package av. Raises UserError, which says how to get it, without it."""
    try:
        import av
    except ImportError:
        raise UserError(
            "reading videos needs the package av (PyAV): pip install 'youtube8m[video]'"
        ) from None
    av.logging.set_level(None)  # what matters comes back as errors and notes
    return av


class Media:
    """An open file with a video stream.

    After `read_images`, `times` has the seconds of the frames taken, from the first
    frame on, `start` the time stamp of that one, in seconds, and `notes` what was wrong
    with the file, for the user.
    """

    def __init__(self, path: str, container, stream):
        self.path = path
        self.start = 0.0
        self.times: list[float] = []
        self.notes: list[str] = []
        self._container, self._stream = container, stream

    @property
    def seconds(self) -> float:
        """The length that the file states; 0 if it states none."""
        return (self._container.duration or 0) / 1e6

    def read_images(
        self, frames_per_second: float = 1, max_frames: int = 300
    ) -> Iterator[np.ndarray]:
        """Yields uint8 [height, width, 3], RGB, as a player shows them.

        The first frame, then always the first one at least 1/frames_per_second later
        than the one before, by time stamps: the rule of the starter code.

        Raises VideoError if there is none.
        """
        av, damage = import_av(), _Damage()
        step = 1 / fractions.Fraction(frames_per_second)
        first = last = time = None
        for frame in _decode(self._container, self._stream, damage):
            time = self._time(frame, time)
            if last is not None and time < last + step:
                continue
            image = None
            with damage.counted(av.FFmpegError, ValueError):
                image = frame.to_ndarray(format="rgb24")
            if image is None:
                continue
            if first is None:
                first, self.start = time, float(time)
            last = time
            self.times.append(float(time - first))
            yield np.rot90(image, frame.rotation // 90 % 4)
            if len(self.times) == max_frames:
                break
        else:
            if first is None:
                why = f" ({damage.reason})" if damage.count else ""
                why += _advice(self.path)
                raise VideoError(f"{self.path}: not one frame can be decoded{why}")
            self._note_early_end(float(time - first))
        self.notes += damage.notes("video")

    def _time(self, frame, before):
        """Seconds; where a stream has no time stamps, one frame behind the last."""
        if frame.pts is not None and frame.time_base is not None:
            return frame.pts * frame.time_base
        rate = self._stream.guessed_rate or self._stream.average_rate or 25
        return 0 if before is None else before + 1 / fractions.Fraction(rate)

    def _note_early_end(self, end):
        stated = float((self._stream.duration or 0) * (self._stream.time_base or 0))
        stated = stated or self.seconds
        if end + _MISSING_END < stated and stated - end > 1.5 / self._frame_rate():
            self.notes.append(f"ends after {end:.1f} of {stated:.1f} seconds")

    def _frame_rate(self):
        return float(self._stream.average_rate or 1)


@contextlib.contextmanager
def open_media(path: str) -> Iterator[Media]:
    """Opens a file's first video stream. Raises VideoError if there is none."""
    av = import_av()
    with _open(av, path) as container:
        streams = [s for s in container.streams.video if not _is_cover(av, s)]
        if not streams:
            found = f"only {_kinds(container)}{_advice(path)}"
            raise VideoError(f"{path}: has no video stream, {found}")
        streams[0].thread_type = "AUTO"
        yield Media(path, container, streams[0])


class Sound:
    """The open sound of a file, at SAMPLE_RATE, its channels averaged.

    VGGish's code averages them, too; FFmpeg's own mixing is 3 dB louder.

    Attributes:
      samples: how many were decoded so far.
      notes: what was wrong with the file, for the user, once it is read.
    """

    def __init__(self, container, stream, start: float | None):
        self.samples = 0
        self.notes: list[str] = []
        self._container, self._stream, self._start = container, stream, start

    def read(self, end: int) -> Iterator[tuple[int, np.ndarray]]:
        """Yields (position of the first sample, float32 [samples] in [-1, 1]).

        Positions count samples from `start` on, and leave out gaps.

        Args:
          end: where to stop.
        """
        position, damage = 0, _Damage()
        for part in self._resample(damage):
            position = self._position(part, position)
            samples = part.to_ndarray().mean(axis=0)
            self.samples += len(samples)
            yield position, samples
            position += len(samples)
            if position >= end:
                break
        else:
            self._note_early_end(self.samples / SAMPLE_RATE)
        self.notes += damage.notes("sound")

    def _note_early_end(self, end):
        stated = float((self._stream.duration or 0) * (self._stream.time_base or 0))
        if self.samples and end + _MISSING_END < stated:
            self.notes.append(f"sound ends after {end:.1f} of {stated:.1f} seconds")

    def read_windows(self, starts: Sequence[int], length: int) -> Iterator[np.ndarray]:
        """Yields float32 [length] from each of `starts` on, which ascend.

        Silence stands where the file has no sound. No more of the sound is kept in
        memory than the windows that are under way.
        """
        coming = collections.deque(starts)
        open_windows: collections.deque = collections.deque()
        for position, samples in self.read(starts[-1] + length if len(starts) else 0):
            end = position + len(samples)
            while coming and coming[0] < end:
                start = coming.popleft()
                open_windows.append((start, np.zeros(length, np.float32)))
            for start, window in open_windows:
                first, skipped = max(position - start, 0), max(start - position, 0)
                part = samples[skipped : skipped + max(length - first, 0)]
                window[first : first + len(part)] = part
            while open_windows and open_windows[0][0] + length <= end:
                yield open_windows.popleft()[1]
        yield from (window for _, window in open_windows)
        yield from (np.zeros(length, np.float32) for _ in coming)

    def _resample(self, damage):
        """Yields frames of one format, SAMPLE_RATE."""
        av = import_av()
        resampler = av.AudioResampler(format="fltp", rate=SAMPLE_RATE)
        frames = _decode(self._container, self._stream, damage)
        for frame in itertools.chain(frames, [None]):  # which flushes
            parts = []
            with damage.counted(av.FFmpegError, ValueError):
                parts = resampler.resample(frame)
            yield from parts

    def _position(self, part, expected):
        """Where a part begins, by its time stamp unless that is off by little."""
        if self._start is None or part.pts is None or part.time_base is None:
            return expected
        seconds = float(part.pts * part.time_base) - self._start
        position = round(seconds * SAMPLE_RATE)
        return expected if abs(position - expected) <= _JITTER else position


@contextlib.contextmanager
def open_sound(path: str, start: float | None = None) -> Iterator[Sound | None]:
    """Opens a file's first sound stream; None if there is none.

    Args:
      start: the time stamp that positions are counted from, in seconds. None: the first
        sample, and gaps are closed.

    Raises VideoError if the file cannot be read.
    """
    with _open(import_av(), path) as container:
        streams = container.streams.audio
        yield Sound(container, streams[0], start) if streams else None


def read_sound(path: str, seconds: float) -> tuple[np.ndarray | None, list[str]]:
    """The start of a file's sound, and notes of what was wrong with it.

    Returns:
      float32 [samples] in [-1, 1], SAMPLE_RATE a second; None if there is no sound.

    Raises VideoError if the file cannot be read.
    """
    wanted = round(seconds * SAMPLE_RATE)
    with open_sound(path) as sound:
        if sound is None:
            return None, []
        parts = [samples for _, samples in sound.read(wanted)]
    return np.concatenate(parts)[:wanted] if parts else None, sound.notes


class _Damage:
    """Counts packets that cannot be decoded."""

    def __init__(self):
        self.count, self.reason = 0, ""

    @contextlib.contextmanager
    def counted(self, *errors):
        try:
            yield
        except errors as error:
            self.count += 1
            self.reason = reason(error)

    def notes(self, kind):
        what = f"{self.count} damaged packets of {kind} were skipped ({self.reason})"
        return [what] if self.count else []


def _decode(container, stream, damage):
    """Yields the frames of a stream; what is damaged is counted and skipped."""
    av = import_av()
    packets = container.demux(stream)
    while True:
        packet = None
        with damage.counted(av.FFmpegError):
            packet = next(packets, None)
        if packet is None:
            return
        frames = []
        with damage.counted(av.FFmpegError):
            frames = packet.decode()
        yield from frames


@contextlib.contextmanager
def _open(av, path):
    try:
        container = av.open(os.path.expanduser(path))
    except FileNotFoundError:
        raise VideoError(f"{path}: there is no such file") from None
    except (PermissionError, IsADirectoryError) as error:
        raise VideoError(f"{path}: cannot be read ({reason(error)})") from None
    except (av.FFmpegError, OSError, ValueError) as error:
        raise VideoError(
            f"{path}: is no video that FFmpeg can read, or its index is missing "
            f"({reason(error)}){_advice(path)}"
        ) from None
    with container:
        yield container


def _advice(path):
    """What a file seems to be that is no video, to add to an error."""
    try:
        with open(os.path.expanduser(path), "rb") as file:
            start = file.read(PACKED_START)
    except OSError:
        return ""
    kind = packed_as(start)
    what = f"compressed ({kind}): unpack it" if kind else known_kind(start)
    return f"; it is {what}" if what else ""


def _is_cover(av, stream):
    """Whether it is the picture of an album."""
    return bool(stream.disposition & av.stream.Disposition.attached_pic)


def _kinds(container):
    kinds = sorted({stream.type for stream in container.streams})
    return " and ".join(kinds) or "nothing"
