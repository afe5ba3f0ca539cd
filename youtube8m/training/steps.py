"""One training step on one batch: forward pass, loss, gradients, update.

    state = TrainingState(model, optimizer, CrossEntropyLoss())
    step = TrainStep(strategy, state, TrainingConfig(...), num_classes=3862)
    results = step(batch)            # dict of tensors; `loss` is the label loss
    results = step.loop(batches)     # the same of several steps, values [n]

One function serves one device, N replicas and N workers: sums over replicas are
divided by the size of the global batch, so 1 replica with 2 B examples and 2 replicas
with B examples each make the same update.
"""

import dataclasses

import keras
import tensorflow as tf
from absl import logging

from youtube8m import compat
from youtube8m.data.reading.batch import batch_signature, device_inputs
from youtube8m.losses import CrossEntropyLoss, LabelLoss
from youtube8m.models import VideoModel
from youtube8m.models.base import Part
from youtube8m.registry import has_users_code
from youtube8m.training.config import TrainingConfig

# Results that are sums over the replicas, and all that are one number per step.
_SUMS = (
    *("loss", "auxiliary_loss", "regularization_loss", "gradient_norm"),
    *("examples", "stopping"),
)
_SCALARS = dict.fromkeys((*_SUMS, "learning_rate"), tf.float32)
_SCALARS["examples"] = tf.int64


@dataclasses.dataclass
class TrainingState:
    """All that training changes, and a checkpoint holds.

    `position` in the data is the epoch, how many of its records the steps so far have
    consumed, and how many examples of the next record, if it holds several.
    """

    model: VideoModel
    optimizer: keras.optimizers.Optimizer
    loss: LabelLoss = dataclasses.field(default_factory=CrossEntropyLoss)

    def __post_init__(self):
        self.optimizer.build(self.model.trainable_variables)
        self.step = tf.Variable(0, dtype=tf.int64, trainable=False, name="step")
        self.examples = tf.Variable(0, dtype=tf.int64, trainable=False, name="examples")
        self.position = tf.Variable([0, 0, 0], dtype=tf.int64, trainable=False)

    @property
    def steps_done(self) -> int:
        """`step` as a number."""
        return int(self.step.numpy())


def decayed_learning_rate(config: TrainingConfig, examples):
    """base * decay ^ floor(examples / decay_examples): a staircase in examples."""
    examples = tf.cast(examples, tf.float64)
    periods = tf.floor(examples / config.learning_rate_decay_examples)
    factor = tf.constant(config.learning_rate_decay, tf.float64) ** periods
    return config.base_learning_rate * tf.cast(factor, tf.float32)


def pad_batch(batch: dict, frames: int, labels: int = 32) -> dict:
    """A batch padded so that almost all batches of B examples have the same shapes.

    Args:
      frames: T of the result.
      labels: L of the result is a multiple of it.
    """
    result = dict(batch)
    for name, value in batch.items():
        of_frames = name.startswith("frames") and value.shape.rank == 3
        if of_frames or name in ("labels", "rated"):
            length = value.shape[1]
            missing = frames - length if of_frames else -length % labels
            paddings = [[0, 0] for _ in value.shape]
            paddings[1][1] = max(0, missing)
            filler = tf.cast(0 if of_frames else -1, value.dtype)
            result[name] = tf.pad(value, paddings, constant_values=filler)
    return result


@dataclasses.dataclass(eq=False)
class TrainStep:
    """One update of the state by one global batch.

    Attributes:
      jit_compile: whether XLA compiles it, once for each shape of a batch.
      stopping: set it to 1 to tell all workers, by the result of that name, that this
        one is to stop.
    """

    strategy: tf.distribute.Strategy
    state: TrainingState
    config: TrainingConfig
    num_classes: int

    def __post_init__(self):
        self.stopping = tf.Variable(0.0, trainable=False)
        self.jit_compile = self.config.jit_compile and self._can_be_compiled()
        self._functions = {}  # by the number of steps
        self._autograph = has_users_code(*self._parts())
        if not self._autograph:
            self._update = tf.autograph.experimental.do_not_convert(self._update)

    def __call__(self, batch) -> dict:
        """Runs on a batch in the form of `workers.split_batch`, without `id`.

        Returns:
          `loss`, `regularization_loss`, `auxiliary_loss` (the sum of the model's own
          terms), `gradient_norm` (before clipping; 0 where mixed_float16 skips the
          update, as gradients overflow), `learning_rate`, `examples` (of this step)
          and `stopping` (of how many replicas) as scalars; `predictions` [B, C] of
          each replica, if the model makes any.
        """
        return self.loop([batch])

    def loop(self, batches: list) -> dict:
        """Runs on n batches in one call; each n takes a compilation of its own.

        Returns:
          As of a call, but values [n] of all steps, and the last one's `predictions`.
        """
        steps = len(batches)
        if steps not in self._functions:
            self._functions[steps] = self._compile(batches)
        return self._functions[steps](batches)

    def _parts(self):
        model = self.state.model
        parts = (model.encoder, model.classifier, model.label_processing)
        return [part for part in (*parts, self.state.loss) if part is not None]

    def _can_be_compiled(self):
        reason = None
        if self.strategy.num_replicas_in_sync > 1:
            reason = "XLA cannot compile sums over several replicas"
        elif "GPU" in self.strategy.extended.worker_devices[0] and any(
            isinstance(layer, (keras.layers.LSTM, keras.layers.GRU))
            for layer in compat.all_layers(self.state.model)
        ):
            reason = "cuDNN's kernels of the recurrent layers are faster than XLA's"
        if reason:
            logging.info("--jit_compile: not used, as %s", reason)
        return reason is None

    def _compile(self, batches):
        """One graph for batches of all lengths, unless there are several replicas."""
        function = self._update if len(batches) == 1 else self._run_steps
        if len(self.strategy.extended.worker_devices) > 1:
            return tf.function(function, reduce_retracing=True)
        signature = [batch_signature(batch) for batch in batches]
        return tf.function(
            function, input_signature=[signature], jit_compile=self.jit_compile or None
        )

    def _run_steps(self, batches):
        """The last step follows the loop, because its predictions are a result."""
        arrays = {n: tf.TensorArray(t, len(batches)) for n, t in _SCALARS.items()}
        before = len(batches) - 1
        for number in tf.range(before):
            results = self._update(batches, number)
            arrays = {n: array.write(number, results[n]) for n, array in arrays.items()}
        last = self._update(batches[-1:])
        arrays = {n: array.write(before, last[n]) for n, array in arrays.items()}
        return {**last, **{n: array.stack() for n, array in arrays.items()}}

    def _update(self, batches, number=None):
        state = self.state
        rate = decayed_learning_rate(self.config, state.examples)
        state.optimizer.learning_rate.assign(rate)
        arguments = (batches, number, tf.convert_to_tensor(self.stopping))
        results = self.strategy.run(self._replica_update, args=arguments)
        sums = self.strategy.experimental_local_results(results.pop("sums"))[0]
        sums = dict(zip(_SUMS, tf.unstack(sums, len(_SUMS)), strict=True))
        sums["examples"] = tf.cast(sums["examples"], tf.int64)
        state.step.assign_add(1)
        state.examples.assign_add(sums["examples"])
        return {**results, **sums, "learning_rate": rate}

    def _replica_update(self, batches, number, stopping):
        batch = _pick(batches, number)
        if self.config.unrated_as_negative:
            batch = {name: batch[name] for name in batch if name != "rated"}
        context = tf.distribute.get_replica_context()
        replicas = context.num_replicas_in_sync
        rows = tf.cast(tf.shape(next(iter(batch.values())))[0], tf.float32)
        total = context.all_reduce("sum", rows)
        with tf.GradientTape() as tape:
            outputs = self.state.model(device_inputs(batch), training=True)
            label_loss, auxiliary = self._sum_losses(outputs, batch, total, replicas)
            penalties = self.state.model.losses or [tf.constant(0.0)]
            penalty = tf.add_n(penalties) / replicas
            objective = label_loss + auxiliary
            objective += self.config.regularization_penalty * penalty
            objective = self.state.optimizer.scale_loss(objective)
        variables = self.state.model.trainable_variables
        gradients = tape.gradient(objective, variables)
        gradients = [  # a model of few classes may have weights without a use
            tf.zeros_like(variable) if gradient is None else gradient
            for gradient, variable in zip(gradients, variables, strict=True)
        ]
        gradients = context.all_reduce("sum", gradients)
        norm = self._apply(gradients, variables, replicas)
        # In one tensor, because on several machines each sum takes a round trip.
        own = [label_loss, auxiliary, penalty, norm / replicas, rows, stopping]
        results = {k: v for k, v in outputs.items() if k == "predictions"}
        return {**results, "sums": context.all_reduce("sum", tf.stack(own))}

    def idle_terms(self, batch) -> list[str]:
        """Names of the terms of the loss whose gradients reach no weight.

        It traces gradients, but computes none. Where the label loss is the only term,
        nothing is traced: without its gradients no step can be built.

        Args:
          batch: any inputs of the model, with labels.
        """
        model = self.state.model
        own = {type(part).auxiliary_losses for part in self._parts()}
        if own <= {Part.auxiliary_losses, LabelLoss.auxiliary_losses}:
            return []
        idle = []

        def trace_replica():
            with tf.GradientTape(persistent=True) as tape:
                terms = self._auxiliary_terms(model(batch, training=True), batch)
            variables = model.trainable_variables
            idle[:] = [
                name
                for name, term in terms.items()
                if all(g is None for g in tape.gradient(term, variables))
            ]

        trace = tf.function(
            lambda: self.strategy.run(trace_replica), autograph=self._autograph
        )
        trace.get_concrete_function()
        return idle

    def _auxiliary_terms(self, outputs, batch):
        """The terms of the loss beside the label loss, by name."""
        terms = self.state.model.auxiliary_losses(outputs, batch)
        if "predictions" in outputs:
            terms = {**terms, **self.state.loss.auxiliary_losses(outputs, batch)}
        return terms

    def _sum_losses(self, outputs, batch, total, replicas):
        """The label loss, and the sum of all other terms; global means of both."""
        label_losses = tf.constant(0.0)
        if "predictions" in outputs:
            label_losses = self.state.loss.of_batch(
                batch, outputs["predictions"], self.num_classes
            )
        terms = self._auxiliary_terms(outputs, batch).values()
        counts = [total if term.shape.rank else replicas for term in terms]
        sums = [tf.reduce_sum(tf.cast(term, tf.float32)) for term in terms]
        means = [one / count for one, count in zip(sums, counts, strict=True)]
        return tf.reduce_sum(label_losses) / total, tf.add_n([tf.constant(0.0), *means])

    def _apply(self, gradients, variables, replicas):
        """Clips each gradient and updates the variables; returns the norm of all."""
        optimizer, limit = self.state.optimizer, self.config.clip_gradient_norm
        # mixed_float16 multiplies the loss, and so the gradients, by this factor.
        scale = tf.convert_to_tensor(getattr(optimizer, "dynamic_scale", 1.0))
        squares = [2.0 * tf.nn.l2_loss(gradient) for gradient in gradients]
        # Keras sums once more over the replicas, whose gradients are equal now.
        factors = [1.0 / replicas for _ in gradients]
        if limit > 0:
            limit = limit * scale
            norms = [tf.maximum(tf.sqrt(square), limit) for square in squares]
            factors = [limit / norm / replicas for norm in norms]
        gradients = [g * factor for g, factor in zip(gradients, factors, strict=True)]
        optimizer.apply(gradients, variables)
        # Not add_n, which adds in the order in which its inputs are ready.
        norm = tf.sqrt(tf.reduce_sum(tf.stack(squares))) / scale
        skips = hasattr(optimizer, "dynamic_scale")
        return tf.where(tf.math.is_finite(norm), norm, 0.0) if skips else norm


def _pick(batches, number):
    """The batch of index `number`, a tensor, without copying the others."""
    if number is None:
        return batches[0]
    copies = [
        lambda batch=batch: {name: tf.identity(v) for name, v in batch.items()}
        for batch in batches
    ]
    return tf.switch_case(number, copies)
