"""Whether the first records of some shards are what the config says, and are meant."""

import itertools

import numpy as np
from absl import logging

from youtube8m import schema
from youtube8m.data.reading import dtypes
from youtube8m.data.reading.damage import Damage
from youtube8m.data.reading.decoding import is_unlabelled
from youtube8m.data.reading.messages import RecordError
from youtube8m.data.reading.tfrecord import advice_on
from youtube8m.errors import UserError

_FIRST_RECORDS = 8


class UnfitRecords(UserError):
    """None of the first records has what the config says."""


def probe(paths, decoder, first_records):
    """(first records, number of examples of each that is usable).

    They are those of the first file that has any; damage, and files that are empty,
    are left to the pipeline.
    """
    problem = None
    for path in paths:
        damage = Damage(strict=True)  # which logs nothing
        records = first_records(path, damage, _FIRST_RECORDS)
        if records:
            return records, _count_examples(path, records, decoder)
        what = min(damage.reports[path], default="is empty")
        if "cannot be read" in what:
            raise UserError(f"{path}: {what}")
        if what != "is empty":
            problem = problem or UserError(
                f"{path}: not a TFRecord file (or all of it is damaged); expected the "
                "shards of YouTube-8M or AudioSet, or files written alike"
                f"{advice_on(path)}"
            )
    if problem:
        raise problem
    return [], []


def _count_examples(path, records, decoder):
    """The number of examples of each usable record. Raises if none is."""
    parsed, problems = [], []
    for index, record in enumerate(records):
        try:
            parsed.append(decoder.parse(record))
        except (RecordError, UserError) as error:
            problems.append(UnfitRecords(f"{path}: record {index} {error}"))
    if not parsed:
        raise problems[0]
    _warn_of_unmeant(path, decoder.config, list(itertools.chain(*parsed)))
    return [len(examples) for examples in parsed]


def _warn_of_unmeant(path, config, examples):
    """Warns of first examples that can be read, but can hardly be meant."""
    if examples and all(map(is_unlabelled, examples)):
        logging.warning(
            "%s: none of the first %d records has a label", path, len(examples)
        )
    first = f"{path}: the first {len(examples)} records"
    if len(examples) == _FIRST_RECORDS and config.num_classes > 1:
        for name in ("labels", "id"):
            found = [e[name] for e in examples if name in e and "rated" not in e]
            if len(found) > 1 and found[0] and found.count(found[0]) == len(found):
                logging.warning("%s have the same %s, %r", first, name, found[0])
    for feature, parts in _features(config, examples):
        if feature.per_frame and feature.stored == schema.BYTES:
            _warn_of_floats(path, feature.name, np.concatenate(parts))
        value = parts[0].flat[0]
        same = all((part == value).all() for part in parts)
        if same and len(parts) > 1 and parts[0].size > 1:
            message = "%s have %s everywhere in feature %r"
            logging.warning(message, first, value, feature.name)


def _features(config, examples):
    """Pairs of a feature and its values in each example, [T, size] or [size]."""
    if not examples or config.released_crops:  # these are all side by side
        return
    if config.frame_features:
        rows = zip(*(example["frames"] for example in examples), strict=True)
        for feature, parts in zip(config.features, rows, strict=True):
            yield feature, [dtypes.as_values(part, feature.dtype) for part in parts]
    else:
        ends = np.cumsum(config.feature_sizes)[:-1]
        parts = (np.split(example["features"], ends) for example in examples)
        yield from zip(config.features, zip(*parts, strict=True), strict=True)


def _warn_of_floats(path, name, rows):
    """Warns if bytes [n, size], of which each is read as a value, are floats."""
    if dtypes.look_like_float64(rows):
        logging.warning(
            "%s: feature %r looks like float64 values, which are not read; write them "
            "as float32, and give the number of such values as --feature_sizes",
            path,
            name,
        )
        return
    kind, sure = dtypes.guess(rows)
    if kind != schema.BYTES and sure:
        logging.warning(
            "%s: feature %r looks like %s values, of which each byte is read as a "
            "value; give --feature_dtypes=%s, and the number of such values as "
            "--feature_sizes",
            path,
            name,
            kind,
            kind,
        )
