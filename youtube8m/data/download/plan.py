"""The files of a partition: their names on the servers and here, and their md5 sums.

files = parse_plan(text)           # what Addresses().plan("2/frame/train") holds
mine = [file for file in files if file.is_in(parse_shard("1,100"))]
"""

import dataclasses
import hashlib
import re
import string

from youtube8m.config.fields import require
from youtube8m.data.download.addresses import PARTITIONS
from youtube8m.util.json import JsonError, parse_json

# Two of these characters number the 62 * 62 files of a split.
_CHARACTERS = string.ascii_lowercase + string.ascii_uppercase + string.digits
_NAME = re.compile(r"(train|validate|test)([a-zA-Z0-9]{2})(\.tfrecord)")
_SAFE_NAME = re.compile(r"\w[\w.-]*")


@dataclasses.dataclass(frozen=True)
class PlannedFile:
    """A file of a plan; `name` is that on the servers."""

    name: str
    md5: str  # 32 hexadecimal digits

    @property
    def local_name(self) -> str:
        """The name here, with a number: names that differ in case alone may collide.

        trainaa.tfrecord -> train0000.tfrecord; a name of another form stays.
        """
        match = _NAME.fullmatch(self.name)
        if not match:
            return self.name
        split, pair, ending = match.groups()
        first, second = map(_CHARACTERS.index, pair)
        return f"{split}{first * len(_CHARACTERS) + second:04d}{ending}"

    def is_in(self, shard: tuple[int, int]) -> bool:
        """Whether it belongs to the X-th of Y parts, by the md5 of its name."""
        part, parts = shard
        digest = hashlib.md5(self.name.encode(), usedforsecurity=False).hexdigest()
        return int(digest, 16) % parts == part - 1


def parse_plan(text: bytes) -> list[PlannedFile]:
    """The files of a plan, {"files": {name: md5}}, by their local names.

    Raises JsonError if it is none, or a name is not that of a file in a directory.
    """
    return parse_json(text, _convert)


def _convert(plan):
    files = [PlannedFile(name, md5.lower()) for name, md5 in plan["files"].items()]
    for file in files:
        if not _SAFE_NAME.fullmatch(file.name):
            raise JsonError(f"names the file {file.name!r}")
        if not re.fullmatch("[0-9a-f]{32}", file.md5):
            raise JsonError(f"has {file.md5!r} for the md5 of {file.name}")
    if len({file.local_name for file in files}) < len(files):
        raise JsonError("names a file twice")
    return sorted(files, key=lambda file: file.local_name)


def parse_shard(text: str) -> tuple[int, int]:
    """'1,100' -> (1, 100). Raises UserError unless 1 <= X <= Y."""
    match = re.fullmatch(r"\s*(\d{1,9})\s*,\s*(\d{1,9})\s*", text)
    shard = tuple(map(int, match.groups())) if match else (0, 0)
    require(
        1 <= shard[0] <= shard[1],
        f"--shard={text}: expected X,Y with 1 <= X <= Y: the X-th of Y parts, such as "
        "1,100",
    )
    return shard


def parse_partition(text: str, any_version: bool = False) -> str:
    """A partition as VERSION/LEVEL/SPLIT.

    Raises UserError if it is none of PARTITIONS, or, of a mirror of one's own, has
    another form.
    """
    partition = text.strip().strip("/")
    known = re.fullmatch(r"\w+/\w+/\w+", partition) if any_version else None
    require(
        bool(known) or partition in PARTITIONS,
        f"--partition={text}: there is no such partition; known are "
        f"{', '.join(PARTITIONS)} (versions 0 and 1 are no longer published)",
    )
    return partition
