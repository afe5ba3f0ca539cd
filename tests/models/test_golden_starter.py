"""The starter code's models, training, readers and output against its own figures.

Every case of the golden folder's starter/ is run; one whose class is not known here
fails. See `golden` for where the figures lie. Sizes are read off the arrays, so that
another folder with the same kinds of cases serves as well.
"""

import re

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.helpers import golden
from tests.helpers.decoding import decode_records
from tests.helpers.golden import ATOL, assert_close, assert_equal, assert_known
from tests.helpers.golden_starter import NOISE, build, descriptor, matched, train_step
from youtube8m.config import DataConfig
from youtube8m.data.reading.damage import Damage
from youtube8m.data.reading.pipeline import decoder_for
from youtube8m.layers.inputs import dequantize, frame_mask
from youtube8m.layers.targets import EPSILON, multi_hot
from youtube8m.losses import LOSSES, CrossEntropyLoss
from youtube8m.models.base import CLASSIFIERS, ENCODERS
from youtube8m.prediction import submission
from youtube8m.prediction.segmentation import split_segments
from youtube8m.training.workers import split_batch


@pytest.mark.parametrize("case", golden.cases("starter", without=golden.METRICS))
def test_starter(case):
    kind = case.meta["class"]
    if "optimizer" in case.meta:
        check_training(case)
    elif kind in ENCODERS or kind in CLASSIFIERS:
        check_model(case)
    else:
        assert kind in CHECKS, f"no test for cases of class {kind!r}"
        CHECKS[kind](case)


# Weights ---------------------------------------------------------------------------


# Models ----------------------------------------------------------------------------


def check_model(case):
    outputs, after_update = case.outputs, case.group("after_update")
    assert_known(outputs, "predictions", "pooled", "gather_index")
    num_classes = outputs["predictions"].shape[-1]
    model = build(case, case["input"], num_classes, case.variables)
    training = bool(after_update)
    pooled = descriptor(case, model, training)
    assert_close(pooled, outputs["pooled"], "pooled")
    predictions = model.classifier(pooled, training=training)
    noise = case.meta.get(NOISE, 0.0)
    assert_close(
        predictions, outputs["predictions"], "predictions", atol=max(ATOL, noise)
    )
    for name, variable, expected in matched(model, after_update, complete=False):
        assert_close(variable.numpy(), expected, name)


# Training --------------------------------------------------------------------------


# Figures of each step -> what our step calls them.
SERIES = {
    "label_loss": "loss",
    "reg_loss_unweighted": "regularization_loss",
    "learning_rate": "learning_rate",
}
LAST_LOSS = "final_label_loss_after_last_step"


def check_training(case):
    outputs, steps = case.outputs, case.meta["steps"]
    predictions = [f"predictions_step{t}" for t in range(steps)]
    once = ("global_step", LAST_LOSS, "unclipped_grad_norms")
    assert_known(outputs, *SERIES, *predictions, *once)
    step = train_step(case)
    model = step.state.model
    batch = {
        "features": tf.constant(case["input_raw"]),
        "labels": tf.constant(golden.label_ids(case["labels"])),
    }
    assert_close(model.encode(batch)["descriptor"], case["input_normalized"], "input")
    for t in range(steps):
        check_gradients(case, model, batch, t)
        check_results(case, step(split_batch(step.strategy, batch)), t)
        for name, variable, expected in matched(model, case.group(f"step{t + 1}")):
            assert_close(variable.numpy(), expected, f"step{t + 1} {name}")
    assert step.state.step.numpy() == outputs["global_step"] == steps
    loss, _ = losses_of(case, model, batch)
    assert_close(loss, outputs[LAST_LOSS], LAST_LOSS, atol=0)


def check_results(case, results, t):
    """What step t returned, of before its update."""
    for name, ours in SERIES.items():
        # Only relative: no loss is near 0, and all values of the regulariser are small.
        assert_close(results[ours], case.outputs[name][t], f"{name}[{t}]", atol=0)
    name = f"predictions_step{t}"
    assert_close(results["predictions"], case.outputs[name], name)


def losses_of(case, model, batch):
    """The mean label loss and the loss with its regulariser."""
    predictions = model(batch, training=True)["predictions"]
    loss = tf.reduce_mean(CrossEntropyLoss().call(case["labels"], predictions))
    return loss, loss + case.meta["regularization_penalty"] * tf.add_n(model.losses)


def check_gradients(case, model, batch, t):
    """Norms of each step's gradients before clipping; at step 0 all of them."""
    with tf.GradientTape() as tape:
        _, total = losses_of(case, model, batch)
    variables = {variable.path: variable for variable in model.trainable_variables}
    gradients = tape.gradient(total, {k: v.value for k, v in variables.items()})
    columns = case.meta["grad_norm_columns"]
    for name, variable, _ in matched(model, case.group("step0")):
        norm = np.linalg.norm(gradients[variable.path])
        expected = case.outputs["unclipped_grad_norms"][t, columns.index(name)]
        assert_close(norm, expected, f"norm of step {t}'s gradient {name}", atol=0)
    if t == 0:
        for name, variable, value in matched(model, case.group("grad_step0_unclipped")):
            assert_close(gradients[variable.path], value, f"gradient {name}")


# Losses ----------------------------------------------------------------------------

LOSS = re.compile(
    r"(?P<name>[A-Za-z]+)(?:_b(?P<margin>[\d.]+))?"
    r"(?P<on>_on_logits)?(?P<weights>_label_weights)?"
)


def check_losses(case):
    gradients = case.group("grad")
    assert case.outputs.keys() == gradients.keys()
    for name, expected in case.outputs.items():
        value, gradient = loss_and_gradient(case, name)
        expected_gradient = gradients[name]
        if name.startswith("CrossEntropyLoss"):
            expected, expected_gradient = unfolded(
                case, expected, expected_gradient, name.endswith("_label_weights")
            )
        assert_close(value, expected, name, atol=0)
        assert_close(gradient, expected_gradient, f"gradient of {name}")


def unfolded(case, loss, gradient, weighted):
    """TF1's cross entropy and gradient [B, C], without one rounding error of its own.

    Its graph optimizer turned 1 - p + e into (1 + e) - p, where float32 makes 1 + e
    too large by 1.4e-8: a thousandth of 1 - p + e where p = 1.
    """
    epsilon = EPSILON
    meant = 1.0 - case["predictions"].astype(np.float64) + epsilon
    computed = meant + float(np.float32(1.0 + epsilon)) - (1.0 + epsilon)
    ratio = np.where(case["labels"] > 0, 1.0, computed / meant)
    weights = case["label_weights"] if weighted else np.ones_like(ratio)
    return loss + (weights * np.log(ratio)).sum(axis=1).mean(), gradient * ratio


def loss_and_gradient(case, name):
    match = LOSS.fullmatch(name)
    assert match, f"unknown variant of a loss: {name}"
    margin = {"hinge_margin": float(match["margin"])} if match["margin"] else {}
    loss = LOSSES.get(match["name"])(**margin)
    predictions = tf.constant(case["logits" if match["on"] else "predictions"])
    weights = case["label_weights"] if match["weights"] else None
    with tf.GradientTape() as tape:
        tape.watch(predictions)
        value = tf.reduce_mean(loss.call(case["labels"], predictions, weights))
    return value, tape.gradient(value, predictions)


# Records ---------------------------------------------------------------------------


def serialized(case):
    """The records, in order."""
    numbers = (re.fullmatch(r"serialized_(\d+)", name) for name in case.arrays)
    ordered = sorted(int(match[1]) for match in numbers if match)
    return [case[f"serialized_{i}"].tobytes() for i in ordered]


def decode(case, num_classes, segments=False, **flags):
    """All records of a case as one batch; loses none."""
    data_sizes = case.meta["sizes"]
    prefix = "" if flags["frame_features"] else "mean_"
    config = DataConfig(
        (prefix + "rgb", prefix + "audio"),
        (data_sizes["rgb"], data_sizes["audio"]),
        num_classes=num_classes,
        **flags,
    )
    records = serialized(case)
    damage = Damage(strict=True)
    decoder = decoder_for(config, labels=True, damage=damage, segments=segments)
    batch = decode_records(decoder, records)
    damage.check()
    return batch


def read_outputs(case, *known):
    """`output|i_name` of all records i, joined: they become one batch of ours."""
    columns = {}
    for i in range(len(serialized(case))):
        for name in known:
            columns.setdefault(name, []).append(case.outputs[f"{i}_{name}"])
    expected = (f"{i}_{n}" for i in range(len(serialized(case))) for n in known)
    assert_known(case.outputs, *expected)
    return {name: np.concatenate(parts) for name, parts in columns.items()}


def check_ids_and_labels(batch, expected):
    ids = [video_id.decode() for video_id in batch["id"]]
    assert_equal(ids, expected["video_ids"], "video_ids")
    num_classes = expected["labels"].shape[-1]
    assert_equal(multi_hot(batch["labels"], num_classes), expected["labels"], "labels")


def check_frames(batch, expected):
    """Bytes, dequantised as the models do, in [N, T, D] padded as the starter's."""
    assert_equal(batch["num_frames"], expected["num_frames"], "num_frames")
    mask = frame_mask(batch["num_frames"], batch["frames"].shape[1])
    frames = np.where(mask[..., None], dequantize(batch["frames"]), 0.0)
    missing = expected["video_matrix"].shape[1] - frames.shape[1]
    frames = np.pad(frames, ((0, 0), (0, missing), (0, 0)))
    assert_close(frames, expected["video_matrix"], "video_matrix")


def check_frame_reader(case):
    names = ["video_matrix", "labels", "num_frames", "video_ids"]
    segments = "0_label_weights" in case.outputs
    expected = read_outputs(case, *names, *["label_weights"] * segments)
    shape = expected["video_matrix"].shape
    flags = {"segments": True} if segments else {"max_frames": shape[1]}
    num_classes = expected["labels"].shape[-1]
    batch = decode(case, num_classes, frame_features=True, **flags)
    check_ids_and_labels(batch, expected)
    check_frames(batch, expected)
    if segments:
        rated = multi_hot(batch["rated"], num_classes)
        assert_equal(rated, expected["label_weights"], "label_weights")


def check_video_reader(case):
    expected = case.outputs
    assert_known(expected, "video_matrix", "labels", "video_ids", "num_frames")
    batch = decode(case, expected["labels"].shape[-1], frame_features=False)
    check_ids_and_labels(batch, expected)
    assert_equal(batch["features"], expected["video_matrix"], "video_matrix")
    # The reader's count of frames of a video-level record is no data of the record.
    assert_equal(expected["num_frames"], np.ones(len(batch["id"])), "num_frames")


# The rest --------------------------------------------------------------------------


def check_dequantize(case):
    assert_known(case.outputs, "float64", "float32", "range_m1_3_float64")
    values = dequantize(case["input"])
    assert_close(values, case.outputs["float32"], "float32")
    assert_close(values, case.outputs["float64"], "float64")
    values = dequantize(case["input"], minimum=-1.0, maximum=3.0)
    assert_close(values, case.outputs["range_m1_3_float64"], "range_m1_3_float64")


def check_get_segments(case):
    assert_known(case.outputs, "video_batch", "num_frames_batch", "video_segment_ids")
    frames, lengths, videos, starts = split_segments(
        case["input"], case["num_frames"], int(case["segment_size"])
    )
    assert_equal(frames, case.outputs["video_batch"], "video_batch")
    assert_equal(lengths, case.outputs["num_frames_batch"], "num_frames_batch")
    ids = np.stack([videos, starts], axis=1)
    assert_equal(ids, case.outputs["video_segment_ids"], "video_segment_ids")


def check_format_lines(case):
    for name, expected in case.outputs.items():
        match = re.fullmatch(r"(whitelist_)?top(\d+)", name)
        assert match, f"unknown variant of the lines: {name}"
        predictions = case["predictions"]
        if match[1]:
            predictions = predictions * case["whitelist_mask"]
        scores, classes = keras.ops.top_k(predictions, int(match[2]))
        rows = zip(case["video_ids"], classes.numpy(), scores.numpy(), strict=True)
        lines = [submission.video_line(*row) for row in rows]
        assert lines == expected.tolist(), name


# The released class or function -> the test of its cases; models go by their names.
CHECKS = {
    "utils.Dequantize": check_dequantize,
    "losses": check_losses,
    "YT8MFrameFeatureReader": check_frame_reader,
    "YT8MAggregatedFeatureReader": check_video_reader,
    "inference.get_segments": check_get_segments,
    "inference.format_lines": check_format_lines,
}
