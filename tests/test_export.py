"""Exported models predict what inference.py does, without the run or the package."""

import dataclasses
import os
import pathlib
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

from tests.test_models import (
    CASES,
    COUNTS,
    FRAMES,
    NUM_CLASSES,
    VERTICALS,
    VIDEO,
    run_config,
)
from youtube8m import models
from youtube8m.config import DataConfig, InferenceConfig, RunConfig
from youtube8m.data import sampling
from youtube8m.data.examples import frame_example, video_example, write_records
from youtube8m.data.serving import choose_frames
from youtube8m.errors import UserError
from youtube8m.export import ExportConfig, export
from youtube8m.inference import Inference
from youtube8m.models.base import CLASSIFIERS
from youtube8m.runs import RunDirectory
from youtube8m.training.checkpoints import save_weights

LENGTHS = (9, 30, 1, 4)


def make_run(path, run, seed=0):
    """A run directory with random weights, none of them zero."""
    keras.utils.set_random_seed(seed)
    model = models.create(run)
    rng = np.random.default_rng(seed)
    for weight in model.trainable_weights:
        weight.assign_add(rng.normal(0, 0.2, weight.shape))
    directory = RunDirectory(str(path))
    directory.prepare(run, start_new=False)
    save_weights(model, directory, step=1)
    return str(path)


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


def serve(path, **inputs):
    loaded = tf.saved_model.load(str(path))
    assert list(loaded.signatures) == ["serving_default"]
    outputs = loaded.signatures["serving_default"](**inputs)
    return {name: value.numpy() for name, value in outputs.items()}


def assert_same(served, ids, predictions, top_k=20):
    """The classes and confidences of the best, by plain sorting."""
    top_k = min(top_k, predictions.shape[1])
    assert served["video_id"].tolist() == ids
    order = np.argsort(-predictions, axis=1, kind="stable")[:, :top_k]
    assert served["class_indexes"].dtype == np.int32
    np.testing.assert_array_equal(served["class_indexes"], order)
    best = np.take_along_axis(predictions, order, axis=1)
    np.testing.assert_allclose(served["predictions"], best, atol=1e-6, rtol=0)


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


QUICK = {"LstmModel", "DbofModel", "WeightedLSTM", "StackedBiGRU", "MoeModel"}


def export_cases():
    for name, classifier, values in CASES:
        label = "-".join((name, classifier, *values))
        marks = [] if name in QUICK and not values else [pytest.mark.slow]
        yield pytest.param((name, classifier, values), id=label, marks=marks)


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
