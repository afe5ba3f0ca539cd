"""Writers of predictions, in each of the formats.

    with open_writer("jsonl", file, vocabulary=vocabulary) as writer:
        writer.add(predictions)
        writer.add(more)

Shapes: V videos, N rows (the videos, or segments of them), k classes.
"""

import contextlib
import json
from collections.abc import Iterator

import numpy as np

from youtube8m.data.labels.vocabulary import Vocabulary
from youtube8m.prediction import formats, submission
from youtube8m.prediction.predictions import Writer
from youtube8m.prediction.segment_ranking import SegmentRanking
from youtube8m.prediction.video_rows import VideoCsv
from youtube8m.util.text import encode_id

_GROUP_ROWS = 1 << 15  # of a row group of Parquet


class SegmentCsv(Writer):
    """The Kaggle CSV of segments, class by class, so it is written at the end.

    Args:
      scored: whether it is one of several parts, which keep the confidences.
    """

    def __init__(self, file, ranking: SegmentRanking, scored: bool = False):
        super().__init__(file)
        self.ranking = ranking
        self.scored = scored

    def add(self, predictions):
        self.ranking.add(*predictions[:-1])  # it knows itself what is listed

    def finish(self):
        headers = (submission.SEGMENT_HEADER, submission.SCORED_SEGMENT_HEADER)
        self.file.write(headers[self.scored].encode())
        self.file.writelines(map(encode_id, self.ranking.lines(self.scored)))


class _Names:
    """Name of a column -> what it says of each class, object [C]; None where nothing.

    A column that has nothing of any class is left out.
    """

    def __init__(self, vocabulary: Vocabulary | None):
        self.columns: dict[str, np.ndarray] = {}
        if vocabulary is None:
            return
        verticals = np.array([*vocabulary.verticals, ""], object)  # -1 is the last
        columns = {
            formats.NAMES: np.array(vocabulary.names, object),
            formats.VERTICALS: verticals[vocabulary.vertical_of],
        }
        for column, values in columns.items():
            if (values != "").any():
                self.columns[column] = np.where(values == "", None, values)


class JsonLines(Writer):
    """A JSON object a row; the confidences have the digits that float32 needs."""

    def __init__(self, file, names: _Names):
        super().__init__(file)
        self.names = names

    def add(self, predictions):
        for video_id, start, classes, scores in predictions.rows():
            row = {formats.ID: video_id}
            if start is not None:
                row[formats.SEGMENT_START] = int(start)
            row[formats.LABELS] = classes.tolist()
            for column, values in self.names.columns.items():
                row[column] = values[classes].tolist()
            row[formats.CONFIDENCES] = list(map(float, scores.astype(str)))
            text = json.dumps(row, ensure_ascii=False) + "\n"
            # A byte of an id that is not UTF-8 becomes \udcff, which JSON knows.
            self.file.write(text.encode("utf-8", "backslashreplace"))


class Parquet(Writer):
    """Columns of Apache Parquet; the rows lie in groups of some ten thousand."""

    def __init__(self, file, names: _Names, segments: bool):
        super().__init__(file)
        self._arrow, parquet = formats.load_pyarrow("--output_format=parquet")
        self._names, self._waiting = names, []
        pa = self._arrow
        columns = {formats.ID: pa.string()}
        if segments:
            columns[formats.SEGMENT_START] = pa.int32()
        columns[formats.LABELS] = pa.list_(pa.int32())
        columns |= dict.fromkeys(names.columns, pa.list_(pa.string()))
        columns[formats.CONFIDENCES] = pa.list_(pa.float32())
        self._schema = pa.schema(columns)
        self._writer = parquet.ParquetWriter(file, self._schema)

    def add(self, predictions):
        ids = list(map(formats.id_to_text, predictions.ids))
        listed = predictions.listed
        classes = predictions.classes[listed]
        columns = {
            formats.ID: [ids[video] for video in predictions.videos],
            formats.SEGMENT_START: predictions.starts,
            formats.LABELS: classes,
            **{name: values[classes] for name, values in self._names.columns.items()},
            formats.CONFIDENCES: predictions.scores[listed],
        }
        ends = np.cumsum(listed.sum(axis=1), dtype=np.int32)
        offsets = self._arrow.array(np.concatenate([np.zeros(1, np.int32), ends]))
        arrays = [self._array(columns[f.name], f.type, offsets) for f in self._schema]
        self._waiting.append(self._arrow.Table.from_arrays(arrays, schema=self._schema))
        if sum(map(len, self._waiting)) >= _GROUP_ROWS:
            self._write_group()

    def _array(self, values, kind, offsets):
        if not self._arrow.types.is_list(kind):
            return self._arrow.array(values, kind)
        flat = self._arrow.array(values, kind.value_type)
        return self._arrow.ListArray.from_arrays(offsets, flat, kind)

    def _write_group(self):
        if self._waiting:
            self._writer.write_table(self._arrow.concat_tables(self._waiting))
            self._waiting = []

    def finish(self):
        self._write_group()
        self._writer.close()

    def abandon(self):
        with contextlib.suppress(OSError):  # such as what led to this
            self._writer.close()


@contextlib.contextmanager
def open_writer(
    form: str,
    file,
    ranking: SegmentRanking | None = None,
    scored: bool = False,
    vocabulary: Vocabulary | None = None,
) -> Iterator[Writer]:
    """The writer of a format to a binary file; complete when the block has ended.

    Args:
      form: one of `formats.FORMATS`.
      ranking: of segments, which the CSV lists by it; None: of whole videos.
      scored: whether a CSV of segments keeps the confidences.
      vocabulary: what names the classes, which the CSV does not.

    Raises UserError if pyarrow is needed and missing.
    """
    if form == formats.CSV:
        of_videos = ranking is None
        writer = VideoCsv(file) if of_videos else SegmentCsv(file, ranking, scored)
    elif form == formats.JSONL:
        writer = JsonLines(file, _Names(vocabulary))
    else:
        writer = Parquet(file, _Names(vocabulary), ranking is not None)
    try:
        yield writer
        writer.finish()
    except BaseException:
        writer.abandon()
        raise
