"""The report of training: what metrics.jsonl says, drawn.

    frame = read_metrics(directory)
    page(directory).write("report/report.html", "--report_dir")

A run of an earlier version lacks some of the values: then their charts are missing.
"""

import contextlib
import os
import time

import numpy as np
import pandas as pd

from youtube8m.errors import UserError
from youtube8m.reports import charts
from youtube8m.reports.charts import Axis
from youtube8m.reports.pages import Page, Table
from youtube8m.runs.checkpoint_files import step_of
from youtube8m.runs.directory import RunDirectory
from youtube8m.util.json import JsonError, parse_json
from youtube8m.util.text_files import read_bytes

_POINTS = 300  # of a line; steps are averaged in groups of as many as that takes
METRICS = "metrics.jsonl"


def read_metrics(directory: RunDirectory) -> pd.DataFrame:
    """The rows of metrics.jsonl, one a step; `loss` is without regularisation.

    Lines that are damaged, or not yet written to their end, are left out.

    Raises UserError if there is no row.
    """
    path = directory.file(METRICS)
    rows = []
    try:
        for line in read_bytes(path).splitlines():
            with contextlib.suppress(JsonError):
                rows.append(parse_json(line, _numbers))
    except OSError as error:
        raise UserError(
            f"{directory.flag}={directory.path}: no {METRICS} ({error.strerror}), "
            "which train.py writes; name the directory of a run"
        ) from None
    if not rows:
        raise UserError(f"{path}: has no step yet; train.py writes one after ten steps")
    frame = pd.DataFrame(rows).sort_values("step", kind="stable")
    frame = frame.drop_duplicates("step", keep="last").reset_index(drop=True)
    if "loss" in frame and "auxiliary_loss" in frame:
        frame["loss"] += frame["auxiliary_loss"].fillna(0.0)
    return frame


def _numbers(row):
    numbers = {
        name: value
        for name, value in row.items()
        if isinstance(value, (int, float)) and not isinstance(value, bool)
    }
    step = int(row["step"])
    if not 0 <= step < 2**53:
        raise ValueError(step)
    return {**numbers, "step": step}


def thinned(frame: pd.DataFrame, column: str, points: int = _POINTS) -> pd.DataFrame:
    """The values of a column at most at so many steps.

    Returns a frame of `step`, the column (the mean of a group of neighbouring rows),
    and `lowest` and `highest` of the group.
    """
    values = frame[["step", column]].dropna()
    values = values[np.isfinite(values[column])]
    size = max(1, -(-len(values) // points))
    groups = values.groupby(np.arange(len(values)) // size)
    return pd.DataFrame(
        {
            "step": groups["step"].max(),
            column: groups[column].mean(),
            "lowest": groups[column].min(),
            "highest": groups[column].max(),
        }
    )


def state(directory: RunDirectory) -> tuple:
    """What differs where the report of the run must be made anew."""
    try:
        found = os.stat(directory.file(METRICS))
    except OSError:
        return ()
    return found.st_size, found.st_mtime_ns, directory.latest_checkpoint()


def page(directory: RunDirectory) -> Page:
    """The page of a run. Raises UserError if it has not written a step."""
    frame = read_metrics(directory)
    made = Page(f"Training of {directory.read_run().model.model}", directory.path)
    made.facts(_facts(directory, frame))
    add_curves(made, frame)
    return made


def _facts(directory, frame):
    last, prefix = frame.iloc[-1], directory.latest_checkpoint()
    written = os.stat(directory.file(METRICS)).st_mtime
    facts = {"Last step": f"{int(last['step']):,}"}
    if "epoch" in frame:
        facts["Epoch"] = f"{int(last['epoch']) + 1}"
    if "examples" in frame:
        facts["Examples trained on"] = f"{int(frame['examples'].sum()):,}"
    if "waiting_share" in frame:
        facts["Waiting for input"] = (
            f"{last['waiting_share']:.0%} of the time of the last steps"
        )
    facts["Last checkpoint"] = f"step {step_of(prefix):,}" if prefix else "none yet"
    when = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(written))
    return facts | {"Last line written": when}


def add_curves(made: Page, frame: pd.DataFrame) -> None:
    """Adds a section with a chart for each value that the steps have."""
    made.section("Training")
    made.begin_columns()
    for column, axis, title, description in _CURVES:
        if column in frame and np.isfinite(frame[column].astype(float)).any():
            _add_curve(made, frame, column, axis, title, description)
    made.end_columns()


def _add_curve(made, frame, column, axis, title, description):
    values = thinned(frame, column)
    grouped = (values["lowest"] < values["highest"]).any()
    if grouped:
        size = -(-frame[column].notna().sum() // len(values))
        description += (
            f" The line is the mean of {size} steps, the area from the lowest to the "
            "highest of them."
        )
    else:
        values = values[["step", column]]
    ends = values[column].iloc[0], values[column].iloc[-1]
    first, last = map(_readable, ends)
    shown = f"{title}: {first} at first, {last} at last"
    if axis.format == ".0%":
        shown = f"{title}: {ends[1]:.0%} of the time at last"
    elif first == last:
        shown = f"{title}: {last} at first and at last"
    chart = charts.line(
        values,
        Axis("step", "step"),
        axis,
        title=shown,
        description=description,
        band=("lowest", "highest") if grouped else None,
    )
    made.chart(chart, Table(values, f"training_{column}", decimals={column: 6}))


def _readable(value):
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


# Column, axis, title, description.
_CURVES = (
    (
        "loss",
        Axis("loss", "loss"),
        "Loss",
        "Loss of the training batches, without regularisation, against the step.",
    ),
    (
        "gap",
        Axis("gap", "GAP", limits=(0, 1)),
        "GAP of training batches",
        "GAP of every tenth training batch. A batch is small, so this is not the GAP "
        "that eval.py measures, and it is of data that the model has seen.",
    ),
    (
        "learning_rate",
        Axis("learning_rate", "learning rate", zero=True, format=".2~g"),
        "Learning rate",
        "Learning rate of each step.",
    ),
    (
        "gradient_norm",
        Axis("gradient_norm", "gradient norm (logarithmic)", log=True, format=".2~g"),
        "Norm of the gradients",
        "L2 norm of all gradients together, before clipping.",
    ),
    (
        "examples_per_second",
        Axis("examples_per_second", "examples per second", zero=True),
        "Examples per second",
        "Examples per second over each ten steps; saving and compiling count.",
    ),
    (
        "waiting_share",
        Axis("waiting_share", "share of the time", format=".0%", limits=(0, 1)),
        "Waiting for input",
        "Share of the time in which the host waits for the next batch. On a GPU, which "
        "computes meanwhile, it is the most that input can cost.",
    ),
)
