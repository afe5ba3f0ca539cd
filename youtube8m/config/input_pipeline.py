"""How records are read, by all commands that can read them in two ways."""

import dataclasses

from youtube8m.config.fields import Config, flag

INPUT_PIPELINES = ("reader", "tfrecord")


@dataclasses.dataclass(frozen=True, kw_only=True)
class InputConfig(Config):
    """Which input pipeline reads the records, and what it does about damage."""

    input_pipeline: str = flag(
        "reader",
        "What reads the records: reader, this package's own, or tfrecord, which is "
        "TensorFlow's tf.data alone: slower; reads gzip too; trains in another order; "
        "ends with an error at the first record that cannot be read.",
        INPUT_PIPELINES,
    )
    strict_data: bool = flag(False, "Stop at the first record that cannot be read.")
