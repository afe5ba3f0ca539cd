"""Writes a small data set in YouTube-8M's formats, made so that models can learn it.

    files = write_sample("/tmp/sample", SampleConfig(num_train=200))
    files["frame/train"], files["segment/validate"], files["vocabulary"]

Each class has a random direction in the space of each feature. A video is cut into
scenes; a scene shows one of the video's labels, or none, as that class's direction
plus a fainter trace of some other class, and every frame adds noise of its own. So
the mean over the frames shows which labels a video has, and its frames show when.

Shapes: T frames, D values of all features together, d of one, C classes, S scenes.
"""

import contextlib
import dataclasses
import itertools
import os
import string
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from youtube8m import schema
from youtube8m.config import DataConfig
from youtube8m.config.features import numpy_dtype
from youtube8m.config.fields import ANY, NOT_NEGATIVE, Config, flag, require
from youtube8m.data.reading import order
from youtube8m.data.writing import records
from youtube8m.util.files import find_files, local_path, replacing
from youtube8m.util.text_files import read_bytes

# Split -> the folders that hold it; ratings of test segments are never published.
LEVELS = {
    "train": ("frame", "video", "segment"),
    "validate": ("frame", "video", "segment"),
    "test": ("frame", "video"),
}
SEGMENTS_PER_VIDEO = 5
VERTICALS = ("Food & Drink", "Games", "Pets & Animals", "Sports", "Travel")
VOCABULARY = "vocabulary.csv"
VOCABULARY_HEADER = (
    "Index,TrainVideoCount,KnowledgeGraphId,Name,WikiUrl,"
    "Vertical1,Vertical2,Vertical3,WikiDescription"
)

_NAME = "/m/sample{}"  # of a class in the vocabulary
_SIGNAL = 0.5  # root mean square of a class's direction, per value
_SCENE_FRAMES = 30  # mean length of a scene
_ZIPF_EXPONENT = 0.8
_BACKGROUND = -1  # a scene without a label: the last row of the directions, zeros
_ID_CHARACTERS = string.ascii_letters + string.digits
# One stream of random numbers for each purpose: each can change without the others.
_PLAN_STREAM, _DIRECTION_STREAM, _VIDEO_STREAM = range(3)


@dataclasses.dataclass(frozen=True)
class SampleConfig(Config):
    """The content of a sample. Raises UserError for a value that is out of range."""

    num_classes: int = flag(25, "Number of classes, the first the most frequent.")
    feature_names: tuple[str, ...] = flag(
        ("rgb", "audio"), "Features of the frames, comma-separated."
    )
    feature_sizes: tuple[int, ...] = flag(
        (1024, 128), "Values per frame of each feature, comma-separated."
    )
    feature_dtype: str = flag(
        schema.BYTES,
        "How values of frames are stored: as a byte each, or as the bytes of float16, "
        "bfloat16 or float32.",
        (schema.BYTES, "float16", "bfloat16", "float32"),
    )
    num_train: int = flag(800, "Videos to train on.", NOT_NEGATIVE)
    num_validate: int = flag(200, "Videos to evaluate on.", NOT_NEGATIVE)
    num_test: int = flag(100, "Videos without labels.", NOT_NEGATIVE)
    num_shards: int = flag(2, "Files of each split, at most one per video.")
    min_frames: int = flag(120, "Frames (seconds) of a video, at least.", ANY)
    max_frames: int = flag(schema.MAX_FRAMES, "Frames of a video, at most.")
    one_frame_share: float = flag(
        0.01, "Share of videos with just one frame; above 0, each split has one.", ANY
    )
    mean_labels: float = flag(3.0, "Labels per video, on average about.", ANY)
    noise: float = flag(
        0.5,
        "Standard deviation of the noise per value, a class's own values having 0.5; "
        "also how strong the traces of other classes are, at most.",
        NOT_NEGATIVE,
    )
    seed: int = flag(0, "Seed of all random choices.", NOT_NEGATIVE)

    def __post_init__(self):
        data = DataConfig(  # checks what both have in common
            self.feature_names,
            self.feature_sizes,
            frame_features=True,
            num_classes=self.num_classes,
            max_frames=self.max_frames,
        )
        object.__setattr__(self, "feature_names", data.feature_names)
        object.__setattr__(self, "feature_sizes", data.feature_sizes)
        super().__post_init__()
        share, frames = self.one_frame_share, self.min_frames
        in_length = f"must be within 1 and --max_frames={self.max_frames}"
        for name, holds, expected in (
            ("mean_labels", self.mean_labels >= 1, "must be at least 1"),
            ("one_frame_share", 0 <= share <= 1, "must be within 0 and 1"),
            ("min_frames", 1 <= frames <= self.max_frames, in_length),
        ):
            require(holds, f"--{name}={getattr(self, name)}: {expected}")


class _Video(NamedTuple):
    """A video without its content, which is drawn from `index` and the seed."""

    index: int
    id: str
    num_frames: int
    labels: np.ndarray  # int64, sorted; at most one for each block of five seconds


def _plan(config: SampleConfig) -> dict[str, list[_Video]]:
    """The videos of each split, classes numbered by falling frequency in train."""
    rng = np.random.default_rng([config.seed, _PLAN_STREAM])
    counts = [getattr(config, f"num_{split}") for split in LEVELS]
    lengths = np.concatenate([_lengths(rng, config, count) for count in counts])
    labels = [_labels(rng, config, length) for length in lengths]
    frequency = _label_counts(labels[: counts[0]], config.num_classes)
    rank = np.argsort(np.argsort(-frequency, kind="stable"))
    rows = zip(_video_ids(rng, len(lengths)), lengths.tolist(), labels, strict=True)
    videos = (
        _Video(index, video_id, length, np.sort(rank[classes]))
        for index, (video_id, length, classes) in enumerate(rows)
    )
    splits = zip(LEVELS, counts, strict=True)
    return {split: list(itertools.islice(videos, count)) for split, count in splits}


def _lengths(rng, config, count):
    """Frames of `count` videos, int64 [count]; a few have one."""
    lengths = rng.integers(config.min_frames, config.max_frames, count, endpoint=True)
    short = int(np.ceil(config.one_frame_share * count))
    lengths[rng.permutation(count)[:short]] = 1
    return lengths


def _labels(rng, config, num_frames):
    """Distinct classes, their popularity falling as in Zipf's law."""
    count = 1 + rng.poisson(config.mean_labels - 1)
    count = min(count, _num_blocks(num_frames), config.num_classes)
    popularity = -_ZIPF_EXPONENT * np.log(np.arange(1, config.num_classes + 1))
    # The largest of popularity plus Gumbel noise: drawn without replacement.
    return np.argsort(popularity + rng.gumbel(size=config.num_classes))[-count:]


def _label_counts(labels, num_classes):
    """In how many of the label lists each class is; int64 [C]."""
    pooled = np.concatenate([np.empty(0, np.int64), *labels])
    return np.bincount(pooled, minlength=num_classes)


def _video_ids(rng, count):
    """Distinct names of four characters, like YouTube-8M's."""
    base = len(_ID_CHARACTERS)
    numbers = rng.choice(base**4, count, replace=False)
    digits = numbers[:, None] // base ** np.arange(4) % base
    return ["".join(_ID_CHARACTERS[digit] for digit in row) for row in digits]


def _num_blocks(num_frames: int) -> int:
    """Scenes start at multiples of five seconds, so that a segment shows just one."""
    return -(-num_frames // schema.SEGMENT_FRAMES)


def _directions(config: SampleConfig) -> np.ndarray:
    """What each class looks like, and a row of zeros: float32 [C + 1, D]."""
    rng = np.random.default_rng([config.seed, _DIRECTION_STREAM])
    shape = (config.num_classes + 1, sum(config.feature_sizes))
    directions = _SIGNAL * rng.standard_normal(shape, np.float32)
    directions[_BACKGROUND] = 0
    return directions


def _scenes(rng, video: _Video) -> tuple[np.ndarray, np.ndarray]:
    """Cuts a video into scenes, at least one of each label.

    Returns lengths in blocks of five frames int64 [S], and classes shown int64 [S].
    """
    blocks, labels = _num_blocks(video.num_frames), video.labels
    count = max(len(labels), blocks * schema.SEGMENT_FRAMES // _SCENE_FRAMES)
    cuts = np.sort(rng.permutation(blocks - 1)[: count - 1]) + 1
    more = rng.choice(np.append(labels, _BACKGROUND), count - len(labels))
    return np.diff(cuts, prepend=0, append=blocks), rng.permutation([*labels, *more])


def _rate(rng, video, shown_in_block) -> list[records.RatedSegment]:
    """Rates one label in segments of the video, whole ones where there are any."""
    label = int(rng.choice(video.labels))
    whole = max(1, video.num_frames // schema.SEGMENT_FRAMES)
    blocks = np.sort(rng.permutation(whole)[:SEGMENTS_PER_VIDEO])
    starts = (blocks * schema.SEGMENT_FRAMES).tolist()
    scores = (shown_in_block[blocks] == label).astype(float).tolist()
    rated = zip(starts, scores, strict=True)
    return [records.RatedSegment(start, label, score) for start, score in rated]


def _content(config, directions, video):
    """The frames of each feature {name: [T, d]} as stored, and rated segments."""
    rng = np.random.default_rng([config.seed, _VIDEO_STREAM, video.index])
    lengths, shown = _scenes(rng, video)
    segments = _rate(rng, video, np.repeat(shown, lengths))
    others = rng.integers(config.num_classes, size=len(shown))
    traces = rng.uniform(0, config.noise, (len(shown), 1)).astype(np.float32)
    scenes = directions[shown] + traces * directions[others]
    scenes = np.repeat(scenes, lengths * schema.SEGMENT_FRAMES, axis=0)
    shape = (video.num_frames, directions.shape[1])
    frames = config.noise * rng.standard_normal(shape, np.float32)
    frames += scenes[: video.num_frames]
    ends = np.cumsum(config.feature_sizes)[:-1]
    if config.feature_dtype == schema.BYTES:
        frames = records.quantize(frames)
    else:
        frames = frames.astype(numpy_dtype(config.feature_dtype))
    parts = np.split(frames, ends, axis=1)
    return dict(zip(config.feature_names, parts, strict=True)), segments


def write_sample(
    directory, config: SampleConfig, progress: Callable[[int, int], None] | None = None
) -> dict:
    """Writes the data set under `directory`; the same one for the same `config`.

    The same videos are written as frame-level records (frame/), as video-level records
    with the means of the frames (video/: mean_rgb ...), and, but for test, as
    frame-level records with rated segments (segment/). After each video,
    progress(videos written, videos in all) is called.

    Returns:
      'frame/train', 'video/test', 'segment/validate' ... -> the glob of those files,
      for splits with videos; 'vocabulary' -> its path; 'num_videos' -> {split: n};
      'num_frames' and 'num_segments' -> how many in all.

    Raises UserError if `directory` is not local, or has shards of another sample.
    """
    root = local_path(os.fspath(directory), "--directory")
    plan, directions = _plan(config), _directions(config)
    shards = {}
    for split, videos in plan.items():
        count = min(config.num_shards, len(videos))  # no shard is empty
        for number in range(count):
            part = order.share(len(videos), number, count)
            shards[split, f"{number:02d}"] = videos[part]
    _refuse_foreign_files(root, shards)
    total, written, num_segments = sum(map(len, plan.values())), 0, 0
    for (split, number), videos in shards.items():
        with contextlib.ExitStack() as stack:
            write = {}
            for level in LEVELS[split]:
                path = _path(root, level, split, number)
                os.makedirs(os.path.dirname(path), exist_ok=True)
                write[level] = stack.enter_context(records.record_file(path))
            for video in videos:
                num_segments += _write_video(config, directions, video, write)
                written += 1
                if progress is not None:
                    progress(written, total)
    return {
        **{
            f"{level}/{split}": _path(root, level, split, "*")
            for split, levels in LEVELS.items()
            for level in levels
            if plan[split]
        },
        "vocabulary": _write_vocabulary(root, plan["train"], config.num_classes),
        "num_videos": {split: len(videos) for split, videos in plan.items()},
        "num_frames": sum(v.num_frames for videos in plan.values() for v in videos),
        "num_segments": num_segments,
    }


def true_labels(config: SampleConfig, split: str) -> dict[str, np.ndarray]:
    """Id -> class ids, also of the test videos, whose records have no labels."""
    return {video.id: video.labels for video in _plan(config)[split]}


def _path(root, level, split, number):
    return os.path.join(root, level, f"{split}{number}.tfrecord")


def _refuse_foreign_files(root, shards):
    """Raises UserError if there are files that would be read with this sample's.

    Or a vocabulary that is no sample's, which would be overwritten.
    """
    with contextlib.suppress(FileNotFoundError, NotADirectoryError):
        path = os.path.join(root, VOCABULARY)
        require(
            _NAME.format(0).encode() in read_bytes(path),
            f"{path}: is no sample's, and would be overwritten; choose an empty "
            "directory",
        )
    new = {f"{split}{number}.tfrecord" for split, number in shards}
    for split, levels in LEVELS.items():
        for level in levels:
            for path in find_files(_path(root, level, split, "*")):
                require(
                    os.path.basename(path) in new,
                    f"{path}: belongs to another sample, and would be read as part of "
                    "this one; choose an empty directory, or remove the old sample "
                    "first",
                )


def _write_video(config, directions, video, write):
    """Writes all levels of a video; returns the number of its rated segments."""
    is_test = "segment" not in write
    labels = None if is_test else video.labels
    features, segments = _content(config, directions, video)
    means = {f"mean_{name}": _mean(frames) for name, frames in features.items()}
    write["video"](records.video_example(video.id, labels, means))
    example = records.frame_example(video.id, labels, features, floats="bytes")
    write["frame"](example)
    if is_test:
        return 0
    records.add_segments(example.context, segments)
    write["segment"](example)
    return len(segments)


def _mean(frames):
    """The mean of the frames, float32 [d]."""
    if frames.dtype == np.uint8:  # dequantisation is linear: it may follow the mean
        return records.dequantize(frames.mean(axis=0))
    return frames.astype(np.float32).mean(axis=0)


def _write_vocabulary(root, train, num_classes):
    """Writes vocabulary.csv, with the columns of the official one; returns its path."""
    path = os.path.join(root, VOCABULARY)
    counts = _label_counts([video.labels for video in train], num_classes)
    os.makedirs(root, exist_ok=True)
    with replacing(path, "--directory") as file:
        file.write(VOCABULARY_HEADER + "\n")
        for index, count in enumerate(counts):
            vertical = VERTICALS[index % len(VERTICALS)]
            name = f"{_NAME.format(index)},Sample class {index}"
            description = "A class that was made up."
            file.write(f"{index},{count},{name},,{vertical},,,{description}\n")
    return path
