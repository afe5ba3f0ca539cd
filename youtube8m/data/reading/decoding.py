"""From serialised records to numpy batches: what all levels share.

    decoder = pipeline.decoder_for(DataConfig(...), labels=True, damage=Damage())
    batch = decoder.decode(paths, locations, records)

A batch is as `batch` says, of arrays.

A record that cannot be used is left out and reported to `damage`. One whose labels
contradict --num_classes ends the run, as it means the flag is wrong.
"""

import dataclasses
import re
from collections.abc import Iterable, Sequence

import numpy as np

from youtube8m.config import DataConfig
from youtube8m.data.reading import layouts, messages
from youtube8m.data.reading.batch import pad_ids
from youtube8m.data.reading.buffers import BufferPool
from youtube8m.data.reading.damage import Damage
from youtube8m.data.reading.messages import RecordError
from youtube8m.data.reading.tfrecord import Location
from youtube8m.errors import UserError


def is_unlabelled(example: dict) -> bool:
    """Whether an example's labels are empty, as only those of segments should be."""
    return "rated" not in example and len(example.get("labels", [0])) == 0


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

    def allocate_rows(self, lengths):
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
                values = self._read_values(messages.byte_strings, record, context, key)
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
        starts = self._read_values(messages.integers, record, context, keys.starts)
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
        (start, *_) = self._read_values(messages.integers, record, context, key) or [0]
        return layouts.seconds(start)

    def _read_class_ids(self, record, context, key):
        try:
            ids = self._read_values(messages.integers, record, context, key)
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
        values = self._read_values(messages.floats, record, context, name)
        if not np.isfinite(values).all():
            raise RecordError(f"feature {name!r} holds values that are not finite")
        return values


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
