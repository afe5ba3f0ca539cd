"""What the records hold, how much of it is read, and how."""

import dataclasses

from youtube8m import schema
from youtube8m.config.features import Feature, FrameArray, group
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


@dataclasses.dataclass(frozen=True, kw_only=True)
class IdConfig(Config):
    """Where records have their id."""

    id_key: str = flag(
        "", "Key of the id; default: id, video_id, or as MediaPipe names it."
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class KeysConfig(IdConfig):
    """Where records have what is no feature."""

    labels_key: str = flag(
        "", "Key of the class ids in records; default: labels, or clip/label/index."
    )


@dataclasses.dataclass(frozen=True)
class DataConfig(KeysConfig):
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
    feature_dtypes: tuple[str, ...] = flag(
        (),
        "How each feature is stored, comma-separated: uint8 (quantised), float16, "
        "bfloat16 or float32 (bytes of that type), or float_list. Default: as the "
        "records show.",
    )
    context_features: tuple[str, ...] = flag(
        (),
        "Vectors of each video, comma-separated, which are repeated for each of its "
        "frames; their sizes and types come behind those of --feature_names.",
    )

    def __post_init__(self):
        names = split_list(self.feature_names)
        require(bool(names), "--feature_names is empty; name at least one feature")
        context = split_list(self.context_features)
        sizes = split_list(self.feature_sizes)
        object.__setattr__(self, "feature_names", names)
        object.__setattr__(self, "context_features", context)
        naming, names = "--feature_names has", names + context
        if context:
            naming = "--feature_names and --context_features have"
        require(
            len(names) == len(sizes),
            f"{naming} {len(names)} entries ({','.join(names)}) but "
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
        object.__setattr__(self, "feature_dtypes", self._checked_dtypes())
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
        for name, unused in (
            ("skip_frames", 0),
            ("frame_sampling", "all"),
            ("context_features", ()),
        ):
            require(
                self.frame_features or getattr(self, name) == unused,
                f"--{name} needs frame-level records: add --frame_features",
            )

    @property
    def _usual_dtypes(self) -> tuple[str, ...]:
        usual = schema.BYTES if self.frame_features else schema.FLOAT_LIST
        names = (usual,) * len(self.feature_names)
        return names + (schema.FLOAT_LIST,) * len(self.context_features)

    def _checked_dtypes(self):
        """--feature_dtypes of all features; () if they are the usual ones.

        Raises UserError.
        """
        given, usual = split_list(self.feature_dtypes), self._usual_dtypes
        typed, count = f"--feature_dtypes={','.join(given)}", len(self.feature_names)
        require(
            len(given) in (0, count, len(usual)),
            f"{typed}: has {len(given)} entries, but {len(usual)} features are "
            f"named ({','.join(self.feature_names + self.context_features)}); give one "
            "for each",
        )
        for stored in given:
            require(
                stored in schema.STORED,
                f"{typed}: {stored!r} is no type; choose {', '.join(schema.STORED)}",
            )
        require(
            self.frame_features or {*given} <= {schema.FLOAT_LIST},
            f"{typed}: features of video-level records are float lists; drop it, or "
            "add --frame_features",
        )
        complete = given + usual[len(given) :]
        return () if complete == usual else complete

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
        unused["feature_dtypes"] = tuple(
            feature.stored if feature.dtype != "float32" else schema.FLOAT_LIST
            for feature in self.features
        )  # float32 values are read from bytes and from lists
        return dataclasses.replace(self, **unused)

    @property
    def features(self) -> tuple[Feature, ...]:
        """The features, in the order in which they are concatenated."""
        per_frame = [self.frame_features] * len(self.feature_names)
        per_frame += [False] * len(self.context_features)
        names = self.feature_names + self.context_features
        stored = self.feature_dtypes or self._usual_dtypes
        columns = names, self.feature_sizes, stored, per_frame
        return tuple(map(Feature, *columns))

    @property
    def frame_arrays(self) -> tuple[FrameArray, ...]:
        """The arrays that hold the frames of a batch, the features in their order."""
        return group(self.features, all_float32=self.released_crops)

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
