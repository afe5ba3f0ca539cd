"""What kind of records some shards hold, by the first records of some of them.

    look = take_first_look(paths, KeysConfig())
    look.config          # how most are read, with the keys that were found
    look.kind            # Kind(level="frame", features=(("rgb", "bytes_list", 1024),))

Where records have their id or their labels under keys of their own, the likeliest keys
are taken: an id is one string that differs from record to record, labels are integers.
"""

import collections
import contextlib
import dataclasses
import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from youtube8m.config import DataConfig
from youtube8m.config.data import KeysConfig
from youtube8m.data.reading import layouts, messages
from youtube8m.data.reading.messages import RecordError
from youtube8m.data.reading.survey import SurveyedFeature, first_records, survey_records
from youtube8m.errors import UserError
from youtube8m.schema import BYTES, FLOAT_LIST

FRAME, VIDEO = "frame", "video"
_FILES, _RECORDS = 16, 16  # that are looked into
_ANY_LENGTH = 2**31 - 1
_MOST = 0.9  # of the records
_FEW_SIZES = 3
_INTEGERS, _BYTES = "int64_list", "bytes_list"
_LIKE_AN_ID = re.compile(r"id|name|path|file|url|video|clip|key", re.IGNORECASE)
_LIKE_LABELS = re.compile(r"label|class|tag|topic|categor|target", re.IGNORECASE)


class Kind(NamedTuple):
    """What a record holds: its level, and (name, kind of list, size) of each feature.

    The size is that of the first frame, or of the vector: bytes or numbers.
    """

    level: str
    features: tuple[tuple[str, str, int], ...]

    def __str__(self):
        units = {_BYTES: "bytes", FLOAT_LIST: "floats"}
        each = [f"{name} ({size} {units[kind]})" for name, kind, size in self.features]
        return f"{self.level}-level, {', '.join(each) or 'no features'}"


class OtherKey(NamedTuple):
    """A key of the records that is no feature and is not read."""

    name: str
    kind: str  # bytes_list, float_list or int64_list
    values: int  # most values in a record


@dataclasses.dataclass
class FirstLook:
    """How the records are read.

    Attributes:
      config: of the decoder; None if no record has a feature that can be read.
      kind: of most of the first records.
      features: what is known of the features of `config`, by name.
      found_id, found_labels: keys that the first records have them under; "" if none.
      other_keys: what else there is, by name.
      some_features: features that only some of the first records of this level have.
      highest_label: the highest class id of the first records; -1 if there is none.
    """

    config: DataConfig | None = None
    kind: Kind | None = None
    features: dict[str, SurveyedFeature] = dataclasses.field(default_factory=dict)
    found_id: str = ""
    found_labels: str = ""
    other_keys: tuple[OtherKey, ...] = ()
    some_features: tuple[str, ...] = ()
    highest_label: int = -1


def kind_of_record(record: messages.Buffer) -> Kind:
    """The kind of a record. Raises RecordError if it is no message of that form."""
    context, feature_lists = messages.split_sequence_example(record)
    found = {}
    for name in filter(layouts.may_be_feature, feature_lists):
        first = next(messages.frames(record, feature_lists[name]), None)
        found[name] = first and _shape(record, first)
    if feature_lists:
        level = FRAME
    else:
        level = VIDEO
        for name in filter(layouts.may_be_feature, context):
            shape = _shape(record, context[name])
            found[name] = shape if shape and shape[0] == FLOAT_LIST else None
    features = [(name, *shape) for name, shape in sorted(found.items()) if shape]
    return Kind(level, tuple(features))


def _shape(record, span):
    """(kind of list, size) of one value; None if it is no vector."""
    kind = messages.kind_of(record, span)
    if kind == _BYTES:
        strings = messages.byte_strings(record, span)
        return (kind, len(strings[0])) if len(strings) == 1 else None
    if kind == FLOAT_LIST:
        return kind, len(messages.floats(record, span))
    return None


def take_first_look(paths: Sequence[str], keys: KeysConfig) -> FirstLook:
    """Looks at the first records of some files, evenly spread over all.

    Args:
      keys: where a user says that records have ids and labels.
    """
    looked = paths[:: -(-len(paths) // _FILES)]
    records: list[bytes] = []
    for path in looked:
        with contextlib.suppress(UserError):  # it is packed: reading it will tell
            records += first_records(path, _RECORDS // len(looked))
    return look_at(records, keys)


def look_at(records: Iterable[bytes], keys: KeysConfig) -> FirstLook:
    """The description of the commonest kind of some records."""
    kinds = []
    for record in records:
        with contextlib.suppress(RecordError):
            kinds.append((record, kind_of_record(record)))
    if not kinds:
        return FirstLook()
    kind, others = _choose_kind([kind for _, kind in kinds])
    wanted = {*kind.features}
    records = [
        record
        for record, own in kinds
        if own.level == kind.level and wanted <= {*own.features}
    ]
    contexts = _Contexts(records)
    id_key, labels_key = contexts.find_id_key(keys), contexts.find_labels_key(keys)
    config = DataConfig(id_key=id_key, labels_key=labels_key)
    survey = survey_records(records, config)
    level = kind.level == FRAME
    known = survey.frame_features if level else survey.video_features
    names = {name for name, *_ in kind.features}
    usable = {n: known[n] for n in known if n in names and known[n].size}
    found_labels = contexts.first_of(layouts.labels_keys(config))
    read = {*usable, *layouts.id_keys(config), found_labels}
    look = FirstLook(
        None,
        kind,
        usable,
        contexts.first_of(layouts.id_keys(config)),
        found_labels,
        contexts.others(read),
        others,
        survey.highest_label,
    )
    if usable:
        look.config = DataConfig(
            tuple(usable),
            tuple(feature.size for feature in usable.values()),
            level,
            max_frames=_ANY_LENGTH,
            feature_dtypes=tuple(f.stored or BYTES for f in usable.values()),
            id_key=id_key,
            labels_key=labels_key,
        )
    return look


def _choose_kind(kinds):
    """The kind that most records have or hold more than, and names of other features.

    Raises ValueError without kinds.
    """
    has_features = [kind for kind in kinds if kind.features] or kinds
    levels = collections.Counter(kind.level for kind in has_features)
    level, count = levels.most_common(1)[0]
    sizes = collections.defaultdict(collections.Counter)
    sets = collections.Counter()
    for kind in has_features:
        if kind.level == level:
            sets[frozenset(name for name, *_ in kind.features)] += 1
            for name, *shape in kind.features:
                sizes[name][tuple(shape)] += 1
    names = {name for name in sizes if sizes[name].total() >= _MOST * count}
    if not names:
        names = {*sets.most_common(1)[0][0]}
    features = []
    for name in sorted(names):
        shape, times = sizes[name].most_common(1)[0]
        # Of many different lengths it is a list, and no feature.
        if len(sizes[name]) <= _FEW_SIZES or times >= _MOST * sizes[name].total():
            features.append((name, *shape))
    chosen = {name for name, *_ in features}
    return Kind(level, tuple(features)), tuple(sorted(sizes.keys() - chosen))


class _Contexts:
    """The values outside of frames of some records, by key."""

    def __init__(self, records):
        self._kinds: dict[str, str] = {}
        self._values = collections.defaultdict(list)
        for record in records:
            context, _ = messages.split_sequence_example(record)
            for name, span in context.items():
                with contextlib.suppress(RecordError):
                    self._add(name, record, span)

    def _add(self, name, record, span):
        kind = messages.kind_of(record, span)
        readers = {
            _BYTES: messages.byte_strings,
            _INTEGERS: messages.integers,
            FLOAT_LIST: messages.floats,
        }
        if kind:
            self._values[name].append(readers[kind](record, span))
        self._kinds[name] = kind or self._kinds.get(name, "")

    def first_of(self, names):
        """The first of some keys that a record has; "" if none has one."""
        return next((name for name in names if name in self._kinds), "")

    def find_id_key(self, keys):
        """The key of the ids: what is given, "" for the usual ones, or a likely one."""
        usual = layouts.id_keys(DataConfig())
        if keys.id_key or any(self._is_id(name) for name in usual):
            return keys.id_key
        likely = [name for name in self._unknown(_BYTES) if self._is_id(name)]
        return min(likely, key=lambda n: (not _LIKE_AN_ID.search(n), n), default="")

    def _is_id(self, name):
        """Whether each record has one string that may be an id, and they differ."""
        values = self._values.get(name, ())
        if not values or self._kinds[name] != _BYTES:
            return False
        if any(len(one) != 1 or not one[0] for one in values):
            return False
        strings = [one[0] for one in values]
        text = [one.decode("utf-8", "replace").isprintable() for one in strings]
        return sum(text) > len(text) / 2 and len({*strings}) > len(strings) / 2

    def find_labels_key(self, keys):
        """As `find_id_key`, of the class ids."""
        usual = layouts.labels_keys(DataConfig())
        if keys.labels_key or self.first_of(usual):
            return keys.labels_key
        names = self._unknown(_INTEGERS)
        likely = [n for n in names if self._lowest(n) >= 0]
        named = [name for name in likely if _LIKE_LABELS.search(name)]
        several = [n for n in likely if len({*map(len, self._values[n])}) > 1]
        return next(iter(named or several), "")

    def _lowest(self, name):
        return min((value for one in self._values[name] for value in one), default=-1)

    def _unknown(self, kind):
        """The keys with values of a kind that are none of the known layouts."""
        return sorted(
            name
            for name, found in self._kinds.items()
            if found == kind and layouts.may_be_feature(name)
        )

    def others(self, read):
        """What is not read, and is no part of a known layout."""
        return tuple(
            OtherKey(name, kind, max(map(len, self._values[name]), default=0))
            for name, kind in sorted(self._kinds.items())
            if name not in read and layouts.may_be_feature(name)
        )
