"""The flags of train.py."""

import dataclasses
import math

from youtube8m.config.data import InputConfig
from youtube8m.config.fields import ANY, NEEDED, NOT_NEGATIVE, flag, require

PRECISIONS = ("float32", "mixed_bfloat16", "mixed_float16")


@dataclasses.dataclass(frozen=True)
class TrainingConfig(InputConfig):
    """How a run is trained; nothing here changes what the model is."""

    train_dir: str = flag("/tmp/yt8m_model/", "Directory of the run's files.", NEEDED)
    preset: str = flag(
        "",
        "Row of a paper's table, by its name in tools.presets; its flags become the "
        "defaults of this run, which the flags that are given override.",
    )
    train_data_pattern: str = flag(
        "",
        "Glob of the training shards, 'train*.tfrecord', or several, comma-separated.",
        NEEDED,
    )
    segment_labels: bool = flag(
        False,
        "Train on the rated segments of the records; unrated classes do not count.",
    )
    unrated_as_negative: bool = flag(
        False,
        "With --segment_labels, unrated classes count as absent in the loss, as the "
        "starter code's train.py counts them.",
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
    num_gpu: int = flag(
        1, "GPUs to train on, at most; the CPU where there is none.", ANY
    )
    batch_size: int = flag(1024, "Examples per step and GPU.")
    steps_per_loop: int = flag(
        1, "Steps per call of the device; several are faster for small models."
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
        1.0, "Factor of the model's weight regularisation in the loss.", ANY
    )
    clip_gradient_norm: float = flag(
        1.0, "Largest L2 norm of each variable's gradient; 0 or less: no limit.", ANY
    )
    precision: str = flag(
        "float32",
        "Numbers that layers compute with: float32, mixed_bfloat16 or mixed_float16. "
        "Weights are float32 with all of them, and so is evaluation.",
        PRECISIONS,
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
        ANY,
    )
    export_model_steps: int = flag(1000, "Steps between two checkpoints.")
    save_checkpoint_minutes: float = flag(15.0, "Minutes between two checkpoints.")
    keep_checkpoints: int = flag(
        5, "Checkpoints kept, the newest ones; 0: all.", NOT_NEGATIVE
    )
    weight_histograms: bool = flag(
        False, "Write histograms of the weights to TensorBoard with each checkpoint."
    )
    num_readers: int = flag(8, "Shards read side by side.")
    shuffle_buffer: int | None = flag(
        None, "Records in the shuffle buffer; default 5 batches."
    )
    seed: int = flag(0, "Seed of the initial weights and the order of the data.", ANY)
    log_device_placement: bool = flag(False, "Log the device of each operation.")

    def __post_init__(self):
        super().__post_init__()
        for name in ("base_learning_rate", "regularization_penalty"):
            value = getattr(self, name)
            require(math.isfinite(value), f"--{name}={value}: must be finite")
        wrong = f"--seed={self.seed}: must be from 0 to 4294967295"
        require(0 <= self.seed < 2**32, wrong)
        wrong = f"--ema_decay={self.ema_decay}: must be at least 0 and below 1"
        require(0 <= self.ema_decay < 1, wrong)
