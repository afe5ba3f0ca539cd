"""Two classifiers as one would build them today."""

from typing import Annotated

import keras
from keras import ops

from youtube8m.layers.normalization import BatchNorm
from youtube8m.layers.pooling import masked_softmax
from youtube8m.models.base import CLASSIFIERS, Classifier
from youtube8m.registry import require_share


@CLASSIFIERS.register
class AttentiveLogisticModel(Classifier):
    """Logistic regressions of each frame, weighed by what each class attends to.

        p_c = sum_t a_tc sigmoid(z_tc)         z = x W + b, W [H, C]
        a   = softmax over the real frames of x V + d, V [H, C]

    Decision-level attention: what is weighed are predictions, not descriptors, so each
    class has frames of its own. Of a single descriptor [B, H], p = sigmoid(z).
    Source: Kong et al. 2018, Audio Set Classification with Attention Model.

    Input shape: [B, T, H] and mask bool [B, T], or [B, H]. Output shape: [B, C].
    """

    weighs_frames = True

    def build(self, input_shape, *_):
        size, units = input_shape[-1], self.num_classes
        dense = keras.layers.Dense
        self.logits = self.sublayer(dense, size, "logits", units=units)
        self.attention = None
        if len(input_shape) == 3:
            self.attention = self.sublayer(dense, size, "attention", units=units)

    def call(self, descriptor, frame_mask=None, training=False):
        predictions = ops.sigmoid(ops.cast(self.logits(descriptor), "float32"))
        if self.attention is None:
            return predictions
        weights = masked_softmax(self.attention(descriptor), frame_mask)
        return ops.sum(weights * predictions, axis=1)


@CLASSIFIERS.register
class ResidualMlpModel(Classifier):
    """Hidden layers with batch normalisation, dropout, and sums around all but one.

        h = drop(relu(BN(BN(x) W0)))                    W0 [D, H]
        h = h + drop(relu(BN(h Wi)))                    Wi [H, H], for i = 1 ..
        p = sigmoid(h W + b)                            W [H, C]

    Input shape: [B, D]. Output shape: [B, C].
    """

    def __init__(
        self,
        num_classes: int,
        residual_mlp_size: Annotated[int, "Units of each layer (H)."] = 2048,
        residual_mlp_layers: Annotated[int, "Number of hidden layers."] = 2,
        residual_mlp_dropout: Annotated[
            float, "Share of the hidden values that dropout zeroes."
        ] = 0.5,
        **kwargs,
    ):
        super().__init__(num_classes, **kwargs)
        require_share("residual_mlp_dropout", residual_mlp_dropout, excluded=1.0)

    def build(self, input_shape):
        size, units = input_shape[-1], self.residual_mlp_size
        dense = keras.layers.Dense
        options = {"use_bias": False, "kernel_initializer": "he_normal"}
        self.input_norm = self.sublayer(BatchNorm, size, "input_norm")
        self.layers, self.norms = [], []
        for number in range(self.residual_mlp_layers):
            name = f"layer_{number}"
            layer = self.sublayer(dense, size, name, units=units, **options)
            self.layers.append(layer)
            self.norms.append(self.sublayer(BatchNorm, units, f"norm_{number}"))
            size = units
        self.dropout = keras.layers.Dropout(
            self.residual_mlp_dropout, dtype=self.dtype_policy
        )
        self.logits = self.sublayer(dense, size, "logits", units=self.num_classes)

    def call(self, descriptor, training=False):
        h = self.input_norm(descriptor, training=training)
        for number, layer in enumerate(self.layers):
            norm = self.norms[number]
            update = ops.relu(norm(layer(h), training=training))
            update = self.dropout(update, training=training)
            h = h + update if number else update
        return ops.sigmoid(ops.cast(self.logits(h), "float32"))
