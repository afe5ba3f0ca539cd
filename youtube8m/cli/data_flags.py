"""The flags that describe the data, read off the records where they are not given.

    set_from_records("train*.tfrecord", "--train_data_pattern")  # then flags.make_run()

A flag that is not given keeps its default (or its preset's value) where the records
have what it says: video-level records with mean_rgb are read as the starter code reads
them. Else it is set to what the first records hold, and one line says to what.
"""

from absl import flags as absl_flags
from absl import logging

from youtube8m import models
from youtube8m.cli import flags
from youtube8m.config import DataConfig, ModelConfig
from youtube8m.config.fields import split_list
from youtube8m.data.reading.dtypes import Guess
from youtube8m.data.reading.survey import Survey, survey
from youtube8m.errors import UserError
from youtube8m.models.base import CLASSIFIERS, ENCODERS
from youtube8m.schema import BYTES, FLOAT_LIST, STORED

FLAGS = absl_flags.FLAGS

NAMES = ("frame_features", "feature_names", "feature_sizes", "feature_dtypes")
# What a run that goes on keeps, too.
KEPT = (*NAMES, "context_features", "labels_key", "id_key")
_SAME = {("float32", FLOAT_LIST), (FLOAT_LIST, "float32")}


def set_from_records(pattern: str, flag: str, any_level: bool = False) -> None:
    """Sets the defaults of the flags that are not given.

    Args:
      pattern: globs of the records, the value of `flag`.
      any_level: whether the records need not be of the model's level.

    Raises:
      UserError: no file is found, the records lack a feature that is given, or their
        level is not the model's.
    """
    missing = [name for name in NAMES if not FLAGS[name].present]
    if not pattern or not (missing or "float32" in _list("feature_dtypes")):
        return
    keys = DataConfig(labels_key=FLAGS.labels_key, id_key=FLAGS.id_key)
    before, found = _typed(), survey(pattern, flag, config=keys)
    data = f"{flag}={pattern}"
    if "frame_features" in missing and found.records:
        level = bool(found.frame_features) if any_level else _level(found, data)
        _set("frame_features", level)
    features = found.frame_features if FLAGS.frame_features else _vectors(found)
    sizes = {name: known.size for name, known in features.items() if known.size}
    if not features:  # reading the records will say what is wrong with them
        return
    if "feature_names" in missing and not {*_list("feature_names")} <= sizes.keys():
        for name in features.keys() - sizes.keys() if sizes else ():
            logging.warning("%s: %s; left out", data, _contradiction(name, features))
        _set("feature_names", sizes or features)
    if "feature_sizes" in missing:
        _require_features(features, sizes, data)
    if FLAGS.frame_features:
        _describe(features, found.video_features, missing, data)
    elif "feature_sizes" in missing:
        _set("feature_sizes", [sizes[name] for name in _list("feature_names")])
    _report(before, sizes)


def _vectors(found):
    """The features of video-level records, which are float lists."""
    return {
        name: feature
        for name, feature in found.video_features.items()
        if feature.stored == FLOAT_LIST
    }


def _describe(features, vectors, missing, data):
    """Sets sizes and types of --feature_names and --context_features.

    Given ones stay; but of float32 values it is set how they are stored.
    """
    names, context = _list("feature_names"), _list("context_features")
    known = [features.get(name) for name in names]
    for name in context:
        known.append(vectors.get(name))
        if known[-1] is None or not known[-1].size:
            usable = {n: f.size for n, f in vectors.items() if f.size}
            raise UserError(
                f"--context_features={','.join(context)}: the records of {data} have "
                f"no vector {name!r} of one size; they have "
                f"{_described(usable) or 'none'}"
            )
    sizes, stored = [], []
    for number, (name, feature) in enumerate(zip(names + context, known, strict=True)):
        size, given = (_entry(f, number) for f in ("feature_sizes", "feature_dtypes"))
        size = int(size) if size and size.isdigit() else None
        found = None
        if feature is not None and given in (None, *STORED):
            found = feature.stored_as(size, given)
        # What is missing or contradictory, reading the records will tell.
        size, guess = found or (size, Guess(given or BYTES, True))
        sizes.append(size)
        stored.append(guess.stored)
        if not guess.sure:
            logging.warning(
                "%s: the first values of %r do not show for sure how they are stored; "
                "they are read as %s: give --feature_dtypes to say it",
                data,
                name,
                guess.stored,
            )
    if all(sizes):
        FLAGS["feature_sizes"].value = ",".join(map(str, sizes))
    if {*stored[: len(names)]} != {BYTES} or {*stored[len(names) :]} > {FLOAT_LIST}:
        FLAGS["feature_dtypes"].value = ",".join(stored)


def keep(data: DataConfig) -> None:
    """Completes sizes and types that are given by those of a run that goes on."""
    stored = [feature.stored for feature in data.features]
    for name, own in (
        ("feature_sizes", data.feature_sizes),
        ("feature_dtypes", stored),
    ):
        given, own = _list(name), [*map(str, own)]
        pairs = zip(given, own, strict=False)
        if given and all(pair in _SAME or pair[0] == pair[1] for pair in pairs):
            FLAGS[name].value = ",".join(own)


def _entry(name, number):
    """The entry of a list that is given, or None."""
    given = _list(name) if FLAGS[name].present else ()
    return given[number] if number < len(given) else None


def _level(found: Survey, data: str) -> bool:
    """Whether the model takes frames. Raises UserError if the records have none."""
    frame_level = models.parts(flags.read(ModelConfig)).encoder is not None
    name = FLAGS.model
    if frame_level and not found.frame_features:
        raise UserError(
            f"{data}: the records are video-level, but --model={name} takes frames; "
            f"give frame-level records, or a video-level model "
            f"({', '.join(CLASSIFIERS)})"
        )
    if not frame_level and not _vectors(found):
        free = [n for n in ENCODERS if not ENCODERS.get(n).classifiers]
        raise UserError(
            f"{data}: the records are frame-level, not video-level; add "
            f"--frame_features and choose a frame-level model ({', '.join(free)}); "
            f"--model={name} takes video-level features, or what such a model makes "
            f"with --video_level_classifier_model={name}"
        )
    return frame_level


def _require_features(features, sizes, data):
    names = _list("feature_names")
    for name in names:
        if name in features and name not in sizes:
            raise UserError(
                f"{data}: {_contradiction(name, features)}; give records of one kind, "
                "or --feature_sizes and --feature_dtypes"
            )
        if name not in sizes:
            level = "frame" if FLAGS.frame_features else "video"
            raise UserError(
                f"--feature_names={','.join(names)}: the records of {data} have no "
                f"{level}-level feature {name!r}; they have {_described(sizes)}"
            )


def _contradiction(name, features):
    feature = features[name]
    if not feature.sizes:
        return f"the first records have no bytes and no floats in {name!r}"
    sizes = " and ".join(map(str, sorted(feature.sizes))) or "no"
    ways = "" if feature.stored else ", some as bytes and some as float lists"
    return f"the first records have frames or vectors {name!r} of {sizes} values{ways}"


def _report(before, sizes):
    """Says what was read off the records, or what else they have."""
    used = _typed()
    others = {n: s for n, s in sizes.items() if n not in _list("feature_names")}
    if used != before:
        logging.info("read off the records: %s", used)
    elif others and _list("feature_names") == DataConfig.feature_names:
        logging.info(
            "using %s; the records also have %s: --feature_names=%s --feature_sizes=%s "
            "reads all",
            used,
            _described(others),
            ",".join(sizes),
            ",".join(map(str, sizes.values())),
        )


def _described(sizes):
    return ", ".join(f"{name} ({size})" for name, size in sizes.items())


def _typed():
    """The flags as they are to be typed."""
    words = ["--frame_features"] if FLAGS.frame_features else []
    names = [*NAMES[1:3], *(n for n in KEPT[3:5] if _list(n))]
    return " ".join(words + [f"--{name}={','.join(_list(name))}" for name in names])


def _list(name):
    return split_list(FLAGS[name].value)


def _set(name, value):
    if not isinstance(value, bool):
        value = ",".join(map(str, value))
    FLAGS.set_default(name, value)
