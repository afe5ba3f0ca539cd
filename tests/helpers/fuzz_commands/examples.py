"""One example: an odd situation, commands in it, and a judgement of how they end."""

import csv
import json
import os
import random
import re
import shutil

import tensorflow as tf

from tests.helpers.fuzz_commands import oddities, warm
from tests.helpers.fuzz_commands.oddities import CLASSES, SIZE
from youtube8m.data.reading import messages, tfrecord
from youtube8m.data.reading.damage import Damage
from youtube8m.prediction.formats import CSV, find_format
from youtube8m.prediction.row_files import PredictionRows, read_rows
from youtube8m.prediction.submission import Submission
from youtube8m.util.files import escape_commas
from youtube8m.util.text import encode_id

FEATURE = {"video": "mean_rgb", "frame": "rgb", "floats": "rgb"}
MODEL = {"video": "LogisticModel", "frame": "FrameLevelLogisticModel"}
MODEL["floats"] = MODEL["frame"]
DTYPES = {"video": (), "frame": (), "floats": ("float16",)}
_LOST = re.compile(
    r"^(\d+|an unknown number of) records\b.* could not be read", re.MULTILINE
)
_FLAGS = re.compile(r"^FATAL Flags parsing error:", re.MULTILINE)


class Fault(Exception):
    """A command that did not end as it should."""


class Example:
    """An odd situation, by its seed, in a folder of its own.

    Args:
      runs: a directory with a run of each kind of records, `video`, `frame` and
        `floats`.
    """

    def __init__(self, seed: int, folder: str, runs: str, fresh_share: float):
        self.rng = rng = random.Random(seed)
        self.level = rng.choice(["video", "frame", "floats"])
        self.fresh = rng.random() < fresh_share
        self.folder = self._directory(folder, oddities.name(rng))
        self.environment = oddities.environment(rng, self.fresh)
        os.makedirs(os.path.join(self.folder, "keras"), exist_ok=True)
        with open(os.path.join(self.folder, "keras", "keras.json"), "w") as file:
            floatx = rng.choice(["float16", "float64", "nonsense"])
            file.write(rng.choice(["{", json.dumps({"floatx": floatx})]))
        os.makedirs(os.path.join(self.folder, "tmp"), exist_ok=True)
        self.limits = oddities.limits(rng)
        odd = rng.random() < 0.1
        self.closed = rng.choice([(1,), (2,), (1, 2)]) if odd else ()
        self.oddness = rng.choice([0, 0.1, 0.3])
        self.runs, self.ended = runs, []

    def _directory(self, *parts):
        path = os.path.join(*parts)
        os.makedirs(path, exist_ok=True)
        return path

    def play(self) -> None:
        """Runs one of the scenes. Raises Fault."""
        self.rng.choice(SCENES)(self)

    def run(self, tool: str, *flags: str) -> warm.Ended:
        """Runs a command and judges how it ends, not what it wrote."""
        command = [tool, *flags]
        values = (self.environment, self.limits, self.closed, self.fresh)
        ended = warm.run(command, self.folder, *values)
        self.ended.append(ended)
        if ended.status is None:
            raise Fault("hangs")
        if ended.status < 0:
            raise Fault(f"ended by signal {-ended.status}")
        if "Traceback" in ended.log or "Exception ignored" in ended.log:
            raise Fault("stack trace")
        errors = [n for n in ended.log.splitlines() if n.startswith("error: ")]
        is_told = len(errors) == 1 and ended.log.splitlines()[-1] == errors[0]
        is_told = is_told or _FLAGS.search(ended.log) or 2 in self.closed
        if ended.status and not is_told:
            raise Fault(f"status {ended.status} without one line at the end")
        if not ended.status and errors:
            raise Fault("an error, and status 0")
        return ended

    def data(self, level=None) -> oddities.Data:
        """Shards in a directory of an odd name."""
        folder = self._directory(self.folder, oddities.name(self.rng), "data")
        return oddities.shards(self.rng, level or self.level, folder, self.oddness)

    def pattern(self, data: oddities.Data) -> str:
        """The glob as a user writes it in a list."""
        spelled = oddities.spelled(self.rng, data.pattern, self.folder)
        return escape_commas(spelled)

    def run_copy(self) -> str:
        """A trained run in a directory of an odd name."""
        path = os.path.join(self.folder, f"r{oddities.name(self.rng)}"[:255])
        shutil.copytree(os.path.join(self.runs, self.level), path, dirs_exist_ok=True)
        return oddities.spelled(self.rng, path, self.folder)

    def new(self, suffix: str) -> str:
        """A path to write."""
        path = os.path.join(self.folder, f"{oddities.name(self.rng)}{suffix}")
        return oddities.output(self.rng, path)

    def real(self, path: str) -> str:
        """Where a command in this folder finds what is called `path`."""
        return os.path.join(self.folder, path)

    def flags(self) -> list[str]:
        """Odd flags, whose effect on the output is not known."""
        return oddities.flags(self.rng)


def _lost(log):
    told = _LOST.findall(log)
    return int(told[-1]) if told and told[-1].isdigit() else len(told)


def _is_file(path):
    return os.path.isfile(path) and not os.path.islink(path)


def check_ids(data, found, segments=False):
    """The ids in an output are those of the sound records that it can hold."""
    ids = {one.id for one in data.records if oddities.fits(one.id, segments)}
    if strange := set(found) - ids - {b"second"}:
        raise Fault(f"unknown or unfit ids in the output: {sorted(strange)[:3]}")
    wanted = {one.id for one in data.records if one.sound} & ids
    if missing := wanted - set(found):
        raise Fault(f"sound records are not in the output: {sorted(missing)[:3]}")


def check_rows(example, data, ended, found):
    """Every usable record is listed; all others are told."""
    check_ids(data, found)
    if example.closed and 2 in example.closed:
        return
    told = _lost(ended.log) + ended.log.count("another video has the id")
    total = len(data.records)
    if data.exact and len(found) + told != total:
        raise Fault(f"{total} records: {len(found)} written, {told} told")
    if len(found) < total and not told and "is empty" not in ended.log:
        raise Fault(f"{total} records: {len(found)} written, nothing told")


def csv_ids(path):
    """The ids of a CSV of videos, which the package and Python must read alike."""
    ids = [key.encode("utf-8", "surrogateescape") for key in _keys(path)]
    with open(path, newline="", encoding="utf-8", errors="surrogateescape") as file:
        rows = list(csv.reader(file))[1:]
    other = [row[0].encode("utf-8", "surrogateescape") for row in rows]
    if other != ids or any(len(row) != 2 for row in rows):
        raise Fault("the CSV means something else to Python's reader")
    for _, pairs in rows:
        try:
            numbers = [float(n) for n in pairs.split()]
        except ValueError:
            numbers = []
        if not numbers or len(numbers) % 2 or not all(n >= 0 for n in numbers):
            raise Fault(f"a row lists {pairs[:60]!r}")
    return ids


def read_ids(path):
    """The ids of predictions of videos, in any of the formats."""
    try:
        if find_format(path) == CSV:
            return csv_ids(path)
        rows = [row for _, row in read_rows(path)]
        if rows:
            PredictionRows(path, CLASSES)
    except ValueError as error:
        raise Fault(f"the package cannot read what it wrote: {error}") from None
    return [encode_id(row["id"]) for row in rows]


def read_again(example, path):
    """`ensemble merge` of what inference.py wrote has its ids."""
    ids, output = read_ids(path), example.real("again.csv")
    files = f"--input_files={escape_commas(path)}"
    ended = example.run("ensemble", "merge", files, f"--output_file={output}")
    plain = not (example.limits or example.environment or example.closed)
    if ended.status and ids and plain:
        raise Fault("what inference.py wrote is refused")
    if not ended.status and csv_ids(output) != ids:
        raise Fault("a merged file has other ids")


def _keys(path):
    try:
        return Submission(path, CLASSES, may_be_empty=True).keys
    except ValueError as error:
        raise Fault(f"the package cannot read what it wrote: {error}") from None


def _infer(example, data, run, output, *flags):
    """Runs inference.py with a run on data."""
    return example.run(
        "inference",
        f"--train_dir={run}",
        f"--input_data_pattern={example.pattern(data)}",
        f"--output_file={output}",
        *flags,
    )


def predict(example: Example) -> None:
    """inference.py of videos."""
    data, odd = example.data(), example.flags()
    output = example.new(example.rng.choice([".csv", ".csv", ".jsonl", ".parquet"]))
    ended = _infer(example, data, example.run_copy(), output, *odd)
    path = example.real(output)
    if ended.status:
        if _is_file(path):
            raise Fault("an error, and a CSV")
    elif not odd:
        if os.path.isfile(path):
            check_rows(example, data, ended, read_ids(path))
            if example.rng.random() < 0.3:
                read_again(example, path)
        elif not os.path.exists(path):
            raise Fault("status 0 without a CSV")


def predict_parts(example: Example) -> None:
    """inference.py in two processes, their files merged."""
    data, run = example.data(), example.run_copy()
    ending = example.rng.choice(["", ".jsonl", ".parquet"])
    parts, logs = [], ""
    for index in range(2):
        name = f"{index}{oddities.name(example.rng)}"
        parts.append(example.real(f"{name}{ending}"))
        part = ("--num_shards=2", f"--shard_index={index}")
        ended = _infer(example, data, run, parts[-1], *part)
        logs += ended.log
        if ended.status:
            return
    output = example.real(f"merged{ending or '.csv'}")
    files = ",".join(map(escape_commas, parts))
    ended = example.run(
        "merge_shards", f"--input_files={files}", f"--output_file={output}"
    )
    ids = [key for part in parts for key in read_ids(part)]
    if not ended.status and read_ids(output) != ids:
        raise Fault("merged shards have other rows than the shards")
    check_ids(data, ids)


def predict_segments(example: Example) -> None:
    """inference.py of segments: every video has some."""
    example.level = "frame"
    data, output = example.data(), example.new(".csv")
    wanted = ("--segment_labels", f"--top_k={CLASSES}")
    ended = _infer(example, data, example.run_copy(), output, *wanted)
    path = example.real(output)
    if not ended.status and os.path.isfile(path):
        _keys(path)
        file = Submission(path, CLASSES, may_be_empty=True)
        listed = [name for row in range(len(file.keys)) for name in file.segments(row)]
        found = {
            name.rpartition(":")[0].encode("utf-8", "surrogateescape")
            for name in listed
        }
        check_ids(data, found, segments=True)


def evaluate(example: Example) -> None:
    """eval.py: what it counts and what it lost is what there is."""
    data, odd = example.data(), example.flags()
    ended = example.run(
        "eval",
        f"--train_dir={example.run_copy()}",
        f"--eval_data_pattern={example.pattern(data)}",
        "--run_once",
        *odd,
    )
    if ended.status or odd or 2 in example.closed:
        return
    if any(one.fatal and one.sound for one in data.records):
        raise Fault("a wrong label passed")
    done = re.findall(r"examples_processed: (\d+)", ended.log)
    if "epoch/eval number" not in ended.log or not done:
        raise Fault("no figures")
    if "nan" in ended.log.partition("epoch/eval")[2].split("\n")[0]:
        raise Fault("figures are not numbers")
    count = len(data.records)
    if data.exact and int(done[-1]) + _lost(ended.log) != count:
        raise Fault(f"{count} records: {done[-1]} counted, {_lost(ended.log)} told")


def train(example: Example) -> None:
    """train.py, new or going on, then its run is read."""
    data, odd, level = example.data(), example.flags(), example.level
    goes_on = example.rng.random() < 0.3
    run = example.run_copy() if goes_on else example.new("")
    flags = [
        f"--train_dir={run}",
        f"--train_data_pattern={example.pattern(data)}",
        f"--num_classes={CLASSES}",
        f"--model={MODEL[level]}",
        *("--batch_size=8", "--num_epochs=1", "--max_steps=4"),
    ]
    if level == "floats" or example.rng.random() < 0.7:
        flags += [f"--feature_names={FEATURE[level]}", f"--feature_sizes={SIZE}"]
        flags += ["--frame_features"] * (level != "video")
        flags += [f"--feature_dtypes={dtype}" for dtype in DTYPES[level]]
    ended = example.run("train", *flags, *odd)
    if ended.status or odd:
        return
    names = os.listdir(example.real(run))
    if not any(name.endswith(".index") for name in names):
        raise Fault("status 0 without a checkpoint")
    if goes_on and "from scratch" in ended.log:
        raise Fault("the run began anew")
    if any("temp" in name for name in names):
        raise Fault(f"temporary files stay: {sorted(names)}")
    unusable = [one for one in data.records if not one.sound]
    short = len(data.records) <= 24  # all are read
    if unusable and short and data.exact and not goes_on and 2 not in example.closed:
        doubled = [one for one in unusable if one.id == b"v0000"]
        if len(unusable) > len(doubled) and not _lost(ended.log):
            raise Fault("unusable records, and no word of them")


def export(example: Example) -> None:
    """export of each format, into a new or an older directory."""
    output = example.new("")
    kind = example.rng.choice(["savedmodel", "mediapipe", "keras", "x"])
    flags = (f"--train_dir={example.run_copy()}", f"--output_dir={output}")
    for _ in range(example.rng.choice([1, 1, 2])):
        ended = example.run("export", *flags, f"--format={kind}", *example.flags())
        if not ended.status and not os.listdir(example.real(output)):
            raise Fault("status 0 without an export")


def extract(example: Example) -> None:
    """extract_descriptors: a record for each record, under the same id."""
    example.level = "frame"
    data, output = example.data(), example.new("d")
    odd, labels = example.flags(), example.rng.random() < 0.5
    ended = example.run(
        "extract_descriptors",
        f"--train_dir={example.run_copy()}",
        f"--input_data_pattern={example.pattern(data)}",
        f"--output_dir={output}",
        *(() if labels else ("--nolabels",)),
        *odd,
    )
    folder = example.real(output)
    if ended.status or odd or not os.path.isdir(folder):
        return
    found = []
    for name in sorted(os.listdir(folder)):
        if name.startswith("descriptors"):
            path = os.path.join(folder, name)
            for _, one in tfrecord.read_records(path, Damage(strict=True)):
                context, _ = messages.split_sequence_example(one)
                found += messages.byte_strings(one, context["id"])
    if labels:
        for one in data.records:
            one.sound = one.sound and one.labelled
    total = len(found) + _lost(ended.log)
    if data.exact and 2 not in example.closed and total != len(data.records):
        raise Fault(f"{len(found)} of {len(data.records)} written, not all told")
    wanted = {one.id for one in data.records if one.sound and not one.fatal}
    if not labels and (missing := wanted - {*found}):
        raise Fault(f"sound records have no descriptor: {sorted(missing)[:3]}")


def label(example: Example) -> None:
    """predict: a table of the videos in files of records."""
    data, odd = example.data(), example.flags()
    odd += ["--timeline"] * (example.level != "video" and example.rng.random() < 0.5)
    path = example.pattern(data).replace("\\,", ",")
    words = (f"--train_dir={example.run_copy()}", "--top_k=1", *odd, "--", path)
    ended = example.run("predict", *words)
    if ended.status or [flag for flag in odd if flag != "--timeline"]:
        return
    wanted = [one.id for one in data.records if one.sound and one.id[:2] == b"v0"]
    told = ended.log.encode()
    if not example.closed and (lost := [name for name in wanted if name not in told]):
        raise Fault(f"sound records are not in the table: {lost[:3]}")


def _clip(rng, kind):
    """A clip as MediaPipe writes it, of two features; or something like it."""
    clip = tf.train.SequenceExample()
    count = 0 if kind == "no frames" else rng.randrange(1, 5)
    for prefix in ("RGB",) if kind == "no audio" else ("RGB", "AUDIO"):
        for second in range(count):
            size = SIZE + (kind == "size" and second == count - 1)
            values = [rng.choice([float("nan"), 9e9]) if kind == "value" else 0.5]
            lists = clip.feature_lists.feature_list
            frame = lists[f"{prefix}/feature/floats"].feature.add()
            frame.float_list.value.extend(values * size)
            if kind != "no times":
                time = lists[f"{prefix}/feature/timestamp"].feature.add()
                time.int64_list.value.append(second * 1_000_000)
    labels = clip.context.feature["clip/label/index"].int64_list.value
    labels.append(-1 if kind == "label" else 1)
    return clip.SerializeToString()


def convert_clips(example: Example) -> None:
    """convert_mediapipe: a record of each clip, or a word of it."""
    rng, paths = example.rng, []
    kinds = ["no audio", "size", "value", "no times", "no frames", "junk", "label"]
    for number in range(rng.randrange(1, 5)):
        odd = rng.choice(kinds) if rng.random() < 2 * example.oddness else "plain"
        path = os.path.join(example.folder, f"c{number}{oddities.name(rng)}")
        data = rng.randbytes(rng.randrange(40)) if odd == "junk" else _clip(rng, odd)
        with open(path, "wb") as file:
            file.write(data)
        paths.append(oddities.spelled(rng, path, example.folder))
    output, flags = example.new(".tfrecord"), example.flags()
    flags += rng.choice([[], ["--quantize"], ["--zero_missing"], ["--strict_data"]])
    words = (f"--output_file={output}", *flags, "--", *map(escape_commas, paths))
    ended, path = example.run("convert_mediapipe", *words), example.real(output)
    if not ended.status and os.path.isfile(path) and 2 not in example.closed:
        written = len([*tfrecord.read_records(path, Damage(strict=True))])
        told = re.findall(r"^(\d+) videos could not", ended.log, re.MULTILINE)
        if written + sum(map(int, told)) != len(paths):
            raise Fault(f"{len(paths)} clips: {written} written, {told} told")


def fetch(example: Example) -> None:
    """download from a server that does not answer."""
    words = (f"--directory={example.new('')}", "--base_url=http://127.0.0.1:9")
    what = example.rng.choice(["--vocabulary", "--partition=2/video/validate"])
    ended = example.run("download", *words, what, "--tries=1", *example.flags())
    if not ended.status:
        raise Fault("status 0 without a file")


def average(example: Example) -> None:
    """average_checkpoints."""
    output = example.new("")
    which = example.rng.choice(
        ["--last=2", "--last=0", "--last=9", "--checkpoints=model.ckpt-1,model.ckpt-2"]
    )
    flags = (f"--train_dir={example.run_copy()}", f"--output_dir={output}", which)
    ended = example.run("average_checkpoints", *flags, *example.flags())
    if not ended.status and not any(
        name.endswith(".index") for name in os.listdir(example.real(output))
    ):
        raise Fault("status 0 without a checkpoint")


_TEXTS = {
    "as it is": lambda text: text,
    "mark": lambda text: b"\xef\xbb\xbf" + text,
    "crlf": lambda text: text.replace(b"\n", b"\r\n"),
    "blank lines": lambda text: text.replace(b"\n", b"\n\n"),
    "no end": lambda text: text.rstrip(b"\n"),
}
_DAMAGES = [
    lambda text: b"",
    lambda text: text[: len(text) // 2],
    lambda text: text[9:],
]
_DAMAGES += [lambda text: text.replace(b"0.5", b"nan"), lambda text: b"\0" + text]
_DAMAGES += [lambda text: text + text, lambda text: b"\xff\xfe" + text]


def merge(example: Example) -> None:
    """ensemble merge of files that other programs have saved."""
    rng = example.rng
    ids = [b"v%d" % n for n in range(rng.randrange(1, 6))]
    ids += rng.sample(oddities.CSV_IDS + oddities.BLANK_IDS, rng.randrange(3))
    paths, sound = [], True
    for number in range(rng.randrange(1, 4)):
        own = rng.sample(ids, len(ids))
        text = b"VideoId,LabelConfidencePairs\n"
        text += b"".join(b"%s,0 0.9 3 0.5\n" % one for one in own)
        text = rng.choice([*_TEXTS.values()])(text)
        if rng.random() < example.oddness:
            text, sound = rng.choice(_DAMAGES)(text), False
        paths.append(os.path.join(example.folder, f"m{number}{oddities.name(rng)}"))
        with open(paths[-1], "wb") as file:
            file.write(text)
    output, odd = example.new(".csv"), example.flags()
    files = ",".join(map(escape_commas, paths))
    ended = example.run(
        "ensemble", "merge", f"--input_files={files}", f"--output_file={output}", *odd
    )
    path = example.real(output)
    if not ended.status and os.path.isfile(path) and set(csv_ids(path)) != {*ids}:
        raise Fault("merged files have other videos")
    plain = not (odd or example.limits or example.environment or example.closed)
    usual = output.startswith(example.folder)
    if ended.status and sound and plain and usual:
        raise Fault("sound files are refused")


def convert(example: Example) -> None:
    """convert_prediction_from_json_to_csv: a row for each line."""
    rng, count = example.rng, example.rng.randrange(1, 6)
    rows = [
        {"video_id": f"v{n}", "class_indexes": [1, 2], "predictions": [0.5, 0.25]}
        for n in range(count)
    ]
    if odd := rng.random() < example.oddness:
        key = rng.choice([*rows[0]])
        values = ["", "v1", "v2", [], [[]], None, [1], [float("nan")] * 2, "a b", "a,b"]
        rows[0][key] = rng.choice(
            [*values, [-1, 1], [1, 1], [0.5, -0.5], "\u00e9", '"']
        )
    if rng.random() < 0.3:
        rows = [{"instance": 1, "prediction": row} for row in rows]
    text = b"".join(json.dumps(row).encode() + b"\n" for row in rows)
    text = rng.choice([*_TEXTS.values()])(text)
    if not odd and rng.random() < example.oddness:
        text, odd = rng.choice(_DAMAGES)(text), True
    pattern = os.path.join(example.folder, f"p{oddities.name(rng)}")
    with open(pattern, "wb") as file:
        file.write(text)
    output = example.new(".csv")
    ended = example.run(
        "convert_prediction_from_json_to_csv",
        f"--json_prediction_files_pattern={escape_commas(pattern)}",
        f"--csv_output_file={output}",
    )
    path = example.real(output)
    twice = "another prediction has the id" in ended.log  # so no CSV of ours
    if not ended.status and os.path.isfile(path) and not twice:
        found = csv_ids(path)
        if not odd and len(found) != count:
            raise Fault(f"{count} lines, {len(found)} rows")
    plain = not (odd or example.limits or example.environment or example.closed)
    if ended.status and plain and output.startswith(example.folder):
        raise Fault("a sound file is refused")


def sample(example: Example) -> None:
    """sample_data, and label_correlation of it."""
    rng, output = example.rng, example.new("")
    counts = [rng.choice([-1, 0, 1, 5]) for _ in range(2)]
    ended = example.run(
        "sample_data",
        f"--directory={output}",
        f"--num_train={counts[0]}",
        f"--num_validate={counts[1]}",
        "--num_test=1",
        *(f"--num_classes={CLASSES}", f"--min_frames={rng.choice([0, 1, 5])}"),
        *("--max_frames=5", "--feature_names=rgb", "--feature_sizes=4"),
    )
    if ended.status:
        return
    found = []
    for top, _, names in os.walk(example.real(output)):
        for name in sorted(names):
            if "train" in os.path.join(top, name) and "frame" in top:
                found += tfrecord.walk(os.path.join(top, name), Damage(strict=True))
    if len(found) != max(0, counts[0]):
        raise Fault(f"--num_train={counts[0]}, but {len(found)} records")


def correlate(example: Example) -> None:
    """label_correlation."""
    data, output = example.data(), example.new(".npy")
    ended = example.run(
        "label_correlation",
        f"--train_data_pattern={example.pattern(data)}",
        f"--num_classes={CLASSES}",
        f"--output_file={output}",
    )
    if not ended.status and not os.path.exists(example.real(output)):
        raise Fault("status 0 without a file")


VOCABULARY = "Index,TrainVideoCount,Name,Vertical1\n" + "".join(
    f"{n},{9 - n},class {n},vertical {n % 2}\n" for n in range(CLASSES)
)


def vocabulary(example: Example) -> None:
    """train.py with a vocabulary that other programs have saved."""
    rng, example.level = example.rng, "video"
    data = example.data()
    text = rng.choice([*_TEXTS.values()])(VOCABULARY.encode())
    if rng.random() < example.oddness:
        text = rng.choice(_DAMAGES)(text)
    path = os.path.join(example.folder, f"v{oddities.name(rng)}")
    with open(path, "wb") as file:
        file.write(text)
    example.run(
        "train",
        f"--train_dir={example.new('')}",
        f"--train_data_pattern={example.pattern(data)}",
        *("--feature_names=mean_rgb", f"--feature_sizes={SIZE}", "--max_steps=1"),
        *(f"--num_classes={CLASSES}", "--model=ClassifierChainModel"),
        f"--vocabulary_file={oddities.spelled(rng, path, example.folder)}",
    )


# The more a command is used, the more often it is played.
SCENES = [predict] * 5 + [evaluate] * 4 + [train] * 3 + [predict_segments] * 2
SCENES += [predict_parts, extract, extract, merge, merge, convert, convert, export]
SCENES += [average, sample, correlate, vocabulary, label, convert_clips, fetch]
