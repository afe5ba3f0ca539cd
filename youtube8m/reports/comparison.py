"""Runs side by side on the same records: is B better than A, or is it noise?

    runs = [Evaluated("a", pool_a, result_a), Evaluated("b", pool_b, result_b)]
    found = compare(runs)
    print("\n".join(found.sentences()))
    add_sections(page, found, vocabulary, curves)

All runs are compared with the first. A replicate of the bootstrap draws the same videos
for every run, so the interval is that of the difference on one data set: what makes a
data set easy or hard for both runs does not count. Shapes: C classes, R replicates.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from youtube8m.data.labels.vocabulary import Vocabulary
from youtube8m.errors import UserError
from youtube8m.prediction.names import class_name
from youtube8m.reports import charts
from youtube8m.reports.charts import Axis
from youtube8m.reports.pages import Page, Table
from youtube8m.reports.statistics import REPLICATES, Pool, bootstrap, interval
from youtube8m.reports.training import thinned

# Key of a result -> how it is called, and whether more of it is better.
METRICS = {
    "gap": ("GAP", True),
    "map": ("mAP", True),
    "hit_at_one": ("Hit@1", True),
    "perr": ("PERR", True),
    "loss": ("loss", False),
}
_CLASSES = 20  # bars of gains, and of losses
_HOW_MANY = 0.95


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
    return f"{row['metric']}: {row['run']} is {word} than {first} by {by:.4f} ({ends})"


def _signed(value):
    return f"{value:+.4f}".replace("-", "\N{MINUS SIGN}")


def require_same_records(runs: Sequence[Evaluated]) -> None:
    """Raises UserError unless all runs have predicted the same examples."""
    first = runs[0]
    for other in runs[1:]:
        one, two = first.pool, other.pool
        named = f"--train_dir: {first.name} and {other.name}"
        if one.num_classes != two.num_classes:
            raise UserError(
                f"{named} have {one.num_classes} and {two.num_classes} classes, so "
                "their predictions cannot be compared; name runs on the same classes"
            )
        same = len(one.ids) == len(two.ids) and (one.ids == two.ids).all()
        if not same:
            raise UserError(
                f"{named} could read {len(one.ids)} and {len(two.ids)} examples of the "
                "records, not the same ones; name records that both can read"
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
            classes.append(_class_rows(run, runs[0], interval(differences)))
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
    low, high = interval(table[key])
    row = {"metric": METRICS[key][0], "run": run.name, "value": run.result[key]}
    row |= {"low": float(low), "high": float(high)}
    if run is first:
        return row | dict.fromkeys(("difference", "least", "most"), np.nan)
    least, most = interval(table[key] - of_first[key])
    difference = run.result[key] - first.result[key]
    return row | {"difference": difference, "least": float(least), "most": float(most)}


def _class_rows(run, first, ends):
    before, after = (r.result["average_precisions"] for r in (first, run))
    present = np.flatnonzero(run.pool.positives)
    return pd.DataFrame(
        {
            "class": present,
            "videos": run.pool.positives[present],
            "run": run.name,
            "AP before": before[present],
            "AP": after[present],
            "difference": (after - before)[present],
            "least": ends[0][present],
            "most": ends[1][present],
        }
    )


def add_sections(
    page: Page,
    found: Comparison,
    vocabulary: Vocabulary,
    curves: Mapping[str, pd.DataFrame],
) -> None:
    """Adds what was found to a page.

    Args:
      vocabulary: may lack names.
      curves: the rows of metrics.jsonl by name of a run, as `training.read_metrics`.
    """
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
    _add_metrics(page, found)
    _add_classes(page, found, vocabulary)
    _add_curves(page, curves)


def _add_metrics(page, found):
    places = dict.fromkeys(("value", "low", "high", "difference", "least", "most"), 4)
    others = found.metrics[found.metrics["run"] != found.runs[0]]
    shown = others[others["metric"] != "loss"]
    series = "run" if len(found.runs) > 2 else None
    chart = charts.bars(
        shown,
        "metric",
        Axis("difference", f"difference to {found.runs[0]}", format="+.3~f"),
        title=f"Differences to {found.runs[0]}, and their 95 % intervals",
        description="Above 0 (to the right): better than the first run.",
        interval=("least", "most"),
        series=series,
    )
    page.chart(chart, Table(found.metrics, "comparison", decimals=places))


def _add_classes(page, found, vocabulary):
    frame = found.classes.copy()
    names = [class_name(vocabulary, class_id) for class_id in frame["class"]]
    frame.insert(1, "name", names)
    clear = (frame["least"] > 0) | (frame["most"] < 0)
    page.section("Classes")
    for name in found.runs[1:]:
        own, own_clear = frame[frame["run"] == name], clear[frame["run"] == name]
        by_chance = round((1 - _HOW_MANY) * len(own))
        better = int((own["difference"][own_clear] > 0).sum())
        page.paragraph(
            f"Of {len(own):,} classes with an example, {name} is better in {better:,} "
            f"and worse in {int(own_clear.sum()) - better:,}, with an interval that "
            f"does not include 0. By chance alone about {by_chance:,} would be."
        )
    several = len(found.runs) > 2
    chart = charts.points(
        frame,
        Axis("videos", "examples of the class", log=True),
        Axis("difference", f"AP minus that of {found.runs[0]}", format="+.2~f"),
        title="Difference of each class's average precision",
        description="Above 0: better than the first run. Rare classes scatter more.",
        names=["name", "class"],
        series="run" if several else None,
    )
    notes = {
        "AP before": f"average precision of {found.runs[0]}",
        "least": "lower end of the difference's 95 % interval",
        "most": "upper end of the difference's 95 % interval",
    }
    page.chart(chart, Table(frame, "class_differences", notes=notes))
    for name in found.runs[1:]:
        own = frame[(frame["run"] == name) & clear].sort_values("difference")
        few = pd.concat([own.tail(_CLASSES)[::-1], own.head(_CLASSES)])
        few = few.drop_duplicates("class").sort_values("difference", ascending=False)
        if not few.empty:
            chart = charts.bars(
                few.assign(label=_distinct(few)),
                "label",
                Axis("difference", "difference of AP", format="+.2~f"),
                title=f"Where {name} differs most from {found.runs[0]}",
                description="The classes with the largest clear gains and losses of "
                "average precision, with 95 % intervals.",
                interval=("least", "most"),
                names=["videos"],
            )
            page.chart(chart, "class_differences")


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
