"""Short video files with sound, made by PyAV."""

import fractions

import av
import numpy as np

from youtube8m.benchmarks.extraction import SAMPLES, write_sound

RATE = SAMPLES
_FORMATS = {"mpeg4": "yuv420p", "ffv1": "bgr0", "mjpeg": "yuvj420p"}


def write_clip(
    path,
    colour=(200, 30, 30),
    hertz=440.0,
    seconds=3.0,
    size=(48, 64),
    frames_per_second=5,
    sound=True,
    video=True,
    rotation=0,
    codec="mpeg4",
    times=None,
):
    """Writes a clip of one colour, which becomes brighter, and one tone.

    Args:
      size: (height, width).
      times: seconds of each frame; None: evenly `frames_per_second`.
    """
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=frames_per_second) if video else None
        audio = container.add_stream("aac", rate=RATE, layout="mono") if sound else None
        if video:
            stream.height, stream.width = size
            stream.pix_fmt = _FORMATS[codec]
            stream.time_base = fractions.Fraction(1, 1000)
            stream.codec_context.time_base = fractions.Fraction(1, 1000)
            if rotation:
                stream.set_display_rotation(rotation)
            if times is None:
                count = round(seconds * frames_per_second)
                times = [number / frames_per_second for number in range(count)]
            _write_frames(container, stream, colour, size, times)
        if sound:
            _write_tone(container, audio, hertz, seconds)
    return str(path)


def _write_frames(container, stream, colour, size, times):
    for number, time in enumerate(times):
        image = np.empty((*size, 3), np.uint8)
        image[:] = np.minimum(np.array(colour) + number, 255)
        frame = av.VideoFrame.from_ndarray(image, format="rgb24")
        frame.pts, frame.time_base = round(time * 1000), fractions.Fraction(1, 1000)
        container.mux(stream.encode(frame))
    container.mux(stream.encode())


def _write_tone(container, stream, hertz, seconds):
    samples = np.arange(round(seconds * RATE)) / RATE
    wave = (0.5 * np.sin(2 * np.pi * hertz * samples)).astype(np.float32)
    write_sound(container, stream, wave)
