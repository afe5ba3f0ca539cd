"""The commands of the documents that get data, against a server on this machine."""

import os
import pathlib
import re
import shlex

import pytest

from tests.helpers import processes
from tests.helpers.documents import shell_commands
from tests.helpers.download_server import DownloadServer, local_files, partition_files
from youtube8m.data.download.addresses import PARTITIONS
from youtube8m.data.download.plan import PlannedFile

ROOT = pathlib.Path(processes.ROOT)
TOOL = "youtube8m.tools.download"


def commands(document):
    """The commands of a document's shell blocks that run a tool of downloads."""
    lines = shell_commands((ROOT / document).read_text())
    return [line for line in lines if TOOL in line or "youtube_ids" in line]


COMMANDS = sorted({*commands("README.md"), *commands("docs/data.md")})


def part_of(split, shard):
    """Two files that are in a part, by their names, and one that is not."""
    characters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
    names = [f"{split}{a}{b}.tfrecord" for a in characters for b in characters]
    chosen = [n for n in names if PlannedFile(n, "").is_in(shard)][:2]
    other = next(n for n in names if n not in chosen)
    return chosen, other


@pytest.fixture(scope="module")
def server():
    files = {
        "/csv/2/vocabulary.csv": b"Index,Name\n0,Game\n1,Car\n",
        "/2/j/i/XE/XE00.js": b'i("XE00","dQw4w9WgXcQ");',
    }
    for partition in PARTITIONS:
        split = partition.split("/")[-1]
        names = {n for y in (100, 1000) for n in part_of(split, (1, y))[0]}
        names.add(part_of(split, (1, 100))[1])
        contents = {name: f"{partition} {name}".encode() for name in sorted(names)}
        for mirror in ("us", "eu"):
            files |= partition_files(partition, contents, mirror)
    with DownloadServer(files) as server:
        yield server


def run(server, command, home):
    """Runs a command line of a document in `home`, which is ~ too; returns stdout."""
    words = shlex.split(command.replace("~", str(home)))
    environment = dict(w.split("=", 1) for w in words[: words.index("python")])
    arguments = words[words.index("python") + 1 :]
    done = processes.run(
        *arguments,
        f"--base_url={server.url}",
        cwd=home,
        env={
            **os.environ,
            **environment,
            "PYTHONPATH": str(ROOT),
            "XDG_CACHE_HOME": str(home),
        },
    )
    return done.stdout


def test_the_documents_show_how_to_get_the_data():
    assert any("--partition=2/video/validate --shard=1,1000" in c for c in COMMANDS)
    assert any(command.startswith("shard=") for command in COMMANDS)
    assert any("--vocabulary" in c for c in COMMANDS) and len(COMMANDS) >= 5


@pytest.mark.slow
@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_of_the_documents(server, command, tmp_path):
    said = run(server, command, tmp_path)
    if "youtube_ids" in command:
        assert said.splitlines() == [
            "XE00  https://www.youtube.com/watch?v=dQw4w9WgXcQ",
            "UL00  deleted or private",
        ]
        return
    options = dict(re.findall(r"\b(partition|shard|mirror)=(\S+)", command))
    if "partition" not in options:
        assert (tmp_path / "yt8m" / "vocabulary.csv").exists()
        return
    partition = options["partition"]
    shard = tuple(map(int, options.get("shard", "1,1").split(",")))
    start = f"/{options.get('mirror', 'us')}/{partition}/"
    contents = {
        path.removeprefix(start): body
        for path, body in server.files.items()
        if path.startswith(start)
    }
    contents = {n: b for n, b in contents.items() if PlannedFile(n, "").is_in(shard)}
    folder = pathlib.Path("yt8m", partition) if "~" in command else pathlib.Path()
    wanted = {folder / name: body for name, body in local_files(contents).items()}
    paths = tmp_path.rglob("*.tfrecord")
    found = {path.relative_to(tmp_path): path.read_bytes() for path in paths}
    assert len(wanted) >= 2 and found == wanted


def test_flags_win_over_the_environment(server, tmp_path):
    code = (
        "import os, sys, runpy; "
        "os.environ.update(partition='2/video/train', mirror='uk', shard='1,100'); "
        f"sys.argv = ['download', '--mirror=us', '--base_url={server.url}', "
        f"'--directory={tmp_path}/out']; "
        f"runpy.run_module('{TOOL}', run_name='__main__')"
    )
    log = processes.forked("-c", code).stderr
    assert log.startswith("from the environment: partition=2/video/train shard=1,100\n")
    names = [p for p in server.files if p.startswith("/us/2/video/train/")]
    found = [*tmp_path.glob("out/*.tfrecord")]
    assert 2 <= len(found) == len(names) - 1  # one is in another part


def test_an_unknown_partition_is_one_line():
    done = processes.forked("-m", TOOL, "--partition=2/frame/trian", status=1)
    (line,) = done.stderr.splitlines()
    assert line.startswith("error: --partition=2/frame/trian: there is no such")


def test_ids_are_named():
    done = processes.forked("-m", "youtube8m.tools.youtube_ids", status=1)
    assert done.stderr == "error: name the ids to look up, such as AbCd\n"
