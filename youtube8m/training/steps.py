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
from youtube8m.losses import CrossEntropyLoss, LabelLoss, label_arrays
from youtube8m.models import VideoModel
from youtube8m.models.base import Part
from youtube8m.training.config import TrainingConfig

# Results that are sums over the replicas, and all that are one number per step.
_SUMS = (
    "loss",
    "auxiliary_loss",
    "regularization_loss",
    "gradient_norm",
    "examples",
    "stopping",
)
_SCALARS = {
    **dict.fromkeys((*_SUMS, "learning_rate"), tf.float32),
    "examples": tf.int64,
}


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
    periods = tf.floor(
        tf.cast(examples, tf.float64) / config.learning_rate_decay_examples
    )
    return config.base_learning_rate * tf.cast(
        tf.constant(config.learning_rate_decay, tf.float64) ** periods, tf.float32
    )


def pad_batch(batch: dict, frames: int, labels: int = 32) -> dict:
    """A batch padded so that almost all batches of B examples have the same shapes.

    Args:
      frames: T of the result.
      labels: L of the result is a multiple of it.
    """
    missing = {"frames": (0, lambda length: frames - length)}
    missing |= dict.fromkeys(("labels", "rated"), (-1, lambda count: -count % labels))
    result = dict(batch)
    for name in missing.keys() & batch.keys():
        filler, count = missing[name]
        value = batch[name]
        paddings = [[0, 0] for _ in value.shape]
        paddings[1][1] = max(0, count(value.shape[1]))
        result[name] = tf.pad(value, paddings, constant_values=filler)
    return result


class TrainStep:
    """One update of the state by one global batch.

    Attributes:
      jit_compile: whether XLA compiles it, once for each shape of a batch.
      stopping: set it to 1 to tell all workers, by the result of that name, that this
        one is to stop.
    """

    def __init__(
        self,
        strategy: tf.distribute.Strategy,
        state: TrainingState,
        config: TrainingConfig,
        num_classes: int,
    ):
        self.strategy = strategy
        self.state = state
        self.config = config
        self.num_classes = num_classes
        self.stopping = tf.Variable(0.0, trainable=False)
        self.jit_compile = config.jit_compile and self._can_be_compiled()
        self._run = None
        self._run_loop = None

    def __call__(self, batch) -> dict:
        """Runs on a batch in the form of `workers.split_batch`, without `id`.

        Returns:
          `loss`, `regularization_loss`, `auxiliary_loss` (the sum of the model's own
          terms), `gradient_norm` (before clipping; 0 where mixed_float16 skips the
          update, as gradients overflow), `learning_rate`, `examples` (of this step)
          and `stopping` (of how many replicas) as scalars; `predictions` [B, C] of
          each replica, if the model makes any.
        """
        if self._run is None:
            self._run = self._compiled(self._one_step, [batch])
        return self._run([batch])

    def loop(self, batches: list) -> dict:
        """Runs on n batches in one call, where n is 1 or the same in each call.

        Returns:
          As of a call, but values [n] of all steps, and the last one's `predictions`.
        """
        if len(batches) == 1:
            return self(batches[0])
        if self._run_loop is None:
            self._run_loop = self._compiled(self._all_steps, batches)
        return self._run_loop(batches)

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

    def _compiled(self, function, batches):
        """One graph for batches of all lengths, unless there are several replicas."""
        if len(self.strategy.extended.worker_devices) > 1:
            return tf.function(function, reduce_retracing=True)
        signature = [batch_signature(batch) for batch in batches]
        return tf.function(
            function, input_signature=[signature], jit_compile=self.jit_compile or None
        )

    def _one_step(self, batches):
        return self._update(batches)

    def _all_steps(self, batches):
        """The last step follows the loop, because its predictions are a result."""
        before = len(batches) - 1
        arrays = {n: tf.TensorArray(dtype, before) for n, dtype in _SCALARS.items()}
        for number in tf.range(before):
            results = self._update(batches, number)
            arrays = {n: array.write(number, results[n]) for n, array in arrays.items()}
        last = self._update(batches[-1:])
        stacked = {
            name: tf.concat([array.stack(), last[name][None]], axis=0)
            for name, array in arrays.items()
        }
        return {**last, **stacked}

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
        context = tf.distribute.get_replica_context()
        replicas = context.num_replicas_in_sync
        rows = tf.cast(tf.shape(next(iter(batch.values())))[0], tf.float32)
        total = context.all_reduce("sum", rows)
        with tf.GradientTape() as tape:
            outputs = self.state.model(device_inputs(batch), training=True)
            label_loss = tf.reduce_sum(self._label_loss(outputs, batch)) / total
            auxiliary = self._auxiliary_loss(outputs, batch, total, replicas)
            penalty = self._penalty() / replicas
            objective = label_loss + auxiliary
            objective += self.config.regularization_penalty * penalty
            objective = self.state.optimizer.scale_loss(objective)
        variables = self.state.model.trainable_variables
        gradients = context.all_reduce("sum", tape.gradient(objective, variables))
        norm = self._apply(gradients, variables, replicas)
        # In one tensor, because on several machines each sum takes a round trip.
        own = [label_loss, auxiliary, penalty, norm / replicas, rows, stopping]
        return {
            "sums": context.all_reduce("sum", tf.stack(own)),
            **{k: v for k, v in outputs.items() if k == "predictions"},
        }

    def _label_loss(self, outputs, batch):
        if "predictions" not in outputs:
            return tf.constant(0.0)
        labels, weights = label_arrays(batch, self.num_classes)
        return self.state.loss.call(labels, outputs["predictions"], weights)

    def idle_terms(self, batch) -> list[str]:
        """Names of the terms of the loss whose gradients reach no weight.

        It traces gradients, but computes none. Where the label loss is the only term,
        nothing is traced: without its gradients no step can be built.

        Args:
          batch: any inputs of the model, with labels.
        """
        model, loss = self.state.model, self.state.loss
        parts = [model.encoder, model.classifier, model.label_processing, loss]
        own = {type(part).auxiliary_losses for part in parts if part is not None}
        if own <= {Part.auxiliary_losses, LabelLoss.auxiliary_losses}:
            return []
        idle = []

        def trace_replica():
            with tf.GradientTape(persistent=True) as tape:
                terms = self._auxiliary_terms(model(batch, training=True), batch)
            variables = model.trainable_variables
            idle[:] = [
                name
                for name, term in terms
                if all(g is None for g in tape.gradient(term, variables))
            ]

        tf.function(lambda: self.strategy.run(trace_replica)).get_concrete_function()
        return idle

    def _auxiliary_terms(self, outputs, batch):
        parts = [self.state.model]
        if "predictions" in outputs:
            parts.append(self.state.loss)
        terms = [part.auxiliary_losses(outputs, batch) for part in parts]
        return [item for group in terms for item in group.items()]

    def _auxiliary_loss(self, outputs, batch, total, replicas):
        """The sum of all terms, as means over the global batch."""
        terms = [term for _, term in self._auxiliary_terms(outputs, batch)]
        return tf.add_n(
            [tf.constant(0.0)]
            + [
                tf.reduce_sum(tf.cast(term, tf.float32))
                / (total if term.shape.rank else replicas)
                for term in terms
            ]
        )

    def _penalty(self):
        losses = self.state.model.losses
        return tf.add_n(losses) if losses else tf.constant(0.0)

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
            factors = [
                limit / tf.maximum(tf.sqrt(square), limit) / replicas
                for square in squares
            ]
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
    names = list(batches[0])
    branches = [
        lambda batch=batch: [tf.identity(batch[name]) for name in names]
        for batch in batches
    ]
    return dict(zip(names, tf.switch_case(number, branches), strict=True))
