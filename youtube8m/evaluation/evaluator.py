"""Measures checkpoints on labelled records.

result = Evaluator(EvaluationConfig(..., run_once=True)).run()
"""

import contextlib
import os
import time
from collections.abc import Sequence
from typing import Protocol

import numpy as np
import pandas as pd
import tensorflow as tf
from absl import logging

from youtube8m import losses
from youtube8m.config.fields import require_unread
from youtube8m.data.reading import shard_files
from youtube8m.data.reading.batch import device_inputs, of_any_size
from youtube8m.errors import UserError, reason
from youtube8m.evaluation.config import EvaluationConfig
from youtube8m.metrics import Metrics, top_predictions
from youtube8m.prediction.predictor import TrainedRun
from youtube8m.registry import has_users_code
from youtube8m.runs.best import BestCheckpoints
from youtube8m.runs.checkpoint_files import step_of, tensorflow_prefix
from youtube8m.runs.directory import BEST
from youtube8m.util.ahead import computed_ahead
from youtube8m.util.files import ARRAY_ERRORS, replacing, require_writable
from youtube8m.util.progress import Progress

# Lines in the starter code's words.
_BATCH_LINE = (
    "examples_processed: %(done)d | global_step %(step)d | "
    "Batch Hit@1: %(hit_at_one).3f | Batch PERR: %(perr).3f | "
    "Batch Loss: %(loss).3f | Examples_per_sec: %(examples_per_second).3f"
)
_RESULT_LINE = (
    "epoch/eval number %(step)d | Avg_Hit@1: %(hit_at_one).3f | "
    "Avg_PERR: %(perr).3f | MAP: %(map).3f | GAP: %(gap).3f | Avg_Loss: %(loss)f | "
    "num_classes: %(num_classes)d"
)
# Its tags of TensorBoard, and their figures.
_BATCH_TAGS = {
    "Hit@1": "hit_at_one",
    "Perr": "perr",
    "Loss": "loss",
    "Example_Second": "examples_per_second",
}
_EPOCH_TAGS = {
    "Avg_Hit@1": "hit_at_one",
    "Avg_Perr": "perr",
    "Avg_Loss": "loss",
    "MAP": "map",
    "GAP": "gap",
}
# What a report gets of a batch.
_KEPT = ("id", "labels", "rated", "segment_start")


def _batch_figures(metrics, seconds):
    """The figures of one batch that are reported, by name."""
    result = metrics.result()
    result["examples_per_second"] = metrics.num_examples / seconds
    return {name: result[name] for name in _BATCH_TAGS.values()}


def log_result(result: dict, step: int) -> None:
    """Logs the metrics of a whole evaluation."""
    if "rated_loss" in result:
        logging.info("loss of the rated classes: %f", result["rated_loss"])
    logging.info(_RESULT_LINE, {"loss": 0.0, **result, "step": step})


def merged_parts(paths: Sequence[str], flag: str) -> tuple[Metrics, int]:
    """The metrics of all data, from those of its parts, and their step.

    Raises UserError unless the files are all parts of one evaluation, once each.
    """
    parts, of_all = {}, None
    for path in paths:
        try:
            with np.load(path) as file:
                state = dict(file)
            step, (index, count) = int(state.pop("step")), state.pop("part").tolist()
            metrics = Metrics.from_state(state)
        except ARRAY_ERRORS as error:
            raise UserError(
                f"{flag}={path}: not written by eval.py --metrics_file ({error})"
            ) from None
        facts = (step, count, metrics.num_classes, metrics.top_k)
        if index in parts or facts != (of_all or facts):
            raise UserError(
                f"{flag}={path}: shard {index} of {count} of step {step}, which is "
                "given twice, or the others are of another evaluation"
            )
        parts[index], of_all = metrics, facts
    if missing := sorted({*range(count)} - parts.keys()):
        raise UserError(f"{flag}: shards {', '.join(map(str, missing))} are missing")
    total = Metrics(metrics.num_classes, metrics.top_k)
    for _, metrics in sorted(parts.items()):
        total.merge(metrics)
    return total, step


class EvaluationObserver(Protocol):
    """What is told of an evaluation while it runs, such as reports.EvaluationReport."""

    def begin(self, prefix: str) -> None:
        """A checkpoint is evaluated next."""

    def add(self, batch: dict, top: dict, loss) -> None:
        """A batch without its features, its `top_predictions` and its loss [B]."""

    def end(self, result: dict) -> None:
        """All examples are evaluated; `result` are their metrics."""


class Evaluator:
    """Evaluates the checkpoints of one run directory.

    Attributes:
      report: is told of all that is evaluated, if it is set.

    Raises UserError if a flag or the data is wrong.
    """

    def __init__(self, config: EvaluationConfig):
        self.config = config
        self.report: EvaluationObserver | None = None
        for name in ("class_metrics_file", "metrics_file"):
            if path := getattr(config, name):  # an error now, not an hour later
                require_writable(path, f"--{name}")
        self.trained = TrainedRun(config.train_dir, config.hyperparameters)
        self.directory = self.trained.directory
        self.shards = self.trained.open_shards(
            config.eval_data_pattern,
            "--eval_data_pattern",
            segments=config.segment_labels,
            strict=config.strict_data,
            input_pipeline=config.input_pipeline,
        )
        read = [*self.shards.paths, *self.directory.files()]
        require_unread(config, ("class_metrics_file", "metrics_file"), (), read)
        self.num_classes = self.trained.run.data.num_classes
        self.loss = losses.create(self.trained.run)
        uses_autograph = has_users_code(self.loss)
        self._compiled = of_any_size(self._top_and_losses, uses_autograph)

    def run(self) -> dict:
        """Evaluates the newest checkpoint; without --run_once each newer one, too.

        Raises UserError if a record is wrong, a file cannot be written, or with
        --run_once the checkpoint cannot be loaded.
        """
        if self.config.run_once or self.config.checkpoint:
            return self._measure(self.trained.load_checkpoint(self.config.checkpoint))
        if not self.directory.latest_checkpoint():
            logging.info("waiting for a checkpoint in %s", self.directory.path)
        for prefix in self.directory.new_checkpoints():
            try:
                self.trained.load(prefix)
            except UserError as error:  # it is damaged, or removed by now
                logging.warning("%s; waiting for the next", error)
            else:
                self._measure(prefix)

    def evaluate(self, prefix: str) -> dict:
        """Evaluates one checkpoint: logs it, writes summaries, returns the metrics."""
        self.trained.load(prefix)
        return self._measure(prefix)

    def _measure(self, prefix):
        """Evaluates the loaded weights, those of `prefix`."""
        step, best = step_of(prefix), self._copy_to_best(prefix)
        if self.report:
            self.report.begin(prefix)
        try:
            metrics, of_batches, seconds = self._measure_records(step)
            result = metrics.result()
            result["examples_per_second"] = metrics.num_examples / seconds
            if self.config.num_shards == 1:  # figures of a part are merged first
                log_result(result, step)
                self.shards.damage.warn_of_lost("and are left out")
                self._summarize(result, of_batches, step)
            if best:
                self._keep_or_warn(best.rank, prefix, result["gap"])
        finally:
            if best:
                best.remove_others()
        # Last, so that an error here costs nothing else.
        self._write_files(metrics, result, step)
        if self.report:
            self.report.end(result)
        return result

    def _measure_records(self, step):
        """The metrics of all examples, the figures of each batch, and the seconds."""
        metrics, of_batches = Metrics(self.num_classes, self.config.top_k), []
        dataset = self.shards.ordered_batches(
            self.config.batch_size,
            self.config.num_readers,
            part=(self.config.shard_index, self.config.num_shards),
        )
        start = began = time.monotonic()
        total = self.shards.estimated_examples // self.config.num_shards
        with Progress("evaluating", total) as progress:
            batches = self.shards.iterate(dataset)
            for batch, found in computed_ahead(self._predict, batches):
                one = Metrics(self.num_classes, self.config.top_k)
                one.update(*found)
                if self.report:
                    top, _, loss, *_ = found
                    self.report.add(batch, top, loss)
                metrics.merge(one)
                of_batches.append(_batch_figures(one, time.monotonic() - began))
                if not progress.visible:
                    own = {"done": metrics.num_examples, "step": step}
                    logging.info(_BATCH_LINE, of_batches[-1] | own)
                progress.update(metrics.num_examples)
                began = time.monotonic()
        if not metrics.num_examples and self.config.num_shards == 1:
            what = "rated segment" if self.config.segment_labels else "video"
            raise UserError(
                f"--eval_data_pattern={self.config.eval_data_pattern}: no {what} could "
                f"be read, and {self.shards.damage.amount()} were lost"
            )
        return metrics, of_batches, time.monotonic() - start

    def _copy_to_best(self, prefix):
        """Copies a checkpoint to be ranked; returns the best ones, None without it."""
        config = self.config
        is_copy = os.path.dirname(prefix) != self.directory.path
        if is_copy or not config.keep_best or config.num_shards > 1:
            return None
        name = BEST[config.segment_labels]
        measured_on = f"{shard_files.digest(self.shards.paths)} --top_k={config.top_k}"
        best = BestCheckpoints(self.directory, config.keep_best, name, measured_on)
        return best if self._keep_or_warn(best.copy, prefix) else None

    def _keep_or_warn(self, action, prefix, *gap):
        """Copies or ranks a checkpoint, or warns; returns whether it is done."""
        try:
            action(prefix, *gap)
        except (OSError, UserError) as error:
            message = "--train_dir=%s: %s is not taken for --keep_best (%s)"
            name = os.path.basename(prefix)
            logging.warning(message, self.directory.path, name, reason(error))
            return False
        return True

    def _predict(self, batch):
        """A batch without its features, and what `Metrics.update` takes of it."""
        top, *of_examples = self._compiled(device_inputs(batch))
        kept = {name: batch[name] for name in _KEPT if name in batch}
        return kept, (top, batch["labels"], *of_examples)

    def _top_and_losses(self, batch):
        """Ranks, and losses [B]: of all classes, and of segments' rated classes.

        The starter code's loss counts all classes, unrated ones as absent.
        """
        predictions = self.trained.predict(batch)["predictions"]
        labels, rated = losses.label_arrays(batch, self.num_classes)
        of_examples = [self.loss.call(labels, predictions)]
        if rated is not None:
            of_examples.append(self.loss.call(labels, predictions, rated))
        predictions = losses.rated_predictions(predictions, batch)
        top = top_predictions(predictions, batch["labels"], self.config.top_k)
        return top, *of_examples

    def _write_files(self, metrics, result, step):
        config = self.config
        if path := config.metrics_file:
            part = (config.shard_index, config.num_shards)
            with replacing(path, "--metrics_file", binary=True) as file:
                np.savez(file, step=step, part=part, **metrics.state())
            logging.info("wrote %s", path)
        if path := config.class_metrics_file:
            table = pd.DataFrame({"Videos": result["positives"]})
            table["AveragePrecision"] = result["average_precisions"]
            with replacing(path, "--class_metrics_file") as file:
                table.to_csv(file, index_label="Index")

    def _summarize(self, result, of_batches, step):
        """Writes the starter code's tags: Epoch/ of all, GlobalStep/ of each batch."""
        kind = "SegEval" if self.config.segment_labels else "Eval"
        path = self.directory.file("eval")
        try:
            writer = tf.summary.create_file_writer(tensorflow_prefix(path))
            with contextlib.closing(writer), writer.as_default(step=step):
                for tag, name in _EPOCH_TAGS.items():
                    tf.summary.scalar(f"Epoch/{kind}_{tag}", result.get(name, 0.0))
                for values in of_batches:
                    for tag, name in _BATCH_TAGS.items():
                        value = np.float32(values[name])  # a Python number is cached
                        tf.summary.scalar(f"GlobalStep/{kind}_{tag}", value)
        except tf.errors.OpError as error:
            why = reason(error).split("; ")[-1].split(" [Op:")[0]
            message = "--train_dir=%s: no summaries for TensorBoard (%s)"
            logging.warning(message, path, why)
