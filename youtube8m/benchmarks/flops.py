"""Operations in the matrix products of a model.

training_flops(model, batch) / len(batch["num_frames"])      # of a video
"""

import math
from collections.abc import Callable, Mapping
from typing import Any

import tensorflow as tf

from youtube8m import compat


def count_flops(function: Callable[[], Any]) -> int:
    """Operations in the matrix products that `function` runs eagerly.

    A product [m, k] [k, n] is 2 m k n operations, and a convolution is the product of
    its windows and its kernel. Counted as they are executed, so that loops count as
    often as they turn. All else is left out.
    """
    found = []

    def add(kind, inputs, attributes, outputs, op_name=None, graph=None):
        attributes = dict(zip(attributes[::2], attributes[1::2], strict=True))
        shapes = [[x.shape.as_list() for x in xs] for xs in (inputs, outputs)]
        found.append(operation_flops(kind, attributes, *shapes))

    with compat.observed_operations(add):
        function()
    return sum(found)


def operation_flops(kind: str, attributes: Mapping, inputs, outputs) -> int:
    """Operations of one TensorFlow operation, by the shapes of its tensors.

    0 for all but matrix products, convolutions and cuDNN's recurrent layers (whose
    parameters [P] are used once for each video and frame of [T, B, D]).
    """
    if kind in ("MatMul", "BatchMatMul", "BatchMatMulV2", "BatchMatMulV3"):
        turned = attributes.get("transpose_a") or attributes.get("adj_x")
        return 2 * math.prod(outputs[0]) * inputs[0][-2 if turned else -1]
    if kind == "Einsum":
        equation = attributes["equation"]
        if isinstance(equation, bytes):
            equation = equation.decode()
        return 2 * math.prod(outputs[0]) * _contracted(equation, inputs)
    if kind == "Conv2D":  # of one dimension, too; kernel [height, width, in, out]
        return 2 * math.prod(outputs[0]) * math.prod(inputs[1][:-1])
    passes = {"CudnnRNNV3": 1, "CudnnRNNBackpropV3": 2}.get(kind, 0)
    return passes and 2 * passes * math.prod(inputs[0][:2]) * inputs[3][0]


def _contracted(equation, shapes):
    """The product of the sizes that an einsum sums over."""
    terms, result = equation.split("->")
    sizes: dict[str, int] = {}
    for term, shape in zip(terms.split(","), shapes, strict=True):
        rest = len(shape) - len(term.replace("...", ""))
        sizes.update(zip(term.replace("...", "." * rest), shape, strict=True))
    return math.prod(size for name, size in sizes.items() if name not in result + ".")


def forward_flops(model, batch: dict) -> int:
    """Operations of the predictions for a batch."""
    return count_flops(lambda: model(batch, training=False))


def training_flops(model, batch: dict) -> int:
    """Operations of the predictions and of the gradients of all weights.

    Less than three times the forward pass where a layer's input needs no gradient.
    """

    def step():
        with tf.GradientTape() as tape:
            predictions = model(batch, training=True)["predictions"]
        tape.gradient(predictions, model.trainable_variables)

    return count_flops(step)
