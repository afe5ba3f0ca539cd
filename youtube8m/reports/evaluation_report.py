"""The report of an evaluation: report.html, and the tables behind it as CSV files.

    report = EvaluationReport(config, trained, shards.paths)
    report.begin("/tmp/moe/model.ckpt-100")
    report.add(batch, top, loss)                   # each batch
    report.end(metrics.result())                   # writes the files

`Evaluator` calls these where it is given a report.
"""

import dataclasses
import datetime
import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from absl import logging

from youtube8m.config import RunConfig
from youtube8m.data.download.addresses import Addresses
from youtube8m.data.download.youtube_ids import RECORD_ID, YOUTUBE_ID
from youtube8m.data.labels.vocabulary import Vocabulary, read_vocabulary
from youtube8m.evaluation.config import EvaluationConfig
from youtube8m.prediction.formats import id_to_text
from youtube8m.prediction.predictor import TrainedRun
from youtube8m.reports import charts, statistics
from youtube8m.reports.charts import Axis
from youtube8m.reports.pages import Page, Table, require_report
from youtube8m.reports.statistics import Collector, Pool, Replicates
from youtube8m.util.text import decode_id

FILE = "report.html"
_FEW = 5  # videos; a class with fewer gets no interval
_MISTAKES = 50
_METRICS = {  # name -> title, meaning
    "gap": ("GAP", "Average precision of the pooled predictions, in one ranking."),
    "map": ("mAP", "Mean over classes of their average precision."),
    "hit_at_one": ("Hit@1", "Share of {examples} whose best prediction is a label."),
    "perr": (
        "PERR",
        "Mean precision among as many predictions as the {example} has labels.",
    ),
    "loss": ("Loss", "Mean of the label loss."),
}


class EvaluationReport:
    """Collects one evaluation at a time, and writes its report.

    Args:
      config: report_dir and vocabulary_file say where to write, and the names.
      trained: the run.
      paths: of the shards.

    Raises UserError if the directory cannot be written, the extra `report` is not
    installed, or the vocabulary does not fit the run.
    """

    def __init__(
        self, config: EvaluationConfig, trained: TrainedRun, paths: Sequence[str]
    ):
        self._config, self._trained, self._paths = config, trained, paths
        self._path = require_report(config.report_dir, FILE, "--report_dir")
        self._classes = Classes(trained.run, config.vocabulary_file)
        self._prefix, self._collector = "", None

    def begin(self, prefix: str) -> None:
        """Forgets what was collected: the checkpoint `prefix` is evaluated next."""
        self._prefix = prefix
        count = self._trained.run.data.num_classes
        self._collector = Collector(count, self._config.top_k)

    def add(self, batch: Mapping[str, Any], top: Mapping[str, Any], loss) -> None:
        """Adds a batch, its `metrics.top_predictions` and its loss [B]."""
        rated, starts = (batch.get(name) for name in ("rated", "segment_start"))
        self._collector.add(batch["id"], top, batch["labels"], loss, rated, starts)

    def end(self, result: Mapping[str, Any]) -> None:
        """Writes the report of all batches, whose metrics are `result`."""
        pool = self._collector.pool()
        self._collector = None  # its memory is needed
        replicates = statistics.bootstrap(pool)
        run, config = self._trained.run, self._config
        page = Page(
            f"Evaluation of {run.model.model}",
            f"{os.path.basename(self._prefix)} on {len(pool.ids):,} "
            f"{examples_name(pool)} of {config.eval_data_pattern}",
        )
        page.section("What was evaluated")
        page.facts(self._facts(pool))
        add_sections(page, pool, replicates, result, self._classes)
        written = page.write(self._path, "--report_dir")
        logging.info("wrote %s and %d tables", self._path, len(written) - 1)

    def _facts(self, pool):
        run, config, data = self._trained.run, self._config, self._trained.run.data
        features = zip(data.feature_names, data.feature_sizes, strict=False)
        level = "frames" if data.frame_features else "video level"
        classifier = run.model.video_level_classifier_model
        encodes = data.frame_features and classifier
        counted = f"{len(pool.ids):,} {examples_name(pool)}"
        if pool.starts is not None:
            counted += f" of {pool.num_videos:,} videos"
        elif pool.num_videos < len(pool.ids):
            counted += f", {pool.num_videos:,} different ids"
        parameters = self._trained.model.count_params()
        return {
            "Run": self._trained.directory.path,
            "Checkpoint": os.path.basename(self._prefix),
            "Model": run.model.model + (f" and {classifier}" if encodes else ""),
            "Parameters": f"{parameters:,}",
            "Features": ", ".join(f"{name} ({size})" for name, size in features)
            + f"; {level}",
            "Data": f"{config.eval_data_pattern} ({len(self._paths):,} shards)",
            "Evaluated": counted,
            "Classes": f"{data.num_classes:,}, of which "
            f"{np.count_nonzero(pool.positives):,} occur",
            "Names of classes": config.vocabulary_file or "none given",
            "Flags": [*_given_flags(config)] or "none",
            "Date": datetime.datetime.now().astimezone().isoformat(" ", "minutes"),
        }


class Classes:
    """What is known of the classes of a run: names, verticals, frequencies.

    Attributes:
      names: C texts; "class 17" where there is no name.
      verticals, vertical_of: as in Vocabulary; empty, and -1 each, if not known.
      train_counts: int64 [C], videos of the training split, or None.

    Raises UserError if the vocabulary cannot be read or has another number of classes.
    """

    def __init__(self, run: RunConfig, vocabulary_file: str = ""):
        count, vocabulary = run.data.num_classes, None
        if vocabulary_file:
            vocabulary = read_vocabulary(vocabulary_file, count)
        self.names = class_names(count, vocabulary)
        self.verticals: tuple[str, ...] = ()
        self.vertical_of = np.full(count, -1)
        counts = np.array(run.model.class_counts, np.int64)
        if vocabulary:
            self.verticals = vocabulary.verticals
            self.vertical_of = vocabulary.vertical_of
            counts = (
                vocabulary.train_counts if vocabulary.train_counts.any() else counts
            )
        elif run.model.verticals:
            self.verticals = tuple(map(str, range(run.model.num_verticals)))
            self.vertical_of = np.array(run.model.verticals)
        self.train_counts = counts if counts.any() else None

    def vertical_names(self) -> list[str]:
        """The vertical of each class; '' where none is known."""
        named = (*self.verticals, "")
        return [named[vertical] for vertical in self.vertical_of]


def class_names(count: int, vocabulary: Vocabulary | None) -> list[str]:
    """The names of `count` classes, 'class 17' where there is none."""
    names = vocabulary.names if vocabulary else [""] * count
    return [name or f"class {number}" for number, name in enumerate(names)]


def examples_name(pool: Pool) -> str:
    """What the examples are called."""
    return "videos" if pool.starts is None else "segments"


def id_link(video_id: bytes) -> str | None:
    """Where a video can be found by its id: the data set's look-up, or YouTube."""
    text = decode_id(video_id)
    if RECORD_ID.fullmatch(text):
        return Addresses("").youtube_id(text)
    if YOUTUBE_ID.fullmatch(text):
        return f"https://www.youtube.com/watch?v={text}"
    return None


def add_sections(
    page: Page,
    pool: Pool,
    replicates: Replicates,
    result: Mapping[str, Any],
    classes: Classes,
) -> None:
    """Adds all sections but the first, from `result`, the metrics of the evaluation."""
    add_overall(page, pool, replicates, result)
    _add_ranking(page, pool, result)
    _add_confidences(page, pool)
    table = class_table(pool, replicates, result, classes)
    _add_classes(page, pool, replicates, table, classes)
    if pool.rated is not None:
        _add_ratings(page, pool, table)
    _add_mistakes(page, pool, result, classes)


def add_overall(page, pool, replicates, result) -> None:
    """Adds the metrics of all examples with their intervals."""
    page.section("Overall")
    drawn = {"gap": replicates.gap, "map": replicates.map, **replicates.means}
    words = {"examples": examples_name(pool), "example": examples_name(pool)[:-1]}
    rows = []
    for name, (title, meaning) in _METRICS.items():
        if name in result and name in drawn:
            ends = statistics.interval(drawn[name], result[name])
            rows.append((title, result[name], *ends, meaning.format(**words)))
    columns = ["metric", "value", "from", "to", "meaning"]
    frame = pd.DataFrame(rows, columns=columns)
    table = Table(
        frame,
        "overall",
        "Metrics of the whole evaluation",
        decimals=dict.fromkeys(columns, 4),
    )
    page.table(
        table,
        f"From and to: 95 % interval, by {len(replicates.gap):,} data sets drawn from "
        f"these {pool.num_videos:,} videos (Poisson bootstrap). It says how much the "
        "metric varies from one set of so many videos to the next.",
    )


def _add_ranking(page, pool, result):
    """Precision against recall, and GAP against k."""
    page.section("Ranking")
    width, gap = pool.scores.shape[1], result["gap"]
    example = examples_name(pool)[:-1]
    page.paragraph(
        f"The {width} highest predictions of each {example} stand in one "
        "ranking, from high to low confidence. GAP is the area under its curve of "
        "precision against recall. A label that is not among them lowers recall."
    )
    page.begin_columns()
    curve = statistics.precision_recall(pool)
    reached = curve["recall"].max()
    half = curve["precision"][(curve["recall"] - reached / 2).abs().idxmin()]
    chart = charts.line(
        curve.assign(zero=0.0),
        Axis("recall", "recall: share of the labels found", limits=(0, 1)),
        Axis("precision", "precision: share that is right", limits=(0, 1)),
        title=f"At most {_percent(reached)} of the labels are found, half of these "
        f"with a precision of {_percent(half)}",
        description=f"Precision against recall of the pooled top {width}. The shaded "
        f"area is GAP, {gap:.4f}: as large as that below the dashed line.",
        band=("zero", "precision"),
        level=(gap, f"GAP {gap:.3f}"),
    )
    page.chart(chart, Table(curve, "precision_recall", decimals={"confidence": 5}))
    growth = statistics.gap_against_k(pool)
    best = growth.loc[growth["GAP"].idxmax()]
    enough = growth["k"][growth["GAP"] >= 0.99 * best["GAP"]].min()
    title = f"{enough} predictions of each {example} reach 99 % of the GAP"
    if best["GAP"] > gap + 0.001:
        title = f"GAP is highest with {best['k']:.0f} predictions of each {example}"
    chart = charts.line(
        growth,
        Axis("k", f"predictions of each {example} that count (k)"),
        Axis("GAP", "GAP", zero=True),
        title=title,
        description=f"GAP against k: {growth['GAP'].iloc[0]:.3f} with k = 1, and "
        f"{gap:.3f}, the GAP of this evaluation, with k = {width}.",
        marked=[(width, gap, f"{gap:.3f}")],
    )
    page.chart(chart, Table(growth, "gap_against_k", decimals={"GAP": 4}))
    page.end_columns()


def _add_confidences(page, pool):
    """How far a confidence can be trusted."""
    page.section("Confidence")
    page.paragraph(
        "A model is calibrated if, of all predictions with a confidence of 0.8, 80 % "
        "are right. The expected calibration error is the mean distance between both, "
        "over all predictions that count."
    )
    page.begin_columns()
    frame, error = statistics.reliability(pool)
    sure = frame[frame["mean confidence"] >= 0.5]
    wanted = (sure["share right"] * sure["predictions"]).sum()
    promised = (sure["mean confidence"] * sure["predictions"]).sum()
    kind = "too high" if promised > wanted else "too low"
    if not len(sure) or abs(promised - wanted) < 0.02 * sure["predictions"].sum():
        kind = "about right"
    chart = charts.line(
        frame,
        Axis("mean confidence", "mean confidence of the predictions", limits=(0, 1)),
        Axis("share right", "share that is right", limits=(0, 1)),
        title=f"A confidence is off by {error:.2f} on average",
        description="Reliability: how often predictions are right, against their "
        "confidence. On the dashed line a model is calibrated; below it, its "
        f"confidences are too high. Those above 0.5 are {kind}. Expected calibration "
        f"error: {error:.4f}.",
        diagonal=True,
    )
    decimals = {"mean confidence": 4, "share right": 4, "from": 2, "to": 2}
    page.chart(chart, Table(frame, "reliability", decimals=decimals))
    edges, counts = statistics.count_confidences(pool)
    right, wrong = (counts[name].sum() for name in ("right", "wrong"))
    chart = charts.histogram(
        edges,
        counts,
        "confidence",
        "predictions (logarithmic)",
        title=f"{_percent(right / max(right + wrong, 1))} of the predictions are right",
        description=f"How many of the {right:,} right and {wrong:,} wrong predictions "
        "have each confidence. The axis is logarithmic.",
        log_y=True,
    )
    frame = pd.DataFrame({"from": edges[:-1], "to": edges[1:], **counts})
    page.chart(chart, Table(frame, "confidences"))
    page.end_columns()


def class_table(pool, replicates, result, classes) -> pd.DataFrame:
    """A row for each class: counts, average precision, and the best threshold."""
    positives = pool.positives
    found = result["average_precisions"]
    low, high = statistics.interval(replicates.average_precisions, found).clip(0, 1)
    few = positives < _FEW
    frame = pd.DataFrame({"class": np.arange(pool.num_classes), "name": classes.names})
    if classes.verticals:
        frame["vertical"] = classes.vertical_names()
    if classes.train_counts is not None:
        frame["training videos"] = classes.train_counts
    frame[examples_name(pool)] = positives
    if pool.rated is not None:
        frame["rated"] = pool.rated
    frame["AP"] = found
    frame["AP from"] = np.where(few, np.nan, low)
    frame["AP to"] = np.where(few, np.nan, high)
    return pd.concat([frame, statistics.best_thresholds(pool)], axis=1)


def _add_classes(page, pool, replicates, frame, classes):
    """Average precisions of classes and verticals."""
    page.section("Classes")
    examples = examples_name(pool)
    notes = {
        "training videos": "Videos of the training split, by the vocabulary",
        examples: f"{examples.capitalize()} of this evaluation that have the class",
        "AP": "Average precision: how well the class' own predictions are ranked",
        "AP from": f"95 % interval; none with fewer than {_FEW} {examples}",
        "AP to": f"95 % interval; none with fewer than {_FEW} {examples}",
        "listed": f"{examples.capitalize()} with the class among their predictions",
        "threshold": "Confidence from which the class is best predicted (highest F1)",
        "precision": "Share that is right, from the threshold on",
        "recall": "Share of the labels found, from the threshold on",
        "F1": "Harmonic mean of precision and recall at the threshold",
    }
    table = Table(frame, "classes", "All classes", notes, decimals={"threshold": 4})
    frequency, title = "training videos", "training videos (logarithmic)"
    if classes.train_counts is None:
        frequency, title = examples, f"{examples} of this evaluation (logarithmic)"
    seen = frame[np.isfinite(frame["AP"])]
    names = [name for name in ("name", "vertical") if name in frame]
    chart = charts.points(
        seen,
        Axis(frequency, title, log=True),
        Axis("AP", "average precision", limits=(0, 1)),
        title=_frequency_title(seen[frequency], seen["AP"]),
        description=f"Each point is one of the {len(seen):,} classes that occur: its "
        f"average precision against its number of {frequency}.",
        names=names,
    )
    page.chart(chart, table, shown=False)
    if classes.verticals:
        _add_verticals(page, replicates, frame, classes)
    page.table(
        table,
        "Classes that do not occur have no average precision. Threshold: the "
        "confidence with the highest F1; precision and recall are those of all "
        "predictions from it on.",
    )


def _frequency_title(counts, precisions):
    """What the cloud of classes shows."""
    order = np.argsort(counts.to_numpy(), kind="stable")
    third = max(len(order) // 3, 1)
    values = precisions.to_numpy()
    rare, frequent = (np.median(values[o]) for o in (order[:third], order[-third:]))
    word = "lower" if rare < frequent - 0.02 else "about the same"
    word = "higher" if rare > frequent + 0.02 else word
    return (
        f"Average precision is {word} for rare classes: median {rare:.2f} of the "
        f"rarest third, {frequent:.2f} of the most frequent"
    )


def _add_verticals(page, replicates, frame, classes):
    """Mean average precision of each vertical, as bars."""
    count = len(classes.verticals)
    drawn = replicates.group_means(classes.vertical_of, count)
    rows = []
    for number, name in enumerate(classes.verticals):
        found = frame["AP"][classes.vertical_of == number].dropna()
        if len(found):
            mean = found.mean()
            ends = statistics.interval(drawn[:, number], mean).clip(0, 1)
            rows.append((name, mean, *ends, len(found)))
    columns = ["vertical", "mAP", "from", "to", "classes"]
    table = pd.DataFrame(rows, columns=columns).sort_values("mAP", ascending=False)
    if table.empty:
        return
    best, worst = table.iloc[0], table.iloc[-1]
    chart = charts.bars(
        table,
        "vertical",
        Axis("mAP", "mean average precision", zero=True),
        title=f"{best['vertical']} is predicted best ({best['mAP']:.2f}), "
        f"{worst['vertical']} worst ({worst['mAP']:.2f})",
        description="Mean average precision of each vertical's classes that occur, "
        "with 95 % intervals.",
        interval=("from", "to"),
        names=["classes"],
    )
    page.chart(chart, Table(table, "verticals"))


def _add_ratings(page, pool, frame):
    """Which classes are rated, and how well their segments are ranked."""
    page.section("Ratings of segments")
    rated = frame[frame["rated"] > 0]
    present, total = int(rated["segments"].sum()), int(rated["rated"].sum())
    page.paragraph(
        f"{total:,} ratings of {len(rated):,} classes; in {present:,} of them "
        f"({_percent(present / max(total, 1))}) the class is present. Segments that "
        "are not rated for a class do not count for it. The mean of their average "
        "precisions is the mAP@K of the challenge of 2019, where K exceeds the rated "
        "segments of a class."
    )
    columns = {"segments": "present", "AP": "mAP@K"}
    table = rated[["class", "name", "rated", "segments", "AP"]].rename(columns=columns)
    table.insert(4, "share present", table["present"] / table["rated"])
    chart = charts.points(
        table.dropna(subset=["mAP@K"]),
        Axis("rated", "rated segments (logarithmic)", log=True),
        Axis("mAP@K", "average precision", limits=(0, 1)),
        title=f"{len(rated):,} of {len(frame):,} classes are rated, the median one in "
        f"{rated['rated'].median():.0f} segments",
        description="Each point is a class with a present segment: its average "
        "precision against the number of its ratings.",
        names=["name"],
    )
    page.chart(chart, Table(table, "ratings"))


def _add_mistakes(page, pool, result, classes):
    """What costs most GAP: pairs of labels, and videos."""
    page.section("Mistakes")
    cost, names = statistics.costs(pool), classes.names
    examples = examples_name(pool)
    page.paragraph(
        "The cost of a wrong prediction is how much GAP would rise without it. It is "
        "high where the confidence is high, because many right predictions stand below."
    )
    pairs, extra = statistics.confused_pairs(pool, cost)
    total = cost.sum()
    table = pd.DataFrame(
        {
            "wrong": [names[number] for number in pairs["wrong"]],
            "before the label": [names[number] for number in pairs["present"]],
            "cost in GAP": pairs["cost"],
            examples: pairs["videos"],
        }
    )
    decimals = {"cost in GAP": 6}
    shown = table.head(20)
    if len(shown):
        words = shown["wrong"] + "\nbefore " + shown["before the label"]
        shown = shown.assign(pair=words)
        first = shown.iloc[0]
        chart = charts.bars(
            shown,
            "pair",
            Axis("cost in GAP", "cost in GAP"),
            title=f"“{first['wrong']}” before “{first['before the label']}” costs most",
            description="The 20 pairs of a wrong prediction and a label of the video "
            "below it that cost most GAP, summed over videos.",
            names=[examples],
        )
        says = Table(table, "confused_pairs", decimals=decimals)
        page.chart(chart, says)
    page.paragraph(
        f"{_percent(extra / max(total, 1e-12))} of the cost of all wrong predictions "
        "are extra labels, which stand below all labels of their video."
    )
    chosen = statistics.most_expensive(pool, cost, _MISTAKES)
    ids = [id_to_text(decode_id(pool.ids[n])) for n in chosen]
    links = [id_link(pool.ids[n]) for n in chosen]
    if pool.starts is not None:
        ids = [f"{i}:{pool.starts[n]}" for i, n in zip(ids, chosen, strict=True)]
    labels = statistics.labels_of(pool, chosen)
    worst = pd.DataFrame(
        {
            examples[:-1]: ids,
            "its labels (confidence)": [
                _labels_text(pool, n, of, names)
                for n, of in zip(chosen, labels, strict=True)
            ],
            "wrong predictions (confidence)": [
                _wrong_text(pool, n, cost[n], names) for n in chosen
            ],
            "cost in GAP": cost[chosen].sum(axis=1),
        }
    )
    table = Table(
        worst,
        "expensive_mistakes",
        f"The {len(worst)} most expensive {examples}",
        links={examples[:-1]: links},
        decimals=decimals,
    )
    page.table(
        table,
        "A link asks the data set's server which video on YouTube it is; a video that "
        "was deleted has no answer.",
    )


def _labels_text(pool, example, labels, names):
    listed = dict(
        zip(pool.classes[example].tolist(), pool.scores[example], strict=True)
    )
    words = [
        f"{names[label]} ({listed[label]:.2f})"
        if label in listed
        else f"{names[label]} (not listed)"
        for label in labels.tolist()
    ]
    return ", ".join(words) or "no label"


def _wrong_text(pool, example, cost, names, count=5):
    """The wrong predictions that cost most."""
    order = [n for n in np.argsort(-cost, kind="stable")[:count] if cost[n] > 0]
    return ", ".join(
        f"{names[pool.classes[example, n]]} ({pool.scores[example, n]:.2f})"
        for n in order
    )


def _percent(share):
    return f"{100 * share:.0f} %"


def _given_flags(config):
    """The flags that are not at their default, as typed."""
    for field in dataclasses.fields(config):
        value = getattr(config, field.name)
        if field.metadata.get("help") and value != field.default:
            yield f"--{field.name}={value}"
