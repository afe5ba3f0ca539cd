"""Which flags follow from the records, in the process of the test."""

import pytest
from absl.testing import flagsaver

from youtube8m.cli import data_flags, flags
from youtube8m.config import DataConfig
from youtube8m.data.reading.survey import Survey, SurveyedFeature
from youtube8m.errors import UserError
from youtube8m.schema import BYTES, FLOAT_LIST
from youtube8m.training.config import TrainingConfig

flags.define(TrainingConfig, DataConfig)
flags.define_model_flags()


def frames(*sizes):
    return SurveyedFeature({*sizes}, 3, BYTES)


def vectors(*sizes):
    return SurveyedFeature({*sizes}, 3, FLOAT_LIST)


FRAMES = {"rgb": frames(24), "audio": frames(8)}
VIDEO = {"mean_rgb": vectors(24), "mean_audio": vectors(8)}
READ = "read off the records: "


@pytest.fixture
def completed(monkeypatch):
    """Completes given flags by what records hold; returns the three of the data."""

    def complete(given, frames=(), video=(), records=3, any_level=()):
        survey = Survey(records, dict(frames), dict(video))
        monkeypatch.setattr(data_flags, "survey", lambda *_, **__: survey)
        values = flags.FLAGS
        if not values.is_parsed():
            values(["test"])
        with flagsaver.flagsaver():
            for name, value in given.items():
                values[name].parse(value)
                values[name].present = 1
            data_flags.set_from_records("x*", "--pattern", *any_level)
            names = data_flags.NAMES[:3]
            return tuple(
                data_flags._list(n) if n != names[0] else values[n].value for n in names
            )

    return complete


def test_frames_are_read_for_a_model_that_takes_them(completed, caplog):
    caplog.set_level("INFO")
    found = completed({"model": "LstmModel"}, FRAMES)
    assert found == (True, ("rgb", "audio"), ("24", "8"))
    typed = "--frame_features --feature_names=rgb,audio --feature_sizes=24,8"
    assert caplog.messages == [READ + typed]


def test_records_of_both_levels_are_read_as_the_model_takes_them(completed):
    assert completed({"model": "LstmModel"}, FRAMES, VIDEO)[:2] == (
        True,
        ("rgb", "audio"),
    )
    assert completed({"model": "MoeModel"}, FRAMES, VIDEO)[:2] == (
        False,
        ("mean_rgb",),
    )


def test_means_are_read_as_the_starter_code_reads_them(completed, caplog):
    caplog.set_level("INFO")
    found = completed({"model": "MoeModel"}, video=VIDEO)
    assert found == (False, ("mean_rgb",), ("24",))
    assert caplog.messages == [READ + "--feature_names=mean_rgb --feature_sizes=24"]
    caplog.clear()
    # Where that is what the flags say already, the others are named.
    whole = {"mean_rgb": vectors(1024), "mean_audio": vectors(128)}
    assert completed({"model": "MoeModel"}, video=whole)[2] == ("1024",)
    assert caplog.messages == [
        "using --feature_names=mean_rgb --feature_sizes=1024; the records also have "
        "mean_audio (128): --feature_names=mean_rgb,mean_audio "
        "--feature_sizes=1024,128 reads all"
    ]
    caplog.clear()
    completed({"model": "MoeModel"}, video={"mean_rgb": vectors(1024)})
    given = {"feature_names": "mean_audio", "feature_sizes": "128"}
    completed({"model": "MoeModel", **given}, video=whole)
    assert caplog.messages == []


def test_what_is_given_stays(completed):
    given = {"model": "LstmModel", "feature_names": "audio"}
    assert completed(given, FRAMES) == (True, ("audio",), ("8",))
    given = {"feature_names": "a", "feature_sizes": "5", "frame_features": "false"}
    assert completed({"model": "LstmModel", **given}, FRAMES) == (False, ("a",), ("5",))


def test_records_without_features_leave_the_flags(completed, caplog):
    caplog.set_level("INFO")
    unknown = {}
    for frames, records in (((), 0), (unknown, 3)):
        found = completed({"frame_features": "true"}, frames, records=records)
        assert found == (True, ("mean_rgb",), ("1024",))
    assert completed({}, records=0) == (False, ("mean_rgb",), ("1024",))
    assert caplog.messages == []


def test_any_level_is_that_of_the_records(completed):
    assert completed({"model": "MoeModel"}, FRAMES, any_level=[True])[0] is True
    assert completed({"model": "LstmModel"}, video=VIDEO, any_level=[True])[0] is False


@pytest.mark.parametrize(
    "given, records, message",
    [
        (
            {"model": "LstmModel"},
            {"video": VIDEO},
            "^--pattern=x.: the records are video-level, but --model=LstmModel takes ",
        ),
        (
            {"model": "MoeModel"},
            {"frames": FRAMES},
            "^--pattern=x.: .* add --frame_features and choose a frame-level model "
            r"\(.*LstmModel.*\); --model=MoeModel takes video-level features",
        ),
        (
            {"model": "LstmModel", "feature_names": "rgb,sound"},
            {"frames": FRAMES},
            "^--feature_names=rgb,sound: the records of --pattern=x. have no "
            r"frame-level feature 'sound'; they have rgb \(24\), audio \(8\)$",
        ),
        (
            {"model": "MoeModel", "feature_names": "mean"},
            {"video": VIDEO},
            "have no video-level feature 'mean'; they have mean_rgb ",
        ),
    ],
)
def test_mistakes_name_the_flag(completed, given, records, message):
    with pytest.raises(UserError, match=message):
        completed(given, **records)


def test_models_that_bring_their_classifier_are_not_offered(completed):
    """`ENCODERS.classifiers`: those that only go with one."""
    with pytest.raises(UserError) as error:
        completed({"model": "MoeModel"}, FRAMES)
    offered = str(error.value).partition("(")[2].partition(")")[0].split(", ")
    assert "LstmModel" in offered and "ManyToManyLSTM" not in offered
