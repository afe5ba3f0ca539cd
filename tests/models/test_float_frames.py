"""Frames of floats and of bytes with the same values give the same predictions."""

import numpy as np
import pytest

from tests.helpers.all_models import FRAME_CASES, build, predict
from youtube8m.data.writing.records import dequantize

QUICK = {"FrameLevelLogisticModel", "DbofModel", "LstmModel"}
CASE = ("MoeModel", {})


def cases():
    for case in FRAME_CASES:
        name, classifier, values = case
        quick = name in QUICK and not values
        marks = [] if quick else [pytest.mark.slow]
        label = "-".join((name, classifier, *values))
        yield pytest.param(case, id=label, marks=marks)


@pytest.mark.parametrize("case", cases())
def test_floats_predict_as_bytes(case):
    """Of each type alone, and of two: what chooses frames may meet any."""
    built = build(case)
    batch = {"num_frames": built.short["num_frames"]}
    frames = built.short["frames"]
    real = np.arange(frames.shape[1]) < batch["num_frames"][:, None]
    values = dequantize(frames) * real[..., None]
    halves = predict(built.model, {**batch, "frames": values.astype(np.float16)})
    np.testing.assert_allclose(halves, built.of_short, atol=2e-2)
    mixed = {"frames0": frames[..., :12], "frames1": values[..., 12:]}
    mixed = predict(built.model, {**batch, **mixed})
    np.testing.assert_allclose(mixed, built.of_short, atol=2e-5)


@pytest.mark.parametrize("name", sorted(QUICK))
def test_values_matter(name):
    (case,) = (case for case in FRAME_CASES if case[0] == name and case[1:] == CASE)
    built = build(case)
    batch = dict(built.short)
    batch["frames"] = dequantize(batch["frames"])
    exact = predict(built.model, batch)
    np.testing.assert_allclose(exact, built.of_short, atol=2e-5)
    batch["frames"] = -batch["frames"][::-1]
    assert np.abs(predict(built.model, batch) - exact).max() > 1e-3
