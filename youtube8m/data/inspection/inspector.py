"""Reads all records of some shards once and says what is in them.

found = inspect("train*.tfrecord", "--flag", KeysConfig(), vocabulary)
found.records, found.labels.per_class, found.problems.listed
"""

import collections
import dataclasses
import re

import numpy as np

from youtube8m.config import DataConfig
from youtube8m.config.data import KeysConfig
from youtube8m.data.inspection import contents, first_look
from youtube8m.data.inspection.doubled_ids import DoubledIds
from youtube8m.data.inspection.first_look import FirstLook, Kind
from youtube8m.data.inspection.label_counts import LabelCounts
from youtube8m.data.inspection.problems import Problems
from youtube8m.data.inspection.shard_records import record_at, records_of
from youtube8m.data.inspection.values import RowSample, ValueFacts, describe_values
from youtube8m.data.inspection.vector_blocks import VectorBlock
from youtube8m.data.labels.vocabulary import Vocabulary
from youtube8m.data.reading import dtypes, shard_files
from youtube8m.data.reading.dtypes import Guess
from youtube8m.data.reading.messages import RecordError
from youtube8m.data.reading.search import id_of
from youtube8m.data.reading.tensorflow_pipeline import compression_of
from youtube8m.errors import UserError
from youtube8m.schema import FLOAT_LIST, STORED
from youtube8m.util.progress import Progress
from youtube8m.util.text import decode_id

_SHOWN_IDS = 3
_SHOWN_DOUBLES = 20
_KEPT_OF_A_KIND = 16  # records of another kind, by which they could be read
_KINDS = 32
_AT_ONCE = 512  # records


@dataclasses.dataclass
class FileFacts:
    """What one shard holds."""

    path: str
    bytes: int
    compression: str = ""  # GZIP, ZLIB or "" for none
    records: int = 0  # sound ones, of any kind
    usable: int = 0


@dataclasses.dataclass
class FeatureFacts:
    """One feature of the records that were read.

    Attributes:
      stored: how its values are stored, of `schema.STORED`; `sure` if that is no guess.
      not_finite: records in which a value is not finite.
    """

    name: str
    size: int
    stored: str
    sure: bool
    not_finite: int = 0
    values: ValueFacts | None = None


@dataclasses.dataclass
class OtherKind:
    """Records of another kind than most, which are not read with them."""

    kind: Kind
    records: int = 0
    files: set[str] = dataclasses.field(default_factory=set)
    first: tuple[str, int] = ("", 0)  # (file, offset)
    kept: list[bytes] = dataclasses.field(default_factory=list)


@dataclasses.dataclass
class Ratings:
    """The rated segments."""

    records: int = 0
    segments: int = 0  # different starts
    ratings: int = 0
    present: int = 0
    last_start: int = -1  # in seconds
    beyond: int = 0  # records that rate what lies behind their frames
    classes: collections.Counter[int] = dataclasses.field(
        default_factory=collections.Counter
    )


@dataclasses.dataclass
class DoubledId:
    """An id that several records have."""

    id: str
    places: list[tuple[str, int]]  # (file, offset)


@dataclasses.dataclass
class Inspection:
    """What is in some shards.

    Attributes:
      pattern: the globs that named them.
      look: how records were read.
      records: sound ones of the shards; `usable` are those that training can read.
      without_labels: usable records without a key of labels; `empty_labels` have it,
        but no label.
      frames: how many records have so many frames.
      unfit_ids: ids that a CSV of predictions cannot hold.
    """

    pattern: str
    look: FirstLook
    files: list[FileFacts]
    problems: Problems
    features: list[FeatureFacts]
    labels: LabelCounts
    ratings: Ratings
    frames: collections.Counter[int]
    other_kinds: list[OtherKind]
    records: int = 0
    usable: int = 0
    without_labels: int = 0
    empty_labels: int = 0
    some_ids: list[str] = dataclasses.field(default_factory=list)
    doubled: int = 0
    doubles: list[DoubledId] = dataclasses.field(default_factory=list)
    unfit_ids: list[str] = dataclasses.field(default_factory=list)
    num_unfit_ids: int = 0
    impossible_labels: int = 0
    vocabulary: Vocabulary | None = None

    @property
    def level(self) -> str:
        """frame, video, or "" if no record can be read."""
        return self.look.kind.level if self.look.config and self.look.kind else ""

    @property
    def config(self) -> DataConfig | None:
        """How records were read."""
        return self.look.config

    @property
    def labelled(self) -> int:
        """Usable records with at least one label."""
        return self.usable - self.without_labels - self.empty_labels

    @property
    def highest_label(self) -> int:
        """The highest class id; -1 if there is none."""
        rated = max(self.ratings.classes, default=-1)
        return max(len(self.labels.per_class) - 1, rated)


def inspect(
    pattern: str,
    flag: str,
    keys: KeysConfig | None = None,
    vocabulary: Vocabulary | None = None,
    fit_ids: re.Pattern[bytes] | None = None,
) -> Inspection:
    """Reads all records that some comma-separated globs name.

    Args:
      flag: what messages call the pattern.
      keys: where records have ids and labels; default: as the first records show.
      vocabulary: of the classes, whose verticals are counted together.
      fit_ids: what an id must match to be written by inference.

    Raises:
      UserError: no file matches, or labels lie beyond the vocabulary.
    """
    paths, keys = shard_files.find_shards(pattern, flag), keys or KeysConfig()
    look = first_look.take_first_look(paths, keys)
    if vocabulary is not None and look.highest_label >= len(vocabulary.names):
        raise UserError(
            f"--vocabulary_file: has {len(vocabulary.names)} classes, but the first "
            f"records have class {look.highest_label}; give the vocabulary of the same "
            "data set"
        )
    found = _Reading(pattern, paths, look, vocabulary, fit_ids).read()
    most = max(found.other_kinds, key=lambda other: other.records, default=None)
    if most and most.records > found.usable and look.kind != most.kind:
        # The first records were not what most are.
        look = first_look.look_at(most.kept, keys)
        if look.config:
            found = _Reading(pattern, paths, look, vocabulary, fit_ids).read()
    return found


class _Reading:
    """One pass over all records."""

    def __init__(self, pattern, paths, look, vocabulary, fit_ids):
        self._paths, self._look, self._fit_ids = paths, look, fit_ids
        self._ids = DoubledIds()
        limit, vertical_of = contents.MOST_CLASSES, None
        if vocabulary is not None:
            limit = len(vocabulary.names)
            if vocabulary.num_verticals:
                vertical_of = vocabulary.vertical_of
        self.found = Inspection(
            pattern,
            look,
            [],
            Problems(),
            [],
            LabelCounts(vertical_of),
            Ratings(),
            collections.Counter(),
            [],
            vocabulary=vocabulary,
        )
        self._kinds: dict[Kind, OtherKind] = {}
        self._contents, self._vectors, self._samples = None, None, []
        if config := look.config:
            self._contents = contents.contents_of(config, limit)
            if not config.frame_features:
                self._vectors = VectorBlock(self._contents, config, look.found_labels)
            self._samples = [RowSample(feature.width) for feature in config.features]

    def read(self) -> Inspection:
        found, vectors, done = self.found, self._vectors, 0
        found.files = [
            FileFacts(path, shard_files.count_bytes(path)) for path in self._paths
        ]
        total = sum(file.bytes for file in found.files)
        with Progress("inspecting", total >> 20, "MB") as progress:
            for file in found.files:
                file.compression = compression_of(file.path).decode()
                self._ids.begin_file()
                for index, offset, record in records_of(file.path, found.problems):
                    if not index % _AT_ONCE:
                        self._take_vectors(file)
                        progress.update(done + offset >> 20)
                    if vectors is None or not vectors.add(index, offset, record):
                        self._read_record(file, index, offset, record)
                self._take_vectors(file)
                done += file.bytes
                progress.update(done >> 20)
        found.records = sum(file.records for file in found.files)
        found.usable = sum(file.usable for file in found.files)
        found.labels.finish()
        found.other_kinds = sorted(self._kinds.values(), key=lambda kind: -kind.records)
        found.features = self._features()
        self._find_doubles()
        return found

    def _read_record(self, file, index, offset, record):
        file.records += 1
        try:
            if self._contents is None:
                raise RecordError("has no feature that can be read")
            example = self._contents.read(record)
        except RecordError as error:
            self._add_unusable(file, index, offset, record, error)
            return
        file.usable += 1
        self._ids.add(example["id"], offset)
        self._note_ids([example["id"]])
        found, labels = self.found, example.get("labels")
        if labels:
            found.labels.add(labels)
        elif labels is None:
            found.without_labels += 1
        else:
            found.empty_labels += 1
        if "frames" in example:
            parts = example["frames"]
            found.frames[len(parts[0])] += 1
            for sample, part in zip(self._samples, parts, strict=True):
                sample.add(part)
            if "ratings" in example:
                self._add_ratings(file, index, offset, example)
        else:
            parts = contents.split_vector(example["features"][None], self._look.config)
            for sample, part in zip(self._samples, parts, strict=True):
                sample.add_each(np.ascontiguousarray(part).view(np.uint8))

    def _take_vectors(self, file):
        """Counts the records that are read together."""
        block = self._vectors and self._vectors.take()
        if not block:
            return
        for index, offset, error in block.errors:
            self.found.impossible_labels += isinstance(error, contents.NoClass)
            self.found.problems.at(file.path, index, offset, str(error))
        file.records += len(block.ids) + len(block.errors)
        file.usable += len(block.ids)
        self._ids.add_many(block.ids, block.offsets)
        self._note_ids(block.ids)
        self.found.labels.add_many(block.labels, block.lengths)
        for sample, vectors in zip(self._samples, block.vectors, strict=True):
            sample.add_each(vectors.view(np.uint8))

    def _note_ids(self, ids):
        """Keeps some ids, and counts those that a CSV cannot hold."""
        found = self.found
        if len(found.some_ids) < _SHOWN_IDS:
            found.some_ids += map(decode_id, ids[: _SHOWN_IDS - len(found.some_ids)])
        if self._fit_ids is not None:
            unfit = [one for one in ids if not self._fit_ids.fullmatch(one)]
            found.num_unfit_ids += len(unfit)
            room = _SHOWN_IDS - len(found.unfit_ids)
            found.unfit_ids += map(decode_id, unfit[:room])

    def _add_ratings(self, file, index, offset, example):
        ratings, length = self.found.ratings, len(example["frames"][0])
        if isinstance(example["ratings"], str):
            self.found.problems.at(file.path, index, offset, example["ratings"])
            return
        starts, classes, present = example["ratings"]
        ratings.records += 1
        ratings.segments += len({*starts.tolist()})
        ratings.ratings += len(starts)
        ratings.present += int(present.sum())
        ratings.classes.update(classes.tolist())
        ratings.last_start = max(ratings.last_start, int(starts.max(initial=-1)))
        beyond = starts[(starts < 0) | (starts >= length)]
        if len(beyond):
            ratings.beyond += 1
            what = f"rates a segment at {beyond[0]} s, but has {length} frames"
            self.found.problems.at(file.path, index, offset, what)

    def _add_unusable(self, file, index, offset, record, error):
        problems, found = self.found.problems, None
        self.found.impossible_labels += isinstance(error, contents.NoClass)
        try:
            kind = first_look.kind_of_record(record)
        except RecordError:
            kind = self._look.kind
        if kind and kind.features and not self._is_read(kind):
            found = self._kinds.get(kind)
            if found is None and len(self._kinds) < _KINDS:
                place = (file.path, offset)
                found = self._kinds[kind] = OtherKind(kind, first=place)
        if found is None:
            problems.at(file.path, index, offset, str(error))
            return
        found.records += 1
        found.files.add(file.path)
        if len(found.kept) < _KEPT_OF_A_KIND:
            found.kept.append(bytes(record))
        problems.at(file.path, index, offset, f"is of another kind: {kind}")

    def _is_read(self, kind):
        """Whether records of a kind have what is read."""
        if self._look.kind is None or kind.level != self._look.kind.level:
            return self._look.kind is None
        wanted = {f for f in self._look.kind.features if f[0] in self._look.features}
        return wanted <= {*kind.features}

    def _features(self):
        if not self._look.config:
            return []
        config, rows = self._look.config, [sample.rows() for sample in self._samples]
        kinds = self.found.problems.kinds
        described = []
        for feature, part in zip(config.features, rows, strict=True):
            known = self._look.features[feature.name]
            guess = Guess(feature.stored, known.sure)
            if not guess.sure and part is not None and feature.stored != FLOAT_LIST:
                better = dtypes.guess(part)
                guess = better if better.sure else guess
            size = feature.width // STORED[guess.stored]
            facts = FeatureFacts(feature.name, size, guess.stored, bool(guess.sure))
            facts.not_finite = kinds[
                f"feature {feature.name!r} holds values that are not finite"
            ]
            if part is not None:
                facts.values = describe_values(part, guess.stored)
            described.append(facts)
        return described

    def _find_doubles(self):
        found = self.found
        found.doubled, groups = self._ids.find(_SHOWN_DOUBLES)
        for group in groups:
            places = [(self._paths[file], offset) for file, offset in group]
            record = record_at(*places[0])
            name = id_of(record, self._look.config)
            found.doubles.append(DoubledId(decode_id(name), places))
