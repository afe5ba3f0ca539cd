"""The work over many videos: decoders side by side, shards, and going on.

extract_videos(config)

An output directory has shards, features.json, and videos.csv, which lists the videos
of each whole shard. A later call leaves those out, and tries again what failed.
"""

import collections
import concurrent.futures
import csv
import itertools
import os
from collections.abc import Iterator, Sequence

import numpy as np
import tensorflow as tf
from absl import logging

from youtube8m.config import provenance
from youtube8m.config.fields import require_unread
from youtube8m.data.writing.records import record_file
from youtube8m.errors import UserError, reason
from youtube8m.extraction import description
from youtube8m.extraction.config import ExtractConfig, FeatureConfig
from youtube8m.extraction.extractor import (
    FeatureExtractor,
    VideoFeatures,
    require_finite,
)
from youtube8m.extraction.image_networks import STARTER, ImageNetwork, load_network
from youtube8m.extraction.media import VideoError, import_av, open_media
from youtube8m.extraction.vggish import EMBEDDING
from youtube8m.extraction.video_lists import Video, list_videos
from youtube8m.extraction.video_records import AUDIO, make_record
from youtube8m.extraction.whitening import Moments, Whitening, has_pca
from youtube8m.prediction.submission import warn_of_unfit_ids
from youtube8m.util.files import local_path, replacing, require_writable
from youtube8m.util.progress import Progress
from youtube8m.util.text import encode_id

INDEX = "videos.csv"
_INDEX_HEADER = ("shard", "id", "path", "frames")


def extract_videos(config: ExtractConfig) -> int:
    """Extracts what the flags say; returns how many videos were written by this call.

    Raises UserError if the flags, lists or models are wrong, a file cannot be written,
    or, after all others are done, if videos could not be used.
    """
    import_av()
    videos = list_videos(config)
    lists = ("input_videos_csv", "segments_csv", "vocabulary_file")
    paths = [video.path for video in videos]
    require_unread(config, ["output_tfrecords_file"], lists, paths)
    output = _SingleFile(config) if config.output_tfrecords_file else _Shards(config)
    todo = output.leave_out_written(videos)
    if len(todo) < len(videos):
        done = len(videos) - len(todo)
        logging.info("%d of %d videos were extracted before", done, len(videos))
    if not todo:
        return 0
    warn_of_unfit_ids(encode_id(video.id) for video in todo)
    network = _load_network(config)
    if config.fit_pca:
        _require_pca(network, config, todo)
    extractor = _make_extractor(config, network)
    sizes = feature_sizes(extractor, config)
    output.describe(description.describe(config, sizes))
    work = Extraction(extractor, config)
    with Progress("extracting", len(todo)) as progress:
        output.write(work.run(todo, progress, output.keeps_part))
    logging.info("Successfully encoded %d out of %d videos", work.done, len(todo))
    if work.longest:
        logging.warning(
            "videos cut at --max_frames=%d: %d, the longest %s of %.0f seconds",
            config.max_frames,
            work.cut,
            *work.longest,
        )
    if work.stopped:
        raise work.stopped
    if work.failed:
        raise UserError(
            f"{work.failed} of {len(todo)} videos could not be used, for the reasons "
            f"above; {work.done} are written"
        )
    return work.done


def make_extractor(config: FeatureConfig) -> FeatureExtractor:
    """Loads the models. Raises UserError if one cannot be loaded."""
    return _make_extractor(config, _load_network(config))


def _load_network(config):
    return load_network(
        config.image_model, config.model_dir, config.image_weights, config.image_range
    )


def _make_extractor(config, network):
    directory, whitening = config.directory_of_pca, None
    if directory:
        starter_size = 1024 if config.image_model == STARTER else None
        whitening = Whitening.load_starter(directory, starter_size)
    return FeatureExtractor(
        network,
        config.audio,
        os.path.expanduser(config.model_dir),
        whitening,
        frames_per_second=config.frames_per_second,
        max_frames=config.max_frames,
        batch_size=config.batch_size,
    )


def _require_pca(network: ImageNetwork, config, videos):
    """Fits a PCA of --fit_pca values unless it is there."""
    directory = config.directory_of_pca
    if not has_pca(directory):
        _fit_pca(network, config, videos)
    size = Whitening.load_starter(directory, None).size
    if size != config.fit_pca:
        raise UserError(
            f"--fit_pca={config.fit_pca}: {directory} has a PCA of {size} values "
            "already; leave out the flag, or name another --pca_dir"
        )


def _fit_pca(network, config, videos):
    """Writes the PCA of the frames of some videos, evenly chosen."""
    count = min(len(videos), config.fit_pca_videos)
    chosen = [videos[i] for i in np.linspace(0, len(videos) - 1, count, dtype=int)]
    extractor = FeatureExtractor(network, sound=False, batch_size=config.batch_size)

    def extract(video):
        with open_media(video.path) as media:
            images = media.read_images(config.frames_per_second, config.max_frames)
            found = extractor.extract_images(images)
            require_finite(video.path, "rgb", found)
            return found

    moments, errors = Moments(), []
    with Progress("fitting the PCA", count) as progress:
        results = _side_by_side(extract, chosen, config.num_workers)
        for number, (_, found) in enumerate(results):
            progress.update(number)
            if isinstance(found, VideoError):
                errors.append(found)
            else:
                moments.update(found)
    if moments.count <= config.fit_pca:  # else they are told when they are extracted
        for error in errors:
            logging.error("%s", error)
    moments.write_pca(config.directory_of_pca, config.fit_pca)
    logging.info(
        "fitted a PCA on %d frames of %d videos: %s",
        moments.count,
        count,
        config.directory_of_pca,
    )


def feature_sizes(extractor: FeatureExtractor, config: FeatureConfig) -> dict[str, int]:
    """Name -> size of each feature."""
    if extractor.whitening:
        size = extractor.whitening.size
    else:
        blank = np.zeros((1, *extractor.network.size, 3), np.float32)
        size = extractor.network(blank).shape[1]
    sizes = {config.image_feature_key: size}
    if config.audio or config.insert_zero_audio_features:
        sizes[AUDIO] = EMBEDDING
    return sizes


class Extraction:
    """Extracts videos in order, and tells of those that cannot be used."""

    def __init__(self, extractor: FeatureExtractor, config: FeatureConfig):
        self.extractor, self.config = extractor, config
        self.done = self.failed = self.cut = 0
        self.longest: tuple[str, float] | None = None
        self.stopped: BaseException | None = None  # what interrupted it

    def run(
        self, videos: Sequence[Video], progress: Progress, keeps_part: bool = True
    ) -> Iterator[tuple[Video, VideoFeatures]]:
        """Yields the videos that could be used.

        Args:
          keeps_part: whether an interruption ends it as if it were done, so that what
            is done is written; `stopped` has it then.
        """
        results = _side_by_side(self._extract, videos, self.config.num_workers)
        try:
            for number, (video, found) in enumerate(results, 1):
                if isinstance(found, VideoError):
                    self.failed += 1
                    progress.clear()
                    logging.error("%s", found)
                else:
                    self.done += 1
                    self._tell(video, found, progress)
                    yield self._inside(video, len(found.rgb), progress), found
                progress.update(number, f"{self.failed} failed" if self.failed else "")
        except (KeyboardInterrupt, SystemExit) as error:
            if not keeps_part:
                raise
            self.stopped = error
        finally:
            results.close()

    def _extract(self, video):
        found = self.extractor.extract_file(video.path)
        without = found.audio is None and not self.config.insert_zero_audio_features
        if self.config.audio and without:
            several = isinstance(self.config, ExtractConfig)
            other = ", or --noaudio for all videos" if several else ""
            damage = [note for note in found.notes if "sound" in note]
            why = f" that can be decoded ({damage[0]})" if damage else ""
            raise VideoError(
                f"{video.path}: has no sound{why}; give --insert_zero_audio_features"
                f"{other}"
            )
        return found

    def _tell(self, video, found, progress):
        if found.notes:
            progress.clear()
            logging.warning("%s: %s", video.path, "; ".join(found.notes))
        taken = self.config.max_frames / self.config.frames_per_second
        if len(found.rgb) == self.config.max_frames and found.seconds > taken + 1:
            self.cut += 1
            if not self.longest or found.seconds > self.longest[1]:
                self.longest = video.path, found.seconds

    def _inside(self, video, frames, progress):
        """The video without the rated segments that begin behind its last frame."""
        kept = tuple(s for s in video.segments or () if s.start < frames)
        if lost := len(video.segments or ()) - len(kept):
            progress.clear()
            logging.warning(
                "%s: has %d frames; %d of its rated segments begin later, and are left "
                "out",
                video.path,
                frames,
                lost,
            )
        return video._replace(segments=kept) if lost else video


def _side_by_side(function, videos, workers):
    """Yields (video, result or VideoError) in order; `workers` threads are at work."""
    pool = concurrent.futures.ThreadPoolExecutor(workers)
    waiting: collections.deque = collections.deque()
    try:
        for video in itertools.chain(videos, [None] * (2 * workers)):
            if video is not None:
                waiting.append((video, pool.submit(function, video)))
            if waiting and (video is None or len(waiting) == 2 * workers):
                yield _result(*waiting.popleft())
    finally:
        pool.shutdown(cancel_futures=True)


def _result(video, future):
    try:
        return video, future.result()
    except VideoError as error:
        return video, error


class _SingleFile:
    """All records in one file, as the starter code writes them."""

    keeps_part = False

    def __init__(self, config: ExtractConfig):
        self.config = config
        flag = "--output_tfrecords_file"
        self.path = local_path(config.output_tfrecords_file, flag)
        require_writable(self.path, flag)

    def leave_out_written(self, videos: Sequence[Video]) -> Sequence[Video]:
        return videos

    def describe(self, values: dict) -> None:
        self.made = values

    def write(self, results: Iterator[tuple[Video, VideoFeatures]]) -> None:
        first = next(results, None)
        if first is None:
            return
        _write_file(self.path, itertools.chain([first], results), self.config)
        if os.path.isfile(self.path):  # no pipe or device
            beside = provenance.file_beside(self.path)
            with replacing(beside, "--output_tfrecords_file") as file:
                file.write(provenance.to_json(self.made))


class _Shards:
    """Shards of a directory, and the list of what they hold."""

    keeps_part = True

    def __init__(self, config: ExtractConfig):
        self.config = config
        self.directory = local_path(config.output_dir, "--output_dir")
        try:
            os.makedirs(self.directory, exist_ok=True)
        except OSError as error:
            raise UserError(
                f"--output_dir={config.output_dir}: cannot be made ({reason(error)})"
            ) from None
        self.index = os.path.join(self.directory, INDEX)
        self.rows = self._read_index()

    def leave_out_written(self, videos: Sequence[Video]) -> Sequence[Video]:
        written = {video_id: path for _, video_id, path, _ in self.rows}
        known = [video for video in videos if video.id in written]
        moved = [video for video in known if written[video.id] != video.path]
        if moved:
            logging.warning(
                "%d videos have ids that were extracted before from other paths, "
                "first %s (%s); taken for the same and left out: rename them, or "
                "name another --output_dir, if they are not",
                len(moved),
                moved[0].path,
                written[moved[0].id],
            )
        return [video for video in videos if video.id not in written]

    def describe(self, values: dict) -> None:
        path = self._path(provenance.FILE)
        if not self.rows and os.path.exists(path):
            os.remove(path)  # of a call that wrote no shard
        description.keep(path, values)

    def write(self, results: Iterator[tuple[Video, VideoFeatures]]) -> None:
        """Writes shards; each is listed as soon as it is whole."""
        for number in itertools.count(len({row[0] for row in self.rows})):
            first = next(results, None)
            if first is None:
                return
            name = _shard_name(number)
            rest = itertools.islice(results, self.config.shard_size - 1)
            shard = itertools.chain([first], rest)
            written = _write_file(self._path(name), shard, self.config)
            self.rows += [(name, *row) for row in written]
            with replacing(self.index, "--output_dir") as file:
                csv.writer(file, lineterminator="\n").writerows(
                    [_INDEX_HEADER, *self.rows]
                )

    def _path(self, name):
        return os.path.join(self.directory, name)

    def _read_index(self):
        if not os.path.exists(self.index):
            names = os.listdir(self.directory)
            # A call that was killed may have left its first shard.
            if {n for n in names if n.endswith(".tfrecord")} - {_shard_name(0)}:
                raise UserError(
                    f"--output_dir={self.directory}: holds records, but no {INDEX} "
                    "that lists their videos; name another directory"
                )
            return []
        names = {"encoding": "utf-8", "errors": "surrogateescape"}
        with open(self.index, newline="", **names) as file:
            try:
                rows = [tuple(row) for row in csv.reader(file)]
            except csv.Error:
                rows = []
        if rows[:1] != [_INDEX_HEADER] or any(len(row) != 4 for row in rows):
            raise UserError(
                f"{self.index}: is not the list of a directory that this command wrote"
            )
        return rows[1:]


def _shard_name(number):
    return f"videos{number:05d}.tfrecord"


def _write_file(path, results, config):
    """Writes a TFRecord file; returns (id, path, frames) of each video."""
    written = []
    try:
        with record_file(path) as write:
            for video, features in results:
                write(make_record(video, features, config))
                written.append((video.id, video.path, str(len(features.rgb))))
    except (OSError, tf.errors.OpError) as error:
        why = reason(error)
        if not why.startswith("cannot be written"):
            why = f"cannot be written ({why})"
        raise UserError(
            f"{path}: {why}; make room, and give the same command again"
        ) from None
    return written
