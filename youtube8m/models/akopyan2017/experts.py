"""A mixture of many experts, of which a few compute each frame.

    y, importance, load = SparseExperts(64, 4, 1024)(x, mask, training=True)
    loss = squared_variation(importance) + squared_variation(load)

Shapes: x [B, T, D] is N = B T tokens; n experts, k of them for each token.
"""

import math

import keras
from keras import ops

from youtube8m.layers.inputs import zero_padding
from youtube8m.models.akopyan2017.dispatch import Dispatch
from youtube8m.registry import PACKAGE, Configured


def squared_variation(x):
    """The variance of x [n] over its squared mean: 0 where all are equal."""
    mean = ops.mean(x)
    return ops.mean(ops.square(x - mean)) / (ops.square(mean) + 1e-10)


@keras.saving.register_keras_serializable(PACKAGE)
class SparseExperts(Configured, keras.layers.Layer):
    """A sparsely gated mixture of experts, which computes only the chosen experts.

        H_i = x Wg_i + N(0, 1) softplus(x Wn_i)      the noise only in training
        G   = softmax over the k highest H_i, 0 elsewhere
        E_i = relu(x U_i + b_i) V_i + c_i            U_i [D, K], V_i [K, D]
        y   = sum_i G_i(x) E_i(x)

        importance_i = sum_x G_i(x)
        load_i = sum_x Phi((x Wg_i - highest) / softplus(x Wn_i))

    The sums are over the real tokens of one replica. Phi is the normal distribution
    function, and `highest` the k-th highest of H without H_i. So load_i is the expected
    number of tokens that choose expert i, and smooth in the weights. Wg and Wn start at
    0 for equal loads; of equal H_i, the lowest i are chosen.
    Source: Shazeer et al. 2017 (arxiv.org/abs/1701.06538), sections 2.1 and 4,
    appendix A.

    Args:
      num_experts: n.
      active_experts: k, fewer than n.
      hidden_size: K.

    Input shape: x [B, T, D], mask bool [B, T].
    Output shape: y [B, T, D], zero at the padding; importance [n]; load [n].
    """

    def __init__(
        self,
        num_experts: int,
        active_experts: int,
        hidden_size: int,
        seed=None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        if active_experts >= num_experts:
            raise ValueError(
                f"--active_experts={active_experts}: must be below --num_experts="
                f"{num_experts}; only some of the experts compute a frame"
            )
        self.seed_generator = keras.random.SeedGenerator(seed)

    def build(self, x_shape, *_):
        size, hidden, n = x_shape[-1], self.hidden_size, self.num_experts
        limit = math.sqrt(6 / (size + hidden))  # Glorot's, for each expert
        uniform = keras.initializers.RandomUniform(-limit, limit)
        self.gate = self._add_weight("gate", (size, n), autocast=False)
        self.noise = self._add_weight("noise", (size, n), autocast=False)
        self.hidden_kernel = self._add_weight(
            "hidden_kernel", (n, size, hidden), uniform
        )
        self.hidden_bias = self._add_weight("hidden_bias", (n, 1, hidden))
        self.output_kernel = self._add_weight(
            "output_kernel", (n, hidden, size), uniform
        )
        self.output_bias = self._add_weight("output_bias", (n, 1, size))

    def _add_weight(self, name, shape, initializer="zeros", **kwargs):
        return self.add_weight(
            shape=shape, initializer=initializer, name=name, **kwargs
        )

    def call(self, x, frame_mask, training=False):
        rows = ops.reshape(x, (-1, x.shape[-1]))
        real = ops.reshape(frame_mask, (-1, 1))
        experts, gates, importance, load = self._choose_experts(rows, real, training)
        experts = ops.where(real, experts, self.num_experts)
        y = self._compute_experts(rows, Dispatch(experts, self.num_experts), gates)
        y = ops.reshape(y, (*ops.shape(x)[:2], x.shape[-1]))
        return zero_padding(y, frame_mask), importance, load

    def _choose_experts(self, x, real, training):
        """Experts and gates [N, k] of each token, importance and load [n] of all."""
        k = self.active_experts
        x = ops.cast(x, "float32")
        clean = ops.matmul(x, self.gate)
        deviation = ops.softplus(ops.matmul(x, self.noise))
        scores = clean
        if training:
            normal = keras.random.normal(ops.shape(clean), seed=self.seed_generator)
            scores = clean + normal * deviation
        # Not top_k, whose order of equal scores depends on the backend.
        order = ops.argsort(-scores)[:, : k + 1]
        highest = ops.take_along_axis(scores, order, axis=-1)
        experts, gates = order[:, :k], ops.softmax(highest[:, :k])
        chosen = ops.one_hot(experts, self.num_experts)  # [N, k, n]
        importance = ops.sum(chosen * gates[..., None], axis=1)
        chosen = ops.sum(chosen, axis=1) > 0
        others = ops.where(chosen, highest[:, k:], highest[:, k - 1 : k])
        margin = (clean - others) / ops.maximum(deviation, 1e-6)
        load = (1.0 + ops.erf(margin / math.sqrt(2.0))) / 2.0
        sums = (ops.sum(ops.where(real, v, 0.0), axis=0) for v in (importance, load))
        return experts, gates, *sums

    def _compute_experts(self, x, dispatch, gates):
        """sum_i G_i(x) E_i(x) over the chosen experts: [N, D]."""
        blocks = dispatch.take_tokens(x)
        blocks = _apply_dense(blocks, dispatch, self.hidden_kernel, self.hidden_bias)
        blocks = ops.relu(blocks)
        blocks = _apply_dense(blocks, dispatch, self.output_kernel, self.output_bias)
        return dispatch.combine(blocks, gates)


def _apply_dense(blocks, dispatch, kernel, bias):
    y = ops.matmul(blocks, dispatch.take_weights(kernel))
    return y + dispatch.take_weights(bias)
