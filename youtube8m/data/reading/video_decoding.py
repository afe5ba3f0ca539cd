"""From video-level records to the features of a batch."""

import numpy as np

from youtube8m.data.reading import messages
from youtube8m.data.reading.decoding import Decoder
from youtube8m.data.reading.messages import RecordError
from youtube8m.data.reading.skeletons import Skeletons


class VideoDecoder(Decoder):
    """Video-level Examples: one float list per feature."""

    def __post_init__(self):
        super().__post_init__()
        self._skeletons = Skeletons()

    def parse(self, record, draw=None):
        return [self._parse_known(record) or self._walk(record)]

    def _walk(self, record):
        context, feature_lists = messages.split_sequence_example(record)
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
        read = [(feature.name, messages.FLOATS) for feature in self._features]
        # The first of several keys, if it is not empty: then no other one is read.
        read.append((_first(self._id_keys, context), messages.BYTES))
        if self.labels:
            read.append((_first(self._labels_keys, context), messages.INTEGERS))
        runs = [messages.only_run(record, context[key], kind) for key, kind in read]
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
                found = sorted(set(messages.packed_integers(values[-1])))
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
