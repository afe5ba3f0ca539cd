"""Types are told by the look of bytes; where that may be wrong, they are not sure."""

import functools

import numpy as np
import pytest

from youtube8m.config.features import numpy_dtype
from youtube8m.data.reading import dtypes

FLOATS = ("float16", "bfloat16", "float32")
RNG = np.random.default_rng(0)
NORMAL = RNG.normal(size=(64, 128))
EXP = np.exp(4 * NORMAL)
USUAL = {
    "normal": NORMAL,
    "small": 1e-3 * NORMAL,
    "hundreds": 100 * NORMAL,
    "large": np.clip(1e4 * NORMAL, -6e4, 6e4),
    "unit vectors": NORMAL[:8] / np.linalg.norm(NORMAL[:8], axis=1, keepdims=True),
    "heavy tails": RNG.laplace(size=(64, 128)),
    "rectified": np.maximum(NORMAL, 0),
    "sparse": NORMAL * (RNG.uniform(size=NORMAL.shape) < 0.1),
    "one frame": RNG.normal(size=(1, 256)),
    "one not finite": np.where(NORMAL.max() == NORMAL, np.nan, NORMAL),
    "were float16": NORMAL.astype(np.float16),
    "were bfloat16": NORMAL.astype(numpy_dtype("bfloat16")),
}
ODD = {
    "zeros": np.zeros((8, 16)),
    "ones": np.ones((8, 16)),
    "signs": np.sign(NORMAL),
    "tiny": 1e-5 * NORMAL,
    "far from 0": NORMAL + 100,
    "positive": NORMAL + 5,
    "one octave": RNG.uniform(1, 1.1, size=(64, 128)),
    "two octaves": RNG.uniform(0.5, 2, size=(64, 128)),
    "shares": EXP / EXP.sum(axis=1, keepdims=True),
    "spread": np.exp(2 * NORMAL),
    "counts": RNG.integers(50, size=(64, 128)),
    "between 0 and 1": RNG.uniform(size=(64, 128)),
    "one short frame": NORMAL[:1, :16],
    "one value": NORMAL[:1, :4],
    "all not finite": np.full((8, 16), np.nan),
}


def levels(*shape, mean=127, deviation=30):
    return np.clip(RNG.normal(mean, deviation, shape), 0, 255)


USUAL_BYTES = {
    "as YouTube-8M": levels(64, 128),
    "one frame": levels(1, 1024),
    "one frame of sound": levels(1, 128),
    "all levels": RNG.integers(256, size=(64, 128)),
    "few levels": levels(64, 128, deviation=5),
    "rectified": levels(64, 128, mean=0),
    "a mean for each value": levels(64, 128, mean=RNG.uniform(30, 220, 128)),
    "falling deviations": levels(64, 128, deviation=60 / np.sqrt(np.arange(1, 129))),
    "odd size": levels(2, 3),
}
ODD_BYTES = {
    "zeros": np.zeros((8, 16)),
    "one level": np.full((8, 16), 60),
    "not finite as floats": np.full((8, 16), 127),
    "few values": levels(8, 4),
    "four means": levels(64, 4, mean=RNG.uniform(30, 220, 4), deviation=10),
    "two kinds in turns": np.stack(
        [RNG.integers(256, size=(64, 64)), RNG.integers(20, size=(64, 64))], axis=2
    ).reshape(64, 128),
}


@functools.cache
def rows(name, stored):
    bytes_alone = stored == "uint8"
    values = (USUAL_BYTES | ODD_BYTES if bytes_alone else USUAL | ODD)[name]
    with np.errstate(over="ignore", invalid="ignore"):
        values = np.ascontiguousarray(values).astype(numpy_dtype(stored))
    return values.view(np.uint8)


@pytest.mark.parametrize("stored", FLOATS)
@pytest.mark.parametrize("name", USUAL)
def test_embeddings_are_told(name, stored):
    found = rows(name, stored)
    assert dtypes.guess(found) == (stored, True)
    width = found.shape[1] // USUAL[name].shape[1]
    assert dtypes.guess(found, width) == (stored, True)


@pytest.mark.parametrize("name", USUAL_BYTES)
def test_bytes_are_told(name):
    assert dtypes.guess(rows(name, "uint8")) == ("uint8", True)


@pytest.mark.parametrize("name", ODD_BYTES)
def test_odd_bytes_are_not_told_wrongly(name):
    assert not dtypes.guess(rows(name, "uint8")).sure
    assert dtypes.guess(rows(name, "uint8"), 1) == ("uint8", True)


@pytest.mark.parametrize("stored", FLOATS)
@pytest.mark.parametrize("name", ODD)
def test_odd_values_are_not_told_wrongly(name, stored):
    found = rows(name, stored)
    width = found.shape[1] // ODD[name].shape[1]
    for guess in (dtypes.guess(found), dtypes.guess(found, width)):
        assert guess.stored == stored or not guess.sure
    if width == 4:
        assert dtypes.guess(found, 4) == ("float32", True)


@pytest.mark.parametrize("stored", FLOATS)
@pytest.mark.parametrize("value", [np.inf, -np.inf, np.nan])
def test_values_that_are_not_finite_are_found(stored, value):
    largest = -1e30 if stored != "float16" else -65504
    values = np.array([[0, 1.5, -0.0, largest]]).astype(numpy_dtype(stored))
    assert dtypes.all_finite(values)
    values[0, 2] = value
    assert not dtypes.all_finite(values)


def test_float64_is_known_by_its_look():
    rng = np.random.default_rng(0)
    values = rng.normal(size=(64, 16))
    assert dtypes.look_like_float64(values.view(np.uint8))
    values[::2] = 0
    assert dtypes.look_like_float64(values.view(np.uint8))
    others = [rng.integers(low, high, (64, 128)) for low, high in ((0, 256), (60, 70))]
    rows = [array.astype(np.uint8) for array in others]
    rows += [values.astype(t).view(np.uint8) for t in ("float32", "float16")]
    rows += [np.full((64, 128), 64, np.uint8), np.zeros((64, 128), np.uint8)]
    rows += [np.ones((64, 12), np.uint8)]
    assert not any(map(dtypes.look_like_float64, rows))
