"""What the benchmarks need: records on disk, batches in memory, a model."""

import dataclasses
import math
import os
import time
from collections.abc import Callable, Iterator, Mapping

import numpy as np
import tensorflow as tf

from youtube8m import models
from youtube8m.benchmarks import measuring
from youtube8m.config import RunConfig
from youtube8m.config.features import numpy_dtype
from youtube8m.config.fields import Config, flag
from youtube8m.data.inspection.inspector import inspect
from youtube8m.data.reading import order
from youtube8m.data.reading.pipeline import Shards
from youtube8m.data.reading.tensorflow_pipeline import open_shards
from youtube8m.data.writing import records
from youtube8m.errors import UserError
from youtube8m.evaluation.config import EvaluationConfig
from youtube8m.evaluation.evaluator import Evaluator
from youtube8m.prediction.config import InferenceConfig
from youtube8m.prediction.inference import Inference
from youtube8m.schema import BYTES, FLOAT_LIST
from youtube8m.training.config import TrainingConfig
from youtube8m.training.trainer import Trainer
from youtube8m.util.progress import Progress

_BATCH_SIZE = {True: 128, False: 1024}  # by frame_features
_NUM_VIDEOS = {True: 512, False: 4096}
_SHARDS = 4
LABELS = 3  # per made-up video
_ENDLESS = 1_000_000  # epochs
_READ_BUFFER = 2 << 20  # bytes
_WHOLE_RUN = 3  # length of a measurement that includes its start, in --seconds


@dataclasses.dataclass(frozen=True)
class BenchmarkConfig(Config):
    """What is measured with, and for how long."""

    data_pattern: str = flag(
        "", "Glob of labelled shards to measure with; default: made-up ones."
    )
    batch_size: int | None = flag(
        None, "Videos per batch; default 128 at frame level, 1024 at video level."
    )
    num_frames: int | None = flag(
        None, "Frames of made-up videos, at most; default --max_frames."
    )
    num_videos: int | None = flag(
        None, "Made-up videos on disk; default 512 at frame level, 4096 at video level."
    )
    num_readers: int = flag(8, "Shards read side by side in training.")
    repetitions: int = flag(3, "Measurements of each figure; the median is shown.")
    seconds: float = flag(1.0, "Length of a measurement, at least one batch.")
    precision: str = flag("float32", "As of train.py, for the training step.")
    jit_compile: bool = flag(False, "As of train.py, for the training step.")
    output_file: str = flag("", "JSON file to write the figures to.")


class Workload:
    """Records on disk, batches in memory and a model, and measures of them.

    A measure is a function that does its work for a while and returns a rate.

    Args:
      directory: where made-up records and the run of an untrained model go.

    Raises UserError if values do not fit together, or files cannot be used.
    """

    def __init__(self, config: BenchmarkConfig, run: RunConfig, directory: str):
        self.config, self.run, self.directory = config, run, directory
        self.memory_of_libraries = measuring.peak_memory()["peak memory"]
        self.num_frames = config.num_frames or run.data.max_frames
        if self.num_frames > run.data.max_frames:
            raise UserError(
                f"--num_frames={self.num_frames}: more than "
                f"--max_frames={run.data.max_frames}; raise that as well"
            )
        if models.parts(run.model).classifier is None:
            raise UserError(
                f"--model={run.model.model}: predicts no labels, and only models "
                "that do can be measured; name another"
            )
        self.longest = min(self.num_frames, run.data.longest_example)
        frames = run.data.frame_features
        self.batch_size = config.batch_size or _BATCH_SIZE[frames]
        self.num_videos = config.num_videos or _NUM_VIDEOS[frames]
        self.pattern = config.data_pattern or self._write_records()
        self.shards = Shards.open(self.pattern, "--data_pattern", run.data)
        self.train_dir = os.path.join(directory, "run")

    def alternate(self, measures: Mapping[str, Callable]) -> dict[str, float]:
        """Medians of the measures, by the configured repetitions."""
        return measuring.alternate(measures, self.config.repetitions, "measuring")

    def rate(self, action: Callable[[], int]) -> Callable[[], float]:
        """A measure: the rate of `action`, over the configured seconds."""
        return lambda: measuring.rate(action, self.config.seconds)

    def reading(self, batches: Iterator[dict]) -> Callable[[], float]:
        """A measure: videos/s of batches that are read."""
        return self.rate(lambda: len(next(batches)["id"]))

    def product(self, flops: int) -> Callable[[], float]:
        """A measure: FLOP/s of matrix products, a batch of `flops` a video at once."""
        return self.rate(measuring.MatrixProduct(flops * self.batch_size))

    def _write_records(self):
        """Shards of random values; returns their glob."""
        rng, numbers = np.random.default_rng(0), range(self.num_videos)
        with Progress("writing records", self.num_videos) as progress:
            for shard in range(_SHARDS):
                path = os.path.join(self.directory, f"records{shard}.tfrecord")
                part = numbers[order.share(self.num_videos, shard, _SHARDS)]
                records.write_records(path, self._examples(rng, part))
                progress.update(part.stop)
        return os.path.join(self.directory, "records*.tfrecord")

    def _examples(self, rng, numbers):
        data = self.run.data
        shortest = math.ceil(0.4 * self.num_frames)  # 120 of 300, as in YouTube-8M
        for number in numbers:
            name, labels = f"{number:04d}", rng.integers(data.num_classes, size=LABELS)
            if data.frame_features:
                frames = rng.integers(shortest, self.num_frames + 1)
                values = {
                    feature.name: random_values(
                        rng,
                        [frames] * feature.per_frame + [feature.size],
                        feature.dtype,
                    )
                    for feature in data.features
                }
                context = {n: values.pop(n) for n in data.context_features}
                as_lists = any(f.stored == FLOAT_LIST for f in data.features)
                floats = "lists" if as_lists else "bytes"
                yield records.frame_example(
                    name, labels, values, context=context, floats=floats
                )
            else:
                features = {f.name: rng.standard_normal(f.size) for f in data.features}
                yield records.video_example(name, labels, features)

    def batch(self, size: int) -> dict[str, tf.Tensor]:
        """Random videos in memory: `labels` and what the model takes."""
        rng, data = np.random.default_rng(0), self.run.data
        values = models.dummy_batch(data, size, self.longest)
        for array in data.frame_arrays if data.frame_features else ():
            shape = values[array.key].shape
            values[array.key] = random_values(rng, shape, array.dtype)
        if not data.frame_features:
            shape = values["features"].shape
            values["features"] = rng.standard_normal(shape, np.float32)
        shape = (size, LABELS)
        values["labels"] = rng.integers(data.num_classes, size=shape, dtype=np.int32)
        return {name: tf.constant(value) for name, value in values.items()}

    def flops(self, count: Callable, model) -> int:
        """Operations for one video by `forward_flops` or `training_flops`."""
        return count(model, models.dummy_batch(self.run.data, frames=self.longest))

    def raw_reading(self, num_readers: int) -> Callable[[], float]:
        """A measure: serialised videos/s, as fast as tf.data reads them."""
        dataset = tf.data.TFRecordDataset(
            self.shards.paths,
            buffer_size=_READ_BUFFER,
            num_parallel_reads=num_readers if num_readers > 1 else None,
        )
        batches = iter(dataset.repeat().batch(self.batch_size).prefetch(2))
        return self.rate(lambda: len(next(batches)))

    def processor_rate(self, action: Callable[[], int]) -> Callable[[], float]:
        """A measure: the rate of `action` by the processor time of all threads."""
        return lambda: measuring.rate(action, self.config.seconds, time.process_time)

    def read_raw(self) -> int:
        """Reads all files once, as TFRecordDataset does; returns their records."""
        dataset = tf.data.TFRecordDataset(self.shards.paths, buffer_size=_READ_BUFFER)
        batches = dataset.batch(self.batch_size).prefetch(2)
        return sum(len(batch) for batch in batches)

    def inspect(self) -> int:
        """Inspects all files once; returns their records."""
        return inspect(self.pattern, "--data_pattern").records

    def ordered_batches(self) -> Iterator[dict]:
        """Batches in the order of the files, without end."""
        many = _repeated(self.shards, -(-_ENDLESS // self.shards.estimated_records))
        while True:
            yield from many.iterate(many.ordered_batches(self.batch_size))

    def training_batches(self, input_pipeline: str = "reader") -> Iterator[dict]:
        """Shuffled batches without end."""
        data, readers = self.run.data, self.config.num_readers
        shards = open_shards(input_pipeline, self.pattern, "--data_pattern", data)
        return shards.iterate(
            shards.training_batches(
                self.batch_size, seed=0, num_epochs=_ENDLESS, num_readers=readers
            )
        )

    def trainer(self) -> Trainer:
        """A trainer of the model, for its step and for a checkpoint."""
        config = TrainingConfig(
            train_dir=self.train_dir,
            train_data_pattern=self.pattern,
            batch_size=self.batch_size,
            precision=self.config.precision,
            jit_compile=self.config.jit_compile,
        )
        return Trainer(self.run, config)

    def evaluator(self) -> Evaluator:
        """An evaluator of the checkpoint that a trainer saved."""
        config = EvaluationConfig(
            self.train_dir, self.pattern, batch_size=self.batch_size
        )
        return Evaluator(config)

    def inference(self) -> Inference:
        """Inference with that checkpoint, to a file in the directory."""
        output = os.path.join(self.directory, "predictions.csv")
        config = InferenceConfig(
            self.train_dir, self.pattern, output, batch_size=self.batch_size
        )
        inference = Inference(config)
        # The same files are read again and again, and each time a video has a row.
        inference._is_new = lambda name: True
        return inference

    def whole_runs(self, command, run: Callable[[], int]) -> Callable[[], float]:
        """A measure: videos/s of `run`, which reads all of `command.shards`.

        Reads the files as often as fills three times the configured seconds, because
        the start of a run is measured too.
        """
        videos = run()  # compiles
        seconds = videos / measuring.repeat(run)
        times = math.ceil(_WHOLE_RUN * self.config.seconds / seconds)
        command.shards = _repeated(command.shards, times)
        return lambda: measuring.repeat(run)


def random_values(rng, shape, dtype: str) -> np.ndarray:
    """Bytes, or normal floats of a type."""
    if dtype == BYTES:
        return rng.integers(0, 256, shape, np.uint8)
    return rng.standard_normal(shape, np.float32).astype(numpy_dtype(dtype))


def _repeated(shards: Shards, times: int) -> Shards:
    """The same files, named `times` times."""
    return dataclasses.replace(
        shards, paths=shards.paths * times, file_bytes=shards.file_bytes * times
    )
