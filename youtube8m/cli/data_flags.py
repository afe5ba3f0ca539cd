"""The flags that describe the data, read off the records where they are not given.

    complete("train*.tfrecord", "--train_data_pattern")      # then flags.read_run()

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
from youtube8m.data.reading.survey import Survey, survey
from youtube8m.errors import UserError
from youtube8m.models.base import CLASSIFIERS, ENCODERS

FLAGS = absl_flags.FLAGS

NAMES = ("frame_features", "feature_names", "feature_sizes")


def complete(pattern: str, flag: str, any_level: bool = False) -> None:
    """Sets the defaults of the flags that are not given.

    Args:
      pattern: globs of the records, the value of `flag`.
      any_level: whether the records need not be of the model's level.

    Raises:
      UserError: no file is found, the records lack a feature that is given, or their
        level is not the model's.
    """
    missing = [name for name in NAMES if not FLAGS[name].present]
    if not missing or not pattern:
        return
    before, found = _typed(), survey(pattern, flag)
    data = f"{flag}={pattern}"
    if "frame_features" in missing and found.records:
        level = bool(found.frame_features) if any_level else _level(found, data)
        _set("frame_features", level)
    features = found.frame_features if FLAGS.frame_features else found.video_features
    sizes = {name: known.size for name, known in features.items() if known.size}
    if not sizes:  # reading the records will say what is wrong with them
        return
    if "feature_names" in missing and not {*_list("feature_names")} <= sizes.keys():
        _set("feature_names", sizes)
    if "feature_sizes" in missing:
        _require_features(sizes, data)
        _set("feature_sizes", [sizes[name] for name in _list("feature_names")])
    _report(before, sizes)


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
    if not frame_level and not found.video_features:
        free = [n for n in ENCODERS if not ENCODERS.get(n).classifiers]
        raise UserError(
            f"{data}: the records are frame-level, not video-level; add "
            f"--frame_features and choose a frame-level model ({', '.join(free)}); "
            f"--model={name} takes video-level features, or what such a model makes "
            f"with --video_level_classifier_model={name}"
        )
    return frame_level


def _require_features(sizes, data):
    names = _list("feature_names")
    for name in names:
        if name not in sizes:
            level = "frame" if FLAGS.frame_features else "video"
            raise UserError(
                f"--feature_names={','.join(names)}: the records of {data} have no "
                f"{level}-level feature {name!r}; they have {_described(sizes)}"
            )


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
    return " ".join(words + [f"--{name}={','.join(_list(name))}" for name in NAMES[1:]])


def _list(name):
    return split_list(FLAGS[name].value)


def _set(name, value):
    if not isinstance(value, bool):
        value = ",".join(map(str, value))
    FLAGS.set_default(name, value)
