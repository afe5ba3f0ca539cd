"""Decodes whole records for an inspection: as training does, but any labels pass.

    contents = contents_of(config, limit=3862)
    example = contents.read(record)

An example has `id`, `frames` (bytes [T, width] of each feature) or `features` [D];
`labels` if the record has a key of labels, and `ratings` if it has rated segments, or
the text of what is wrong with them. A RecordError says what training would say of a
record that it leaves out, or ends at.
"""

import dataclasses

import numpy as np

from youtube8m.config import DataConfig
from youtube8m.data.reading import dtypes, layouts, messages
from youtube8m.data.reading.damage import Damage
from youtube8m.data.reading.decoding import Decoder
from youtube8m.data.reading.frame_decoding import FrameDecoder
from youtube8m.data.reading.messages import RecordError
from youtube8m.data.reading.video_decoding import VideoDecoder

MOST_CLASSES = 1_000_000  # a higher class id cannot be meant


class NoClass(RecordError):
    """A class id that is none; training ends there, whatever its flags."""


def no_class(key: str, entry: int) -> NoClass:
    """The error for an entry of a record's labels."""
    return NoClass(f"has {key} entry {entry}, which is no class")


class _AnyLabels(Decoder):
    """Class ids below `limit`, which are not compared with --num_classes."""

    limit = MOST_CLASSES

    def _read_class_ids(self, record, context, key):
        ids = self._read_values(messages.integers, record, context, key)
        for entry in ids:
            if not 0 <= entry < self.limit:
                raise no_class(key, entry)
        return ids


class _Videos(_AnyLabels, VideoDecoder):
    """Video-level records, all with labels or all without."""

    def parse_known(self, record):
        """The example of a record like an earlier one, else None."""
        return self._parse_known(record)

    def parse_new(self, record):
        """The example of a record that is walked."""
        return self._walk(record)

    @property
    def split(self):
        """The function that finds values in a record like an earlier one; or None."""
        return self._skeletons.split


class VideoContents:
    """Reads video-level records."""

    def __init__(self, config: DataConfig, limit: int):
        self.limit = limit
        self._keys = layouts.labels_keys(config)
        self._labelled, self._unlabelled = (
            _Videos(config, labels, Damage()) for labels in (True, False)
        )
        self._labelled.limit = limit
        self.split = self._labelled.split

    def read(self, record: messages.Buffer) -> dict:
        """The example of a record. Raises RecordError."""
        if example := self._unlabelled.parse_known(record):
            return example
        context, _ = messages.split_sequence_example(record)
        labelled = any(key in context for key in self._keys)
        decoder = self._labelled if labelled else self._unlabelled
        return decoder.parse_new(record)


class FrameContents(_AnyLabels, FrameDecoder):
    """Reads frame-level records."""

    def __init__(self, config: DataConfig, limit: int):
        super().__init__(config, True, Damage())
        self.limit = limit
        self._floats = [
            (number, feature)
            for number, feature in enumerate(config.features)
            if feature.stored != "uint8"
        ]

    def read(self, record: messages.Buffer) -> dict:
        """The example of a record. Raises RecordError."""
        (example,) = self.parse(record)
        for number, feature in self._floats:
            values = dtypes.as_values(example["frames"][number], feature.dtype)
            if not dtypes.all_finite(values):
                raise RecordError(
                    f"feature {feature.name!r} holds values that are not finite"
                )
        return example

    def _read_context(self, record, context):
        example = {"id": self._read_id(record, context)}
        if any(key in context for key in self._labels_keys):
            example["labels"] = sorted(set(self._read_labels(record, context)))
        if layouts.rating_keys(context).starts in context:
            try:
                example["ratings"] = self._read_ratings(record, context)
            except RecordError as error:  # which matters to training on segments alone
                example["ratings"] = str(error)
        return example


def contents_of(config: DataConfig, limit: int) -> VideoContents | FrameContents:
    """What reads the records that `config` describes.

    Args:
      limit: class ids from here on are reported.
    """
    kind = FrameContents if config.frame_features else VideoContents
    return kind(dataclasses.replace(config, num_classes=limit), limit)


def split_vector(vector: np.ndarray, config: DataConfig) -> list[np.ndarray]:
    """The features of video-level values [..., D], as views."""
    return np.split(vector, np.cumsum(config.feature_sizes)[:-1], axis=-1)
