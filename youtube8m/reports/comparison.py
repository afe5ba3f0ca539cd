"""Runs side by side on the same records: is B better than A, or is it noise?

    runs = [Evaluated("a", pool_a, result_a), Evaluated("b", pool_b, result_b)]
    found = compare(runs)
    print("\n".join(found.sentences()))
    page(found, names, curves, facts).write("report/report.html", "--report_dir")

All runs are compared with the first. A replicate of the bootstrap draws the same videos
for every run, so the interval is that of the difference on one data set: what makes a
data set easy or hard for both runs does not count. Shapes: C classes, R replicates.
"""

import dataclasses
import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from youtube8m.errors import UserError
from youtube8m.reports import charts
from youtube8m.reports.charts import Axis
from youtube8m.reports.pages import Page, Table, valid_text
from youtube8m.reports.statistics import (
    REPLICATES,
    Collector,
    Pool,
    bootstrap,
    interval,
)
from youtube8m.reports.training import thinned

# Key of a result -> how it is called, and whether more of it is better.
METRICS = {
    "gap": ("GAP", True),
    "map": ("mAP", True),
    "hit_at_one": ("Hit@1", True),
    "perr": ("PERR", True),
    "loss": ("loss", False),
}
_CLASSES = 15  # bars of gains, and of losses
_FEW = 5  # examples; a class with fewer gets no interval
_BY_CHANCE = 0.05
_NOTES = {
    "low": "lower end of the value's 95 % interval",
    "high": "upper end of the value's 95 % interval",
    "difference": "to the first run",
    "least": "lower end of the difference's 95 % interval",
    "most": "upper end of the difference's 95 % interval",
    "AP before": "average precision of the first run",
}


@dataclasses.dataclass(frozen=True)
class Evaluated:
    """A run on the records.

    Attributes:
      name: what tells it from the others.
      result: its metrics, as `Metrics.result`.
    """

    name: str
    pool: Pool
    result: Mapping[str, Any]


@dataclasses.dataclass(frozen=True)
class Comparison:
    """What is known of the differences.

    Attributes:
      runs: names, the first is what the others are compared with.
      metrics: a row for each metric of each run: `metric`, `run`, `value`, `low`,
        `high`, and `difference`, `least`, `most` to the first run (nan of itself).
      classes: a row for each class with a positive and each run but the first:
        `class`, `videos`, `run`, `AP before`, `AP`, `difference`, `least`, `most`.
      examples: how many videos or segments were compared.
    """

    runs: Sequence[str]
    metrics: pd.DataFrame
    classes: pd.DataFrame
    examples: int

    def sentences(self) -> list[str]:
        """What is to be said of each metric of each run but the first."""
        rows = self.metrics[self.metrics["run"] != self.runs[0]]
        return [_sentence(row, self.runs[0]) for row in rows.to_dict("records")]


def _sentence(row, first):
    better = row["difference"] > 0
    if not dict(METRICS.values())[row["metric"]]:
        better = row["difference"] < 0
    by, least, most = abs(row["difference"]), row["least"], row["most"]
    ends = f"95 % interval {_signed(least)} to {_signed(most)}"
    if least <= 0 <= most:
        return (
            f"{row['metric']}: no clear difference between {first} and {row['run']}: "
            f"{_signed(row['difference'])} ({ends} includes 0)"
        )
    word = "better" if better else "worse"
    return (
        f"{row['metric']}: {row['run']} is {word} than {first} by {_number(by)} "
        f"({ends})"
    )


def _number(value):
    return f"{value:.4f}" if value < 10 else f"{value:,.1f}"


def _signed(value):
    sign = "\N{MINUS SIGN}" if value < 0 else "+"
    return sign + _number(abs(value))


class Recorder:
    """Collects what an `Evaluator` tells it, as its report."""

    def __init__(self, name: str, num_classes: int, top_k: int):
        self._name = name
        self._collector = Collector(num_classes, top_k)
        self.evaluated: Evaluated | None = None

    def begin(self, prefix: str) -> None:
        """Nothing: one checkpoint is evaluated."""

    def add(self, batch: Mapping[str, Any], top: Mapping[str, Any], loss) -> None:
        """Adds a batch, its `metrics.top_predictions` and its loss [B]."""
        rated, starts = (batch.get(name) for name in ("rated", "segment_start"))
        self._collector.add(batch["id"], top, batch["labels"], loss, rated, starts)

    def end(self, result: Mapping[str, Any]) -> None:
        """Keeps what was collected as `evaluated`."""
        self.evaluated = Evaluated(self._name, self._collector.pool(), result)


def short_names(paths: Sequence[str]) -> list[str]:
    """The last parts of paths, or whole paths where these are not different."""
    names = [os.path.basename(os.path.normpath(path)) for path in paths]
    names = names if len({*names}) == len(names) else [*paths]
    return [valid_text(name) for name in names]


def require_same_classes(names: Sequence[str], counts: Sequence[int]) -> None:
    """Raises UserError unless all runs have as many classes.

    Args:
      names, counts: of each run its name, and its number of classes.
    """
    for name, count in zip(names, counts, strict=True):
        if count != counts[0]:
            raise UserError(
                f"--train_dir: {names[0]} has {counts[0]} classes and {name} {count}, "
                "so their predictions cannot be compared; name runs on the same classes"
            )


def require_same_records(runs: Sequence[Evaluated]) -> None:
    """Raises UserError unless all runs have predicted the same examples."""
    require_same_classes(
        [run.name for run in runs], [run.pool.num_classes for run in runs]
    )
    first = runs[0]
    for other in runs[1:]:
        one, two = first.pool, other.pool
        same = len(one.ids) == len(two.ids) and (one.ids == two.ids).all()
        if same and one.starts is not None:
            same = (one.starts == two.starts).all()
        if not same:
            raise UserError(
                f"--train_dir: {first.name} and {other.name} have read other examples "
                f"({len(one.ids)} and {len(two.ids)}) of the same files; name records "
                "that all runs can read"
            )


def compare(
    runs: Sequence[Evaluated], replicates: int = REPLICATES, seed: int = 0
) -> Comparison:
    """Compares runs, two or more, with the first of them.

    Raises UserError unless they have predicted the same records of the same classes.
    """
    require_same_records(runs)
    drawn = [bootstrap(run.pool, replicates, seed) for run in runs]
    tables = [_of_metrics(draw) for draw in drawn]
    rows, classes = [], []
    for run, table, draw in zip(runs, tables, drawn, strict=True):
        for key in METRICS:
            if key in table and key in run.result and key in runs[0].result:
                rows.append(_metric_row(key, run, runs[0], table, tables[0]))
        if run is not runs[0]:
            differences = draw.average_precisions - drawn[0].average_precisions
            classes.append(_class_rows(run, runs[0], differences))
    metrics = pd.DataFrame(rows)
    order = [name for name, _ in METRICS.values()]
    metrics = metrics.sort_values(
        "metric", key=lambda names: names.map(order.index), kind="stable"
    )
    return Comparison(
        [run.name for run in runs],
        metrics.reset_index(drop=True),
        pd.concat(classes, ignore_index=True),
        len(runs[0].pool.ids),
    )


def _of_metrics(draw):
    """Key of a metric -> its replicates [R]."""
    return {"gap": draw.gap, "map": draw.map, **draw.means}


def _metric_row(key, run, first, table, of_first):
    low, high = interval(table[key], run.result[key])
    row = {"metric": METRICS[key][0], "run": run.name, "value": run.result[key]}
    row |= {"low": float(low), "high": float(high)}
    if run is first:
        return row | dict.fromkeys(("difference", "least", "most"), np.nan)
    difference = run.result[key] - first.result[key]
    least, most = interval(table[key] - of_first[key], difference)
    return row | {"difference": difference, "least": float(least), "most": float(most)}


def _class_rows(run, first, differences):
    before, after = (r.result["average_precisions"] for r in (first, run))
    ends = np.clip(interval(differences, after - before), -1, 1)
    positives = run.pool.positives
    present = np.flatnonzero(positives)
    ends = np.where(positives >= _FEW, ends, np.nan)
    return pd.DataFrame(
        {
            "class": present,
            "videos": positives[present],
            "run": run.name,
            "AP before": before[present],
            "AP": after[present],
            "difference": (after - before)[present],
            "least": ends[0][present],
            "most": ends[1][present],
        }
    )


def page(
    found: Comparison,
    names: Sequence[str],
    curves: Mapping[str, pd.DataFrame],
    facts: Mapping[str, object],
) -> Page:
    """The page of a comparison.

    Args:
      names: of the classes, C of them.
      facts: what was compared, on which records.
      curves: the rows of metrics.jsonl by name of a run, as `training.read_metrics`.
    """
    first, *others = found.runs
    made = Page(f"{' and '.join(others)} against {first}", "Runs side by side")
    made.facts(facts)
    _add_verdicts(made, found)
    _add_classes(made, found, names)
    _add_curves(made, curves)
    return made


def _add_verdicts(page, found):
    page.section("Which run is better")
    for sentence in found.sentences():
        page.paragraph(sentence + ".")
    page.paragraph(
        f"All runs have predicted the same {found.examples:,} examples. The interval "
        "of a difference is that of 1,000 data sets, which are drawn from these videos "
        "and are the same for all runs (paired bootstrap). A difference whose interval "
        "includes 0 may be chance. It says nothing of another training of the same "
        "model, whose random start and order of the data differ."
    )
    places = dict.fromkeys(("value", "low", "high", "difference", "least", "most"), 4)
    others = found.metrics[found.metrics["run"] != found.runs[0]]
    shown = others[others["metric"] != "loss"]
    series = "run" if len(found.runs) > 2 else None
    chart = charts.bars(
        shown,
        "metric",
        Axis("difference", f"difference to {found.runs[0]}", format="+.3~f"),
        title=_verdict(shown, found.runs[0]),
        description=f"Differences to {found.runs[0]}, and their 95 % intervals. Above "
        "0 (to the right): better than the first run.",
        interval=("least", "most"),
        series=series,
    )
    table = Table(found.metrics, "comparison", "All metrics", _NOTES, decimals=places)
    page.chart(chart, table, shown=False)
    page.table(
        table,
        "Low and high are the ends of the value's 95 % interval, least and most those "
        "of the difference's, which is paired.",
    )


def _verdict(rows, first):
    """What the chart of the metrics shows."""
    words = []
    for name, of_run in rows.groupby("run", sort=False):
        better = int((of_run["least"] > 0).sum())
        worse = int((of_run["most"] < 0).sum())
        unclear = len(of_run) - better - worse
        counts = {"better": better, "worse": worse, "not clearly different": unclear}
        said = [f"{word} in {count}" for word, count in counts.items() if count]
        words.append(f"{name} is {', '.join(said)}")
    return f"Against {first}: {'; '.join(words)} of {len(of_run)} metrics"


def _add_classes(page, found, names):
    frame = found.classes.copy()
    frame.insert(1, "name", [names[class_id] for class_id in frame["class"]])
    page.section("Classes")
    for name in found.runs[1:]:
        page.paragraph(_count_clear(frame[frame["run"] == name], name))
    chart = charts.points(
        frame,
        Axis("videos", "examples of the class", log=True),
        Axis("difference", f"AP minus that of {found.runs[0]}", format="+.2~f"),
        title=_class_title(frame, found.runs),
        description="Above 0: better than the first run. Rare classes scatter more.",
        names=["name", "class"],
        series="run" if len(found.runs) > 2 else None,
    )
    page.chart(chart, Table(frame, "class_differences", notes=_NOTES))
    for number, name in enumerate(found.runs[1:], 1):
        few = _largest(frame[frame["run"] == name])
        if few.empty:
            continue
        chart = charts.bars(
            few.assign(label=_distinct(few)),
            "label",
            Axis("difference", "difference of AP", format="+.2~f"),
            title=f"Where {name} differs most from {found.runs[0]}",
            description="The classes with the largest clear gains and losses of "
            "average precision, and 95 % intervals.",
            interval=("least", "most"),
            names=["videos"],
        )
        page.chart(chart, Table(few, f"largest_differences_{number}", notes=_NOTES))


def _class_title(frame, runs):
    """What the cloud of classes shows."""
    if len(runs) > 2:
        return "Difference of each class's average precision"
    better, worse = ((sign * frame["difference"] > 0).sum() for sign in (1, -1))
    return (
        f"Average precision is higher in {better:,} and lower in {worse:,} of "
        f"{len(frame):,} classes"
    )


def _is_clear(frame):
    """Whether the interval of a difference does not include 0."""
    return (frame["least"] > 0) | (frame["most"] < 0)


def _count_clear(frame, name):
    """A sentence on how many classes of a run differ."""
    judged = frame[frame["least"].notna()]
    clear = judged[_is_clear(judged)]
    better = int((clear["difference"] > 0).sum())
    return (
        f"Of {len(judged):,} classes with at least {_FEW} examples, {name} is better "
        f"in {better:,} and worse in {len(clear) - better:,}, with an interval that "
        f"does not include 0. Chance alone would do so in about "
        f"{round(_BY_CHANCE * len(judged)):,}."
    )


def _largest(frame):
    """The rows with the largest clear gains and losses, from gain to loss."""
    ordered = frame[_is_clear(frame)].sort_values("difference", ascending=False)
    gains = ordered["difference"] > 0
    return pd.concat([ordered[gains].head(_CLASSES), ordered[~gains].tail(_CLASSES)])


def _distinct(frame):
    """The names of classes, with their numbers where two are called the same."""
    twice = frame["name"].duplicated(keep=False)
    return np.where(
        twice, frame["name"] + " (" + frame["class"].astype(str) + ")", frame["name"]
    )


_CURVES = {
    "loss": ("loss", "Loss of the training batches"),
    "gap": ("GAP", "GAP of the training batches"),
}


def _add_curves(page, curves):
    drawn = {
        column: [
            thinned(frame, column)[["step", column]].assign(run=name)
            for name, frame in curves.items()
            if column in frame and frame[column].notna().any()
        ]
        for column in _CURVES
    }
    if not any(drawn.values()):
        return
    page.section("Learning curves")
    page.begin_columns()
    for column, parts in drawn.items():
        if parts:
            unit, title = _CURVES[column]
            frame = pd.concat(parts, ignore_index=True)
            chart = charts.line(
                frame,
                Axis("step", "step"),
                Axis(column, unit),
                title=title,
                description="Against the step; batches of other sizes, or another "
                "loss, do not compare.",
                series="run",
            )
            page.chart(chart, Table(frame, f"curves_of_{column}"))
    page.end_columns()
