"""Residuals of clusters that look at each other before they are normalised."""

import keras
from keras import ops

from youtube8m.layers.residuals import Residuals, ResidualsFromZero, normal
from youtube8m.registry import PACKAGE, Configured


@keras.saving.register_keras_serializable(PACKAGE)
class NonLocal(Configured, keras.layers.Layer):
    """Adds to each row of a matrix what an attention over all its rows gives.

        N = softmax(tau (V A) (V B)^T)        over the columns; A, B [D, h], [B, K, K]
        y = V + N V G O                       G [D, h], O [h, D]

    A, B and G start from N(0, 1/sqrt(D)), O from N(0, 1/sqrt(h)).
    Source: Wang et al. 2018, Non-local Neural Networks, embedded Gaussian.

    Args:
      units: h.
      scale: tau.
      values_are_keys: there is no G, and B stands in its place.

    Input shape: V [B, K, D]. Output shape: float32 [B, K, D].
    """

    def __init__(
        self, units: int, scale: float, values_are_keys: bool = False, **kwargs
    ):
        # float32, since the scores are products of sums over all frames.
        super().__init__(**{**kwargs, "dtype": "float32"})

    def build(self, v_shape):
        size = v_shape[-1]
        self.queries = self._add_matrix("queries", size, self.units)
        self.keys = self._add_matrix("keys", size, self.units)
        self.values = self.keys
        if not self.values_are_keys:
            self.values = self._add_matrix("values", size, self.units)
        self.out = self._add_matrix("out", self.units, size)

    def _add_matrix(self, name, rows, columns):
        initializer = normal(0.0, rows**-0.5)
        return self.add_weight(
            shape=(rows, columns), initializer=initializer, name=name
        )

    def call(self, v):
        queries, keys = ops.matmul(v, self.queries), ops.matmul(v, self.keys)
        scores = self.scale * ops.matmul(queries, ops.transpose(keys, (0, 2, 1)))
        seen = ops.matmul(ops.softmax(scores, axis=-1), ops.matmul(v, self.values))
        return v + ops.matmul(seen, self.out)


class _NonLocalSums(ResidualsFromZero):
    """V of an aggregator as of k frames, and then NonLocal.

        V' = NonLocal(V k / n)       n frames that are there

    NonLocal is not linear, so V must not grow with the frames of the video: training
    draws k frames, and prediction takes each of the n once.

    Args:
      frames: k.
      units: h of NonLocal; None: K.
      scale: tau of NonLocal; None: 1 / sqrt(D).
    """

    def __init__(
        self,
        clusters: int,
        frames: int = 300,
        units: int | None = None,
        scale: float | None = None,
        **kwargs,
    ):
        super().__init__(clusters, **kwargs)

    # Whether the released code has no G.
    releases_keys_as_values: bool = True

    def build_sums(self, size):
        super().build_sums(size)
        self.relate = NonLocal(
            self.units or self.clusters,
            size**-0.5 if self.scale is None else self.scale,
            values_are_keys=self.released_code and self.releases_keys_as_values,
            name="relate",
        )
        self.relate.build((None, self.clusters, size))

    def sum_frames(self, x, weights):
        # The weights of a frame sum to 1.
        found = ops.sum(weights, axis=(1, 2))[:, None, None]
        sums = super().sum_frames(x, weights)
        return self.relate(sums * (self.frames / ops.maximum(found, 1.0)))


@keras.saving.register_keras_serializable(PACKAGE)
class NonLocalResiduals(_NonLocalSums, Residuals):
    """NetVLAD's residuals through NonLocal; as in the released code with G."""

    releases_keys_as_values = False


@keras.saving.register_keras_serializable(PACKAGE)
class NonLocalKeyedResiduals(_NonLocalSums, Residuals):
    """NetVLAD's residuals through NonLocal; the released code takes B for G."""


@keras.saving.register_keras_serializable(PACKAGE)
class NonLocalResidualsFromZero(_NonLocalSums):
    """Sums of frames through NonLocal; the released code takes B for G."""
