"""The features of a user's videos, made as those that a run was trained on.

    own = OwnVideos(trained, config)
    made, count = own.extract(["my.mp4"], "videos.tfrecord")

They become records, which are then read as any others: so frames are chosen, and
features joined, as in training.
"""

import dataclasses
import os
from collections.abc import Sequence

from absl import logging

from youtube8m.config import provenance
from youtube8m.config.fields import NEEDED, flag
from youtube8m.config.trained_run import CHECKPOINT_HELP, TrainedRunConfig
from youtube8m.data.writing.records import record_file
from youtube8m.errors import UserError
from youtube8m.extraction import description
from youtube8m.extraction.config import FeatureConfig
from youtube8m.extraction.image_networks import STARTER
from youtube8m.extraction.many_videos import Extraction, feature_sizes, make_extractor
from youtube8m.extraction.media import import_av
from youtube8m.extraction.video_lists import Video
from youtube8m.extraction.video_records import make_record
from youtube8m.prediction.predictor import TrainedRun
from youtube8m.util.progress import Progress

_YT8M_SIZES = {"rgb": 1024, "mean_rgb": 1024, "audio": 128, "mean_audio": 128}


@dataclasses.dataclass(frozen=True, kw_only=True)
class OwnVideosConfig(TrainedRunConfig):
    """A run, and how features are extracted for it."""

    train_dir: str = flag("", "Directory that train.py wrote.", NEEDED)
    checkpoint: str = flag("", CHECKPOINT_HELP)
    image_model: str = flag(
        "",
        "The network for images, where the run does not say which, or where its file "
        "is by now; as of tools.extract_features.",
    )
    model_dir: str = flag(
        "", "Directory of the published models; default: the run's, or ~/yt8m."
    )
    pca_dir: str = flag("", "Directory of the images' PCA; default: the run's.")
    insert_zero_audio_features: bool = flag(
        False, "Whether videos without sound get audio of 0; else they are an error."
    )
    batch_size: int = flag(32, "Frames at once.")
    num_workers: int = flag(4, "Videos that are decoded side by side.")
    vocabulary_file: str = ""  # the data set's vocabulary.csv, for names of classes


class OwnVideos:
    """Extracts what a run reads.

    Attributes:
      failed: videos that could not be used so far.
    """

    def __init__(self, trained: TrainedRun, config: OwnVideosConfig):
        self.trained, self.config = trained, config
        self.data = trained.run.data
        self.failed = 0

    def extract(self, paths: Sequence[str], output: str) -> tuple[provenance.Made, int]:
        """Writes the videos' records; returns how they were made, and how many.

        Videos that cannot be used are told, and left out. Raises UserError if a model
        is missing, or is not the run's.
        """
        import_av()
        config = self._features()
        extractor = make_extractor(config)
        made = description.describe(config, feature_sizes(extractor, config))
        self.trained.require_features(made, "--image_model, --pca_dir or --model_dir")
        names = [os.path.basename(path) for path in paths]
        unique = len({*names}) == len(names)
        titles = names if unique else paths
        videos = [
            Video(path, title, None, None)
            for path, title in zip(paths, titles, strict=True)
        ]
        work = Extraction(extractor, config)
        with (
            Progress("extracting", len(videos)) as progress,
            record_file(output) as write,
        ):
            for video, features in work.run(videos, progress):
                write(make_record(video, features, config))
        if work.stopped:
            raise work.stopped
        self.failed += work.failed
        return made, work.done

    def _features(self) -> FeatureConfig:
        """How the run's features are made: as it says, or as YouTube-8M's."""
        config, made = self.config, self.trained.run.features
        given = {
            name: value
            for name in ("image_model", "model_dir", "pca_dir")
            if (value := getattr(config, name))
        }
        given |= {"batch_size": config.batch_size, "num_workers": config.num_workers}
        if not made and not config.image_model:
            self._require_yt8m()
            given["image_model"] = STARTER
        if not made:
            given["image_feature_key"] = self._image_key()
        if config.insert_zero_audio_features:
            given["insert_zero_audio_features"] = True
        heard = {*self.data.feature_names} & {*provenance.AUDIO}
        if not heard:
            given |= {"audio": False, "insert_zero_audio_features": False}
        return description.feature_config(
            made, **given, skip_frame_level_features=not self.data.frame_features
        )

    def _image_key(self):
        names = [n for n in self.data.feature_names if n not in provenance.AUDIO]
        return names[0].removeprefix("mean_") if names else "rgb"

    def _require_yt8m(self):
        sizes = zip(self.data.feature_names, self.data.feature_sizes, strict=True)
        directory = self.trained.directory.path
        if not all(_YT8M_SIZES.get(name) == size for name, size in sizes):
            raise UserError(
                f"--train_dir={directory}: does not say how its features were made, "
                "and they are not YouTube-8M's; give --image_model and --pca_dir, or "
                "records"
            )
        logging.info(
            "%s does not say how its features were made; taken for YouTube-8M's "
            "(--image_model=%s)",
            directory,
            STARTER,
        )
