"""Files that are written, beside those that are read."""

import os

import pytest

from youtube8m.errors import UserError
from youtube8m.util.files import packed_as, require_other_file


def test_what_is_read_is_not_overwritten(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a").touch()
    (tmp_path / "link").symlink_to("a")
    monkeypatch.setenv("HOME", str(tmp_path))
    for path in ("a", "./a", str(tmp_path / "a"), "link", "~/a"):
        for read in ("a", "link", f"{tmp_path}/../{tmp_path.name}/a"):
            with pytest.raises(UserError, match=f"^--out={path}: is read, too"):
                require_other_file(path, "--out", ["b", read])
    require_other_file("b", "--out", ["a", "link"])
    require_other_file(os.devnull, "--out", [])


@pytest.mark.parametrize("start", [b"", b"PK", b"\0" * 600, b"12", b"BZ", b"ustar"])
def test_what_is_not_packed(start):
    assert packed_as(start) == ""
