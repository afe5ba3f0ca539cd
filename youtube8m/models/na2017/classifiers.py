"""The classifiers of Na et al. 2017: a descriptor [B, H] to probabilities [B, C]."""

from typing import Annotated

import keras
from keras import ops

from youtube8m.models.base import CLASSIFIERS, ReleasedCode
from youtube8m.models.starter.classifiers import DenseClassifier, MoeModel
from youtube8m.registry import require_choice, require_share


@CLASSIFIERS.register
class MultiLayerMoeModel(MoeModel):
    """A mixture of experts whose gates and experts have a linear hidden layer.

    As MoeModel, on h = x O + b' in place of x. There is one O [H, h] for the gates of
    all classes and one for the experts. The gates have biases, and there is no dummy
    expert.
    With `released_code`, only the gates have the hidden layer, and the mixture is the
    starter code's: gates without biases, and a dummy expert.
    Source: Na et al. 2017, Table 2, Multi-layer MoE; equations 14 to 17.

    Input shape: [B, H]. Output shape: [B, C].
    """

    reported_by = "na2017-2l-moe-2"
    earlier_defaults = {"moe_gate_bias": False, "moe_dummy_expert": True}

    def __init__(
        self,
        num_classes: int,
        moe_hidden_size: Annotated[
            int, "Units of the hidden layers of gates and experts (h)."
        ] = 2048,
        released_code: ReleasedCode = False,
        moe_gate_bias: Annotated[bool, "Give the gates biases."] = True,
        moe_dummy_expert: Annotated[
            bool, "Add an expert that predicts 0 to those of each class."
        ] = False,
        **kwargs,
    ):
        super().__init__(num_classes, **kwargs)
        if released_code:
            self.moe_gate_bias, self.moe_dummy_expert = False, True

    def build(self, input_shape):
        size = self.moe_hidden_size
        hidden = (*input_shape[:-1], size)
        self.gate_hidden = self.make_dense(size, "gate_hidden", input_shape)
        self.expert_hidden = None
        if not self.released_code:
            self.expert_hidden = self.make_dense(size, "expert_hidden", input_shape)
        self.build_mixture(hidden, input_shape if self.released_code else hidden)

    def call(self, descriptor, training=False):
        gates = self.gates(self.gate_hidden(descriptor))
        if self.expert_hidden is not None:
            descriptor = self.expert_hidden(descriptor)
        return self.mix(gates, self.experts(descriptor), training)


@CLASSIFIERS.register
class MlpModel(DenseClassifier):
    """Fully connected layers, then logistic regressions.

        x <- dropout(act(LN(x W)))            or act(x W + b) without normalisation
        p = sigmoid(x V)                      with a bias if the hidden layers have one

    LN is over the units, with gain and shift, epsilon 1e-12.
    Source: Na et al. 2017, Table 2 (3 layers of 4096; their class NN), and Zou et al.
    2017 (one of 1024 with relu6, without LN).

    Input shape: [B, H]. Output shape: [B, C].
    """

    reported_by = "na2017-mlp-4096-ln"

    def __init__(
        self,
        num_classes: int,
        mlp_layers: Annotated[int, "Number of hidden layers."] = 3,
        mlp_size: Annotated[int, "Units of each hidden layer."] = 4096,
        mlp_layer_norm: Annotated[bool, "Use layer normalisation."] = True,
        mlp_activation: Annotated[str, "Activation: relu or relu6."] = "relu",
        mlp_dropout: Annotated[
            float, "Share of each hidden layer's units that dropout zeroes in training."
        ] = 0.0,
        **kwargs,
    ):
        super().__init__(num_classes, **kwargs)
        require_choice("mlp_activation", mlp_activation, "relu", "relu6")
        require_share("mlp_dropout", mlp_dropout, excluded=1.0)

    def build(self, input_shape):
        bias = not self.mlp_layer_norm
        shape = tuple(input_shape)
        self.hidden, self.norms = [], []
        for number in range(self.mlp_layers):
            name = f"hidden_{number}"
            layer = self.make_dense(self.mlp_size, name, shape, use_bias=bias)
            self.hidden.append(layer)
            shape = (*shape[:-1], self.mlp_size)
            self.norms.append(self._make_norm(f"norm_{number}"))
        self.dropout = keras.layers.Dropout(
            self.mlp_dropout, dtype=self.dtype_policy, name="dropout"
        )
        self.logits = self.make_dense(self.num_classes, "logits", shape, use_bias=bias)

    def _make_norm(self, name):
        if not self.mlp_layer_norm:
            return None
        norm = keras.layers.LayerNormalization
        return self.sublayer(norm, self.mlp_size, name, epsilon=1e-12)

    def call(self, descriptor, training=False):
        activate = getattr(ops, self.mlp_activation)
        x = descriptor
        for layer, norm in zip(self.hidden, self.norms, strict=True):
            x = layer(x)
            x = activate(x if norm is None else norm(x))
            x = self.dropout(x, training=training)
        return ops.sigmoid(ops.cast(self.logits(x), "float32"))


@CLASSIFIERS.register
class LabelCorrelationMoeModel(MoeModel):
    """A mixture of experts whose logits are mixed with those of correlated labels.

    As MoeModel, with e_m = sigmoid((1 - g) z_m + g z_m M) for the logits z_m [B, C] of
    expert m. M [C, C] starts from --label_correlation_file and is trained.
    Source: Na et al. 2017, Table 3, in the form of their code's class
    MoeWithLabelCorelationModel (g = 0.1).

    Input shape: [B, H]. Output shape: [B, C].
    """

    def __init__(
        self,
        num_classes: int,
        logit_correlation: Annotated[
            float, "Share of the correlated labels' logits in each logit (g)."
        ] = 0.1,
        **kwargs,
    ):
        super().__init__(num_classes, **kwargs)

    def build(self, input_shape):
        super().build(input_shape)
        shape = (self.num_classes, self.num_classes)
        self.matrix = self.add_weight(shape=shape, initializer="zeros", name="matrix")

    def set_label_correlation(self, matrix) -> None:
        """Sets M to a matrix [C, C]."""
        self.matrix.assign(matrix)

    def call(self, descriptor, training=False):
        logits = self.experts(descriptor)
        shape = (-1, self.moe_num_mixtures, self.num_classes)
        mixed = ops.matmul(ops.reshape(logits, shape), self.matrix)
        mixed = ops.reshape(mixed, ops.shape(logits))
        g = self.logit_correlation
        experts = (1.0 - g) * logits + g * mixed
        return self.mix(self.gates(descriptor), experts, training)
