"""A trained model over records: what evaluation and inference share.

    predictor = Predictor(run); predictor.load(".../model.ckpt-110")
    predictor(batch)["predictions"]                     # float32 [B, C]

Both call this one function, so they agree on every prediction.
"""

import tensorflow as tf

from youtube8m import models
from youtube8m.config import RunConfig
from youtube8m.data.records import batch_signature
from youtube8m.training.checkpoints import load_weights


class Predictor:
    """A model in inference mode, compiled once for batches of any size."""

    def __init__(self, run: RunConfig):
        self.run = run
        self.model = models.create(run)
        spec = batch_signature(models.dummy_batch(run.data))
        self._call = tf.function(
            lambda inputs: self.model(inputs, training=False), input_signature=[spec]
        )
        self._inputs = tuple(spec)

    def load(self, prefix: str) -> None:
        """Takes the weights of a checkpoint. Raises UserError if they do not fit."""
        load_weights(self.model, prefix)

    def __call__(self, batch: dict) -> dict:
        """The model's outputs for a batch; keys it does not know are ignored."""
        return self._call({name: batch[name] for name in self._inputs})
