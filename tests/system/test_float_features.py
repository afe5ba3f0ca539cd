"""Embeddings of other models through the commands, without a flag about the data."""

import csv
import json

import numpy as np
import pytest

from tests.helpers import float_records, scripts
from tests.helpers.exports import assert_same, make_run, serve
from youtube8m.config import ModelConfig, RunConfig
from youtube8m.config.data import DataConfig
from youtube8m.data.reading.survey import survey
from youtube8m.data.writing.records import frame_example, write_records
from youtube8m.export import ExportConfig, export
from youtube8m.prediction.config import InferenceConfig
from youtube8m.prediction.inference import Inference

CLASSES = 5
LOGISTIC = ("--model=FrameLevelLogisticModel", f"--num_classes={CLASSES}")


def embeddings(path, kind, size, count, name, labelled=True, vector=0):
    """Unit vectors [T, size] around a direction of each class."""
    rng = np.random.default_rng(count)
    directions = np.random.default_rng(0).normal(size=(CLASSES, size))
    examples = []
    for number in range(count):
        label = int(rng.integers(CLASSES))
        shape = int(rng.integers(3, 12)), size
        frames = directions[label] + 0.7 * rng.normal(size=shape)
        frames /= np.linalg.norm(frames, axis=1, keepdims=True)
        context = {"title": rng.normal(size=vector).astype(np.float32)}
        examples.append(
            frame_example(
                f"v{number:03d}",
                [label] if labelled else None,
                {name: frames.astype(float_records.TYPES[kind])},
                context=context if vector else None,
                floats=float_records.way(kind),
            )
        )
    write_records(path, examples)
    return str(path)


@pytest.mark.slow
@pytest.mark.parametrize(
    "kind, size, name, flags",
    [
        ("float16", 768, "clip", ()),
        ("float_list", 1024, "dino", ()),
        ("bfloat16", 768, "siglip", ("--input_pipeline=tfrecord",)),
        ("float32", 512, "clip", ("--context_features=title",)),
    ],
)
def test_train_evaluate_and_predict(tmp_path, kind, size, name, flags):
    vector = 6 if "--context_features=title" in flags else 0
    data = {
        split: embeddings(
            tmp_path / split, kind, size, count, name, split != "test", vector
        )
        for split, count in (("train", 96), ("validate", 40), ("test", 30))
    }
    pipeline = [flag for flag in flags if "pipeline" in flag]
    run = tmp_path / "run"
    training = (
        "train.py",
        f"--train_dir={run}",
        f"--train_data_pattern={data['train']}",
        *(*LOGISTIC, "--batch_size=16", "--base_learning_rate=0.05", *flags),
    )
    log = scripts.run(*training, "--num_epochs=3")
    stored = f"{kind},float_list" if vector else kind
    assert f"--feature_dtypes={stored}" in log
    kept = json.loads((run / "model_flags.json").read_text())
    assert kept["feature_dtypes"] == stored
    assert kept["feature_sizes"] == (f"{size},6" if vector else str(size))
    log = scripts.run(*training, "--num_epochs=4")  # goes on
    assert "WARNING" not in log and "error" not in log
    evaluation = f"--eval_data_pattern={data['validate']}"
    log = scripts.run("eval.py", f"--train_dir={run}", evaluation, *pipeline)
    assert float(log.split("GAP: ")[-1].split()[0]) > 0.9
    output = tmp_path / "out.csv"
    scripts.run(
        "inference.py",
        f"--train_dir={run}",
        f"--input_data_pattern={data['test']}",
        f"--output_file={output}",
        *pipeline,
    )
    with open(output, newline="") as file:
        assert len(list(csv.reader(file))) == 31
    descriptors = tmp_path / "descriptors"
    scripts.run(
        "-m",
        "youtube8m.tools.extract_descriptors",
        f"--train_dir={run}",
        f"--input_data_pattern={data['validate']}",
        f"--output_dir={descriptors}",
    )
    found = survey(f"{descriptors}/*.tfrecord", "--flag")
    assert found.video_features["descriptor"].size == size + vector


def run_config(*stored, vector="", **kwargs):
    data = float_records.data_config(*stored, **kwargs)
    if vector:
        data = DataConfig(
            data.feature_names,
            (*data.feature_sizes, 6),
            True,
            context_features=("clip",),
            feature_dtypes=(*stored, vector),
            num_classes=data.num_classes,
        )
    return RunConfig(data, ModelConfig("FrameLevelLogisticModel"))


@pytest.mark.parametrize(
    "stored, vector",
    [
        (("float16", "float16"), ""),
        (("float_list", "float_list"), ""),
        (("uint8", "bfloat16"), "float_list"),
    ],
)
def test_an_export_serves_the_records_that_inference_reads(tmp_path, stored, vector):
    clip = {"clip": np.linspace(-1, 1, 6, dtype=np.float32)} if vector else None
    examples = list(float_records.records(*stored, count=5, context=clip))
    write_records(tmp_path / "a", examples)
    train_dir = make_run(tmp_path / "run", run_config(*stored, vector=vector))
    inference = Inference(
        InferenceConfig(train_dir, str(tmp_path / "a"), str(tmp_path / "out.csv"))
    )
    (batch,) = inference._batches()
    predictions = inference.trained.predict(batch)["predictions"].numpy()
    export(ExportConfig(train_dir, output_dir=str(tmp_path / "saved")))
    serialized = [example.SerializeToString() for example in examples]
    served = serve(tmp_path / "saved", example_bytes=np.array(serialized, object))
    assert_same(served, batch["id"].numpy().tolist(), predictions)


def test_segments_are_cut_from_all_arrays(tmp_path):
    clip = {"clip": np.arange(6, dtype=np.float32)}
    stored, vector = ("uint8", "float16"), "float_list"
    path, output = tmp_path / "a", tmp_path / "out.csv"
    write_records(path, float_records.records(*stored, count=4, context=clip))
    train_dir = make_run(tmp_path / "run", run_config(*stored, vector=vector))
    classes = tmp_path / "classes.csv"
    classes.write_text("Index\n1\n2\n")
    inference = Inference(
        InferenceConfig(
            train_dir,
            str(path),
            str(output),
            segment_labels=True,
            segment_label_ids_file=str(classes),
        )
    )
    assert inference.run() == 4
    lines = output.read_text().splitlines()
    assert len(lines) == 3 and "v003:5" in lines[1]


def test_a_run_without_types_reads_bytes():
    run = run_config("uint8", "uint8")
    values = json.loads(run.to_json())
    assert "feature_dtypes" not in values  # as earlier versions wrote it
    assert RunConfig.from_json(json.dumps(values)) == run
    floats = run_config("uint8", "float16", vector="float_list")
    assert RunConfig.from_json(floats.to_json()) == floats
    assert floats.data.features[1].dtype == "float16"
