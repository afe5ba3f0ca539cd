"""The flags with which train.py reads some shards, and what else a user should know.

command(found)                   # ["--train_data_pattern='x*'", ...], or []
for note in notes(found): ...    # whole sentences, the weightiest first
"""

import shlex
from typing import NamedTuple

from youtube8m.data.inspection.inspector import FeatureFacts, Inspection
from youtube8m.schema import (
    BYTES,
    FLOAT_LIST,
    ID_KEYS,
    MAX_FRAMES,
    NUM_CLASSES_2017,
    NUM_CLASSES_2018,
    RATING_KEYS,
)
from youtube8m.util.text import shortened

_FRAME_MODEL = "FrameLevelLogisticModel"
_FRAME_BATCH = 128
_FEW = 5  # names in a note


class _Release(NamedTuple):
    """A published data set: how its records can be told, and its classes."""

    name: str
    id_key: str
    features: dict[str, int]
    num_classes: int


_RELEASES = (
    _Release("YouTube-8M of 2017", ID_KEYS[1], {"rgb": 1024}, NUM_CLASSES_2017),
    _Release("YouTube-8M of 2018 or 2019", ID_KEYS[0], {"rgb": 1024}, NUM_CLASSES_2018),
    _Release("AudioSet", ID_KEYS[1], {"audio_embedding": 128}, 527),
)


def release(found: Inspection) -> str:
    """The published data set that the records are of; "" if it is none."""
    known = _release(found)
    return known.name if known else ""


def _release(found):
    sizes = {f.name.removeprefix("mean_"): f.size for f in found.features}
    for one in _RELEASES:
        same = one.features.items() <= sizes.items()
        if same and found.look.found_id == one.id_key:
            return one if found.highest_label < one.num_classes else None
    return None


def num_classes(found: Inspection) -> int | None:
    """The number of classes: that of the vocabulary, of the data set, or the least."""
    if found.vocabulary is not None:
        return len(found.vocabulary.names)
    if known := _release(found):
        return known.num_classes
    return found.highest_label + 1 or None


def data_flags(found: Inspection) -> list[str]:
    """The flags that say what the records hold; [] if they cannot be read."""
    config = found.config
    if config is None or not found.usable:
        return []
    words = ["--frame_features"] if config.frame_features else []
    words.append(f"--feature_names={','.join(f.name for f in found.features)}")
    words.append(f"--feature_sizes={','.join(str(f.size) for f in found.features)}")
    usual = BYTES if config.frame_features else FLOAT_LIST
    if any(f.stored != usual or not f.sure for f in found.features):
        words.append(f"--feature_dtypes={','.join(f.stored for f in found.features)}")
    if count := num_classes(found):
        words.append(f"--num_classes={count}")
    for name in ("id_key", "labels_key"):
        if key := getattr(config, name):
            words.append(f"--{name}={key}")
    if found.ratings.last_start >= MAX_FRAMES:
        words.append(f"--max_frames={max(found.frames)}")
    if any(file.compression for file in found.files):
        words.append("--input_pipeline=tfrecord")
    return [shlex.quote(word) for word in words]


def training_flags(found: Inspection) -> list[str]:
    """The flags of a first training; [] if none is possible."""
    words = data_flags(found)
    only_rated = not found.labelled and found.ratings.present
    if not words or not (found.labelled or only_rated):
        return []
    words.append(f"--train_data_pattern={shlex.quote(found.pattern)}")
    if only_rated:
        words.append("--segment_labels")
    if found.level == "frame":
        words += [f"--model={_FRAME_MODEL}", f"--batch_size={_FRAME_BATCH}"]
    return [*words, "--train_dir=my_run"]


def notes(found: Inspection) -> list[str]:
    """What a user should know, in whole sentences, the weightiest first."""
    return [*_unreadable(found), *_on_labels(found), *_on_values(found), *_more(found)]


def _unreadable(found):
    if not found.records:
        yield "No record can be read."
    elif not found.usable:
        yield _why_unusable(found)
    if found.impossible_labels:
        yield (
            f"{_records(found.impossible_labels)} class ids that are none: training "
            "ends there. Write these records anew, or leave their files out."
        )
    for other in found.other_kinds:
        yield (
            f"{_records(other.records)} another content ({other.kind}), in "
            f"{_counted(len(other.files), 'file')}, first in {other.first[0]} at byte "
            f"{other.first[1]:,}. Training leaves them out: give a glob of each kind."
        )
    packed = {file.compression.lower() for file in found.files} - {""}
    if packed:
        yield (
            f"Files are compressed ({', '.join(sorted(packed))}): training reads them "
            "with --input_pipeline=tfrecord alone, which is slower and ends at the "
            "first damaged record. Better decompress them."
        )
    empty = sum(not file.bytes for file in found.files)
    if empty:
        yield f"{_counted(empty, 'file is', 'files are')} empty."
    if found.doubled:
        yield (
            f"{_records(found.doubled)} an id that an earlier record has: predictions "
            "have one row for it."
        )
    if found.num_unfit_ids:
        yield (
            f"{_records(found.num_unfit_ids)} an id that a CSV of predictions cannot "
            f"hold, such as {found.unfit_ids[0]!r}: inference leaves them out."
        )


def _why_unusable(found):
    if found.config is None:
        kind = f": {found.look.kind}" if found.look.kind else ""
        return (
            "No record has a feature that training reads: byte strings or float lists "
            f"of one size for each frame, or float lists for a video{kind}."
        )
    return "No record can be used; the problems below say why."


def _on_labels(found):
    if not found.usable:
        return
    known = _release(found)
    if found.without_labels == found.usable and not found.ratings.records:
        yield (
            "No record has labels, so they can be predicted, but not trained on. If "
            "labels have another key, name it by --labels_key."
        )
    elif found.without_labels and not found.ratings.records:
        yield f"{_records(found.without_labels)} no labels: training leaves them out."
    if found.empty_labels:
        yield (
            f"{_records(found.empty_labels)} an empty list of labels: training takes "
            "them for videos of no class."
        )
    if found.labelled and found.vocabulary is None and known is None:
        yield (
            f"The highest class id is {found.highest_label}. If the data set has more "
            "classes, give their number by --num_classes."
        )
    if (count := num_classes(found)) and found.labelled:
        seen = int((found.labels.per_class > 0).sum())
        if seen < count:
            yield f"{count - seen:,} of {count:,} classes do not occur."
    ratings = found.ratings
    if ratings.records and found.labelled:
        yield "To train on the rated segments, add --segment_labels."
    if ratings.beyond:
        yield (
            f"{_records(ratings.beyond)} ratings beyond their frames: training on "
            "segments leaves them out."
        )


def _on_values(found):
    for feature in found.features:
        yield from _on_feature(feature)


def _on_feature(feature: FeatureFacts):
    name, values = feature.name, feature.values
    if not feature.sure:
        yield (
            f"How {name} is stored cannot be told for sure; it looks like "
            f"{feature.stored}. --feature_dtypes says it."
        )
    if feature.not_finite:
        yield (
            f"{_records(feature.not_finite)} values of {name} that are not finite: "
            "training leaves them out."
        )
    if values is None:
        return
    if not values.varies:
        yield f"{name} is {values.minimum:g} everywhere."
    elif values.constant:
        shown = ", ".join(map(str, values.constant[:_FEW]))
        more = " ..." if len(values.constant) > _FEW else ""
        yield (
            f"{len(values.constant):,} of {feature.size:,} dimensions of {name} hardly "
            f"vary: {shown}{more}."
        )


def _more(found):
    if found.frames and max(found.frames) > MAX_FRAMES:
        longer = sum(n for length, n in found.frames.items() if length > MAX_FRAMES)
        yield (
            f"{_records(longer)} more than {MAX_FRAMES} frames, which are cut; the "
            f"longest has {max(found.frames):,}: --max_frames reads more."
        )
    if found.look.some_features:
        names = ", ".join(found.look.some_features)
        yield f"Some records also have {names}."
    vectors, others = [], []
    for key in found.look.other_keys:
        known = key.name in (*RATING_KEYS, *ID_KEYS)
        is_vector = key.kind == FLOAT_LIST and found.level == "frame"
        if not known:
            (vectors if is_vector else others).append(key.name)
    if vectors:
        yield (
            f"Vectors of the video that are not read: {', '.join(vectors)}; "
            f"--context_features={','.join(vectors)} adds them to each frame."
        )
    if others:
        listed = shortened(", ".join(others), 200)
        yield f"Keys that are not read: {listed}."


def _records(count):
    """'12 records have', to go on with what."""
    return f"{count:,} records have" if count != 1 else "1 record has"


def _counted(count, one, several=""):
    return f"{count:,} {one if count == 1 else several or one + 's'}"
