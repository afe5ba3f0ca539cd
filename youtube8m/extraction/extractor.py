"""Features of images, sound and video files.

    extractor = FeatureExtractor(image_model="yt8m", sound=True, model_dir="~/yt8m")
    video = extractor.extract_file("my.mp4")
    video.rgb, video.audio          # float32 [T, 1024], [T, 128]
    extractor.extract_images(images), extractor.extract_sound(waveform)

T: frames, one a second unless frames_per_second says otherwise.
"""

import itertools
import threading
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import keras
import numpy as np

from youtube8m import schema
from youtube8m.extraction import image_networks, model_files
from youtube8m.extraction.image_networks import ImageNetwork
from youtube8m.extraction.media import VideoError, open_media, open_sound
from youtube8m.extraction.vggish import (
    EMBEDDING,
    WINDOW,
    Vggish,
    cut_windows,
    full_windows,
    load_vggish,
    log_mel,
    nearest_starts,
)
from youtube8m.extraction.whitening import Whitening


class VideoFeatures(NamedTuple):
    """The features of one video."""

    rgb: np.ndarray  # float32 [T, D]
    audio: np.ndarray | None  # float32 [T, 128]; None: no sound, or none wanted
    seconds: float  # the length that the file states; 0 if it states none
    notes: tuple[str, ...]  # what was wrong with the file


class FeatureExtractor:
    """Networks for images and sound, and what becomes of their output.

    Several threads may call it at once: they decode side by side and compute in turns.

    Args:
      image_model: a name, as `image_networks.load_network` takes it, an ImageNetwork,
        or a keras.Model on images [B, height, width, 3] in 0..255.
      sound: whether to extract sound; a Vggish is used as it is.
      model_dir: the directory of the published files.
      whitening: of the images' features. None: that in model_dir for yt8m, and no
        whitening for other networks.
      sound_whitening: of the sound's. None: that in model_dir if `sound` is True.
      frames_per_second, max_frames: which frames of a file are taken.
      batch_size: images or patches at once.

    Raises UserError if a model cannot be loaded.
    """

    def __init__(
        self,
        image_model: str | ImageNetwork | keras.Model = image_networks.STARTER,
        sound: bool | Vggish = True,
        model_dir: str = "~/yt8m",
        whitening: Whitening | None = None,
        sound_whitening: Whitening | None = None,
        frames_per_second: float = 1,
        max_frames: int = schema.MAX_FRAMES,
        batch_size: int = 32,
    ):
        if isinstance(image_model, keras.Model):
            image_model = image_networks.from_keras(image_model)
        if isinstance(image_model, str):
            name = image_model
            image_model = image_networks.load_network(name, model_dir)
            if whitening is None and name == image_networks.STARTER:
                whitening = Whitening.load_starter(model_dir)
        if sound is True:
            sound = load_vggish(model_files.find(model_dir, model_files.CHECKPOINT))
            sound_whitening = sound_whitening or Whitening.load_vggish(model_dir)
        self.network, self.vggish = image_model, sound or None
        self.whitening, self.sound_whitening = whitening, sound_whitening
        self.frames_per_second, self.max_frames = frames_per_second, max_frames
        self.batch_size = batch_size
        self._lock = threading.Lock()

    def extract_images(self, images: Iterable[np.ndarray]) -> np.ndarray:
        """uint8 [height, width, 3], T of them, of any sizes -> float32 [T, D]."""
        prepared = map(self.network.prepare, images)
        found = [self.network(batch) for batch in _batches(prepared, self.batch_size)]
        if not found:
            raise ValueError("there are no images")
        features = np.concatenate(found)
        return self.whitening(features) if self.whitening else features

    def extract_sound(
        self, waveform: np.ndarray, times: Sequence[float] | None = None
    ) -> np.ndarray:
        """A mono waveform in [-1, 1], 16,000 samples a second -> float32 [T, 128].

        A window of 0.975 s begins at each of `times`, in seconds, with silence behind
        the end. None: at each second, as long as windows are full.
        """
        full = full_windows(len(waveform))
        starts = full if times is None else nearest_starts(times)
        return self._embed(cut_windows(waveform, [start])[0] for start in starts)

    def _embed(self, windows):
        """Windows [15600] of sound -> float32 [T, 128]."""
        found = [np.zeros((0, EMBEDDING), np.float32)]
        for batch in _batches(windows, self.batch_size):
            patches = log_mel(batch)
            with self._lock:
                embeddings = np.asarray(self.vggish.predict_on_batch(patches))
            if self.sound_whitening:
                embeddings = self.sound_whitening(embeddings)
            found.append(embeddings)
        return np.concatenate(found)

    def extract_file(self, path: str) -> VideoFeatures:
        """The features of a video file; `audio` is as long as `rgb`.

        Where the sound ends before the video, the rest is silence; where it is longer,
        it is cut. A window of sound begins with each frame.

        Raises VideoError if the file cannot be used.
        """
        with open_media(path) as media:
            images = media.read_images(self.frames_per_second, self.max_frames)
            rgb, seconds = self.extract_images(images), media.seconds
        notes, audio = media.notes, None
        if self.vggish:
            audio, more = self._extract_sound_of(media)
            notes = notes + more
        for name, values in (("rgb", rgb), ("audio", audio)):
            if values is not None:
                require_finite(path, name, values)
        return VideoFeatures(rgb, audio, seconds, tuple(notes))

    def _extract_sound_of(self, media):
        """Features of the sound at the frames of a file, or None, and notes."""
        with open_sound(media.path, media.start) as sound:
            if sound is None:
                return None, []
            windows = sound.read_windows(nearest_starts(media.times), WINDOW)
            audio = self._embed(windows)
        return audio if sound.samples else None, sound.notes


def require_finite(path: str, name: str, features: np.ndarray) -> None:
    """Raises VideoError unless all of a video's features are finite."""
    if not np.isfinite(features).all():
        raise VideoError(f"{path}: its {name} features are not finite")


def _batches(items, size):
    """Yields arrays of `size` items each, and of what is left."""
    items = iter(items)
    while batch := list(itertools.islice(items, size)):
        yield np.stack(batch)
