"""Downloads YouTube-8M: the files of a partition, or of a part of it.

    python -m youtube8m.tools.download --partition=2/frame/train --mirror=us \\
        --shard=1,100 --directory=~/yt8m/2/frame/train

Given again, the command fetches what is missing, and goes on with half files. The
options of the data set's own script count, too: partition=2/frame/train shard=1,100
mirror=us python -m youtube8m.tools.download
"""

import os

from absl import flags as absl_flags
from absl import logging

from youtube8m import cli
from youtube8m.cli import flags
from youtube8m.data.download.downloader import DownloadConfig, download

flags.define(DownloadConfig)


def main() -> None:
    """Reads the flags, and the environment for those that are not given."""
    found = {}
    for name in ("partition", "mirror", "shard"):
        if name in os.environ and not absl_flags.FLAGS[name].present:
            absl_flags.FLAGS.set_default(name, os.environ[name])
            found[name] = os.environ[name]
    if found:
        options = " ".join(f"{name}={value}" for name, value in found.items())
        logging.info("from the environment: %s", options)
    download(flags.read(DownloadConfig))


if __name__ == "__main__":
    cli.run(main)
