"""The training loop.

summary = Trainer(run, TrainingConfig(...)).train()
"""

import collections
import contextlib
import dataclasses
import functools
import json
import math
import os
import signal
import threading
import time
import zlib

import keras
import numpy as np
import tensorflow as tf
from absl import logging

from youtube8m import losses, models, optimizers
from youtube8m.config import RunConfig, provenance
from youtube8m.data.reading.tensorflow_pipeline import open_shards
from youtube8m.errors import UserError
from youtube8m.metrics import Metrics, top_predictions
from youtube8m.runs.directory import RunDirectory
from youtube8m.runs.weights import named_variables
from youtube8m.training.config import TrainingConfig
from youtube8m.training.reports import TrainingReport
from youtube8m.training.resume import TrainingFlags, resume_flags
from youtube8m.training.saver import Saver
from youtube8m.training.steps import TrainingState, TrainStep, pad_batch
from youtube8m.training.warm_start import initialize_weights
from youtube8m.training.workers import Workers, split_batch

_REPORT_STEPS = 10  # steps between two evaluations of the training batch
_TOP_K = 20
_STEPS_AHEAD = 2  # the host starts so many steps before it reads a step's results
# Flags in which workers may differ.
_OWN_FLAGS = (
    *("train_dir", "train_data_pattern", "warm_start_from", "label_correlation_file"),
    *("num_gpu", "log_device_placement"),
)
# What TensorFlow raises when another worker has ended.
_LOST_WORKER = (
    tf.errors.UnavailableError,
    tf.errors.AbortedError,
    tf.errors.CancelledError,
    tf.errors.DeadlineExceededError,
    tf.errors.InternalError,
)


@dataclasses.dataclass(eq=False)
class Trainer:
    """Trains a run, from its last checkpoint if it has one.

    Args:
      strategy: default: the one for --num_gpu and the workers.
      workers: the processes that train together; default: this process alone.

    Attributes:
      training_flags: the flags that the state of training depends on.
      stopped_by: the signal that ended `train` early; SIGTERM if another worker got it.

    Raises UserError if a flag or the data is wrong.
    """

    run: RunConfig
    config: TrainingConfig
    strategy: tf.distribute.Strategy | None = None
    workers: Workers = Workers()

    def __post_init__(self):
        models.require_keras()
        run, config = self.run, self.config
        # Several workers must connect before TensorFlow runs anything.
        self.strategy = self.strategy or self.workers.strategy(config.num_gpu)
        self._all_gather = functools.partial(self.workers.all_gather, self.strategy)
        self._check_workers()
        keras.utils.set_random_seed(config.seed)
        self.shards = open_shards(
            config.input_pipeline,
            config.train_data_pattern,
            "--train_data_pattern",
            run.data,
            labels=models.parts(run.model).classifier is not None,
            strict=config.strict_data,
            segments=config.segment_labels,
        )
        features = provenance.made_of_shards(
            self.shards.paths, run.data.feature_names, "--train_data_pattern"
        )
        self.run = run = dataclasses.replace(run, features=features)
        with self.strategy.scope(), dtype_policy(config.precision):
            loss = losses.create(run)
            optimizer = optimizers.create(
                config.optimizer,
                config.base_learning_rate,
                config.ema_decay,
                scales_loss=config.precision == "mixed_float16",
            )
            model = models.create(run)
            loss.build(run.data.num_classes, models.descriptor_shape(model, run.data))
            self.state = TrainingState(model, optimizer, loss)
        self.step = TrainStep(self.strategy, self.state, config, run.data.num_classes)
        self._warn_of_idle_terms()
        self.directory = RunDirectory(config.train_dir, writes=self.workers.is_chief)
        self._warm_start_lines = initialize_weights(model, config, self.directory)
        self.directory.prepare(run, config.start_new_model, models.complete)
        self.saver = Saver(self.directory, self.state, config.keep_checkpoints)
        self._batch_size = config.batch_size * self.strategy.num_replicas_in_sync
        self.training_flags = self._collect_flags()
        self._last_step = config.max_steps or math.inf
        # --start_new_model would remove the run.
        without = " without --start_new_model" if config.start_new_model else ""
        self._how_to_resume = f"run the same command{without}"
        self.stopped_by: int | None = None
        self._stop_signal: int | None = None

    def _warn_of_idle_terms(self):
        batch = models.dummy_batch(self.run.data)
        idle = self.step.idle_terms(batch | {"labels": np.zeros((1, 1), np.int32)})
        if idle:
            logging.warning(
                "the loss's term %s depends on no weight of the model, so it trains "
                "nothing; choose another loss, or another model",
                " and ".join(idle),
            )

    def train(self) -> dict:
        """Trains to the end of the data, --max_steps, SIGTERM or Ctrl-C.

        Returns the last reported metrics of the training batches, and `step`.
        """
        try:
            return self._train()
        except OSError as error:  # of metrics.jsonl or train.log, whose names it lacks
            raise UserError(
                f"--train_dir={self.directory.path}: cannot be written "
                f"({error.strerror}); correct that, and {self._how_to_resume} to go on"
            ) from None
        except _LOST_WORKER as error:
            if len(self.workers) == 1:
                raise
            last = (error.message.strip().splitlines() or [""])[-1]
            raise UserError(
                f"another worker is gone or cannot be reached ({last}); on each of "
                f"them {self._how_to_resume}, which goes on from the last checkpoint"
            ) from None

    def _train(self):
        restored = self._restore_or_initialize()
        first = self.state.steps_done
        self._position = self.state.position.numpy()
        self._report = TrainingReport(self.directory, first, self._estimate_steps())
        with self._report as report:
            if threading.current_thread() is threading.main_thread():  # others cannot
                for number in (signal.SIGTERM, signal.SIGINT):
                    previous = signal.signal(number, self._on_signal)
                    report.callback(signal.signal, number, previous)
            report.say(self._describe_start(restored))
            for line in () if restored else self._warm_start_lines:
                report.say(line)
            last = self._loop()
            self._report_end(first)
        self._all_gather(0)  # no worker ends while the chief is saving
        with contextlib.suppress(*_LOST_WORKER):
            # Nor while another one waits for this one's value of the line above. A
            # worker that has ended by now got all values that it needed.
            self._all_gather(0)
        return {**last, "step": self.state.steps_done}

    def _restore_or_initialize(self):
        """Restores the newest checkpoint, if there is one; returns its prefix."""
        config, directory = self.config, self.directory
        if not self.workers.is_chief:
            self._all_gather(0)  # by then the chief has written the directory's files
            if not os.path.exists(directory.file("model_flags.json")):
                raise UserError(
                    f"--train_dir={directory.path}: the chief's files are not there; "
                    "it must be one directory that all workers see, such as a network "
                    "drive"
                )
        derived = () if config.shuffle_buffer else ("shuffle_buffer",)
        self.training_flags = resume_flags(directory, self.training_flags, derived)
        directory.write_json("training_config.json", dataclasses.asdict(config))
        if self.workers.is_chief:
            self._all_gather(0)
        restored = self.saver.restore()
        steps = self._all_gather(self.state.steps_done)
        if len(set(steps)) > 1:
            raise UserError(
                f"--train_dir={directory.path}: the workers find checkpoints of "
                f"the steps {', '.join(map(str, steps))} there; it must be one "
                "directory that all of them see, such as a network drive"
            )
        return restored

    def _check_workers(self):
        """Raises UserError unless all workers have the same flags, but for paths."""
        values = dataclasses.asdict(self.config)
        kept = {name: values[name] for name in values if name not in _OWN_FLAGS}
        text = self.run.to_json() + json.dumps(kept)
        if len(set(self._all_gather(zlib.crc32(text.encode())))) > 1:
            raise UserError(
                "TF_CONFIG: the workers were started with different flags; give all of "
                f"them the same, but for {', '.join(f'--{n}' for n in _OWN_FLAGS)}"
            )

    def _loop(self):
        # Counted on the host: to read the device's variable is to wait for its step.
        step, saved_at, metrics = self.state.steps_done, time.monotonic(), {}
        recent = collections.deque()
        for group in self._group_batches(step):
            results = self.step.loop([shares for shares, *_ in group])
            before, step = step, step + len(group)
            _, batch, (self._position, _) = group[-1]
            self._report.steps(step, results, [origin for *_, origin in group])
            if step // _REPORT_STEPS > before // _REPORT_STEPS:
                metrics = self._measure_batch(results, batch)
                self._report.flush(metrics)
            minutes = (time.monotonic() - saved_at) / 60
            late = minutes >= self.config.save_checkpoint_minutes
            if late or step % self.config.export_model_steps == 0:
                self._save()
                saved_at = time.monotonic()
            if len(self.workers) > 1:
                recent.append(results["stopping"])
            if self._is_stopping(recent) and step < self._last_step:
                self.stopped_by = self._stop_signal or signal.SIGTERM
            if self.stopped_by or step >= self._last_step:
                break
        self._report.flush()
        return metrics

    def _is_stopping(self, recent):
        """Whether this worker, or by the results of recent steps another, is to stop.

        All workers see the same results, and so stop after the same step. They read
        the results of an earlier step, for which they need not wait.
        """
        if len(self.workers) == 1:
            return self._stop_signal is not None
        self.step.stopping.assign(float(self._stop_signal is not None))
        return len(recent) > _STEPS_AHEAD and np.any(recent.popleft() > 0)

    def _save(self):
        self._report.flush()  # which raises an error if the loss is not finite
        self.state.position.assign(self._position)
        if self.config.weight_histograms:
            weights = named_variables(self.state.model.trainable_variables)
            self._report.histograms(self.state.steps_done, weights)
        return self.saver.save()

    def _group_batches(self, step):
        """Yields lists of (shares, batch, (position, ids)), one for a call of the step.

        A list holds --steps_per_loop batches, or a single one where so many would go
        beyond the last step or a step that is saved.
        """
        every, several = self.config.export_model_steps, self.config.steps_per_loop
        waiting = []
        for batch in self._report.waiting_for(self._batches()):
            origin = batch.pop("position"), batch.pop("id")
            batch, shares = self.distribute(batch)
            if shares is not None:
                waiting.append((shares, batch, origin))
            elif len(self.workers) == 1:
                logging.info("a batch has fewer examples than replicas; left out")
            else:
                raise UserError(
                    "too many records of a batch are damaged: this worker has too few "
                    "for a step, and the other workers wait for it; see the warnings "
                    "above"
                )
            room = min(every - step % every, self._last_step - step)
            if len(waiting) == (several if several <= room else 1):
                yield waiting
                step, waiting = step + len(waiting), []
        for one in waiting:
            yield [one]

    def distribute(self, batch: dict) -> tuple:
        """A batch, padded if XLA compiles the step, and the shares of the replicas."""
        if self.step.jit_compile:
            batch = pad_batch(batch, self.run.data.longest_example)
        return batch, split_batch(self.strategy, batch)

    def _batches(self):
        flags = self.training_flags
        if self.state.steps_done >= self._last_step:
            return
        dataset = self.shards.training_batches(
            self._batch_size,
            flags.seed,
            self.config.num_epochs,
            start=tuple(self._position.tolist()),
            num_readers=flags.num_readers,
            shuffle_buffer=flags.shuffle_buffer,
            worker=(self.workers.index, len(self.workers)),
            least_rows=self.strategy.num_replicas_in_sync,
        )
        try:
            yield from self.shards.iterate(dataset)
        except UserError:  # an error of the data; the state is good
            if self.state.steps_done:
                self._save()
            raise

    def _collect_flags(self):
        """The flags that the state depends on, as given for this run."""
        values = dataclasses.asdict(self.config) | {"files": self.shards.fingerprint()}
        default = self.shards.default_buffer(self._batch_size)
        values["shuffle_buffer"] = self.config.shuffle_buffer or default
        names = [field.name for field in dataclasses.fields(TrainingFlags)]
        return TrainingFlags(**{name: values[name] for name in names})

    def _measure_batch(self, results, batch):
        if "predictions" not in results:
            return {}
        metrics = Metrics(self.run.data.num_classes, _TOP_K)
        predictions = self.strategy.experimental_local_results(results["predictions"])
        predictions = losses.rated_predictions(tf.concat(predictions, 0), batch)
        top = top_predictions(predictions, batch["labels"], _TOP_K)
        metrics.update(top, batch["labels"])
        values = metrics.result()
        return {name: values[name] for name in ("hit_at_one", "perr", "gap")}

    def _estimate_steps(self):
        examples = self.shards.estimated_examples * self.config.num_epochs
        steps = int(np.ceil(examples / self._batch_size))
        return min(steps, self._last_step)

    def _describe_start(self, restored):
        count, shards = models.count_parameters(self.state.model), self.shards
        return (
            f"training {self.run.model.model} ({count:,} parameters) from "
            f"{restored or 'scratch'}: about {shards.estimated_records:,} records in "
            f"{len(shards.paths)} files, {self._estimate_steps():,} steps, "
            f"{self.strategy.num_replicas_in_sync} replica(s)"
        )

    def _report_end(self, first):
        step, report = self.state.steps_done, self._report
        if not step:
            raise UserError(
                f"--train_data_pattern={self.config.train_data_pattern}: too few "
                "usable records for one step; see the warnings above"
            )
        if self.shards.damage.lost:
            report.say(f"{self.shards.damage.amount()} could not be read")
        if self.shards.damage.unlabelled:
            report.say(f"{self.shards.damage.unlabelled} records have no label")
        if self.stopped_by:
            number = self._stop_signal
            name = signal.Signals(number).name if number else "another worker"
            report.say(f"stopped by {name}; {self._how_to_resume} to go on")
        elif step == first:
            report.say("nothing left to do: raise --num_epochs or --max_steps")
        prefix = self._save()
        if self.directory.writes:
            waiting = self._describe_waiting() if step > first else ""
            report.say(f"saved step {step}: {prefix}{waiting}")

    def _describe_waiting(self):
        share = self._report.waiting_share
        return f" | Waiting for input: {share:.0%} of the time"

    def _on_signal(self, number, _):
        """Ends the loop after its step; a second signal ends it at once."""
        if self._stop_signal:
            raise KeyboardInterrupt
        self._stop_signal = number


@contextlib.contextmanager
def dtype_policy(name: str):
    """Layers that are made within the block compute with this policy, and keep it."""
    previous = keras.config.dtype_policy()
    keras.config.set_dtype_policy(name)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(previous)
