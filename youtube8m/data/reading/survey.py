"""What records hold, by the first of them: their level, features and labels.

found = survey("train*.tfrecord", "--train_data_pattern")
found.frame_features["rgb"].size            # values per frame
found.frame_features["rgb"].stored          # uint8, or another of schema.STORED
found.video_features                        # {} where records hold frames alone
"""

import contextlib
import dataclasses
import functools
import itertools
from collections.abc import Iterable

import numpy as np

from youtube8m import schema
from youtube8m.config import DataConfig
from youtube8m.data.reading import dtypes, layouts, messages, shard_files
from youtube8m.data.reading.damage import Damage
from youtube8m.data.reading.messages import RecordError
from youtube8m.data.reading.pipeline import Shards
from youtube8m.data.reading.tensorflow_pipeline import TensorFlowShards, compression_of

_FIRST_RECORDS = 8  # of each glob
_JUDGED_FRAMES = 64  # of each record, by whose look types are told apart
_FIRST_FEATURES = (
    *("rgb", "RGB/feature/floats", "mean_rgb"),
    *("audio", "AUDIO/feature/floats", "mean_audio"),
)


@dataclasses.dataclass
class SurveyedFeature:
    """One feature of the records that were read.

    Attributes:
      sizes: values per frame (or per video) that occur: bytes or numbers.
      records: how many records have it.
      stored: how its values are stored, of `schema.STORED`; None if records differ.
      sure: whether that is more than a guess.
    """

    sizes: set[int] = dataclasses.field(default_factory=set)
    records: int = 0
    stored: str | None = None
    sure: bool = True
    _kinds: set[str] = dataclasses.field(default_factory=set)
    _samples: list[np.ndarray] = dataclasses.field(default_factory=list)

    @property
    def size(self) -> int | None:
        """Values per frame (or per video); None if records differ, or have none."""
        alike = len(self.sizes) == 1 and self.stored is not None
        return next(iter(self.sizes)) if alike else None

    def add(self, kind: str, lengths: list[int], rows: list[bytes]) -> None:
        """Takes the feature of one more record into account.

        Args:
          kind: bytes_list, float_list, or "" if it has no such values.
          lengths: bytes or values of each frame.
          rows: byte strings.
        """
        self.sizes.update(lengths)
        self.records += bool(lengths)
        self._kinds |= {kind} - {""}
        if len({*map(len, rows)}) == 1 and rows[0]:
            self._samples.append(np.frombuffer(b"".join(rows), np.uint8))

    def finish(self) -> None:
        """Finds out how the values are stored, when all records are added."""
        if self._kinds == {"bytes_list"}:
            bytes_each = next(iter(self.sizes)) if len(self.sizes) == 1 else 0
            self.stored = schema.BYTES
            if bytes_each and self._samples:
                self.stored, self.sure = self._guess(bytes_each)
                self.sizes = {bytes_each // schema.STORED[self.stored]}
        elif self._kinds == {schema.FLOAT_LIST}:
            self.stored = schema.FLOAT_LIST

    def _guess(self, bytes_each, width=None):
        rows = np.concatenate(self._samples).reshape(-1, bytes_each)
        return dtypes.guess(rows, width)

    def stored_as(
        self, size: int | None, stored: str | None
    ) -> tuple[int, dtypes.Guess] | None:
        """(values per frame, how they are stored), as far as records and flags say.

        Args:
          size, stored: what a user says, None if nothing. What a user says of float32
            values may mean bytes or lists.

        Returns None if the records differ from one another.
        """
        if self.size is None:
            return None
        if self.stored == schema.FLOAT_LIST:
            as_list = stored in (None, "float32", schema.FLOAT_LIST)
            stored = schema.FLOAT_LIST if as_list else stored
            return size or self.size, dtypes.Guess(stored, True)
        bytes_each = self.size * schema.STORED[self.stored]
        guess = dtypes.Guess(self.stored, self.sure)
        if stored:
            stored = "float32" if stored == schema.FLOAT_LIST else stored
            guess = dtypes.Guess(stored, True)
        elif size:
            width, rest = divmod(bytes_each, size)
            known = not rest and width in (1, 2, 4) and self._samples
            # Else reading the records will say what is wrong with --feature_sizes.
            guess = self._guess(bytes_each, width if known else 1)
        return size or bytes_each // schema.STORED[guess.stored], guess


@dataclasses.dataclass
class Survey:
    """What some records hold.

    Attributes:
      records: how many were read.
      frame_features, video_features: what there is of each frame, and vectors of the
        video, by name; rgb first, then audio, then the others by name.
      num_frames: the numbers of frames that occur.
      labelled: records with labels.
      highest_label: the highest class id; -1 if there is none.
      segments: records with rated segments.
    """

    records: int = 0
    frame_features: dict[str, SurveyedFeature] = dataclasses.field(default_factory=dict)
    video_features: dict[str, SurveyedFeature] = dataclasses.field(default_factory=dict)
    num_frames: set[int] = dataclasses.field(default_factory=set)
    labelled: int = 0
    highest_label: int = -1
    segments: int = 0
    config: DataConfig = dataclasses.field(default_factory=DataConfig)

    def add(self, record: bytes) -> None:
        """Takes one more record into account.

        Raises:
          RecordError: it is no Example and no SequenceExample.
        """
        context, feature_lists = messages.split_sequence_example(record)
        for name in filter(layouts.may_be_feature, feature_lists):
            self._add_frames(name, record, feature_lists[name])
        for name in filter(layouts.may_be_feature, context):
            if name not in (*layouts.id_keys(self.config), *self._labels_keys):
                kind, lengths, rows = _values(record, context[name])
                feature = self.video_features.setdefault(name, SurveyedFeature())
                feature.add(kind, lengths, rows)
        for key in self._labels_keys:
            if key in context:
                labels = _read(messages.integers, record, context[key])
                self.labelled += bool(labels)
                self.highest_label = max(self.highest_label, *labels, -1)
                break
        self.segments += layouts.rating_keys(context).starts in context
        self.records += 1

    @property
    def _labels_keys(self):
        return layouts.labels_keys(self.config)

    def _add_frames(self, name, record, feature_list):
        kinds, lengths, rows = set(), [], []
        for span in messages.frames(record, feature_list):
            kind, found, strings = _values(record, span)
            kinds.add(kind)
            lengths += found
            rows += strings[: len(rows) < _JUDGED_FRAMES]
        feature = self.frame_features.setdefault(name, SurveyedFeature())
        for kind in kinds or {""}:
            feature.add(kind, [], [])
        feature.add("", lengths, rows)
        self.num_frames.add(len(lengths))


def survey(
    pattern: str,
    flag: str,
    first: int = _FIRST_RECORDS,
    config: DataConfig | None = None,
) -> Survey:
    """Reads the first records that each of some comma-separated globs finds.

    Damaged files and records are passed over; reading all of them will report them.

    Args:
      config: whose --labels_key and --id_key count; default: none are given.

    Raises:
      UserError: a glob matches no file.
    """
    records = []
    for shards in shard_files.find_by_glob(pattern, flag):
        read = functools.partial(first_records, count=first)
        found = itertools.chain.from_iterable(map(read, shards))
        records += itertools.islice(found, first)
    return survey_records(records, config)


def survey_records(
    records: Iterable[bytes], config: DataConfig | None = None
) -> Survey:
    """What some records hold; those that are no Examples are passed over."""
    found = Survey(config=config or DataConfig())
    for record in records:
        with contextlib.suppress(RecordError):
            found.add(record)
    for features in (found.frame_features, found.video_features):
        for feature in features.values():
            feature.finish()
    found.frame_features = _ordered(found.frame_features)
    found.video_features = _ordered(found.video_features)
    return found


def first_records(path: str, count: int) -> list[bytes]:
    """The first sound records of a file, which may be compressed by gzip or zlib.

    Raises UserError if it is packed in another way.
    """
    damage = Damage(strict=True)
    if compression_of(path):
        return TensorFlowShards.first_records(path, damage, count)
    return Shards.first_records(path, damage, count)


def _values(record, span):
    """(kind, [bytes or values that it has], [bytes]) of a feature of one value.

    ("", [], []) of one with several byte strings, or other values.
    """
    kind = messages.kind_of(record, span)
    if kind == "bytes_list":
        strings = _read(messages.byte_strings, record, span)
        if len(strings) == 1:
            return kind, [len(strings[0])], strings
    elif kind == schema.FLOAT_LIST:
        values = _read(messages.floats, record, span)
        return kind, [len(values)] * bool(len(values)), []
    return "", [], []


def _read(reader, record, span):
    """The values of a feature; none if they are of another type."""
    try:
        return reader(record, span)
    except RecordError:
        return []


def _ordered(features):
    """rgb, then audio, then the others by name."""

    def key(name):
        known = name in _FIRST_FEATURES
        return (_FIRST_FEATURES.index(name) if known else len(_FIRST_FEATURES), name)

    return {name: features[name] for name in sorted(features, key=key)}
