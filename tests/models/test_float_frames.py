"""Frames of floats and of bytes with the same values give the same predictions."""

import numpy as np
import pytest

from tests.helpers.all_models import FRAME_CASES, build, predict
from youtube8m.data.writing.records import dequantize

QUICK = {"FrameLevelLogisticModel", "DbofModel", "LstmModel"}


def cases():
    for case in FRAME_CASES:
        name, classifier, values = case
        quick = name in QUICK and not values
        marks = [] if quick else [pytest.mark.slow]
        label = "-".join((name, classifier, *values))
        yield pytest.param(case, id=label, marks=marks)


@pytest.mark.parametrize("case", cases())
def test_floats_predict_as_bytes(case):
    built = build(case)
    batch = built.short
    values = dequantize(batch["frames"])
    real = np.arange(values.shape[1]) < batch["num_frames"][:, None]
    values *= real[..., None]
    as_read = {"num_frames": batch["num_frames"]}
    exact = predict(built.model, {**as_read, "frames": values})
    np.testing.assert_allclose(exact, built.of_short, atol=2e-5)
    halves = predict(built.model, {**as_read, "frames": values.astype(np.float16)})
    np.testing.assert_allclose(halves, built.of_short, atol=2e-2)
    mixed = {"frames0": batch["frames"][..., :12], "frames1": values[..., 12:]}
    mixed = predict(built.model, {**as_read, **mixed})
    np.testing.assert_allclose(mixed, built.of_short, atol=2e-5)
    with pytest.raises(AssertionError):  # the values do matter
        np.testing.assert_allclose(
            predict(built.model, {**as_read, "frames": -values[::-1]}),
            built.of_short,
            atol=2e-5,
        )
