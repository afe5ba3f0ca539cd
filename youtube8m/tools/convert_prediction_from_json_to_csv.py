"""Turns the JSON lines of a batch prediction into a Kaggle CSV.

    python -m youtube8m.tools.convert_prediction_from_json_to_csv \\
        --json_prediction_files_pattern='predictions/prediction.results-*' \\
        --csv_output_file=kaggle_solution.csv

A line is an exported SavedModel's prediction for one video: {"video_id": "aAbc",
"class_indexes": [3, 17], "predictions": [0.99, 0.45]}. A batch of one video (each value
in a list of its own) is accepted too, and a line of Vertex AI's batch prediction, which
has it as `prediction` beside the `instance`.
"""

import dataclasses
import math

from absl import logging

from youtube8m import cli
from youtube8m.cli import flags
from youtube8m.config.fields import NEEDED, Config, flag
from youtube8m.data.reading.shard_files import find_shards
from youtube8m.errors import UserError
from youtube8m.prediction.submission import IDS, VIDEO_HEADER
from youtube8m.util.files import replacing, require_other_file
from youtube8m.util.json import JsonError, parse_json
from youtube8m.util.text_files import read_lines

_KEYS = ("video_id", "class_indexes", "predictions")


@dataclasses.dataclass(frozen=True)
class JsonToCsvConfig(Config):
    """What is converted, and where it goes."""

    json_prediction_files_pattern: str = flag(
        "",
        "Glob of the files of JSON lines; several may be given, comma-separated.",
        NEEDED,
    )
    csv_output_file: str = flag("", "CSV file to write.", NEEDED)


flags.define(JsonToCsvConfig)


def main() -> None:
    """Reads the flags and converts."""
    config = flags.read(JsonToCsvConfig)
    convert(config.json_prediction_files_pattern, config.csv_output_file)


def convert(pattern: str, output: str) -> None:
    """Writes the CSV.

    Raises UserError if no file matches, or a line is not a prediction.
    """
    done, paths = 0, find_shards(pattern, "--json_prediction_files_pattern")
    require_other_file(output, "--csv_output_file", paths)
    known: set[str] = set()
    with replacing(output, "--csv_output_file") as file:
        file.write(VIDEO_HEADER)
        for path in paths:
            for row in _rows(path):
                name = row.partition(",")[0]
                if name in known:
                    logging.warning(
                        "%s: another prediction has the id %r, too; both are written, "
                        "but ensembles refuse such a file",
                        path,
                        name,
                    )
                known.add(name)
                file.write(row)
                done += 1
    logging.info("wrote %d rows: %s", done, output)


def _rows(path):
    """Yields the CSV row of each line of a file; blank lines have none."""
    for number, _, line in read_lines(path):
        try:
            yield parse_json(line, to_csv_row)
        except JsonError as error:
            raise UserError(
                f"{path}: line {number} is no prediction: {error}; expected JSON with "
                f"{', '.join(_KEYS)}"
            ) from None


def to_csv_row(prediction) -> str:
    """One row, its pairs as `%i %f` in the order given.

    Raises ValueError, with the reason, for anything but a prediction.
    """
    if not isinstance(prediction, dict):
        raise ValueError("it is no JSON object")
    inner = prediction.get("prediction")
    prediction = inner if isinstance(inner, dict) else prediction
    missing = [key for key in _KEYS if key not in prediction]
    if missing:
        raise ValueError(f"it lacks {', '.join(missing)}")
    values = [prediction[key] for key in _KEYS]
    if isinstance(values[0], list):  # a batch of one
        if not all(isinstance(value, list) and len(value) == 1 for value in values):
            raise ValueError("it is of several videos, or none")
        values = [value for (value,) in values]
    video_id, classes, scores = values
    # JSON can spell halves of characters, which no file holds: `encode` raises.
    if not isinstance(video_id, str) or not IDS[False].fullmatch(video_id.encode()):
        raise ValueError(f"video_id is {video_id!r}")
    if not isinstance(classes, list) or not all(
        type(value) is int and value >= 0 for value in classes
    ):
        raise ValueError("class_indexes is no list of class ids")
    if not isinstance(scores, list) or not all(
        type(value) in (int, float) and math.isfinite(value) for value in scores
    ):
        raise ValueError("predictions is no list of numbers")
    if len(classes) != len(scores):
        raise ValueError(f"it has {len(classes)} classes, {len(scores)} predictions")
    pairs = [f"{c} {score:f}" for c, score in zip(classes, scores, strict=True)]
    return f"{video_id},{' '.join(pairs)}\n"


if __name__ == "__main__":
    cli.run(main)
