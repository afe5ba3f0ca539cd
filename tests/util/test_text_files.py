"""Text that users bring: all readers take the same, and refuse the same in one line."""

import ast
import bz2
import gzip
import lzma
import pathlib

import pytest

from youtube8m.config import DataConfig, ModelConfig, RunConfig
from youtube8m.data.labels.ratings import read_ratings
from youtube8m.data.labels.segment_classes import read_segment_classes
from youtube8m.data.labels.vocabulary import read_vocabulary
from youtube8m.errors import UserError
from youtube8m.prediction.submission import Submission
from youtube8m.runs.directory import RunDirectory
from youtube8m.tools import convert_prediction_from_json_to_csv as convert
from youtube8m.util.text_files import Line, read_lines, read_table

PACKAGE = pathlib.Path(__file__).parents[2] / "youtube8m"
RUN = RunConfig(DataConfig(("rgb",), (4,), num_classes=3), ModelConfig("LogisticModel"))


def videos(path):
    file = Submission(path, 3)
    return [*file.keys, *file.pairs(range(len(file.keys)))[2]]


def segments(path):
    file = Submission(path, 3)
    return [(key, file.segments(row)) for row, key in enumerate(file.keys)]


def vocabulary(path):
    found = read_vocabulary(path)
    return [found.names, found.verticals, *found.train_counts]


def run_of(path):
    directory = RunDirectory(str(pathlib.Path(path).parent))
    return directory.read_run()


SCORED = "Class,ScoredSegments\n0,a:5:0.5 b:0:0.25\n2,a:0:0.125\n"
READERS = {
    "videos": (videos, "VideoId,LabelConfidencePairs\na,1 0.5 0 0.25\nb,2 0.5\n"),
    "segments": (segments, "Class,Segments\n0,a:5 b:0\n2,a:0\n"),
    "scored": (lambda path: list(Submission(path).lines()), SCORED),
    "vocabulary": (vocabulary, "Index,Name,Vertical1\n0,Game,Games\n1,Car,Cars\n"),
    "verticals": (vocabulary, "0,Games\n1,Cars\n"),
    "classes": (lambda p: list(read_segment_classes(p, 3)), "Index,Name\n2,Car\n"),
    "ratings": (
        lambda path: read_ratings("", "--eval_data_pattern", 3, path),
        "youtube8m ratings: 2 of shards -\n1,1,a:5\n2,0,b:0\n",
    ),
    "JSON lines": (
        lambda path: list(convert._rows(path)),
        '{"video_id": "a", "class_indexes": [1], "predictions": [0.5]}\n'
        '{"video_id": "b", "class_indexes": [0], "predictions": [0.25]}\n',
    ),
    "JSON": (run_of, RUN.to_json()),
}
CSVS = ["videos", "segments", "scored", "vocabulary", "verticals", "classes"]
TAKEN = {
    "mark": lambda text: b"\xef\xbb\xbf" + text,
    "CRLF": lambda text: text.replace(b"\n", b"\r\n"),
    "blank lines": lambda text: b"\n" + text.replace(b"\n", b"\n  \n\n"),
    "no end": lambda text: text.rstrip(b"\n"),
    "mark, CRLF, no end": lambda text: (
        b"\xef\xbb\xbf" + text.replace(b"\n", b"\r\n").rstrip()
    ),
}
REFUSED = {
    "gzip": gzip.compress,
    "bzip2": bz2.compress,
    "xz": lzma.compress,
    "UTF-16": lambda text: text.decode().encode("utf-16"),
    "zero bytes": lambda text: text.replace(b"a", b"\0").replace(b"2", b"\0"),
    "empty": lambda _: b"",
    "mark alone": lambda _: b"\xef\xbb\xbf",
}


@pytest.fixture
def write(tmp_path):
    def written(content):
        path = tmp_path / "model_flags.json"  # the name that a run's file must have
        path.write_bytes(content)
        return str(path)

    return written


@pytest.mark.parametrize("kind", TAKEN)
@pytest.mark.parametrize("reader", READERS)
def test_what_other_programs_save_is_read_alike(write, reader, kind):
    read, text = READERS[reader]
    expected = repr(read(write(text.encode())))
    assert repr(read(write(TAKEN[kind](text.encode())))) == expected


@pytest.mark.parametrize("reader", CSVS)
def test_quotes_around_cells_do_not_count(write, reader):
    read, text = READERS[reader]
    expected = repr(read(write(text.encode())))
    quoted = [
        ",".join(f'"{cell}"' for cell in line.split(",")) for line in text.splitlines()
    ]
    assert repr(read(write("\n".join(quoted).encode()))) == expected


@pytest.mark.parametrize("kind", REFUSED)
@pytest.mark.parametrize("reader", READERS)
def test_what_is_no_text_is_refused_in_one_line(write, reader, kind):
    if (reader, kind) == ("JSON", "UTF-16"):
        pytest.skip("JSON says itself how it is encoded")
    read, text = READERS[reader]
    path = write(REFUSED[kind](text.encode()))
    if reader == "JSON lines" and kind in ("empty", "mark alone"):
        assert read(path) == []  # as other files without a line
        return
    with pytest.raises(UserError) as error:
        read(path)
    message = str(error.value)
    assert "\n" not in message and path in message
    if kind in ("gzip", "bzip2", "xz"):
        assert f"is compressed ({kind}); decompress it" in message


@pytest.mark.parametrize("reader", [n for n in READERS if n != "JSON"])
def test_carriage_returns_alone_are_told(write, reader):
    """As old programs break lines; JSON takes them for blanks."""
    read, text = READERS[reader]
    content = text.replace("\n", "\r") + "\r" + text
    with pytest.raises(UserError, match="line 1 holds carriage returns; save the file"):
        read(write(content.encode()))


@pytest.mark.parametrize("reader", READERS)
def test_a_directory_or_nothing_is_refused_in_one_line(tmp_path, reader):
    if reader != "ratings":  # a cache that does not exist is written
        with pytest.raises(UserError, match="No such file"):
            READERS[reader][0](str(tmp_path / "model_flags.json"))
    (tmp_path / "model_flags.json").mkdir()
    with pytest.raises(UserError, match="[Ii]s a directory"):
        READERS[reader][0](str(tmp_path / "model_flags.json"))


@pytest.mark.parametrize("reader", ["videos", "ratings"])
def test_ids_keep_their_bytes(write, reader):
    read, text = READERS[reader]
    content = text.encode().replace(b"\na,", b"\n\xe9,").replace(b"a:5", b"\xe9:5")
    found = read(write(content))
    assert "\\udce9" in ascii(found)


def test_what_is_not_utf8_is_named_by_its_line(write):
    path = write(b"Index,Name\n0,Game\n\n1,Caf\xe9\n")
    with pytest.raises(UserError, match=rf"{path}: line 4 holds the byte b'\\xe9'"):
        read_vocabulary(path)


def test_lines_know_where_they_are(write):
    path = write(b"\xef\xbb\xbfab\r\n\n c \nd")
    lines = [Line(1, 3, b"ab"), Line(3, 8, b" c "), Line(4, 12, b"d")]
    assert list(read_lines(path)) == lines


def test_cells_may_hold_commas_quotes_and_line_breaks(write):
    path = write(b'a, b\n"x, ""y""","1\n2"\n')
    assert list(read_table(path)) == [(1, ["a", "b"]), (3, ['x, "y"', "1\n2"])]
    with pytest.raises(UserError, match=f"{path}: line 1 is no CSV"):
        list(read_table(write(b'"x" y,z\n')))


# What opens files of its own, and no text that users bring.
OWN = {
    "util/files.py": "lists of files that it wrote",
    "util/text_files.py": "the reader",
    "training/reports.py": "logs that it wrote",
    "cli/startup.py": "the system's streams, the package's sources",
    "tools/demo.py": "predictions that it wrote",
    "data/inspection/shard_records.py": "records",
    "data/reading/tfrecord.py": "records",
    "data/reading/tensorflow_pipeline.py": "records",
    "prediction/submission.py": "a file to be mapped, whose lines the reader finds",
    "runs/archive.py": "archives",
    "cli/stored_help.py": "a text of the package",
    "layers/reverse_whitening.py": "a table of the package",
    "reports/pages.py": "styles and scripts of the package",
    "data/writing/mediapipe.py": "messages of MediaPipe",
    "data/download/downloader.py": "locks, parts of files",
    "data/download/transfer.py": "parts of files",
    "data/download/verified.py": "a list that it wrote, and locks",
    "data/download/youtube_ids.py": "a cache that it wrote",
    "prediction/formats.py": "the first bytes of a file",
    "benchmarks/suite.py": "a vocabulary that it writes",
    "benchmarks/extraction.py": "a video that it writes",
    "config/provenance.py": "a description in a remote store",
    "extraction/description.py": "files of networks, for their digests",
    "extraction/image_networks.py": "a graph",
    "extraction/many_videos.py": "a list that it wrote",
    "extraction/media.py": "videos",
    "extraction/video_predictions.py": "the first bytes of a file",
}
OPENING = {"open", "fdopen", "read_text", "csv.reader", "csv.DictReader"}
OPENING |= {"read_csv", "loadtxt", "genfromtxt", "GFile"}


def opened(path):
    """The calls in a module that may read text."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call):
            owner, _, name = ast.unparse(node.func).rpartition(".")
            shards = name == "open" and (owner == "kind" or owner.endswith("Shards"))
            if not shards and OPENING & {name, f"{owner}.{name}"}:
                yield f"{owner}.{name}"


def test_no_module_reads_text_in_a_way_of_its_own():
    for path in PACKAGE.rglob("*.py"):
        name = str(path.relative_to(PACKAGE))
        found = list(opened(path))
        assert name in OWN or not found, f"{name}: {found}; use util/text_files"
    for name in OWN:
        assert list(opened(PACKAGE / name)), f"{name} opens nothing any more"
