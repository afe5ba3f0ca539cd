"""How fast features of videos are extracted: each stage alone, beside the whole.

    report = measure_extraction(ClipConfig(), BenchmarkConfig(), directory)

The stages of a clip: decoding, resizing, the network, sound (decoding, spectrogram and
VGGish), and the record. Several threads decode while one computes, so the whole may be
faster than its stages one after another; the slowest one alone bounds it.
"""

import dataclasses
import fractions
import os
from collections.abc import Sequence

import numpy as np

from youtube8m.benchmarks.measuring import Figure, Report, alternate, peak_memory, rate
from youtube8m.benchmarks.workload import BenchmarkConfig
from youtube8m.config.fields import Config, flag
from youtube8m.data.writing.records import record_file
from youtube8m.extraction import FeatureExtractor, Vggish
from youtube8m.extraction.config import FeatureConfig
from youtube8m.extraction.image_networks import load_network
from youtube8m.extraction.many_videos import Extraction
from youtube8m.extraction.media import import_av, open_media, read_sound
from youtube8m.extraction.video_lists import Video
from youtube8m.extraction.video_records import make_record
from youtube8m.util.progress import Progress

_CLIPS = 8  # of the whole, when speed is measured
_RATE, SAMPLES = 25, 16_000  # frames and samples a second of the clips


@dataclasses.dataclass(frozen=True, kw_only=True)
class ClipConfig(Config):
    """What clips are made up, and how their features are extracted."""

    image_model: str = flag(
        "MobileNetV3Small", "Network for images, with random weights; of extract."
    )
    clip_seconds: int = flag(30, "Length of made-up clips, of extract.")
    clip_height: int = flag(360, "Height of made-up clips, 16:9, of extract.")
    audio: bool = flag(True, "Whether clips have sound, for VGGish; of extract.")
    num_workers: int = flag(4, "Clips decoded side by side, of extract.")


class _Work:
    """A clip, the networks, and each stage as a function that returns its frames."""

    def __init__(self, clips: ClipConfig, config: BenchmarkConfig, directory: str):
        self.clips, self.directory = clips, directory
        self.path = os.path.join(directory, "clip.mp4")
        write_clip(self.path, clips.clip_seconds, clips.clip_height, clips.audio)
        self.features = FeatureConfig(
            image_model=clips.image_model,
            audio=clips.audio,
            feature_dtype="float16",
            batch_size=config.batch_size or 32,
            num_workers=clips.num_workers,
        )
        network = load_network(clips.image_model, weights="random")
        sound = Vggish() if clips.audio else False
        batch_size = self.features.batch_size
        self.extractor = FeatureExtractor(network, sound, batch_size=batch_size)
        self.found = self.extractor.extract_file(self.path)
        with open_media(self.path) as media:
            self.images = list(media.read_images())
        self.prepared = [network.prepare(image) for image in self.images]

    def videos(self, count: int) -> list[Video]:
        """So many clips, by links."""
        paths = [os.path.join(self.directory, f"{n}.mp4") for n in range(count)]
        for path in paths:
            if not os.path.exists(path):
                os.link(self.path, path)
        names = map(os.path.basename, paths)
        return [Video(*pair, None, None) for pair in zip(paths, names, strict=True)]

    def decode(self) -> int:
        with open_media(self.path) as media:
            return sum(1 for _ in media.read_images())

    def resize(self) -> int:
        return len([self.extractor.network.prepare(image) for image in self.images])

    def compute(self) -> int:
        size = self.features.batch_size
        for start in range(0, len(self.prepared), size):
            self.extractor.network(np.stack(self.prepared[start : start + size]))
        return len(self.prepared)

    def hear(self) -> int:
        waveform, _ = read_sound(self.path, self.clips.clip_seconds)
        return len(self.extractor.extract_sound(waveform, range(len(self.images))))

    def write(self) -> int:
        with record_file(os.path.join(self.directory, "one.tfrecord")) as write:
            write(make_record(self.videos(1)[0], self.found, self.features))
        return len(self.found.rgb)

    def whole(self, videos: Sequence[Video], progress: Progress) -> int:
        """Extracts and writes; returns the frames, and shows the clips."""
        work, frames = Extraction(self.extractor, self.features), 0
        with record_file(os.path.join(self.directory, "all.tfrecord")) as write:
            for video, found in work.run(videos, progress):
                write(make_record(video, found, self.features))
                frames += len(found.rgb)
        return frames


def measure_extraction(
    clips: ClipConfig, config: BenchmarkConfig, directory: str
) -> Report:
    """Frames/s (one a second of video) of the whole, beside each stage alone.

    And the memory after a tenth of --num_videos clips and after all: flat, if 1.

    Raises UserError if PyAV is missing, or there is no such network.
    """
    work, count = _Work(clips, config, directory), config.num_videos or _CLIPS
    memory = _measure_memory(work, work.videos(count))
    silent = Progress("", 1)
    silent.visible = False
    stages = {
        "decoding": work.decode,
        "resizing": work.resize,
        "network": work.compute,
        **({"sound": work.hear} if clips.audio else {}),
        "record": work.write,
    }
    whole = {"whole": lambda: work.whole(work.videos(_CLIPS), silent)}
    measures = {
        name: lambda action=action: rate(action, config.seconds)
        for name, action in (whole | stages).items()
    }
    medians = alternate(measures, config.repetitions, "measuring")
    in_turn = 1 / sum(1 / medians[name] for name in stages)
    value = medians["whole"]
    limits = {f"{name} alone": medians[name] for name in stages}
    limits["stages in turn"] = in_turn
    figures = [Figure("whole", value, "frames/s", v, k) for k, v in limits.items()]
    slowest = min(stages, key=medians.get)
    return Report(figures + memory, {"slowest_stage": slowest, "clips": count})


def _measure_memory(work, videos):
    """Peak memory in MiB after a tenth of the videos, and after all."""
    tenth, before = max(1, len(videos) // 10), 0.0
    with Progress("extracting", len(videos)) as progress:
        work.whole(videos[:tenth], progress)
        before = peak_memory()["peak memory"]
        work.whole(videos[tenth:] or videos, progress)
    after = peak_memory()["peak memory"]
    return [Figure("memory, a tenth", before, "MiB", after, "memory, all clips")]


def write_clip(path: str, seconds: int, height: int, sound: bool) -> None:
    """A moving pattern, and a tone, as MPEG-4."""
    av = import_av()
    width = height * 16 // 9 // 2 * 2
    rows, columns = np.mgrid[:height, :width]
    waves = [np.sin((rows + k * columns) / 20) for k in (0, 1, 2)]
    pattern = (np.stack(waves, axis=-1) * 90 + 128).astype(np.uint8)
    with av.open(path, "w") as container:
        images = container.add_stream("mpeg4", rate=_RATE)
        images.height, images.width, images.pix_fmt = height, width, "yuv420p"
        tone = None
        if sound:
            tone = container.add_stream("aac", rate=SAMPLES, layout="mono")
        for number in range(seconds * _RATE):
            image = np.roll(pattern, 3 * number, axis=(0, 1))
            frame = av.VideoFrame.from_ndarray(image, format="rgb24")
            container.mux(images.encode(frame))
        container.mux(images.encode())
        if sound:
            wave = np.sin(np.arange(seconds * SAMPLES) / 6).astype(np.float32)
            write_sound(container, tone, wave)


def write_sound(container, stream, wave: np.ndarray) -> None:
    """Encodes all sound of a stream: float32 [n], `SAMPLES` a second."""
    av = import_av()
    for start in range(0, len(wave), 1024):
        part = wave[None, start : start + 1024]
        frame = av.AudioFrame.from_ndarray(part, format="fltp", layout="mono")
        frame.sample_rate, frame.pts = SAMPLES, start
        frame.time_base = fractions.Fraction(1, SAMPLES)
        container.mux(stream.encode(frame))
    container.mux(stream.encode())
