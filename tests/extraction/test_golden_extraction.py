"""What the original extractors compute, and what they wrote."""

import functools

import numpy as np
import pytest
import tensorflow as tf

from tests.helpers import golden
from youtube8m.data.reading.damage import Damage
from youtube8m.data.reading.tfrecord import read_records
from youtube8m.data.writing.records import quantize
from youtube8m.extraction.config import ExtractConfig
from youtube8m.extraction.extractor import FeatureExtractor
from youtube8m.extraction.image_networks import Inception2015
from youtube8m.extraction.many_videos import extract_videos
from youtube8m.extraction.vggish import (
    Vggish,
    cut_windows,
    full_windows,
    load_vggish,
    log_mel,
)
from youtube8m.extraction.whitening import Whitening, quantize_rounding

FOLDER = golden.FOLDER / "extraction"
INCEPTION = FOLDER / "inception_dir"
VGGISH = FOLDER / "vggish_reduced"
pytestmark = pytest.mark.skipif(
    not FOLDER.is_dir(), reason=f"no golden figures in {FOLDER}: set YT8M_GOLDEN"
)


def case(name):
    return golden.Case(FOLDER / f"{name}.npz")


@functools.cache
def inception():
    return Inception2015(str(INCEPTION / "classify_image_graph_def.pb"))


@functools.cache
def pca():
    return Whitening.load_starter(str(INCEPTION))


def assert_bytes_close(actual, expected, share):
    """At most one step apart, and only `share` of them."""
    steps = np.abs(actual.astype(int) - expected)
    assert steps.max() <= 1
    assert (steps > 0).mean() <= share


@pytest.mark.parametrize(
    "name, limits", [("m2_2", (-2, 2)), ("m1_3", (-1, 3)), ("0_1", (0, 1))]
)
def test_quantize(name, limits):
    found = case("quantize")
    golden.assert_equal(
        quantize_rounding(found["input"], *limits),
        found.outputs[f"bytes_py3_{name}"],
        name,
    )


def test_pca():
    found = case("pca")
    actual = pca()(found["input"])
    for name in ("graph", "numpy", "float64"):
        largest = np.abs(found.outputs[name]).max(axis=1, keepdims=True)
        error = np.abs(actual - found.outputs[name]) / np.maximum(largest, 1)
        assert error.max() <= 1e-5, name


def test_inception_features():
    found = case("inception_features")
    images = [found[f"image_{i}"] for i in range(3)]
    prepared = np.stack([inception().prepare(image) for image in images])
    for i, image in enumerate(prepared):
        expected = found.outputs[f"resized_{i}"]
        golden.assert_equal(image[:286:19, :286:19], expected, i)
    pool = inception()(prepared)
    golden.assert_close(pool, found.outputs["pool"], "pool", 1e-5, 1e-5)
    golden.assert_close(pca()(pool), found.outputs["pca"], "pca", 2e-4, 2e-4)
    extractor = FeatureExtractor(inception(), sound=False, whitening=pca())
    extracted = extractor.extract_images(images)
    assert_bytes_close(quantize_rounding(extracted), found.outputs["bytes"], 1e-3)


FRONTEND = case("vggish_frontend") if FOLDER.is_dir() else None
WAVEFORMS = sorted(FRONTEND.meta["cases"]) if FRONTEND else ["none"]


@pytest.mark.parametrize("name", WAVEFORMS)
def test_vggish_frontend(name):
    part = FRONTEND.group(name)
    waveform, atol = part["waveform"] / 32768.0, 1e-5
    if part["sample_rate"] != 16_000:
        waveform, atol = part["resampled"], 1e-4  # which was rounded to float32
    for step, key in ((15_360, "examples"), (16_000, "examples_hop100")):
        actual = log_mel(cut_windows(waveform, full_windows(len(waveform), step)))
        golden.assert_close(actual, part[key], key, 0, atol)


def test_vggish_reduced():
    found = case("vggish_reduced")
    vggish = load_vggish(str(VGGISH / "vggish_model.ckpt"))
    golden.assert_close(
        vggish(found["input"]), found.outputs["embedding"], "embedding", 1e-4, 1e-4
    )
    golden.assert_close(
        vggish.pooled(found["input"]), found.outputs["pool4"], "pool4", 1e-4, 1e-4
    )
    z = Whitening.load_vggish(str(VGGISH))(found["postprocess_input"])
    golden.assert_close(z, found.outputs["pca"], "pca", 1e-4, 1e-4)
    assert_bytes_close(quantize(z), found.outputs["bytes"], 5e-3)


@pytest.mark.slow
def test_vggish_full_size():
    found = case("vggish_full_sparse")

    def read(name):
        key = name.replace("/", "|")
        if key in found:
            return found[key]
        dense = np.zeros(found[f"{key}|shape"], np.float32)
        dense.flat[found[f"{key}|indices"]] = found[f"{key}|values"]
        return dense

    vggish = Vggish()
    vggish.assign_weights(read)
    assert vggish.count_params() == 72_141_184
    for values, name in (
        (vggish(found["input"]), "embedding"),
        (vggish.pooled(found["input"]), "pool4"),
    ):
        golden.assert_close(values, found.outputs[name], name, 1e-4, 1e-4)


ZEROS = {"audio": False, "insert_zero_audio_features": True}
RUNS = {
    "records": ZEROS,
    "records_2fps_noaudio": {"audio": False, "frames_per_second": 2.0},
    "records_video_level": ZEROS | {"skip_frame_level_features": True},
    "records_keys": ZEROS
    | {
        "labels_feature_key": "lab",
        "image_feature_key": "inc",
        "video_file_feature_key": "video_id",
    },
}


def extract(monkeypatch, tmp_path, folder, **fields):
    """The records that the command writes of the videos of a CSV, parsed."""
    monkeypatch.chdir(folder)
    path = str(tmp_path / "out.tfrecord")
    config = ExtractConfig(
        output_tfrecords_file=path,
        input_videos_csv="videos.csv",
        id="path",
        **fields,
    )
    extract_videos(config)
    damage = Damage(strict=True)
    return [
        tf.train.SequenceExample.FromString(data)
        for _, data in read_records(path, damage)
    ]


def assert_same_record(actual, expected):
    assert set(actual.context.feature) == set(expected.context.feature)
    for name, feature in expected.context.feature.items():
        ours = actual.context.feature[name]
        if feature.float_list.value:
            golden.assert_close(
                ours.float_list.value, feature.float_list.value, name, 1e-3, 1e-3
            )
        else:
            assert ours == feature, name
    lists, expected = actual.feature_lists, expected.feature_lists
    assert set(lists.feature_list) == set(expected.feature_list)
    for name in expected.feature_list:
        assert_bytes_close(
            frames_of(actual, name), frames_of_lists(expected, name), 1e-3
        )


def frames_of(record, name):
    return frames_of_lists(record.feature_lists, name)


def frames_of_lists(lists, name):
    rows = [f.bytes_list.value[0] for f in lists.feature_list[name].feature]
    return np.stack([np.frombuffer(row, np.uint8) for row in rows])


@pytest.mark.slow
@pytest.mark.parametrize("name", RUNS)
def test_records(name, monkeypatch, tmp_path):
    found = case(name)
    fields = {"model_dir": str(INCEPTION)} | RUNS[name]
    records = extract(monkeypatch, tmp_path, FOLDER, **fields)
    expected = [key for key in found if key.startswith("serialized_")]
    assert expected and len(records) == 3
    for key in expected:
        data = found[key].tobytes()
        index = int(key.removeprefix("serialized_"))
        assert_same_record(records[index], tf.train.SequenceExample.FromString(data))


@pytest.mark.slow
def test_records_with_sound(monkeypatch, tmp_path):
    found = case("videos_with_sound")
    for folder in (INCEPTION, VGGISH):
        for file in folder.iterdir():
            (tmp_path / file.name).symlink_to(file)
    folder = FOLDER / "videos_with_sound"
    records = extract(monkeypatch, tmp_path, folder, model_dir=str(tmp_path))
    clips = [name.removesuffix(".mkv") for name in found.meta["cases"]]
    for clip, record in zip(clips, records, strict=True):
        data = found[f"{clip}|serialized_rgb"].tobytes()
        expected = tf.train.SequenceExample.FromString(data)
        ours, theirs = frames_of(record, "rgb"), frames_of(expected, "rgb")
        assert_bytes_close(ours, theirs, 1e-3)
        audio, patches = frames_of(record, "audio"), found[f"{clip}|audio_bytes_hop100"]
        assert len(audio) == len(ours)
        known = min(len(audio), len(patches))
        if clip == "sound_16k_mono":
            assert_bytes_close(audio[:known], patches[:known], 5e-3)
        else:  # another resampler; weights are random, so bytes differ by more
            steps = np.abs(audio[:known].astype(int) - patches[:known])
            assert steps.mean() < 4, steps.mean()
