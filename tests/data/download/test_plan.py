"""Names, parts and plans are those of the official downloader."""

import itertools
import json
import string

import numpy as np
import pytest

from tests.helpers import golden
from tests.helpers.download_server import DownloadServer
from youtube8m.data.download.addresses import PARTITIONS, Addresses
from youtube8m.data.download.downloader import DownloadConfig, download
from youtube8m.data.download.plan import (
    PlannedFile,
    parse_partition,
    parse_plan,
    parse_shard,
)
from youtube8m.errors import UserError
from youtube8m.util.json import JsonError

FOLDER = golden.FOLDER / "extraction"
CHARACTERS = string.ascii_lowercase + string.ascii_uppercase + string.digits
NAMES = ["".join(pair) for pair in itertools.product(CHARACTERS, repeat=2)]


@pytest.fixture(scope="module")
def figures():
    path = FOLDER / "download.npz"
    if not path.exists():
        pytest.skip(f"no {path}: set YT8M_GOLDEN")
    return golden.Case(path)


@pytest.mark.parametrize("split", ["train", "validate", "test"])
def test_golden_parts_of_a_split(figures, split):
    files = [PlannedFile(f"{split}{name}.tfrecord", "") for name in NAMES]
    local = {file.local_name: number for number, file in enumerate(files)}
    assert list(local) == [f"{split}{number:04d}.tfrecord" for number in range(3844)]
    shards = {f"{split}|{x}_{y}": (x, y) for x, y in figures.meta["shards"]}
    assert shards.keys() <= figures.keys()
    for name, shard in shards.items():
        found = [number for number, file in enumerate(files) if file.is_in(shard)]
        np.testing.assert_array_equal(found, figures[name], name)


def test_golden_every_figure_is_read(figures):
    splits = {name.partition("|")[0] for name in figures}
    assert splits == {"train", "validate", "test"}
    assert len(figures) == 3 * len(figures.meta["shards"])


def test_golden_local_names(figures):
    names = {**figures.meta["local_names"], **figures.meta["plan_local_names"]}
    assert len(names) > 40
    for name, local in names.items():
        assert PlannedFile(name, "").local_name == local


def test_golden_download(figures, tmp_path):
    root = FOLDER / "download"
    files = {
        f"/{path.relative_to(root)}": path.read_bytes()
        for path in root.rglob("*")
        if path.is_file()
    }
    with DownloadServer(files) as server:
        download(
            DownloadConfig(
                partition="2/frame/train",
                directory=str(tmp_path),
                base_url=server.url,
            )
        )
    names = figures.meta["plan_local_names"]
    assert len(names) == len(files) - 1
    for name, local in names.items():
        path = tmp_path / local
        assert path.read_bytes() == files[f"/us/2/frame/train/{name}"]


def test_addresses_are_the_official_ones():
    official = Addresses()
    assert (
        official.plan("2/frame/train")
        == "http://data.yt8m.org/2/download_plans/frame_train.json"
    )
    assert (
        official.file("eu", "3/frame/test", "testaa.tfrecord")
        == "http://eu.data.yt8m.org/3/frame/test/testaa.tfrecord"
    )
    assert official.youtube_id("AbCd") == "http://data.yt8m.org/2/j/i/Ab/AbCd.js"
    assert official.vocabulary() == (
        "https://research.google.com/youtube8m/csv/2/vocabulary.csv"
    )
    own = Addresses("http://localhost:8000/")
    assert own.plan("2/frame/train") == (
        "http://localhost:8000/2/download_plans/frame_train.json"
    )
    assert own.file("us", "2/frame/train", "a") == (
        "http://localhost:8000/us/2/frame/train/a"
    )


def test_names_of_another_form_stay():
    assert PlannedFile("trainaa.tfrecord", "").local_name == "train0000.tfrecord"
    for name in ("train_a.tfrecord", "README.txt", "trainaaa.tfrecord"):
        assert PlannedFile(name, "").local_name == name


@pytest.mark.parametrize(
    "plan, message",
    [
        ("<html>", "not JSON"),
        ("[]", "list indices"),
        ({"files": ["trainaa.tfrecord"]}, "items"),
        ({"files": {"trainaa.tfrecord": 5}}, "lower"),
        ({"files": {"trainaa.tfrecord": "12"}}, "'12' for the md5 of trainaa"),
        ({"files": {"../trainaa": "0" * 32}}, "names the file '../trainaa'"),
        ({"files": {".bashrc": "0" * 32}}, "names the file '.bashrc'"),
        (
            {"files": {"trainaa.tfrecord": "0" * 32, "train0000.tfrecord": "1" * 32}},
            "names a file twice",
        ),
    ],
)
def test_what_is_no_plan(plan, message):
    text = plan if isinstance(plan, str) else json.dumps(plan)
    with pytest.raises(JsonError, match=message):
        parse_plan(text.encode())


@pytest.mark.parametrize(
    "text", ["", "5", "0,1", "2,1", "1,2,3", "a,b", "-1,5", "1.5,2"]
)
def test_what_is_no_shard(text):
    with pytest.raises(UserError, match=f"--shard={text}: expected X,Y"):
        parse_shard(text)


def test_blanks_in_a_shard_do_not_count():
    assert parse_shard(" 1, 100 ") == (1, 100)


@pytest.mark.parametrize("text", ["2/frame/trian", "1/frame_level/train", "2/frame"])
def test_an_unknown_partition_is_one_line_with_the_known_ones(text):
    with pytest.raises(UserError) as error:
        parse_partition(text)
    assert str(error.value).startswith(f"--partition={text}: there is no such")
    assert all(partition in str(error.value) for partition in PARTITIONS)


def test_a_mirror_of_ones_own_may_have_other_partitions():
    assert parse_partition("2/frame/train/") == "2/frame/train"
    assert parse_partition("1/frame_level/train", any_version=True)
    with pytest.raises(UserError, match="no such partition"):
        parse_partition("../frame/train", any_version=True)
