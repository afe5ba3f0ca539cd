"""Converts the features that MediaPipe extracted to records for train.py.

    python -m youtube8m.tools.convert_mediapipe features*.pb \\
        --output_file=mine.tfrecord --quantize

A features.pb is what MediaPipe's feature_extraction graph wrote of one video; TFRecord
files of such messages are read, too. RGB/feature/floats becomes rgb, AUDIO/feature/
floats audio. Frames are paired by their times. Labels and rated segments are kept. The
id is example/id, clip/media_id or the video's file name without its ending.
"""

import collections
import contextlib
import dataclasses
import itertools

from absl import logging

from youtube8m import cli
from youtube8m.cli import flags
from youtube8m.config.fields import NEEDED, Config, flag, require_unread, split_list
from youtube8m.data.labels.vocabulary import read_vocabulary
from youtube8m.data.reading.damage import Damage
from youtube8m.data.reading.messages import RecordError
from youtube8m.data.reading.shard_files import distinct, find_by_glob
from youtube8m.data.writing import mediapipe
from youtube8m.data.writing.records import record_file
from youtube8m.errors import UserError
from youtube8m.prediction.submission import warn_of_unfit_ids
from youtube8m.schema import SEGMENT_FRAMES
from youtube8m.util.files import local_path
from youtube8m.util.progress import Progress

COMMANDS = None  # the words are files


@dataclasses.dataclass(frozen=True)
class ClipsConfig(Config):
    """How clips are converted, and where the records go."""

    output_file: str = flag("", "TFRecord file to write.", NEEDED)
    quantize: bool = flag(
        False, "Store a byte per value, as YouTube-8M does; default: floats, as given."
    )
    feature_names: str = flag(
        "", "Features to keep, comma-separated, as rgb,audio; default: all."
    )
    zero_missing: bool = flag(
        False,
        "Zeros for a feature where a frame or a whole video has none; default: such "
        "frames and videos are left out.",
    )
    vocabulary_file: str = flag(
        "", "CSV of the classes, for labels that are names without class ids."
    )
    strict_data: bool = flag(False, "Stop at the first file that cannot be converted.")


flags.define(ClipsConfig)


def main(*patterns: str) -> None:
    """Converts the files that are named, or globs of them."""
    config = flags.read(ClipsConfig)
    if not patterns:
        raise UserError("name the files to convert: features*.pb")
    found = (find_by_glob(pattern, "the files to convert") for pattern in patterns)
    paths = distinct(itertools.chain.from_iterable(itertools.chain(*found)))
    require_unread(config, ["output_file"], ["vocabulary_file"], paths)
    classes = _read_classes(config)
    chosen = split_list(config.feature_names)
    sizes = _features_of_first(paths, chosen) or _features_of_all(paths, chosen)
    try:
        _convert(paths, config, sizes, classes)
    except _MoreFeatures as error:
        logging.info("%s, which files before it lack; all are read again", error)
        _convert(paths, config, _features_of_all(paths, chosen), classes)


class _MoreFeatures(Exception):
    """A clip has a feature that the first one lacks."""


def _features_of_first(paths, chosen):
    """Name -> size of the chosen features, or all, of the first clip.

    {} if it lacks one. Most often all clips have the same, which is found out as they
    are converted.
    """
    clips = _read_all(paths, Damage(), "")
    with _quiet(), contextlib.closing(clips):
        sizes = mediapipe.find_features(clip for _, clip in itertools.islice(clips, 1))
    names = chosen or tuple(sizes)
    return {name: sizes[name] for name in names} if {*names} <= sizes.keys() else {}


def _features_of_all(paths, chosen):
    """Name -> size of the features that are wanted, of all files."""
    clips = _read_all(paths, Damage(), "looking for features")
    with _quiet():  # what is wrong is told when it is converted
        sizes = mediapipe.find_features(clip for _, clip in clips)
    if not sizes:
        raise UserError(
            f"{paths[0]}: no file holds a clip with frames (PREFIX/feature/floats); "
            "name what MediaPipe's feature_extraction graph wrote"
        )
    if unknown := [name for name in chosen if name not in sizes]:
        raise UserError(
            f"--feature_names={','.join(chosen)}: no file has {unknown[0]!r}; they "
            f"have {', '.join(sizes)}"
        )
    return {name: sizes[name] for name in chosen or sizes}


def _read_all(paths, damage, title):
    """Yields (path, clip) of all files."""
    with Progress(title, len(paths), "file") as progress:
        for done, path in enumerate(paths, 1):
            for clip in mediapipe.read_clips(path, damage):
                yield path, clip
            progress.update(done)


@contextlib.contextmanager
def _quiet():
    verbosity = logging.get_verbosity()
    logging.set_verbosity(logging.ERROR)
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)


def _read_classes(config):
    """Name -> class id, or None without a vocabulary."""
    if not config.vocabulary_file:
        return None
    names = read_vocabulary(config.vocabulary_file).names
    return {name: class_id for class_id, name in enumerate(names) if name}


def _convert(paths, config, sizes, classes):
    """Writes the records, and tells what was lost.

    Raises _MoreFeatures if all features are wanted and a clip has another.
    """
    conversion = mediapipe.Conversion(
        sizes, config.quantize, config.zero_missing, classes
    )
    damage = Damage(config.strict_data)
    output = local_path(config.output_file, "--output_file")
    count = _write(paths, conversion, damage, output, bool(config.feature_names))
    described = ", ".join(f"{name} ({size})" for name, size in sizes.items())
    logging.info(
        "wrote %d videos, %d frames of %s: %s",
        count,
        conversion.num_frames,
        described,
        config.output_file,
    )
    _warn(conversion, damage)


def _write(paths, conversion, damage, output, all_known):
    """Writes the records; returns how many."""
    ids = collections.Counter()
    try:
        with record_file(output) as write:
            for path, clip in _read_all(paths, damage, "converting"):
                found = {} if all_known else mediapipe.find_features([clip])
                if more := found.keys() - conversion.sizes.keys():
                    raise _MoreFeatures(f"{path}: has {min(more)}")
                try:
                    record = conversion.record(clip, path)
                except RecordError as error:
                    damage.record(path, str(error))
                    damage.check()
                    continue
                except UserError as error:
                    raise UserError(f"{path}: {error}") from None
                write(record)
                ids[record.context.feature["id"].bytes_list.value[0]] += 1
            damage.check()
            if not ids:
                raise UserError(
                    f"no video of the {len(paths)} files could be converted"
                )
    except OSError as error:
        raise UserError(
            f"--output_file={output}: cannot be written ({error.strerror})"
        ) from None
    warn_of_unfit_ids(ids)
    if repeated := [name for name, count in ids.items() if count > 1]:
        logging.warning(
            "%d ids are those of several videos, first %r; predictions have a row for "
            "the first of them",
            len(repeated),
            repeated[0].decode("utf-8", "backslashreplace"),
        )
    return ids.total()


def _warn(conversion, damage):
    """Logs what could not be kept."""
    for name, count in conversion.unpaired.items():
        if count:
            logging.warning(
                "%d frames of %s have no counterpart at their time; left out",
                count,
                name,
            )
    if count := conversion.lost_segments:
        logging.warning("%d rated segments begin where no frame is; left out", count)
    if count := conversion.odd_segments:
        logging.warning(
            "%d rated segments do not last %d seconds; train.py reads %d frames from "
            "their start",
            count,
            SEGMENT_FRAMES,
            SEGMENT_FRAMES,
        )
    if damage.lost:
        logging.warning("%s could not be converted", damage.amount("videos"))


if __name__ == "__main__":
    cli.run(main)
