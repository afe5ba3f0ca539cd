"""Normalised frames that stay bytes: what CPUs compute without a float copy.

    x_t = s_t (q_t + o),   s_t = 1 / |q_t + o|       s_t = 0 where not mask

q_t [D] are the bytes of a frame, and o is the offset of dequantising divided by its
scale, which the norm cancels.

    frames = FrameSums(frames, frame_mask)   # [B, T, D], bool [B, T]
    frames.sum()                             # sum over t of x_t: [B, D]

Each function is one loop over the bytes, where TensorFlow's operations would write
[B, T, D] floats to memory at each step of the formula. It is compiled for each shape of
a batch. So that there are few, T is padded to a multiple of 10.
"""

from keras import ops

from youtube8m.layers.compiled import compiled, pays
from youtube8m.layers.inputs import NORM_EPSILON, is_bytes, scale_and_offset
from youtube8m.layers.pooling import attend

_SCALE, _OFFSET = scale_and_offset()
_BLOCK = 10  # frames that are added side by side
_WIDTH = 128  # numbers of a vector that are added side by side


def compiles(x) -> bool:
    """Whether the functions below are the fastest for x [B, T, D]."""
    return is_bytes(x) and pays(x.shape[-1])


def _centered(x):
    return ops.cast(x, "float32") + _OFFSET / _SCALE


@compiled
def _inverse_norms(x, frame_mask):
    """s of bytes x [B, T, D] where mask [B, T], else 0: [B, T]."""
    squares = _sum_by_width(x, lambda part, _: ops.square(_centered(part)))
    scale = ops.rsqrt(ops.maximum(squares, NORM_EPSILON / _SCALE**2))
    return ops.where(frame_mask, scale, 0.0)


def _sum_by_width(x, term):
    """sum over d of term(x[..., d], d): [B, T].

    A loop over d alone would add one number after the other.
    """
    total, size = 0.0, x.shape[-1]
    whole = size // _WIDTH * _WIDTH
    for start in range(0, whole, _WIDTH):
        part = slice(start, start + _WIDTH)
        total = total + term(x[..., part], part)
    total = ops.sum(total, axis=-1) if whole else total
    if whole < size:
        rest = slice(whole, size)
        total = total + ops.sum(term(x[..., rest], rest), axis=-1)
    return total


@compiled
def _block_sums(x, factors):
    """sum over t of factors[t, s] (q_t + o): [B, T, D], [B, T, S] -> [B, S, D].

    T is a multiple of _BLOCK.
    """
    batch, steps, size = ops.shape(x)
    blocks = ops.reshape(x, (batch, steps // _BLOCK, _BLOCK, size))
    count = factors.shape[-1]
    factors = ops.reshape(factors, (batch, steps // _BLOCK, _BLOCK, count))
    sums = []
    for column in range(count):
        total = 0.0
        for t in range(_BLOCK):
            total = total + _centered(blocks[:, :, t]) * factors[:, :, t, column, None]
        sums.append(ops.sum(total, axis=1))
    return ops.stack(sums, axis=1)


@compiled
def _products(x, vectors):
    """(q_t + o) . v of each frame: [B, T, D], [B, D] -> [B, T]."""
    return _sum_by_width(
        x, lambda part, where: _centered(part) * vectors[:, None, where]
    )


class FrameSums:
    """What can be had of normalised frames x [B, T, D] while they are bytes.

    Frames that are floats are normalised, with zeros at the padding.
    """

    def __init__(self, frames, frame_mask):
        self.steps = ops.shape(frames)[1]
        self.frames, self.scale = frames, None
        if is_bytes(frames):
            missing = -self.steps % _BLOCK
            self.frames = ops.pad(frames, [[0, 0], [0, missing], [0, 0]])
            mask = ops.pad(frame_mask, [[0, 0], [0, missing]])
            self.scale = _inverse_norms(self.frames, mask)

    def sum(self):
        """sum over t of x_t: float32 [B, D]."""
        if self.scale is None:
            return ops.sum(ops.cast(self.frames, "float32"), axis=1)
        return _block_sums(self.frames, self.scale[..., None])[:, 0]

    def weighted(self, weights):
        """sum over t of w_ts x_t: [B, T, S] -> float32 [B, S, D]."""
        if self.scale is None:
            return attend(ops.cast(self.frames, "float32"), weights)
        missing = ops.shape(self.frames)[1] - self.steps
        weights = ops.pad(weights, [[0, 0], [0, missing], [0, 0]])
        return _block_sums(self.frames, weights * self.scale[..., None])

    def products(self, vectors):
        """x_t . v of each frame: [B, D] -> float32 [B, T]."""
        if self.scale is None:
            frames = ops.cast(self.frames, "float32")
            return ops.squeeze(ops.matmul(frames, vectors[..., None]), axis=-1)
        return (_products(self.frames, vectors) * self.scale)[:, : self.steps]
