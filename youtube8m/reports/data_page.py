"""The page of an inspection: what is in some shards, in charts and tables.

build(inspect("train*.tfrecord", "--flag")).write("data/report.html", "--report_dir")
"""

import math
import os
import textwrap

import numpy as np
import pandas as pd

from youtube8m.data.inspection import listing, training_flags
from youtube8m.data.inspection.inspector import FeatureFacts, Inspection
from youtube8m.prediction.formats import id_to_text
from youtube8m.reports import charts
from youtube8m.reports.charts import Axis, Chart
from youtube8m.reports.pages import Page, Table, valid_text
from youtube8m.schema import BYTES

_BINS = 60  # of whole numbers, at most
_VERTICALS = 12  # in the chart
_NARROW = 40  # letters of a line of a command, which phones show
_SHARE = ".0%"


def build(found: Inspection) -> Page:
    """The page of what was found; it is not written yet."""
    known = training_flags.release(found)
    page = Page(
        f"What is in {found.pattern}",
        f"{found.records:,} records in {len(found.files):,} files"
        + (f", like those of {known}" if known else ""),
    )
    page.section("Overview")
    page.facts(listing.facts(found))
    _add_command(page, found)
    if notes := training_flags.notes(found):
        page.section("What to know")
        for note in notes:
            page.paragraph(note)
    if found.problems.total:
        _add_problems(page, found)
    if found.doubles:
        _add_doubles(page, found)
    if found.labelled:
        _add_labels(page, found)
    if found.ratings.records:
        _add_ratings(page, found)
    if found.frames:
        page.section("Lengths")
        page.chart(*_lengths(found))
    if found.features:
        _add_features(page, found)
    page.section("Files")
    page.table(_files(found), f"In {_top(found)}." if _top(found) else "")
    return page


def _add_command(page, found):
    flags = training_flags.training_flags(found)
    if flags:
        page.paragraph("A first training on these files:")
        lines = listing.as_command("python train.py", flags, _NARROW)
        page.code(textwrap.dedent("\n".join(lines)))
    elif words := training_flags.data_flags(found):
        page.paragraph("No training is possible, but these flags read the records:")
        page.code("\n".join(words))


def _add_problems(page, found):
    problems = found.problems
    page.section("Problems")
    kinds = pd.DataFrame(problems.kinds.most_common(), columns=["problem", "records"])
    page.table(Table(kinds, "problem_kinds", "What is wrong, and how often"))
    rows = [
        (
            _short(p.file, found),
            _or_whole(p.record),
            _or_whole(p.offset),
            valid_text(p.what),
        )
        for p in problems.listed
    ]
    frame = pd.DataFrame(rows, columns=["file", "record", "byte", "problem"])
    where = Table(
        frame,
        "problems",
        "Where it is",
        {"record": "Number in the file, from 0; -1: the file as a whole."},
    )
    page.table(where, f"{len(rows):,} of {problems.total:,} problems.")


def _add_doubles(page, found):
    """Where records with the same id are."""
    page.section("Doubled ids")
    rows = [
        (id_to_text(double.id), _short(path, found), offset)
        for double in found.doubles
        for path, offset in double.places
    ]
    frame = pd.DataFrame(rows, columns=["id", "file", "byte"])
    page.table(Table(frame, "doubled_ids", "Ids that several records have"))


def _or_whole(number):
    return -1 if number is None else number


def _short(path, found):
    """A path below the directory of all files."""
    top = _top(found)
    return valid_text(os.path.relpath(path, top) if top else path)


def _add_labels(page, found):
    page.section("Labels")
    classes = _classes(found)
    table = classes.drop(columns="rank")
    table = Table(table, "classes", "Classes that occur", decimals={"share": 4})
    page.chart(_frequencies(classes, found), table, shown=False)
    page.table(table)
    page.chart(*_labels_per_video(found))
    if found.labels.together is not None:
        page.chart(*_together(found))


def _classes(found):
    counts = found.labels.per_class
    order = np.argsort(-counts, kind="stable")
    order = order[counts[order] > 0]
    columns = {
        "rank": np.arange(1, len(order) + 1),
        "class": order,
        "name": [listing.name_of_class(found, c) for c in order.tolist()],
        "videos": counts[order],
        "share": counts[order] / found.labelled,
    }
    vocabulary = found.vocabulary
    if vocabulary is None:
        del columns["name"]
    elif vocabulary.num_verticals:
        columns["vertical"] = [_vertical(vocabulary, c) for c in order.tolist()]
    return pd.DataFrame(columns)


def _vertical(vocabulary, class_id):
    number = vocabulary.vertical_of[class_id]
    return str(vocabulary.verticals[number]) if number >= 0 else ""


def _frequencies(classes, found):
    first, rare = classes["videos"].iloc[0], int((classes["videos"] < 10).sum())
    names = [name for name in ("class", "name") if name in classes]
    tenth = classes["videos"].iloc[: math.ceil(len(classes) / 10)].sum()
    share = tenth / classes["videos"].sum()
    return charts.points(
        classes,
        Axis("rank", "rank of the class", log=True),
        Axis("videos", "videos", log=True),
        title=f"A tenth of the classes has {share:.0%} of all labels",
        description=(
            f"Videos of each of {len(classes):,} classes, the most frequent first: "
            f"{first:,} videos have it. {rare:,} classes have fewer than 10."
        ),
        names=names,
    )


def _labels_per_video(found):
    counts = found.labels.per_video
    title = f"Videos have {listing.describe_counts(counts)} labels"
    return _of_numbers(counts, "labels", "labelled videos", title, "labels_per_video")


def _lengths(found):
    title = f"Videos have {listing.describe_counts(found.frames)} frames"
    return _of_numbers(found.frames, "frames", "videos", title, "lengths")


def _of_numbers(counts, x, y, title, name) -> tuple[Chart, Table]:
    """A histogram of whole numbers, in bins of one or more of them, and its table."""
    low, high = min(counts), max(counts)
    step = math.ceil((high - low + 1) / _BINS)
    edges = np.arange(low, high + step + 1, step)
    values, _ = np.histogram([*counts], edges, weights=[*counts.values()])
    values = values.astype(np.int64)
    frame = pd.DataFrame({"from": edges[:-1], "to": edges[1:] - 1, y: values})
    if step == 1:
        frame = frame.drop(columns="to").rename(columns={"from": x})
    bins = f"Bins hold {step} numbers." if step > 1 else "Each bin is one number."
    chart = charts.histogram(
        edges - 0.5,
        {y: values},
        x,
        y,
        title=title,
        description=f"{counts.total():,} {y} by their number of {x}. {bins}",
    )
    return chart, Table(frame, name)


def _together(found):
    together, names = found.labels.together, found.vocabulary.verticals
    alone = np.diag(together)
    order = np.argsort(-alone, kind="stable")
    order = order[alone[order] > 0].tolist()
    rows = [
        (str(names[one]), str(names[other]), int(together[one, other]), alone[one])
        for one in order
        for other in order
    ]
    frame = pd.DataFrame(rows, columns=["has", "also has", "videos", "of"])
    frame["share"] = frame["videos"] / frame.pop("of")
    shown = {str(names[one]) for one in order[:_VERTICALS]}
    drawn = frame[frame["has"].isin(shown) & frame["also has"].isin(shown)]
    others = frame[frame["has"] != frame["also has"]]
    seen = drawn[drawn["has"] != drawn["also has"]]
    title = "No video has labels of two of these verticals"
    if seen["videos"].any():
        most = seen.loc[seen["share"].idxmax()]
        title = f"{most['share']:.0%} of {most['has']} is also {most['also has']}"
    chart = charts.heat_map(
        drawn,
        "also has",
        "has",
        Axis("share", "share of videos", format=_SHARE),
        title=title,
        description=(
            "Of the videos with a label of the row's vertical, the share that also has "
            f"one of the column's. The {len(shown)} most frequent verticals; the table "
            "has all."
        ),
        names=["videos"],
        x_title="also has a label of",
        y_title="has a label of",
    )
    return chart, Table(others, "verticals_together")


def _add_ratings(page, found):
    ratings = found.ratings
    page.section("Rated segments")
    rows = [
        (class_id, listing.name_of_class(found, class_id), count)
        for class_id, count in ratings.classes.most_common()
    ]
    frame = pd.DataFrame(rows, columns=["class", "name", "ratings"])
    if found.vocabulary is None:
        del frame["name"]
    page.facts({"ratings": listing.facts(found)["ratings"]})
    page.table(Table(frame, "rated_classes", "Classes that are rated"))


def _add_features(page, found):
    page.section("Features")
    rows = []
    for feature in found.features:
        values = feature.values
        numbers = [math.nan] * 5
        constant = -1
        if values:
            constant = len(values.constant)
            numbers = [
                *(values.minimum, values.maximum, values.mean, values.deviation),
                values.zeros,
            ]
        stored, size = listing.stored_as(feature), feature.size
        rows.append((valid_text(feature.name), size, stored, *numbers, constant))
    names = ["feature", "size", "stored as", "from", "to", "mean", "std", "zeros"]
    frame = pd.DataFrame(rows, columns=[*names, "constant"])
    notes = {
        "zeros": "Share of values that are 0.",
        "constant": "Dimensions that have one value or hardly vary, of the size.",
    }
    page.table(Table(frame, "features", "What is read of each record", notes))
    page.begin_columns()
    for number, feature in enumerate(found.features):
        if feature.values:
            page.chart(_values_of(feature), f"values{number}")
    page.end_columns()


def _values_of(feature: FeatureFacts) -> Chart:
    values, is_byte = feature.values, feature.stored == BYTES
    what = "bytes" if is_byte else "values"
    low, high = _middle(values)
    mean = f"{values.mean:.4g}, standard deviation {values.deviation:.3g}"
    ends = "" if is_byte else " The first and last bins also have what lies beyond."
    return charts.histogram(
        values.edges,
        {what: np.array(values.counts)},
        f"{'byte' if is_byte else 'value'} of {feature.name}",
        what,
        title=f"95% of the {what} of {feature.name} lie between {low:.3g} and "
        f"{high:.3g}",
        description=(
            f"{sum(values.counts):,} {what} of {values.rows:,} vectors, spread over "
            f"all records: mean {mean}.{ends}"
        ),
    )


def _middle(values):
    """Between which edges 95 % of the values lie."""
    share = np.cumsum(values.counts) / sum(values.counts)
    first, last = np.searchsorted(share, [0.025, 0.975])
    return values.edges[first], values.edges[last + 1]


def _files(found):
    rows = [
        (
            _short(file.path, found),
            file.bytes,
            file.records,
            file.usable,
            found.problems.by_file[file.path],
            file.compression.lower(),
        )
        for file in found.files
    ]
    names = ["file", "bytes", "records", "usable", "problems", "compressed"]
    return Table(pd.DataFrame(rows, columns=names), "files", "What each file holds")


def _top(found):
    """The directory that all files are in; "" if they have none."""
    folders = {os.path.dirname(file.path) for file in found.files}
    if any("://" in folder for folder in folders):
        return ""
    return os.path.commonpath(map(os.path.abspath, folders))
