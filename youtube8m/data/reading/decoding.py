"""From serialised records to numpy batches.

    decoder = decoder_for(DataConfig(...), labels=True, damage=Damage())
    batch = decoder.decode(paths, locations, records)

A batch is a dict of arrays: `id` object [B]; `labels` int32 [B, L] padded with -1
(where asked for); frame level: `frames` uint8 [B, T, D], features concatenated in
the order of --feature_names, and `num_frames` int32 [B]; video level: `features`
float32 [B, D]; segments add `segment_start`, `rated` int32 [B, R], the classes that
were rated, padded with -1, of which `labels` are those rated as present, and
`position` int64 [B, 3]: the epoch, the number of the record in it, and how many of
the record's segments there are up to this one.

A record that cannot be used is left out and reported to `damage`. One whose labels
contradict --num_classes ends the run, as it means the flag is wrong.
"""

import dataclasses
import weakref
from collections.abc import Iterable, Sequence

import numpy as np

from youtube8m import schema
from youtube8m.config import DataConfig
from youtube8m.data.reading import frame_sampling, wire
from youtube8m.data.reading.batch import pad_ids
from youtube8m.data.reading.damage import Damage
from youtube8m.data.reading.tfrecord import Location
from youtube8m.data.reading.wire import RecordError
from youtube8m.data.writing.records import dequantize
from youtube8m.errors import UserError

_SEGMENT_KEYS = (
    schema.SEGMENT_START_TIMES_KEY,
    schema.SEGMENT_LABELS_KEY,
    schema.SEGMENT_SCORES_KEY,
)
_ALIGNMENT = 64  # bytes; TensorFlow takes over aligned arrays without a copy


def decoder_for(
    config: DataConfig,
    labels: bool,
    damage: Damage,
    crop_starts: tuple[int, ...] = (),
    segments: bool = False,
) -> "Decoder":
    """The decoder of the records that `config` describes.

    Args:
      crop_starts: as of `FrameDecoder`.
      segments: whether examples are the rated segments of the records.
    """
    if not config.frame_features:
        return VideoDecoder(config, labels, damage)
    if segments:
        return SegmentDecoder(config, labels, damage)
    kind = ReleasedCropDecoder if config.released_crops else FrameDecoder
    return kind(config, labels, damage, crop_starts=crop_starts)


class BufferPool:
    """Lends memory to the arrays of batches, and gets it back when they are gone.

    A batch of full-size videos is 40 MB: the system takes longer to map and clear new
    memory of that size than decoding takes.
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
    """The frames [B, T, D] of a batch, copied one by one while they are in the cache.

    Args:
      shape: (B, T, D) as expected; more frames than T cost a copy, as do fewer.
    """

    def __init__(self, pool: BufferPool, shape: tuple[int, int, int]):
        self._pool = pool
        self._frames = pool.empty(shape, np.uint8)
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
        frames = self._pool.empty((count, length, self._frames.shape[2]), np.uint8)
        done, kept = len(self._lengths), min(length, self._frames.shape[1])
        frames[:done, :kept] = self._frames[:done, :kept]
        frames[:done, kept:] = 0
        return frames


@dataclasses.dataclass
class Decoder:
    """What all three levels share: the walk over a batch, ids, labels, errors."""

    config: DataConfig
    labels: bool
    damage: Damage
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
          paths: the shards, of which each location names one.
          locations: of the B records.
          records: their data, each used before the next is asked for; None of one
            that could not be read, which is reported by then.
          draws: int64 [B], random bits that choose frames; None: none is drawn.
        """
        rows, parsed = self.frame_rows([at.length for at in locations]), []
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
                    example["position"] = (at.epoch, at.number, count)
                    if rows is not None:
                        rows.add(example.pop("frames"))
                parsed += examples
        return self.collate(parsed, rows)

    def frame_rows(self, lengths) -> FrameRows | None:
        """Where frames of records of `lengths` bytes go, or None: to `collate`."""
        return None

    def parse(self, record: bytes, draw: int | None = None) -> list[dict]:
        """The examples of one record, as dicts of unpadded arrays.

        Args:
          draw: random bits that choose frames; None: none is drawn.
        """
        raise NotImplementedError

    def collate(self, parsed: list[dict], rows=None) -> dict[str, np.ndarray]:
        """Pads examples to one batch; their frames are in `rows`, if there are any."""
        batch = {"id": np.array([row["id"] for row in parsed], object)}
        if self.labels:
            batch["labels"] = pad_ids([row["labels"] for row in parsed])
        return batch

    def _context(self, record: bytes, context) -> dict:
        parsed = {"id": self._video_id(record, context)}
        if self.labels:
            parsed["labels"] = self._labels(record, context)
        return parsed

    def _video_id(self, record, context):
        for key in schema.ID_KEYS:
            if key in context:
                values = self._read(wire.byte_strings, record, context, key)
                if len(values) == 1:
                    return values[0]
        raise RecordError(
            f"has no video id (looked for {' and '.join(schema.ID_KEYS)})"
        )

    def _labels(self, record, context):
        key = schema.LABELS_KEY
        if key not in context:
            raise RecordError(f"has no {key!r}; only inference works without")
        # Several times faster than np.unique for so few.
        return sorted(set(self._class_ids(record, context, key)))

    def _ratings(self, record, context):
        """Start int64 [n], class int64 [n] and presence bool [n] of each rating."""
        for key in _SEGMENT_KEYS:
            if key not in context:
                message = f"has no {key!r}; it is not a record of rated segments"
                raise RecordError(message)
        start_key, label_key, score_key = _SEGMENT_KEYS
        starts = np.array(self._read(wire.integers, record, context, start_key), int)
        classes = np.array(self._class_ids(record, context, label_key), int)
        scores = self._read(wire.floats, record, context, score_key)
        if not len(starts) == len(classes) == len(scores):
            raise RecordError("has segment lists of unequal lengths")
        return starts, classes, scores > 0

    def _class_ids(self, record, context, key):
        ids = self._read(wire.integers, record, context, key)
        count = self.config.num_classes
        wrong = [entry for entry in ids if not 0 <= entry < count]
        if wrong:
            raise UserError(
                f"has {key} entry {wrong[0]}, but --num_classes={count} allows 0 to "
                f"{count - 1}; set --num_classes to the data set's number of classes"
            )
        return ids

    @staticmethod
    def _read(reader, record, context, key):
        try:
            return reader(record, context[key])
        except RecordError as error:
            raise RecordError(f"feature {key!r} {error}") from None


class VideoDecoder(Decoder):
    """Video-level Examples: one float list per feature."""

    def parse(self, record, draw=None):
        context, feature_lists = wire.split_sequence_example(record)
        config = self.config
        parts = []
        for name, size in zip(config.feature_names, config.feature_sizes, strict=True):
            if name not in context:
                raise RecordError(_missing(name, context, feature_lists, False))
            values = self._read(wire.floats, record, context, name)
            if len(values) != size:
                raise RecordError(_wrong_size(name, len(values), "values", size))
            parts.append(values)
        features = np.concatenate(parts)
        return [{**self._context(record, context), "features": features}]

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
        context, feature_lists = wire.split_sequence_example(record)
        rows = self._frames(record, context, feature_lists)
        example = self._context(record, context)
        return [
            {**example, "frames": self._sampled(rows, draw, start)}
            for start in self.crop_starts or (None,)
        ]

    def _sampled(self, rows, draw, start):
        """The frames that are chosen, the same ones of each feature."""
        chosen = frame_sampling.sample(self.config, len(rows[0]), draw, start)
        index = frame_sampling.as_index(chosen)
        return [part[index] for part in rows]

    def _frames(self, record, context, feature_lists) -> list[np.ndarray]:
        """One view [T, size] per feature, of all frames."""
        config = self.config
        rows = []
        for name, size in zip(config.feature_names, config.feature_sizes, strict=True):
            if name not in feature_lists:
                raise RecordError(_missing(name, context, feature_lists, True))
            try:
                frames = wire.byte_rows(record, feature_lists[name], size)
            except RecordError as error:
                hint = "; check --feature_sizes" if "belong" in str(error) else ""
                raise RecordError(f"feature {name!r} {error}{hint}") from None
            rows.append(frames)
        lengths = {len(frames) for frames in rows}
        if len(lengths) > 1 or 0 in lengths:
            counts = ", ".join(
                f"{name} {len(frames)}"
                for name, frames in zip(config.feature_names, rows, strict=True)
            )
            raise RecordError(f"has unequal or no frames: {counts}")
        return rows

    def frame_rows(self, lengths):
        sizes = self.config.feature_sizes
        stride = sum(size + wire.row_overhead(size) for size in sizes)
        longest = max(lengths, default=0) // stride  # if it holds nothing else
        longest = min(longest, self.config.longest_example)
        count = len(lengths) * max(1, len(self.crop_starts))
        return FrameRows(self.pool, (count, longest, self.config.feature_size))

    def collate(self, parsed, rows=None):
        frames, lengths = rows.finish()
        return {**super().collate(parsed), "frames": frames, "num_frames": lengths}


class ReleasedCropDecoder(FrameDecoder):
    """Crops as the released code of Zou et al. 2017 makes them, which differ:

    - in training the start is drawn for each feature on its own, so that rgb and
      audio are some seconds apart;
    - --frame_sampling=crop: all videos count --crop_frames frames, zeros those behind
      the end;
    - --frame_sampling=interval: a video counts the frames of its first feature;
      others are cut or filled with zeros.

    No byte stands for zero, hence `frames` are float32, dequantised.
    """

    def _sampled(self, rows, draw, start):
        draws = [None] * len(rows)
        if draw is not None:
            draws = frame_sampling.draws(draw, range(len(rows))).tolist()
        sampled = super()._sampled
        return [
            sampled([part], own, start)[0].copy()
            for part, own in zip(rows, draws, strict=True)
        ]

    def frame_rows(self, lengths):
        return None

    def collate(self, parsed, rows=None):
        batch = Decoder.collate(self, parsed)
        lengths = np.array([len(row["frames"][0]) for row in parsed], np.int32)
        if self.config.frame_sampling == "crop":
            lengths[:] = self.config.crop_frames
        shape = (len(parsed), lengths.max(initial=0), self.config.feature_size)
        out = self.pool.empty(shape, np.float32)
        out[:] = 0
        ends = np.cumsum(self.config.feature_sizes)[:-1]
        for target, length, row in zip(out, lengths, parsed, strict=True):
            columns = np.split(target[:length], ends, axis=1)
            for column, part in zip(columns, row["frames"], strict=True):
                column[: len(part)] = dequantize(part[:length])
        return {**batch, "frames": out, "num_frames": lengths}


class SegmentDecoder(FrameDecoder):
    """Rated five-second segments: one example per distinct start time.

    Examples follow the order in which start times first appear in the record, and
    come from any part of the video: max_frames cuts the examples.
    """

    def parse(self, record, draw=None):
        context, feature_lists = wire.split_sequence_example(record)
        rows = self._frames(record, context, feature_lists)
        video_id = self._video_id(record, context)
        starts, classes, present = self._ratings(record, context)
        examples = []
        for start in dict.fromkeys(starts.tolist()):
            end = start + min(schema.SEGMENT_FRAMES, self.config.max_frames)
            frames = [part[start:end] for part in rows]
            if start < 0 or len(frames[0]) == 0:
                raise RecordError(f"rates a segment at {start}, beyond its frames")
            here = starts == start
            examples.append(
                {
                    "id": video_id,
                    "segment_start": start,
                    "frames": frames,
                    "rated": np.unique(classes[here]),
                    "labels": np.unique(classes[here & present]),
                }
            )
        return examples

    def frame_rows(self, lengths):
        # How many segments a record has is not known beforehand.
        shape = (0, schema.SEGMENT_FRAMES, self.config.feature_size)
        return FrameRows(self.pool, shape)

    def collate(self, parsed, rows=None):
        starts = np.array([row["segment_start"] for row in parsed], np.int32)
        rated = pad_ids([row["rated"] for row in parsed])
        position = np.array([row["position"] for row in parsed], np.int64)
        own = {"rated": rated, "segment_start": starts}
        own["position"] = position.reshape(-1, 3)
        return {**super().collate(parsed, rows), **own}


def _missing(name, context, feature_lists, frame_features):
    """Says what a record has instead of feature `name`, and which flag to change."""
    if frame_features and not feature_lists:
        return "is video-level, not frame-level; drop --frame_features"
    if not frame_features and feature_lists:
        return "is frame-level, not video-level; add --frame_features"
    level, here = ("frame", feature_lists) if frame_features else ("video", context)
    no_features = {*schema.ID_KEYS, schema.LABELS_KEY}
    found = ", ".join(sorted(here.keys() - no_features)) or "none"
    return (
        f"has no {level}-level feature {name!r} (it has: {found}); see --feature_names"
    )


def _wrong_size(name, found, unit, expected):
    return (
        f"feature {name!r} holds {found} {unit} where {expected} belong; "
        "check --feature_sizes"
    )
