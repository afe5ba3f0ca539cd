"""Says what is in shards of records, and how train.py reads them.

    python -m youtube8m.tools.inspect_data 'train*.tfrecord'
    python -m youtube8m.tools.inspect_data 'train*.tfrecord' --json > train.json
    python -m youtube8m.tools.inspect_data 'train*.tfrecord' \\
        --vocabulary_file=vocabulary.csv --report_dir=train_data

It reads all records once and names their level, features, ids, labels, ratings, lengths
and damage, and the flags of a first training. --report_dir writes a page with charts,
report.html, and its tables as CSV.
"""

import dataclasses
import json
import os

from youtube8m import cli
from youtube8m.cli import flags
from youtube8m.config.data import KeysConfig
from youtube8m.config.fields import flag
from youtube8m.data.inspection.inspector import inspect
from youtube8m.data.inspection.listing import as_json, as_text
from youtube8m.data.labels.vocabulary import read_vocabulary
from youtube8m.errors import UserError
from youtube8m.prediction.submission import IDS
from youtube8m.reports import charts, data_page
from youtube8m.util.files import escape_commas

COMMANDS = None  # the words are files or globs


@dataclasses.dataclass(frozen=True)
class InspectionConfig(KeysConfig):
    """What is written, and what is known of the records."""

    report_dir: str = flag("", "Directory to write report.html and its tables to.")
    json: bool = flag(False, "Print JSON with all that was found, not text.")
    vocabulary_file: str = flag(
        "", "CSV of the classes, for their names, their number and their verticals."
    )


flags.define(InspectionConfig)


def main(*patterns: str) -> None:
    """Inspects the shards that are named, or globs of them."""
    config = flags.read(InspectionConfig)
    if not patterns:
        raise UserError("name the shards to look into: 'train*.tfrecord'")
    pattern = patterns[0]
    if len(patterns) > 1:  # a shell expanded a glob
        pattern = ",".join(map(escape_commas, patterns))
    page = os.path.join(config.report_dir, "report.html")
    if config.report_dir:
        charts.import_altair("--report_dir")
    vocabulary = None
    if config.vocabulary_file:
        vocabulary = read_vocabulary(config.vocabulary_file)
    found = inspect(pattern, "GLOB", config, vocabulary, IDS[False])
    if config.report_dir:
        data_page.build(found).write(page, "--report_dir")
    if config.json:
        print(json.dumps(as_json(found), indent=2))
    else:
        print("\n".join(as_text(found)))


if __name__ == "__main__":
    cli.run(main)
