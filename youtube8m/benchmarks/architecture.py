"""What a model consists of: its weights by part, the shapes between, its operations.

    found = describe_model(run)
    found.parameters["encoder"], found.flops["classifier"], found.shapes["predictions"]

An operation is a multiplication or an addition of a matrix product or convolution, so
a product [m, k] [k, n] has 2 m k n. All else (activations, norms, sums) is left out: it
is little beside them. They are counted as they run, and Keras' recurrent layers run
their first step twice, to learn the shape of its result.
"""

import dataclasses
import math

from youtube8m import models
from youtube8m.benchmarks.flops import count_flops
from youtube8m.config import RunConfig

_PARTS = ("encoder", "classifier", "label_processing")


@dataclasses.dataclass
class Weight:
    """A variable of a model."""

    part: str  # encoder, classifier, label_processing; "" for what is beside them
    name: str  # within the part, "stack/layer_0/kernel"
    shape: tuple[int, ...]
    trainable: bool

    @property
    def count(self) -> int:
        """How many numbers it has."""
        return math.prod(self.shape)


@dataclasses.dataclass
class Architecture:
    """What a model consists of, and what it costs.

    Attributes:
      weights: all variables but random state.
      shapes: of inputs and outputs for one video, by name; the axis of videos is first.
      flops: operations of the prediction of one video, by part.
      frames: how many frames that video has; 0 at video level.
    """

    weights: list[Weight]
    shapes: dict[str, tuple[int, ...]]
    flops: dict[str, int]
    frames: int

    @property
    def parameters(self) -> dict[str, int]:
        """Trainable numbers of each part."""
        found = dict.fromkeys(self.flops, 0)
        for weight in self.weights:
            if weight.trainable:
                found[weight.part] = found.get(weight.part, 0) + weight.count
        return found


def describe_model(run: RunConfig) -> Architecture:
    """Builds the model of a run, predicts one video of the longest kind and counts.

    Raises UserError as `models.create`.
    """
    model = models.create(run)
    frames = run.data.longest_example if run.data.frame_features else 0
    batch = models.dummy_batch(run.data, frames=frames)
    outputs = {}

    def encode():
        outputs.update(model.encode(batch))

    def predict():
        outputs.update(model(batch, training=False))

    encoding = count_flops(encode)
    flops = {"encoder": encoding} if model.encoder is not None else {}
    if model.classifier is not None:
        flops["classifier"] = count_flops(predict) - encoding
    shapes = {}
    for name, value in {**batch, **outputs}.items():
        for number, one in enumerate(_tensors(value)):
            shapes[f"{name} {number}".removesuffix(" 0")] = tuple(one.shape)
    return Architecture(_weights(model), shapes, flops, frames)


def _tensors(value):
    return value if isinstance(value, (list, tuple)) else [value]


def _weights(model):
    known = {}
    for part in _PARTS:
        layer = getattr(model, part)
        if layer is not None:
            known |= {id(weight): part for weight in layer.weights}
    found = []
    for weight in model.weights:
        if "seed_generator" not in weight.path:
            part = known.get(id(weight), "")
            trainable = any(weight is one for one in model.trainable_weights)
            name = _name_in(part, weight.path)
            found.append(Weight(part, name, tuple(weight.shape), trainable))
    return found


def _name_in(part, path):
    """The path of a variable below its part."""
    parts = path.split("/")
    return "/".join(parts[parts.index(part) + 1 :]) if part in parts else path
