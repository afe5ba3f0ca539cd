"""What happens to one batch: forward, loss, gradients, update. No input or output.

    state = TrainingState(model, optimizer, CrossEntropyLoss())
    step = TrainStep(strategy, state, TrainingConfig(...), num_classes=3862)
    results = step(batch)            # dict of tensors; `loss` is the label loss

One function serves one device, N replicas and N workers: sums over replicas are
divided by the global batch, so 1 replica with 2 B examples and 2 replicas with B
make the same update.
"""

import dataclasses

import keras
import tensorflow as tf

from youtube8m.config import TrainingConfig
from youtube8m.data.records import batch_signature
from youtube8m.losses import CrossEntropyLoss, LabelLoss, label_arrays
from youtube8m.models import VideoModel

# Results that are the replicas' sums.
_SUMS = ("loss", "auxiliary_loss", "regularization_loss", "examples")


@dataclasses.dataclass
class TrainingState:
    """All that training changes; a checkpoint holds it whole.

    `position` is the place in the data: the epoch, and how many of its records the
    steps so far have consumed.
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


def device_inputs(batch: dict) -> dict:
    """All of a batch but its strings, which stay on the host."""
    return {k: v for k, v in batch.items() if v.dtype != tf.string}


class TrainStep:
    """One update of the state by one global batch."""

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
        self._run = None

    def __call__(self, batch) -> dict:
        """Runs on a batch in the form of `distribution.split_batch`, without `id`.

        Returns:
          `loss`, `regularization_loss`, `auxiliary_loss` (the sum of the model's own
          terms), `learning_rate` and `examples` (those of this step) as scalars;
          `predictions` [B, C] as each replica has them, if the model makes any.
        """
        if self._run is None:
            self._run = self._compiled(batch)
        return self._run(batch)

    def _compiled(self, batch):
        """One graph for all lengths where the batch's form is known beforehand."""
        if self.strategy.num_replicas_in_sync > 1:
            return tf.function(self._update, reduce_retracing=True)
        return tf.function(self._update, input_signature=[batch_signature(batch)])

    def _update(self, batch):
        state = self.state
        rate = decayed_learning_rate(self.config, state.examples)
        state.optimizer.learning_rate.assign(rate)
        results = self.strategy.run(self._replica_update, args=(batch,))
        sums = {
            name: self.strategy.reduce("sum", results.pop(name), axis=None)
            for name in _SUMS
        }
        state.step.assign_add(1)
        state.examples.assign_add(sums["examples"])
        return {**results, **sums, "learning_rate": rate}

    def _replica_update(self, batch):
        context = tf.distribute.get_replica_context()
        replicas = context.num_replicas_in_sync
        rows = tf.shape(next(iter(batch.values())))[0]
        total = tf.cast(context.all_reduce("sum", rows), tf.float32)
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
        self._apply(gradients, variables, replicas)
        return {
            "loss": label_loss,
            "auxiliary_loss": auxiliary,
            "regularization_loss": penalty,
            "examples": tf.cast(rows, tf.int64),
            **{k: v for k, v in outputs.items() if k == "predictions"},
        }

    def _label_loss(self, outputs, batch):
        if "predictions" not in outputs:
            return tf.constant(0.0)
        labels, weights = label_arrays(batch, self.num_classes)
        return self.state.loss.call(labels, outputs["predictions"], weights)

    def _auxiliary_loss(self, outputs, batch, total, replicas):
        """Means over the global batch: of terms per example, and of those per batch."""
        parts = [self.state.model]
        if "predictions" in outputs:
            parts.append(self.state.loss)
        terms = [part.auxiliary_losses(outputs, batch) for part in parts]
        terms = [term for group in terms for term in group.values()]
        return tf.add_n(
            [tf.constant(0.0)]
            + [
                tf.reduce_sum(term) / (total if term.shape.rank else replicas)
                for term in terms
            ]
        )

    def _penalty(self):
        losses = self.state.model.losses
        return tf.add_n(losses) if losses else tf.constant(0.0)

    def _apply(self, gradients, variables, replicas):
        norm = self.config.clip_gradient_norm
        if norm > 0:
            gradients = [tf.clip_by_norm(gradient, norm) for gradient in gradients]
        # Keras sums over replicas once more, over gradients that are equal by now.
        gradients = [gradient / replicas for gradient in gradients]
        self.state.optimizer.apply(gradients, variables)
