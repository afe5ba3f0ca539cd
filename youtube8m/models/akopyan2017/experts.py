"""A mixture of many experts of which each frame is given to a few.

    y, importance, load = SparseExperts(64, 4, 1024)(x, mask, training=True)
    loss = squared_variation(importance) + squared_variation(load)

Shapes: x [B, T, D] makes N = B T places; n experts, k of them for each place.
"""

import math

import keras
from keras import ops

from youtube8m.layers.inputs import zero_pads
from youtube8m.registry import PACKAGE, Configured

# Blocks per expert that the chosen places would fill if all experts had as many. More
# of them waste less of the products, but copy the experts' matrices more often.
_BLOCKS = 2


def squared_variation(x):
    """The variance of x [n] over its squared mean: 0 where all are equal."""
    mean = ops.mean(x)
    return ops.mean(ops.square(x - mean)) / (ops.square(mean) + 1e-10)


class Dispatch:
    """Which places go to which expert, each expert's in blocks of one size.

    The places are sorted by expert, and each expert's are padded to a multiple of the
    block's size m. One product of batched matrices, a block each, then serves all
    experts, however uneven their shares: a fixed number of blocks is enough, and the
    work grows with k N alone.

    Args:
      experts: int [N, k], each in [0, n]; n stands for no expert.
      num_experts: n.
    """

    def __init__(self, experts, num_experts: int):
        places, self.k = ops.shape(experts)
        chosen = places * self.k
        self.size = chosen // (_BLOCKS * num_experts) + 1  # m
        self.blocks = (_BLOCKS + 1) * num_experts
        experts = ops.reshape(experts, (-1,))
        order = ops.argsort(experts)
        ranks = ops.argsort(order)
        # Where the places of each expert, and of none, start: in order, in slots.
        first = ops.searchsorted(
            ops.take(experts, order), ops.arange(num_experts + 1, dtype=experts.dtype)
        )
        first = ops.cast(first, "int32")
        filled = ops.cumsum((first[1:] - first[:-1] + self.size - 1) // self.size)
        start = self.size * ops.pad(filled, [[1, 0]])

        numbers = ops.arange(self.blocks, dtype="int32")
        owners = ops.searchsorted(filled, numbers, side="right")
        owners = ops.cast(owners, "int32")  # n: of blocks that are left over
        slots = ops.arange(self.blocks * self.size, dtype="int32")
        slots = ops.reshape(slots, (self.blocks, self.size))
        sources = slots + ops.take(first - start, owners)[:, None]
        # Slots that no place fills read any, and are read by none.
        sources = ops.take(order, ops.clip(sources, 0, chosen - 1))
        self.sources = sources // self.k  # places [blocks, m]
        self.owners = ops.minimum(owners, num_experts - 1)  # experts [blocks]
        targets = ranks + ops.take(start - first, experts)
        targets = ops.minimum(targets, self.blocks * self.size - 1)
        self.targets = ops.reshape(targets, (-1, self.k))  # slots [N, k]

    def blocks_of(self, x):
        """Places x [N, D] -> [blocks, m, D]."""
        return ops.take(x, self.sources, axis=0)

    def weights_of(self, weights):
        """Weights [n, D, E] of the experts -> those of each block's, [blocks, D, E]."""
        # As rows: TensorFlow's gradient of a lookup in the variable itself would be
        # sparse, with an expert in it many times.
        rows = ops.reshape(weights, (weights.shape[0], -1))
        rows = ops.take(rows, self.owners, axis=0)
        return ops.reshape(rows, (-1, *weights.shape[1:]))

    def combine(self, y, gates):
        """Blocks y [blocks, m, E] -> sum over k of gates [N, k] times y: [N, E]."""
        rows = ops.reshape(y, (-1, y.shape[-1]))
        picked = ops.take(rows, self.targets, axis=0)
        gates = ops.cast(gates, picked.dtype)
        return ops.squeeze(ops.matmul(gates[:, None, :], picked), axis=1)


@keras.saving.register_keras_serializable(PACKAGE)
class SparseExperts(Configured, keras.layers.Layer):
    """A sparsely gated mixture of experts, of which only the chosen are computed.

        H_i = x Wg_i + N(0, 1) softplus(x Wn_i)      the noise in training alone
        G   = softmax over the k highest H_i, 0 elsewhere
        E_i = relu(x U_i + b_i) V_i + c_i            U_i [D, K], V_i [K, D]
        y   = sum_i G_i(x) E_i(x)

        importance_i = sum_x G_i(x)
        load_i = sum_x Phi((x Wg_i - highest) / softplus(x Wn_i))

    The sums are over the real places; Phi is the normal distribution's, `highest` the
    k-th highest of H without H_i, so load_i is the expected number of places that
    choose expert i, smooth in the weights. Both sums are this replica's.
    Source: Shazeer et al. 2017 (arxiv.org/abs/1701.06538), sections 2.1 and 4,
    appendix A. Wg and Wn start at 0 for equal loads; ties go to the lower number.

    Args:
      num_experts: n.
      active_experts: k, fewer than n.
      hidden_size: K.

    Input shape: x [B, T, D], mask bool [B, T].
    Output shape: y [B, T, D], zero at pads; importance [n]; load [n].
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
                f"{num_experts}; a frame is given to some of the experts"
            )
        self.num_experts = num_experts
        self.active_experts = active_experts
        self.hidden_size = hidden_size
        self.seed = seed
        self.seed_generator = keras.random.SeedGenerator(seed)

    def build(self, x_shape, *_):
        size, hidden, n = x_shape[-1], self.hidden_size, self.num_experts
        limit = math.sqrt(6 / (size + hidden))  # Glorot's, for each expert
        uniform = keras.initializers.RandomUniform(-limit, limit)
        self.gate = self._weight("gate", (size, n), autocast=False)
        self.noise = self._weight("noise", (size, n), autocast=False)
        self.hidden_kernel = self._weight("hidden_kernel", (n, size, hidden), uniform)
        self.hidden_bias = self._weight("hidden_bias", (n, 1, hidden))
        self.output_kernel = self._weight("output_kernel", (n, hidden, size), uniform)
        self.output_bias = self._weight("output_bias", (n, 1, size))

    def _weight(self, name, shape, initializer="zeros", **kwargs):
        return self.add_weight(
            shape=shape, initializer=initializer, name=name, **kwargs
        )

    def call(self, x, frame_mask, training=False):
        rows = ops.reshape(x, (-1, x.shape[-1]))
        real = ops.reshape(frame_mask, (-1, 1))
        experts, gates, importance, load = self._gates(rows, real, training)
        experts = ops.where(real, experts, self.num_experts)
        y = self._computed(rows, Dispatch(experts, self.num_experts), gates)
        y = ops.reshape(y, (*ops.shape(x)[:2], x.shape[-1]))
        return zero_pads(y, frame_mask), importance, load

    def _gates(self, x, real, training):
        """Experts and gates [N, k] of each place, importance and load [n] of all."""
        k = self.active_experts
        x = ops.cast(x, "float32")
        clean = ops.matmul(x, self.gate)
        deviation = ops.softplus(ops.matmul(x, self.noise))
        scores = clean
        if training:
            normal = keras.random.normal(ops.shape(clean), seed=self.seed_generator)
            scores = clean + normal * deviation
        # Not top_k, which orders ties as the backend likes.
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

    def _computed(self, x, dispatch, gates):
        """sum_i G_i(x) E_i(x) over the chosen experts: [N, D]."""
        blocks = dispatch.blocks_of(x)
        blocks = _dense(blocks, dispatch, self.hidden_kernel, self.hidden_bias)
        blocks = ops.relu(blocks)
        blocks = _dense(blocks, dispatch, self.output_kernel, self.output_bias)
        return dispatch.combine(blocks, gates)

    def compute_output_spec(self, x, frame_mask, training=False):
        sums = keras.KerasTensor((self.num_experts,), "float32")
        return keras.KerasTensor(x.shape, self.compute_dtype), sums, sums


def _dense(blocks, dispatch, kernel, bias):
    y = ops.matmul(blocks, dispatch.weights_of(kernel))
    return y + dispatch.weights_of(bias)
