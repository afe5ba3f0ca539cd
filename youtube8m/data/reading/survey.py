"""What records hold, by the first of them: their level, features and labels.

found = survey("train*.tfrecord", "--train_data_pattern")
found.frame_features["rgb"].size            # values per frame
found.video_features                        # {} where records hold frames alone
"""

import dataclasses
import itertools

from youtube8m import schema
from youtube8m.data.reading import tfrecord
from youtube8m.data.reading.damage import Damage
from youtube8m.data.reading.tfrecord import RecordError

_FIRST_RECORDS = 8  # of each glob
_FIRST_FEATURES = ("rgb", "mean_rgb", "audio", "mean_audio")
_NO_FEATURES = {
    *schema.ID_KEYS,
    schema.LABELS_KEY,
    schema.SEGMENT_START_TIMES_KEY,
    schema.SEGMENT_END_TIMES_KEY,
    schema.SEGMENT_LABELS_KEY,
    schema.SEGMENT_SCORES_KEY,
}


@dataclasses.dataclass
class Feature:
    """One feature of the records that were read.

    Attributes:
      sizes: values per frame (or per video) that occur: bytes or numbers.
      records: how many records have it.
    """

    sizes: set[int] = dataclasses.field(default_factory=set)
    records: int = 0

    @property
    def size(self) -> int | None:
        """Values per frame (or per video); None if records differ, or have none."""
        return next(iter(self.sizes)) if len(self.sizes) == 1 else None


@dataclasses.dataclass
class Survey:
    """What some records hold.

    Attributes:
      records: how many were read.
      frame_features, video_features: byte strings of each frame, and vectors of floats,
        by name; rgb first, then audio, then the others by name.
      num_frames: the numbers of frames that occur.
      labelled: records with labels.
      highest_label: the highest class id; -1 if there is none.
      segments: records with rated segments.
    """

    records: int = 0
    frame_features: dict[str, Feature] = dataclasses.field(default_factory=dict)
    video_features: dict[str, Feature] = dataclasses.field(default_factory=dict)
    num_frames: set[int] = dataclasses.field(default_factory=set)
    labelled: int = 0
    highest_label: int = -1
    segments: int = 0

    def add(self, record: bytes) -> None:
        """Takes one more record into account.

        Raises:
          RecordError: it is no Example and no SequenceExample.
        """
        context, feature_lists = tfrecord.split_sequence_example(record)
        for name, span in feature_lists.items():
            sizes = _frame_sizes(record, span)
            _note(self.frame_features, name, sizes)
            self.num_frames.add(len(sizes))
        for name in context.keys() - _NO_FEATURES:
            values = _read(tfrecord.floats, record, context[name])
            _note(self.video_features, name, [len(values)] if len(values) else [])
        if schema.LABELS_KEY in context:
            labels = _read(tfrecord.integers, record, context[schema.LABELS_KEY])
            self.labelled += bool(labels)
            self.highest_label = max(self.highest_label, *labels, -1)
        self.segments += schema.SEGMENT_START_TIMES_KEY in context
        self.records += 1


def survey(pattern: str, flag: str, first: int = _FIRST_RECORDS) -> Survey:
    """Reads the first records that each of some comma-separated globs finds.

    Damaged files and records are passed over; reading all of them will report them.

    Raises:
      UserError: a glob matches no file.
    """
    found = Survey()
    for shards in tfrecord.find_by_glob(pattern, flag):
        records = itertools.chain.from_iterable(
            tfrecord.read_records(path, Damage(strict=True)) for path in shards
        )
        for _, record in itertools.islice(records, first):
            try:
                found.add(record)
            except RecordError:
                continue
    found.frame_features = _ordered(found.frame_features)
    found.video_features = _ordered(found.video_features)
    return found


def _frame_sizes(record, feature_list):
    """Bytes of each frame; none of a feature that is not stored as bytes."""
    frames = (
        _read(tfrecord.byte_strings, record, span)
        for number, _, span in tfrecord.fields(record, feature_list)
        if number == 1
    )
    return [len(values[0]) for values in frames if len(values) == 1]


def _read(reader, record, span):
    """The values of a feature; none if they are of another type."""
    try:
        return reader(record, span)
    except RecordError:
        return []


def _note(features, name, sizes):
    feature = features.setdefault(name, Feature())
    feature.sizes.update(sizes)
    feature.records += bool(sizes)


def _ordered(features):
    """rgb, then audio, then the others by name."""

    def key(name):
        known = name in _FIRST_FEATURES
        return (_FIRST_FEATURES.index(name) if known else len(_FIRST_FEATURES), name)

    return {name: features[name] for name in sorted(features, key=key)}
