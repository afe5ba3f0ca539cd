"""JSON lines and Parquet files of predictions, read again.

    file = open_predictions("a.parquet", num_classes=3862)   # or JSON lines, or a CSV
    counts, classes, confidences = file.pairs(rows)
    merge_parts(["part0.jsonl", "part1.jsonl"], file)        # of --num_shards

Shapes: R rows, N labels of all of them.
"""

import contextlib
import sys
from collections.abc import Iterator, Sequence

import numpy as np

from youtube8m.errors import UserError, reason
from youtube8m.prediction import formats, submission
from youtube8m.util.json import JsonError, parse_json
from youtube8m.util.text import decode_id, encode_id
from youtube8m.util.text_files import read_lines


class PredictionRows:
    """The predictions of videos, as a `Submission` of them, all in memory.

    Args:
      num_classes: class ids must lie below it, if it is given.

    Raises UserError: the file cannot be read, is of segments, has no rows, or a row
    has no id, one that an earlier row has, or other labels than it can have.
    """

    header = submission.VIDEO_HEADER

    def __init__(self, path: str, num_classes: int | None = None):
        self.path = path
        first: dict[str, str] = {}
        counts, classes, scores = [0], [], []
        for where, row in read_rows(path):
            video_id, start = _key(row)
            if start is not None:
                raise UserError(
                    f"{path}: has the labels of segments; give predictions of videos, "
                    "or CSVs of segments (inference.py --output_format=csv)"
                )
            problem = _problem(row, num_classes)
            if video_id in first:
                problem = f"has {video_id!r} again, after {first[video_id]}"
            if problem:
                raise UserError(f"{path}: {where} {problem}")
            first[video_id] = where
            counts.append(len(row[formats.LABELS]))
            classes += row[formats.LABELS]
            scores += row[formats.CONFIDENCES]
        self.keys = list(first)
        if not self.keys:
            raise UserError(f"{path}: has no rows")
        self._ends = np.cumsum(counts)
        self._classes = np.array(classes, np.int32)
        self._scores = np.array(scores, np.float64)
        self.num_bytes = self._classes.nbytes + self._scores.nbytes

    def require_merged(self) -> None:
        """Parts of the data need no merging first, as rows do not compete."""

    def pairs(self, rows) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """As `Submission.pairs`: counts [R], classes [N] and confidences [N]."""
        starts, ends = self._ends[rows], self._ends[np.asarray(rows) + 1]
        index = np.concatenate(list(map(np.arange, starts, ends)))
        return ends - starts, self._classes[index], self._scores[index]


def open_predictions(
    path: str, num_classes: int | None = None
) -> submission.Submission | PredictionRows:
    """A file of predictions in any format. Raises UserError as its class does."""
    if formats.find_format(path) == formats.CSV:
        return submission.Submission(path, num_classes)
    return PredictionRows(path, num_classes)


def read_rows(path: str) -> Iterator[tuple[str, dict]]:
    """Yields where a row stands, as 'line 3', and the row, its id as `decode_id` reads.

    Raises UserError if the file cannot be read, or a row is no prediction.
    """
    if formats.find_format(path) == formats.JSONL:
        for number, _, line in read_lines(path):
            yield f"line {number}", _parse(line, f"{path}: line {number}")
        return
    for number, row in enumerate(_parquet_rows(path), 1):
        try:
            yield f"row {number}", _checked(row)
        except ValueError as error:
            raise UserError(f"{path}: row {number} is no prediction: {error}") from None


def merge_parts(paths: Sequence[str], file) -> None:
    """Writes the rows of all files, JSON lines or Parquet, one after the other.

    Raises UserError if they have different formats or columns, or a row twice.
    """
    form = formats.find_format(paths[0])
    for path in paths:
        if (found := formats.find_format(path)) != form:
            raise UserError(
                f"{path}: is {found}, but {paths[0]} {form}; merge the parts of one "
                "run of inference.py"
            )
    merge = _merge_parquet if form == formats.PARQUET else _merge_lines
    merge(paths, file, {})


def _merge_lines(paths, file, first):
    for path in paths:
        for number, _, line in read_lines(path):
            where = f"{path}: line {number}"
            row = _parse(line, where)
            _add_key(first, _key(row), where)
            nothing_listed = row.get(formats.SEGMENT_START) is not None
            if problem := _problem(row, None, may_be_empty=nothing_listed):
                raise UserError(f"{where} {problem}")
            file.write(line + b"\n")


def _merge_parquet(paths, file, first):
    _, parquet = formats.load_pyarrow(paths[0])
    schema = _open_parquet(paths[0]).schema_arrow
    with parquet.ParquetWriter(file, schema) as writer:
        for path in paths:
            part = _open_parquet(path)
            if part.schema_arrow != schema:
                raise UserError(
                    f"{path}: has other columns than {paths[0]}; merge the parts of "
                    "one run of inference.py"
                )
            for group in range(part.num_row_groups):
                with _told_errors(path):
                    table = part.read_row_group(group)
                keys = {formats.ID, formats.SEGMENT_START} & {*schema.names}
                for row in table.select(sorted(keys)).to_pylist():
                    _add_key(first, _key(row), path)
                writer.write_table(table)


def _key(row):
    return row[formats.ID], row.get(formats.SEGMENT_START)


def _add_key(first, key, where):
    """Raises UserError, which says `where`, if an earlier row has the key."""
    if key in first:
        raise UserError(
            f"{where} lists {key[0]!r}, as {first[key]} does; give the file of each "
            "part once, all of one --num_shards"
        )
    first[key] = where


def _parse(line, where):
    try:
        return parse_json(line, _checked)
    except JsonError as error:
        raise UserError(
            f"{where} is no prediction: {error}; expected JSON with "
            f"{formats.ID}, {formats.LABELS} and {formats.CONFIDENCES}"
        ) from None


def _checked(row):
    """The row, if it has an id, and a confidence for each label; else ValueError."""
    if not isinstance(row, dict):
        raise ValueError("it is no JSON object")
    names = (formats.ID, formats.LABELS, formats.CONFIDENCES)
    video_id, labels, scores = map(row.get, names)
    if not isinstance(video_id, str) or not video_id:
        raise ValueError(f"its {formats.ID} is no text")
    try:  # a byte may be spelled, or not, and is the same id
        video_id = decode_id(encode_id(video_id))
    except UnicodeEncodeError:  # half a character
        raise ValueError(f"its {formats.ID} {video_id!r} is no text") from None
    if not isinstance(labels, list) or not isinstance(scores, list):
        raise ValueError(f"its {formats.LABELS} or {formats.CONFIDENCES} are no list")
    if len(labels) != len(scores):
        raise ValueError(f"it has {len(labels)} labels, {len(scores)} confidences")
    return {**row, formats.ID: video_id}


def _open_parquet(path):
    _, parquet = formats.load_pyarrow(path)
    with _told_errors(path):
        return parquet.ParquetFile(path)


@contextlib.contextmanager
def _told_errors(path):
    """Turns pyarrow's errors of a file, which come as it is read, into UserErrors."""
    pyarrow, _ = formats.load_pyarrow(path)
    try:
        yield
    except (OSError, pyarrow.ArrowException) as error:
        message = f"{path}: is no sound Parquet file ({reason(error)})"
        raise UserError(message) from None


def _parquet_rows(path):
    file = _open_parquet(path)
    needed = [formats.ID, formats.LABELS, formats.CONFIDENCES]
    if missing := [name for name in needed if name not in file.schema_arrow.names]:
        raise UserError(
            f"{path}: has no column {missing[0]!r}; expected predictions that "
            "inference.py --output_format=parquet wrote"
        )
    optional = {formats.SEGMENT_START} & {*file.schema_arrow.names}
    batches = file.iter_batches(columns=[*needed, *optional])
    while True:
        with _told_errors(path):
            batch = next(batches, None)
        if batch is None:
            return
        for row in batch.to_pylist():
            if isinstance(row[formats.ID], str):
                row[formats.ID] = formats.id_from_text(row[formats.ID])
            yield row


def _problem(row, num_classes, may_be_empty=False):
    """What is wrong with the labels of a row; '' if nothing is.

    Args:
      may_be_empty: whether it may list no class, as of a segment.
    """
    labels, scores = row[formats.LABELS], row[formats.CONFIDENCES]
    limit = num_classes or 2**31
    wrong = [n for n in labels if type(n) is not int or not 0 <= n < limit]
    if wrong:
        below = f" below --num_classes={limit}" if num_classes else ""
        return f"has {wrong[0]!r} for a class; expected a class id{below}"
    if len({*labels}) < len(labels):
        return "lists a class twice"
    numbers = (int, float)
    most = sys.float_info.max  # JSON has whole numbers of any length
    wrong = [s for s in scores if type(s) not in numbers or not 0 <= s <= most]
    if wrong:
        return f"has the confidence {wrong[0]!r}; expected one from 0 up"
    return "" if labels or may_be_empty else "lists no class"
