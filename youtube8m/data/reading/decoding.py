"""From serialised records to numpy batches.

    decoder = decoder_for(DataConfig(...), labels=True, damage=Damage())
    batch = decoder.decode(paths, locations, records)

A batch is as `batch` says, of arrays. Segments have a `position` int64 [B, 3] each: the
epoch, the number of the record in it, and the number of the segment in that, from 1.

A record that cannot be used is left out and reported to `damage`. One whose labels
contradict --num_classes ends the run, as it means the flag is wrong.
"""

import dataclasses
import functools
import re
import weakref
from collections.abc import Iterable, Sequence

import numpy as np

from youtube8m import schema
from youtube8m.config import DataConfig
from youtube8m.config.features import Feature, FrameArray, numpy_dtype
from youtube8m.data.reading import dtypes, frame_sampling, layouts, tfrecord
from youtube8m.data.reading.batch import pad_ids
from youtube8m.data.reading.damage import Damage
from youtube8m.data.reading.skeletons import Skeletons
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


def is_float_list(record, feature: Feature, span: tfrecord.Span) -> bool:
    """Whether a record has a feature as float lists, by its first frame.

    Values of other types are never stored so.
    """
    if feature.dtype != "float32":
        return False
    if feature.per_frame:
        span = next(tfrecord.frames(record, span), (0, 0))
    return tfrecord.kind_of(record, span) == schema.FLOAT_LIST


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

    They are moved as bytes. All are copied again if the longest one differs from T of
    `shape`.
    """

    def __init__(self, pool: BufferPool, shape: tuple[int, int, int], dtype="uint8"):
        self._pool = pool
        self._dtype = numpy_dtype(dtype)
        count, length, size = shape
        shape = count, length, size * self._dtype.itemsize
        self._frames = pool.empty(shape, np.uint8)
        self._lengths: list[int] = []

    def add(self, parts: list[np.ndarray]) -> bool:
        """Appends a video, the bytes [T, width] of each feature.

        Returns whether all values are finite.
        """
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
        is_bytes = self._dtype == np.uint8
        return is_bytes or dtypes.all_finite(target[:length].view(self._dtype))

    def cut(self, count: int) -> None:
        """Removes what follows the first `count` videos."""
        del self._lengths[count:]

    def finish(self) -> tuple[np.ndarray, np.ndarray]:
        """(frames [B, T, D], T the longest of them; num_frames int32 [B])."""
        lengths = np.array(self._lengths, np.int32)
        longest = lengths.max(initial=0)
        if longest < self._frames.shape[1]:
            self._frames = self._resized(len(lengths), longest)
        return self._frames[: len(lengths)].view(self._dtype), lengths

    def _resized(self, count, length):
        shape = (count, length, self._frames.shape[2])
        frames = self._pool.empty(shape, np.uint8)
        done, kept = len(self._lengths), min(length, self._frames.shape[1])
        frames[:done, :kept] = self._frames[:done, :kept]
        frames[:done, kept:] = 0
        return frames


class FrameColumns:
    """All arrays of the frames of a batch.

    Args:
      shape: (videos, frames of the longest one), as far as they are known.
    """

    def __init__(
        self, pool: BufferPool, arrays: tuple[FrameArray, ...], shape: tuple[int, int]
    ):
        self._arrays, self._rows, end = arrays, [], 0
        for array in arrays:
            count, length = shape if array.per_frame else (shape[0], 1)
            rows = FrameRows(pool, (count, length, array.size), array.dtype)
            part = slice(end, end + len(array.features))
            self._rows.append((part, rows))
            end = part.stop
        self._count = 0

    def add(self, examples: list[list[np.ndarray]]) -> None:
        """Appends the examples of a record, the bytes [T, width] of each feature.

        Raises RecordError, and appends none, if a value is not finite.
        """
        for parts in examples:
            for part, rows in self._rows:
                if not rows.add(parts[part]):
                    for _, each in self._rows:
                        each.cut(self._count)
                    raise RecordError(self._not_finite(parts))
        self._count += len(examples)

    def _not_finite(self, parts):
        features = [feature for array in self._arrays for feature in array.features]
        for feature, part in zip(features, parts, strict=False):
            values = dtypes.as_values(part, feature.dtype)
            if not dtypes.all_finite(values):
                return f"feature {feature.name!r} holds values that are not finite"
        return "holds values that are not finite"

    def finish(self) -> dict[str, np.ndarray]:
        """The arrays by key, and `num_frames` int32 [B]."""
        batch = {}
        for array, (_, rows) in zip(self._arrays, self._rows, strict=True):
            values, lengths = rows.finish()
            batch[array.key] = values
            if array.per_frame:
                batch["num_frames"] = lengths
            else:
                batch[array.key] = values.reshape(len(lengths), array.size)
        return batch


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

    def __post_init__(self):
        # Once, and not for each record.
        self._features = self.config.features
        self._id_keys = layouts.id_keys(self.config)
        self._labels_keys = layouts.labels_keys(self.config)

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
                if rows is not None:
                    rows.add([example.pop("frames") for example in examples])
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
                parsed += examples
        return self.collate(parsed, rows)

    def allocate_rows(self, lengths) -> FrameColumns | None:
        """Where frames of records of `lengths` bytes go; None if none are decoded."""
        return None

    def collate(self, parsed: list[dict], rows=None) -> dict[str, np.ndarray]:
        """Pads examples to one batch; `rows` has their frames, if there are any."""
        batch = {"id": np.array([row["id"] for row in parsed], object)}
        if self.labels:
            batch["labels"] = pad_ids([row["labels"] for row in parsed])
        return batch

    def _find_features(self, context, feature_lists):
        """Yields (feature, span) of each. Raises RecordError if it is missing."""
        for feature in self._features:
            found = feature_lists if feature.per_frame else context
            if feature.name not in found:
                missing = _missing(self.config, feature, context, feature_lists)
                raise RecordError(missing)
            yield feature, found[feature.name]

    def _read_context(self, record: bytes, context) -> dict:
        """The `id` of a record, and its `labels` if they are asked for."""
        parsed = {"id": self._read_id(record, context)}
        if self.labels:
            # Several times faster than np.unique for so few.
            parsed["labels"] = sorted(set(self._read_labels(record, context)))
        return parsed

    def _read_labels(self, record, context):
        labels = None
        for key in self._labels_keys:
            if not labels and key in context:
                labels = self._read_class_ids(record, context, key)
        if labels is None:
            found = ", ".join(sorted(context)) or "none"
            raise RecordError(
                f"has no {self._labels_keys[0]!r}; only inference works without; its "
                f"keys are {found}: see --labels_key"
            )
        return labels

    def _read_id(self, record, context):
        for key in self._id_keys:
            if key in context:
                values = self._read_values(tfrecord.byte_strings, record, context, key)
                if len(values) == 1 and values[0]:
                    return self._checked_id(values[0])
        looked = " and ".join(self._id_keys[:2])
        found = ", ".join(sorted(context)) or "none"
        raise RecordError(
            f"has no video id (looked for {looked}); its keys are {found}: see --id_key"
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
        keys = layouts.rating_keys(context)
        needed = keys[:3] if keys.needs_scores else keys[:2]
        if missing := [key for key in needed if key not in context]:
            message = f"has no {missing[0]!r}; it is not a record of rated segments"
            raise RecordError(message)
        starts = self._read_values(tfrecord.integers, record, context, keys.starts)
        classes = self._read_class_ids(record, context, keys.classes)
        scores = np.ones(len(classes), np.float32)
        if keys.scores in context:
            scores = self._read_floats(record, context, keys.scores)
        if not len(starts) == len(classes) == len(scores):
            raise RecordError("has segment lists of unequal lengths")
        if keys is layouts.MEDIAPIPE_RATINGS:
            first = self._read_clip_start(record, context)
            starts = [layouts.seconds(start) - first for start in starts]
        return np.array(starts, int), np.array(classes, int), scores > 0

    def _read_clip_start(self, record, context):
        """In whole seconds."""
        key = layouts.CLIP_START_KEY
        if key not in context:
            return 0
        (start, *_) = self._read_values(tfrecord.integers, record, context, key) or [0]
        return layouts.seconds(start)

    def _read_class_ids(self, record, context, key):
        try:
            ids = self._read_values(tfrecord.integers, record, context, key)
        except RecordError as error:
            hint = "; labels are class ids, int64: row numbers of vocabulary.csv"
            raise RecordError(f"{error}{hint * ('where a' in str(error))}") from None
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
    def _read_values(reader, record, spans, name):
        try:
            return reader(record, spans[name])
        except RecordError as error:
            raise RecordError(f"feature {name!r} {error}") from None

    def _read_vector(self, record, context, feature):
        """The float list float32 [size] of a video."""
        name, size = feature.name, feature.size
        values = self._read_floats(record, context, name)
        if len(values) != size:
            raise RecordError(
                f"feature {name!r} holds {len(values)} values where {size} belong; "
                "check --feature_sizes"
            )
        return values

    def _read_floats(self, record, context, name):
        values = self._read_values(tfrecord.floats, record, context, name)
        if not np.isfinite(values).all():
            raise RecordError(f"feature {name!r} holds values that are not finite")
        return values

    @staticmethod
    def _read_rows(record, feature, span):
        """The bytes [T, width] of a feature's frames."""
        as_floats = feature.dtype == "float32"
        try:
            return tfrecord.byte_rows(record, span, feature.width, as_floats)
        except RecordError as error:
            hint = _hint(str(error), feature)
            raise RecordError(f"feature {feature.name!r} {error}{hint}") from None


def _hint(problem, feature):
    """What helps where the frames of a feature are not as they are described."""
    found = re.search(r"frame of (\d+) bytes", problem)
    others = [
        stored
        for stored, width in schema.STORED.items()
        if found
        and stored != schema.FLOAT_LIST
        and width * feature.size == int(found[1])
    ]
    if "holds a float_list" in problem:
        others = [schema.FLOAT_LIST]
    if "holds a int64_list" in problem:
        return (
            "; frames of integers are not read: write them as bytes, as "
            "youtube8m.data.examples.frame_example does"
        )
    if found and int(found[1]) == 8 * feature.size:
        return "; they look like float64 values, which are not read: write float32"
    if others:
        kinds = " or ".join(others)
        return (
            f"; they look like {kinds} values, but {feature.stored} is expected: "
            "quantize them, as youtube8m.data.examples.quantize does, or give "
            f"--feature_dtypes={kinds}"
        )
    return "; check --feature_sizes and --feature_dtypes" if "belong" in problem else ""


class VideoDecoder(Decoder):
    """Video-level Examples: one float list per feature."""

    def __post_init__(self):
        super().__post_init__()
        self._skeletons = Skeletons()

    def parse(self, record, draw=None):
        return [self._parse_known(record) or self._walk(record)]

    def _walk(self, record):
        context, feature_lists = tfrecord.split_sequence_example(record)
        parts = []
        for feature, _ in self._find_features(context, feature_lists):
            parts.append(self._read_vector(record, context, feature))
        features = np.concatenate(parts)
        example = {**self._read_context(record, context), "features": features}
        if self._skeletons.wants(record):
            self._learn(record, context)
        return example

    def _learn(self, record, context):
        """Where a record that was walked has its values, if these are single runs."""
        read = [(feature.name, tfrecord.FLOATS) for feature in self._features]
        # The first of several keys, if it is not empty: then no other one is read.
        read.append((_first(self._id_keys, context), tfrecord.BYTES))
        if self.labels:
            read.append((_first(self._labels_keys, context), tfrecord.INTEGERS))
        runs = [tfrecord.only_run(record, context[key], kind) for key, kind in read]
        if all(run and run[0] < run[1] for run in runs):
            unread = [span for key, span in context.items() if key not in dict(read)]
            self._skeletons.learn(record, runs, unread)

    def _parse_known(self, record):
        """The example of a record like an earlier one; None if it must be walked.

        So must one with a fault, which is worded there.
        """
        values = self._skeletons.split(record)
        if values is None:
            return None
        count = len(self._features)
        features = np.frombuffer(b"".join(values[:count]), "<f4")
        if not np.isfinite(features).all():
            return None
        try:
            example = {"id": self._checked_id(values[count])}
            if self.labels:
                found = sorted(set(tfrecord.packed_integers(values[-1])))
                if found[0] < 0 or found[-1] >= self.config.num_classes:
                    return None
                example["labels"] = found
        except RecordError:
            return None
        return {**example, "features": features}

    def collate(self, parsed, rows=None):
        batch = super().collate(parsed)
        shape = (len(parsed), self.config.feature_size)
        batch["features"] = out = self.pool.empty(shape, np.float32)
        for row, example in zip(out, parsed, strict=True):
            row[:] = example["features"]
        return batch


def _first(keys, found):
    return next(key for key in keys if key in found)


@dataclasses.dataclass
class FrameDecoder(Decoder):
    """Frame-level SequenceExamples: one list of byte strings per feature.

    Each record is one example, or one for each of `crop_starts`, side by side.
    """

    crop_starts: tuple[int, ...] = ()

    def __post_init__(self):
        super().__post_init__()
        self._arrays = self.config.frame_arrays
        timed = [layouts.timestamps_key(n) for n in self.config.feature_names]
        self._timed = timed if all(timed) else []

    def parse(self, record, draw=None):
        context, rows, vectors = self._read_frames(record)
        example = self._read_context(record, context)
        return [
            {**example, "frames": self._sample(rows, draw, start) + vectors}
            for start in self.crop_starts or (None,)
        ]

    def _sample(self, rows, draw, start):
        """The chosen frames, the same ones of each feature."""
        chosen = frame_sampling.sample(self.config, len(rows[0]), draw, start)
        index = frame_sampling.as_index(chosen)
        return [part[index] for part in rows]

    def _read_frames(self, record):
        """(spans of the context's features, rows, vectors).

        Rows are the bytes [T, width] of each feature of frames, views; vectors
        [1, width] of each of --context_features.
        """
        context, feature_lists = tfrecord.split_sequence_example(record)
        rows, vectors = [], []
        for feature, span in self._find_features(context, feature_lists):
            if feature.per_frame:
                rows.append(self._read_rows(record, feature, span))
            elif is_float_list(record, feature, span):
                vector = self._read_vector(record, context, feature)
                vectors.append(vector[None].view(np.uint8))
            else:
                vectors.append(self._read_bytes(record, context, feature))
        if self._timed and all(key in feature_lists for key in self._timed):
            rows = self._paired(record, feature_lists, rows)
        lengths = [len(frames) for frames in rows]
        if len({*lengths}) > 1 or 0 in lengths:
            counts = ", ".join(map("{} {}".format, self.config.feature_names, lengths))
            raise RecordError(f"has unequal or no frames: {counts}")
        return context, rows, vectors

    def _read_bytes(self, record, context, feature):
        """The one byte string [1, width] of a feature of a video."""
        values = self._read_values(tfrecord.byte_strings, record, context, feature.name)
        if [*map(len, values)] != [feature.width]:
            found = ", ".join(map(str, map(len, values))) or "no"
            raise RecordError(
                f"feature {feature.name!r} holds {found} bytes where {feature.width} "
                "belong; check --feature_sizes and --feature_dtypes"
            )
        return np.frombuffer(values[0], np.uint8)[None]

    def _paired(self, record, feature_lists, rows):
        """The rows of the seconds of which all features have a frame.

        Where numbers of frames and first seconds are equal, all of them.
        """
        spans = [feature_lists[key] for key in self._timed]
        first = {layouts.seconds(next(_times(record, span), -1)) for span in spans}
        if len(first) == 1 and len({*map(len, rows)}) == 1:
            return rows
        seconds = []
        for name, span, part in zip(
            self.config.feature_names, spans, rows, strict=True
        ):
            times = np.array([*_times(record, span)], int)
            seconds.append(layouts.seconds(times, np.asarray))
            if len(times) != len(part) or np.any(np.diff(seconds[-1]) <= 0):
                raise RecordError(
                    f"feature {name!r} has {len(part)} frames but {len(times)} times, "
                    "or two frames in one second"
                )
        common = functools.reduce(np.intersect1d, seconds)
        pairs = zip(rows, seconds, strict=True)
        return [part[np.searchsorted(times, common)] for part, times in pairs]

    def allocate_rows(self, lengths):
        stride = sum(
            feature.width + len(tfrecord.row_prefix(feature.width))
            for feature in self._features
            if feature.per_frame
        )
        longest = max(lengths, default=0) // stride  # if it holds nothing else
        longest = min(longest, self.config.longest_example)
        count = len(lengths) * max(1, len(self.crop_starts))
        return FrameColumns(self.pool, self._arrays, (count, longest))

    def collate(self, parsed, rows=None):
        return {**super().collate(parsed), **rows.finish()}


def _times(record, span):
    """Yields the microseconds of each frame."""
    for feature in tfrecord.frames(record, span):
        yield from tfrecord.integers(record, feature)


class ReleasedCropDecoder(FrameDecoder):
    """Crops as the released code of Zou et al. 2017 makes them, which differ:

    - in training the start is drawn for each feature, so that they are some seconds
      apart;
    - --frame_sampling=crop: all videos have --crop_frames frames, zeros after the end;
    - --frame_sampling=interval: a video has as many frames as its first feature; other
      features are cut or filled with zeros.

    No byte stands for zero, so `frames` are float32, bytes dequantised.
    """

    def _sample(self, rows, draw, start):
        """The crops of each feature, dequantised: the bytes of float32 [T, d]."""
        draws = [None] * len(rows)
        if draw is not None:
            draws = frame_sampling.draws(draw, range(len(rows))).tolist()
        parts = zip(rows, draws, strict=True)
        sample = super()._sample
        parts = [part for row, own in parts for part in sample([row], own, start)]
        is_crop = self.config.frame_sampling == "crop"
        length = self.config.crop_frames if is_crop else len(parts[0])
        crops = []
        for feature, part in zip(self._features, parts, strict=False):
            crop = np.zeros((length, feature.size), np.float32)
            values = dtypes.as_values(part[:length], feature.dtype)
            is_bytes = feature.stored == schema.BYTES
            crop[: len(part)] = dequantize(values) if is_bytes else values
            crops.append(crop.view(np.uint8))
        return crops


class SegmentDecoder(FrameDecoder):
    """Rated five-second segments: one example per distinct start time.

    Their order is that in which start times first appear in the record. --max_frames
    cuts the examples, not the video.
    """

    def parse(self, record, draw=None):
        context, rows, vectors = self._read_frames(record)
        video_id = self._read_id(record, context)
        starts, classes, present = self._read_ratings(record, context)
        examples = []
        for start in dict.fromkeys(starts.tolist()):
            end = start + min(schema.SEGMENT_FRAMES, self.config.max_frames)
            frames = [part[start:end] for part in rows]
            if start < 0 or len(frames[0]) == 0:
                raise RecordError(f"rates a segment at {start}, beyond its frames")
            here = starts == start
            frames += vectors
            example = {"id": video_id, "segment_start": start, "frames": frames}
            example["rated"] = np.unique(classes[here])
            example["labels"] = np.unique(classes[here & present])
            examples.append(example)
        return examples

    def allocate_rows(self, lengths):
        # The number of segments of a record is not known yet.
        return FrameColumns(self.pool, self._arrays, (0, schema.SEGMENT_FRAMES))

    def collate(self, parsed, rows=None):
        batch = super().collate(parsed, rows)
        batch["rated"] = pad_ids([row["rated"] for row in parsed])
        starts = [row["segment_start"] for row in parsed]
        batch["segment_start"] = np.array(starts, np.int32)
        position = np.array([row["position"] for row in parsed], np.int64)
        batch["position"] = position.reshape(-1, 3)
        return batch


def _missing(config, feature, context, feature_lists):
    """Says what a record has instead of a feature, and which flag to change."""
    name, flag = feature.name, "--feature_names"
    if config.frame_features and not feature_lists:
        return "is video-level, not frame-level; drop --frame_features"
    if not config.frame_features and feature_lists:
        return "is frame-level, not video-level; add --frame_features"
    level, here = ("frame", feature_lists) if feature.per_frame else ("video", context)
    if name in config.context_features:
        flag = "--context_features"
    found = ", ".join(sorted(filter(layouts.may_be_feature, here))) or "none"
    return f"has no {level}-level feature {name!r} (it has: {found}); see {flag}"
