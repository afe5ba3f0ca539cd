"""What a run is made of: frozen dataclasses, checked when built.

    data = DataConfig(feature_names=("rgb", "audio"), feature_sizes=(1024, 128),
                      frame_features=True)
    run = RunConfig(data, ModelConfig(model="LstmModel"))
    RunConfig.from_json(run.to_json()) == run

Each field's metadata holds the help text of the flag of the same name; `flags`
derives the command lines from it. `RunConfig` is what model_flags.json keeps: all
that is needed to build the model again.
"""

import dataclasses
import json
import math
import typing
from collections.abc import Mapping
from typing import Any

from youtube8m import schema
from youtube8m.errors import UserError


def flag(default: Any, help: str) -> Any:
    """A field that becomes a flag of the same name."""
    return dataclasses.field(default=default, metadata={"help": help})


def split_list(value: Any) -> tuple[str, ...]:
    """'rgb, audio' -> ('rgb', 'audio'); blanks after commas are accepted."""
    if isinstance(value, str):
        value = value.split(",")
    return tuple(str(item).strip() for item in value if str(item).strip())


def _require(condition: bool, message: str) -> None:
    if not condition:
        raise UserError(message)


def require_given(config: Any, *names: str) -> None:
    """Raises UserError if one of these fields is empty: the flag must be given."""
    helps = {f.name: f.metadata.get("help") for f in dataclasses.fields(config)}
    for name in names:
        _require(
            bool(getattr(config, name).strip(", ")),
            f"--{name} is empty, but needed: {helps[name]}",
        )


def require_not_negative(config: Any, *names: str) -> None:
    """Raises UserError if one of these fields is below 0."""
    for name in names:
        value = getattr(config, name)
        _require(value >= 0, f"--{name}={value}: must not be negative")


def require_positive(config: Any, *names: str) -> None:
    """Raises UserError unless these fields are above 0, or None."""
    for name in names:
        value = getattr(config, name)
        _require(
            value is None or value > 0,
            f"--{name}={value}: must be greater than 0",
        )


def _require_shard(config: Any) -> None:
    require_positive(config, "num_shards")
    _require(
        0 <= config.shard_index < config.num_shards,
        f"--shard_index={config.shard_index}: must be from 0 to "
        f"{config.num_shards - 1}, as --num_shards={config.num_shards}",
    )


# What --vocabulary_file tells of each class, and models may ask for.
CLASS_FACTS = {
    "verticals": "the vertical of each class",
    "class_counts": "how many training videos each class has",
}
CROPS = ("crop", "interval")  # with a start that can be chosen
PRECISIONS = ("float32", "mixed_bfloat16", "mixed_float16")
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
class DataConfig:
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
    skip_frames: int = flag(0, "Frames left out at the start of each video.")
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
        0, "Start of --frame_sampling=crop and interval where none is drawn."
    )
    # Whether to read rated segments: up to each command, so no flag of the run.
    segment_labels: bool = False
    # The model's hyper-parameter, kept here for crop and interval, which are then those
    # of the released code of Zou et al. 2017; see `records.ReleasedCropDecoder`.
    released_code: bool = False

    def __post_init__(self):
        names = split_list(self.feature_names)
        sizes = split_list(self.feature_sizes)
        object.__setattr__(self, "feature_names", names)
        _require(bool(names), "--feature_names is empty; name at least one feature")
        _require(
            len(names) == len(sizes),
            f"--feature_names has {len(names)} entries ({','.join(names)}) but "
            f"--feature_sizes has {len(sizes)} ({','.join(sizes)}); give one size "
            "for each name",
        )
        _require(
            all(size.isdigit() and int(size) > 0 for size in sizes),
            f"--feature_sizes={','.join(sizes)}: each must be a positive integer",
        )
        object.__setattr__(self, "feature_sizes", tuple(int(size) for size in sizes))
        _require(
            len(set(names)) == len(names),
            f"--feature_names={','.join(names)}: a name is given twice",
        )
        require_positive(
            self,
            "num_classes",
            "max_frames",
            "crop_frames",
            "crop_stride",
            "crop_range",
        )
        require_not_negative(self, "skip_frames", "crop_start")
        _require(
            self.frame_sampling in FRAME_SAMPLING,
            f"--frame_sampling={self.frame_sampling}: there is no such way; choose "
            f"{', '.join(FRAME_SAMPLING)}",
        )
        for name, wanted in (
            ("--segment_labels", self.segment_labels),
            ("--skip_frames", self.skip_frames > 0),
            ("--frame_sampling", self.frame_sampling != "all"),
        ):
            _require(
                self.frame_features or not wanted,
                f"{name} needs frame-level records: add --frame_features",
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

    def of_segments(self, rated: bool) -> "DataConfig":
        """As this, of five-second segments: cut from all frames, and never sampled.

        Args:
          rated: whether records are read as their rated segments, or as whole videos
            that are yet to be cut.
        """
        return dataclasses.replace(
            self,
            segment_labels=rated,
            skip_frames=0,
            max_frames=schema.MAX_FRAMES,
            frame_sampling="all",
        )

    def as_predicted(self) -> "DataConfig":
        """As this, with defaults for what does not change how prediction reads."""
        used = FRAME_SAMPLING[self.frame_sampling]
        used += ("max_frames",) if self.frame_features else ()
        unused = {
            field.name: field.default
            for field in dataclasses.fields(self)
            if field.name.startswith(("crop_", "max_frames")) and field.name not in used
        }
        return dataclasses.replace(self, **unused, released_code=self.released_crops)

    @property
    def released_crops(self) -> bool:
        """Whether crops are those of the released code of Zou et al. 2017."""
        return self.released_code and self.frame_sampling in CROPS

    @property
    def feature_size(self) -> int:
        """D: the length of the concatenated features."""
        return sum(self.feature_sizes)


@dataclasses.dataclass(frozen=True)
class ModelConfig:
    """Which model, classifier and loss, and their hyper-parameters.

    `hyperparameters` maps constructor arguments to values; what it lacks is left to
    the constructors' defaults.
    """

    model: str = flag("LogisticModel", "The model to train, by class name.")
    video_level_classifier_model: str = flag(
        "MoeModel", "The classifier behind a frame-level model, by class name."
    )
    label_processing: str = flag(
        "", "What happens to the predictions behind the classifier, by class name."
    )
    label_loss: str = flag("CrossEntropyLoss", "The loss, by class name.")
    hyperparameters: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    # From --vocabulary_file, for models that ask for them: of each class, the place of
    # its vertical and the videos of the training split that have it.
    verticals: tuple[int, ...] = ()
    class_counts: tuple[int, ...] = ()

    def __post_init__(self):
        _require(
            isinstance(self.hyperparameters, Mapping),
            f"hyperparameters are {self.hyperparameters!r}; expected names and values",
        )
        for name in CLASS_FACTS:
            numbers = tuple(map(int, split_list(getattr(self, name))))
            object.__setattr__(self, name, numbers)


@dataclasses.dataclass(frozen=True)
class RunConfig:
    """All that is needed to read the data and build the model again."""

    data: DataConfig
    model: ModelConfig

    @property
    def constructor_values(self) -> dict[str, Any]:
        """What constructors may ask for: hyper-parameters, and facts of the data."""
        facts = {
            "num_classes": self.data.num_classes,
            "feature_sizes": self.data.feature_sizes,
            "max_frames": self.data.longest_example,
            "verticals": self.model.verticals,
            "class_counts": self.model.class_counts,
        }
        known = {name: fact for name, fact in facts.items() if fact != ()}
        return {**self.model.hyperparameters, **known}

    def to_json(self) -> str:
        """One flat JSON object; the starter code's five keys as it wrote them."""
        data, model = dataclasses.asdict(self.data), dataclasses.asdict(self.model)
        values = {**model, **data}
        for name, value in values.items():
            if isinstance(value, tuple):
                values[name] = ",".join(map(str, value))
        return json.dumps(values, indent=2) + "\n"

    @classmethod
    def from_json(cls, text: str, source: str = "model_flags.json") -> "RunConfig":
        """Reads `to_json`'s text, or the starter code's five keys alone.

        Raises:
          UserError: not a JSON object, or a key of the starter code's is missing.
        """
        try:
            values = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise UserError(f"{source}: not JSON ({error})") from None
        _require(isinstance(values, dict), f"{source}: expected a JSON object")
        required = {"model", "feature_names", "feature_sizes", "frame_features"}
        missing = sorted(required - values.keys())
        _require(not missing, f"{source}: lacks the keys {', '.join(missing)}")

        def build(config_class):
            hints = typing.get_type_hints(config_class)
            known = {name: values[name] for name in hints.keys() & values.keys()}
            for name, value in known.items():
                hint = hints[name]
                _require(
                    hint not in (bool, int, str) or type(value) is hint,
                    f"{source}: {name} is {value!r}, not of type {hint}",
                )
            return config_class(**known)

        try:
            return cls(build(DataConfig), build(ModelConfig))
        except UserError as error:
            prefix = "" if str(error).startswith(source) else f"{source}: "
            raise UserError(f"{prefix}{error}") from None
        except (ValueError, TypeError, AttributeError, OverflowError) as error:
            raise UserError(f"{source}: damaged ({error}); restore it") from None


@dataclasses.dataclass(frozen=True)
class TrainingConfig:
    """How a run is trained; nothing here changes what the model is."""

    train_dir: str = flag("/tmp/yt8m_model/", "Directory of the run's files.")
    preset: str = flag(
        "",
        "Row of a paper's table, as tools.presets lists them; its flags become the "
        "defaults of this run, those that are given win.",
    )
    train_data_pattern: str = flag(
        "",
        "Glob of the training shards, 'train*.tfrecord', or several, comma-separated.",
    )
    segment_labels: bool = flag(
        False,
        "Train on the rated segments of the records; unrated classes do not count.",
    )
    warm_start_from: str = flag(
        "",
        "Run directory or checkpoint of any model; a new run starts from those of its "
        "weights that fit by name and shape, and says which.",
    )
    label_correlation_file: str = flag(
        "",
        "Counts of labels that occur together, written by tools.label_correlation, "
        "from which models with label correlation start.",
    )
    start_new_model: bool = flag(
        False, "Start from scratch: removes the run that --train_dir holds."
    )
    num_gpu: int = flag(1, "GPUs to train on, at most; the CPU where there is none.")
    batch_size: int = flag(1024, "Examples per step and GPU.")
    steps_per_loop: int = flag(
        1, "Steps started by one call, which small models are faster with."
    )
    num_epochs: int = flag(5, "Passes over the training data.")
    max_steps: int | None = flag(None, "Stop after this many steps in all.")
    optimizer: str = flag("AdamOptimizer", "Optimizer, by TF1's or Keras' name.")
    base_learning_rate: float = flag(0.01, "Learning rate of the first step.")
    learning_rate_decay: float = flag(
        0.95, "Factor applied every --learning_rate_decay_examples."
    )
    learning_rate_decay_examples: float = flag(
        4000000, "Examples between two decays of the learning rate."
    )
    regularization_penalty: float = flag(
        1.0, "Factor of the model's weight regularisation in the loss."
    )
    clip_gradient_norm: float = flag(
        1.0, "Each variable's gradient is cut to this L2 norm; 0 or less: never."
    )
    precision: str = flag(
        "float32",
        "Numbers that layers compute with: float32, mixed_bfloat16 or mixed_float16. "
        "Weights are float32 with all of them, and so is evaluation.",
    )
    jit_compile: bool = flag(
        False,
        "Compile the step with XLA, on one device only; measure whether it pays (on "
        "CPUs it did not). Frames are then padded to --max_frames.",
    )
    ema_decay: float = flag(
        0.0,
        "Keep a moving average of the weights, average = decay * average + (1 - decay) "
        "* weights, which eval.py and inference.py use; 0: none. It starts from the "
        "first step's weights: train for several times 1 / (1 - decay) steps.",
    )
    export_model_steps: int = flag(1000, "Steps between two checkpoints.")
    save_checkpoint_minutes: float = flag(15.0, "Minutes between two checkpoints.")
    keep_checkpoints: int = flag(5, "Checkpoints kept, the newest ones.")
    num_readers: int = flag(8, "Shards read side by side.")
    shuffle_buffer: int | None = flag(
        None, "Records shuffled among; default 5 batches."
    )
    seed: int = flag(0, "Seed of the initial weights and the order of the data.")
    strict_data: bool = flag(False, "Stop at the first record that cannot be read.")
    log_device_placement: bool = flag(False, "Log the device of each operation.")

    def __post_init__(self):
        _require(
            0 <= self.seed < 2**32, f"--seed={self.seed}: must be from 0 to 4294967295"
        )
        require_given(self, "train_dir", "train_data_pattern")
        require_positive(
            self,
            "batch_size",
            "steps_per_loop",
            "num_epochs",
            "max_steps",
            "base_learning_rate",
            "learning_rate_decay",
            "learning_rate_decay_examples",
            "export_model_steps",
            "save_checkpoint_minutes",
            "keep_checkpoints",
            "num_readers",
            "shuffle_buffer",
        )
        _require(
            self.precision in PRECISIONS,
            f"--precision={self.precision}: must be one of {', '.join(PRECISIONS)}",
        )
        _require(
            0 <= self.ema_decay < 1,
            f"--ema_decay={self.ema_decay}: must be at least 0 and below 1",
        )


_NUM_SHARDS = (
    "Parts of the data for as many processes, to be merged by tools.merge_shards."
)
CHECKPOINT_HELP = (
    "Checkpoint to use: model.ckpt-STEP, or best (segment_best) of those that eval.py "
    "has seen; else the newest."
)


@dataclasses.dataclass(frozen=True)
class EvaluationConfig:
    """How a run's checkpoints are evaluated."""

    train_dir: str = flag("/tmp/yt8m_model/", "Directory that train.py wrote.")
    eval_data_pattern: str = flag(
        "",
        "Glob of the labelled shards, 'val*.tfrecord', or several, comma-separated.",
    )
    segment_labels: bool = flag(False, "Evaluate the rated segments of the records.")
    batch_size: int = flag(1024, "Examples evaluated at once.")
    num_readers: int = flag(8, "Shards read side by side.")
    checkpoint: str = flag("", CHECKPOINT_HELP)
    run_once: bool = flag(
        False, "Evaluate the newest checkpoint and end; else follow new ones."
    )
    top_k: int = flag(20, "Predictions per video that enter GAP and mAP.")
    keep_best: int = flag(
        1,
        "Checkpoints kept in --train_dir/best, those with the highest GAP on the same "
        "shards; with --num_shards none is kept.",
    )
    class_metrics_file: str = flag(
        "", "CSV to write: of each class, its videos and its average precision."
    )
    num_shards: int = flag(1, _NUM_SHARDS)
    shard_index: int = flag(0, "Which of --num_shards parts to evaluate, from 0 on.")
    metrics_file: str = flag(
        "", "File to write what tools.merge_shards needs of a shard's evaluation."
    )
    strict_data: bool = flag(False, "Stop at the first record that cannot be read.")
    # For train directories of the starter code, which do not tell all of them.
    hyperparameters: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    def __post_init__(self):
        require_given(self, "train_dir", "eval_data_pattern")
        require_positive(self, "batch_size", "num_readers", "top_k")
        _require_shard(self)
        follows = not (self.run_once or self.checkpoint)
        _require(
            self.num_shards == 1 or (bool(self.metrics_file) and not follows),
            f"--num_shards={self.num_shards}: give --metrics_file, to be merged by "
            "tools.merge_shards, and --run_once or --checkpoint",
        )
        _require(
            self.num_shards == 1 or not self.class_metrics_file,
            f"--class_metrics_file={self.class_metrics_file}: not known of a part; "
            f"evaluate without --num_shards={self.num_shards}",
        )
        require_not_negative(self, "keep_best")


@dataclasses.dataclass(frozen=True)
class InferenceConfig:
    """How predictions are written."""

    train_dir: str = flag(
        "", "Directory that train.py wrote; the mean of several, comma-separated."
    )
    input_data_pattern: str = flag(
        "", "Glob of the shards, 'test*.tfrecord', or several, comma-separated."
    )
    output_file: str = flag("", "CSV file to write; renamed into place when whole.")
    input_model_tgz: str = flag(
        "", "Instead of --train_dir: archive that --output_model_tgz wrote."
    )
    untar_model_dir: str = flag(
        "/tmp/yt8m-model",
        "Directory that --input_model_tgz is unpacked to, in place of what an earlier "
        "archive left there; processes side by side need one each.",
    )
    output_model_tgz: str = flag(
        "", "Archive to write, of the model and the checkpoint that predict."
    )
    segment_labels: bool = flag(False, "Predict five-second segments, not videos.")
    checkpoint: str = flag("", CHECKPOINT_HELP)
    segment_max_pred: int = flag(100000, "Segments listed per class, at most.")
    segment_label_ids_file: str = flag(
        "all",
        "Local CSV of the classes to list segments of, with a column Index, or 'all'.",
    )
    batch_size: int = flag(512, "Videos predicted at once.")
    num_readers: int = flag(1, "Shards read side by side.")
    top_k: int = flag(20, "Predictions written per video (or kept per segment).")
    crop_starts: tuple[int, ...] = flag(
        (),
        "Starts of crops, comma-separated, whose predictions are averaged; default the "
        "run's --crop_start alone.",
    )
    ensemble_weights: tuple[float, ...] = flag(
        (), "A weight for each --train_dir, comma-separated; default: equal ones."
    )
    ensemble_average: str = flag(
        "top_k",
        "What is averaged over --crop_starts and models: the --top_k of each, others "
        "counting 0 (Zou et al. 2017), or the full predictions.",
    )
    num_shards: int = flag(1, _NUM_SHARDS)
    shard_index: int = flag(0, "Which of --num_shards parts to predict, from 0 on.")
    strict_data: bool = flag(False, "Stop at the first record that cannot be read.")
    # For train directories of the starter code, which do not tell all of them.
    hyperparameters: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    def __post_init__(self):
        starts = split_list(self.crop_starts)
        _require(
            all(start.isdigit() for start in starts),
            f"--crop_starts={','.join(starts)}: each must be a number from 0 on",
        )
        object.__setattr__(self, "crop_starts", tuple(map(int, starts)))
        _require(
            not (self.crop_starts and self.segment_labels),
            "--crop_starts: segments are predicted whole, not cropped; drop it or "
            "--segment_labels",
        )
        _require(
            self.ensemble_average in ("top_k", "full"),
            f"--ensemble_average={self.ensemble_average}: must be top_k or full",
        )
        self._check_weights()
        self._check_archives()
        require_given(self, "input_data_pattern", "output_file")
        require_positive(self, "batch_size", "num_readers", "top_k", "segment_max_pred")
        _require_shard(self)

    def _check_archives(self):
        _require(
            bool(self.train_dir or self.input_model_tgz),
            "--train_dir is empty; give a directory that train.py wrote",
        )
        _require(
            not (self.train_dir and self.input_model_tgz),
            f"--train_dir={self.train_dir} and --input_model_tgz="
            f"{self.input_model_tgz}: give one of them",
        )
        _require(
            not self.output_model_tgz or len(split_list(self.train_dir)) < 2,
            f"--output_model_tgz={self.output_model_tgz}: an archive holds one model; "
            "give one --train_dir",
        )

    def _check_weights(self):
        given, models = split_list(self.ensemble_weights), split_list(self.train_dir)
        try:
            weights = tuple(map(float, given))
        except ValueError:
            weights = ()
        _require(
            len(weights) == len(given) and all(0 <= w < math.inf for w in weights),
            f"--ensemble_weights={','.join(given)}: each must be a number from 0 on",
        )
        _require(
            not weights or (len(weights) == len(models) and sum(weights) > 0),
            f"--ensemble_weights={','.join(given)}: give one for each of the "
            f"{len(models)} directories of --train_dir, not all of them 0",
        )
        object.__setattr__(self, "ensemble_weights", weights)
