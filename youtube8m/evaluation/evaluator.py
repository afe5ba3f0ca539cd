"""Measures checkpoints on labelled records.

evaluator = Evaluator(EvaluationConfig(...))
metrics = evaluator.evaluate(directory.latest_checkpoint())
evaluator.run()                # once, or again for each new checkpoint
"""

import contextlib
import os
import time
from collections.abc import Sequence

import numpy as np
import pandas as pd
import tensorflow as tf
from absl import logging

from youtube8m import losses
from youtube8m.data.reading import tfrecord
from youtube8m.data.reading.batch import device_inputs
from youtube8m.errors import UserError, reason
from youtube8m.evaluation.config import EvaluationConfig
from youtube8m.losses import label_arrays, rated_predictions
from youtube8m.metrics import Metrics, top_predictions
from youtube8m.prediction.predictor import TrainedRun
from youtube8m.runs.best import BestCheckpoints
from youtube8m.runs.checkpoint_files import step_of
from youtube8m.runs.directory import BEST
from youtube8m.util.files import ARRAY_ERRORS, replacing, require_writable
from youtube8m.util.progress import Progress


def log_result(result: dict, step: int) -> None:
    """Logs the metrics of a whole evaluation, in the starter code's words."""
    if "rated_loss" in result:
        logging.info("loss of the rated classes: %f", result["rated_loss"])
    logging.info(
        "epoch/eval number %d | Avg_Hit@1: %.3f | Avg_PERR: %.3f | MAP: %.3f | "
        "GAP: %.3f | Avg_Loss: %f | num_classes: %d",
        step,
        result["hit_at_one"],
        result["perr"],
        result["map"],
        result["gap"],
        result.get("loss", 0.0),
        result["num_classes"],
    )


def merged_parts(paths: Sequence[str], flag: str) -> tuple[Metrics, int]:
    """The metrics of all parts that --metrics_file wrote, and their step.

    Raises:
      UserError: they are not all parts of one evaluation, once each.
    """
    parts = {}
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
        place = (step, count, metrics.num_classes, metrics.top_k)
        if index in parts or place != parts.setdefault("place", place):
            raise UserError(
                f"{flag}={path}: shard {index} of {count} of step {step}, which is "
                "there already, or others are of another evaluation"
            )
        parts[index] = metrics
    step, count, *facts = parts.pop("place")
    missing = sorted(set(range(count)) - parts.keys())
    if missing:
        raise UserError(f"{flag}: shards {', '.join(map(str, missing))} are missing")
    total = Metrics(*facts)
    for _, metrics in sorted(parts.items()):
        total.merge(metrics)
    return total, step


class Evaluator:
    """Evaluates the checkpoints of one run directory.

    Raises:
      UserError: whatever is wrong with the flags or the data.
    """

    def __init__(self, config: EvaluationConfig):
        self.config = config
        for name in ("class_metrics_file", "metrics_file"):
            if path := getattr(config, name):  # an hour later it would be too late
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
        self.num_classes = self.trained.run.data.num_classes
        self.loss = losses.create(self.trained.run)
        self._measure = tf.function(self._top_and_losses, reduce_retracing=True)

    def run(self) -> dict:
        """Evaluates the newest checkpoint; unless --run_once each later one, for ever.

        Raises:
          UserError: a record is wrong, a file cannot be written, or with --run_once the
            checkpoint cannot be loaded.
        """
        if self.config.run_once or self.config.checkpoint:
            return self._measured(self.trained.load_checkpoint(self.config.checkpoint))
        if not self.directory.latest_checkpoint():
            logging.info("waiting for a checkpoint in %s", self.directory.path)
        for prefix in self.directory.new_checkpoints():
            try:
                self.trained.load(prefix)
            except UserError as error:  # damaged, or too old by now
                logging.warning("%s; waiting for the next", error)
                continue
            self._measured(prefix)

    def evaluate(self, prefix: str) -> dict:
        """Evaluates one checkpoint: logs it, writes summaries, returns the metrics."""
        self.trained.load(prefix)
        return self._measured(prefix)

    def _measured(self, prefix):
        """Evaluates the weights that are loaded, those of `prefix`."""
        step = step_of(prefix)
        with self._held(prefix) as best:
            metrics, seconds = self._over_records(step)
            result = metrics.result()
            result["examples_per_second"] = metrics.num_examples / seconds
            if self.config.num_shards == 1:  # else the figures of a part, to be merged
                self._report(result, step)
            if best is not None:
                self._rank(best, prefix, result["gap"])
        # Last: where it fails, all else has been done.
        self._write_files(metrics, result, step)
        return result

    def _over_records(self, step):
        """The metrics of all examples, and the seconds that it took."""
        metrics = Metrics(self.num_classes, self.config.top_k)
        dataset = self.shards.ordered_batches(
            self.config.batch_size,
            self.config.num_readers,
            shard=(self.config.shard_index, self.config.num_shards),
        )
        start = began = time.monotonic()
        total = self.shards.estimated_examples // self.config.num_shards
        with Progress("evaluating", total) as progress:
            for batch in self.shards.iterate(dataset):
                one = self._batch_metrics(batch)
                metrics.merge(one)
                if not progress.visible:
                    self._log_batch(one, step, metrics.num_examples, began)
                progress.update(metrics.num_examples)
                began = time.monotonic()
        if not metrics.num_examples and self.config.num_shards == 1:
            what = "rated segment" if self.config.segment_labels else "video"
            raise UserError(
                f"--eval_data_pattern={self.config.eval_data_pattern}: no {what} could "
                f"be read, and {self.shards.damage.lost} records were lost"
            )
        return metrics, time.monotonic() - start

    @contextlib.contextmanager
    def _held(self, prefix):
        """The best checkpoints, this one among them until it is known if it is."""
        config = self.config
        is_again = os.path.dirname(prefix) != self.directory.path
        if is_again or not config.keep_best or config.num_shards > 1:
            yield None
            return
        name = BEST[config.segment_labels]
        measured_on = f"{tfrecord.digest(self.shards.paths)} --top_k={config.top_k}"
        best = BestCheckpoints(self.directory, config.keep_best, name, measured_on)
        try:
            best.hold(prefix)
        except OSError as error:
            self._warn_not_best(error, prefix)
            yield None
            return
        try:
            yield best
        finally:
            best.release()

    def _warn_not_best(self, error, prefix):
        logging.warning(
            "--train_dir=%s: %s is not taken for --keep_best (%s)",
            self.directory.path,
            os.path.basename(prefix),
            reason(error),
        )

    def _rank(self, best, prefix, gap):
        try:
            best.rank(prefix, gap)
        except UserError as error:
            self._warn_not_best(error, prefix)

    def _batch_metrics(self, batch):
        predictions = self.trained.predict(batch)["predictions"]
        top, *of_examples = self._measure(predictions, device_inputs(batch))
        metrics = Metrics(self.num_classes, self.config.top_k)
        metrics.update(top, batch["labels"], *of_examples)
        return metrics

    def _log_batch(self, metrics, step, done, began):
        values = metrics.result()
        logging.info(
            "examples_processed: %d | global_step %d | Batch Hit@1: %.3f | "
            "Batch PERR: %.3f | Batch Loss: %.3f | Examples_per_sec: %.3f",
            done,
            step,
            values["hit_at_one"],
            values["perr"],
            values["loss"],
            metrics.num_examples / (time.monotonic() - began),
        )

    def _top_and_losses(self, predictions, batch):
        """Ranks, the starter code's loss, and of segments that of rated classes.

        The starter code trains on the latter, but counts all classes when it evaluates.
        """
        labels, rated = label_arrays(batch, self.num_classes)
        of_examples = [self.loss.call(labels, predictions)]
        if rated is not None:
            of_examples.append(self.loss.call(labels, predictions, rated))
        predictions = rated_predictions(predictions, batch)
        top = top_predictions(predictions, batch["labels"], self.config.top_k)
        return top, *of_examples

    def _write_files(self, metrics, result, step):
        if self.config.metrics_file:
            self._write_part(metrics, step)
        if self.config.class_metrics_file and self.config.num_shards == 1:
            self._write_classes(result)

    def _write_part(self, metrics, step):
        config = self.config
        part = (config.shard_index, config.num_shards)
        flag = "--metrics_file"
        with replacing(config.metrics_file, flag, binary=True) as file:
            np.savez(file, step=step, part=part, **metrics.state())
        logging.info("wrote %s", config.metrics_file)

    def _report(self, result, step):
        log_result(result, step)
        self.shards.damage.warn_of_lost("and are left out")
        self._summarize(result, step)

    def _write_classes(self, result):
        columns = {"Videos": "positives", "AveragePrecision": "average_precisions"}
        table = pd.DataFrame({title: result[name] for title, name in columns.items()})
        with replacing(self.config.class_metrics_file, "--class_metrics_file") as file:
            table.to_csv(file, index_label="Index")

    def _summarize(self, result, step):
        kind = "SegEval" if self.config.segment_labels else "Eval"
        tags = {
            f"Epoch/{kind}_Avg_Hit@1": "hit_at_one",
            f"Epoch/{kind}_Avg_Perr": "perr",
            f"Epoch/{kind}_Avg_Loss": "loss",
            f"Epoch/{kind}_MAP": "map",
            f"Epoch/{kind}_GAP": "gap",
            f"GlobalStep/{kind}_Hit@1": "hit_at_one",
            f"GlobalStep/{kind}_Perr": "perr",
            f"GlobalStep/{kind}_Loss": "loss",
            f"GlobalStep/{kind}_Example_Second": "examples_per_second",
        }
        path = self.directory.file("eval")
        try:
            writer = tf.summary.create_file_writer(path)
            with contextlib.closing(writer), writer.as_default(step=step):
                for tag, name in tags.items():
                    tf.summary.scalar(tag, result.get(name, 0.0))
        except tf.errors.OpError as error:
            why = reason(error).split("; ")[-1].split(" [Op:")[0]
            logging.warning(
                "--train_dir=%s: no summaries for TensorBoard (%s)", path, why
            )
