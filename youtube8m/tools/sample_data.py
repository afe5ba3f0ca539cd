"""Writes a learnable sample data set: frame level, video level, rated segments.

python -m youtube8m.tools.sample_data --directory=sample --num_train=800
"""

from absl import flags as absl_flags
from absl import logging

from youtube8m import cli
from youtube8m.cli import flags
from youtube8m.data.writing.synthetic import SampleConfig, write_sample
from youtube8m.util.progress import Progress

_DIRECTORY = absl_flags.DEFINE_string("directory", "yt8m_sample", "Where to write it.")
flags.define(SampleConfig)


def main() -> None:
    """Writes the sample and says what was written."""
    config = flags.read(SampleConfig)
    total = config.num_train + config.num_validate + config.num_test
    with Progress("writing", total) as progress:
        written = write_sample(
            _DIRECTORY.value, config, progress=lambda done, _: progress.update(done)
        )
    for name, value in written.items():
        if isinstance(value, dict):
            value = ", ".join(f"{count} {split}" for split, count in value.items())
        logging.info("%s: %s", name, value)


if __name__ == "__main__":
    cli.run(main)
