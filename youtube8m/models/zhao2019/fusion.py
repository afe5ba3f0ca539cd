"""The fusion of a visual part v and an audio part a of each frame."""

import keras
from keras import ops

from youtube8m.layers.pooling import masked_mean
from youtube8m.registry import PACKAGE, Configured, require_choice


@keras.saving.register_keras_serializable(PACKAGE)
class ModalityFusion(Configured, keras.layers.Layer):
    """One vector of the two modalities of each frame.

        concat        z = [v ; a]                                   [B, T, D]
        shared        z = v Wv + a Wa                               [B, T, F]
        projection    z = [v Wv ; a Wa]                             [B, T, 2 F]
                      distance = mean over real frames of |v Wv - a Wa|^2      [B]

    Wv and Wa start from a normal distribution with a standard deviation of 0.01. There
    are no biases, since the next layers have them.

    Args:
      feature_sizes: of v and a; `concat` takes any number of modalities.
      mode: concat, shared or projection.
      size: F.

    Input shape: [B, T, D], bool [B, T].
    Output shape: z; the distance, or None with another mode than projection.
    """

    def __init__(self, feature_sizes, mode: str, size: int, **kwargs):
        super().__init__(**kwargs)
        require_choice("modality_fusion", mode, "concat", "shared", "projection")
        self.feature_sizes = tuple(feature_sizes)
        if mode != "concat" and len(self.feature_sizes) != 2:
            raise ValueError(
                f"--modality_fusion={mode}: fuses two modalities, but --feature_names "
                f"gives {len(self.feature_sizes)}; name two, such as rgb,audio, or use "
                "--modality_fusion=concat"
            )

    def build(self, x_shape, *_):
        sizes = self.feature_sizes if self.mode != "concat" else ()
        self.maps = [self._make_map(*item) for item in enumerate(sizes)]

    def _make_map(self, number, size):
        dense = keras.layers.Dense(
            self.size,
            use_bias=False,
            kernel_initializer=keras.initializers.RandomNormal(stddev=0.01),
            dtype=self.dtype_policy,
            name=f"map_{number}",
        )
        dense.build((None, None, size))
        return dense

    def call(self, x, frame_mask):
        if self.mode == "concat":
            return x, None
        parts = ops.split(x, [self.feature_sizes[0]], axis=-1)
        first, second = (m(part) for m, part in zip(self.maps, parts, strict=True))
        if self.mode == "shared":
            return first + second, None
        difference = ops.cast(first, "float32") - ops.cast(second, "float32")
        distance = ops.sum(ops.square(difference), axis=-1, keepdims=True)
        distance = ops.squeeze(masked_mean(distance, frame_mask), axis=-1)
        return ops.concatenate([first, second], axis=-1), distance

    @property
    def output_size(self) -> int:
        """The length of z."""
        sizes = {"shared": self.size, "projection": 2 * self.size}
        return sizes.get(self.mode, sum(self.feature_sizes))
