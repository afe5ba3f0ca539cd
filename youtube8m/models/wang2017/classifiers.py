"""The classifiers of Wang et al. 2017, which predict several times.

Their earlier predictions are `support_predictions`, which learn from the labels, too,
with --label_loss=MultiTaskCrossEntropyLoss.
"""

from typing import Annotated

import keras
from keras import ops

from youtube8m.layers.aggregation import l2_normalize
from youtube8m.models.base import CLASSIFIERS, Classifier
from youtube8m.models.starter.classifiers import MoeModel, NumMixtures
from youtube8m.models.starter.regularization import weight_decay
from youtube8m.registry import require_choice

ChainLayers = Annotated[int, "Predictions before the last one (n)."]
ReluCells = Annotated[int, "Units that a prediction is reduced to (q)."]
Scales = Annotated[int, "Scales of time, each half of the one before (S)."]


class _SeveralMoes(Classifier):
    """Mixtures of experts on the descriptors of an encoder, or all on one."""

    def __init__(self, num_classes: int, moe_num_mixtures: NumMixtures = 2, **kwargs):
        super().__init__(num_classes, **kwargs)

    def make_moe(self, size: int, number: int) -> MoeModel:
        """The mixture of that number for inputs [B, size]."""
        return self.sublayer(
            MoeModel,
            size,
            f"moe_{number}",
            num_classes=self.num_classes,
            moe_num_mixtures=self.moe_num_mixtures,
        )

    @staticmethod
    def spread(values, is_list: bool, count: int) -> list:
        """One value for each mixture: those of a list, or the same for all."""
        values = list(values) if is_list else [values] * count
        if len(values) != count:
            raise ValueError(f"{len(values)} descriptors, but {count} mixtures")
        return values


@CLASSIFIERS.register
class DeepCombineChainModel(_SeveralMoes):
    """A chain of mixtures of experts, each of which sees what the earlier ones predict.

        x_l = [d_l, r_0 .. r_{l-1}]            l = 0 .. n
        p_l = MoE_l(x_l)                       [B, C]
        r_l = l2(act(p_l R_l + b_l))           R_l [C, q]

    p_n is the prediction, the others are support predictions. d_l is the descriptor of
    the video, or the l-th of an encoder that makes one for each mixture. With
    `deep_chain_latest`, x_l has r_{l-1} alone.
    Gradients flow through all p_l. R_l has an L2 penalty of 1e-8.
    Source: DeepCombineChainModel in the released code of Wang et al. 2017.

    Input shape: [B, H], or n + 1 tensors [B, H_l]. Output shape: [B, C], and
    `support_predictions` [B, n C].
    """

    reported_by = "wang2017-video-chain"

    def __init__(
        self,
        num_classes: int,
        deep_chain_layers: ChainLayers = 3,
        deep_chain_relu_cells: ReluCells = 200,
        deep_chain_relu_type: Annotated[
            str, "What follows that reduction: relu or elu."
        ] = "relu",
        deep_chain_latest: Annotated[
            bool, "Hand on the latest prediction alone, not all so far."
        ] = False,
        **kwargs,
    ):
        super().__init__(num_classes, **kwargs)
        require_choice("deep_chain_relu_type", deep_chain_relu_type, "relu", "elu")

    def build(self, input_shape):
        is_list = isinstance(input_shape[0], (list, tuple))
        count = self.deep_chain_layers + 1
        self.moes, self.reducers = [], []
        for number, shape in enumerate(self.spread(input_shape, is_list, count)):
            handed_on = min(number, 1) if self.deep_chain_latest else number
            size = shape[-1] + handed_on * self.deep_chain_relu_cells
            self.moes.append(self.make_moe(size, number))
        for number in range(self.deep_chain_layers):
            reducer = self.sublayer(
                keras.layers.Dense,
                self.num_classes,
                f"reduce_{number}",
                units=self.deep_chain_relu_cells,
                activation=self.deep_chain_relu_type,
                kernel_regularizer=weight_decay(),
            )
            self.reducers.append(reducer)

    def call(self, descriptor, training=False):
        is_list = isinstance(descriptor, (list, tuple))
        inputs = self.spread(descriptor, is_list, self.deep_chain_layers + 1)
        *inputs, last = inputs
        supports, handed_on = [], []
        for number, d in enumerate(inputs):
            x = ops.concatenate([d, *handed_on], axis=-1)
            supports.append(self.moes[number](x, training=training))
            reduced = self._reduce(self.reducers[number], supports[-1])
            handed_on = [reduced] if self.deep_chain_latest else [*handed_on, reduced]
        x = ops.concatenate([last, *handed_on], axis=-1)
        return {
            "predictions": self.moes[-1](x, training=training),
            "support_predictions": ops.concatenate(supports, axis=-1),
        }

    def _reduce(self, reducer, predictions):
        units = ops.cast(reducer(predictions), "float32")
        return ops.cast(l2_normalize(units), self.compute_dtype)


@CLASSIFIERS.register
class MultiscaleMoeModel(_SeveralMoes):
    """The mean of mixtures of experts, one on the descriptor of each scale.

        p_s = MoE_s(d_s)                s = 1 .. S, [B, C]
        p   = sum_s p_s / S

    All p_s are support predictions.
    Source: MultiscaleCnnLstmModel in the released code of Wang et al. 2017.

    Input shape: [B, H], or S tensors [B, H_s]. Output shape: [B, C], and
    `support_predictions` [B, S C].
    """

    reported_by = "wang2017-multiscale"

    def __init__(
        self, num_classes: int, multiscale_cnn_lstm_layers: Scales = 4, **kwargs
    ):
        super().__init__(num_classes, **kwargs)

    def build(self, input_shape):
        is_list = isinstance(input_shape[0], (list, tuple))
        shapes = self.spread(input_shape, is_list, self.multiscale_cnn_lstm_layers)
        self.moes = [self.make_moe(shape[-1], n) for n, shape in enumerate(shapes)]

    def call(self, descriptor, training=False):
        is_list = isinstance(descriptor, (list, tuple))
        inputs = self.spread(descriptor, is_list, self.multiscale_cnn_lstm_layers)
        supports = [
            moe(x, training=training) for moe, x in zip(self.moes, inputs, strict=True)
        ]
        return {
            "predictions": sum(supports) / len(supports),
            "support_predictions": ops.concatenate(supports, axis=-1),
        }
