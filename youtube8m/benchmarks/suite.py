"""The speed table as ratios to limits, which machines of any speed can compare.

    ratios = measure(["--seconds=1"], ROWS)    # row -> figure -> ratio to its limit
    ratios = read("after.json")                # what tools.benchmark wrote

Each row is a benchmark in a process of its own, as its peak memory counts.
"""

import os
import subprocess
import sys
import tempfile
from collections.abc import Collection, Sequence

import numpy as np

from youtube8m.errors import UserError
from youtube8m.schema import NUM_CLASSES_2018
from youtube8m.util.json import JsonError, read_json
from youtube8m.util.progress import Progress

_DBOF = "--frame_features --model=DbofModel --dbof_cluster_size=1024"
_LOGISTIC = "--frame_features --model=FrameLevelLogisticModel"
_LSTM = "--frame_features --lstm_cells=256 --batch_size=64"

# Row -> arguments of tools.benchmark.
ROWS = {
    "input": "input",
    "input of crops": "input --frame_sampling=crop",
    "train LogisticModel": "train --model=LogisticModel",
    "train MoeModel": "train --model=MoeModel",
    "train HierarchicalMoeModel": (
        "train --model=HierarchicalMoeModel --vocabulary_file={vocabulary}"
    ),
    "train FrameLevelLogisticModel": f"train {_LOGISTIC}",
    "train DbofModel": f"train {_DBOF}",
    "train DbofModel, mixed_bfloat16": f"train {_DBOF} --precision=mixed_bfloat16",
    "train LstmModel": f"train {_LSTM} --model=LstmModel --lstm_layers=1",
    "train MaxPoolBiLSTMAttention": f"train {_LSTM} --model=MaxPoolBiLSTMAttention",
    "train LSTMMoE": f"train {_LSTM} --model=LSTMMoE",
    "evaluate LogisticModel": "evaluate --model=LogisticModel",
    "evaluate DbofModel": f"evaluate {_DBOF}",
    "inference LogisticModel": "inference --model=LogisticModel",
    "inference MoeModel": "inference --model=MoeModel",
    "inference FrameLevelLogisticModel": f"inference {_LOGISTIC}",
}


def measure(flags: Sequence[str], rows: Collection[str]) -> dict[str, dict[str, float]]:
    """Row -> figure -> ratio; `flags` go to each row's benchmark.

    Raises UserError if a benchmark fails.
    """
    found = {}
    verticals = np.random.default_rng(0).integers(25, size=NUM_CLASSES_2018)
    with (
        tempfile.TemporaryDirectory() as directory,
        Progress("benchmarks", len(rows), "row") as progress,
    ):
        vocabulary = os.path.join(directory, "vocabulary.csv")
        with open(vocabulary, "w") as file:
            file.write("label_id,vertical\n")
            file.writelines(f"{c},vertical {v}\n" for c, v in enumerate(verticals))
        for number, row in enumerate(rows):
            progress.update(number, row)
            arguments = ROWS[row].format(vocabulary=vocabulary).split()
            found[row] = _ratios([*arguments, *flags], directory)
    return found


def _ratios(arguments, directory):
    output = os.path.join(directory, "figures.json")
    command = [sys.executable, "-m", "youtube8m.tools.benchmark", *arguments]
    done = subprocess.run(
        [*command, f"--output_file={output}"], capture_output=True, text=True
    )
    if done.returncode:
        lines = done.stderr.strip().splitlines() or [f"status {done.returncode}"]
        raise UserError(f"benchmark {' '.join(arguments)}: {lines[-1]}")
    return {
        f"{figure['name']} / {figure['limit_name']}": round(figure["ratio"], 4)
        for figure in read_json(output)["figures"]
        if figure["ratio"] is not None and figure["unit"] != "GFLOP/s"
    }


def read(path: str) -> dict[str, dict[str, float]]:
    """The ratios that `tools.benchmark suite` wrote.

    Raises UserError if the file cannot be read, or is not of a suite.
    """
    try:
        return read_json(
            path,
            lambda suite: {
                row: {name: float(ratio) for name, ratio in figures.items()}
                for row, figures in suite["ratios"].items()
            },
        )
    except JsonError as error:
        raise UserError(
            f"{path}: not the figures of a suite; write them with python -m "
            f"youtube8m.tools.benchmark suite --output_file=... ({error})"
        ) from None
