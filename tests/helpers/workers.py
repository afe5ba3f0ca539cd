"""What tests note about two workers that train one model."""

import numpy as np

from youtube8m.data.reading.tfrecord import RecordReader

EPOCHS = 4


class Seen:
    """What a trainer is given, [epoch, video], and which records are read for that."""

    def __init__(self, trainer):
        self.reads, ids, batches = [], [], trainer._batches
        self._ids, read = ids, RecordReader.read

        def noted_read(reader, location):
            self.reads.append((location.file, location.index))
            return read(reader, location)

        def noted_batches():
            for batch in batches():
                ids.append(batch["id"].numpy())
                yield batch

        RecordReader.read, trainer._batches = noted_read, noted_batches

    @property
    def ids(self):
        """Epochs end with batches here."""
        return np.array(self._ids).astype(str).reshape(EPOCHS, -1)
