"""From frame-level records to the frames of a batch.

A record's feature list has a byte string (or float list) per frame. Those of one size
have one stride, so numpy views them in place; the chosen ones are copied once, into the
arrays of the batch.
"""

import dataclasses
import functools
import re
from collections.abc import Sequence

import numpy as np

from youtube8m import schema
from youtube8m.config.features import Feature, FrameArray, numpy_dtype
from youtube8m.data.reading import dtypes, frame_sampling, layouts, messages
from youtube8m.data.reading.buffers import BufferPool
from youtube8m.data.reading.decoding import Decoder
from youtube8m.data.reading.messages import Buffer, RecordError, Span


def is_float_list(record, feature: Feature, span: Span) -> bool:
    """Whether a record has a feature as float lists, by its first frame.

    Values of other types are never stored so.
    """
    if feature.dtype != "float32":
        return False
    if feature.per_frame:
        span = next(messages.frames(record, span), (0, 0))
    return messages.kind_of(record, span) == schema.FLOAT_LIST


def byte_rows(
    buffer: Buffer, feature_list: Span, size: int, as_floats: bool = False
) -> np.ndarray:
    """The frames of a feature list: uint8 [T, size], a view if they have one stride.

    Args:
      as_floats: whether frames are float32 values: they may be float lists, too.

    Raises RecordError if a frame is not one byte string (or float list) of `size`
    bytes.
    """
    start, end = feature_list
    for kind in (messages.BYTES, messages.FLOATS) if as_floats else (messages.BYTES,):
        prefix = messages.row_prefix(size, kind)
        stride = len(prefix) + size
        count, rest = divmod(end - start, stride)
        if count and not rest:
            # All headers at once: the processor then loads their cache lines in
            # parallel.
            headers = np.ndarray(count, f"V{len(prefix)}", buffer, start, stride)
            if headers.tobytes() == prefix * count:
                start += len(prefix)
                return np.ndarray((count, size), np.uint8, buffer, start, (stride, 1))
    rows = []
    for span in messages.frames(buffer, feature_list):
        as_list = as_floats and messages.kind_of(buffer, span) == schema.FLOAT_LIST
        rows.append((_float_row if as_list else _byte_row)(buffer, span, size))
    return np.stack(rows) if rows else np.empty((0, size), np.uint8)


def _byte_row(buffer, feature, size):
    values = messages.byte_strings(buffer, feature)
    if len(values) != 1 or len(values[0]) != size:
        found = f"{len(values[0])} bytes" if len(values) == 1 else "no single value"
        raise RecordError(f"holds a frame of {found} where {size} belong")
    return np.frombuffer(values[0], np.uint8)


def _float_row(buffer, feature, size):
    values = messages.floats(buffer, feature)
    if values.nbytes != size:
        raise RecordError(
            f"holds a frame of {len(values)} values where {size // 4} belong"
        )
    return values.view(np.uint8)


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

    def decode_without(self, record: bytes, spans: Sequence[range]) -> dict:
        """A batch of one record, each time without some of its frames.

        They are left out before frames are chosen, as if the video did not have them.

        Args:
          spans: the frames left out of each example, counted in the record; all of
            them are too many. range(0) leaves out none.

        Raises RecordError if the record cannot be used.
        """
        context, rows, vectors = self._read_frames(record)
        kept = [np.delete(np.arange(len(rows[0])), span) for span in spans]
        examples = [
            self._sample([part[index] for part in rows], None, None) + vectors
            for index in kept
        ]
        columns = self.allocate_rows([len(record)] * len(spans))
        columns.add(examples)
        video_id = self._read_id(record, context)
        return self.collate([{"id": video_id} for _ in spans], columns)

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
        context, feature_lists = messages.split_sequence_example(record)
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

    @staticmethod
    def _read_rows(record, feature, span):
        """The bytes [T, width] of a feature's frames."""
        as_floats = feature.dtype == "float32"
        try:
            return byte_rows(record, span, feature.width, as_floats)
        except RecordError as error:
            hint = _hint(str(error), feature)
            raise RecordError(f"feature {feature.name!r} {error}{hint}") from None

    def _read_bytes(self, record, context, feature):
        """The one byte string [1, width] of a feature of a video."""
        values = self._read_values(messages.byte_strings, record, context, feature.name)
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
            feature.width + len(messages.row_prefix(feature.width))
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
    for feature in messages.frames(record, span):
        yield from messages.integers(record, feature)


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
