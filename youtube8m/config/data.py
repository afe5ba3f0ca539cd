"""What the records hold, how much of it is read, and how."""

import dataclasses

from youtube8m import schema
from youtube8m.config.fields import NOT_NEGATIVE, Config, flag, require, split_list

CROPS = ("crop", "interval")  # with a start that can be chosen
# The ways to choose frames, and by which fields prediction then chooses them.
FRAME_SAMPLING = {
    "all": (),
    "crop": ("crop_frames", "crop_stride", "crop_start"),
    "interval": ("crop_stride", "crop_start"),
    "windows": ("crop_stride",),
    "random": ("crop_frames",),
    "run": ("crop_frames",),
}


@dataclasses.dataclass(frozen=True)
class DataConfig(Config):
    """What the records hold and how much of it is read."""

    feature_names: tuple[str, ...] = flag(
        ("mean_rgb",), "Features to use, comma-separated, as named in the records."
    )
    feature_sizes: tuple[int, ...] = flag(
        (1024,), "Values per frame (or per video) of each feature, comma-separated."
    )
    frame_features: bool = flag(
        False, "Whether the records are frame-level SequenceExamples."
    )
    num_classes: int = flag(
        schema.NUM_CLASSES_2018,
        "Number of classes: 3862 since 2018, 4716 in 2017, 527 for AudioSet.",
    )
    skip_frames: int = flag(
        0, "Frames left out at the start of each video.", NOT_NEGATIVE
    )
    max_frames: int = flag(
        schema.MAX_FRAMES,
        "Frames read of each video, at most, counted from --skip_frames on.",
    )
    frame_sampling: str = flag(
        "all",
        "Which of these frames are used. all; crop: --crop_frames of them, every "
        "--crop_stride-th; interval: every --crop_stride-th to the end; windows: one "
        "of each --crop_stride; random: --crop_frames of them, with repetitions; run: "
        "--crop_frames neighbours. Drawn anew in each epoch of training, fixed "
        "otherwise.",
    )
    crop_frames: int = flag(45, "Frames of --frame_sampling=crop, random and run.")
    crop_stride: int = flag(
        5, "Step of --frame_sampling=crop and interval; size of a window of windows."
    )
    crop_range: int = flag(
        10, "Starts, from 0 on, that --frame_sampling=crop draws from in training."
    )
    crop_start: int = flag(
        0,
        "Start of --frame_sampling=crop and interval where none is drawn.",
        NOT_NEGATIVE,
    )
    released_crops: bool = flag(
        False,
        "Crop frames as the released code of Zou et al. 2017 does: each feature has "
        "a start of its own, and padding counts as frames. Also with --released_code "
        "and --frame_sampling=crop or interval.",
    )

    def __post_init__(self):
        names = split_list(self.feature_names)
        sizes = split_list(self.feature_sizes)
        object.__setattr__(self, "feature_names", names)
        require(bool(names), "--feature_names is empty; name at least one feature")
        require(
            len(names) == len(sizes),
            f"--feature_names has {len(names)} entries ({','.join(names)}) but "
            f"--feature_sizes has {len(sizes)} ({','.join(sizes)}); give one size "
            "for each name",
        )
        require(
            all(size.isdigit() and int(size) > 0 for size in sizes),
            f"--feature_sizes={','.join(sizes)}: each must be a positive integer",
        )
        object.__setattr__(self, "feature_sizes", tuple(int(size) for size in sizes))
        require(
            len(set(names)) == len(names),
            f"--feature_names={','.join(names)}: a name is given twice",
        )
        super().__post_init__()
        require(
            self.frame_sampling in FRAME_SAMPLING,
            f"--frame_sampling={self.frame_sampling}: there is no such way; choose "
            f"{', '.join(FRAME_SAMPLING)}",
        )
        require(
            not self.released_crops or self.frame_sampling in CROPS,
            f"--released_crops needs --frame_sampling={' or '.join(CROPS)}, not "
            f"{self.frame_sampling}",
        )
        for name, unused in (("skip_frames", 0), ("frame_sampling", "all")):
            require(
                self.frame_features or getattr(self, name) == unused,
                f"--{name} needs frame-level records: add --frame_features",
            )

    @property
    def longest_example(self) -> int:
        """The most frames that an example can have."""
        longest = {
            "all": self.max_frames,
            "interval": max(1, self.max_frames // self.crop_stride),
            "windows": -(-self.max_frames // self.crop_stride),
        }
        return longest.get(self.frame_sampling, self.crop_frames)

    def of_segments(self) -> "DataConfig":
        """A copy for five-second segments: cut from all frames, and never sampled.

        Raises UserError if the records have no frames.
        """
        require(
            self.frame_features,
            "--segment_labels needs frame-level records: add --frame_features",
        )
        return dataclasses.replace(
            self,
            skip_frames=0,
            max_frames=max(self.max_frames, schema.MAX_FRAMES),
            frame_sampling="all",
            released_crops=False,
        )

    def with_released_code(self, released_code: bool) -> "DataConfig":
        """A copy: a model's --released_code also means released crops, if any."""
        if released_code and self.frame_sampling in CROPS:
            return dataclasses.replace(self, released_crops=True)
        return self

    def as_predicted(self) -> "DataConfig":
        """A copy with defaults for what does not change how prediction reads."""
        used = FRAME_SAMPLING[self.frame_sampling]
        used += ("max_frames",) if self.frame_features else ()
        unused = {
            field.name: field.default
            for field in dataclasses.fields(self)
            if field.name.startswith(("crop_", "max_frames")) and field.name not in used
        }
        return dataclasses.replace(self, **unused)

    @property
    def feature_size(self) -> int:
        """D: the length of the concatenated features."""
        return sum(self.feature_sizes)


@dataclasses.dataclass(frozen=True, kw_only=True)
class InputConfig(Config):
    """How records are read, by a command that can read them in two ways."""

    input_pipeline: str = flag(
        "reader",
        "What reads the records: reader, this package's own, or tfrecord, which is "
        "TensorFlow's tf.data alone: slower; reads gzip too; trains in another order; "
        "ends with an error at the first record that cannot be read.",
        ("reader", "tfrecord"),
    )
    strict_data: bool = flag(False, "Stop at the first record that cannot be read.")
