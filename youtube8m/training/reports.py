"""The reports of a training run: console lines, TensorBoard scalars, metrics.jsonl.

with TrainingReport(directory, first_step=0, total_steps=1000) as report:
    report.steps(1, results, origins)
    report.flush(metrics)
"""

import contextlib
import json
import os
import time
from collections.abc import Iterable, Iterator, Mapping
from typing import TypeVar

import numpy as np
import tensorflow as tf
from absl import logging

from youtube8m.errors import UserError
from youtube8m.runs.checkpoint_files import tensorflow_directory
from youtube8m.runs.directory import RunDirectory
from youtube8m.training.saver import advise_after_divergence
from youtube8m.util.files import replacing
from youtube8m.util.json import JsonError, parse_json
from youtube8m.util.progress import Progress

Batch = TypeVar("Batch")

_NOT_REPORTED = ("predictions", "stopping")
_MAX_NAMES = 8  # videos of a bad batch in the error's line
# The starter code's names of summaries -> ours of figures.
_TAGS = {
    "model/Training_Hit@1": "hit_at_one",
    "model/Training_Perr": "perr",
    "model/Training_GAP": "gap",
    "global_step/Examples/Second": "examples_per_second",
    "learning_rate": "learning_rate",
    "label_loss": "loss",
    "auxiliary_loss": "auxiliary_loss",
    "reg_loss": "regularization_loss",
}


class TrainingReport(contextlib.ExitStack):
    """Collects the results of steps, and writes those of several steps together.

    Losses stay on the device until `flush`: to read each one at once would make the
    host wait for every step.

    The share of the time that steps wait for input is what the host spends in asking
    for batches. A GPU may compute meanwhile: there it is the most that input can cost.
    """

    def __init__(self, directory: RunDirectory, first_step: int, total_steps: int):
        super().__init__()
        self._directory = directory
        self._summaries = tf.summary.create_noop_writer()
        if directory.writes:
            _truncate_metrics(directory.file("metrics.jsonl"), first_step)
            self._summaries = tf.summary.create_file_writer(
                tensorflow_directory(directory.path)
            )
        self._metrics = self._open("metrics.jsonl")
        self._log = self._open("train.log")
        self._progress = self.enter_context(Progress("training", total_steps, "step"))
        self.callback(self._summaries.close)
        self.callback(self.flush)  # also when an error ends the run
        self._pending: list[tuple] = []
        self._note = ""
        self._clock = self._began = time.monotonic()
        self._waited = self._all_waited = None  # seconds, once they are measured

    def _open(self, name):
        path = self._directory.file(name) if self._directory.writes else os.devnull
        # Paths may not be UTF-8.
        text = {"encoding": "utf-8", "errors": "backslashreplace"}
        return self.enter_context(open(path, "a", buffering=1, **text))

    def waiting_for(self, batches: Iterable[Batch]) -> Iterator[Batch]:
        """Yields the batches, and keeps how long each was waited for."""
        self._waited = self._all_waited = 0.0
        iterator = iter(batches)
        while True:
            start = time.monotonic()
            try:
                batch = next(iterator)
            except StopIteration:
                return
            finally:
                seconds = time.monotonic() - start
                self._waited += seconds
                self._all_waited += seconds
            yield batch

    @property
    def waiting_share(self) -> float:
        """The share of the whole time that steps waited for input."""
        return _share(self._all_waited, time.monotonic() - self._began)

    def steps(self, last: int, results: dict, origins: list) -> None:
        """Keeps the results of the steps up to `last` for the next `flush`.

        Args:
          results: tensors, of one step [] or of several [n].
          origins: for each step, the `position` after its batch and the videos' ids.
        """
        kept = {k: v for k, v in results.items() if k not in _NOT_REPORTED}
        self._pending.append((last - len(origins) + 1, kept, origins))
        self._progress.update(last, self._note)

    def flush(self, metrics: dict | None = None) -> None:
        """Writes the kept steps; `metrics` are of the last one's batch.

        Raises UserError if a loss or a gradient is not finite.
        """
        if not self._pending:
            return
        pending, self._pending = self._pending, []
        rows, problem = [], None
        for row, ids in (row for steps in pending for row in _split_rows(*steps)):
            if not np.isfinite([_objective(row), row["gradient_norm"]]).all():
                problem, metrics = self._not_finite(row, ids), None
                break
            rows.append(row)
        if rows:
            seconds = time.monotonic() - self._clock
            rate = sum(row["examples"] for row in rows) / max(seconds, 1e-9)
            shared = {"examples_per_second": rate}
            if self._waited is not None:
                shared["waiting_share"] = _share(self._waited, seconds)
                self._waited = 0.0
            for row in rows:
                row.update(shared)
            rows[-1].update(metrics or {})
            for row in rows:
                self._write(row)
            self._summarize(rows[-1])
            self._clock = time.monotonic()
        if problem is not None:
            raise problem

    def _not_finite(self, row, ids):
        """The error of a step, which names some videos; train.log lists all."""
        names = [name.decode("utf-8", "replace") for name in np.asarray(ids)]
        what, value = "the loss", _objective(row)
        if np.isfinite(value):
            what, value = "the gradient's norm", row["gradient_norm"]
        found = f"{what} is {value} at step {row['step']} of"
        last = self._directory.latest_checkpoint()
        self.say(f"{found} {' '.join(names)}", on_terminal=False)
        named = " ".join(names[:_MAX_NAMES])
        if len(names) > _MAX_NAMES:
            named += f" and {len(names) - _MAX_NAMES} more (train.log)"
        return UserError(f"{found} the videos {named}; {advise_after_divergence(last)}")

    def _write(self, row):
        step, rate, loss = row["step"], row["examples_per_second"], _objective(row)
        line = f"training step {step} | Loss: {loss:.2f} Examples/sec: {rate:.2f}"
        if "gap" in row:
            hits, perr, gap = (row[name] for name in ("hit_at_one", "perr", "gap"))
            line += f" | Hit@1: {hits:.2f} PERR: {perr:.2f} GAP: {gap:.2f}"
            self._note = f"loss {loss:.3f}  GAP {gap:.3f}"
        self.say(line, on_terminal=False)
        self._metrics.write(json.dumps(row) + "\n")

    def say(self, line: str, on_terminal: bool = True) -> None:
        """Writes a line to train.log, and to the console.

        Args:
          on_terminal: also where a terminal shows the progress bar.
        """
        self._log.write(f"{time.strftime('%Y-%m-%d %H:%M:%S')} {line}\n")
        if on_terminal or not self._progress.visible:
            self._progress.clear()
            logging.info("%s", line)

    def _summarize(self, row):
        # NumPy's numbers: TensorFlow caches a tensor of each Python number for ever.
        with self._summaries.as_default(step=np.int64(row["step"])):
            for tag, name in _TAGS.items():
                if name in row:
                    tf.summary.scalar(tag, np.float32(row[name]))

    def histograms(self, step: int, values: Mapping[str, tf.Variable]) -> None:
        """Writes a histogram of each of `values` for TensorBoard."""
        with self._summaries.as_default(step=np.int64(step)):
            for name, value in values.items():
                tf.summary.histogram(name, value)


def _share(seconds, of_all):
    return min(1.0, seconds / max(of_all, 1e-9))


def _split_rows(first, results, origins):
    """Yields (row of metrics.jsonl, ids) of each step."""
    values = {name: np.atleast_1d(value) for name, value in results.items()}
    for number, (position, ids) in enumerate(origins):
        row = {name: value[number].item() for name, value in values.items()}
        epoch, record, *_ = (int(part) for part in position)
        yield {"step": first + number, **row, "epoch": epoch, "record": record}, ids


def _objective(row):
    """The loss without regularisation: for most models the label loss alone."""
    return row["loss"] + row["auxiliary_loss"]


def _truncate_metrics(path: str, last_step: int) -> None:
    """Removes the lines of steps after `last_step`, which will be made again."""
    if not os.path.exists(path):
        return
    with open(path, encoding="utf-8", errors="replace") as old, replacing(path) as new:
        for line in old:
            with contextlib.suppress(JsonError):
                if parse_json(line, lambda row: row["step"] <= last_step):
                    new.write(line.rstrip("\n") + "\n")
