"""Merges the files that inference.py or eval.py wrote with --num_shards.

    for i in 0 1 2 3; do
      python inference.py --num_shards=4 --shard_index=$i --output_file=part$i.csv ...
    done
    python -m youtube8m.tools.merge_shards --num_shards=4 \\
        --output_file=kaggle_solution.csv \\
        --input_files=part0.csv,part1.csv,part2.csv,part3.csv

JSON lines and Parquet are merged as CSVs are. Files of --metrics_file need no
--output_file: the figures of all are printed. If the files come in their order, the
result is that of one process over all of the data.
"""

import collections
import dataclasses
import zipfile

import numpy as np
from absl import logging

from youtube8m import cli
from youtube8m.cli import flags
from youtube8m.config.fields import NEEDED, Config, flag, require_given
from youtube8m.errors import UserError
from youtube8m.evaluation.evaluator import log_result, merged_parts
from youtube8m.prediction import formats, submission
from youtube8m.prediction.config import InferenceConfig
from youtube8m.prediction.row_files import merge_parts
from youtube8m.util.files import (
    local_path,
    replacing,
    require_other_file,
    split_paths,
)


@dataclasses.dataclass(frozen=True)
class MergeConfig(Config):
    """What is merged, and where it goes."""

    input_files: str = flag("", "Files of all parts, comma-separated.", NEEDED)
    output_file: str = flag("", "File to write, in the format of the others.")
    num_shards: int | None = flag(
        None, "Files that there must be, so that none is forgotten."
    )
    segment_max_pred: int = flag(
        InferenceConfig.segment_max_pred, "Segments listed per class, at most."
    )

    def __post_init__(self):
        super().__post_init__()
        given = len(split_paths(self.input_files))
        if self.num_shards not in (None, given):
            raise UserError(
                f"--input_files: names {given} files, but --num_shards="
                f"{self.num_shards}; name the file of each part"
            )


flags.define(MergeConfig)


def main() -> None:
    """Merges by the form of the first file."""
    config = flags.read(MergeConfig)
    paths = [local_path(p, "--input_files") for p in split_paths(config.input_files)]
    if zipfile.is_zipfile(paths[0]):
        metrics, step = merged_parts(paths, "--input_files")
        log_result(metrics.result(), step)
        return
    require_given(config, "output_file")
    require_other_file(config.output_file, "--output_file", paths)
    if formats.find_format(paths[0]) != formats.CSV:
        with replacing(config.output_file, "--output_file", binary=True) as file:
            merge_parts(paths, file)
    else:
        _merge_csv(paths, config)
    logging.info("merged %d files into %s", len(paths), config.output_file)


def _merge_csv(paths, config):
    parts = [submission.Submission(path, may_be_empty=True) for path in paths]
    header, lines = _merge(parts, config.segment_max_pred)
    with replacing(config.output_file, "--output_file", binary=True) as file:
        file.write(header.encode())
        file.writelines(lines)


def _merge(parts, segment_max_pred):
    """The header, and the rows as bytes, of all parts."""
    submission.require_one_form(parts, "merge the shards of one run of inference.py")
    first = parts[0]
    if first.header == submission.VIDEO_HEADER:
        _check_once(parts)
        return first.header, (line for part in parts for line in part.lines())
    if first.header == submission.SCORED_SEGMENT_HEADER:
        return submission.SEGMENT_HEADER, _segment_lines(parts, segment_max_pred)
    raise UserError(
        f"{first.path}: lists no confidences, so it is not one of several parts; "
        "predict with --num_shards, or merge models with python -m "
        "youtube8m.tools.ensemble"
    )


def _check_once(parts):
    """Raises UserError if two files list a video."""
    seen: dict[str, str] = {}
    for part in parts:
        for key in part.keys:
            if key in seen:
                raise UserError(
                    f"{part.path}: lists {key}, as {seen[key]} does; give the file of "
                    "each shard once, all of one --num_shards"
                )
            seen[key] = part.path


def _segment_lines(parts, max_per_class):
    """Yields each class's segments, those of equal confidence in the files' order."""
    rows_of = collections.defaultdict(list)
    for part in parts:
        for row, class_id in enumerate(part.keys):
            rows_of[class_id].append((part, row))
    for class_id, rows in sorted(rows_of.items()):
        found = [part.scored_segments(row) for part, row in rows]
        names = [name for part, _ in found for name in part]
        if len(set(names)) < len(names):
            raise UserError(
                f"--input_files: class {class_id} has a segment twice; give the file "
                "of each shard once, all of one --num_shards"
            )
        order = np.argsort(-np.concatenate([s for _, s in found]), kind="stable")
        best = [names[n] for n in order[:max_per_class]]
        yield submission.segment_line(class_id, best).encode()


if __name__ == "__main__":
    cli.run(main)
