"""The report of one video: its labels over time, and what they rest on.

    print(as_lines(explanation, vocabulary))
    page(explanation, vocabulary, facts, thumbnails).write(path, "--report_dir")

Shapes: N segments, k classes, Q queries of the attention.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from youtube8m.data.labels.vocabulary import Vocabulary
from youtube8m.prediction.names import class_name
from youtube8m.prediction.occlusion import Explanation
from youtube8m.reports.charts import Axis
from youtube8m.reports.pages import Page, Table
from youtube8m.reports.timelines import time_map
from youtube8m.util.text import aligned, decode_id, shortened

NO_FRAMES = (
    "the run takes video-level features, so nothing can be said of parts of the video: "
    "its labels alone are shown; a frame-level run shows them over time"
)
ONE_SEGMENT = (
    "the video has only one segment of five seconds, so none can be left out: there is "
    "no occlusion"
)
_WIDTH = 32  # of a name
_LEAST = 0.0005  # a change that three digits show
_QUERIES = 40  # rows of a chart

_ABOUT_OCCLUSION = (
    "The change of a label's confidence when five seconds are cut out of the video and "
    "the rest moves together. A negative change (orange): the label rests on these "
    "seconds. A positive one (blue): they speak against it."
)
_ABOUT_ATTENTION = (
    "The share of the attention's weight on each five seconds; the shares of a query "
    "sum to 1. It says where the model looks, not what for."
)


def names_of(explanation: Explanation, vocabulary: Vocabulary) -> list[str]:
    """The names [k] of the classes, different for each."""
    names = [shortened(class_name(vocabulary, c), _WIDTH) for c in explanation.classes]
    return [
        f"{name} ({class_id})" if names.count(name) > 1 else name
        for name, class_id in zip(names, explanation.classes, strict=True)
    ]


def labels_frame(explanation: Explanation, vocabulary: Vocabulary) -> pd.DataFrame:
    """A row for each of the k classes."""
    columns = {
        "class": explanation.classes,
        "name": names_of(explanation, vocabulary),
        "confidence": explanation.confidences,
    }
    if explanation.labels is not None:
        known = np.isin(explanation.classes, explanation.labels)
        columns["in the record"] = np.where(known, "yes", "")
    return pd.DataFrame(columns)


def segments_frame(explanation: Explanation, vocabulary: Vocabulary) -> pd.DataFrame:
    """A row for each of N segments and k classes, segment by segment."""
    count, k = explanation.timeline.shape
    starts, ends = explanation.starts, _ends(explanation)
    return pd.DataFrame(
        {
            "from": np.repeat(starts, k),
            "to": np.repeat(ends, k),
            "class": np.tile(explanation.classes, count),
            "label": np.tile(names_of(explanation, vocabulary), count),
            "confidence alone": explanation.timeline.ravel(),
            "change without": explanation.occlusion.ravel(),
        }
    )


_PLACES = {"from": 0, "to": 0}


def _ends(explanation):
    return np.append(explanation.starts[1:], explanation.seconds)


def as_lines(explanation: Explanation, vocabulary: Vocabulary) -> str:
    """The tables as a terminal shows them."""
    labels = labels_frame(explanation, vocabulary)
    head = ("confidence", "class", "name", *labels.columns[3:])
    rows = [
        (f"{row.confidence:.3f}", str(row[1]), row.name_, *row[4:])
        for row in labels.rename(columns={"name": "name_"}).itertuples()
    ]
    lines = [f"video {_title(explanation)}", *aligned([head, *rows], numbers=(0, 1))]
    if explanation.has_frames:
        lines += ["", *_segment_lines(explanation, vocabulary)]
    return "\n".join(lines)


def _segment_lines(explanation, vocabulary):
    """Of each segment the best label alone, and the one that rests on it most."""
    names = names_of(explanation, vocabulary)
    head = ["second", "alone", "best label alone", "change", "rests on it most"]
    rows, numbers = [], [0, 1, 3]
    if explanation.attention is not None:
        head.append("attention")
        numbers.append(5)
    for n, start in enumerate(explanation.starts):
        best = int(explanation.timeline[n].argmax())
        row = [f"{start:g}", f"{explanation.timeline[n, best]:.3f}", names[best]]
        changes = explanation.occlusion[n]
        if np.isfinite(changes).all():
            least = int(changes.argmin())
            name = names[least] if changes[least] <= -_LEAST else ""
            row += [f"{changes[least]:+.3f}", name]
        else:
            row += ["", ""]
        if explanation.attention is not None:
            row.append(f"{explanation.attention[n].mean():.3f}")
        rows.append(row)
    return aligned([head, *rows], numbers=numbers)


def _title(explanation):
    return decode_id(explanation.video_id)


def page(
    explanation: Explanation,
    vocabulary: Vocabulary,
    facts: Mapping[str, object],
    thumbnails: Sequence[bytes] = (),
) -> Page:
    """The page of a video.

    Args:
      facts: what was explained: the run, its checkpoint, the file.
      thumbnails: JPEG of each segment, N of them or none.
    """
    made = Page(f"Why {_title(explanation)} has its labels", "One video, explained")
    made.facts(facts)
    made.section("Labels of the whole video")
    labels = Table(labels_frame(explanation, vocabulary), "labels", "Highest labels")
    made.table(labels, "Confidences of the whole video, the highest first.")
    if not explanation.has_frames:
        made.paragraph(NO_FRAMES[0].upper() + NO_FRAMES[1:] + ".")
        return made
    frame = segments_frame(explanation, vocabulary)
    made.section("Labels over time")
    if len(thumbnails):
        made.gallery(thumbnails, _captions(explanation, vocabulary))
    made.chart(
        time_map(
            frame,
            "label",
            Axis("confidence alone", "confidence"),
            title=_timeline_title(explanation, vocabulary),
            description="What the run says of each five seconds alone, as if they were "
            "the whole video.",
        ),
        Table(frame.drop(columns="change without"), "timeline", decimals=_PLACES),
    )
    _add_occlusion(made, explanation, frame, _occlusion_title(explanation, vocabulary))
    if explanation.attention is not None:
        _add_attention(made, explanation)
    return made


def _captions(explanation, vocabulary):
    names, captions = names_of(explanation, vocabulary), []
    for start, scores in zip(explanation.starts, explanation.timeline, strict=True):
        best = int(scores.argmax())
        minutes, seconds = divmod(round(start), 60)
        captions.append(f"{minutes}:{seconds:02d} {names[best]} {scores[best]:.2f}")
    return captions


def _timeline_title(explanation, vocabulary):
    highest = explanation.timeline.argmax(axis=1)
    counts = np.bincount(highest, minlength=len(explanation.classes))
    name = names_of(explanation, vocabulary)[counts.argmax()]
    return f"{name} is highest in {counts.max()} of {len(highest)} segments alone"


def _occlusion_title(explanation, vocabulary):
    changes = explanation.occlusion
    if not np.isfinite(changes).all() or changes.min() >= 0:
        return "No label loses confidence without five seconds"
    segment, label = np.unravel_index(changes.argmin(), changes.shape)
    name = names_of(explanation, vocabulary)[label]
    change = f"{changes.min():+.2f}".replace("-", "\N{MINUS SIGN}")
    return f"{name} rests most on {_span(explanation, segment)} ({change} without)"


def _span(explanation, segment):
    start, end = explanation.starts[segment], _ends(explanation)[segment]
    return f"seconds {start:g} to {end:g}"


def _add_occlusion(made, explanation, frame, title):
    made.section("What the labels rest on")
    if len(explanation.starts) == 1:
        made.paragraph(ONE_SEGMENT[0].upper() + ONE_SEGMENT[1:] + ".")
        return
    made.chart(
        time_map(
            frame,
            "label",
            Axis("change without", "change", format="+.2~f"),
            title=title,
            description=_ABOUT_OCCLUSION,
            signed=True,
        ),
        Table(frame.drop(columns="confidence alone"), "occlusion", decimals=_PLACES),
    )


def _add_attention(made, explanation):
    shares = explanation.attention
    mean, queries = shares.mean(axis=1), shares.shape[1]
    rows = {"attention": mean}
    if queries > 1:
        rows = {f"mean of {queries} queries": mean}
        if queries <= _QUERIES:
            rows |= {f"query {n}": share for n, share in enumerate(shares.T, 1)}
    most = int(mean.argmax())
    frame = pd.concat(
        pd.DataFrame(
            {
                "from": explanation.starts,
                "to": _ends(explanation),
                "attention of": name,
                "share": share,
            }
        )
        for name, share in rows.items()
    )
    made.section("Attention")
    made.chart(
        time_map(
            frame,
            "attention of",
            Axis("share", "share", format=".0%"),
            title=f"The model attends most to {_span(explanation, most)}, with "
            f"{mean[most]:.0%} of its attention",
            description=_ABOUT_ATTENTION,
        ),
        Table(frame.reset_index(drop=True), "attention", decimals=_PLACES),
    )
