"""Figures that the original code computed, under TensorFlow 1.15 on the CPU.

    @pytest.mark.parametrize("case", golden.cases("starter"))
    def test_case(case):
        case.meta["class"]           # what was run
        case["input"]                # an array of the file
        case.outputs["predictions"]  # the array `output|predictions`
        case.group("step0")          # all `step0|...`, by TF1's names

YT8M_GOLDEN names the folder that holds them, one subfolder per source, one .npz
file per case; default: ../shared/golden beside the repository. Where there is none,
`cases` gives one case that is skipped, or fails if the variable is set.
"""

import functools
import json
import os
import pathlib
from collections.abc import Mapping

import numpy as np
import pytest

from youtube8m.runs.starter_code import lstm_layout

ROOT = pathlib.Path(__file__).resolve().parents[2]
VARIABLE = "YT8M_GOLDEN"
FOLDER = pathlib.Path(os.environ.get(VARIABLE) or ROOT.parent / "shared" / "golden")


RTOL = 1e-5
ATOL = 1e-6  # for values near 0: some ulps of the sums of O(1) terms behind them

# Classes of cases that hold metrics.
METRICS = ("AveragePrecisionCalculator", "eval_util")
# Classes of cases that hold classifiers or losses alone, by source.
CLASSIFIERS_AND_LOSSES = {
    "na": (
        "CenterLoss",
        "losses",
        "MoeWithLabelCorelationModel",
        "Moe_2Layer_Model",
        "NN",
    ),
    "tang": (
        "MoeModel",
        "HMoeModel",
        "CCMoeModel",
        "CCDistrMoeModel",
        "CCOrigMoeModel",
    ),
    "zou": ("CrossEntropyLossMat, CrossEntropyLossSample",),
}


class Case(Mapping):
    """One file: arrays by name, with TF1's `/` written as `|`."""

    def __init__(self, path: pathlib.Path):
        self.path = path
        self.name = path.stem

    def __repr__(self):
        return f"Case({self.path})"

    @functools.cached_property
    def arrays(self) -> dict[str, np.ndarray]:
        with np.load(self.path) as file:
            return {name: file[name] for name in file.files if name != "meta"}

    @functools.cached_property
    def meta(self) -> dict:
        with np.load(self.path) as file:
            return json.loads(str(file["meta"]))

    def __getitem__(self, name: str) -> np.ndarray:
        return self.arrays[name]

    def __iter__(self):
        return iter(self.arrays)

    def __len__(self):
        return len(self.arrays)

    def group(self, prefix: str) -> dict[str, np.ndarray]:
        """The arrays `prefix|name`, by name, with `/` for `|`."""
        start = prefix + "|"
        return {
            name.removeprefix(start).replace("|", "/"): value
            for name, value in self.arrays.items()
            if name.startswith(start)
        }

    @property
    def outputs(self) -> dict[str, np.ndarray]:
        return self.group("output")

    @property
    def variables(self) -> dict[str, np.ndarray]:
        """The model's variables by TF1's names."""
        return {v: self[v.replace("/", "|")] for v in self.meta["variables"]}


def cases(source: str, classes=None, without=(), slow=()) -> list:
    """pytest parameters: every case of a subfolder, or `nothing`.

    Args:
      classes: only cases of these `meta["class"]`; default all.
      without: no cases of these.
      slow: cases of these are left out of a quick run.
    """
    folder = FOLDER / source
    if not folder.is_dir():
        return [nothing(f"no golden figures in {folder}: see YT8M_GOLDEN", VARIABLE)]
    found = [
        pytest.param(
            case,
            id=case.name,
            marks=[pytest.mark.slow] if case.meta["class"] in slow else [],
        )
        for case in map(Case, sorted(folder.rglob("*.npz")))
        if case.meta["class"] not in without
        and (classes is None or case.meta["class"] in classes)
    ]
    return found or [nothing(f"{folder} holds no such case", VARIABLE)]


def nothing(reason: str, *variables: str):
    """A parameter of tests in place of files: skipped, or failing if a variable is set.

    Args:
      variables: of the environment, which name the folder of the files.
    """
    if any(map(os.environ.get, variables)):
        return pytest.param(_Missing(reason), id="none")
    return pytest.param(None, id="none", marks=pytest.mark.skip(reason=reason))


class _Missing:
    """Fails the test that uses it in any way."""

    def __init__(self, reason):
        self._reason = reason

    def __getattr__(self, name):
        pytest.fail(self._reason)

    def __getitem__(self, name):
        pytest.fail(self._reason)

    __truediv__ = __getitem__


def label_ids(multi_hot) -> np.ndarray:
    """[B, C] of 0 and 1 -> ids [B, L] padded with -1."""
    rows = [np.flatnonzero(row) for row in multi_hot]
    ids = np.full((len(rows), max(map(len, rows))), -1, np.int32)
    for row, found in zip(ids, rows, strict=True):
        row[: len(found)] = found
    return ids


# Comparing ---------------------------------------------------------------------


def assert_close(actual, expected, name, rtol=RTOL, atol=ATOL):
    np.testing.assert_allclose(actual, expected, rtol, atol, err_msg=name)


def assert_equal(actual, expected, name):
    np.testing.assert_array_equal(actual, expected, err_msg=name)


def assert_known(names, *known):
    """No figure goes unread because its name is new."""
    unknown = set(names).difference(known)
    assert not unknown, f"figures that no test reads: {sorted(unknown)}"


# TF1 weights in our layout --------------------------------------------------------


def load(model, pairs):
    """Assigns (variable, value) pairs; each weight of the model is in one of them."""
    covered = []
    for variable, value in pairs:
        variable.assign(value)
        covered.append(variable.path)
    weights = [w.path for w in model.weights if "seed_generator" not in w.path]
    assert sorted(covered) == sorted(weights)


def known_pairs(pairs):
    """(variable, value) of (TF1's name, variable, value); each has a variable."""
    for name, variable, value in pairs:
        assert variable is not None, name
        yield variable, value


def lstm_weights(name, cell, leaf, values):
    """(name, our variable, its value) of a cell's kernel or bias."""
    ours = [leaf] if leaf == "bias" else ["kernel", "recurrent_kernel"]
    return [(name, getattr(cell, our), lstm_layout(our, values)) for our in ours]


# The parts of a layer-normalised LSTM, in the order of TF1's gates, and the state.
NORMALIZED = ("input", "transform", "forget", "output", "state")


def cell_weights(layer, values):
    """(variable, value) of a recurrent layer; values by the names below its cell."""
    if "bias" in values:
        for leaf, value in values.items():
            for _, *pair in lstm_weights("", layer.cell, leaf, value):
                yield pair
        return
    kernel = values["kernel"]
    assert len(values) == 1 + 2 * len(NORMALIZED)
    cell, size = layer.rnn.cell, len(kernel) - layer.units
    yield layer.kernel, kernel[:size]
    yield cell.recurrent_kernel, kernel[size:]
    for leaf, variable in {"gamma": cell.gain, "beta": cell.shift}.items():
        yield variable, np.stack([values[f"{part}/{leaf}"] for part in NORMALIZED])
