"""Merges files of predictions, measures them, and chooses the weights of an ensemble.

    python -m youtube8m.tools.ensemble select --input_files=a.csv,b.csv \\
        --eval_data_pattern='validate*.tfrecord'
    python -m youtube8m.tools.ensemble merge --input_files=a.csv,b.csv \\
        --weights=2,1 --output_file=merged.csv
    python -m youtube8m.tools.ensemble merge --input_files=a.csv,b.csv \\
        --validation_files=val_a.csv,val_b.csv \\
        --eval_data_pattern='validate*.tfrecord' --output_file=merged.csv
    python -m youtube8m.tools.ensemble score --input_files=merged.csv \\
        --eval_data_pattern='validate*.tfrecord'

merge: the mean of all confidences, uniform or weighted (by each model's GAP, for
example); a class that a file does not list counts 0. Segment CSVs list no confidences:
their ranks are merged.
score: Hit@1, PERR, MAP and GAP of each file, and of several files merged; with
--report_dir also an HTML page.
select: in each step adds the file that raises the merged GAP most.
"""

import collections
import dataclasses
import shlex

import numpy as np
from absl import logging

from youtube8m import cli
from youtube8m.cli import flags
from youtube8m.config import DataConfig, ModelConfig, RunConfig
from youtube8m.config.data import KeysConfig
from youtube8m.config.fields import flag, require_given, split_list
from youtube8m.data.labels.video_labels import read_labels
from youtube8m.data.reading.batch import pad_ids
from youtube8m.errors import UserError
from youtube8m.evaluation.config import EvaluationConfig
from youtube8m.prediction import ensemble, submission
from youtube8m.prediction.config import InferenceConfig
from youtube8m.prediction.formats import CSV, format_of
from youtube8m.prediction.row_files import open_predictions
from youtube8m.prediction.writer import Predictions, open_writer
from youtube8m.reports import ensemble_report
from youtube8m.reports.evaluation_report import Classes
from youtube8m.reports.pages import require_report
from youtube8m.util.files import local_path, replacing, split_paths
from youtube8m.util.progress import Progress
from youtube8m.util.text import encode_id


@dataclasses.dataclass(frozen=True)
class EnsembleConfig(KeysConfig):
    """What is merged or measured; what each sub-command needs it checks itself."""

    input_files: str = flag(
        "", "CSV files, comma-separated; of videos also JSON lines and Parquet."
    )
    output_file: str = flag(
        "", "merge: file to write, a CSV unless it ends in .jsonl or .parquet."
    )
    weights: str = flag(
        "", "merge, score: a weight for each file; they need not sum to 1."
    )
    gaps: str = flag(
        "", "merge, score: instead of weights, each file's GAP on held-out videos."
    )
    validation_files: str = flag(
        "",
        "merge: instead of gaps, each file's counterpart of the videos of "
        "--eval_data_pattern, whose GAP is its weight.",
    )
    top_k: int = flag(EvaluationConfig.top_k, "Predictions per video that are kept.")
    segment_max_pred: int = flag(
        InferenceConfig.segment_max_pred, "merge: segments listed per class, at most."
    )
    eval_data_pattern: str = flag(
        "",
        "score, select, --validation_files: glob of the labelled shards, of any level; "
        "several may be given.",
    )
    num_classes: int = flag(
        DataConfig.num_classes,
        "Number of classes; merge checks class ids against it only if it is given.",
    )
    report_dir: str = flag(
        "",
        "score: directory to write report.html into: what each file adds, how alike "
        "they are, and the merged predictions.",
    )
    vocabulary_file: str = flag(
        "", "score: CSV of the classes, whose names --report_dir shows."
    )


flags.define(EnsembleConfig)


def main(command: str) -> None:
    """Runs a sub-command."""
    COMMANDS[command](flags.read(EnsembleConfig))


def merge(config: EnsembleConfig) -> None:
    """Writes the merged CSV."""
    require_given(config, "input_files", "output_file")
    checked = flags.FLAGS["num_classes"].present
    submissions = _open_files(config, config.num_classes if checked else None)
    weights = _read_weights(config, submissions)
    of_videos = submissions[0].header == submission.VIDEO_HEADER
    write = _write_videos if of_videos else _write_segments
    with replacing(config.output_file, "--output_file", binary=True) as file:
        write(file, config, submissions, weights)
    logging.info(
        "merged %d files with the weights %s into %s",
        len(submissions),
        ", ".join(f"{weight:.4g}" for weight in weights),
        config.output_file,
    )


def _write_videos(file, config, submissions, weights):
    rows, ids = ensemble.align(submissions), submissions[0].keys
    blocks = ensemble.merged_videos(submissions, rows, weights, config.top_k)
    with open_writer(format_of(config.output_file), file) as writer:
        for part, classes, scores in blocks:
            names = ids[part]
            videos = np.arange(len(names))
            listed = classes >= 0
            writer.add(Predictions(names, videos, None, classes, scores, listed))


def _write_segments(file, config, submissions, weights):
    if (form := format_of(config.output_file)) != CSV:
        raise UserError(
            f"--output_file={config.output_file}: merged segments have ranks and no "
            f"confidences, which {form} needs; name a .csv file"
        )
    merged = ensemble.merged_segments(submissions, weights, config.segment_max_pred)
    file.write(submission.SEGMENT_HEADER.encode())
    for class_id, names in merged:
        file.write(encode_id(submission.segment_line(class_id, names)))


def score(config: EnsembleConfig) -> None:
    """Prints the metrics of each file and of the merged result."""
    report = config.report_dir and require_report(
        config.report_dir, ensemble_report.FILE, "--report_dir"
    )
    classes = _read_classes(config)
    submissions, rows, labels = _open_labelled(config)
    weights = _read_weights(config, submissions)
    chosen = [(s.path, [s], [r], [1.0]) for s, r in zip(submissions, rows, strict=True)]
    if len(submissions) > 1:
        chosen.append(("merged", submissions, rows, weights))
    for name, *parts in chosen:
        result = _measure(config, *parts, labels)
        print(
            f"{name}: videos: {result['num_examples']} | "
            f"Hit@1: {result['hit_at_one']:.5f} | PERR: {result['perr']:.5f} | "
            f"MAP: {result['map']:.5f} | GAP: {result['gap']:.5f}",
            flush=True,
        )
    if report:
        first = submissions[0]
        ids = [first.keys[row] for row in rows[0]]
        whole = ensemble_report.Ensemble(submissions, rows, weights, labels, ids)
        sizes = config.num_classes, config.top_k
        paths = ensemble_report.write_report(whole, report, classes, *sizes)
        logging.info("wrote %s and %d tables", report, len(paths) - 1)


def _read_classes(config):
    """The classes that a report names. Raises UserError for an unfit vocabulary."""
    run = RunConfig(DataConfig(num_classes=config.num_classes), ModelConfig())
    return Classes(run, config.vocabulary_file)


def select(config: EnsembleConfig) -> None:
    """Prints the GAP after each pick, and the merge with the weights found."""
    submissions, rows, labels = _open_labelled(config)
    counts = collections.Counter()
    for number, gap in ensemble.select(submissions, rows, labels, config.top_k):
        path = submissions[number].path
        counts[path] += 1
        print(f"pick {counts.total()}: {path} | GAP: {gap:.5f}", flush=True)
    if not counts:
        raise UserError("--input_files: no file lists a right label for any video")
    command = ["python", "-m", "youtube8m.tools.ensemble", "merge"]
    command.append(f"--input_files={','.join(counts)}")
    command.append(f"--weights={','.join(map(str, counts.values()))}")
    command.append(f"--top_k={config.top_k}")
    print(f"{shlex.join(command)} --output_file=merged.csv")


def _measure(config, submissions, rows, weights, labels):
    """`Metrics.result` of merged submissions."""
    blocks = ensemble.merged_videos(submissions, rows, weights, config.top_k)
    return ensemble.evaluate(blocks, labels, config.num_classes, config.top_k)


def _open_labelled(config, files="input_files"):
    """The submissions, their rows of the labelled videos, and the labels [V, L]."""
    require_given(config, files, "eval_data_pattern")
    submissions = _open_files(config, config.num_classes, files)
    if submissions[0].header != submission.VIDEO_HEADER:
        raise UserError(
            f"{submissions[0].path}: lists segments; expected a CSV of videos "
            f"({submission.VIDEO_HEADER.strip()}); python -m "
            "youtube8m.tools.segment_eval_inference measures segments"
        )
    flag = "--eval_data_pattern"
    labels = read_labels(config.eval_data_pattern, flag, config.num_classes, config)
    ids = list(labels)
    rows = [ensemble.find_rows(ids, s, flag) for s in submissions]
    message = "%s: %d videos have no labelled record; ignored"
    for file in submissions:
        if others := len(file.keys) - len(ids):
            logging.warning(message, file.path, others)
    return submissions, rows, pad_ids(list(labels.values()))


def _open_files(config, num_classes, files="input_files"):
    """The files that a flag lists, all of one form."""
    paths = split_paths(getattr(config, files))
    opened = dict.fromkeys(paths)
    with Progress("indexing", len(opened), "file") as progress:
        for done, path in enumerate(opened, 1):
            file = open_predictions(local_path(path, f"--{files}"), num_classes)
            file.require_merged()
            opened[path] = file
            progress.update(done)
    submissions = [opened[path] for path in paths]
    submission.require_one_form(submissions, "merge files of one form")
    return submissions


def _read_weights(config, submissions):
    """The normalised weights, by --weights or GAPs; uniform without."""
    names = ("weights", "gaps", "validation_files")
    name, *others = [name for name in names if getattr(config, name)] or ["weights"]
    if others:
        raise UserError(f"--{' and --'.join([name, *others])} are both given; give one")
    given = split_list(getattr(config, name)) or ("1",) * len(submissions)
    flag, count = f"--{name}={getattr(config, name)}", len(submissions)
    if len(given) != count:
        raise UserError(f"{flag}: {len(given)} for {count} files; give one for each")
    if name == "validation_files":
        files, rows, labels = _open_labelled(config, name)
        given = [
            _measure(config, [file], [own_rows], [1.0], labels)["gap"]
            for file, own_rows in zip(files, rows, strict=True)
        ]
    try:
        return ensemble.normalized([float(weight) for weight in given])
    except ValueError as error:
        raise UserError(f"{flag}: {error}") from None


COMMANDS = {"merge": merge, "score": score, "select": select}


if __name__ == "__main__":
    cli.run(main)
