"""Records of the features that MediaPipe's YouTube-8M extraction writes.

    examples = read_clips("features.pb", damage)        # or a TFRecord of them
    record = Conversion({"rgb": 1024, "audio": 128}).record(example, "features.pb")

A clip is one SequenceExample of MediaSequence (google-ai-edge/mediapipe,
mediapipe/util/sequence/README.md): a feature list `RGB/feature/floats` with the times
of its frames in `RGB/feature/timestamp`, in microseconds, becomes `rgb`, and so for any
other prefix. The video's list has one frame a second of the clip; the audio's begins
with the file, whatever the clip, ends by itself, and may be some milliseconds late.

Shapes: T frames, d values of one feature.
"""

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

import numpy as np
import tensorflow as tf
from google.protobuf.message import DecodeError

from youtube8m import schema
from youtube8m.data.reading.damage import Damage
from youtube8m.data.reading.messages import RecordError
from youtube8m.data.reading.tfrecord import HEADER, read_records, sound_length
from youtube8m.data.writing.records import frame_example, quantize
from youtube8m.errors import UserError
from youtube8m.util.text import decode_id

_FLOATS = re.compile(r"(?:(.+)/)?feature/floats")
_SECOND = 1_000_000  # microseconds
_ID_KEYS = ("example/id", "clip/media_id")
_PATH_KEY = "clip/data_path"
_LABEL_KEY, _SEGMENT_LABEL_KEY = "clip/label", "segment/label"
_START_KEY, _END_KEY = "segment/start/timestamp", "segment/end/timestamp"
_SCORE_KEY = "segment/label/confidence"


class _Track(NamedTuple):
    """One feature of a clip, by time."""

    times: np.ndarray  # int64 [T], microseconds
    values: np.ndarray  # float32 [T, d]


def read_clips(path: str, damage: Damage) -> Iterator[tf.train.SequenceExample]:
    """Yields the clips of a file, which is one SequenceExample or a TFRecord of them.

    What is neither is reported to `damage`.
    """
    try:
        with open(path, "rb") as file:
            is_records = sound_length(file.read(HEADER)) >= 0
            file.seek(0)
            parts = None if is_records else [("", file.read())]
    except OSError as error:
        damage.unreadable(path, error)
        return
    if parts is None:
        found = read_records(path, damage)
        parts = ((f"record {at.index} ", data) for at, data in found)
    for where, data in parts:
        try:
            example = tf.train.SequenceExample.FromString(data)
        except DecodeError:
            damage.record(path, f"{where}is no SequenceExample".lstrip())
            continue
        if find_features([example]):
            yield example
        else:
            damage.record(path, f"{where}has no frames of any PREFIX/feature/floats")


def find_features(clips: Iterable[tf.train.SequenceExample]) -> dict[str, int]:
    """Our name -> size of each feature in any of the clips: rgb, audio, then others."""
    sizes = {}
    for clip in clips:
        for key, frames in clip.feature_lists.feature_list.items():
            if (match := _FLOATS.fullmatch(key)) and frames.feature:
                size = len(frames.feature[0].float_list.value)
                sizes.setdefault(_our_name(match), size)
    order = {"rgb": 0, "audio": 1}
    return {n: sizes[n] for n in sorted(sizes, key=lambda n: (order.get(n, 2), n))}


def _our_name(match):
    return (match[1] or "feature").lower().replace("/", "_")


class Conversion:
    """How clips become records, and a count of what could not be kept.

    Args:
      sizes: name -> size of the features of each record; of the first the frames count
        if a clip has it.
      quantized: whether frames are stored as bytes, else as they are, as floats.
      zero_missing: whether frames and clips that lack a feature get zeros there; else
        they are left out.
      class_of: label name -> class id, for clips whose labels are names alone.

    Attributes:
      num_frames: of all records.
      unpaired: name -> frames that have no counterpart at their time.
      odd_segments: segments that last something other than five frames.
      lost_segments: segments that begin where the record has no frame.
    """

    def __init__(
        self,
        sizes: Mapping[str, int],
        quantized: bool = False,
        zero_missing: bool = False,
        class_of: Mapping[str, int] | None = None,
    ):
        self.sizes = sizes
        self.quantized = quantized
        self.zero_missing = zero_missing
        self.class_of = class_of
        self.num_frames = 0
        self.unpaired = dict.fromkeys(sizes, 0)
        self.odd_segments = self.lost_segments = 0

    def record(
        self, clip: tf.train.SequenceExample, path: str
    ) -> tf.train.SequenceExample:
        """The record of a clip. Labels are class ids, where the clip has any.

        Args:
          path: of the clip's file, whose name is the id if the clip has none.

        Raises:
          RecordError: the clip lacks a feature, or its lists contradict one another.
          UserError: its labels are names that nothing translates.
        """
        tracks = _read_tracks(clip, self.sizes)
        missing = [name for name in self.sizes if name not in tracks]
        if missing and not (self.zero_missing and tracks):
            raise RecordError(
                f"has no {missing[0]}; --zero_missing gives it zeros there, and "
                "--feature_names chooses features that all have"
            )
        times, features = self._pair(tracks)
        if not len(times):
            raise RecordError("has no two features at the same time")
        self.num_frames += len(times)
        if self.quantized:
            features = {name: quantize(frames) for name, frames in features.items()}
        labels = self._class_ids(clip.context, _LABEL_KEY)
        video_id = _find_id(clip.context, path)
        example = frame_example(video_id, labels, features, floats="lists")
        self._add_segments(clip.context, times, example.context)
        return example

    def _pair(self, tracks):
        """Times [T] of the frames, and each feature's float32 [T, d] at these times.

        Those of the first feature, and of the others the frames nearest to them, at
        most half a step away.
        """
        first, *_ = (tracks[name] for name in self.sizes if name in tracks)
        reach = _step(first.times) / 2
        nearest = {name: _nearest(t.times, first.times) for name, t in tracks.items()}
        fits = {
            name: np.abs(track.times[nearest[name]] - first.times) <= reach
            for name, track in tracks.items()
        }
        kept = np.ones(len(first.times), bool)
        if not self.zero_missing:
            kept = np.all(list(fits.values()), axis=0)
        features = {}
        for name, size in self.sizes.items():
            features[name] = np.zeros((kept.sum(), size), np.float32)
            if name in tracks:
                found = fits[name] & kept
                chosen = nearest[name][found]
                features[name][found[kept]] = tracks[name].values[chosen]
                unused = len(tracks[name].times) - len(np.unique(chosen))
                self.unpaired[name] += unused
        return first.times[kept], features

    def _class_ids(self, context, key):
        """The class ids of `key`/index, or of the names in `key`/string; or None."""
        ids = _values(context, f"{key}/index", "int64_list")
        names = _values(context, f"{key}/string", "bytes_list")
        if ids or not names:
            return ids or None
        if self.class_of is None:
            raise UserError(
                f"has label names ({key}/string) but no class ids ({key}/index); give "
                "--vocabulary_file, a CSV of the classes with these names"
            )
        names = [decode_id(name) for name in names]
        unknown = [name for name in names if name not in self.class_of]
        if unknown:
            raise UserError(
                f"has the label {unknown[0]!r}, which no class of --vocabulary_file "
                "is called"
            )
        return [self.class_of[name] for name in names]

    def _add_segments(self, context, times, out):
        """Rated segments: starts and ends count frames of the record."""
        starts = _values(context, _START_KEY, "int64_list")
        if not starts:
            return
        labels = self._class_ids(context, _SEGMENT_LABEL_KEY) or []
        ends = _values(context, _END_KEY, "int64_list")
        ends = ends or [s + schema.SEGMENT_FRAMES * _SECOND for s in starts]
        scores = _values(context, _SCORE_KEY, "float_list") or [1.0] * len(starts)
        if not len(starts) == len(ends) == len(labels) == len(scores):
            raise RecordError("has segment lists of unequal lengths")
        edges = np.append(times, times[-1] + _step(times)) - _step(times) / 2
        first, last = np.searchsorted(edges, (starts, ends), side="right") - 1
        inside = (first >= 0) & (first < len(times))
        self.lost_segments += int((~inside).sum())
        whole = np.array(ends) - starts == schema.SEGMENT_FRAMES * _SECOND
        self.odd_segments += int((inside & ~whole).sum())
        for key, kind, values in (
            (schema.SEGMENT_START_TIMES_KEY, "int64_list", first),
            (schema.SEGMENT_END_TIMES_KEY, "int64_list", last),
            (schema.SEGMENT_LABELS_KEY, "int64_list", labels),
            (schema.SEGMENT_SCORES_KEY, "float_list", scores),
        ):
            kept = np.array(values)[inside].tolist()
            getattr(out.feature[key], kind).value.extend(kept)


def _read_tracks(clip, sizes):
    """Name -> _Track, sorted by time, of each feature of `sizes` that has frames."""
    tracks = {}
    lists = clip.feature_lists.feature_list
    for key, frames in lists.items():
        match = _FLOATS.fullmatch(key)
        name = match and _our_name(match)
        if name not in sizes or not frames.feature:
            continue
        rows = [frame.float_list.value for frame in frames.feature]
        wrong = [len(row) for row in rows if len(row) != sizes[name]]
        if wrong:
            raise RecordError(
                f"has a frame of {wrong[0]} values in {key}, where others have "
                f"{sizes[name]}"
            )
        time_key = key.replace("feature/floats", "feature/timestamp")
        stamps = [f.int64_list.value for f in lists[time_key].feature]
        if [len(stamp) for stamp in stamps] != [1] * len(rows):
            raise RecordError(f"has not one time in {time_key} for each frame of {key}")
        times = np.array(stamps, np.int64)[:, 0]
        values = np.array(rows, np.float32)
        if not np.isfinite(values).all():
            raise RecordError(f"has values in {key} that are not finite")
        order = np.argsort(times, kind="stable")
        tracks[name] = _Track(times[order], values[order])
    return tracks


def _step(times):
    """The usual distance of two frames, in microseconds; a second, if there is one."""
    return float(np.median(np.diff(times))) if len(times) > 1 else _SECOND


def _nearest(times, wanted):
    """int64 [len(wanted)]: the position in `times`, sorted, nearest to each."""
    after = np.clip(np.searchsorted(times, wanted), 1, max(len(times) - 1, 1))
    before = after - 1
    after = np.minimum(after, len(times) - 1)
    closer = np.abs(times[after] - wanted) < np.abs(wanted - times[before])
    return np.where(closer, after, before)


def _find_id(context, path):
    """The clip's own id, or the name of its video, or of its file, without ending."""
    for key in _ID_KEYS:
        for value in filter(None, _values(context, key, "bytes_list")):
            return decode_id(value)
    paths = [decode_id(value) for value in _values(context, _PATH_KEY, "bytes_list")]
    name = os.path.basename(paths[0] if paths and paths[0] else path)
    return os.path.splitext(name)[0]


def _values(context, key, kind):
    """The values of a feature of the context; [] if it has none."""
    if key not in context.feature:
        return []
    return list(getattr(context.feature[key], kind).value)
