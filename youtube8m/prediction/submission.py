"""The CSV files of the Kaggle challenges.

    VideoId,LabelConfidencePairs          Class,Segments
    aAbc,3 0.99 17 0.45 ...               3,aAbc:5 aAbd:40 ...

Confidences fall from left to right; segment rows list no confidences. The segments of
one of several parts of the data (--num_shards) keep them, until the parts are merged:

    Class,ScoredSegments
    3,aAbc:5:0.9912 aAbd:40:0.87 ...
"""

import io
import itertools
import mmap
import os
import re
import sys
import warnings
from collections.abc import Iterable, Sequence

import numpy as np
from absl import logging

from youtube8m.errors import UserError
from youtube8m.prediction.formats import CSV, find_format
from youtube8m.util.text import decode_id, encode_id, shortened
from youtube8m.util.text_files import numbered_lines

VIDEO_HEADER = "VideoId,LabelConfidencePairs\n"
SEGMENT_HEADER = "Class,Segments\n"
SCORED_SEGMENT_HEADER = "Class,ScoredSegments\n"

# The ids that a row can hold, of videos and (True) of segments.
IDS = {
    False: re.compile(rb'[^\x00-\x1f\x7f,"]+'),
    True: re.compile(rb'[^\x00-\x20\x7f,"]+'),
}
_SEGMENT = re.compile(rb"[^\s,]+:\d+")
_SCORED_SEGMENT = re.compile(rb"([^\s,]+:\d+):([0-9.e+-]+)")
_SEGMENT_ROW = re.compile(rb"\d+,[^\s,]+:\d+(\s|$)")
_ANY_CLASS = 2**31
_QUOTE = b'"'
_NUMBERS = b"0123456789.eE+- "

_READ_WHOLE = 1 << 20  # bytes of a file, at most


def warn_of_unfit_ids(ids: Iterable[bytes]) -> None:
    """Warns of ids of records that are written, which no row of a CSV can hold."""
    unfit = [name for name in ids if not IDS[False].fullmatch(name)]
    if unfit:
        logging.warning(
            "%d ids have commas, quotes or control characters, which no CSV of "
            "predictions can hold: such videos will have no prediction, first %r",
            len(unfit),
            unfit[0].decode("utf-8", "backslashreplace"),
        )


def video_line(video_id: str, classes, confidences) -> str:
    """One row: classes [k] and confidences [k], which fall."""
    pairs = zip(classes.tolist(), confidences.tolist(), strict=True)
    pairs = " ".join(f"{class_id} {value:g}" for class_id, value in pairs)
    return f"{video_id},{pairs}\n"


def segment_line(class_id: int, names) -> str:
    """One row: the class's segments as `id:start`, best first."""
    return f"{class_id}," + " ".join(names) + "\n"


class Submission:
    """A CSV of any form, indexed by the key before the comma of each row.

    The lists behind the comma stay in the file until they are asked for, in any order.
    The header of the segment form may be missing. A byte order mark, blank lines and
    quotes around cells do not count.

    Args:
      num_classes: class ids must lie below it, if it is given.
      may_be_empty: whether the file may have a header alone.

    Attributes:
      header: VIDEO_HEADER, SEGMENT_HEADER or SCORED_SEGMENT_HEADER, the form.
      keys: video ids (str) or classes (int), in the order of the file.

    Raises:
      UserError: the file cannot be read, has another header or no rows, or a row has
        no key, a wrong one or one that an earlier row has.
    """

    def __init__(self, path: str, num_classes: int | None = None, may_be_empty=False):
        self.path = path
        if (form := find_format(path)) != CSV:
            raise UserError(
                f"{path}: is no CSV but {form}; give the CSV that inference.py "
                "--output_format=csv writes"
            )
        self._num_classes = num_classes or _ANY_CLASS
        self._numbers: list[int] = []  # of the lines that are rows
        try:
            with open(path, "rb") as file:
                source = file  # a small one is read: a map keeps it open
                if os.fstat(file.fileno()).st_size <= _READ_WHOLE:
                    source = io.BytesIO(file.read())
                lines = numbered_lines(source, path)
                self.header, first = self._read_header(next(lines, None))
                if source is file:
                    self._data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
                else:
                    self._data = source.getvalue()
                self.num_bytes = len(self._data)
                self.keys = self._index_rows(itertools.chain(first, lines))
        except OSError as error:
            raise UserError(f"{path}: cannot be read ({error.strerror})") from None
        if not self.keys and not may_be_empty:
            raise UserError(f"{path}: has a header but no rows")

    def require_merged(self) -> None:
        """Raises UserError for the segments of one of several parts of the data."""
        if self.header == SCORED_SEGMENT_HEADER:
            raise UserError(
                f"{self.path}: is what inference.py wrote of one shard; merge the "
                "shards first, with python -m youtube8m.tools.merge_shards"
            )

    def pairs(self, rows) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The lists of some rows [R] of a video CSV, end to end.

        Returns:
          counts int64 [R], the lengths of the lists; classes int64 [N] and
          confidences float64 [N].

        Raises UserError unless a list is of pairs: a class, once, and a number from 0.
        """
        lists = [self._read_list(row) for row in rows]
        try:
            return _parse_pairs(lists, self._num_classes)
        except ValueError:
            for row, text in zip(rows, lists, strict=True):
                self._parse_row(row, _parse_pairs, [text], self._num_classes)
            raise

    def segments(self, row: int) -> list[str]:
        """The `id:start` names that a row of a segment CSV lists, best first.

        Raises UserError if one of them is something else, or is listed twice.
        """
        return self._parse_row(row, _parse_segments, self._read_list(row))

    def scored_segments(self, row: int) -> tuple[list[str], np.ndarray]:
        """The names and float32 confidences that a row of scored segments lists.

        Raises UserError if one of them is something else.
        """
        return self._parse_row(row, _parse_scored_segments, self._read_list(row))

    def lines(self):
        """Yields the rows of the file as they are, as bytes."""
        for row, key in enumerate(self.keys):
            yield encode_id(f"{key},") + self._read_list(row) + b"\n"

    def _parse_row(self, row, parse, *arguments):
        try:
            return parse(*arguments)
        except ValueError as error:
            line = self._numbers[row]
            raise UserError(f"{self.path}: line {line} {error}") from None

    def _read_list(self, row):
        return self._data[self._starts[row] : self._ends[row]].strip().strip(_QUOTE)

    def _read_header(self, line):
        """(form, rows [0 or 1] in the first line) of a file by this line."""
        if not line:
            raise UserError(f"{self.path}: is empty")
        for header in (VIDEO_HEADER, SEGMENT_HEADER, SCORED_SEGMENT_HEADER):
            found = line.text.replace(_QUOTE, b"").rstrip()
            if found == header.rstrip().encode():
                return header, []
        if _SEGMENT_ROW.match(line.text.replace(_QUOTE, b"")):
            return SEGMENT_HEADER, [line]
        raise UserError(
            f"{self.path}: line {line.number} is {_quote(line.text.strip())}; expected "
            f"the header {VIDEO_HEADER.strip()} or {SEGMENT_HEADER.strip()}"
        )

    def _index_rows(self, lines):
        """Finds each row's list; returns the keys."""
        starts, ends, keys = [], [], {}
        for number, start, line in lines:
            self._numbers.append(number)
            key, length = self._parse_row(len(keys), self._read_key, line, keys)
            keys[key] = number
            starts.append(start + length + 1)
            ends.append(start + len(line))
        self._starts, self._ends = np.array(starts), np.array(ends)
        return list(keys)

    def _read_key(self, line, keys):
        """The key of a line, and its length. Raises ValueError for a wrong one."""
        text, comma, _ = line.partition(b",")
        length, text = len(text), text.strip(_QUOTE)
        if not text or not comma:
            found = _quote(line.strip())
            raise ValueError(f"is {found}; expected {self.header.strip()}")
        if self.header == VIDEO_HEADER:
            key = sys.intern(decode_id(text))  # files of one ensemble share their ids
        elif text.isdigit() and int(text) < self._num_classes:
            key = int(text)
        else:
            expected = _expected(self._num_classes)
            raise ValueError(f"has {_quote(text)} for a class; {expected}")
        if key in keys:
            raise ValueError(f"has {key!r} again, after line {keys[key]}")
        return key, length


def require_one_form(submissions: Sequence[Submission], advice: str) -> None:
    """Raises UserError, with `advice`, unless all files have the first one's header."""
    first = submissions[0]
    for submission in submissions:
        if submission.header != first.header:
            raise UserError(
                f"{submission.path}: has the form {submission.header.strip()}, but "
                f"{first.path} {first.header.strip()}; {advice}"
            )


def _parse_pairs(lists, num_classes):
    """The `pairs` of lists of bytes. Raises ValueError for a wrong one."""
    text = b" ".join(lists)
    if b"" in lists:
        raise ValueError("lists no class")
    if text.translate(None, _NUMBERS):
        wrong = next(t for t in text.split(b" ") if t.translate(None, _NUMBERS))
        raise ValueError(f"has {_quote(wrong)} where a number belongs")
    if b"  " in text:
        raise ValueError("has two blanks in a row; expected one between numbers")
    counts = np.array([item.count(b" ") + 1 for item in lists])
    with warnings.catch_warnings():
        # At an entry that is not a number older versions of numpy warn, and stop.
        warnings.simplefilter("error", DeprecationWarning)
        try:
            values = np.fromstring(text, sep=" ")
        except (ValueError, DeprecationWarning):
            raise ValueError("has an entry that is not a number") from None
    if (counts % 2).any():
        raise ValueError("has an odd number of entries; expected pairs")
    counts, classes, confidences = counts // 2, values[::2], values[1::2]
    wrong = classes[(classes < 0) | (classes >= num_classes) | (classes % 1 != 0)]
    if wrong.size:
        raise ValueError(f"has {wrong[0]:g} for a class; {_expected(num_classes)}")
    wrong = confidences[~((confidences >= 0) & (confidences < np.inf))]
    if wrong.size:
        raise ValueError(f"has the confidence {wrong[0]:g}; expected one from 0 up")
    rows = np.repeat(np.arange(len(counts)), counts)
    pairs = np.sort(rows << 32 | classes.astype(np.int64))
    repeated = pairs[1:][np.diff(pairs) == 0]
    if repeated.size:
        raise ValueError(f"lists class {repeated[0] % 2**32} twice")
    return counts, classes.astype(np.int32), confidences


def _parse_segments(text):
    names = text.split()
    _match_all(_SEGMENT, names, "a segment (id:start)")
    if len(set(names)) < len(names):
        raise ValueError("lists a segment twice")
    return list(map(decode_id, names))


def _parse_scored_segments(text):
    matches = _match_all(_SCORED_SEGMENT, text.split(), "id:start:confidence")
    values = np.array([float(match[2]) for match in matches], np.float32)
    return [decode_id(match[1]) for match in matches], values


def _match_all(pattern, names, expected):
    matches = [pattern.fullmatch(name) for name in names]
    if None in matches:
        wrong = names[matches.index(None)]
        raise ValueError(f"has {_quote(wrong)} where {expected} belongs")
    return matches


def _expected(num_classes):
    limit = "" if num_classes == _ANY_CLASS else f" below --num_classes={num_classes}"
    return f"expected a class id{limit}"


def _quote(text: bytes) -> str:
    return repr(shortened(text.decode("utf-8", "replace")))
