"""Which keys of a record hold what: YouTube-8M's, and MediaPipe's where those lack.

    id_keys(config), labels_keys(config)          # the first one with a value counts
    rating_keys(context)                          # of the record's rated segments
    timestamps_key("RGB/feature/floats")          # "RGB/feature/timestamp"

MediaPipe's names are those of its media_sequence; the YouTube-8M project among
TensorFlow's official models reads some of both. docs/input.md has the table.
"""

from collections.abc import Container
from typing import NamedTuple

from youtube8m import schema
from youtube8m.config import DataConfig

_MEDIAPIPE_IDS = ("example/id", "clip/media_id", "clip/data_path")
_MEDIAPIPE_LABELS = "clip/label/index"
CLIP_START_KEY = "clip/start/timestamp"  # microseconds, as all of MediaPipe's times
_FLOATS, _TIMESTAMPS = "/feature/floats", "/feature/timestamp"
_NO_FEATURES = {
    *schema.ID_KEYS,
    schema.LABELS_KEY,
    schema.SEGMENT_START_TIMES_KEY,
    schema.SEGMENT_END_TIMES_KEY,
    schema.SEGMENT_LABELS_KEY,
    schema.SEGMENT_SCORES_KEY,
}
_NO_FEATURE_STARTS = ("example/", "clip/", "segment/")
_NO_FEATURE_ENDS = (_TIMESTAMPS, "/feature/rate", "/feature/dimensions")


class RatingKeys(NamedTuple):
    """The keys of three parallel lists, one entry per rating."""

    starts: str
    classes: str
    scores: str  # a class is present if this is above 0; without them all are
    second: int  # what `starts` count, per second; from the start of the clip
    needs_scores: bool


YOUTUBE8M_RATINGS = RatingKeys(*schema.RATING_KEYS, 1, True)
MEDIAPIPE_RATINGS = RatingKeys(
    "segment/start/timestamp",
    "segment/label/index",
    "segment/label/confidence",
    1_000_000,
    False,
)


def id_keys(config: DataConfig) -> tuple[str, ...]:
    """Where a record's id may be."""
    return (config.id_key,) if config.id_key else (*schema.ID_KEYS, *_MEDIAPIPE_IDS)


def labels_keys(config: DataConfig) -> tuple[str, ...]:
    """Where a record's class ids may be."""
    if config.labels_key:
        return (config.labels_key,)
    return schema.LABELS_KEY, _MEDIAPIPE_LABELS


def rating_keys(context: Container[str]) -> RatingKeys:
    """The keys of a record's ratings; YouTube-8M's where it has none."""
    if MEDIAPIPE_RATINGS.starts in context and schema.RATING_KEYS[0] not in context:
        return MEDIAPIPE_RATINGS
    return YOUTUBE8M_RATINGS


def timestamps_key(name: str) -> str:
    """The feature list with the time of each frame of a feature; "" if none has it."""
    if not name.endswith(_FLOATS):
        return ""
    return name.removesuffix(_FLOATS) + _TIMESTAMPS


def seconds(microseconds, cast=int):
    """The nearest whole seconds, halves rounded up."""
    return cast((microseconds + 500_000) // 1_000_000)


def may_be_feature(key: str) -> bool:
    """Whether a key of a record may hold a feature, and not a known other thing."""
    known = key in _NO_FEATURES or key.startswith(_NO_FEATURE_STARTS)
    return not known and not key.endswith(_NO_FEATURE_ENDS)
