"""The ratings of segments: of which class, and whether it is present.

ratings = read_ratings("validate*.tfrecord", "--eval_data_pattern", 3862, cache="r.txt")
ratings[3]["aAbc:40"]                        # whether class 3 is in that segment

The cache is a text file: a line with the number of ratings and a digest of their
shards, then a line `class,1 or 0,id:start` for each.
"""

import os
import re
import sys

import numpy as np
from absl import logging

from youtube8m.config import DataConfig
from youtube8m.data.labels.video_labels import decoded
from youtube8m.data.reading import decoding, messages, shard_files
from youtube8m.data.reading.damage import Damage
from youtube8m.errors import UserError
from youtube8m.util.files import local_path, replacing
from youtube8m.util.text import decode_id
from youtube8m.util.text_files import read_lines

# Class id -> `id:start` of each rated segment -> whether the class is present.
Ratings = dict[int, dict[str, bool]]

_CACHE_FLAG = "--label_cache"
_HEADER = re.compile(r"youtube8m ratings: (\d{1,12}) of shards ([0-9a-f]{64}|-)")
_ROW = re.compile(r"(\d{1,9}),([01]),(.+:\d+)")


class RatingDecoder(decoding.Decoder):
    """Decodes the ratings of a record, each an example, without its frames."""

    def parse(self, record, draw=None):
        context, _ = messages.split_sequence_example(record)
        video = self._read_id(record, context)
        ratings = zip(*self._read_ratings(record, context), strict=True)
        return [{"id": video, "rating": rating} for rating in ratings]

    def collate(self, parsed, rows=None):
        columns = np.array([row["rating"] for row in parsed], np.int64).reshape(-1, 3)
        names = ("segment_start", "class", "present")
        return super().collate(parsed) | dict(zip(names, columns.T, strict=True))


def read_ratings(
    pattern: str, flag: str, num_classes: int, cache: str = "", id_key: str = ""
) -> Ratings:
    """The ratings of the shards, from the file `cache`, which is written if it is new.

    A class that is rated twice in a segment is present if one of the ratings says so.

    Args:
      pattern: may be empty if the cache exists; the cache is then not checked against
        any shards.
      id_key: of the records' ids; default: as YouTube-8M or MediaPipe.

    Raises UserError if no file matches or none has ratings, or if the cache is damaged
    or belongs to other shards.
    """
    cache = cache and local_path(cache, _CACHE_FLAG)
    cached = cache and os.path.exists(cache)
    paths = shard_files.find_shards(pattern, flag) if pattern or not cached else []
    if cached:
        return _read_cache(cache, num_classes, paths, id_key)
    damage = Damage()
    ratings = _read_shards(paths, num_classes, damage, id_key)
    if not ratings:
        raise UserError(
            f"{flag}={pattern}: no record with rated segments was read; give the "
            "shards of the segment data (2019)"
        )
    if cache and damage.lost:
        logging.warning("%s=%s: not written, as records are lost", _CACHE_FLAG, cache)
    elif cache:
        _write_cache(cache, ratings, _digest(paths, id_key))
    return ratings


def _read_shards(paths, num_classes, damage, id_key):
    data = DataConfig(num_classes=num_classes, id_key=id_key)
    decoder = RatingDecoder(data, False, damage)
    ratings: Ratings = {}
    for batch in decoded(paths, decoder):
        names = ("id", "segment_start", "class", "present")
        columns = (batch[name].tolist() for name in names)
        for video, start, class_id, present in zip(*columns, strict=True):
            segment = f"{decode_id(video)}:{start}"
            _add(ratings, class_id, segment, present)
    return ratings


def _add(ratings, class_id, segment, present):
    rated = ratings.setdefault(class_id, {})
    rated[segment] = bool(present) or rated.get(segment, False)


def _digest(paths, id_key):
    """Of the shards, and of where their ids are if that is given."""
    return shard_files.digest(paths, *([id_key] if id_key else []))


def _write_cache(path, ratings, digest):
    count = sum(map(len, ratings.values()))
    with replacing(path, _CACHE_FLAG) as file:
        file.write(f"youtube8m ratings: {count} of shards {digest}\n")
        for class_id in sorted(ratings):
            for segment, present in ratings[class_id].items():
                file.write(f"{class_id},{present:d},{segment}\n")


def _read_cache(path, num_classes, paths, id_key):
    """Raises UserError unless the file is whole and of the shards `paths`, if any."""
    ratings: Ratings = {}
    try:
        lines = (decode_id(line.text) for line in read_lines(path))
        count, digest = _match(_HEADER, next(lines, ""))
        for line in lines:
            class_id, present, segment = _match(_ROW, line)
            _add(ratings, int(class_id), sys.intern(segment), present == "1")
        found = sum(map(len, ratings.values()))
        if not found or found != int(count):
            raise ValueError(f"holds {found} ratings of {count}")
    except UserError as error:
        wrong = str(error).removeprefix(f"{path}: ")
    except ValueError as error:
        wrong = f"is damaged ({error})"
    else:
        if max(ratings) >= num_classes:
            wrong = f"has class {max(ratings)}, beyond --num_classes"
        elif paths and digest != _digest(paths, id_key):
            wrong = "belongs to other shards than --eval_data_pattern finds"
            wrong += ", or to another --id_key" if id_key else ""
        else:
            return ratings
    raise UserError(
        f"{_CACHE_FLAG}={path}: {wrong}; remove it to have it written anew, or name "
        "another file"
    )


def _match(form, line):
    match = form.fullmatch(line)
    if match is None:
        raise ValueError(f"{line[:40]!r} is no line of it")
    return match.groups()
