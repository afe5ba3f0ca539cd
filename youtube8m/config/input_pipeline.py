"""How records are read, by all commands that can read them in two ways."""

import dataclasses

from youtube8m.config.fields import flag, require

INPUT_PIPELINES = ("reader", "tfrecord")


@dataclasses.dataclass(frozen=True, kw_only=True)
class InputConfig:
    """Which input pipeline reads the records, and what it does about damage."""

    input_pipeline: str = flag(
        "reader",
        "What reads the records: reader, this package's own, or tfrecord, which is "
        "TensorFlow's tf.data alone: slower; reads gzip too; trains in another order; "
        "ends with an error at the first record that cannot be read.",
    )
    strict_data: bool = flag(False, "Stop at the first record that cannot be read.")

    def __post_init__(self):
        require(
            self.input_pipeline in INPUT_PIPELINES,
            f"--input_pipeline={self.input_pipeline}: must be one of "
            f"{', '.join(INPUT_PIPELINES)}",
        )
