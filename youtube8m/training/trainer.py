"""The training loop.

summary = Trainer(run, TrainingConfig(...)).train()
"""

import collections
import contextlib
import dataclasses
import json
import os
import signal
import time
import zlib
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from absl import logging

from youtube8m import losses, models, optimizers
from youtube8m.config import RunConfig
from youtube8m.data.reading.tensorflow_pipeline import open_shards
from youtube8m.errors import UserError
from youtube8m.metrics import Metrics, top_predictions
from youtube8m.runs.directory import RunDirectory
from youtube8m.training import warm_start, workers
from youtube8m.training.config import TrainingConfig
from youtube8m.training.reports import TrainingReport
from youtube8m.training.resume import TrainingFlags, resume_flags
from youtube8m.training.saver import Saver
from youtube8m.training.steps import TrainingState, TrainStep, pad_batch
from youtube8m.training.workers import Workers

_REPORT_STEPS = 10  # steps between two evaluations of the training batch
_TOP_K = 20
_STEPS_AHEAD = 2  # the host starts so many steps before it reads a step's results
# Flags in which workers may differ.
_OWN_FLAGS = (
    "train_dir",
    "train_data_pattern",
    "warm_start_from",
    "label_correlation_file",
    "num_gpu",
    "log_device_placement",
)
# What TensorFlow raises when another worker has ended.
_LOST_WORKER = (
    tf.errors.UnavailableError,
    tf.errors.AbortedError,
    tf.errors.CancelledError,
    tf.errors.DeadlineExceededError,
    tf.errors.InternalError,
)


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

    def __init__(
        self,
        run: RunConfig,
        config: TrainingConfig,
        strategy: tf.distribute.Strategy | None = None,
        workers: Workers | None = None,
    ):
        self.run = run
        self.config = config
        self.workers = workers or Workers()
        # Several workers must connect before TensorFlow runs anything.
        self.strategy = strategy or self.workers.strategy(config.num_gpu)
        self._check_workers()
        keras.utils.set_random_seed(config.seed)
        encoder = models.parts(run.model).encoder
        self.shards = open_shards(
            config.input_pipeline,
            config.train_data_pattern,
            "--train_data_pattern",
            run.data,
            labels=encoder is None or encoder.supervised,
            strict=config.strict_data,
            segments=config.segment_labels,
        )
        with self.strategy.scope(), dtype_policy(config.precision):
            loss = losses.create(run)
            optimizer = optimizers.create(
                config.optimizer,
                config.base_learning_rate,
                config.ema_decay,
                scales_loss=config.precision == "mixed_float16",
            )
            model = models.create(run)
            shape = models.descriptor_shape(model, run.data)
            loss.build(run.data.num_classes, shape)
            self.state = TrainingState(model, optimizer, loss)
        self.step = TrainStep(self.strategy, self.state, config, run.data.num_classes)
        self._warn_of_idle_terms()
        self.directory = RunDirectory(config.train_dir, writes=self.workers.is_chief)
        self._warm_start_lines = self._initialize_weights()
        self.directory.prepare(run, config.start_new_model, models.complete)
        self.saver = Saver(self.directory, self.state, config.keep_checkpoints)
        self.training_flags = self._given_flags()
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

        Returns:
          The last reported metrics of the training batches, and `step`.
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
        self._report = TrainingReport(self.directory, first, self._expected_steps())
        with self._report as report, self._stopping_on_signals():
            report.say(self._describe_start(restored))
            for line in () if restored else self._warm_start_lines:
                report.say(line)
            last = self._loop(report)
            self._report_end(report, first)
        self._all_gather(0)  # no worker ends while the chief is saving
        with contextlib.suppress(*_LOST_WORKER):
            # Nor while another one waits for this one's value of the line above. A
            # worker that has ended by now got all values that it needed.
            self._all_gather(0)
        return {**last, "step": self.state.steps_done}

    def _restore_or_initialize(self):
        """Restores the newest checkpoint, if there is one; returns its prefix.

        The chief writes the directory's files before the others read them.
        """
        if self.workers.is_chief:
            self.training_flags = self._resume_flags()
            self.directory.write_json(
                "training_config.json", dataclasses.asdict(self.config)
            )
        self._all_gather(0)
        if not self.workers.is_chief:
            self._follow_chief()
        restored = self.saver.restore()
        steps = self._all_gather(self.state.steps_done)
        if len(set(steps)) > 1:
            raise UserError(
                f"--train_dir={self.directory.path}: the workers find checkpoints of "
                f"the steps {', '.join(map(str, steps))} there; it must be one "
                "directory that all of them see, such as a network drive"
            )
        return restored

    def _follow_chief(self):
        if not os.path.exists(self.directory.file("model_flags.json")):
            raise UserError(
                f"--train_dir={self.directory.path}: the chief's files are not there; "
                "it must be one directory that all workers see, such as a network drive"
            )
        self.training_flags = self._resume_flags()

    def _resume_flags(self):
        derived = () if self.config.shuffle_buffer else ("shuffle_buffer",)
        return resume_flags(self.directory, self.training_flags, derived)

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

    @property
    def _how_to_resume(self):
        """What the user does to go on; --start_new_model would remove the run."""
        without = " without --start_new_model" if self.config.start_new_model else ""
        return f"run the same command{without}"

    def _all_gather(self, value):
        """The `value` of each worker. All workers wait here for one another."""
        if len(self.workers) == 1:
            return [value]
        return workers.all_gather(self.strategy, value).tolist()

    def _initialize_weights(self):
        """Sets the weights of a new run that do not start at random.

        They are read before --start_new_model removes the earlier run.

        Returns:
          Lines for the log.
        """
        config = self.config
        if self.directory.latest_checkpoint() and not config.start_new_model:
            return []
        warm_start.load_correlation(self.state.model, config.label_correlation_file)
        if not config.warm_start_from:
            return []
        removed = self.directory if config.start_new_model else None
        return warm_start.load_fitting(
            self.state.model, config.warm_start_from, removed
        )

    def _loop(self, report):
        # Counted on the host: to read the device's variable is to wait for its step.
        step, saved_at, metrics = self.state.steps_done, time.monotonic(), {}
        recent = collections.deque()
        for group in self._groups(step):
            results = self.step.loop([shares for shares, *_ in group])
            before, step = step, step + len(group)
            _, batch, (self._position, _) = group[-1]
            report.steps(step, results, [origin for *_, origin in group])
            if step // _REPORT_STEPS > before // _REPORT_STEPS:
                metrics = self._batch_metrics(results, batch)
                report.flush(metrics)
            if self._is_time_to_save(step, saved_at):
                self._save()
                saved_at = time.monotonic()
            if len(self.workers) > 1:
                recent.append(results["stopping"])
            stopping = self._is_stopping(recent)
            if self._is_done(step):
                break
            if stopping:
                self.stopped_by = self._stop_signal or signal.SIGTERM
                break
        report.flush()
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
        return self.saver.save()

    def _groups(self, step):
        """Yields lists of (shares, batch, (position, ids)), one for a call of the step.

        A list holds --steps_per_loop batches, or a single one where so many would go
        beyond the last step or a step that is saved.
        """
        waiting = []
        for batch in self._batches():
            origin = batch.pop("position"), batch.pop("id")
            batch, shares = self.distribute(batch)
            if shares is None and len(self.workers) > 1:
                raise UserError(
                    "too many records of a batch are damaged: this worker has too few "
                    "for a step, and the other workers wait for it; see the warnings "
                    "above"
                )
            if shares is None:
                logging.info("a batch has fewer examples than replicas; left out")
                continue
            waiting.append((shares, batch, origin))
            if len(waiting) == self._group_size(step):
                yield waiting
                step, waiting = step + len(waiting), []
        for one in waiting:
            yield [one]

    def distribute(self, batch: dict) -> tuple[dict, Any]:
        """A batch, padded if XLA compiles the step, and the shares of the replicas."""
        if self.step.jit_compile:
            batch = pad_batch(batch, self.run.data.longest_example)
        return batch, workers.split_batch(self.strategy, batch)

    def _group_size(self, step):
        config = self.config
        room = config.export_model_steps - step % config.export_model_steps
        if config.max_steps is not None:
            room = min(room, config.max_steps - step)
        return config.steps_per_loop if config.steps_per_loop <= room else 1

    def _is_time_to_save(self, step, saved_at):
        minutes = (time.monotonic() - saved_at) / 60
        return (
            step % self.config.export_model_steps == 0
            or minutes >= self.config.save_checkpoint_minutes
        )

    def _batches(self):
        config, flags = self.config, self.training_flags
        if self._is_done(self.state.steps_done):
            return
        dataset = self.shards.training_batches(
            config.batch_size * self.strategy.num_replicas_in_sync,
            flags.seed,
            config.num_epochs,
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

    def _given_flags(self):
        """The flags that the state depends on, as given for this run."""
        config = self.config
        batch = config.batch_size * self.strategy.num_replicas_in_sync
        return TrainingFlags(
            optimizer=config.optimizer,
            seed=config.seed,
            num_readers=config.num_readers,
            shuffle_buffer=config.shuffle_buffer or self.shards.default_buffer(batch),
            files=self.shards.fingerprint(),
            ema_decay=config.ema_decay,
            segment_labels=config.segment_labels,
            precision=config.precision,
            input_pipeline=config.input_pipeline,
        )

    def _is_done(self, step):
        return self.config.max_steps is not None and step >= self.config.max_steps

    def _batch_metrics(self, results, batch):
        if "predictions" not in results:
            return {}
        metrics = Metrics(self.run.data.num_classes, _TOP_K)
        predictions = self.strategy.experimental_local_results(results["predictions"])
        predictions = losses.rated_predictions(tf.concat(predictions, 0), batch)
        top = top_predictions(predictions, batch["labels"], _TOP_K)
        metrics.update(top, batch["labels"])
        values = metrics.result()
        return {name: values[name] for name in ("hit_at_one", "perr", "gap")}

    def _expected_steps(self):
        config = self.config
        examples = self.shards.estimated_examples * config.num_epochs
        batch = config.batch_size * self.strategy.num_replicas_in_sync
        steps = int(np.ceil(examples / batch))
        return min(steps, config.max_steps or steps)

    def _describe_start(self, restored):
        count = models.count_parameters(self.state.model)
        where = f"from {restored}" if restored else "from scratch"
        return (
            f"training {self.run.model.model} ({count:,} parameters) {where}: about "
            f"{self.shards.estimated_records:,} records in {len(self.shards.paths)} "
            f"files, {self._expected_steps():,} steps, "
            f"{self.strategy.num_replicas_in_sync} replica(s)"
        )

    def _report_end(self, report, first):
        step = self.state.steps_done
        if not step:
            raise UserError(
                f"--train_data_pattern={self.config.train_data_pattern}: too few "
                "usable records for one step; see the warnings above"
            )
        if self.shards.damage.lost:
            report.say(f"{self.shards.damage.lost} records could not be read")
        if self.stopped_by:
            number = self._stop_signal
            name = signal.Signals(number).name if number else "another worker"
            report.say(f"stopped by {name}; {self._how_to_resume} to go on")
        elif step == first:
            report.say("nothing left to do: raise --num_epochs or --max_steps")
        prefix = self._save()
        if self.directory.writes:
            report.say(f"saved step {step}: {prefix}")

    @contextlib.contextmanager
    def _stopping_on_signals(self):
        """Lets SIGTERM or Ctrl-C end the loop after its step; a second one at once."""

        def on_signal(number, _):
            if self._stop_signal:
                raise KeyboardInterrupt
            self._stop_signal = number

        stopping = (signal.SIGTERM, signal.SIGINT)
        previous = {number: signal.signal(number, on_signal) for number in stopping}
        try:
            yield
        finally:
            for number, handler in previous.items():
                signal.signal(number, handler)


@contextlib.contextmanager
def dtype_policy(name: str):
    """Layers that are made within the block compute with this policy, and keep it."""
    previous = keras.config.dtype_policy()
    keras.config.set_dtype_policy(name)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(previous)
