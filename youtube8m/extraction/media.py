"""Frames and sound of a video file, decoded by PyAV at their true time stamps.

    with open_media("my.mp4") as media:
        for image in media.read_images(frames_per_second=1, max_frames=300): ...
    sound, notes = read_sound("my.mp4", seconds=300)

Both decode from the start, as seeking pays only where keyframes are close together,
and stop at what is wanted. So a file of ten hours costs as much as its first minutes.
"""

import contextlib
import fractions
import os
from collections.abc import Iterator

import numpy as np

from youtube8m.data.reading.other_files import known_kind
from youtube8m.errors import UserError, reason
from youtube8m.util.files import PACKED_START, packed_as

SAMPLE_RATE = 16_000  # samples/s of the sound that is returned

# How much earlier than the file says a stream may end, in seconds.
_MISSING_END = 2.0


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
    frame on, and `notes` what was wrong with the file, for the user.
    """

    def __init__(self, path: str, container, stream):
        self.path = path
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
        step = 1 / fractions.Fraction(frames_per_second)
        first = last = time = None
        damage = _Damage()
        for frame in _decode(self._container, self._stream, damage):
            if frame.pts is None or frame.time_base is None:
                continue
            time = frame.pts * frame.time_base
            first = time if first is None else first
            if last is not None and time < last + step:
                continue
            last = time
            image = frame.to_ndarray(format="rgb24")
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


def read_sound(path: str, seconds: float) -> tuple[np.ndarray | None, list[str]]:
    """The start of a file's sound, and notes of what was wrong with it.

    Channels are averaged, as VGGish's code does; FFmpeg's own mixing is 3 dB louder.

    Returns:
      float32 [samples] in [-1, 1], SAMPLE_RATE a second; None if there is no sound.

    Raises VideoError if the file cannot be read.
    """
    av = import_av()
    wanted, damage = round(seconds * SAMPLE_RATE), _Damage()
    parts, total = [], 0
    with _open(av, path) as container:
        if not container.streams.audio:
            return None, []
        resampler = av.AudioResampler(format="fltp", rate=SAMPLE_RATE)
        stream = container.streams.audio[0]
        for frame in _decode(container, stream, damage):
            with damage.counted(av.FFmpegError, ValueError):
                for part in resampler.resample(frame):
                    parts.append(part.to_ndarray().mean(axis=0))
                    total += len(parts[-1])
            if total >= wanted:
                break
        with damage.counted(av.FFmpegError, ValueError):
            parts += [p.to_ndarray().mean(axis=0) for p in resampler.resample(None)]
    if not parts:
        return None, damage.notes("sound")
    return np.concatenate(parts)[:wanted], damage.notes("sound")


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
