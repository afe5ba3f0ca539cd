"""Lists of videos: from a CSV or a glob, with labels and rated segments.

videos = list_videos(config)
videos[0].path, videos[0].id, videos[0].labels
"""

import os
from typing import NamedTuple

from youtube8m.data.labels.vocabulary import Vocabulary, read_vocabulary
from youtube8m.data.writing.records import RatedSegment
from youtube8m.errors import UserError, unknown_name
from youtube8m.extraction.config import ExtractConfig
from youtube8m.util.files import find_files, split_paths
from youtube8m.util.text_files import read_table

_HEADS = ("path", "paths", "file", "filename", "video", "videos")  # of no video
_MOST = 2**31  # class ids and seconds lie below it
_SEGMENT_HEADER = ["path", "start", "class", "score"]


class Video(NamedTuple):
    """A video of a list."""

    path: str
    id: str
    labels: tuple[int, ...] | None  # sorted; None: not known
    segments: tuple[RatedSegment, ...] | None  # None: not rated


def list_videos(config: ExtractConfig) -> list[Video]:
    """The videos that the flags name, in the list's order.

    Raises UserError if a list cannot be read, or two videos have one id.
    """
    vocabulary = None
    if config.vocabulary_file:
        vocabulary = read_vocabulary(config.vocabulary_file)
    labelled = _read_list(config, vocabulary)
    segments = None
    if config.segments_csv:
        segments = _read_segments(config.segments_csv, vocabulary)
        if unknown := segments.keys() - {path for path, _ in labelled}:
            raise UserError(
                f"--segments_csv={config.segments_csv}: {min(unknown)} is not among "
                "the videos; write its path as in the list of videos"
            )
    videos, owners = [], {}
    for path, labels in labelled:
        name = path if config.id == "path" else _base_name(path)
        if owners.get(name) == path:
            raise UserError(f"{path}: is listed twice; remove one of the lines")
        if name in owners:
            raise UserError(
                f"{owners[name]} and {path} both have the id {name!r}; rename one, or "
                "give --id=path"
            )
        owners[name] = path
        rated = None if segments is None else tuple(segments.get(path, ()))
        videos.append(Video(path, name, labels, rated))
    return videos


def _base_name(path):
    return os.path.splitext(os.path.basename(path))[0]


def _read_list(config, vocabulary):
    """(path, labels) of each video."""
    if config.input_videos:
        globs = split_paths(config.input_videos)
        paths = dict.fromkeys(path for glob in globs for path in find_files(glob))
        if not paths:
            raise UserError(
                f"--input_videos={config.input_videos}: no file matches; check the "
                "path, and quote the glob so that the shell does not expand it"
            )
        return [(path, None) for path in paths]
    file = config.input_videos_csv
    found = []
    for line, row in _read_rows(file):
        if len(row) > 2:
            raise UserError(
                f"{file}, line {line}: has {len(row)} columns, expected path,labels; "
                "join labels by ';', and quote names that have a comma"
            )
        if not row[0]:
            raise UserError(
                f"{file}, line {line}: names no video, expected path,labels"
            )
        if not found and row[0].lower() in _HEADS and not os.path.exists(row[0]):
            raise UserError(
                f"{file}, line {line}: is the header {','.join(row)!r}; expected "
                "path,labels of videos alone: remove that line"
            )
        labels = row[1] if len(row) == 2 else ""
        words = [word.strip() for word in labels.split(";") if word.strip()]
        ids = sorted(_class_id(word, vocabulary, file, line) for word in words)
        found.append((row[0], tuple(ids) if ids else None))
    if not found:
        raise UserError(f"--input_videos_csv={file}: names no video")
    return found


def _read_segments(file, vocabulary):
    """Path -> its rated segments."""
    rows = _read_rows(file)
    _, header = next(rows, (1, []))
    if header != _SEGMENT_HEADER:
        raise UserError(
            f"--segments_csv={file}: begins with {','.join(header)!r}, expected the "
            f"header {','.join(_SEGMENT_HEADER)}"
        )
    found: dict[str, list] = {}
    for line, row in rows:
        try:
            path, start, label, score = row
            segment = (int(start), float(score))
        except ValueError:
            raise UserError(
                f"{file}, line {line}: is {','.join(row)!r}, expected "
                "path,start,class,score with start in seconds"
            ) from None
        if not (0 <= segment[0] < _MOST and 0 <= segment[1] <= 1):
            raise UserError(
                f"{file}, line {line}: has start {start} and score {score}; expected "
                "seconds from 0 up, and a score of 1 where the class is there, 0 where "
                "it is not"
            )
        label = _class_id(label, vocabulary, file, line)
        found.setdefault(path, []).append(RatedSegment(segment[0], label, segment[1]))
    return found


def _read_rows(file):
    """(line, row) of each row that is not empty."""
    for line, row in read_table(os.path.expanduser(file)):
        if any(row):
            yield line, row


def _class_id(word, vocabulary: Vocabulary | None, file, line):
    """The class of a number, or of a name of the vocabulary."""
    where = f"{file}, line {line}: label {word!r}"
    if word.isascii() and word.isdecimal():
        if int(word) >= _MOST:
            raise UserError(f"{where}: is no class; expected a number below {_MOST}")
        return int(word)
    if vocabulary is None:
        raise UserError(
            f"{where} is no number; give --vocabulary_file if it is the name of a class"
        )
    try:
        return vocabulary.names.index(word)
    except ValueError:
        known = filter(None, vocabulary.names)
        raise unknown_name(f"{file}, line {line}: label", word, known) from None
