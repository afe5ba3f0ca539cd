"""Embeddings of other models through the commands, without a flag about the data."""

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
KEYS = {"id_key": "name", "labels_key": "topics"}


def embeddings(path, kind, count, labelled=True, vector=0):
    """Unit vectors [T, 32] around a direction of each class."""
    rng = np.random.default_rng(count)
    directions = np.random.default_rng(0).normal(size=(CLASSES, 32))
    examples = []
    for number in range(count):
        label = int(rng.integers(CLASSES))
        frames = directions[label] + 0.5 * rng.normal(size=(rng.integers(3, 12), 32))
        frames /= np.linalg.norm(frames, axis=1, keepdims=True)
        context = {"title": rng.normal(size=vector).astype(np.float32)}
        examples.append(
            frame_example(
                f"v{number:03d}",
                [label] if labelled else None,
                {"clip": frames.astype(float_records.TYPES[kind])},
                context=context if vector else None,
                floats=float_records.way(kind),
                **KEYS,
            )
        )
    write_records(path, examples)
    return str(path)


def flags(**values):
    return [f"--{name}={value}" for name, value in values.items()]


@pytest.mark.slow
@pytest.mark.parametrize(
    "kind, vector, pipeline",
    [("float16", 6, "reader"), ("float_list", 0, "tfrecord")],
)
def test_train_evaluate_and_predict(tmp_path, kind, vector, pipeline):
    train, validate, test = (
        embeddings(tmp_path / split, kind, count, split != "test", vector)
        for split, count in (("train", 96), ("validate", 40), ("test", 30))
    )
    run, output = tmp_path / "run", tmp_path / "out.csv"
    read = flags(train_dir=run, input_pipeline=pipeline)
    learn = ["train.py", *read, *flags(train_data_pattern=train, **KEYS)]
    learn += flags(model="FrameLevelLogisticModel", num_classes=CLASSES)
    learn += flags(batch_size=16, base_learning_rate=0.1)
    learn += flags(context_features="title") if vector else []
    log = scripts.run(*learn, "--num_epochs=5")
    stored = f"{kind},float_list" if vector else kind
    assert f"--feature_dtypes={stored}" in log and "give --feature_dtypes" not in log
    kept = json.loads((run / "model_flags.json").read_text())
    assert kept["feature_dtypes"] == stored
    assert kept["feature_sizes"] == ("32,6" if vector else "32")
    log = scripts.run(*learn, "--num_epochs=6")  # goes on
    assert "give --feature_dtypes" not in log and "error" not in log
    evaluate = flags(eval_data_pattern=validate)
    log = scripts.run("eval.py", *read, *evaluate, "--run_once")
    assert float(log.split("GAP: ")[-1].split()[0]) > 0.9
    predict = flags(input_data_pattern=test, output_file=output)
    scripts.run("inference.py", *read, *predict)
    assert len(scripts.read_csv(output)) == 31


@pytest.mark.slow
def test_tools_read_other_keys(tmp_path):
    """What reads records beside train.py, eval.py and inference.py."""
    path = embeddings(tmp_path / "records", "float16", 12)
    train_dir = make_run(tmp_path / "run", own_keys())
    output, descriptors = tmp_path / "out.csv", tmp_path / "descriptors"
    read = flags(train_dir=train_dir, input_data_pattern=path)
    scripts.run("inference.py", *read, f"--output_file={output}")
    keys, classes = flags(**KEYS), f"--num_classes={CLASSES}"
    for tool, *arguments in (
        ("extract_descriptors", *read, f"--output_dir={descriptors}"),
        (
            "label_correlation",
            *flags(train_data_pattern=path, output_file=tmp_path / "counts.npy"),
            *(*keys, classes),
        ),
        (
            *("ensemble", "score", *keys, classes),
            *flags(input_files=output, eval_data_pattern=path),
        ),
    ):
        scripts.run("-m", f"youtube8m.tools.{tool}", *arguments)
    assert np.load(tmp_path / "counts.npy").trace() == 12
    found = survey(f"{descriptors}/*.tfrecord", "--flag")
    assert found.video_features["descriptor"].size == 32
    assert found.labelled == found.records > 0


def own_keys():
    data = DataConfig(
        ("clip",), (32,), True, CLASSES, feature_dtypes=("float16",), **KEYS
    )
    return RunConfig(data, ModelConfig("FrameLevelLogisticModel"))


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
