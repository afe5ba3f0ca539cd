"""The report of an ensemble: its members, what each adds, and the merged predictions.

write_report(Ensemble(submissions, rows, weights, labels), ...)
"""

import os
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from youtube8m.metrics import Metrics
from youtube8m.prediction import ensemble
from youtube8m.prediction.submission import Submission
from youtube8m.reports import charts, statistics
from youtube8m.reports.charts import Axis
from youtube8m.reports.evaluation_report import Classes, add_sections
from youtube8m.reports.pages import Page, Table, valid_text
from youtube8m.reports.statistics import Collector
from youtube8m.util.text import encode_id

FILE = "report.html"


class Ensemble(NamedTuple):
    """Files of predictions of the same V labelled videos."""

    submissions: Sequence[Submission]
    rows: ensemble.Rows
    weights: np.ndarray  # [M], they sum to 1
    labels: np.ndarray  # int [V, L], padded with -1
    ids: Sequence[str]  # V

    def without(self, member: int) -> "Ensemble":
        """The ensemble of all members but one, and of that one if it is alone."""
        kept = [n for n in range(len(self.rows)) if n != member]
        if not kept or not self.weights[kept].any():
            return self
        return self.of(kept)

    def of(self, members: Sequence[int]) -> "Ensemble":
        """The ensemble of some members."""
        weights = ensemble.normalized(self.weights[members])
        files, rows = ([column[n] for n in members] for column in self[:2])
        return self._replace(submissions=files, rows=rows, weights=weights)

    def pool(self, num_classes: int, top_k: int):
        """The pool and the metrics of the merged predictions."""
        blocks = ensemble.merged_videos(*self[:3], top_k)
        collector, metrics = Collector(num_classes, top_k), Metrics(num_classes, top_k)
        for part, top in ensemble.labelled(blocks, self.labels, top_k):
            ids = [encode_id(name) for name in self.ids[part]]
            collector.add(ids, top, self.labels[part])
            metrics.update(top, self.labels[part])
        return collector.pool(), metrics.result()


def write_report(
    whole: Ensemble, path: str, classes: Classes, num_classes: int, top_k: int
) -> list[str]:
    """Writes the page and its tables; returns their paths.

    Raises UserError if a file cannot be written, or a row is damaged.
    """
    pool, result = whole.pool(num_classes, top_k)
    replicates = statistics.bootstrap(pool)
    names = [os.path.basename(file.path) for file in whole.submissions]
    if len({*names}) < len(names):
        names = [file.path for file in whole.submissions]
    names = [valid_text(name) for name in names]
    page = Page(f"An ensemble of {len(names)} models", f"{len(pool.ids):,} videos")
    page.section("Members")
    _add_gains(page, whole, names, replicates, result, num_classes, top_k)
    _add_correlations(page, whole, names)
    add_sections(page, pool, replicates, result, classes)
    return page.write(path, "--report_dir")


def _add_gains(page, whole, names, replicates, result, num_classes, top_k):
    """The GAP of each member, and what it adds to that of all."""
    rows = []
    for member, name in enumerate(names):
        own, alone = whole.of([member]).pool(num_classes, top_k)
        own_gaps = statistics.bootstrap(own).gap
        other, without = whole.without(member).pool(num_classes, top_k)
        # The same videos in the same order: the draws are the same, too.
        gains = replicates.gap - statistics.bootstrap(other).gap
        gain = result["gap"] - without["gap"]
        rows.append(
            (
                *(name, whole.weights[member]),
                *(alone["gap"], *statistics.interval(own_gaps, alone["gap"])),
                *(gain, *statistics.interval(gains, gain)),
            )
        )
    columns = ["member", "weight", "GAP", "from", "to"]
    columns += ["gain", "gain from", "gain to"]
    frame = pd.DataFrame(rows, columns=columns)
    best = frame.loc[frame["gain"].idxmax()]
    chart = charts.bars(
        frame,
        "member",
        Axis("gain", "gain in GAP"),
        title=f"{best['member']} adds most to the ensemble ({best['gain']:+.4f})",
        description="How much the GAP of the merged predictions rises by each member: "
        "that of all minus that without it, with 95 % intervals. "
        f"Merged, their GAP is {result['gap']:.4f}; that of the "
        f"best member alone is {frame['GAP'].max():.4f}.",
        interval=("gain from", "gain to"),
        names=["GAP", "weight"],
    )
    decimals = dict.fromkeys(columns, 4)
    page.chart(chart, Table(frame, "members", decimals=decimals))


def _add_correlations(page, whole, names):
    """How alike the members' confidences are."""
    _, scores = ensemble.confidences(*whole[:2])
    found = np.atleast_2d(np.corrcoef(scores))
    rows = [
        (names[a], names[b], found[a, b])
        for a in range(len(names))
        for b in range(len(names))
    ]
    frame = pd.DataFrame(rows, columns=["member", "other", "correlation"])
    pairs = found[~np.eye(len(names), dtype=bool)]
    ends = [f"{end(pairs):.2f}" for end in (np.nanmin, np.nanmax) if pairs.size]
    span = " to ".join(dict.fromkeys(ends)) or "1"
    chart = charts.heat_map(
        frame,
        "member",
        "other",
        Axis("correlation", "correlation of confidences", format=".2f"),
        title=f"Correlations of members: {span}",
        description="Correlation of two members' confidences over all pairs of a video "
        "and a class that any member lists, 0 where one does not list it. Members that "
        "are less alike add more.",
    )
    page.chart(chart, Table(frame, "correlations"))
