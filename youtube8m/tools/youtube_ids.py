"""Prints the addresses on YouTube of videos, by the ids of their records.

python -m youtube8m.tools.youtube_ids AbCd EfGh
"""

from youtube8m import cli
from youtube8m.cli import flags
from youtube8m.config.fields import require
from youtube8m.data.download.youtube_ids import LookUpConfig, resolve

COMMANDS = None

flags.define(LookUpConfig)


def main(*ids: str) -> None:
    """Prints a line per id."""
    require(bool(ids), "name the ids to look up, such as AbCd")
    for name, video in resolve(ids, flags.read(LookUpConfig)).items():
        address = f"https://www.youtube.com/watch?v={video}" if video else ""
        print(f"{name}  {address or 'deleted or private'}")


if __name__ == "__main__":
    cli.run(main)
