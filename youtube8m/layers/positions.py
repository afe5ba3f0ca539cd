"""Learned vectors of the frames' positions.

places = place_frames(table, ops.shape(frames)[1])      # [N, P], T -> [T, P]
"""

from keras import ops


def place_frames(table, steps):
    """The first rows of a table, one for each of T frames; then the last row repeats.

    It is a product, whose gradient is dense: optimizers clip it as any other.

    Args:
      table: [N, P].
      steps: T.

    Returns:
      [T, P].
    """
    rows = table.shape[0]
    indices = ops.minimum(ops.arange(steps, dtype="int32"), rows - 1)
    return ops.matmul(ops.one_hot(indices, rows, dtype=table.dtype), table)
