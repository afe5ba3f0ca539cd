"""From serialised records to numpy batches.

    decoder = decoder_for(DataConfig(...), labels=True, damage=Damage())
    batch = decoder.decode(paths, locations, records)

A batch is as `batch` says, of arrays. Segments have a `position` int64 [B, 3] each: the
epoch, the number of the record in it, and the number of the segment in that, from 1.

A record that cannot be used is left out and reported to `damage`. One whose labels
contradict --num_classes ends the run, as it means the flag is wrong.
"""

import dataclasses
import re
import weakref
from collections.abc import Iterable, Sequence

import numpy as np

from youtube8m import schema
from youtube8m.config import DataConfig
from youtube8m.data.reading import frame_sampling, tfrecord
from youtube8m.data.reading.batch import pad_ids
from youtube8m.data.reading.damage import Damage
from youtube8m.data.reading.tfrecord import Location, RecordError
from youtube8m.data.writing.records import dequantize
from youtube8m.errors import UserError

_ALIGNMENT = 64  # bytes; TensorFlow takes over aligned arrays without a copy


def decoder_for(
    config: DataConfig,
    labels: bool,
    damage: Damage,
    crop_starts: tuple[int, ...] = (),
    segments: bool = False,
    ids: re.Pattern[bytes] | None = None,
) -> "Decoder":
    """The decoder of the records that `config` describes, or of their segments.

    Args:
      ids: what the ids of usable records match, as a whole; None: any id.
    """
    if segments:
        return SegmentDecoder(config, labels, damage, ids)
    if not config.frame_features:
        return VideoDecoder(config, labels, damage, ids)
    kind = ReleasedCropDecoder if config.released_crops else FrameDecoder
    return kind(config, labels, damage, ids, crop_starts=crop_starts)


def is_unlabelled(example: dict) -> bool:
    """Whether an example's labels are empty, as only those of segments should be."""
    return "rated" not in example and len(example.get("labels", [0])) == 0


class BufferPool:
    """Lends memory to the arrays of batches, and gets it back when they are gone.

    The system takes long to map and clear new memory: docs/input.md has the figures.
    """

    def __init__(self):
        self._unused: list[np.ndarray] = []

    def empty(self, shape: tuple[int, ...], dtype) -> np.ndarray:
        """An uninitialised array whose first byte lies at a multiple of 64."""
        size = int(np.prod(shape)) * np.dtype(dtype).itemsize
        try:
            buffer = self._unused.pop()
        except IndexError:
            buffer = np.empty(0, np.uint8)
        if buffer.nbytes < size + _ALIGNMENT:
            buffer = np.empty(size + _ALIGNMENT, np.uint8)
        loan = _Loan(buffer)
        weakref.finalize(loan, self._unused.append, buffer).atexit = False
        start = -buffer.ctypes.data % _ALIGNMENT
        return np.asarray(loan)[start : start + size].view(dtype).reshape(shape)


class _Loan:
    """What all views of a lent buffer refer to, and tensors that took it over."""

    def __init__(self, buffer: np.ndarray):
        self.__array_interface__ = buffer.__array_interface__


class FrameRows:
    """The frames [B, T, D] of a batch; each video is copied while it is in the cache.

    All are copied again if the longest one differs from T of `shape`.
    """

    def __init__(self, pool: BufferPool, shape: tuple[int, int, int], dtype=np.uint8):
        self._pool = pool
        self._frames = pool.empty(shape, dtype)
        self._lengths: list[int] = []

    def add(self, parts: list[np.ndarray]) -> None:
        """Appends a video, one array [T, size] per feature."""
        row, length = len(self._lengths), len(parts[0])
        count, known, _ = self._frames.shape
        if row == count:
            self._frames = self._resized(2 * count + 1, known)
        if length > known:
            self._frames = self._resized(len(self._frames), length)
        target = self._frames[row]
        np.concatenate(parts, axis=1, out=target[:length])
        target[length:] = 0
        self._lengths.append(length)

    def finish(self) -> tuple[np.ndarray, np.ndarray]:
        """(frames [B, T, D], T the longest of them; num_frames int32 [B])."""
        lengths = np.array(self._lengths, np.int32)
        longest = lengths.max(initial=0)
        if longest < self._frames.shape[1]:
            self._frames = self._resized(len(lengths), longest)
        return self._frames[: len(lengths)], lengths

    def _resized(self, count, length):
        shape = (count, length, self._frames.shape[2])
        frames = self._pool.empty(shape, self._frames.dtype)
        done, kept = len(self._lengths), min(length, self._frames.shape[1])
        frames[:done, :kept] = self._frames[:done, :kept]
        frames[:done, kept:] = 0
        return frames


@dataclasses.dataclass
class Decoder:
    """What the decoders of all levels share: the loop over records, ids, labels.

    Subclasses implement `parse(record, draw=None)`: the examples of one record as dicts
    of unpadded arrays. `draw`: random bits that choose frames; None: the fixed choice.
    """

    config: DataConfig
    labels: bool
    damage: Damage
    ids: re.Pattern[bytes] | None = None
    pool: BufferPool = dataclasses.field(default_factory=BufferPool)

    def decode(
        self,
        paths: Sequence[str],
        locations: Sequence[Location],
        records: Iterable[bytes | memoryview | None],
        draws: np.ndarray | None = None,
    ) -> dict[str, np.ndarray]:
        """Decodes the records of one batch.

        Args:
          paths: the shards, of which each of the B locations names one.
          records: their data, each used before the next is asked for; None for one
            that could not be read and is reported.
          draws: int64 [B], the `draw` of each; None: the fixed choice.
        """
        rows, parsed = self.allocate_rows([at.length for at in locations]), []
        draws = [None] * len(locations) if draws is None else draws.tolist()
        for at, record, draw in zip(locations, records, draws, strict=True):
            try:
                examples = [] if record is None else self.parse(record, draw)
            except RecordError as error:
                self.damage.record(paths[at.file], f"record {at.index} {error}")
            except UserError as error:
                located = UserError(f"{paths[at.file]}: record {at.index} {error}")
                self.damage.fail(located)
                raise located from None
            else:
                for count, example in enumerate(examples, 1):
                    if not at.epoch and is_unlabelled(example):
                        self.damage.unlabelled += 1
                    example["position"] = (at.epoch, at.number, count)
                    if rows is not None:
                        rows.add(example.pop("frames"))
                parsed += examples
        return self.collate(parsed, rows)

    def allocate_rows(self, lengths) -> FrameRows | None:
        """Where frames of records of `lengths` bytes go; None if none are decoded."""
        return None

    def collate(self, parsed: list[dict], rows=None) -> dict[str, np.ndarray]:
        """Pads examples to one batch; `rows` has their frames, if there are any."""
        batch = {"id": np.array([row["id"] for row in parsed], object)}
        if self.labels:
            batch["labels"] = pad_ids([row["labels"] for row in parsed])
        return batch

    def _find_features(self, context, feature_lists):
        """Yields (name, size) of each feature. Raises RecordError if it is missing."""
        config = self.config
        found = feature_lists if config.frame_features else context
        for name, size in zip(config.feature_names, config.feature_sizes, strict=True):
            if name not in found:
                raise RecordError(_missing(config, name, context, feature_lists))
            yield name, size

    def _read_context(self, record: bytes, context) -> dict:
        """The `id` of a record, and its `labels` if they are asked for."""
        parsed = {"id": self._read_id(record, context)}
        if self.labels:
            key = schema.LABELS_KEY
            if key not in context:
                raise RecordError(f"has no {key!r}; only inference works without")
            # Several times faster than np.unique for so few.
            parsed["labels"] = sorted(set(self._read_class_ids(record, context, key)))
        return parsed

    def _read_id(self, record, context):
        for key in schema.ID_KEYS:
            if key in context:
                values = self._read_values(tfrecord.byte_strings, record, context, key)
                if len(values) == 1 and values[0]:
                    return self._checked_id(values[0])
        raise RecordError(
            f"has no video id (looked for {' and '.join(schema.ID_KEYS)})"
        )

    def _checked_id(self, video_id):
        if self.ids is not None and not self.ids.fullmatch(video_id):
            shown = video_id.decode("utf-8", "backslashreplace")
            raise RecordError(
                f"has the id {shown!r}, which the CSV cannot hold: give ids without "
                "commas, quotes, control characters or (of segments) blanks"
            )
        return video_id

    def _read_ratings(self, record, context):
        """Start int64 [n], class int64 [n] and presence bool [n] of each rating."""
        if missing := [key for key in schema.RATING_KEYS if key not in context]:
            message = f"has no {missing[0]!r}; it is not a record of rated segments"
            raise RecordError(message)
        start_key, label_key, score_key = schema.RATING_KEYS
        starts = self._read_values(tfrecord.integers, record, context, start_key)
        classes = self._read_class_ids(record, context, label_key)
        scores = self._read_values(tfrecord.floats, record, context, score_key)
        if not len(starts) == len(classes) == len(scores):
            raise RecordError("has segment lists of unequal lengths")
        self._require_finite(score_key, scores)
        return np.array(starts, int), np.array(classes, int), scores > 0

    @staticmethod
    def _require_finite(name, values):
        if not np.isfinite(values).all():
            raise RecordError(f"feature {name!r} holds values that are not finite")

    def _read_class_ids(self, record, context, key):
        ids = self._read_values(tfrecord.integers, record, context, key)
        count = self.config.num_classes
        wrong = [entry for entry in ids if not 0 <= entry < count]
        if wrong:
            advice = "set --num_classes to the data set's number of classes"
            if wrong[0] < 0:
                advice = "leave it out, as a record may have no label"
            if wrong[0] == count:
                advice += ", or count classes from 0 where the records are written"
            raise UserError(
                f"has {key} entry {wrong[0]}, but --num_classes={count} allows 0 to "
                f"{count - 1}; {advice}"
            )
        return ids

    @staticmethod
    def _read_values(reader, record, spans, name, *size):
        try:
            return reader(record, spans[name], *size)
        except RecordError as error:
            hint = _hint(str(error), *size) if size else ""
            raise RecordError(f"feature {name!r} {error}{hint}") from None


def _hint(problem, size):
    """What helps where the frames of a feature are not bytes [T, size]."""
    floats = f"{4 * size} bytes" in problem and "float32 values"
    if floats or "float_list" in problem:
        return (
            f"; they look like {floats or 'floats'}, and frames must be bytes: "
            "quantize them, as youtube8m.data.examples.quantize does"
        )
    return "; check --feature_sizes" if "belong" in problem else ""


class VideoDecoder(Decoder):
    """Video-level Examples: one float list per feature."""

    def parse(self, record, draw=None):
        context, feature_lists = tfrecord.split_sequence_example(record)
        parts = []
        for name, size in self._find_features(context, feature_lists):
            values = self._read_values(tfrecord.floats, record, context, name)
            if len(values) != size:
                raise RecordError(
                    f"feature {name!r} holds {len(values)} values where {size} belong; "
                    "check --feature_sizes"
                )
            self._require_finite(name, values)
            parts.append(values)
        features = np.concatenate(parts)
        return [{**self._read_context(record, context), "features": features}]

    def collate(self, parsed, rows=None):
        batch = super().collate(parsed)
        shape = (len(parsed), self.config.feature_size)
        batch["features"] = out = self.pool.empty(shape, np.float32)
        for row, example in zip(out, parsed, strict=True):
            row[:] = example["features"]
        return batch


@dataclasses.dataclass
class FrameDecoder(Decoder):
    """Frame-level SequenceExamples: one list of byte strings per feature.

    Each record is one example, or one for each of `crop_starts`, side by side.
    """

    crop_starts: tuple[int, ...] = ()

    def parse(self, record, draw=None):
        context, rows = self._read_frames(record)
        example = self._read_context(record, context)
        return [
            {**example, "frames": self._sample(rows, draw, start)}
            for start in self.crop_starts or (None,)
        ]

    def _sample(self, rows, draw, start):
        """The chosen frames, the same ones of each feature."""
        chosen = frame_sampling.sample(self.config, len(rows[0]), draw, start)
        index = frame_sampling.as_index(chosen)
        return [part[index] for part in rows]

    def _read_frames(self, record):
        """(spans of the context's features, one view [T, size] per feature)."""
        context, feature_lists = tfrecord.split_sequence_example(record)
        rows = [
            self._read_values(tfrecord.byte_rows, record, feature_lists, name, size)
            for name, size in self._find_features(context, feature_lists)
        ]
        lengths = [len(frames) for frames in rows]
        if len({*lengths}) > 1 or 0 in lengths:
            counts = ", ".join(map("{} {}".format, self.config.feature_names, lengths))
            raise RecordError(f"has unequal or no frames: {counts}")
        return context, rows

    def allocate_rows(self, lengths):
        sizes = self.config.feature_sizes
        stride = sum(size + len(tfrecord.row_prefix(size)) for size in sizes)
        longest = max(lengths, default=0) // stride  # if it holds nothing else
        longest = min(longest, self.config.longest_example)
        count = len(lengths) * max(1, len(self.crop_starts))
        shape = (count, longest, self.config.feature_size)
        dtype = np.float32 if self.config.released_crops else np.uint8
        return FrameRows(self.pool, shape, dtype)

    def collate(self, parsed, rows=None):
        frames, lengths = rows.finish()
        return {**super().collate(parsed), "frames": frames, "num_frames": lengths}


class ReleasedCropDecoder(FrameDecoder):
    """Crops as the released code of Zou et al. 2017 makes them, which differ:

    - in training the start is drawn for each feature, so that they are some seconds
      apart;
    - --frame_sampling=crop: all videos have --crop_frames frames, zeros after the end;
    - --frame_sampling=interval: a video has as many frames as its first feature; other
      features are cut or filled with zeros.

    No byte stands for zero, so `frames` are float32, dequantised.
    """

    def _sample(self, rows, draw, start):
        """The crops of all features side by side, dequantised: one float32 [T, D]."""
        draws = [None] * len(rows)
        if draw is not None:
            draws = frame_sampling.draws(draw, range(len(rows))).tolist()
        parts = zip(rows, draws, strict=True)
        sample = super()._sample
        parts = [part for row, own in parts for part in sample([row], own, start)]
        is_crop = self.config.frame_sampling == "crop"
        length = self.config.crop_frames if is_crop else len(parts[0])
        frames = np.zeros((length, self.config.feature_size), np.float32)
        columns = np.split(frames, np.cumsum(self.config.feature_sizes)[:-1], axis=1)
        for column, part in zip(columns, parts, strict=True):
            column[: len(part)] = dequantize(part[:length])
        return [frames]


class SegmentDecoder(FrameDecoder):
    """Rated five-second segments: one example per distinct start time.

    Their order is that in which start times first appear in the record. --max_frames
    cuts the examples, not the video.
    """

    def parse(self, record, draw=None):
        context, rows = self._read_frames(record)
        video_id = self._read_id(record, context)
        starts, classes, present = self._read_ratings(record, context)
        examples = []
        for start in dict.fromkeys(starts.tolist()):
            end = start + min(schema.SEGMENT_FRAMES, self.config.max_frames)
            frames = [part[start:end] for part in rows]
            if start < 0 or len(frames[0]) == 0:
                raise RecordError(f"rates a segment at {start}, beyond its frames")
            here = starts == start
            example = {"id": video_id, "segment_start": start, "frames": frames}
            example["rated"] = np.unique(classes[here])
            example["labels"] = np.unique(classes[here & present])
            examples.append(example)
        return examples

    def allocate_rows(self, lengths):
        # The number of segments of a record is not known yet.
        shape = (0, schema.SEGMENT_FRAMES, self.config.feature_size)
        return FrameRows(self.pool, shape)

    def collate(self, parsed, rows=None):
        batch = super().collate(parsed, rows)
        batch["rated"] = pad_ids([row["rated"] for row in parsed])
        starts = [row["segment_start"] for row in parsed]
        batch["segment_start"] = np.array(starts, np.int32)
        position = np.array([row["position"] for row in parsed], np.int64)
        batch["position"] = position.reshape(-1, 3)
        return batch


def _missing(config, name, context, feature_lists):
    """Says what a record has instead of feature `name`, and which flag to change."""
    if config.frame_features and not feature_lists:
        return "is video-level, not frame-level; drop --frame_features"
    if not config.frame_features and feature_lists:
        return "is frame-level, not video-level; add --frame_features"
    level, here = ("frame", feature_lists) if feature_lists else ("video", context)
    no_features = {*schema.ID_KEYS, schema.LABELS_KEY}
    found = ", ".join(sorted(here.keys() - no_features)) or "none"
    return (
        f"has no {level}-level feature {name!r} (it has: {found}); see --feature_names"
    )
