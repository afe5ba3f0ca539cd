"""Measures checkpoints on labelled records.

evaluator = Evaluator(EvaluationConfig(...))
metrics = evaluator.evaluate(directory.latest_checkpoint())
evaluator.run()                # once, or again for each new checkpoint
"""

import dataclasses
import time

import tensorflow as tf
from absl import logging

from youtube8m.config import EvaluationConfig
from youtube8m.data.pipeline import Shards
from youtube8m.errors import UserError
from youtube8m.losses import LOSSES
from youtube8m.metrics import Metrics, top_predictions
from youtube8m.prediction import Predictor
from youtube8m.progress import Progress
from youtube8m.registry import construct
from youtube8m.training.checkpoints import RunDirectory, checkpoint_step
from youtube8m.training.steps import label_arrays


class Evaluator:
    """Evaluates the checkpoints of one run directory.

    Raises:
      UserError: whatever is wrong with the flags or the data.
    """

    def __init__(self, config: EvaluationConfig):
        self.config = config
        self.directory = RunDirectory(config.train_dir)
        run = self.directory.read_run()
        data = dataclasses.replace(run.data, segment_labels=config.segment_labels)
        self.shards = Shards.open(
            config.eval_data_pattern,
            "--eval_data_pattern",
            data,
            strict=config.strict_data,
        )
        self.predictor = Predictor(run)
        self.num_classes = data.num_classes
        self.loss = construct(
            LOSSES.get(run.model.label_loss), run.model.hyperparameters
        )
        self._measure = tf.function(self._measured, reduce_retracing=True)

    def run(self) -> dict:
        """Evaluates the newest checkpoint, and unless --run_once each later one."""
        if self.config.run_once:
            return self.evaluate(self._newest())
        if not self.directory.latest_checkpoint():
            logging.info("waiting for a checkpoint in %s", self.directory.path)
        for prefix in tf.train.checkpoints_iterator(self.directory.path):
            metrics = self.evaluate(prefix)
        return metrics

    def _newest(self):
        prefix = self.directory.latest_checkpoint()
        if not prefix:
            raise UserError(
                f"--train_dir={self.directory.path}: no checkpoint yet; train first, "
                "or drop --run_once to wait for one"
            )
        return prefix

    def evaluate(self, prefix: str) -> dict:
        """Evaluates one checkpoint: logs it, writes summaries, returns the metrics."""
        self.predictor.load(prefix)
        step = checkpoint_step(prefix)
        metrics = Metrics(self.num_classes, self.config.top_k)
        dataset = self.shards.ordered_batches(
            self.config.batch_size, num_readers=self.config.num_readers
        )
        start, done = time.monotonic(), 0
        with Progress("evaluating", self.shards.estimated_records) as progress:
            for batch in self.shards.iterate(dataset):
                began = time.monotonic()
                done += self._add(metrics, batch, step, done, began, progress)
        result = metrics.result()
        result["examples_per_second"] = done / (time.monotonic() - start)
        self._report(result, step)
        return result

    def _add(self, metrics, batch, step, done, began, progress):
        outputs = self.predictor(batch)
        batch.pop("id")
        top, loss = self._measure(outputs["predictions"], batch)
        one = Metrics(self.num_classes, self.config.top_k)
        one.update(top, batch["labels"], loss)
        metrics.merge(one)
        count, values = len(batch["labels"]), one.result()
        if not progress.visible:
            logging.info(
                "examples_processed: %d | global_step %d | Batch Hit@1: %.3f | "
                "Batch PERR: %.3f | Batch Loss: %.3f | Examples_per_sec: %.3f",
                done + count,
                step,
                values["hit_at_one"],
                values["perr"],
                values["loss"],
                count / (time.monotonic() - began),
            )
        progress.update(done + count)
        return count

    def _measured(self, predictions, batch):
        labels, rated = label_arrays(batch, self.num_classes)
        loss = self.loss.call(labels, predictions, rated)
        if rated is not None:
            predictions = predictions * rated
        return top_predictions(predictions, batch["labels"], self.config.top_k), loss

    def _report(self, result, step):
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
        if self.shards.damage.lost:
            logging.warning(
                "%d records could not be read and are left out",
                self.shards.damage.lost,
            )
        self._summarize(result, step)

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
        writer = tf.summary.create_file_writer(self.directory.file("eval"))
        with writer.as_default(step=step):
            for tag, name in tags.items():
                tf.summary.scalar(tag, result.get(name, 0.0))
        writer.close()
