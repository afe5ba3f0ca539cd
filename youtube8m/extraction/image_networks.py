"""Networks that turn images into features, under one small interface.

    network = load_network("EfficientNetV2B0")
    batch = np.stack([network.prepare(image) for image in images])
    network(batch)                                    # float32 [B, D]

Images are uint8 [height, width, 3], RGB, of any size. They are resized to the
network's own size as they are: no crop, and the aspect ratio does not count, as in the
starter code. B: images of a batch, D: features.
"""

import importlib
import os
import threading
import warnings

import keras
import numpy as np
import tensorflow as tf

from youtube8m.errors import UserError, reason, unknown_name
from youtube8m.extraction import model_files

STARTER = "yt8m"
HUB_PREFIX = "keras_hub:"
DEFAULT_SIZE = 224

# What a network of the user may want, by --image_range.
RANGES = {"0,255": (1.0, 0.0), "0,1": (1 / 255, 0.0), "-1,1": (2 / 255, -1.0)}

# The sizes of images that networks of keras.applications were trained with, if not
# DEFAULT_SIZE; include_top=False leaves the size open.
SIZES = {
    "InceptionV3": 299,
    "Xception": 299,
    "InceptionResNetV2": 299,
    "NASNetLarge": 331,
    "EfficientNetB1": 240,
    "EfficientNetB2": 260,
    "EfficientNetB3": 300,
    "EfficientNetB4": 380,
    "EfficientNetB5": 456,
    "EfficientNetB6": 528,
    "EfficientNetB7": 600,
    "EfficientNetV2B1": 240,
    "EfficientNetV2B2": 260,
    "EfficientNetV2B3": 300,
    "EfficientNetV2S": 384,
    "EfficientNetV2M": 480,
    "EfficientNetV2L": 480,
}


class ImageNetwork:
    """What all networks do; one thread at a time computes.

    Args:
      size: (height, width) of the images that go in.
      compute: float32 [B, height, width, 3] in 0..255 -> [B, D], [B, h, w, D] (the
        mean is taken), or [B, n, D] (the first one, a transformer's class token).
      model: the Keras model behind it, if there is one.
    """

    def __init__(self, size: tuple[int, int], compute, model=None):
        self.size, self.model = size, model
        self._compute = compute
        self._lock = threading.Lock()

    def prepare(self, image: np.ndarray) -> np.ndarray:
        """uint8 [height, width, 3] -> float32 of the network's size, in 0..255."""
        with tf.device("CPU"):
            return tf.image.resize(image, self.size, antialias=True).numpy()

    def __call__(self, images: np.ndarray) -> np.ndarray:
        """Prepared images [B, height, width, 3] -> float32 [B, D].

        Raises UserError if the network gives something else.
        """
        with self._lock:
            values = self._compute(images)
        if isinstance(values, dict):
            raise UserError(
                f"--image_model: gives {', '.join(values)}; save a model with one "
                "output"
            )
        values = np.asarray(values)
        if values.ndim == 4:
            values = values.mean(axis=(1, 2))
        elif values.ndim == 3:
            values = values[:, 0]
        if values.ndim != 2 or len(values) != len(images):
            raise UserError(
                f"--image_model: gives an output of shape {list(values.shape)} for "
                f"{len(images)} images; expected [B, D]"
            )
        return values.astype(np.float32)


class Inception2015(ImageNetwork):
    """The Inception graph that YouTube-8M's features were made with: D = 2048.

    Its batch norms are an operation that TensorFlow 2 refuses in functions, so they
    are rewritten. The graph's own resizing takes one image, so images are resized
    before, by the same operation; `pool_3:0` takes batches.
    """

    def __init__(self, path: str):
        super().__init__((299, 299), _import_graph(path))

    def prepare(self, image):
        with tf.device("CPU"):
            values = tf.cast(image[None], tf.float32)
            return tf.raw_ops.ResizeBilinear(images=values, size=self.size)[0].numpy()


def load_network(
    name: str,
    model_dir: str = "~/yt8m",
    weights: str = "imagenet",
    image_range: str = "0,255",
) -> ImageNetwork:
    """A network by its name.

    Args:
      name: yt8m, a name of keras.applications, a .keras file, a directory with a
        SavedModel, or keras_hub:PRESET (a handle or a local directory).
      model_dir: where the files of yt8m lie.
      weights: for keras.applications: imagenet, a .weights.h5 file, or random.
      image_range: what a .keras file or a SavedModel wants: a key of RANGES.

    Raises UserError if there is no such network, or it cannot be loaded.
    """
    if name == STARTER:
        return Inception2015(model_files.find(model_dir, model_files.GRAPH))
    if name.startswith(HUB_PREFIX):
        return _from_keras_hub(name)
    path = os.path.expanduser(name)
    if os.path.isdir(path):
        return _from_saved_model(path, RANGES[image_range])
    if os.path.isfile(path):
        return _from_file(path, RANGES[image_range])
    if os.sep in name or name.endswith(".keras"):
        raise UserError(f"--image_model={name}: there is no such file or directory")
    return _from_applications(name, weights)


def from_keras(model: keras.Model, scaling=(1.0, 0.0)) -> ImageNetwork:
    """A Keras model on images [B, height, width, 3], scaled: x * scale + offset.

    Raises UserError if it takes something else.
    """
    shape = model.input_shape
    if isinstance(shape, dict | list) or len(shape) != 4 or shape[-1] != 3:
        raise UserError(
            f"--image_model: {model.name} takes {shape}; expected images, "
            "[B, height, width, 3]"
        )
    return ImageNetwork(_size(shape), _scaled(model.predict_on_batch, scaling), model)


def _scaled(compute, scaling):
    scale, offset = scaling
    if (scale, offset) == (1, 0):
        return compute
    return lambda images: compute(images * np.float32(scale) + np.float32(offset))


def _size(shape):
    """(height, width) of an input's shape; what it leaves open is DEFAULT_SIZE."""
    return tuple(side or DEFAULT_SIZE for side in shape[1:3])


def _from_applications(name, weights):
    known = _find_applications()
    if name not in known:
        raise unknown_name("--image_model", name, [STARTER, *known])
    module = known[name]
    given = os.path.expanduser(weights)
    if weights == "random":  # the same ones when the work goes on
        given = None
        keras.utils.set_random_seed(0)
    size = SIZES.get(name, DEFAULT_SIZE)
    try:
        model = getattr(keras.applications, name)(
            weights=given,
            include_top=False,
            pooling="avg",
            input_shape=(size, size, 3),
        )
    except Exception as error:  # of the download, the file system or h5py
        raise UserError(
            f"--image_model={name}: its weights {weights!r} cannot be had "
            f"({reason(error)}); give --image_weights=FILE.h5, or a .keras file"
        ) from None

    def compute(images):
        return model.predict_on_batch(module.preprocess_input(np.array(images)))

    return ImageNetwork((size, size), compute, model)


def _find_applications():
    """Name -> the module of keras.applications that has its preprocess_input.

    Some names stand beside these modules alone, not in them.
    """
    applications = keras.applications
    names = [name for name in dir(applications) if name[0].isupper()]
    homes = {n: getattr(applications, n).__module__.rpartition(".")[2] for n in names}
    return {name: getattr(applications, home) for name, home in homes.items()}


def _from_file(path, scaling):
    try:
        with warnings.catch_warnings():  # of how earlier versions wrote files
            warnings.simplefilter("ignore")
            model = keras.saving.load_model(path, compile=False)
    except Exception as error:  # of zipfile, h5py, json or a class's constructor
        raise UserError(
            f"--image_model={path}: is no .keras file that can be read "
            f"({reason(error)})"
        ) from None
    return from_keras(model, scaling)


def _from_saved_model(path, scaling):
    try:
        loaded = tf.saved_model.load(path)
        function = loaded.signatures["serving_default"]
    except (OSError, ValueError, KeyError, tf.errors.OpError) as error:
        raise UserError(
            f"--image_model={path}: is no SavedModel with a signature serving_default "
            f"({reason(error)})"
        ) from None
    inputs = function.structured_input_signature[1]
    shapes = [spec.shape.as_list() for spec in inputs.values() if spec.shape.rank == 4]
    if len(inputs) != 1 or not shapes or shapes[0][-1] != 3:
        raise UserError(
            f"--image_model={path}: takes {', '.join(map(str, inputs.values()))}; "
            "expected images, [B, height, width, 3]"
        )
    ((name, spec),) = inputs.items()

    def compute(images, _keep=loaded):  # whose variables the signature does not hold
        outputs = function(**{name: tf.cast(images, spec.dtype)})
        return outputs if len(outputs) > 1 else next(iter(outputs.values())).numpy()

    return ImageNetwork(_size(shapes[0]), _scaled(compute, scaling))


def _from_keras_hub(name):
    try:
        hub = importlib.import_module("keras_hub")
    except ImportError:
        raise UserError(f"--image_model={name}: pip install keras-hub") from None
    preset = name.removeprefix(HUB_PREFIX)
    try:
        backbone = hub.models.Backbone.from_preset(preset)
        converter = hub.layers.ImageConverter.from_preset(preset)
    except Exception as error:  # of kagglehub, the network or a file
        raise UserError(f"--image_model={name}: {reason(error)}") from None
    side = converter.image_size or (DEFAULT_SIZE, DEFAULT_SIZE)

    def compute(images):
        return backbone.predict_on_batch(converter(images))

    return ImageNetwork(tuple(side), compute)


def _import_graph(path):
    """float32 [B, 299, 299, 3] -> float32 [B, 2048], as a function of the graph."""
    graph = tf.compat.v1.GraphDef()
    try:
        with open(path, "rb") as file:
            graph.ParseFromString(file.read())
        graph = _replace_batch_norms(graph)

        def load():
            tf.import_graph_def(graph, name="")

        wrapped = tf.compat.v1.wrap_function(load, [])
        pruned = wrapped.prune(
            wrapped.graph.get_tensor_by_name("ResizeBilinear:0"),
            wrapped.graph.get_tensor_by_name("pool_3:0"),
        )
    except (OSError, ValueError, KeyError, tf.errors.OpError) as error:
        raise UserError(
            f"{path}: is not the Inception graph of 2015 ({reason(error)})"
        ) from None
    except Exception as error:
        if type(error).__name__ != "DecodeError":  # of protobuf, whichever it is
            raise
        raise UserError(f"{path}: is no graph ({reason(error)})") from None
    return lambda images: pruned(tf.constant(images)).numpy().reshape(len(images), -1)


def _replace_batch_norms(graph):
    """The graph with plain operations for BatchNormWithGlobalNormalization.

    (x - mean) * rsqrt(variance + epsilon) [* gamma] + beta
    """
    new = tf.compat.v1.GraphDef(versions=graph.versions)
    for node in graph.node:
        if node.op != "BatchNormWithGlobalNormalization":
            new.node.add().CopyFrom(node)
            continue
        name, (x, mean, variance, beta, gamma) = node.name, node.input[:5]
        epsilon = new.node.add(name=f"{name}/epsilon", op="Const")
        epsilon.attr["dtype"].type = tf.float32.as_datatype_enum
        value = tf.make_tensor_proto(node.attr["variance_epsilon"].f, tf.float32)
        epsilon.attr["value"].tensor.CopyFrom(value)

        def add(part, op, *inputs, new=new, name=name):
            made = new.node.add(name=f"{name}{part}", op=op, input=inputs)
            made.attr["T"].type = tf.float32.as_datatype_enum
            return made.name

        scale = add("/sum", "Add", variance, epsilon.name)
        scale = add("/rsqrt", "Rsqrt", scale)
        if node.attr["scale_after_normalization"].b:
            scale = add("/scale", "Mul", scale, gamma)
        centred = add("/centred", "Sub", x, mean)
        add("", "Add", add("/normalised", "Mul", centred, scale), beta)
    return new
