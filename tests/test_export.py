"""Exported models predict what inference.py does, without the run or the package."""

import dataclasses
import os
import pathlib
import shutil
import sys

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

from tests.helpers import processes
from tests.helpers.all_models import (
    CASES,
    FRAMES,
    NUM_CLASSES,
    VIDEO,
    random_batch,
    run_config,
)
from tests.helpers.backends import PYTHON, has
from tests.helpers.exports import assert_same, make_run, serve
from youtube8m.config import DataConfig, RunConfig
from youtube8m.data.reading import frame_sampling
from youtube8m.data.reading.parsing_ops import choose_frames
from youtube8m.data.writing.records import frame_example, video_example, write_records
from youtube8m.errors import UserError
from youtube8m.export import ExportConfig, export
from youtube8m.prediction.config import InferenceConfig
from youtube8m.prediction.inference import Inference
from youtube8m.prediction.predictor import TrainedRun
from youtube8m.runs.directory import RunDirectory

LENGTHS = (9, 30, 1, 4)


def make_examples(data, seed=0):
    """Records of each id key, with labels and without, of several lengths."""
    rng = np.random.default_rng(seed)
    sizes = dict(zip(data.feature_names, data.feature_sizes, strict=True))
    for number, length in enumerate(LENGTHS):
        labels = [number] if number % 2 else None
        key = ("id", "video_id")[number // 2]
        name = f"v{number}"
        if data.frame_features:
            features = {
                n: rng.integers(0, 256, (length, size), dtype=np.uint8)
                for n, size in sizes.items()
            }
            yield frame_example(name, labels, features, id_key=key)
        else:
            features = {n: rng.normal(size=size) for n, size in sizes.items()}
            yield video_example(name, labels, features, id_key=key)


@pytest.fixture
def records(tmp_path):
    """Writes records for a DataConfig; returns the file and the serialised records."""

    def write(data):
        examples = list(make_examples(data))
        path = str(tmp_path / "records.tfrecord")
        write_records(path, examples)
        return path, [example.SerializeToString() for example in examples]

    return write


def inferred(train_dir, pattern, tmp_path):
    """ids and predictions [B, C] in full, by inference.py's own code."""
    out = str(tmp_path / "unused.csv")
    inference = Inference(InferenceConfig(train_dir, pattern, out))
    (batch,) = inference._batches()
    predictions = inference.trained.predict(batch)["predictions"].numpy()
    return batch["id"].numpy().tolist(), predictions


@pytest.fixture
def gpu_in_sight(monkeypatch):
    """Keras believes in a GPU while it traces; eager calls still run on the CPU."""
    module = sys.modules["keras.src.backend.tensorflow.rnn"]  # a function hides it
    tracing = lambda: not tf.executing_eagerly()  # noqa: E731
    monkeypatch.setattr(module, "_is_gpu_available", tracing)


def operations(path):
    """The types of all operations of a SavedModel."""
    saved = saved_model_pb2.SavedModel.FromString(
        (pathlib.Path(path) / "saved_model.pb").read_bytes()
    )
    graph = saved.meta_graphs[0].graph_def
    nodes = [graph.node, *(function.node_def for function in graph.library.function)]
    return {node.op for group in nodes for node in group}


def frame_floats(serialized, data):
    """What MediaPipe feeds: frames [B, T, D] as floats of -2 to 2, and lengths."""
    frames = np.zeros((len(LENGTHS), max(LENGTHS), data.feature_size), np.float32)
    for out, record in zip(frames, serialized, strict=True):
        example = tf.train.SequenceExample.FromString(record)
        parts = [
            [
                np.frombuffer(row.bytes_list.value[0], np.uint8)
                for row in example.feature_lists.feature_list[name].feature
            ]
            for name in data.feature_names
        ]
        values = np.concatenate(parts, axis=1)
        out[: len(values)] = values.astype(np.float32) * 4 / 255 + 4 / 512 - 2
    return frames, np.array(LENGTHS, np.int32)[:, None]


QUICK = {"LstmModel", "DbofModel", "MoeModel"}


def export_cases():
    """Every model as it is by default."""
    for case in CASES:
        name, _, values = case
        if not values:
            marks = [] if name in QUICK else [pytest.mark.slow]
            yield pytest.param(case, id=name, marks=marks)


@pytest.mark.parametrize("case", export_cases())
def test_every_model_is_served_as_inferred(case, records, tmp_path, request):
    """Though a GPU is in sight when it is exported, with no operation of cuDNN's."""
    run = run_config(case)
    train_dir = make_run(tmp_path / "run", run)
    pattern, serialized = records(run.data)
    ids, predictions = inferred(train_dir, pattern, tmp_path)
    request.getfixturevalue("gpu_in_sight")
    export(ExportConfig(train_dir, output_dir=str(tmp_path / "saved")))
    assert not [op for op in operations(tmp_path / "saved") if "Cudnn" in op]
    served = serve(tmp_path / "saved", example_bytes=tf.constant(serialized))
    assert_same(served, ids, predictions)
    if run.data.frame_features:
        settings = ExportConfig(train_dir, "", str(tmp_path / "mp"), "mediapipe")
        export(settings)
        frames, lengths = frame_floats(serialized, run.data)
        served = serve(tmp_path / "mp", rgb_and_audio=frames, num_frames=lengths)
        np.testing.assert_allclose(
            served["predictions"], predictions, atol=1e-6, rtol=0
        )


def test_exports_need_no_compiler(tmp_path):
    """Though inference.py compiles sums of so many bytes."""
    data = dataclasses.replace(FRAMES, feature_names=("rgb",), feature_sizes=(300,))
    run = run_config(("FrameLevelLogisticModel", "LogisticModel", {}))
    train_dir = make_run(tmp_path / "run", dataclasses.replace(run, data=data))
    export(ExportConfig(train_dir, output_dir=str(tmp_path / "saved")))
    saved = (tmp_path / "saved" / "saved_model.pb").read_bytes()
    assert b"_XlaMustCompile" not in saved


@pytest.mark.parametrize("model", ["LstmModel", "BagOfFrames"])
def test_mediapipe_takes_no_more_frames_than_there_are(model, tmp_path):
    """A number beyond the frames that are fed is theirs, and one below 1 is 1."""
    run = run_config((model, "MoeModel", {}))
    train_dir = make_run(tmp_path / "run", run)
    export(ExportConfig(train_dir, "", str(tmp_path / "mp"), "mediapipe"))
    frames = np.random.default_rng(0).normal(size=(4, 5, run.data.feature_size))
    frames = np.repeat(frames[:1], 4, axis=0).astype(np.float32)
    numbers = np.array([[5], [6], [300], [2**31 - 1]], np.int32)
    served = serve(tmp_path / "mp", rgb_and_audio=frames, num_frames=numbers)
    for row in served["predictions"][1:]:
        np.testing.assert_allclose(row, served["predictions"][0], atol=1e-6, rtol=0)
    numbers = np.array([[1], [0], [-1], [-300]], np.int32)
    fewer = serve(tmp_path / "mp", rgb_and_audio=frames, num_frames=numbers)
    for row in fewer["predictions"][1:]:
        np.testing.assert_allclose(row, fewer["predictions"][0], atol=1e-6, rtol=0)
    assert np.abs(fewer["predictions"][0] - served["predictions"][0]).max() > 1e-3


# Served by a process of its own.

SERVER = """
import sys
import numpy as np
import tensorflow as tf
path, source, out = sys.argv[1:]
serve = tf.saved_model.load(path).signatures["serving_default"]
if source.endswith(".npz"):
    with np.load(source) as inputs:
        served = [serve(**{name: tf.constant(inputs[name]) for name in inputs.files})]
else:
    files = tf.data.Dataset.from_tensor_slices(sorted(tf.io.gfile.glob(source)))
    batches = tf.data.TFRecordDataset(files).batch(7)
    served = [serve(example_bytes=batch) for batch in batches]
tensors = {n: tf.concat([batch[n] for batch in served], 0) for n in served[0]}
for name, tensor in tensors.items():
    tf.io.write_file(f"{out}/{name}", tf.io.serialize_tensor(tensor))
assert not [name for name in sys.modules if name.startswith("youtube8m")]
"""
TYPES = {"video_id": tf.string, "class_indexes": tf.int32, "predictions": tf.float32}


def served_alone(saved, source, folder, names=tuple(TYPES)):
    """What TensorFlow serves in a process that does not import the package."""
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    processes.run("-c", SERVER, saved, source, folder, cwd=folder, env=environment)
    tensors = {name: tf.io.read_file(f"{folder}/{name}") for name in names}
    return {n: tf.io.parse_tensor(t, TYPES[n]).numpy() for n, t in tensors.items()}


@pytest.mark.slow
@pytest.mark.parametrize("level", ["frame", "video"])
def test_served_without_the_package(level, sample, tmp_path):
    """Exported by the command, served by TensorFlow alone in another directory."""
    frames = level == "frame"
    names = ("rgb", "audio") if frames else ("mean_rgb", "mean_audio")
    data = DataConfig(names, (24, 8), frames, num_classes=25)
    case = ("BiLSTMAttention", "MoeModel") if frames else ("MoeModel", "")
    run = dataclasses.replace(run_config((*case, {})), data=data)
    train_dir = make_run(tmp_path / "run", run)
    paths = [f"--train_dir={train_dir}", f"--output_dir={tmp_path}/saved"]
    processes.forked("-m", "youtube8m.tools.export", *paths)
    pattern = sample[f"{level}/test"]
    served = served_alone(tmp_path / "saved", pattern, tmp_path)
    assert_same(served, *inferred(train_dir, pattern, tmp_path))
    assert served["predictions"].shape == (20, 20)


@pytest.mark.parametrize("name", ["inference_model", "segment_inference_model"])
def test_mediapipe_takes_the_newest_checkpoint_where_eval_has_copied_none(
    tmp_path, name
):
    run = run_config(("FrameLevelLogisticModel", "", {}))
    train_dir = make_run(tmp_path / "run", run)
    processes.forked(
        "-m",
        "youtube8m.tools.export_model_mediapipe",
        f"--checkpoint_file={train_dir}/inference_model/{name}",
        f"--output_dir={tmp_path}/mp",
    )
    assert (tmp_path / "mp" / "saved_model.pb").exists()


@pytest.mark.slow
def test_mediapipe_is_served_without_the_package(records, tmp_path):
    """By the starter code's flags."""
    run = run_config(("LstmModel", "MoeModel", {}))
    train_dir = make_run(tmp_path / "run", run)
    paths = [
        f"--checkpoint_file={train_dir}/model.ckpt-1",
        f"--output_dir={tmp_path}/mp",
    ]
    processes.forked("-m", "youtube8m.tools.export_model_mediapipe", *paths)
    pattern, serialized = records(run.data)
    frames, lengths = frame_floats(serialized, run.data)
    inputs = str(tmp_path / "inputs.npz")
    np.savez(inputs, rgb_and_audio=frames, num_frames=lengths)
    served = served_alone(tmp_path / "mp", inputs, tmp_path, ["predictions"])
    _, expected = inferred(train_dir, pattern, tmp_path)
    np.testing.assert_allclose(served["predictions"], expected, atol=1e-6, rtol=0)


KERAS = """
import sys, numpy as np, keras
import youtube8m.models
assert keras.backend.backend() == sys.argv[1]
model = keras.saving.load_model(sys.argv[2] + "/model.keras")
with np.load(sys.argv[2] + "/batch.npz") as batch:
    outputs = model({name: batch[name] for name in batch.files})
np.save(sys.argv[2] + "/out.npy", keras.ops.convert_to_numpy(outputs["predictions"]))
"""


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["tensorflow", "jax", "torch"])
def test_keras_file_works_under_every_backend(backend, tmp_path):
    if not has(backend):
        pytest.skip(f"{backend} is not installed for {PYTHON}")
    run = run_config(("LstmModel", "MoeModel", {}))
    train_dir = make_run(tmp_path / "run", run)
    folder = str(tmp_path / "out")
    export(ExportConfig(train_dir, "model.ckpt-1", folder, "keras"))
    batch = random_batch(run.data)
    np.savez(f"{folder}/batch.npz", **batch)
    environment = {**os.environ, "KERAS_BACKEND": backend}
    processes.run("-c", KERAS, backend, folder, python=PYTHON, env=environment)
    predictions = TrainedRun(train_dir)
    predictions.load(f"{train_dir}/model.ckpt-1")
    expected = predictions.predict(batch)["predictions"]
    np.testing.assert_allclose(np.load(f"{folder}/out.npy"), expected, atol=1e-6)


# The frames that are read.

SAMPLINGS = [
    {},
    {"skip_frames": 7, "max_frames": 11},
    {"frame_sampling": "crop", "crop_frames": 4, "crop_stride": 3, "crop_start": 5},
    {"frame_sampling": "interval", "crop_stride": 4, "crop_start": 2},
    {"frame_sampling": "windows", "crop_stride": 4, "skip_frames": 3},
    {"frame_sampling": "random", "crop_frames": 6, "skip_frames": 3},
    {"frame_sampling": "run", "crop_frames": 6, "max_frames": 17},
]


@pytest.mark.parametrize("values", SAMPLINGS, ids=str)
def test_frames_are_chosen_as_for_inference(values):
    data = dataclasses.replace(FRAMES, **values)
    lengths = np.arange(1, 60)  # past the longest that is not cut
    index, counts = tf.function(lambda x: choose_frames(data, x))(lengths)
    for length, row, count in zip(lengths, index.numpy(), counts.numpy(), strict=True):
        assert row[:count].tolist() == list(frame_sampling.sample(data, length))
        assert not row[count:].any()
    assert index.shape[1] == max(counts)


def sampling_cases():
    """Every way of choosing frames; two of them are quick."""
    for values in SAMPLINGS[1:]:
        quick = values.get("frame_sampling") in ("crop", "random")
        yield pytest.param(values, marks=[] if quick else [pytest.mark.slow])


@pytest.mark.parametrize("values", sampling_cases(), ids=str)
def test_sampling_runs_are_served_as_inferred(values, records, tmp_path):
    run = run_config(("LstmModel", "MoeModel", {}))
    run = RunConfig(dataclasses.replace(FRAMES, **values), run.model)
    train_dir = make_run(tmp_path / "run", run)
    pattern, serialized = records(run.data)
    export(ExportConfig(train_dir, output_dir=str(tmp_path / "saved"), top_k=3))
    served = serve(tmp_path / "saved", example_bytes=tf.constant(serialized))
    assert_same(served, *inferred(train_dir, pattern, tmp_path), top_k=3)


# Records that are none.


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """The signatures of a frame-level and a video-level model."""
    loaded = {}
    for data, case in ((FRAMES, "FrameLevelLogisticModel"), (VIDEO, "LogisticModel")):
        path = tmp_path_factory.mktemp("served")
        train_dir = make_run(path / "run", run_config((case, "LogisticModel", {})))
        export(ExportConfig(train_dir, output_dir=str(path / "saved")))
        loaded[data] = tf.saved_model.load(str(path / "saved"))
    return lambda data, records: loaded[data].signatures["serving_default"](
        example_bytes=tf.constant(records, tf.string)
    )


def frame_record(rgb=(4, 12), audio=(4, 4), name="v"):
    sizes = {"rgb": rgb, "audio": audio}
    frames = {n: np.zeros(s, np.uint8) for n, s in sizes.items() if s}
    return frame_example(name, None, frames).SerializeToString(deterministic=True)


@pytest.mark.parametrize(
    "data, record, message",
    [
        (FRAMES, frame_record(rgb=(4, 11)), "rgb that is not of 12 bytes"),
        (FRAMES, frame_record(audio=(3, 4)), "unequal or no frames of rgb, audio"),
        (FRAMES, frame_record((0, 12), (0, 4)), "(?s)(unequal or no frames|required)"),
        (FRAMES, frame_record(audio=None), "audio"),
        (FRAMES, frame_record(name=""), "no video id"),
        (FRAMES, b"damaged", "(?i)pars"),
        (VIDEO, frame_record(), "mean_rgb"),
        (
            VIDEO,
            video_example("v", [1], {"mean_rgb": np.ones(9)}).SerializeToString(
                deterministic=True
            ),
            "mean_rgb",
        ),
    ],
)
def test_wrong_records_are_refused(served, data, record, message):
    with pytest.raises(tf.errors.InvalidArgumentError, match=message):
        served(data, [record])


@pytest.mark.parametrize("data", [FRAMES, VIDEO], ids=["frames", "video"])
def test_no_records_give_no_predictions(served, data):
    assert served(data, [])["predictions"].shape == (0, NUM_CLASSES)


# The command.


def test_what_another_wrote_is_kept(tmp_path):
    train_dir = make_run(tmp_path / "run", run_config(("LogisticModel", "", {})))
    target = tmp_path / "saved"
    target.mkdir()
    settings = ExportConfig(train_dir, output_dir=str(target))
    export(settings)  # into an empty directory
    first = sorted(target.rglob("*"))
    export(settings)  # over an earlier export
    assert sorted(target.rglob("*")) == first
    export(dataclasses.replace(settings, format="keras"))  # nothing of it is left
    assert {path.name for path in target.iterdir()} == {"model.keras", ".contents"}
    (target / "notes.txt").write_text("mine")
    with pytest.raises(UserError, match="--output_dir=.*saved: exists"):
        export(settings)
    assert (target / "notes.txt").read_text() == "mine"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["run", "saved"]


def test_a_damaged_newest_checkpoint_is_passed_over(tmp_path, caplog):
    train_dir = make_run(tmp_path / "run", run_config(("LogisticModel", "", {})))
    run = RunDirectory(train_dir)
    for path in (tmp_path / "run").glob("model.ckpt-1.*"):
        shutil.copy(path, str(path).replace("ckpt-1.", "ckpt-2."))
    os.truncate(run.file("model.ckpt-2.data-00000-of-00001"), 9)
    os.truncate(run.file("checkpoint"), 0)  # so that all that are there count
    export(ExportConfig(train_dir, output_dir=str(tmp_path / "saved")))
    assert "model.ckpt-1 is used instead" in caplog.text
    assert f"exported {train_dir}/model.ckpt-1 to" in caplog.text


def test_a_failed_export_leaves_the_earlier_one(tmp_path, monkeypatch):
    train_dir = make_run(tmp_path / "run", run_config(("LogisticModel", "", {})))
    settings = ExportConfig(train_dir, output_dir=str(tmp_path / "saved"))
    export(settings)

    def full(module, path, signatures):
        (pathlib.Path(path) / "saved_model.pb").write_bytes(b"half")
        raise tf.errors.ResourceExhaustedError(None, None, "No space left\nat 1")

    monkeypatch.setattr(tf.saved_model, "save", full)
    with pytest.raises(UserError, match=r"cannot be written \(No space left\)$"):
        export(settings)
    assert (tmp_path / "saved" / "saved_model.pb").read_bytes() != b"half"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["run", "saved"]


@pytest.mark.parametrize(
    "case, data, values, message",
    [
        ("LogisticModel", {}, {"format": "mediapipe"}, "takes video-level features"),
        ("LogisticModel", {}, {"format": "onnx"}, "--format=onnx: must be one of"),
        ("LogisticModel", {}, {"top_k": 0}, "--top_k=0"),
        ("LogisticModel", {}, {"output_dir": ""}, "--output_dir is empty"),
        ("LogisticModel", {}, {"checkpoint": "model.ckpt-7"}, "--checkpoint=model"),
        (
            "StackedBiLSTMLN",
            {"frame_sampling": "crop", "released_crops": True},
            {},
            "crops of the released code",
        ),
    ],
)
def test_mistakes(case, data, values, message, tmp_path):
    run = run_config((case, "MoeModel", {}))
    run = RunConfig(dataclasses.replace(run.data, **data), run.model)
    train_dir = make_run(tmp_path / "run", run)
    with pytest.raises(UserError, match=message):
        export(ExportConfig(train_dir, **{"output_dir": f"{tmp_path}/out", **values}))
    assert not (tmp_path / "out").exists()
