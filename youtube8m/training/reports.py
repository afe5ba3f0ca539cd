"""What a training run tells: console lines, TensorBoard scalars, metrics.jsonl.

with TrainingReport(directory, total_steps) as report:
    report.step(step, results, seconds, metrics=None)
"""

import contextlib
import json
import os
import time

import numpy as np
import tensorflow as tf
from absl import logging

from youtube8m.errors import UserError
from youtube8m.files import replacing
from youtube8m.progress import Progress
from youtube8m.runs import RunDirectory


class TrainingReport(contextlib.ExitStack):
    """Collects steps and writes them out together, so that none waits for the GPU.

    Losses stay on the device until `flush`; asking for each at once would make the
    host wait for every step.
    """

    def __init__(self, directory: RunDirectory, first_step: int, total_steps: int):
        super().__init__()
        path = directory.file("metrics.jsonl")
        _truncate_metrics(path, first_step)
        self._metrics = self.enter_context(open(path, "a", encoding="utf-8"))
        self._log = self.enter_context(
            open(directory.file("train.log"), "a", encoding="utf-8")
        )
        self._progress = self.enter_context(Progress("training", total_steps, "step"))
        self._summaries = tf.summary.create_file_writer(directory.path)
        self.callback(self._summaries.close)
        self.callback(self.flush)  # also when an error ends the run
        self._pending: list[tuple] = []
        self._note = ""
        self._clock = time.monotonic()

    def step(self, step: int, results: dict, position) -> None:
        """Notes a step's results (tensors); they are read at the next `flush`."""
        kept = {k: v for k, v in results.items() if k != "predictions"}
        self._pending.append((step, kept, position))
        self._progress.update(step, self._note)

    def flush(self, metrics: dict | None = None) -> None:
        """Writes the noted steps; `metrics` are those of the last one's batch.

        Raises:
          UserError: a loss is not finite.
        """
        if not self._pending:
            return
        pending, self._pending = self._pending, []
        rows = [self._row(*step) for step in pending]
        seconds = time.monotonic() - self._clock
        rate = sum(row["examples"] for row in rows) / max(seconds, 1e-9)
        for row in rows:
            row["examples_per_second"] = rate
        rows[-1].update(metrics or {})
        for row in rows:
            self._write(row)
        self._summarize(rows[-1])
        self._clock = time.monotonic()

    def _row(self, step, results, position):
        row = {name: np.asarray(value).item() for name, value in results.items()}
        if not np.isfinite(_objective(row)):
            raise UserError(
                f"the loss is {_objective(row)} at step {step}; the checkpoints before "
                "it are intact: lower --base_learning_rate and run again"
            )
        epoch, record, _ = (int(part) for part in position)
        return {"step": step, **row, "epoch": epoch, "record": record}

    def _write(self, row):
        line = (
            f"training step {row['step']} | Loss: {_objective(row):.2f} "
            f"Examples/sec: {row['examples_per_second']:.2f}"
        )
        if "gap" in row:
            line += (
                f" | Hit@1: {row['hit_at_one']:.2f} PERR: {row['perr']:.2f} "
                f"GAP: {row['gap']:.2f}"
            )
            self._note = f"loss {_objective(row):.3f}  GAP {row['gap']:.3f}"
        self.say(line, on_terminal=False)
        self._metrics.write(json.dumps(row) + "\n")
        self._metrics.flush()

    def say(self, line: str, on_terminal: bool = True) -> None:
        """One line for train.log and the console; the bar may stand for it there."""
        self._log.write(f"{time.strftime('%Y-%m-%d %H:%M:%S')} {line}\n")
        self._log.flush()
        if on_terminal or not self._progress.visible:
            self._progress.clear()
            logging.info("%s", line)

    def _summarize(self, row):
        tags = {
            "model/Training_Hit@1": "hit_at_one",
            "model/Training_Perr": "perr",
            "model/Training_GAP": "gap",
            "global_step/Examples/Second": "examples_per_second",
            "learning_rate": "learning_rate",
            "label_loss": "loss",
            "auxiliary_loss": "auxiliary_loss",
            "reg_loss": "regularization_loss",
        }
        with self._summaries.as_default(step=row["step"]):
            for tag, name in tags.items():
                if name in row:
                    tf.summary.scalar(tag, row[name])


def _objective(row):
    """The loss without the weights' penalty: of most models the label loss alone."""
    return row["loss"] + row["auxiliary_loss"]


def _truncate_metrics(path: str, last_step: int) -> None:
    """Drops the lines of metrics.jsonl behind `last_step`, which will come again."""
    if not os.path.exists(path):
        return
    kept = []
    with open(path, encoding="utf-8") as file:
        for line in file:
            with contextlib.suppress(ValueError, KeyError):
                if json.loads(line)["step"] <= last_step:
                    kept.append(line)
    with replacing(path) as file:
        file.writelines(kept)
