"""Tokens sorted by expert, so that one product of matrices serves all experts.

    dispatch = Dispatch(experts, num_experts)           # experts int [N, k]
    blocks = dispatch.take_tokens(x)                    # [N, D] -> [blocks, m, D]
    blocks = ops.matmul(blocks, dispatch.take_weights(kernel))
    y = dispatch.combine(blocks, gates)                 # [N, E]

Shapes: N tokens, n experts, k of them for each token.
"""

from keras import ops

# Blocks per expert that the tokens would fill if all experts had equally many. More
# blocks waste less of the products, but copy the experts' matrices more often.
_BLOCKS = 2


class Dispatch:
    """An assignment of tokens to experts, in blocks of one size.

    The tokens are sorted by expert, and those of each expert are padded to a multiple
    of the block's size m. One product of batched matrices, one for each block, then
    serves all experts, however uneven their shares: a fixed number of blocks is enough,
    and the work grows only with k N.

    Args:
      experts: int [N, k] in [0, n]; n stands for no expert.
      num_experts: n.
    """

    def __init__(self, experts, num_experts: int):
        tokens, self.k = ops.shape(experts)
        chosen = tokens * self.k
        self.size = chosen // (_BLOCKS * num_experts) + 1  # m
        self.blocks = (_BLOCKS + 1) * num_experts
        experts = ops.reshape(experts, (-1,))
        order = ops.argsort(experts)
        ranks = ops.argsort(order)
        # Where the tokens of each expert, and of none, start: in `order`, and in slots.
        first = ops.searchsorted(
            ops.take(experts, order), ops.arange(num_experts + 1, dtype=experts.dtype)
        )
        first = ops.cast(first, "int32")
        filled = ops.cumsum((first[1:] - first[:-1] + self.size - 1) // self.size)
        start = self.size * ops.pad(filled, [[1, 0]])

        numbers = ops.arange(self.blocks, dtype="int32")
        owners = ops.searchsorted(filled, numbers, side="right")
        owners = ops.cast(owners, "int32")  # n for blocks that stay empty
        slots = ops.arange(self.blocks * self.size, dtype="int32")
        slots = ops.reshape(slots, (self.blocks, self.size))
        sources = slots + ops.take(first - start, owners)[:, None]
        # A slot without a token gets any token, and nothing reads it.
        sources = ops.take(order, ops.clip(sources, 0, chosen - 1))
        self.sources = sources // self.k  # tokens [blocks, m]
        self.owners = ops.minimum(owners, num_experts - 1)  # experts [blocks]
        targets = ranks + ops.take(start - first, experts)
        targets = ops.minimum(targets, self.blocks * self.size - 1)
        self.targets = ops.reshape(targets, (-1, self.k))  # slots [N, k]

    def take_tokens(self, x):
        """Tokens x [N, D] -> [blocks, m, D]."""
        return ops.take(x, self.sources, axis=0)

    def take_weights(self, weights):
        """Weights [n, D, E] of the experts -> [blocks, D, E] of each block's expert."""
        # As rows: TensorFlow's gradient of a lookup in the variable itself would be
        # sparse, and contain an expert many times.
        rows = ops.reshape(weights, (weights.shape[0], -1))
        rows = ops.take(rows, self.owners, axis=0)
        return ops.reshape(rows, (-1, *weights.shape[1:]))

    def combine(self, y, gates):
        """Blocks y [blocks, m, E] -> sum over k of gates [N, k] times y: [N, E]."""
        rows = ops.reshape(y, (-1, y.shape[-1]))
        picked = ops.take(rows, self.targets, axis=0)
        gates = ops.cast(gates, picked.dtype)
        return ops.squeeze(ops.matmul(gates[:, None, :], picked), axis=1)
