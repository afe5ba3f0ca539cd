"""The flags of tools.extract_features; the starter code's keep their names."""

import dataclasses
import math
import os

from youtube8m import schema
from youtube8m.config.fields import NOT_NEGATIVE, Config, flag, require
from youtube8m.extraction.image_networks import RANGES, STARTER

_HOME = os.path.join("~", "yt8m")


@dataclasses.dataclass(frozen=True, kw_only=True)
class FeatureConfig(Config):
    """How the features of a video come about, and how its record holds them."""

    model_dir: str = flag(_HOME, "Directory of the published models and PCA files.")
    frames_per_second: float = flag(1.0, "Frames taken of each second of video.")
    skip_frame_level_features: bool = flag(
        False, "Whether to write the means of each video alone."
    )
    labels_feature_key: str = flag(schema.LABELS_KEY, "What to call the labels.")
    image_feature_key: str = flag(
        "rgb", "What to call the images' feature; its mean has mean_ before that."
    )
    video_file_feature_key: str = flag("id", "What to call the id.")
    insert_zero_audio_features: bool = flag(
        False, "Whether videos without sound, or all with --noaudio, get audio of 0."
    )
    max_frames: int = flag(schema.MAX_FRAMES, "Frames taken of a video, at most.")
    image_model: str = flag(
        STARTER,
        "Network for images: yt8m (the Inception graph of 2015), a name of "
        "keras.applications, a .keras file, a SavedModel, or keras_hub:PRESET.",
    )
    image_weights: str = flag(
        "imagenet",
        "Weights of a keras.applications network: imagenet, a .h5 file, or random.",
    )
    image_range: str = flag(
        "0,255", "Values that a .keras file or a SavedModel wants.", tuple(RANGES)
    )
    pca_dir: str = flag(
        "",
        "Directory of the images' PCA: read if it is there, else written by --fit_pca. "
        "Default: --model_dir for yt8m, else pca in --output_dir.",
    )
    feature_dtype: str = flag(
        "uint8", "Type of frames: bytes in -2..2, or floats.", ("uint8", "float16")
    )
    audio: bool = flag(True, "Whether to extract the sound, by VGGish.")
    batch_size: int = flag(32, "Frames at once.")
    num_workers: int = flag(4, "Videos that are decoded side by side.")

    def __post_init__(self):
        super().__post_init__()
        require(
            math.isfinite(self.frames_per_second),
            f"--frames_per_second={self.frames_per_second}: must be a finite number",
        )

    @property
    def directory_of_pca(self) -> str:
        """Where the PCA of the images lies; '' if there is none."""
        if not self.pca_dir and self.image_model == STARTER:
            return os.path.expanduser(self.model_dir)
        return os.path.expanduser(self.pca_dir)


@dataclasses.dataclass(frozen=True, kw_only=True)
class ExtractConfig(FeatureConfig):
    """What is extracted from which videos, and where it goes."""

    output_tfrecords_file: str = flag(
        "", "File to write all records to, whole or not at all; or give --output_dir."
    )
    input_videos_csv: str = flag(
        "", "CSV without a header: path,labels. Labels are joined by ';', or empty."
    )
    input_videos: str = flag("", "Glob of videos without labels, instead of a CSV.")
    output_dir: str = flag(
        "", "Directory to write shards to. Given again, it goes on where it stopped."
    )
    shard_size: int = flag(256, "Videos per shard.")
    segments_csv: str = flag(
        "", "CSV of rated segments with a header: path,start,class,score."
    )
    vocabulary_file: str = flag("", "CSV of the classes, for labels that are names.")
    id: str = flag(
        "name",
        "Ids are the base names of files without ending, or with 'path' their paths.",
        ("name", "path"),
    )
    fit_pca: int = flag(
        0,
        "Fits a PCA with whitening of so many values on the videos' own frames.",
        NOT_NEGATIVE,
    )
    fit_pca_videos: int = flag(1000, "Videos that --fit_pca looks at, at most.")

    def __post_init__(self):
        super().__post_init__()
        require(
            bool(self.output_tfrecords_file) != bool(self.output_dir),
            "give --output_dir, or --output_tfrecords_file for a single file",
        )
        require(
            bool(self.input_videos_csv) != bool(self.input_videos),
            "give --input_videos_csv, or --input_videos with a quoted glob",
        )
        whole = self.frames_per_second == 1 and not self.skip_frame_level_features
        require(
            whole or not self.segments_csv,
            "--segments_csv: rated segments are five frames, one a second; leave out "
            "--frames_per_second and --skip_frame_level_features",
        )
        require(
            not (self.fit_pca and self.image_model == STARTER),
            "--fit_pca: yt8m has a PCA of its own; give another --image_model",
        )
        require(
            not self.fit_pca or bool(self.pca_dir or self.output_dir),
            "--fit_pca: name --pca_dir, so that other videos can use the same PCA",
        )
        fits = self.image_model == STARTER or self.fit_pca or self.pca_dir
        require(
            bool(fits) or self.feature_dtype != "uint8",
            f"--image_model={self.image_model}: its features do not fit into bytes as "
            "they are; give --fit_pca=1024, the --pca_dir of an earlier call, or "
            "--feature_dtype=float16",
        )

    @property
    def directory_of_pca(self) -> str:
        """As above, but a PCA that is fitted has a place of its own."""
        if self.fit_pca and not self.pca_dir:
            return os.path.join(os.path.expanduser(self.output_dir), "pca")
        return super().directory_of_pca
