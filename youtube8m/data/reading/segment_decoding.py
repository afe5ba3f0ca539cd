"""From frame-level records with ratings to the batches of rated segments.

Segments have a `position` int64 [B, 3] each: the epoch, the number of the record in it,
and the number of the segment in that, from 1.
"""

import numpy as np

from youtube8m import schema
from youtube8m.data.reading.batch import pad_ids
from youtube8m.data.reading.frame_decoding import FrameColumns, FrameDecoder
from youtube8m.data.reading.messages import RecordError


class SegmentDecoder(FrameDecoder):
    """Rated five-second segments: one example per distinct start time.

    Their order is that in which start times first appear in the record. --max_frames
    cuts the examples, not the video.
    """

    def parse(self, record, draw=None):
        context, rows, vectors = self._read_frames(record)
        video_id = self._read_id(record, context)
        starts, classes, present = self._read_ratings(record, context)
        examples = []
        for start in dict.fromkeys(starts.tolist()):
            end = start + min(schema.SEGMENT_FRAMES, self.config.max_frames)
            frames = [part[start:end] for part in rows]
            if start < 0 or len(frames[0]) == 0:
                raise RecordError(f"rates a segment at {start}, beyond its frames")
            here = starts == start
            frames += vectors
            example = {"id": video_id, "segment_start": start, "frames": frames}
            example["rated"] = np.unique(classes[here])
            example["labels"] = np.unique(classes[here & present])
            examples.append(example)
        return examples

    def allocate_rows(self, lengths):
        # The number of segments of a record is not known yet.
        return FrameColumns(self.pool, self._arrays, (0, schema.SEGMENT_FRAMES))

    def collate(self, parsed, rows=None):
        batch = super().collate(parsed, rows)
        batch["rated"] = pad_ids([row["rated"] for row in parsed])
        starts = [row["segment_start"] for row in parsed]
        batch["segment_start"] = np.array(starts, np.int32)
        position = np.array([row["position"] for row in parsed], np.int64)
        batch["position"] = position.reshape(-1, 3)
        return batch
