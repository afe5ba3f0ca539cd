"""Where YouTube-8M is published.

Addresses().plan("2/frame/train")         # of a partition's list of files
Addresses("http://localhost:8000").file("us", "2/frame/train", "trainaa.tfrecord")
"""

import dataclasses

from youtube8m.config.fields import require

MIRRORS = ("us", "eu", "asia")
# As VERSION/LEVEL/SPLIT. Versions 0 and 1 were withdrawn.
PARTITIONS = (
    "2/frame/train",
    "2/frame/validate",
    "2/frame/test",
    "2/video/train",
    "2/video/validate",
    "2/video/test",
    "3/frame/validate",
    "3/frame/test",
)


@dataclasses.dataclass(frozen=True)
class Addresses:
    """The addresses of what is published.

    Args:
      base_url: a server that holds all of it: plans and look-ups as data.yt8m.org has
        them, the files of a mirror in a folder of its name, csv/2/vocabulary.csv.

    Raises UserError unless it is an http or https address.
    """

    base_url: str = ""

    def __post_init__(self):
        require(
            not self.base_url or self.base_url.startswith(("http://", "https://")),
            f"--base_url={self.base_url}: must begin with http:// or https://",
        )
        object.__setattr__(self, "base_url", self.base_url.rstrip("/"))

    def plan(self, partition: str) -> str:
        """The list of a partition's files."""
        version, level, split = partition.split("/")
        return f"{self._data}/{version}/download_plans/{level}_{split}.json"

    def mirror(self, name: str) -> str:
        """One of the MIRRORS."""
        return (
            f"{self.base_url}/{name}"
            if self.base_url
            else f"http://{name}.data.yt8m.org"
        )

    def file(self, mirror: str, partition: str, name: str) -> str:
        """A file of a partition, by its name in the plan."""
        return f"{self.mirror(mirror)}/{partition}/{name}"

    def vocabulary(self) -> str:
        """The names of the classes, since 2018."""
        site = self.base_url or "https://research.google.com/youtube8m"
        return f"{site}/csv/2/vocabulary.csv"

    def youtube_id(self, video_id: str) -> str:
        """The look-up of a four-character id."""
        return f"{self._data}/2/j/i/{video_id[:2]}/{video_id}.js"

    @property
    def _data(self):
        # Not https: the certificate there is that of another host.
        return self.base_url or "http://data.yt8m.org"
