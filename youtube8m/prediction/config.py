"""The flags of inference.py."""

import dataclasses
import math

from youtube8m.config.fields import NEEDED, flag, require, split_list
from youtube8m.config.trained_run import CHECKPOINT_HELP, PartConfig, TrainedRunConfig
from youtube8m.data.download.youtube_ids import LookUpConfig
from youtube8m.prediction.formats import FORMATS, format_of
from youtube8m.util.files import split_paths


@dataclasses.dataclass(frozen=True)
class InferenceConfig(TrainedRunConfig, PartConfig, LookUpConfig):
    """How predictions are written."""

    train_dir: str = flag(
        "",
        "Directory that train.py wrote, or several, comma-separated, whose predictions "
        "are averaged.",
    )
    input_data_pattern: str = flag(
        "", "Glob of the shards, 'test*.tfrecord', or several, comma-separated.", NEEDED
    )
    output_file: str = flag(
        "", "File to write, a CSV if not told otherwise; complete or absent.", NEEDED
    )
    input_model_tgz: str = flag(
        "", "Instead of --train_dir: archive that --output_model_tgz wrote."
    )
    untar_model_dir: str = flag(
        "/tmp/yt8m-model",
        "Directory to unpack --input_model_tgz into; the files of an earlier archive "
        "there are replaced. Each process needs a directory of its own.",
    )
    output_model_tgz: str = flag(
        "", "Archive to write, of the model and the checkpoint that is used."
    )
    segment_labels: bool = flag(False, "Predict five-second segments, not videos.")
    checkpoint: str = flag("", CHECKPOINT_HELP)
    segment_max_pred: int = flag(100000, "Most segments listed per class.")
    segment_label_ids_file: str = flag(
        "challenge",
        "Local CSV of the classes to list segments of, with a column Index; challenge: "
        "the 1,000 classes of the 2019 challenge where the run has 3862 classes, else "
        "all; all, or nothing: all.",
    )
    batch_size: int = flag(512, "Videos predicted at once.")
    num_readers: int = flag(1, "Shards read side by side.")
    top_k: int = flag(20, "Predictions written per video (or kept per segment).")
    youtube_ids: bool = flag(
        False,
        "Write YouTube's ids, looked up on the network, for the data set's, which "
        "Kaggle wants.",
    )
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
        "What is averaged over --crop_starts and models: top_k (the --top_k of each, "
        "and 0 for the others; Zou et al. 2017) or full (all predictions).",
    )

    output_format: str = flag(
        "",
        "Its format: csv (the Kaggle challenge's), or jsonl or parquet, which have a "
        "row for each video or segment, with names if --vocabulary_file is given; "
        "default by the ending of --output_file, else csv.",
        FORMATS,
    )
    names: bool = flag(
        False,
        "Print the first predictions, with the names of --vocabulary_file: the data "
        "set's vocabulary.csv.",
    )
    vocabulary_file: str = ""

    def __post_init__(self):
        starts = split_list(self.crop_starts)
        wrong = f"--crop_starts={','.join(starts)}: each must be a number from 0 on"
        require(all(start.isdigit() for start in starts), wrong)
        object.__setattr__(self, "crop_starts", tuple(map(int, starts)))
        require(
            not (self.crop_starts and self.segment_labels),
            "--crop_starts: segments are predicted whole, not cropped; drop it or "
            "--segment_labels",
        )
        wrong = f"--ensemble_average={self.ensemble_average}: must be top_k or full"
        require(self.ensemble_average in ("top_k", "full"), wrong)
        self._check_weights()
        given = self.output_format or format_of(self.output_file)
        object.__setattr__(self, "output_format", given)
        require(
            bool(self.vocabulary_file or not self.names),
            "--names: nothing says what the classes are called; give "
            "--vocabulary_file=vocabulary.csv, the data set's",
        )
        require(
            bool(self.train_dir or self.input_model_tgz),
            "--train_dir is empty; give a directory that train.py wrote",
        )
        require(
            not (self.train_dir and self.input_model_tgz),
            f"--train_dir={self.train_dir} and --input_model_tgz="
            f"{self.input_model_tgz}: give one of them",
        )
        require(
            not self.output_model_tgz or len(split_paths(self.train_dir)) < 2,
            f"--output_model_tgz={self.output_model_tgz}: an archive holds one model; "
            "give one --train_dir",
        )
        super().__post_init__()

    def _check_weights(self):
        given, models = split_list(self.ensemble_weights), split_paths(self.train_dir)
        flag = f"--ensemble_weights={','.join(given)}"
        try:
            weights = tuple(map(float, given))
        except ValueError:
            weights = (math.nan,)
        wrong = f"{flag}: each must be a number from 0 on"
        require(all(0 <= weight < math.inf for weight in weights), wrong)
        require(
            not weights or (len(weights) == len(models) and sum(weights) > 0),
            f"{flag}: give one for each of the {len(models)} directories of "
            "--train_dir, not all of them 0",
        )
        object.__setattr__(self, "ensemble_weights", weights)
