"""Odd paths, ids, records, environments and flags, drawn by a `random.Random`."""

import dataclasses
import gzip
import os
import random
import resource
import struct
import zlib

import numpy as np

from youtube8m.data.writing.records import frame_example, video_example, write_records

CLASSES, SIZE = 5, 4

NAMES = [
    *("plain", "a b", " lead", "run[lr=0.01]", "star*", "what?", "one,two", "w\\,x"),
    *("{x}", "back\\slash", "\udce9t\udce9", "x" * 200, "\u00e9\u4e2d\U0001f600"),
    *("it's", 'say "a"', "$HOME", "~", "-x", "a=b", "%s%d", "#1", "a\nb", "c:d", "[]"),
    *("model.ckpt-3", "eval", "a.tfrecord", "..x", "x.", "@", "!", "&", ";", "|", "`"),
]
CSV_IDS = [b"C:\\a.mp4", b"12:30:05", b"http://h/a?b=c#d", "\u00e9\u4e2d".encode()]
CSV_IDS += [b"-x", b"caf\xe9", b"caf\xe8", b"x" * 400, b"nan", b"007", b"my_video"]
CSV_IDS += [b"\xef\xbb", b"VideoId", "a\u2028b\x85".encode(), b"{}", b"a'b", b"\\udcff"]
BLANK_IDS = [b"my video", b" x", b"x ", b" "]  # which a CSV of videos can hold
UNFIT_IDS = [b"a,b", b",", b"a\nb", b"a\r", b'say "a"', b'"a"', b"\t", b"\x00", b"\x7f"]


def fits(video_id: bytes, segments: bool = False) -> bool:
    """Whether a CSV of videos, or of segments, can hold an id as it is."""
    return not (video_id in UNFIT_IDS or segments and video_id in BLANK_IDS)


def name(rng: random.Random) -> str:
    """What a file or directory is called; every second name is plain."""
    return "plain" if rng.random() < 0.5 else rng.choice(NAMES)


def spelled(rng: random.Random, path: str, folder: str) -> str:
    """Another spelling of a path, for a process that works in `folder`."""
    head, tail = os.path.split(path)
    kind = rng.randrange(6)
    if kind == 0:
        return os.path.relpath(path, folder)
    if kind == 1:
        return os.path.join(head, "..", os.path.basename(head), ".", tail)
    if kind == 2:
        link = os.path.join(folder, f"link{rng.randrange(10**6)}")
        os.symlink(head, link)
        return os.path.join(link, tail)
    if kind == 3 and os.path.isdir(path):
        return path + "/"
    if kind == 4:
        return path.replace("/", "//")
    return path


@dataclasses.dataclass
class Record:
    """A record; `sound` ones must be found again wherever records are listed."""

    data: bytes
    id: bytes
    sound: bool
    labelled: bool = True
    fatal: bool = False  # its labels say that a flag is wrong


def record(
    rng: random.Random, level: str, number: int, oddness: float, kinds: list[str]
) -> Record:
    """A record, with the chance `oddness` an odd one, of one of `kinds`."""
    draw = np.random.default_rng(rng.randrange(2**32))
    video_id, labels, sound, fatal = f"v{number:04d}".encode(), [number % CLASSES], 1, 0
    kind = rng.choice(kinds) if rng.random() < oddness else "plain"
    size = rng.choice([1, SIZE + 1, 4 * SIZE]) if kind == "size" else SIZE
    if level == "video":
        feature, values = "mean_rgb", draw.normal(size=size).astype(np.float32)
        if kind == "not finite":
            values[rng.randrange(size)] = rng.choice([np.nan, np.inf, -np.inf])
    else:
        count = {"no frames": 0, "long": 2000}.get(kind, rng.randrange(1, 8))
        feature = "rgb"
        values = draw.integers(0, 256, (count, size), np.uint8)
        if level == "floats":
            values = draw.normal(size=(count, size)).astype(np.float16)
        if kind == "not finite":
            values.flat[rng.randrange(values.size)] = np.nan
    sound = kind not in ("size", "not finite", "no frames", "missing")
    if kind == "missing":
        feature = "other"
    if kind == "odd id":
        video_id = rng.choice([CSV_IDS, BLANK_IDS, UNFIT_IDS])
        video_id = rng.choice(video_id)
    if kind == "empty id":
        video_id, sound = b"", False
    if kind == "same id":
        video_id, sound = b"v0000", number == 0
    labels = {"no labels": None, "empty labels": []}.get(kind, labels)
    if kind == "wrong label":
        labels, fatal = [rng.choice([-1, CLASSES, 2**40])], True
    id_key = "video_id" if kind == "id key" else "id"
    other = (level == "video") != (kind == "other level")
    if other and values.ndim == 2:
        values = values.mean(axis=0)
    make = video_example if other else frame_example
    if not other and values.ndim == 1:
        values = np.zeros((3, SIZE), np.uint8)
    example = make("x", labels, {feature: values}, id_key=id_key)
    context = example.features if other else example.context
    context.feature[id_key].bytes_list.value[0] = video_id
    if kind == "no id":
        del context.feature[id_key]
    if kind == "several ids":
        context.feature[id_key].bytes_list.value.append(b"second")
    if kind == "floats":
        for frame in example.feature_lists.feature_list[feature].feature:
            row = draw.normal(size=SIZE).astype(np.float32)
            frame.Clear()
            if rng.random() < 0.5:
                frame.float_list.value.extend(row)
            else:
                frame.bytes_list.value.append(row.tobytes())
    sound = sound and kind not in ("other level", "no id", "several ids", "floats")
    data = example.SerializeToString(deterministic=True)
    if kind == "junk":
        data, sound = rng.randbytes(rng.randrange(40)), False
    if kind == "cut":
        data, sound = data[: rng.randrange(len(data))], False
    labelled = kind not in ("no labels", "empty labels")
    return Record(data, video_id, bool(sound), labelled, bool(fatal))


IDS = ["odd id", "odd id", "odd id", "same id", "empty id"]
_ANY = ["size", "missing", "odd id", "odd id", "same id", "no labels", "empty labels"]
_ANY += ["id key", "other level", "no id", "several ids", "junk", "cut", "wrong label"]
KINDS = {
    "video": [*_ANY, "not finite", "not finite"],
    "frame": [*_ANY, "no frames", "long", "floats"],
    "floats": [*_ANY, "no frames", "long", "not finite", "not finite"],
}


@dataclasses.dataclass
class Data:
    """Shards and what is in them; `exact`: whether each loss is one record."""

    pattern: str
    records: list[Record]
    exact: bool


def shards(rng: random.Random, level: str, folder: str, oddness: float) -> Data:
    """One to three files in `folder`, in one of four cases with a damaged one."""
    records, exact, kinds = [], True, KINDS[level]
    if rng.random() < 0.15:  # nothing is odd but ids
        oddness, kinds = 0.5, IDS
    for number in range(rng.randrange(1, 4)):
        path = os.path.join(
            folder, f"{rng.choice(['s', 's[1]', 's 1'])}{number}.tfrecord"
        )
        first, count = len(records), rng.choice([1, 3, 8, 20])
        own = [record(rng, level, first + n, oddness, kinds) for n in range(count)]
        write_records(path, [one.data for one in own])
        if kinds is not IDS and rng.random() < oddness:
            own, exact = damaged(rng, path, own), False
        records += own
    return Data(os.path.join(folder, rng.choice(["*", "s*.tfrecord"])), records, exact)


def damaged(rng: random.Random, path: str, records: list[Record]) -> list[Record]:
    """Damages a file; returns the records, of which fewer are sound."""
    with open(path, "rb") as file:
        content = file.read()
    kind = rng.choice(
        ["cut", "flip", "length", "tail", "head", "empty", "text", "packed"]
    )
    ends = np.cumsum([len(one.data) + 16 for one in records])
    at = rng.randrange(len(content))
    if kind == "cut":
        content, sound = content[:at], ends <= at
    elif kind == "flip":
        content = content[:at] + bytes([content[at] ^ 255]) + content[at + 1 :]
        sound = (ends <= at) | (ends - [len(one.data) + 16 for one in records] > at)
    elif kind == "length":
        start = ends[0] - len(records[0].data) - 16
        content = content[:start] + struct.pack("<Q", 2**40) + content[start + 8 :]
        sound = np.arange(len(records)) > 0
    elif kind == "tail":
        content, sound = content + rng.randbytes(rng.randrange(1, 50)), ends > 0
    elif kind == "head":
        content, sound = b"\xef\xbb\xbf" + content, ends > 0
    else:
        packed = rng.choice([gzip.compress, zlib.compress])(content)
        content = {"empty": b"", "text": b"id,labels\na,1\n"}.get(kind, packed)
        sound = ends < 0
    with open(path, "wb") as file:
        file.write(content)
    return [
        dataclasses.replace(one, sound=one.sound and bool(still))
        for one, still in zip(records, sound, strict=True)
    ]


TF_CONFIGS = [
    "",
    "{",
    "[]",
    '{"cluster": {}}',
    '{"task": {"type": "worker"}}',
    "\udce9",
]


def environment(rng: random.Random, fresh: bool) -> dict[str, str]:
    """Variables of the environment, an odd one among them in one of three cases."""
    settings = [
        {"TF_CONFIG": rng.choice(TF_CONFIGS)},
        {"CUDA_VISIBLE_DEVICES": rng.choice(["", "-1", "7", "x"])},
        {"TMPDIR": rng.choice(["/nowhere", "/proc", "/dev/null", "tmp"])},
        {"COLUMNS": rng.choice(["1", "x"])},
        {"HOME": "/nowhere"},
    ]
    if fresh:
        settings = [
            {"KERAS_BACKEND": rng.choice(["jax", "torch", "nonsense", ""])},
            {"KERAS_HOME": "keras"},
            {"LANG": "C", "LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"},
            {"PYTHONOPTIMIZE": rng.choice(["1", "2"])},
            {"PYTHONIOENCODING": "ascii"},
        ]
    return rng.choice(settings) if fresh or rng.random() < 0.3 else {}


def limits(rng: random.Random) -> dict[int, int]:
    """Limits of the process: open files, bytes of a file."""
    if rng.random() < 0.85:
        return {}
    kinds = {
        resource.RLIMIT_NOFILE: [16, 40, 80, 256],
        resource.RLIMIT_FSIZE: [0, 100, 2000, 20_000],
    }
    kind = rng.choice([*kinds])
    return {kind: rng.choice(kinds[kind])}


FLAGS = [
    "batch_size",
    "top_k",
    "num_readers",
    "max_frames",
    "num_shards",
    "shard_index",
]
FLAGS += [
    "num_classes",
    "feature_sizes",
    "feature_names",
    "model",
    "num_epochs",
    "seed",
]
FLAGS += ["checkpoint", "input_pipeline", "shuffle_buffer", "frame_features", "weights"]
FLAGS += ["label_loss", "optimizer", "segment_labels", "crop_starts", "precision"]
FLAGS += ["gaps", "nonsense", "batchsize", "ensemble_weights", "keep_best", "max_steps"]
FLAGS += ["strict_data", "vocabulary_file", "label_correlation_file", "warm_start_from"]
FLAGS += ["feature_dtypes", "context_features", "input_transform", "output_format"]
FLAGS += ["names", "id_key", "labels_key", "youtube_ids_cache", "base_url"]
FLAGS += ["import", "preset", "segment_label_ids_file", "untar_model_dir", "verbosity"]
VALUES = [
    "",
    "0",
    "-1",
    "1",
    "2",
    "1.5",
    "1e9",
    "nan",
    "x",
    ",",
    "1,1",
    "/dev/null",
    "é",
]
VALUES += [
    "99999999999999999999",
    " 3",
    "true",
    "/proc",
    "a\nb",
    "best",
    "\udce9",
    "a,,b",
]


def flags(rng: random.Random) -> list[str]:
    """Flags that are wrong, conflict, or mean nothing; none in most cases."""
    if rng.random() < 0.8:
        return []
    odd = [f"--{rng.choice(FLAGS)}={rng.choice(VALUES)}", rng.choice(["x", "--", "-y"])]
    return odd[:1] if rng.random() < 0.9 else odd[1:]


# None of them lets a command write outside its example's folder.
OUTPUTS = ["/proc/x.csv", "missing/x.csv", "/dev/null/x.csv", "/dev/full", "/proc", ""]


def output(rng: random.Random, path: str) -> str:
    """Where something is written: sometimes where nothing can be."""
    return path if rng.random() < 0.9 else rng.choice(OUTPUTS)
