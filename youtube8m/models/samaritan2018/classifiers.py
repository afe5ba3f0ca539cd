"""The residual network of the team Samaritan, second in the challenge of 2018.

Ostyakov et al.: Label Denoising with Large Ensembles of Heterogeneous Neural Networks,
arXiv:1809.04403; code: twoleggedeye/youtube8m.
"""

from typing import Annotated

import keras
from keras import ops

from youtube8m.layers.normalization import BatchNorm, SlimBatchNorm
from youtube8m.models.base import CLASSIFIERS, Classifier
from youtube8m.registry import PACKAGE, AtLeast, Configured, require_share

SLOPE = 0.01  # of leaky ReLUs below 0, PyTorch's default


def leaky(x):
    """x, or 0.01 x where x is below 0."""
    return ops.leaky_relu(x, negative_slope=SLOPE)


def make_linear(size: int, units: int, **kwargs) -> keras.layers.Dense:
    """A built layer on [.., size] that starts as PyTorch's Linear."""
    # Both are uniform between -1 and 1 over the root of the input's size.
    uniform = keras.initializers.RandomUniform(-(size**-0.5), size**-0.5)
    layer = keras.layers.Dense(
        units, kernel_initializer=uniform, bias_initializer=uniform, **kwargs
    )
    layer.build((None, size))
    return layer


@keras.saving.register_keras_serializable(PACKAGE)
class FullyConnectedBlock(Configured, keras.layers.Layer):
    """y = dropout(leaky(BN(x W))): W [H, U].

    The code's W has a bias, which batch normalisation cancels.

    Args:
      units: U.
      dropout_rate: the share that dropout zeroes in training.
    """

    def __init__(
        self, units: int, dropout_rate: float = 0.0, slim: bool = False, **kwargs
    ):
        super().__init__(**kwargs)

    def build(self, x_shape):
        policy = self.dtype_policy
        self.linear = make_linear(
            x_shape[-1], self.units, use_bias=False, dtype=policy, name="linear"
        )
        self.norm = BatchNorm(
            momentum=0.9, epsilon=1e-5, slim=self.slim, dtype=policy, name="norm"
        )
        self.norm.build((None, self.units))
        self.dropout = keras.layers.Dropout(self.dropout_rate, dtype=policy)

    def call(self, x, training=False):
        x = leaky(self.norm(self.linear(x), training=training))
        return self.dropout(x, training=training)


@keras.saving.register_keras_serializable(PACKAGE)
class ResidualBlock(Configured, keras.layers.Layer):
    """y = leaky(x + FullyConnectedBlock(x) V + c): V [U, H].

    Args:
      units: U.
    """

    def __init__(
        self, units: int, dropout_rate: float = 0.0, slim: bool = False, **kwargs
    ):
        super().__init__(**kwargs)

    def build(self, x_shape):
        policy = self.dtype_policy
        self.block = FullyConnectedBlock(
            self.units, self.dropout_rate, self.slim, dtype=policy, name="block"
        )
        self.block.build(x_shape)
        self.linear = make_linear(self.units, x_shape[-1], dtype=policy, name="linear")

    def call(self, x, training=False):
        return leaky(x + self.linear(self.block(x, training=training)))


@CLASSIFIERS.register
class ResNetLike(Classifier):
    """Residual blocks on each modality, then on all of them, then logistic regressions.

        block(x)    = dropout(leaky(BN(x W)))                  leaky ReLU of slope 0.01
        residual(x) = leaky(x + block(x) V + c)
        z_i = residual(.. residual(block(x_i)))                of each modality, [B, H]
        z   = residual(.. residual([z_1 ; z_2 ..]))            with H units inside
        p   = sigmoid(block(z) Wo + bo)                        Wo [H, C]

    The first residuals keep the length H, the later ones that of all modalities.
    A descriptor that is not made of the run's features is one modality.
    Source: ResNetLike in the released code of Ostyakov et al. 2018.

    Args:
      feature_sizes: the number of values of each modality.

    Input shape: [B, D], the modalities side by side. Output shape: [B, C].
    """

    reported_by = "samaritan2018-resnet"

    def __init__(
        self,
        num_classes: int,
        feature_sizes: tuple[int, ...] = (),
        inner_size: Annotated[int, "Units of the blocks (H)."] = 2048,
        av_id_block_num: Annotated[
            int, "Residual blocks of each modality; 0: none.", AtLeast(0)
        ] = 4,
        concat_id_block_num: Annotated[
            int, "Residual blocks of all modalities; 0: none.", AtLeast(0)
        ] = 4,
        block_dropout: Annotated[
            float, "Share of each block's units that dropout zeroes in training."
        ] = 0.4,
        slim_batch_norm: SlimBatchNorm = False,
        **kwargs,
    ):
        super().__init__(num_classes, **kwargs)
        require_share("block_dropout", block_dropout, excluded=1.0)
        self.feature_sizes = tuple(feature_sizes)

    def build(self, input_shape):
        size, units = input_shape[-1], self.inner_size
        self.sizes = self.feature_sizes
        if sum(self.sizes) != size:
            self.sizes = (size,)
        self.streams = []
        for number, of_modality in enumerate(self.sizes):
            first = self._make(FullyConnectedBlock, of_modality, f"first_{number}")
            others = [
                self._make(ResidualBlock, units, f"residual_{number}_{n}")
                for n in range(self.av_id_block_num)
            ]
            self.streams.append([first, *others])
        width = units * len(self.sizes)
        self.joint = [
            self._make(ResidualBlock, width, f"joint_{n}")
            for n in range(self.concat_id_block_num)
        ]
        self.joint.append(self._make(FullyConnectedBlock, width, "last"))
        self.logits = make_linear(
            units, self.num_classes, dtype=self.dtype_policy, name="logits"
        )

    def _make(self, cls, size, name):
        return self.sublayer(
            cls,
            size,
            name,
            units=self.inner_size,
            dropout_rate=self.block_dropout,
            slim=self.slim_batch_norm,
        )

    def call(self, descriptor, training=False):
        ends = [sum(self.sizes[:n]) for n in range(1, len(self.sizes))]
        parts = ops.split(descriptor, ends, axis=-1) if ends else [descriptor]
        parts = [
            _apply(blocks, part, training)
            for blocks, part in zip(self.streams, parts, strict=True)
        ]
        z = _apply(self.joint, ops.concatenate(parts, axis=-1), training)
        return ops.sigmoid(ops.cast(self.logits(z), "float32"))


def _apply(blocks, x, training):
    for block in blocks:
        x = block(x, training=training)
    return x
