"""An inspection as text for a terminal, and as values for JSON.

print("\\n".join(as_text(found)))
json.dumps(as_json(found))
"""

import dataclasses
from collections import Counter
from typing import Any

import numpy as np

from youtube8m.data.inspection import training_flags
from youtube8m.data.inspection.inspector import FeatureFacts, Inspection
from youtube8m.schema import BYTES, FLOAT_LIST
from youtube8m.util.text import aligned, file_size, shortened

_CLASSES, _PROBLEMS, _KINDS = 5, 10, 10  # listed in text
_WIDTH = 100  # of a class's name, a problem
LEVELS = {"frame": "frames: a vector for each second", "video": "one vector per video"}


def as_text(found: Inspection) -> list[str]:
    """The lines of a summary, with all that a user must do something about."""
    facts = [row for row in _facts(found) if row[1]]
    lines = aligned(facts)
    if found.features:
        lines += ["", *_feature_table(found)]
    if found.labelled:
        lines += ["", *_class_table(found)]
    if found.problems.total:
        lines += ["", *_problem_lines(found)]
    if notes := training_flags.notes(found):
        lines += ["", "What to know:", *(f"- {note}" for note in notes)]
    return [*lines, "", *_command(found)]


def facts(found: Inspection) -> dict[str, str]:
    """Names and values of what a user wants to know first."""
    return {name: value for name, value in _facts(found) if value}


def _facts(found):
    yield "files", _files(found)
    yield "records", _records(found)
    level = LEVELS.get(found.level, "no record can be read")
    known = training_flags.release(found)
    yield "level", level + (f" ({known})" if known else "")
    yield "id key", _id_line(found)
    yield "labels key", found.look.found_labels or ("none" if found.usable else "")
    if found.usable:
        yield "labels", _label_line(found)
    if found.frames:
        yield "frames", f"{describe_counts(found.frames)} per video"
    yield "ratings", _rating_line(found)


def _files(found):
    kinds = Counter(file.compression.lower() for file in found.files)
    packed = [f"{count} by {kind}" for kind, count in kinds.items() if kind]
    size = file_size(sum(file.bytes for file in found.files))
    more = f", compressed: {', '.join(packed)}" if packed else ""
    return f"{len(found.files):,} ({size}{more})"


def _records(found):
    parts = [f"{found.records:,}"]
    if found.usable != found.records:
        parts.append(f"{found.usable:,} of them usable")
    if found.problems.total:
        parts.append(f"{found.problems.total:,} problems")
    return ", ".join(parts)


def _id_line(found):
    if not found.usable:
        return found.look.found_id
    ids = ", ".join(repr(name)[1:-1] for name in found.some_ids)
    doubled = f", {found.doubled:,} doubled" if found.doubled else ", all different"
    return f"{found.look.found_id}, such as {shortened(ids, 70)}{doubled}"


def _label_line(found):
    if not found.labelled:
        return "none"
    counts, seen = found.labels.per_video, int((found.labels.per_class > 0).sum())
    said = f"{describe_counts(counts)} per labelled video; {seen:,} classes occur"
    said += f", the highest is {found.highest_label:,}"
    if missing := found.usable - found.labelled:
        said += f"; {missing:,} records without"
    return said


def _rating_line(found):
    ratings = found.ratings
    if not ratings.records:
        return ""
    share = ratings.present / max(1, ratings.ratings)
    return (
        f"{ratings.ratings:,} of {ratings.segments:,} segments in {ratings.records:,} "
        f"records, {len(ratings.classes):,} classes; {share:.0%} say that it is present"
    )


def describe_counts(counts: Counter[int]) -> str:
    """'1 to 23, median 3' of numbers and how often each occurs."""
    values = sorted(counts)
    if len(values) == 1:
        return f"{values[0]:,}"
    half, below = sum(counts.values()) / 2, 0
    for median in values:
        below += counts[median]
        if below >= half:
            break
    return f"{values[0]:,} to {values[-1]:,}, median {median:,}"


STORED_AS = {BYTES: "a byte a value (quantised)", FLOAT_LIST: "float list"}


def stored_as(feature: FeatureFacts) -> str:
    """How the values of a feature are stored, in words."""
    words = STORED_AS.get(feature.stored, f"{feature.stored}, as bytes")
    return words if feature.sure else f"{words}?"


def _feature_table(found):
    rows = [("feature", "size", "stored as", "from", "to", "mean", "std", "zeros")]
    for feature in found.features:
        values = feature.values
        cells = [""] * 5
        if values:
            numbers = (values.minimum, values.maximum, values.mean, values.deviation)
            cells = [*(f"{number:.4g}" for number in numbers), f"{values.zeros:.1%}"]
        rows.append((feature.name, f"{feature.size:,}", stored_as(feature), *cells))
    return aligned(rows, numbers=(1, 3, 4, 5, 6, 7))


def name_of_class(found: Inspection, class_id: int) -> str:
    """The name of a class; "" without a vocabulary, or where it has none."""
    names = found.vocabulary.names if found.vocabulary else ()
    return str(names[class_id]) if class_id < len(names) else ""


def _class_table(found):
    counts = found.labels.per_class
    order = np.argsort(-counts, kind="stable")[:_CLASSES]
    rows = [("most frequent class", "videos", "share")]
    for class_id in order[counts[order] > 0].tolist():
        name = shortened(f"{class_id} {name_of_class(found, class_id)}".strip(), _WIDTH)
        share = counts[class_id] / found.labelled
        rows.append((name, f"{counts[class_id]:,}", f"{share:.1%}"))
    return aligned(rows, numbers=(1, 2))


def place(problem) -> str:
    """Where a problem is, as it is printed."""
    if problem.record is None:
        return problem.file
    return f"{problem.file}: record {problem.record:,} at byte {problem.offset:,}"


def _problem_lines(found):
    problems = found.problems
    kinds = problems.kinds.most_common(_KINDS)
    lines = ["problems:"]
    lines += aligned([(f"  {count:,}", kind) for kind, count in kinds], numbers=(0,))
    if len(problems.kinds) > _KINDS:
        lines.append(f"  and {len(problems.kinds) - _KINDS:,} other kinds")
    lines.append("where:")
    for problem in problems.listed[:_PROBLEMS]:
        said = shortened(problem.what, _WIDTH)
        separator = " " if problem.record is not None else ": "
        lines.append(f"  {place(problem)}{separator}{said}")
    if problems.total > _PROBLEMS:
        rest = problems.total - min(_PROBLEMS, len(problems.listed))
        lines.append(f"  and {rest:,} more: --json or --report_dir lists 1,000")
    for double in found.doubles[:3]:
        places = [f"{path} at byte {offset:,}" for path, offset in double.places]
        at = ", ".join(places[:3])
        lines.append(f"  the id {double.id!r} is in {at}")
    return lines


def _command(found):
    flags = training_flags.training_flags(found)
    if flags:
        return ["Train with:", *as_command("python train.py", flags)]
    words = training_flags.data_flags(found)
    if words:
        return ["How they are read:", f"  {' '.join(words)}"]
    return ["No flags make train.py read these files."]


def as_command(program: str, flags: list[str], width: int = 84) -> list[str]:
    """The lines of a command for a shell, indented."""
    lines = [f"  {program}"]
    for word in flags:
        if len(lines[-1]) + len(word) > width:
            lines[-1] += " \\"
            lines.append("     ")
        lines[-1] += f" {word}"
    return lines


def as_json(found: Inspection) -> dict[str, Any]:
    """All that is known, as JSON holds it; a class's number of videos by its id."""
    labels, ratings = found.labels, found.ratings
    per_class = {str(c): int(n) for c, n in enumerate(labels.per_class) if n}
    return {
        "pattern": found.pattern,
        "training_flags": training_flags.training_flags(found),
        "data_flags": training_flags.data_flags(found),
        "notes": training_flags.notes(found),
        "data_set": training_flags.release(found),
        "level": found.level,
        "num_classes": training_flags.num_classes(found),
        "id_key": found.look.found_id,
        "labels_key": found.look.found_labels,
        "records": found.records,
        "usable": found.usable,
        "labelled": found.labelled,
        "without_labels": found.without_labels,
        "empty_labels": found.empty_labels,
        "features": [_feature_values(feature) for feature in found.features],
        "frames_per_video": _by_number(found.frames),
        "labels_per_video": _by_number(labels.per_video),
        "videos_per_class": per_class,
        "ratings": {
            **dataclasses.asdict(ratings),
            "classes": _by_number(ratings.classes),
        },
        "doubled_ids": found.doubled,
        "doubles": [dataclasses.asdict(double) for double in found.doubles],
        "unfit_ids": found.num_unfit_ids,
        "other_kinds": [
            {
                "kind": str(other.kind),
                "records": other.records,
                "files": sorted(other.files),
            }
            for other in found.other_kinds
        ],
        "other_keys": [key._asdict() for key in found.look.other_keys],
        "problem_kinds": dict(found.problems.kinds.most_common()),
        "problems": [problem._asdict() for problem in found.problems.listed],
        "files": [
            {
                **dataclasses.asdict(file),
                "problems": found.problems.by_file[file.path],
            }
            for file in found.files
        ],
    }


def _feature_values(feature):
    values = dataclasses.asdict(feature)
    if feature.values:
        values["values"]["constant"] = list(feature.values.constant)
    return values


def _by_number(counts):
    return {str(number): counts[number] for number in sorted(counts)}
