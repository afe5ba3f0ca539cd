"""VGGish: sound to 128 numbers for each window of 0.96 seconds.

    vggish = Vggish()
    vggish.load_checkpoint("vggish_model.ckpt")
    embeddings = vggish(log_mel(cut_windows(waveform, full_windows(len(waveform)))))

Hershey et al., "CNN Architectures for Large-Scale Audio Classification" (ICASSP 2017,
https://arxiv.org/abs/1609.09430), as in tensorflow/models, research/audioset/vggish.
"""

from collections.abc import Sequence

import keras
import numpy as np
from keras import layers, ops

from youtube8m.errors import UserError, reason
from youtube8m.registry import PACKAGE

SAMPLE_RATE = 16_000
WINDOW = 15_600  # samples of one patch: 95 hops and one frame
EMBEDDING = 128
_FRAME, _HOP, _FFT = 400, 160, 512  # samples: 25 ms, 10 ms, the next power of two
_ROWS, _BANDS = 96, 64  # of a patch: 10 ms each; mel bands
_LOWEST, _HIGHEST = 125.0, 7500.0  # Hz
_FLOOR = 0.01  # added before the logarithm

# The layers of the network: the number of convolutions before each pooling.
_NAMES = {
    1: ("conv1",),
    2: ("conv2",),
    3: ("conv3/conv3_1", "conv3/conv3_2"),
    4: ("conv4/conv4_1", "conv4/conv4_2"),
}
_DENSE = ("fc1/fc1_1", "fc1/fc1_2", "fc2")


def cut_windows(waveform: np.ndarray, starts: Sequence[int]) -> np.ndarray:
    """Windows of 0.975 s: float [samples] -> [n, 15600], silence behind the end.

    Args:
      waveform: mono, 16,000 samples a second, in [-1, 1].
      starts: the first sample of each window, ascending; see `full_windows`.
    """
    windows = np.zeros((len(starts), WINDOW), waveform.dtype)
    for window, start in zip(windows, starts, strict=True):
        part = waveform[start : start + WINDOW]
        window[: len(part)] = part
    return windows


def full_windows(samples: int, step: int = SAMPLE_RATE) -> range:
    """The starts of all windows that are full.

    One second apart, as in YouTube-8M; AudioSet's own code has 15,360 samples.
    """
    return range(0, samples - WINDOW + 1, step)


def nearest_starts(times: Sequence[float]) -> np.ndarray:
    """The starts of windows at these seconds, to 10 ms, the hop of mel frames."""
    return np.rint(np.asarray(times) * (SAMPLE_RATE / _HOP)).astype(int) * _HOP


def log_mel(windows: np.ndarray) -> np.ndarray:
    """Logarithms of the strength of 64 bands: [n, 15600] -> float32 [n, 96, 64].

    ln(magnitude @ mel + 0.01); frames of 25 ms each 10 ms, periodic Hann window, 64
    triangles from 125 to 7500 Hz. In float64, as VGGish's own numpy code.
    """
    import tensorflow as tf

    if not len(windows):
        return np.zeros((0, _ROWS, _BANDS), np.float32)
    with tf.device("CPU"):
        samples = tf.constant(np.asarray(windows, np.float64))
        magnitudes = tf.abs(tf.signal.stft(samples, _FRAME, _HOP, _FFT))
        mel = tf.signal.linear_to_mel_weight_matrix(
            _BANDS, _FFT // 2 + 1, SAMPLE_RATE, _LOWEST, _HIGHEST, tf.float64
        )
        return tf.cast(tf.math.log(magnitudes @ mel + _FLOOR), tf.float32).numpy()


@keras.saving.register_keras_serializable(PACKAGE)
class Vggish(keras.Model):
    """The network, up to its embedding, which has no activation behind it.

    Args:
      channels: of the six convolutions.
      units: of the three dense layers; the last is the embedding.

    Input shape: [B, 96, 64] of `log_mel`.
    Output shape: [B, 128].
    """

    def __init__(
        self,
        channels: Sequence[int] = (64, 128, 256, 256, 512, 512),
        units: Sequence[int] = (4096, 4096, EMBEDDING),
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.channels, self.units = tuple(channels), tuple(units)
        sizes, self.blocks, self.named = iter(self.channels), [], {}
        for names in _NAMES.values():
            convolutions = [
                layers.Conv2D(next(sizes), 3, padding="same", activation="relu")
                for _ in names
            ]
            self.named |= dict(zip(names, convolutions, strict=True))
            pooling = layers.MaxPooling2D(2, padding="same")
            self.blocks.append([*convolutions, pooling])
        activations = ("relu", "relu", None)
        self.dense = [
            layers.Dense(size, activation=activation)
            for size, activation in zip(self.units, activations, strict=True)
        ]
        self.named |= dict(zip(_DENSE, self.dense, strict=True))

    def build(self, input_shape):
        shape = (*input_shape, 1)
        for block in self.blocks:
            for layer in block:
                layer.build(shape)
                shape = layer.compute_output_shape(shape)
        shape = (shape[0], int(np.prod(shape[1:])))
        for layer in self.dense:
            layer.build(shape)
            shape = layer.compute_output_shape(shape)
        self.built = True

    def call(self, patches):
        x = self.pooled(patches)
        x = ops.reshape(x, (-1, int(np.prod(x.shape[1:]))))
        for layer in self.dense:
            x = layer(x)
        return x

    def pooled(self, patches):
        """What the last pooling gives: [B, 96, 64] -> [B, 6, 4, channels[-1]]."""
        x = ops.expand_dims(patches, -1)
        for block in self.blocks:
            for layer in block:
                x = layer(x)
        return x

    def get_config(self):
        config = {"channels": list(self.channels), "units": list(self.units)}
        return super().get_config() | config

    def assign_weights(self, read) -> None:
        """Assigns what `read` gives for TensorFlow 1's names, as `vggish/fc2/biases`.

        Raises UserError if a shape is another.
        """
        if not self.built:
            self.build((None, _ROWS, _BANDS))
        for name, layer in self.named.items():
            for leaf, variable in (("weights", layer.kernel), ("biases", layer.bias)):
                value = np.asarray(read(f"vggish/{name}/{leaf}"))
                if value.shape != tuple(variable.shape):
                    raise UserError(
                        f"vggish/{name}/{leaf} is {list(value.shape)}; "
                        f"{list(variable.shape)} belongs here"
                    )
                variable.assign(value)

    def load_checkpoint(self, path: str) -> None:
        """Loads the published checkpoint of TensorFlow 1, under any backend.

        Raises UserError if it cannot be read, or is of another network.
        """
        import tensorflow as tf

        try:
            reader = tf.train.load_checkpoint(path)
            self.assign_weights(reader.get_tensor)
        except UserError as error:
            raise UserError(f"{path}: {error}") from None
        except (tf.errors.OpError, ValueError, RuntimeError) as error:
            raise UserError(
                f"{path}: is no checkpoint of VGGish that can be read ({reason(error)})"
            ) from None


def load_vggish(path: str) -> Vggish:
    """The network of a checkpoint, whose shapes say how large it is.

    Raises UserError if it cannot be read, or is of another network.
    """
    import tensorflow as tf

    try:
        shapes = tf.train.load_checkpoint(path).get_variable_to_shape_map()
        convolutions = [name for names in _NAMES.values() for name in names]
        channels = [shapes[f"vggish/{name}/biases"][0] for name in convolutions]
        units = [shapes[f"vggish/{name}/biases"][0] for name in _DENSE]
    except (tf.errors.OpError, ValueError, RuntimeError, KeyError) as error:
        raise UserError(
            f"{path}: is no checkpoint of VGGish that can be read ({reason(error)})"
        ) from None
    vggish = Vggish(channels, units)
    vggish.load_checkpoint(path)
    return vggish
