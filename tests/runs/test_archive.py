"""Archives of models: a round trip, and nothing outside for malicious ones."""

import gzip
import io
import os
import random
import tarfile

import pytest

from tests.helpers.all_models import run_config
from tests.helpers.exports import make_run
from tests.helpers.scripts import run
from youtube8m.config import DataConfig, ModelConfig, RunConfig
from youtube8m.errors import UserError
from youtube8m.prediction.config import InferenceConfig
from youtube8m.runs import archive
from youtube8m.runs.directory import RunDirectory

FLAGS = ("model_flags.json", b"{}")


def member(name, kind=tarfile.REGTYPE, link="", size=0):
    header = tarfile.TarInfo(name)
    header.type, header.linkname, header.size = kind, link, size
    return header


def named_by_extension(name):
    header = member("plain")
    header.pax_headers = {"path": name}
    return header


def write_archive(path, *members, kind=tarfile.PAX_FORMAT):
    """Members are (name, content), or TarInfo without content."""
    with tarfile.open(path, "w:gz", format=kind) as archive:
        for entry in members:
            if isinstance(entry, tarfile.TarInfo):
                archive.addfile(entry)
            else:
                name, content = entry
                archive.addfile(member(name, size=len(content)), io.BytesIO(content))
    return str(path)


@pytest.fixture
def box(tmp_path):
    """A place for archives, with a directory to unpack to and a file beside it."""
    (tmp_path / "inside").mkdir()
    (tmp_path / "secret").write_text("kept")
    return tmp_path


def everything(directory):
    return {
        str(path.relative_to(directory)): path.read_bytes() if path.is_file() else None
        for path in sorted(directory.rglob("*"))
        if path.suffix != ".tgz"
    }


def refused(box, path, message):
    """Asserts one line, and that nothing was written anywhere."""
    before = everything(box)
    with pytest.raises(UserError, match=message) as error:
        archive.unpack(str(path), str(box / "inside"))
    assert "\n" not in str(error.value)
    assert str(error.value).startswith(f"--input_model_tgz={path}: ")
    assert everything(box) == before


def unpacked(box, path):
    found = everything(type(box)(archive.unpack(str(path), str(box / "inside"))))
    del found[".contents"]
    return {name: content for name, content in found.items() if content is not None}


MALICIOUS = {
    "absolute": (
        [("{box}/evil", b"x")],
        "/evil', which would lie outside",
    ),
    "parent": ([("../evil", b"x")], "'../evil', which would lie outside"),
    "parent inside": ([("a/../../evil", b"x")], "which would lie outside"),
    "parent directory": ([member("../evil", tarfile.DIRTYPE)], "would lie outside"),
    "nul": ([named_by_extension("c\0d")], "which would lie outside"),
    "symbolic link": (
        [member("link", tarfile.SYMTYPE, "../secret")],
        "'link', a symbolic link",
    ),
    "through a link": (
        [member("link", tarfile.SYMTYPE, ".."), ("link/evil", b"x")],
        "'link', a symbolic link",
    ),
    "hard link": (
        [member("link", tarfile.LNKTYPE, "../secret")],
        "'link', a hard link",
    ),
    "hard link to a member": (
        [member("link", tarfile.LNKTYPE, "model_flags.json")],
        "'link', a hard link",
    ),
    "character device": ([member("null", tarfile.CHRTYPE)], "'null', a device"),
    "block device": ([member("disk", tarfile.BLKTYPE)], "'disk', a device"),
    "pipe": ([member("pipe", tarfile.FIFOTYPE)], "'pipe', a pipe"),
    "unknown kind": ([member("odd", b"Z")], "'odd', of an unusual kind"),
    "twice": ([("a", b"1"), ("./a", b"2")], "holds 'a' twice"),
    "no name": ([("./", b"x")], "without a name"),
}


def placed(box, name, content):
    """A member whose name may be absolute, yet where `everything` would see it."""
    return name.format(box=box), content


@pytest.mark.parametrize("kind", [tarfile.PAX_FORMAT, tarfile.GNU_FORMAT])
@pytest.mark.parametrize("name", MALICIOUS)
def test_malicious_archives_write_nothing(box, name, kind):
    """Good members come before the bad one, and do not come out either."""
    members, message = MALICIOUS[name]
    if name == "nul" and kind == tarfile.GNU_FORMAT:
        pytest.skip("this format has no such extension")
    good = [FLAGS, ("a/b", b"x")]
    bad = [m if isinstance(m, tarfile.TarInfo) else placed(box, *m) for m in members]
    path = write_archive(box / "m.tgz", *good, *bad, kind=kind)
    refused(box, path, message)


def with_checksum(header):
    """A header [512 bytes] that the reader believes."""
    header[148:156] = b" " * 8
    header[148:155] = b"%06o\0" % sum(header)
    return bytes(header)


def sparse_header():
    """A file of 1 GiB of which nothing is stored."""
    header = member("sparse", tarfile.GNUTYPE_SPARSE).tobuf(tarfile.GNU_FORMAT)
    header = bytearray(header)
    header[483:495] = b"10000000000\0"
    return with_checksum(header)


def test_sparse_files_are_refused(box):
    path = box / "m.tgz"
    path.write_bytes(gzip.compress(sparse_header() + bytes(1024)))
    refused(box, path, "'sparse', of an unusual kind|unpacks to 1073741824")


def test_sizes_are_bounded(box, monkeypatch):
    monkeypatch.setattr(archive, "MAX_BYTES", 1000)
    path = write_archive(box / "m.tgz", FLAGS, ("a", bytes(500)), ("b", bytes(600)))
    refused(box, path, "unpacks to 1102 bytes or more, over 1000")
    fits = write_archive(box / "n.tgz", FLAGS, ("a", bytes(500)), ("b", bytes(498)))
    assert len(unpacked(box, fits)["b"]) == 498


def test_a_size_that_is_only_claimed_is_refused_before_it_is_read(box):
    claimed = member("a", size=2**60).tobuf(tarfile.GNU_FORMAT)
    path = box / "m.tgz"
    path.write_bytes(gzip.compress(claimed))
    refused(box, path, f"unpacks to {2**60} bytes or more")


@pytest.mark.parametrize("kind", [tarfile.XHDTYPE, tarfile.GNUTYPE_LONGNAME])
@pytest.mark.parametrize("size", [2**22, 2**33, -512, -1])
def test_headers_are_bounded(box, kind, size):
    """Python's reader would take the whole text of such a header into memory."""
    header = bytearray(member("a", kind).tobuf(tarfile.GNU_FORMAT))
    header[124:136] = (size % 2**96).to_bytes(12, "big")
    header[124] |= 0x80  # a number in base 256
    path = box / "m.tgz"
    path.write_bytes(gzip.compress(with_checksum(header) + bytes(2**22)))
    message = (
        rf"a header of {size} bytes" if size > 0 else "is not a complete .tgz archive"
    )
    refused(box, path, message)


def test_chains_of_headers_are_told(box):
    """Each says that the next one's name is long, and Python's reader recurses."""
    header = bytearray(member("a", tarfile.GNUTYPE_LONGNAME, size=1).tobuf())
    link = with_checksum(header) + b"b".ljust(512, b"\0")
    path = box / "m.tgz"
    path.write_bytes(gzip.compress(2000 * link))
    refused(box, path, "is not a complete .tgz archive")


def test_members_are_counted(box, monkeypatch):
    monkeypatch.setattr(archive, "MAX_MEMBERS", 3)
    four = [FLAGS, *((name, b"") for name in "abc")]
    refused(box, write_archive(box / "m.tgz", *four), "has more than 3 members")
    assert len(unpacked(box, write_archive(box / "n.tgz", *four[:3]))) == 3


def test_zeros_behind_the_archive_are_bounded(box, monkeypatch):
    monkeypatch.setattr(archive, "MAX_BYTES", 2**20)
    monkeypatch.setattr(archive, "MAX_MEMBERS", 1)
    path = write_archive(box / "m.tgz", FLAGS)
    content = gzip.decompress((box / "m.tgz").read_bytes())
    (box / "m.tgz").write_bytes(gzip.compress(content + bytes(2**22)))
    refused(box, path, "continues after its end")


@pytest.mark.parametrize("part", [0.0, 0.3, 0.7, 0.99])
def test_truncated_archives_are_told(box, part):
    content = random.Random(0).randbytes(20_000)  # not to be compressed
    path = write_archive(box / "m.tgz", FLAGS, ("a", content))
    whole = (box / "m.tgz").read_bytes()
    (box / "m.tgz").write_bytes(whole[: int(part * len(whole))])
    refused(box, path, "(is not a complete .tgz archive|has no model_flags.json)")


def test_a_flipped_bit_is_told(box):
    path = write_archive(box / "m.tgz", FLAGS, ("a", random.Random(0).randbytes(9000)))
    whole = bytearray((box / "m.tgz").read_bytes())
    whole[5000] ^= 4
    (box / "m.tgz").write_bytes(whole)
    refused(box, path, "is not a complete .tgz archive")


@pytest.mark.parametrize(
    "content", [b"", b"no archive", gzip.compress(b"no tar" * 99, mtime=0)]
)
def test_other_files_are_told(box, content):
    (box / "m.tgz").write_bytes(content)
    refused(
        box, box / "m.tgz", "(is not a complete .tgz archive|has no model_flags.json)"
    )


def test_a_missing_archive_is_told(box):
    refused(box, box / "none.tgz", "cannot be read")


def test_an_archive_of_something_else_is_told(box):
    refused(box, write_archive(box / "m.tgz", ("a", b"x")), "has no model_flags.json")
    refused(box, write_archive(box / "n.tgz"), "has no model_flags.json")


def test_mutated_archives_unpack_or_are_refused(box):
    """Nothing else is ever raised, and nothing hangs."""
    path = write_archive(box / "m.tgz", FLAGS, ("d/" + "long" * 40, b"x"), ("a", b"y"))
    tar = gzip.decompress((box / "m.tgz").read_bytes())[: 12 * 512]
    rng = random.Random(0)
    outcomes = set()
    for _ in range(300):
        mutated = bytearray(tar)
        header = rng.randrange(len(tar) // 512) * 512
        for _ in range(rng.randint(1, 4)):
            mutated[header + rng.choice((rng.randrange(512), 124, 156))] = rng.choice(
                (0, 0x30, 0x35, 0x67, 0x78, 0xFF, rng.randrange(256))
            )
        if rng.random() < 0.8:
            block = slice(header, header + 512)
            mutated[block] = with_checksum(mutated[block])
        (box / "m.tgz").write_bytes(gzip.compress(mutated, 1))
        try:
            archive.unpack(path, str(box / "inside"))
            outcomes.add("unpacked")
        except UserError as error:
            outcomes.add("refused")
            assert "\n" not in str(error)
    assert outcomes == {"unpacked", "refused"}
    assert {entry.name for entry in box.iterdir()} == {"m.tgz", "inside", "secret"}


# Good ones.


@pytest.mark.parametrize("prefix", ["", "./", "model/", "./some/model/"])
def test_a_shared_directory_is_left_out(box, prefix):
    """As `tar czf m.tgz .` and `tar czf m.tgz model` write it."""
    files = {"model_flags.json": b"{}", "inference_model/inference_model.index": b"i"}
    members = [(prefix + name, content) for name, content in files.items()]
    folders = [member(prefix or "./", tarfile.DIRTYPE)]
    path = write_archive(box / "m.tgz", *folders, *members)
    assert unpacked(box, path) == files


def test_an_earlier_model_is_replaced_and_other_files_are_kept(box):
    first = write_archive(box / "m.tgz", FLAGS, ("model.ckpt-9.index", b"x"))
    second = write_archive(box / "n.tgz", FLAGS)
    unpacked(box, first)
    assert unpacked(box, second) == dict([FLAGS])
    (box / "inside" / "mine").write_text("kept")
    with pytest.raises(UserError, match="--untar_model_dir=.*inside: exists"):
        archive.unpack(first, str(box / "inside"))
    assert (box / "inside" / "mine").read_text() == "kept"
    os.symlink(box / "elsewhere", box / "link")
    with pytest.raises(UserError, match="--untar_model_dir=.*link: exists"):
        archive.unpack(first, str(box / "link"))


def test_files_below_files_are_told(box):
    path = write_archive(box / "m.tgz", FLAGS, ("a", b"x"), ("a/b", b"y"))
    before = everything(box)
    with pytest.raises(UserError, match="--untar_model_dir=.*cannot be written"):
        archive.unpack(path, str(box / "inside"))
    assert everything(box) == before


def test_a_packed_run_predicts_the_same(sample, tmp_path):
    """By the commands; the archive holds one checkpoint, and no user's name."""
    data = DataConfig(("mean_rgb", "mean_audio"), (24, 8), num_classes=12)
    train_dir = make_run(tmp_path / "run", RunConfig(data, ModelConfig()))
    archive = tmp_path / "m.tgz"
    pattern = f"--input_data_pattern={sample['video/test']}"
    for name, *arguments in (
        ("first", f"--train_dir={train_dir}", f"--output_model_tgz={archive}"),
        ("second", f"--input_model_tgz={archive}", f"--untar_model_dir={tmp_path}/u"),
    ):
        out = f"--output_file={tmp_path}/{name}.csv"
        run("inference.py", pattern, out, *arguments)
    assert (tmp_path / "first.csv").read_text() == (tmp_path / "second.csv").read_text()
    with tarfile.open(archive) as tar:
        assert {m.uname for m in tar} | {m.gname for m in tar} == {""}
        assert sorted(tar.getnames()) == [
            "checkpoint",
            "model.ckpt-1.data-00000-of-00001",
            "model.ckpt-1.index",
            "model_flags.json",
        ]


def test_the_checkpoint_that_predicts_is_packed(tmp_path):
    directory = RunDirectory(
        make_run(tmp_path / "run", run_config(("MoeModel", "", {})))
    )
    (tmp_path / "run" / "model.ckpt-12.index").write_bytes(b"another's")
    archive.pack(str(tmp_path / "m.tgz"), directory, directory.checkpoint())
    found = RunDirectory(archive.unpack(str(tmp_path / "m.tgz"), str(tmp_path / "u")))
    assert [os.path.basename(p) for p in found.checkpoints()] == ["model.ckpt-1"]
    assert found.read_run() == directory.read_run()


@pytest.mark.parametrize(
    "values, message",
    [
        ({"input_model_tgz": "m"}, "--train_dir=t and --input_model_tgz=m: give one"),
        ({"train_dir": ""}, "--train_dir is empty"),
        ({"train_dir": "t,u", "output_model_tgz": "m"}, "an archive holds one model"),
    ],
)
def test_mistakes_in_flags(values, message):
    with pytest.raises(UserError, match=message):
        InferenceConfig(**{"train_dir": "t", **values}, input_data_pattern="x")
